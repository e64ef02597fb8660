// Prepares what the page loads: inputs and expected outputs, the models in every peer's format, the peers' bundles.
// Everything goes to the cache and is made again only when what it is made from changed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { ModelWriter } from "../scripts/onnx-writer.mjs";
import { readNpy } from "../tests/web/pages/cases.js";
import { models, places } from "./places.mjs";

const npy = async (file) => {
  const bytes = await readFile(file);
  return readNpy(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
};

/** Does `make` into a fresh folder that replaces `folder`, unless that was already made from the same `sources`. */
async function once(folder, sources, make) {
  const hash = createHash("sha256");
  for (const source of sources) hash.update(existsSync(source) ? await readFile(source) : source).update("\0");
  const stamp = hash.digest("hex");
  if ((await readFile(join(folder, "stamp"), "utf8").catch(() => "")) === stamp) return;
  const fresh = `${folder}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await make(fresh);
  await writeFile(join(fresh, "stamp"), stamp);
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
}

/** Input and ONNX Runtime's output of a stored case, as raw float32 in both layouts. */
async function prepareCase({ case: name }, folder) {
  const base = join(places.cases, name);
  const { inputs, outputs } = JSON.parse(await readFile(join(base, "case.json"), "utf8"));
  const [input] = Object.values(inputs);
  const { shape: [height, width], data } = await npy(join(base, input.pixels));
  const nchw = new Float32Array(3 * height * width);
  const nhwc = new Float32Array(3 * height * width);
  const f = Math.fround;
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      const from = input.color === "bgr" ? 2 - channel : channel;
      const value = f(f(data[pixel * 3 + from] - f(input.mean[channel])) * f(input.scale[channel]));
      nchw[channel * height * width + pixel] = value;
      nhwc[pixel * 3 + channel] = value;
    }
  }
  const expected = await npy(join(base, Object.values(outputs)[0].file));
  await writeFile(join(folder, "nchw.f32"), nchw);
  await writeFile(join(folder, "nhwc.f32"), nhwc);
  await writeFile(join(folder, "expected.f32"), expected.data);
  await writeFile(join(folder, "case.json"), JSON.stringify({ input: Object.keys(inputs)[0], output: Object.keys(outputs)[0], height, width }));
}

/** A one-node model: loading it makes a runtime ready that has no call for that alone. */
function identity() {
  const model = new ModelWriter();
  model.node("Identity", "identity", ["x"], {}, "y");
  return model.encode({ name: "identity", description: "", opset: 13, inputs: { x: [1] }, outputs: { y: [1] } });
}

/** Runs a command; the end of what it said becomes the error. */
function must(command, args, what) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: "2", TF_ENABLE_ONEDNN_OPTS: "0" } });
  if (status === 0) return stdout;
  throw new Error(`${what} failed: ${error?.message ?? `${stdout}${stderr}`.trim().split("\n").slice(-3).join(" ")}`);
}

/** A Python with the pinned packages of models/requirements.txt. */
async function python() {
  const requirements = join(places.here, "models/requirements.txt");
  const command = ["python3.11", "python3.12", "python3.10", "python3"].find((name) => {
    const { status, stdout } = spawnSync(name, ["-c", "import sys; print(sys.version_info[:2] in [(3, 10), (3, 11), (3, 12)])"], { encoding: "utf8" });
    return status === 0 && stdout.trim() === "True";
  });
  if (!command) throw new Error("no Python 3.10 to 3.12 here (Debian: apt-get install python3 python3-venv)");
  const interpreter = join(places.venv, "bin/python");
  // A virtual environment cannot be moved, so this one is made in place and its stamp kept apart.
  if (!existsSync(interpreter)) await rm(join(places.prepared, "python"), { recursive: true, force: true });
  await once(join(places.prepared, "python"), [requirements, command], async () => {
    await rm(places.venv, { recursive: true, force: true });
    console.log("install tensorflow-cpu and onnx for the conversion (once, about 1.5 GB)");
    must(command, ["-m", "venv", places.venv], "python3 -m venv (Debian: apt-get install python3-venv)");
    must(join(places.venv, "bin/pip"), ["install", "--quiet", "--disable-pip-version-check", "--requirement", requirements], "pip install");
  });
  return interpreter;
}

const bundled = { "litert.js": "peers/litert.js", "tfjs.js": "peers/tfjs.js" };

/** The peers that come as many modules, each as one minified file, as an application would ship it. */
async function bundlePeers(folder) {
  for (const [file, input] of Object.entries(bundled)) {
    const bundle = await rolldown({ cwd: places.here, input, platform: "browser", logLevel: "silent" });
    await bundle.write({ file: join(folder, file), format: "esm", minify: true, codeSplitting: false });
    await bundle.close();
  }
}

/**
 * Prepares for the models of these names. Answers why the TensorFlow forms are missing, where they
 * could not be made; everything else that goes wrong is an error.
 */
export async function prepare(names) {
  const sources = (...files) => [join(places.here, "prepare.mjs"), ...files];
  for (const name of names) {
    const model = models[name];
    if (!existsSync(join(places.models, model.onnx))) throw new Error(`${join(places.models, model.onnx)} is missing: run "make models" first`);
    await once(join(places.prepared, "cases", name), sources(join(places.cases, model.case, "case.json"), join(places.cases, model.case, "output_0.npy")), (folder) => prepareCase(model, folder));
  }
  await once(join(places.prepared, "tiny"), sources(), (folder) => writeFile(join(folder, "identity.onnx"), identity()));
  await once(join(places.prepared, "bundles"), sources(join(places.here, "package-lock.json"), ...Object.values(bundled).map((file) => join(places.here, file))), bundlePeers);
  try {
    for (const name of names) {
      const onnx = join(places.models, models[name].onnx);
      const script = join(places.here, "models/convert.py");
      await once(join(places.prepared, "converted", name), [script, join(places.here, "models/requirements.txt"), onnx], async (folder) => {
        const command = await python();
        process.stdout.write(must(command, [script, onnx, join(places.prepared, "cases", name, "nchw.f32"), folder], `convert.py ${name}`));
      });
    }
    return undefined;
  } catch (error) {
    return error.message;
  }
}
