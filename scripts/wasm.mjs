// Builds the WebAssembly binaries: cargo, wasm-bindgen, wasm-opt; prints what each step brought.
//   node scripts/wasm.mjs [cpu-simd128 | cpu-relaxed | cpu-threads | cpu-all | webgpu | convert | all]… [--force]
// Result: <cache>/wasm/<name>/ with firebrand.js, firebrand_bg.wasm, firebrand.d.ts and sizes.json.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { answer, run, toolEnvironment } from "./command.mjs";
import { places, repository } from "./places.mjs";

const profile = "wasm-release";
const builds = {
  "cpu-simd128": { features: "web", simd: "+simd128", optimize: ["-O3"], enable: [] },
  "cpu-relaxed": { features: "web", simd: "+simd128,+relaxed-simd", optimize: ["-O3"], enable: ["--enable-relaxed-simd"] },
  // For pages that may share memory among workers.
  "cpu-threads": { features: "web", simd: "+simd128,+relaxed-simd", threads: true, optimize: ["-O3"], enable: ["--enable-relaxed-simd", "--enable-threads"] },
  // What few models need, for the CPU: fetched for those only.
  "cpu-all": { features: "web,all-operators", simd: "+simd128", optimize: ["-O3"], enable: [] },
  webgpu: { features: "web,webgpu,all-operators", simd: "+simd128", optimize: ["-Oz"], enable: [] },
  // The converter and the command line. No relaxed SIMD: what it writes is the same everywhere.
  convert: { features: "web,cli,all-operators", simd: "+simd128", optimize: ["-O2"], enable: [], hasConverter: true },
};
/** What makes memory shared, which a page makes as large as need be, and lets every worker have its own stack and thread-locals. */
const shared = ["+atomics,+bulk-memory,+mutable-globals", ...["shared-memory", "import-memory", "max-memory=4294967296", "export=__wasm_init_tls", "export=__tls_size", "export=__tls_align", "export=__tls_base"].map((argument) => `link-arg=--${argument}`)];
const proposals = ["simd", "bulk-memory", "bulk-memory-opt", "mutable-globals", "multivalue", "nontrapping-float-to-int", "reference-types", "sign-ext"].map((name) => `--enable-${name}`);
const toolchainFile = join(places.tools, "wasm-toolchain.json");
const wasmOpt = join(repository, "scripts/node_modules/binaryen/bin/wasm-opt");

const compress = { gzip: promisify(gzip), brotli: promisify(brotliCompress) };

async function sizes(file) {
  const bytes = await readFile(file);
  const [gzipped, brotli] = await Promise.all([
    compress.gzip(bytes, { level: 9 }),
    compress.brotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  ]);
  return { raw: bytes.length, gzip: gzipped.length, brotli: brotli.length };
}

/** What the converter and the command line are made of, which are part of one binary only. */
const ofConverter = /^src\/(build|cli|data|import|optimize|package)\//;

/** Everything the binary is made of. */
async function sources(hasConverter) {
  const entries = await readdir(join(repository, "src"), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => relative(repository, join(entry.parentPath ?? entry.path, entry.name)));
  return ["Cargo.toml", "Cargo.lock", ...files.filter((file) => file !== "src/main.rs" && (hasConverter || !ofConverter.test(file)))].sort();
}

async function digest(parts, hasConverter) {
  const hash = createHash("sha256").update(JSON.stringify(parts));
  for (const file of await sources(hasConverter)) hash.update(`\0${file}\0`).update(await readFile(join(repository, file)));
  return hash.digest("hex");
}

async function must(what, command, args, options) {
  const { code, output } = await run(command, args, options);
  if (code === 0) return;
  if (!options.show) process.stderr.write(output);
  throw new Error(`${what} failed (exit code ${code})`);
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(0)} s`;

function rustFlags(simd, threads) {
  const [features, ...links] = threads ? shared : [];
  return [`target-feature=${[simd, features].filter(Boolean).join(",")}`, ...links].map((flag) => `-C ${flag}`).join(" ");
}

async function build(name, toolchains, force) {
  const { features, simd, threads, optimize, enable } = builds[name];
  const toolchain = threads ? toolchains.fromSource : toolchains;
  const target = join(places.wasm, name);
  const versions = [{ ...toolchain, fromSource: undefined }, answer("wasm-bindgen", ["--version"]), JSON.parse(await readFile(join(wasmOpt, "../../package.json"), "utf8")).version];
  const input = await digest([profile, builds[name], shared, proposals, versions], builds[name].hasConverter);
  const report = join(target, "sizes.json");
  const before = !force && existsSync(join(target, "firebrand_bg.wasm")) ? await readFile(report, "utf8").then(JSON.parse, () => ({})) : {};
  if (before.input === input) return before;

  const draft = `${target}.new`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  const steps = [];
  const measure = async (step, file, since) => {
    const took = seconds(since);
    steps.push({ step, took, ...(await sizes(file)) });
    console.log(`  ${step} ${took}`);
  };

  console.log(`build ${name} (${toolchain.version})`);
  // All builds leave the same file names behind, and cargo does not tell them apart: without the
  // file it cannot take another build's for this one's.
  const folder = join(places.targetWasm, "wasm32-unknown-unknown", profile);
  for (const leftover of [join(folder, "firebrand.wasm"), join(folder, "deps/firebrand.wasm")]) await rm(leftover, { force: true });
  let since = performance.now();
  const args = ["rustc", "--package", "firebrand", "--lib", "--crate-type", "cdylib", "--locked", "--profile", profile, "--target", "wasm32-unknown-unknown", "--no-default-features", "--features", features, ...toolchain.args];
  await must(`cargo for ${name}`, toolchain.cargo, args, {
    cwd: repository,
    env: toolEnvironment({ ...toolchain.env, PATH: [toolchain.path, process.env.PATH].filter(Boolean).join(":"), CARGO_TARGET_DIR: places.targetWasm, RUSTFLAGS: rustFlags(simd, threads) }),
    show: true,
  });
  const compiled = join(draft, "firebrand.wasm");
  await copyFile(join(folder, "firebrand.wasm"), compiled);
  const recipe = createHash("sha256").update(JSON.stringify([optimize, proposals, enable, versions])).update(await readFile(compiled)).digest("hex");
  if (before.recipe === recipe) {
    const result = { ...before, input };
    await writeFile(report, `${JSON.stringify(result, null, 2)}\n`);
    await rm(draft, { recursive: true });
    return result;
  }
  await measure("cargo", compiled, since);

  since = performance.now();
  await must(`wasm-bindgen for ${name}`, "wasm-bindgen", ["--target", "web", "--out-dir", draft, "--out-name", "firebrand", compiled], {});
  await rm(compiled);
  const bound = join(draft, "firebrand_bg.wasm");
  await measure("wasm-bindgen", bound, since);

  since = performance.now();
  const optimized = join(draft, "optimized.wasm");
  await must(`wasm-opt for ${name}`, process.execPath, ["--stack-size=20000", wasmOpt, ...optimize, ...proposals, ...enable, "--strip-debug", "--strip-producers", bound, "-o", optimized], {});
  await rename(optimized, bound);
  await measure(`wasm-opt ${optimize.join(" ")}`, bound, since);

  const result = { name, input, recipe, toolchain: toolchain.version, steps };
  await writeFile(join(draft, "sizes.json"), `${JSON.stringify(result, null, 2)}\n`);
  await rm(target, { recursive: true, force: true });
  await rename(draft, target);
  return result;
}

/**
 * One build at a time: all of them leave the same file names in cargo's folder.
 * The lock is a socket name of Linux's, which goes away with the process that holds it.
 */
async function alone(work) {
  const name = `\0firebrand-${createHash("sha256").update(places.targetWasm).digest("hex").slice(0, 32)}`;
  for (let told = false; ; told = true) {
    const server = createServer();
    const refused = await new Promise((resolve) => server.once("error", resolve).listen(name, () => resolve(undefined)));
    if (!refused) {
      try {
        return await work();
      } finally {
        server.close();
      }
    }
    if (refused.code !== "EADDRINUSE") throw refused;
    if (!told) console.log("waiting for another build to end");
    await sleep(500);
  }
}

function table(results) {
  const rows = [["build", "after", "raw", "gzip 9", "brotli 11", "took"]];
  for (const { name, steps } of results) {
    for (const { step, raw, gzip: zipped, brotli, took } of steps) rows.push([name, step, ...[raw, zipped, brotli].map((n) => `${(n / 1024).toFixed(0)} KiB`), took]);
  }
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join("  ").trimEnd()).join("\n");
}

const asked = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const names = asked.length === 0 || asked.includes("all") ? Object.keys(builds) : asked;
try {
  const unknown = names.filter((name) => !builds[name]);
  if (unknown.length) throw new Error(`no such build: ${unknown.join(", ")}; there are ${Object.keys(builds).join(", ")}`);
  if (!existsSync(toolchainFile)) throw new Error('the wasm compiler is not set up: run "node scripts/setup.mjs wasm bindgen npm:scripts" first');
  const toolchain = JSON.parse(await readFile(toolchainFile, "utf8"));
  const results = await alone(async () => {
    const done = [];
    for (const name of names) done.push(await build(name, toolchain, process.argv.includes("--force")));
    return done;
  });
  console.log(table(results));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
