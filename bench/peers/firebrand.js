// Firebrand, from the packed tarball, as published: in a worker, its default.
import { load, Tensor } from "/firebrand/index.js";

let device;
let session;
let shape;
let names;

export async function start(options) {
  device = options.device;
}

/** Runtime and model are fetched at the same time; what is not preparing counts as the runtime's. */
export async function prepare(model) {
  const begin = performance.now();
  session = await load(model.onnx, { device });
  const { prepareMs } = session.info.timings;
  shape = [1, 3, model.height, model.width];
  names = model;
  return { runtimeMs: performance.now() - begin - prepareMs, modelMs: prepareMs };
}

export const layout = "nchw";

export async function run(image) {
  const outputs = await session.run({ [names.input]: new Tensor("float32", image, shape) });
  return outputs[names.output].data;
}

export function about() {
  const { device, simd, threads, adapter } = session.info;
  return { device, simd, threads, adapter, place: "worker" };
}
