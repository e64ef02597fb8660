// Who is measured, with what, and where its files are served from.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { installed } from "../tests/web/places.mjs";
import { models, places } from "./places.mjs";

const version = (name) => JSON.parse(readFileSync(join(places.packages, name, "package.json"), "utf8")).version;
const crateVersion = (folder, crate) => readFileSync(join(places.here, "wasm", folder, "Cargo.toml"), "utf8").match(new RegExp(`^${crate} = .*"=([^"]+)"`, "m"))[1];

const onnx = (_, precision) => ({ file: `${precision}.onnx`, expected: precision });

/** The form for TensorFlow's runtimes, of the models that have one. */
const tensorflow = (form) => (model, precision) => {
  if (models[model].onnxOnly) throw new Error("it is published as an ONNX model only");
  return form(precision);
};

const firebrand = {
  adapter: "/peers/firebrand.js",
  form: onnx,
  version: () => JSON.parse(readFileSync(join(places.repository, "pkg/package.json"), "utf8")).version,
  mounts: () => ({ "/firebrand/": join(installed(), "node_modules/firebrand/dist") }),
};

/**
 * `form(model, precision)`: the file that a peer loads and the name of the answer that is expected of it, or an error
 * that says why there is none. `layout` "nhwc": it takes pictures with their channels last. `int32`: it has no int64.
 * `options`: what its adapter starts with, beside the device. `isVariant`: Firebrand again, to show what another way of
 * starting it costs; no limit counts it, nor does any comparison with a peer.
 */
export const peers = {
  firebrand: {
    ...firebrand,
    title: "Firebrand",
    devices: ["cpu", "webgpu"],
    note: "in a worker, its default, with one thread",
    options: { threads: 1 },
  },
  ort: {
    title: "onnxruntime-web",
    adapter: "/peers/ort.js",
    devices: ["cpu", "webgpu"],
    note: "on the page (`wasm.proxy` is off by default), SIMD, `ort.wasm` or `ort.webgpu` build; its runtime time includes a one-node model",
    form: onnx,
    version: () => version("onnxruntime-web"),
    mounts: () => ({ "/ort/": join(places.packages, "onnxruntime-web/dist") }),
  },
  litert: {
    title: "LiteRT.js",
    adapter: "/prepared/bundles/litert.js",
    devices: ["cpu", "webgpu"],
    note: "on the page, relaxed SIMD, float32 also on WebGPU; int8 as TensorFlow's converter quantises",
    layout: "nhwc",
    int32: true,
    form: tensorflow((precision) => ({ file: `${precision}.tflite`, expected: precision === "int8" ? "int8.tflite" : precision })),
    version: () => version("@litertjs/core"),
    mounts: () => ({ "/litert/wasm/": join(places.packages, "@litertjs/core/wasm") }),
  },
  tfjs: {
    title: "TensorFlow.js wasm",
    adapter: "/prepared/bundles/tfjs.js",
    devices: ["cpu"],
    note: "on the page, SIMD, graph model with fused convolutions",
    layout: "nhwc",
    int32: true,
    form: tensorflow((precision) => {
      if (precision !== "f32") throw new Error("it computes in float32 only");
      return { file: "tfjs/model.json", expected: "f32" };
    }),
    version: () => version("@tensorflow/tfjs-backend-wasm"),
    mounts: () => ({ "/tfjs-wasm/": join(places.packages, "@tensorflow/tfjs-backend-wasm/dist") }),
  },
  rten: {
    title: "rten",
    adapter: "/peers/rten.js",
    devices: ["cpu"],
    note: "on the page, its crate built with relaxed SIMD; it computes QDQ graphs in float32, which here is quicker than the integer convolutions it has",
    int32: true,
    crate: "rten",
    form: onnx,
    version: () => crateVersion("rten", "rten"),
    mounts: () => ({ "/rten/": join(places.prepared, "rten") }),
  },
  flex: {
    title: "burn-flex, convolutions alone",
    adapter: "/peers/flex.js",
    devices: ["cpu"],
    note: "the convolutions of a network one after the other, on the page, SIMD; nothing else of the network, so it is quicker than a whole one would be",
    crate: "flex",
    form: (model, precision) => {
      if (precision !== "f32") throw new Error("it has no int8 arithmetic");
      if (!["mobilenetv2", "resnet18"].includes(model)) throw new Error("it is measured on the convolutions of MobileNetV2 and ResNet-18");
      return { file: "convolutions.json" };
    },
    version: () => crateVersion("flex", "burn-flex"),
    mounts: () => ({ "/flex/": join(places.prepared, "flex") }),
  },
  "firebrand-page": {
    ...firebrand,
    title: "Firebrand, on the page as the others",
    devices: ["cpu"],
    isVariant: true,
    options: { threads: 1, worker: false },
  },
  "firebrand-threads": {
    ...firebrand,
    title: "Firebrand, 2 threads",
    devices: ["cpu"],
    isVariant: true,
    options: { threads: 2 },
  },
};
