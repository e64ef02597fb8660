import { FirebrandError, Tensor, load } from "firebrand";
import { classifier } from "../classify.js";

globalThis.classify = classifier({ FirebrandError, Tensor, load });

globalThis.convert = async (model, options) => {
  const { convert } = await import("firebrand/convert");
  return [...(await convert(new Uint8Array(model), { name: "model.onnx", ...options })).model];
};

globalThis.classifyInWorker = (...call) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./own-worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(call);
  });
