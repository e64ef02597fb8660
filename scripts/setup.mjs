// Installs what the Makefile's targets need, once; says one line for each thing it does.
//   node scripts/setup.mjs WHAT…      rust | lints | wasm | bindgen | nextest | fuzz | chromium | onnxruntime | npm:FOLDER | toolchain:NAME | models:NAME
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { answer, fetchFailure, run, toolEnvironment } from "./command.mjs";
import { installationOf } from "../tests/toolchains/installation.mjs";
import { places, repository } from "./places.mjs";

const minimumRust = [1, 95];
const nextestVersion = "0.9.143";
const fuzzVersion = "0.13.2";
const say = (text) => console.log(text);

async function cargoVersionOf(crate) {
  const manifest = await readFile(join(repository, "Cargo.toml"), "utf8");
  const [, version] = manifest.match(new RegExp(`^${crate} = (?:\\{[^}]*version = )?"=([^"]+)"`, "m")) ?? [];
  if (!version) throw new Error(`Cargo.toml pins no version of ${crate} (expected ${crate} = "=x.y.z")`);
  return version;
}

async function apt(packages, why) {
  const root = process.getuid() === 0;
  if (!answer("sh", ["-c", "command -v apt-get"])) throw new Error(`${why}: install ${packages.join(", ")} (or their like) and run again`);
  if (!root && !answer("sh", ["-c", "command -v sudo"])) throw new Error(`${why}: as root, run: apt-get install ${packages.join(" ")}`);
  say(`install ${packages.join(", ")} (apt): ${why}`);
  const aptGet = (...args) => {
    const command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", ...args];
    return root ? run(command[0], command.slice(1)) : run("sudo", command);
  };
  let result = await aptGet("install", "-y", "--no-install-recommends", ...packages);
  if (result.code !== 0) {
    await aptGet("update");
    result = await aptGet("install", "-y", "--no-install-recommends", ...packages);
  }
  if (result.code !== 0) throw fetchFailure(packages.join(", "), result.output);
}

async function rust() {
  if (!answer("cc", ["--version"])) await apt(["build-essential"], "Rust needs a C linker");
  const version = answer("rustc", ["--version"]);
  if (!version) throw new Error("Rust is missing: install it from https://rustup.rs and run again");
  const [major, minor] = version.match(/(\d+)\.(\d+)/).slice(1).map(Number);
  if (major < minimumRust[0] || (major === minimumRust[0] && minor < minimumRust[1])) {
    throw new Error(`expected Rust ${minimumRust.join(".")} or later, got ${version}: run "rustup update stable"`);
  }
  return version.split(" ").slice(0, 2).join(" ");
}

async function lints() {
  const missing = ["clippy", "fmt"].filter((tool) => !answer("cargo", [tool, "--version"]));
  if (missing.length === 0) return "clippy, rustfmt";
  say("install clippy and rustfmt (rustup)");
  const added = await run("rustup", ["component", "add", "clippy", "rustfmt"]).catch((error) => ({ code: 1, output: error.message }));
  if (added.code !== 0) throw fetchFailure("clippy and rustfmt", added.output);
  return "clippy, rustfmt";
}

const hasWasmStd = () => {
  const sysroot = answer("rustc", ["--print", "sysroot"]);
  return sysroot && existsSync(join(sysroot, "lib/rustlib/wasm32-unknown-unknown/lib"));
};

const packagePath = (name, ending) => answer("dpkg", ["-L", name])?.split("\n").find((path) => path.endsWith(ending));

/**
 * Which compiler makes wasm here, in the cache: { kind, version, cargo, args, env, path? }, where `path` goes first on
 * PATH; `fromSource` is the same for builds whose standard library has atomics, which none comes compiled with.
 */
async function wasm() {
  await rust();
  const file = join(places.tools, "wasm-toolchain.json");
  await mkdir(dirname(file), { recursive: true });
  const before = await readFile(file, "utf8").then(JSON.parse, () => undefined);
  const fromSource = (await rustSource()) ?? (await debianSource(before?.fromSource));
  let toolchain = fromSource;
  if (!hasWasmStd() && answer("rustup", ["--version"])) {
    say("install the wasm32-unknown-unknown target (rustup)");
    const added = await run("rustup", ["target", "add", "wasm32-unknown-unknown"]);
    if (added.code !== 0) say("  rustup cannot fetch it here; going on with std built from source");
  }
  if (hasWasmStd()) toolchain = { kind: "installed target", version: answer("rustc", ["--version"]), cargo: "cargo", args: [], env: {} };
  await writeFile(file, `${JSON.stringify({ ...toolchain, fromSource }, null, 2)}\n`);
  return `wasm32 (${toolchain.kind}, ${toolchain.version})`;
}

const buildStd = ["-Z", "build-std=std,panic_abort"];

/** This Rust with its standard library from source, where rustup has that. */
async function rustSource() {
  const source = () => existsSync(join(answer("rustc", ["--print", "sysroot"]), "lib/rustlib/src/rust/library/Cargo.lock"));
  if (!source() && answer("rustup", ["--version"])) {
    say("install the standard library's source (rustup)");
    const added = await run("rustup", ["component", "add", "rust-src"]);
    if (added.code !== 0) say("  rustup cannot fetch it here; going on with Debian's compiler");
  }
  if (!source()) return undefined;
  return { kind: "std from source", version: answer("rustc", ["--version"]), cargo: "cargo", args: buildStd, env: { RUSTC_BOOTSTRAP: "1" } };
}

/** Debian's compiler, with its standard library from source. */
async function debianSource(before) {
  if (before?.env.RUSTC && answer(before.env.RUSTC, ["--version"]) === before.version && existsSync(before.env.CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER)) return before;
  const debian = ["rustc-web", "cargo-web", "rust-web-src"];
  if (!debian.every((name) => answer("dpkg-query", ["-W", "-f", "${Status}", name])?.endsWith(" installed"))) {
    await apt(debian, "this Rust has no standard library for wasm32");
  }
  const rustc = packagePath("rustc-web", "bin/rustc");
  const cargo = packagePath("cargo-web", "bin/cargo");
  const sysroot = answer("rustc", ["--print", "sysroot"]);
  const host = answer("rustc", ["-vV"])?.match(/^host: (.*)$/m)?.[1];
  let linker = join(sysroot, "lib/rustlib", host, "bin/rust-lld");
  if (!existsSync(linker)) {
    if (!existsSync("/usr/bin/wasm-ld-19")) await apt(["lld-19"], "linking WebAssembly");
    linker = "/usr/bin/wasm-ld-19";
  }
  return {
    kind: "Debian, std from source",
    version: answer(rustc, ["--version"]),
    cargo,
    args: buildStd,
    env: {
      RUSTC: rustc,
      RUSTC_BOOTSTRAP: "1",
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: linker,
    },
    path: dirname(rustc),
  };
}

async function cargoInstall(crate, version, binary, minutes) {
  say(`build ${crate} ${version} (cargo install, about ${minutes} minutes, once)`);
  const install = (...flags) => run("cargo", ["install", crate, "--version", version, "--root", places.tools, "--bin", binary, ...flags], {
    env: toolEnvironment({ CARGO_TARGET_DIR: places.toolsTarget }),
    show: process.stderr.isTTY,
  });
  let result = await install("--locked");
  if (result.code !== 0 && !/error: could not compile/.test(result.output)) {
    say(`  a version in ${crate}'s lock file cannot be had here; choosing newer ones`);
    result = await install();
  }
  if (result.code !== 0) throw fetchFailure(`${crate} ${version}`, result.output);
}

async function bindgen() {
  const version = await cargoVersionOf("wasm-bindgen");
  const have = () => answer("wasm-bindgen", ["--version"]) === `wasm-bindgen ${version}`;
  if (!have()) await cargoInstall("wasm-bindgen-cli", version, "wasm-bindgen", 4);
  if (!have()) throw new Error(`wasm-bindgen: expected ${version}, got ${answer("wasm-bindgen", ["--version"])}: remove ${join(places.tools, "bin")} and run again`);
  return `wasm-bindgen ${version}`;
}

async function nextest() {
  if (!answer("cargo", ["nextest", "--version"])) await cargoInstall("cargo-nextest", nextestVersion, "cargo-nextest", 8);
  return answer("cargo", ["nextest", "--version"]).split("\n")[0].replace(/ \(.*/, "");
}

async function fuzz() {
  const have = () => answer("cargo", ["fuzz", "--version"])?.split("\n")[0];
  if (have() !== `cargo-fuzz ${fuzzVersion}`) await cargoInstall("cargo-fuzz", fuzzVersion, "cargo-fuzz", 2);
  if (!answer("c++", ["--version"])) await apt(["g++"], "libFuzzer is C++");
  return have();
}

const chromiums = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The Chromium that tests and measurements use, or undefined. */
export function findChromium() {
  const paths = [process.env.CHROME_PATH, ...chromiums.map((name) => answer("sh", ["-c", `command -v ${name}`]))];
  return paths.find((path) => path && existsSync(path));
}

async function chromium() {
  if (process.env.CHROME_PATH && !existsSync(process.env.CHROME_PATH)) throw new Error(`CHROME_PATH is ${process.env.CHROME_PATH}, where there is no file`);
  if (!findChromium()) await apt(["chromium"], "the tests run in a real browser");
  const path = findChromium();
  if (!path) throw new Error("Chromium is missing: install it or set CHROME_PATH");
  return answer(path, ["--version"])?.replace(/ built on.*/, "") ?? path;
}

/** A virtual environment with ONNX's checker and ONNX Runtime. */
async function onnxruntime() {
  const file = join(repository, "scripts/onnxruntime/requirements.txt");
  const wanted = await readFile(file, "utf8");
  const stamp = join(places.onnxruntime, "requirements.txt");
  if ((await readFile(stamp, "utf8").catch(() => "")) === wanted) return "onnxruntime";
  if (!answer("python3", ["-c", "import venv, ensurepip"])) await apt(["python3", "python3-venv"], "packages are checked with ONNX Runtime, from Python");
  say("install onnx and onnxruntime (PyPI), which packages are checked with");
  await rm(places.onnxruntime, { recursive: true, force: true });
  const made = await run("python3", ["-m", "venv", places.onnxruntime]);
  if (made.code !== 0) throw new Error(`python3 -m venv failed:\n${made.output}`);
  const installed = await run(join(places.onnxruntime, "bin/pip"), ["install", "--quiet", "--disable-pip-version-check", "--requirement", file]);
  if (installed.code !== 0) throw fetchFailure("onnx and onnxruntime", installed.output);
  await writeFile(stamp, wanted);
  return "onnxruntime";
}

/** Whether node_modules holds what the lock file asks for; npm keeps its own record of what it installed. */
async function npmIsInstalled(folder) {
  const read = (file) => readFile(file, "utf8").then(JSON.parse, () => undefined);
  const lock = await read(join(folder, "package-lock.json"));
  const have = await read(join(folder, "node_modules/.package-lock.json"));
  if (!lock || !have) return false;
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (!path.includes("node_modules/")) return true;
    const got = have.packages[path];
    if (!got) return Boolean(wanted.optional);
    return got.version === wanted.version && got.integrity === wanted.integrity && existsSync(join(folder, path));
  });
}

async function npm(folder) {
  const path = join(repository, folder);
  if (!existsSync(join(path, "package-lock.json"))) throw new Error(`${folder}/package-lock.json is missing: it belongs to the repository`);
  if (await npmIsInstalled(path)) return `${folder}/node_modules`;
  say(`install the npm packages of ${folder}/`);
  const result = await run("npm", ["ci", "--prefer-offline", "--no-audit", "--no-fund"], { cwd: path });
  if (result.code !== 0) throw fetchFailure(`npm packages of ${folder}/`, result.output);
  return `${folder}/node_modules`;
}

/** What a project of tests/toolchains depends on; several names with commas between them. */
async function toolchain(names) {
  for (const name of names.split(",")) {
    const folder = installationOf(name);
    if (await npmIsInstalled(folder)) continue;
    say(`install the npm packages of tests/toolchains/${name}`);
    // Aside first: what is interrupted must not look whole.
    const aside = `${folder}.${process.pid}`;
    await mkdir(aside, { recursive: true });
    for (const file of ["package.json", "package-lock.json"]) await copyFile(join(repository, "tests/toolchains", name, file), join(aside, file));
    const install = (...flags) => run("npm", ["ci", "--no-audit", "--no-fund", ...flags], { cwd: aside });
    let result = await install("--prefer-offline");
    // What npm remembers of the registry may be older than the lock file.
    if (result.code !== 0) result = await install();
    if (result.code !== 0) throw fetchFailure(`npm packages of tests/toolchains/${name}`, result.output);
    await rm(folder, { recursive: true, force: true });
    await rename(aside, folder);
  }
  return `toolchains (${names})`;
}

async function models(names) {
  await npm("scripts");
  const result = await run(process.execPath, [join(repository, "scripts/models.mjs"), ...names.split(",")], { show: true });
  if (result.code !== 0) process.exit(result.code);
  return `models and data (${names})`;
}

const steps = { rust, lints, wasm, bindgen, nextest, fuzz, chromium, onnxruntime, npm, toolchain, models };

if (process.argv[1] === import.meta.filename) {
  try {
    const [major, minor] = process.versions.node.split(".").map(Number);
    if (major < 20 || (major === 20 && minor < 19)) throw new Error(`expected Node.js 20.19 or later, got ${process.version}`);
    const ready = [];
    for (const what of process.argv.slice(2)) {
      const [name, argument] = what.split(/:(.*)/);
      if (!steps[name]) throw new Error(`nothing is known of "${what}"; there are ${Object.keys(steps).join(", ")}`);
      ready.push(await steps[name](argument));
    }
    say(`ready: ${ready.join(", ")}`);
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
