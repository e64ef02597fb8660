// Where the benchmark finds what it measures and keeps what it prepares.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cache, places as shared, repository } from "../scripts/places.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));

export const places = {
  here,
  repository,
  cache,
  models: shared.models,
  wasm: shared.wasm,
  cases: join(repository, "tests/models"),
  packages: join(here, "node_modules"),
  results: join(here, "results"),
  venv: join(cache, "bench-venv"),
  prepared: join(cache, "bench"),
};

/** The models that are measured; all forms of one have the same float32 weights. */
export const models = {
  squeezenet: { title: "SqueezeNet 1.1", onnx: "squeezenet1.1.onnx", case: "squeezenet1.1/coffee" },
  efficientnet: { title: "EfficientNet-Lite0", onnx: "efficientnet-lite0-folded.onnx", case: "efficientnet-lite0-folded/coffee" },
};
