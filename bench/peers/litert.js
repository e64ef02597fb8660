// LiteRT.js: XNNPACK in WebAssembly with relaxed SIMD where the browser has it (its own choice), or WebGPU.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

let device;
let compiled;

export async function start(options) {
  device = options.device;
  // With `threads` it would take another binary; the default is one thread.
  await loadLiteRt("/litert/wasm/");
}

export async function prepare(model) {
  const accelerator = device === "webgpu" ? "webgpu" : "wasm";
  compiled = await loadAndCompile(model.file, { accelerator, gpuOptions: { precision: "fp32" } });
}

export async function run(inputs) {
  const given = Object.fromEntries(inputs.map(({ name, data, shape }) => [name, new Tensor(data, shape)]));
  const [output] = Object.values(await compiled.run(given));
  const onHost = device === "webgpu" ? await output.moveTo("wasm") : output;
  const data = onHost.toTypedArray().slice();
  onHost.delete();
  for (const tensor of Object.values(given)) tensor.delete();
  return data;
}

export function about() {
  return { device, threads: 1, place: "page" };
}
