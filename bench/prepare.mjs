// Prepares what the page loads: the models in every peer's format with their cases, the peers' bundles and binaries.
// Everything goes to the cache and is made again only when what it is made from changed.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { ModelWriter } from "../scripts/onnx-writer.mjs";
import { peers } from "./peers.mjs";
import { places } from "./places.mjs";
import { buildPeer } from "./wasm.mjs";

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

const filesIn = async (folder, ending) => (await readdir(folder, { recursive: true })).filter((file) => file.endsWith(ending)).sort().map((file) => join(folder, file));

/** A one-node model: loading it makes a runtime ready that has no call for that alone. */
function identity() {
  const model = new ModelWriter();
  model.node("Identity", "identity", ["x"], {}, "y");
  return model.encode({ name: "identity", description: "", opset: 13, inputs: { x: [1] }, outputs: { y: [1] } });
}

/** Runs a command; the end of what it said becomes the error. */
function must(command, args, what) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: "2", TF_ENABLE_ONEDNN_OPTS: "0" } });
    let stdout = "";
    let all = "";
    child.stdout.on("data", (text) => (stdout += text));
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (all += text));
    child.on("error", (error) => reject(new Error(`${what} failed: ${error.message}`)));
    child.on("close", (code) => (code === 0 ? resolve(stdout) : reject(new Error(`${what} failed: ${all.trim().split("\n").slice(-3).join(" ")}`))));
  });
}

/** A Python with the pinned packages of models/requirements.txt. */
export async function python() {
  const requirements = join(places.here, "models/requirements.txt");
  const command = ["python3.11", "python3.12", "python3"].find((name) => {
    const { status, stdout } = spawnSync(name, ["-c", "import sys; print(sys.version_info[:2] in [(3, 11), (3, 12)])"], { encoding: "utf8" });
    return status === 0 && stdout.trim() === "True";
  });
  if (!command) throw new Error("the models are made with Python 3.11 or 3.12, and there is none here (Debian: apt-get install python3 python3-venv)");
  const interpreter = join(places.venv, "bin/python");
  // A virtual environment cannot be moved, so this one is made in place and its stamp kept apart.
  if (!existsSync(interpreter)) await rm(join(places.prepared, "python"), { recursive: true, force: true });
  await once(join(places.prepared, "python"), [requirements, command], async () => {
    await rm(places.venv, { recursive: true, force: true });
    console.error("install tensorflow-cpu, onnx and onnxruntime (once, about 1.5 GB)");
    await must(command, ["-m", "venv", places.venv], "python3 -m venv (Debian: apt-get install python3-venv)");
    await must(join(places.venv, "bin/pip"), ["install", "--quiet", "--disable-pip-version-check", "--requirement", requirements], "pip install");
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

/** Makes every form of these models, with its case. */
export async function prepareModels(names) {
  const scripts = await filesIn(join(places.here, "models"), ".py");
  const sources = [...scripts, join(places.here, "models/requirements.txt"), join(places.repository, "scripts/models.lock.json"), ...(await filesIn(places.cases, "case.json"))];
  for (const name of names) {
    await once(join(places.models, name), [...sources, name], async (folder) => {
      console.error(`make ${name} in every format`);
      process.stderr.write(await must(await python(), [join(places.here, "models/make.py"), name, places.cache, places.repository, folder], `make.py ${name}`));
    });
  }
}

/** Prepares for these models and peers. Answers which peers could not be built, as a Map from name to reason. */
export async function prepare(names, peerNames) {
  await prepareModels(names);
  const here = join(places.here, "prepare.mjs");
  await once(join(places.prepared, "tiny"), [here], (folder) => writeFile(join(folder, "identity.onnx"), identity()));
  await once(join(places.prepared, "bundles"), [here, join(places.here, "package-lock.json"), ...Object.values(bundled).map((file) => join(places.here, file))], bundlePeers);
  const unbuilt = new Map();
  for (const peer of peerNames) {
    const { crate } = peers[peer];
    if (!crate) continue;
    const wasm = join(places.here, "wasm");
    const sources = [join(places.here, "wasm.mjs"), join(wasm, "Cargo.toml"), join(wasm, "Cargo.lock"), join(wasm, crate, "Cargo.toml"), ...(await filesIn(join(wasm, crate, "src"), ".rs"))];
    await once(join(places.prepared, crate), sources, (folder) => buildPeer(crate, folder)).catch(({ message }) => unbuilt.set(peer, message));
  }
  return unbuilt;
}
