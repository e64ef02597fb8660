// onnxruntime-web: the WebAssembly execution provider from its smallest build, or the WebGPU one.
let ort;
let session;
let shape;
let names;
let providers;

export async function start({ device }) {
  ort = await import(device === "webgpu" ? "/ort/ort.webgpu.min.mjs" : "/ort/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = "/ort/";
  ort.env.wasm.numThreads = 1;
  providers = [device === "webgpu" ? "webgpu" : "wasm"];
  // There is no call that only starts the runtime, so a one-node model does.
  await (await ort.InferenceSession.create("/prepared/tiny/identity.onnx", { executionProviders: providers })).release();
}

export async function prepare(model) {
  session = await ort.InferenceSession.create(model.onnx, { executionProviders: providers });
  shape = [1, 3, model.height, model.width];
  names = model;
}

export const layout = "nchw";

export async function run(image) {
  const input = new ort.Tensor("float32", image, shape);
  const outputs = await session.run({ [names.input]: input });
  const data = await outputs[names.output].getData();
  outputs[names.output].dispose();
  return data;
}

export function about() {
  return { device: providers[0] === "webgpu" ? "webgpu" : "cpu", threads: ort.env.wasm.numThreads, place: "page" };
}
