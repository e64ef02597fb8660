// rten with the JavaScript surface of its own crate.
import init, { Model, Tensor } from "/rten/peer.js";

let session;
let ids;

export async function start() {
  await init();
}

export async function prepare(model) {
  session = new Model(new Uint8Array(await (await fetch(model.file)).arrayBuffer()));
  ids = { inputs: new Map(model.inputs.map(({ name }) => [name, session.findNode(name)])), output: session.findNode(model.output) };
}

export async function run(inputs) {
  const given = inputs.map(({ dtype, shape, data }) => (dtype === "float32" ? Tensor.floatTensor(shape, data) : Tensor.intTensor(shape, data)));
  const [output] = session.run(inputs.map(({ name }) => ids.inputs.get(name)), given, [ids.output]);
  const data = output.floatData();
  output.free();
  return data;
}

export function about() {
  return { device: "cpu", threads: 1, place: "page" };
}
