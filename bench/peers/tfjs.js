// TensorFlow.js with its WebAssembly backend (XNNPACK); a graph model with fused convolutions.
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import { env, ready, setBackend, tensor } from "@tensorflow/tfjs-core";

let graph;

export async function start() {
  setWasmPaths("/tfjs-wasm/");
  // The threaded binary is taken wherever threads are allowed; one thread wants the plain one.
  env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  setThreadsCount(1);
  await setBackend("wasm");
  await ready();
}

export async function prepare(model) {
  graph = await loadGraphModel(model.file);
}

export async function run(inputs) {
  const given = Object.fromEntries(inputs.map(({ name, dtype, data, shape }) => [name, tensor(data, shape, dtype)]));
  const output = graph.predict(given);
  const data = await output.data();
  output.dispose();
  for (const one of Object.values(given)) one.dispose();
  return data;
}

export function about() {
  return { device: "cpu", threads: 1, place: "page" };
}
