// Firebrand, from the packed tarball, as published: in a worker, its default.
import { load, Tensor } from "/firebrand/index.js";

let device;
let session;
let output;

export async function start(options) {
  device = options.device;
}

/** Runtime and model are fetched at the same time; what is not preparing counts as the runtime's. */
export async function prepare(model) {
  const begin = performance.now();
  session = await load(model.file, { device });
  const { prepareMs } = session.info.timings;
  output = model.output;
  return { runtimeMs: performance.now() - begin - prepareMs, modelMs: prepareMs };
}

export async function run(inputs) {
  const outputs = await session.run(Object.fromEntries(inputs.map(({ name, dtype, data, shape }) => [name, new Tensor(dtype, data, shape)])));
  return outputs[output].data;
}

export function about() {
  const { device, simd, threads, adapter, memoryBytes } = session.info;
  return { device, simd, threads, adapter, memoryBytes, place: "worker" };
}
