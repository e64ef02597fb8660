/**
 * The runtimes, each started as its own documentation says, with one thread on the CPU. TensorFlow.js and onnxruntime-web are
 * files of this site beside the page's own code.
 */
import type { Open, Runner, RuntimeName } from "./messages";

export const start: Record<RuntimeName, (options: Open) => Promise<Runner>> = {
  async firebrand({ model, input, shape }) {
    const { load, Tensor } = await import("firebrand");
    // This is a worker already, as the others have one.
    const session = await load(model, { device: "cpu", threads: 1, worker: false, cache: "none" });
    const [takes] = session.inputs;
    const [gives] = session.outputs;
    if (!takes || !gives) throw new Error("the model has no input or no output");
    return {
      about: session.info.simd === "relaxed" ? "relaxed SIMD" : "SIMD",
      async run() {
        const result = (await session.run({ [takes.name]: new Tensor("float32", input, shape) }))[gives.name];
        return floats(result && "data" in result ? result.data : undefined);
      },
    };
  },

  async ort({ files, model, input, shape }) {
    const ort: typeof import("onnxruntime-web") = await import(/* @vite-ignore */ `${files}ort/ort.wasm.min.mjs`);
    ort.env.wasm.wasmPaths = `${files}ort/`;
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
    const [takes = ""] = session.inputNames;
    const [gives = ""] = session.outputNames;
    return {
      about: "SIMD",
      async run() {
        const result = await session.run({ [takes]: new ort.Tensor("float32", input, shape) });
        return floats(await result[gives]?.getData());
      },
    };
  },

  async tfjs({ files, model, input, shape }) {
    const tf: typeof import("@tensorflow/tfjs-core") & typeof import("@tensorflow/tfjs-converter") & typeof import("@tensorflow/tfjs-backend-wasm") = await import(
      /* @vite-ignore */ `${files}tfjs/tfjs.mjs`
    );
    tf.setWasmPaths(`${files}tfjs/`);
    // The threaded binary is taken wherever threads are allowed; one thread wants the plain one.
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
    tf.setThreadsCount(1);
    await tf.setBackend("wasm");
    await tf.ready();
    const graph = await tf.loadGraphModel(model);
    return {
      about: "SIMD",
      async run() {
        const given = tf.tensor(input, [...shape]);
        const answers = graph.execute(given);
        const answer = Array.isArray(answers) ? answers[0] : answers;
        if (!answer) throw new Error("the model gave no tensor");
        const data = floats(await answer.data());
        answer.dispose();
        given.dispose();
        return data;
      },
    };
  },
};

/** A copy, since some runtimes show their own memory. */
function floats(data: unknown): Float32Array {
  if (!(data instanceof Float32Array)) throw new Error("the answer is no float32 tensor");
  return data.slice();
}
