// Packages of every precision and from every kind of format are ONNX for others too: ONNX's checker takes them, and
// ONNX Runtime gives our answer. Needs the native program, which the Rust tests build.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run } from "../command.mjs";
import { cache, places, repository } from "../places.mjs";

const program = join(places.target, "debug/firebrand");
const python = join(places.onnxruntime, "bin/python");
const models = join(cache, "models");
const photos = ["--data", join(cache, "data/photos")];
const squeezenet = [...photos, "--image-color", "bgr", "--image-mean", "103.939,116.779,123.68", "--image-scale", "1"];
const digits = ["--data", join(cache, "data/mnist-digits.npy"), "--labels", join(cache, "data/mnist-labels.npy")];
const mnist = join(repository, "train/mnist/mnist-cnn.onnx");
/** Of random numbers, which is what is given here, few bits need not keep much. */
const lenient = ["--min-agreement", "0"];

/** What is built: model, options, and how far ONNX Runtime's answer may be off, as a part of the largest. */
const packages = {
  "Keras .hdf5": [join(models, "emotion_model.hdf5"), [], 1e-5],
  "TFLite": [join(models, "hand-landmark-lite.tflite"), [], 1e-4],
  "TensorFlow.js layers": [join(models, "esrgan-slim/model.json"), [], 1e-4],
  "PyTorch weights in float16": [join(models, "efficientnet-lite0.pth"), ["--arch", "efficientnet-lite0", "--quantize", "float16", ...lenient], 1e-4],
  "weights alone in int8": [join(models, "squeezenet1.1.onnx"), ["--quantize", "weight-only", ...squeezenet], 1e-4],
  "SqueezeNet in int8": [join(models, "squeezenet1.1.onnx"), ["--quantize", "int8", "--calibration-method", "minmax", ...squeezenet], 5e-2],
  "digits, pruned, in int8": [mnist, ["--quantize", "int8", "--prune", "80%", "--max-drop", "5%", "--calibration-method", "minmax", ...digits], 5e-2],
  "channels removed": [join(models, "squeezenet1.1.onnx"), ["--prune-channels", "50%", ...lenient], 1e-4],
  "dynamic": [join(models, "magika.onnx"), ["--quantize", "dynamic", ...lenient], 5e-2],
  // Its normalisation makes 3e-3 of what float32 rounds, with float32 weights too.
  "4-bit blocks": [join(models, "magika.onnx"), ["--quantize", "int4", ...lenient], 1e-2],
};

let folder;
before(async () => { folder = await mkdtemp(join(tmpdir(), "firebrand-packages-")); });
after(() => rm(folder, { recursive: true, force: true }));

for (const [name, [model, options, tolerance]] of Object.entries(packages)) {
  test(`ONNX Runtime gives our answer: ${name}`, async () => {
    const output = join(folder, name.replaceAll(/\W+/g, "-"));
    const built = await run(program, ["build", model, "-o", output, "--no-report", "--quiet", ...options]);
    assert.equal(built.code, 0, built.output);
    const verified = await run(program, ["verify", output]);
    assert.equal(verified.code, 0, verified.output);
    const checked = await run(python, [join(import.meta.dirname, "check.py"), program, output, String(tolerance)]);
    assert.equal(checked.code, 0, checked.output);
  });
}
