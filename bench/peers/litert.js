// LiteRT.js: XNNPACK in WebAssembly with relaxed SIMD where the browser has it (its own choice), or WebGPU.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

let device;
let compiled;
let shape;

export async function start(options) {
  device = options.device;
  // With `threads` it would take another binary; the default is one thread.
  await loadLiteRt("/litert/wasm/");
}

export async function prepare(model) {
  const accelerator = device === "webgpu" ? "webgpu" : "wasm";
  compiled = await loadAndCompile(model.tflite, { accelerator, gpuOptions: { precision: "fp32" } });
  shape = [1, model.height, model.width, 3];
}

export const layout = "nhwc";

export async function run(image) {
  const input = new Tensor(image, shape);
  const [output] = await compiled.run([input]);
  const onHost = device === "webgpu" ? await output.moveTo("wasm") : output;
  const data = onHost.toTypedArray().slice();
  onHost.delete();
  input.delete();
  return data;
}

export function about() {
  return { device, threads: 1, place: "page" };
}
