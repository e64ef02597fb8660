// @huggingface/transformers turns sentences into vectors.
import { env, pipeline } from "@huggingface/transformers";

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = new URL("./models/", location.href).pathname;
// onnxruntime-web then takes the WebAssembly that the bundler put beside the page, not a CDN's.
if (globalThis.ownWasm) env.backends.onnx.wasm.wasmPaths = undefined;

async function main() {
  const { model, sentences, device = "wasm" } = globalThis.task;
  const extract = await pipeline("feature-extraction", model, { dtype: "fp32", device });
  const { dims, data } = await extract(sentences, { pooling: "mean", normalize: true });
  const raw = await extract(sentences);
  await extract.dispose();
  return { dims, data: [...data], rawDims: raw.dims, raw: [...raw.data.slice(0, 4096)] };
}

globalThis.outcome = main();
