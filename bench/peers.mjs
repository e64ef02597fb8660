// Who is measured, with what, and where its files are served from.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { installed } from "../tests/web/places.mjs";
import { places } from "./places.mjs";

const version = (name) => JSON.parse(readFileSync(join(places.packages, name, "package.json"), "utf8")).version;

export const peers = {
  firebrand: {
    title: "Firebrand",
    adapter: "/peers/firebrand.js",
    devices: ["cpu", "webgpu"],
    note: "in a worker, its default",
    version: () => JSON.parse(readFileSync(join(places.repository, "pkg/package.json"), "utf8")).version,
    mounts: () => ({ "/firebrand/": join(installed(), "node_modules/firebrand/dist") }),
  },
  ort: {
    title: "onnxruntime-web",
    adapter: "/peers/ort.js",
    devices: ["cpu", "webgpu"],
    note: "on the page (`wasm.proxy` is off by default), SIMD, `ort.wasm` or `ort.webgpu` build; its runtime time includes a one-node model",
    version: () => version("onnxruntime-web"),
    mounts: () => ({ "/ort/": join(places.packages, "onnxruntime-web/dist") }),
  },
  litert: {
    title: "LiteRT.js",
    adapter: "/prepared/bundles/litert.js",
    devices: ["cpu", "webgpu"],
    needsConversion: true,
    note: "on the page, relaxed SIMD, float32 also on WebGPU",
    version: () => version("@litertjs/core"),
    mounts: () => ({ "/litert/wasm/": join(places.packages, "@litertjs/core/wasm") }),
  },
  tfjs: {
    title: "TensorFlow.js wasm",
    adapter: "/prepared/bundles/tfjs.js",
    devices: ["cpu"],
    needsConversion: true,
    note: "on the page, SIMD, graph model with fused convolutions",
    version: () => version("@tensorflow/tfjs-backend-wasm"),
    mounts: () => ({ "/tfjs-wasm/": join(places.packages, "@tensorflow/tfjs-backend-wasm/dist") }),
  },
};
