// onnxruntime-web: the WebAssembly execution provider from its smallest build, or the WebGPU one.
let ort;
let session;
let output;
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
  session = await ort.InferenceSession.create(model.file, { executionProviders: providers, graphOptimizationLevel: "all" });
  output = model.output;
}

export async function run(inputs) {
  const outputs = await session.run(Object.fromEntries(inputs.map(({ name, dtype, data, shape }) => [name, new ort.Tensor(dtype, data, shape)])));
  const data = await outputs[output].getData();
  outputs[output].dispose();
  return data;
}

export function about() {
  return { device: providers[0] === "webgpu" ? "webgpu" : "cpu", threads: ort.env.wasm.numThreads, place: "page" };
}
