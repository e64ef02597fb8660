// A program in TypeScript that was written for onnxruntime-web; it is compiled, not run.
import * as ort from "onnxruntime-web";
import { InferenceSession, Tensor, env, type TypedTensor } from "onnxruntime-common";

env.wasm.numThreads = 2;
env.wasm.simd = true;
env.wasm.wasmPaths = { wasm: "/ort.wasm" };
env.logLevel = "error";

const options: InferenceSession.SessionOptions = {
  executionProviders: ["webgpu", { name: "wasm" }],
  graphOptimizationLevel: "all",
  externalData: [{ path: "weights.bin", data: new Uint8Array(4) }, "more.bin"],
  freeDimensionOverrides: { batch: 1 },
  logSeverityLevel: 3,
  preferredOutputLocation: { y: "cpu" },
};

export async function main(image: HTMLImageElement): Promise<number> {
  const session: ort.InferenceSession = await ort.InferenceSession.create("/model.onnx", options);
  const second = await InferenceSession.create(new ArrayBuffer(8), 0, 4, options);
  const x: TypedTensor<"float32"> = new ort.Tensor("float32", new Float32Array(4), [1, 4]);
  const ids: ort.TypedTensor<"int64"> = new ort.Tensor("int64", [1n, 2n], [1, 2]);
  const flags: ort.TypedTensor<"bool"> = new Tensor([true, false]);
  const picture = await Tensor.fromImage(image, { norm: { mean: 255 } });
  const feeds: ort.InferenceSession.FeedsType = { x, ids, flags, picture };
  const results: InferenceSession.ReturnType = await session.run(feeds, ["y"], { tag: "first" });
  const y = results["y"];
  if (!y || y.type !== "float32") throw new Error("no y");
  const data: Tensor.DataType = await y.getData();
  const first: InferenceSession.ValueMetadata | undefined = session.inputMetadata[0];
  const shape = first?.isTensor ? first.shape : [];
  await session.release();
  await second.release();
  return data.length + shape.length + x.reshape([4]).dims.length + ids.data.length;
}
