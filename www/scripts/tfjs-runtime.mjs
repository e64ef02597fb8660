// What the page that compares needs of TensorFlow.js, to be bundled into one file.
export { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
export { loadGraphModel } from "@tensorflow/tfjs-converter";
export { env, ready, setBackend, tensor } from "@tensorflow/tfjs-core";
