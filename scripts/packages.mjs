// Builds the packages that the page and the tests of firebrand/tasks use, one for each folder of www/models.
//   node scripts/packages.mjs [NAME…]
// The program is FIREBRAND_CLI where that is set, else the npm package's. What is up to date is left alone.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { cache, places, repository } from "./places.mjs";

/** What lies beside each firebrand.toml when it is built, from the cache or the repository. */
const inputs = {
  "face-detection": [join(places.models, "blazeface-front.onnx")],
  "file-typing": [join(places.models, "magika.onnx"), join(places.data, "magika-config.json"), join(places.data, "magika-content-types.json")],
  "image-classification": [join(places.models, "efficientnet-lite0-int8.onnx"), join(places.data, "imagenet-labels.json")],
  "image-segmentation": [join(places.models, "selfie-segmentation.tflite")],
  "note-transcription": [join(places.models, "basic-pitch.onnx")],
  "tabular-classification": [join(repository, "train/breast-cancer/breast-cancer.onnx"), join(repository, "train/breast-cancer/classes.json")],
  "text-embedding": [join(places.models, "minilm.safetensors"), join(places.models, "minilm/tokenizer.json")],
  "voice-activity-detection": [join(places.models, "silero-vad.onnx"), join(repository, "www/models/voice-activity-detection/samples.npz")],
};

function program() {
  const native = process.env.FIREBRAND_CLI && resolve(process.env.FIREBRAND_CLI);
  if (native) return { command: native, args: [], parts: [native] };
  const dist = join(repository, "pkg/dist");
  const cli = join(dist, "cli.js");
  return { command: process.execPath, args: [cli], parts: [cli, join(dist, "wasm/convert/firebrand_bg.wasm")] };
}

async function read(file) {
  try {
    return await readFile(file);
  } catch (error) {
    const models = file.startsWith(cache);
    throw new Error(`${file} is missing: run "${models ? "node scripts/models.mjs all minilm" : "make pkg"}" first`, { cause: error });
  }
}

async function build(name, { command, args, parts }) {
  const config = join(repository, "www/models", name, "firebrand.toml");
  const hash = createHash("sha256");
  for (const file of [...parts, config, ...inputs[name]]) hash.update(createHash("sha256").update(await read(file)).digest());
  const stamp = `${hash.digest("hex")}\n`;
  const target = join(places.packages, name);
  if ((await readFile(join(target, ".source"), "utf8").catch(() => "")) === stamp) return;
  await mkdir(places.packages, { recursive: true });
  const draft = await mkdtemp(join(places.packages, `.${name}-`));
  try {
    for (const file of [config, ...inputs[name]]) await copyFile(file, join(draft, basename(file)));
    execFileSync(command, [...args, "build", "-o", "package", "--no-report", "--quiet"], { cwd: draft, stdio: ["ignore", "ignore", "inherit"] });
    await writeFile(join(draft, "package/.source"), stamp);
    await rm(target, { recursive: true, force: true });
    await rename(join(draft, "package"), target);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  const { sizes } = JSON.parse(await readFile(join(target, "manifest.json"), "utf8"));
  console.log(`ready ${target} (${(sizes.raw / 1e6).toFixed(2)} MB)`);
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(inputs);
const unknown = names.filter((name) => !Object.hasOwn(inputs, name));
if (unknown.length > 0) {
  console.error(`no such package: ${unknown.join(", ")}; there are ${Object.keys(inputs).join(", ")}`);
  process.exit(2);
}
try {
  const tool = program();
  for (const name of names) await build(name, tool);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
