// TensorFlow.js with its WebAssembly backend (XNNPACK); a graph model with fused convolutions.
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import { env, ready, setBackend, tensor } from "@tensorflow/tfjs-core";

let graph;
let shape;

export async function start() {
  setWasmPaths("/tfjs-wasm/");
  // The threaded binary is taken wherever threads are allowed; one thread wants the plain one.
  env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  setThreadsCount(1);
  await setBackend("wasm");
  await ready();
}

export async function prepare(model) {
  graph = await loadGraphModel(model.tfjs);
  shape = [1, model.height, model.width, 3];
}

export const layout = "nhwc";

export async function run(image) {
  const input = tensor(image, shape, "float32");
  const output = graph.predict(input);
  const data = await output.data();
  output.dispose();
  input.dispose();
  return data;
}

export function about() {
  return { device: "cpu", threads: 1, place: "page" };
}
