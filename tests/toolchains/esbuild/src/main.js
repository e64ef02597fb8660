import { FirebrandError, Tensor, load } from "firebrand";
import { classifier } from "../classify.js";

globalThis.classify = classifier({ FirebrandError, Tensor, load });

globalThis.convert = async (model, options) => {
  const { convert } = await import("firebrand/convert");
  return [...(await convert(new Uint8Array(model), { name: "model.onnx", ...options })).model];
};
