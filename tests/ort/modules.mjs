// The two that are compared, in Node: onnxruntime-web, and firebrand/ort from the packed tarball.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as theirs from "onnxruntime-web";
import { installed } from "../web/places.mjs";

/** The tarball's folder. */
export const folder = join(installed(), "node_modules/firebrand");
const ours = await import(pathToFileURL(join(folder, "dist/ort.js")).href);
const { FirebrandError } = await import(pathToFileURL(join(folder, "dist/index.js")).href);

// One worker of theirs is enough for models of a few numbers, and none keeps the process alive.
theirs.env.wasm.numThreads = 1;

export { FirebrandError, ours, theirs };

/** A tensor in a form that assertions compare and print. */
export function plain(tensor) {
  return { type: tensor.type, dims: [...tensor.dims], size: tensor.size, location: tensor.location, array: tensor.data.constructor.name, data: [...tensor.data] };
}

/** What came of a call: its value, or the error. */
export async function outcomeOf(call) {
  try {
    return { value: await call() };
  } catch (error) {
    return { error };
  }
}
