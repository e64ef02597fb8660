// Firebrand, from the packed tarball, as published: in a worker, its default, unless told otherwise.
import { load, Tensor } from "/firebrand/index.js";

let options;
let session;
let output;

export async function start(given) {
  options = given;
}

/** Runtime and model are fetched at the same time; what is not preparing counts as the runtime's. */
export async function prepare(model) {
  const begin = performance.now();
  session = await load(model.file, options);
  const { threads, threadsReason, timings: { prepareMs } } = session.info;
  if (threads !== options.threads) throw new Error(`it has ${threads} of ${options.threads} threads: ${threadsReason}`);
  output = model.output;
  return { runtimeMs: performance.now() - begin - prepareMs, modelMs: prepareMs };
}

const tensors = (inputs) => Object.fromEntries(inputs.map(({ name, dtype, data, shape }) => [name, new Tensor(dtype, data, shape)]));

export async function run(inputs) {
  return (await session.run(tensors(inputs)))[output].data;
}

/**
 * What each node takes, and what it would at the machine's peak: its shortest times of several runs, since it can only
 * be delayed.
 */
export async function profile(inputs, runs) {
  let nodes;
  for (let run = 0; run < runs; run++) {
    const { profile } = await session.run(tensors(inputs), { profile: true });
    const least = (at, key, value) => Math.min(value, nodes?.[at][key] ?? Infinity);
    nodes = profile.nodes.map(({ name, operator, durationMs, multiplyAdds, shareOfPeak = 0 }, at) => ({ name, operator, multiplyAdds, ms: least(at, "ms", durationMs), peakMs: least(at, "peakMs", shareOfPeak * durationMs) }));
  }
  return nodes;
}

export function about() {
  const { device, simd, threads, adapter, memoryBytes } = session.info;
  return { device, simd, threads, adapter, memoryBytes, place: options.worker === false ? "page" : "worker" };
}
