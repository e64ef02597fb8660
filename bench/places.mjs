// Where the benchmark finds what it measures and keeps what it prepares.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cache, places as shared, repository } from "../scripts/places.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));

export const places = {
  here,
  repository,
  cache,
  tools: shared.tools,
  wasm: shared.wasm,
  target: shared.target,
  targetPeers: join(cache, "target-peers"),
  cases: join(repository, "tests/models"),
  packages: join(here, "node_modules"),
  results: join(here, "results"),
  venv: join(cache, "bench-venv"),
  prepared: join(cache, "bench"),
  models: join(cache, "bench/models"),
};

/** The models that are measured; all forms of one come from the same weights. `gpu`: on WebGPU too. */
export const models = {
  mobilenetv2: { title: "MobileNetV2", precisions: ["f32", "int8"] },
  resnet18: { title: "ResNet-18", precisions: ["f32", "int8"] },
  squeezenet: { title: "SqueezeNet 1.1", precisions: ["f32", "int8"], gpu: true },
  efficientnet: { title: "EfficientNet-Lite0", precisions: ["f32", "int8"], gpu: true },
  minilm: { title: "MiniLM-L6", precisions: ["f32", "int8"] },
  silero: { title: "Silero VAD", precisions: ["f32"], onnxOnly: true },
  mnist: { title: "MNIST CNN", precisions: ["f32", "int8"] },
};

export const precisions = { f32: "float32", int8: "int8" };
