// Where a session runs, by the providers that are asked for.
import { InferenceSession, Tensor } from "onnxruntime-web";

async function main() {
  const outcomes = {};
  for (const providers of [undefined, ["wasm"], ["webgpu"], ["webgpu", "wasm"], ["webnn", "cpu"], ["webnn"]]) {
    try {
      const session = await InferenceSession.create("./models/add.onnx", providers && { executionProviders: providers });
      const { sum } = await session.run({ pixels: new Tensor("float32", [10, 20, 30], [1, 3]) });
      outcomes[providers?.join() ?? ""] = [...sum.data];
      await session.release();
    } catch (error) {
      outcomes[providers.join()] = error.message;
    }
  }
  return outcomes;
}

globalThis.outcome = main();
