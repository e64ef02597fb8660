// Builds dist/: the entries and what they share, the part for packages, their types, and the WebAssembly beside them.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { minifySync } from "rolldown/utils";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "dist");
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "firebrand");
const wasm = process.env.FIREBRAND_WASM ?? join(cache, "wasm");
const builds = ["cpu-simd128", "cpu-relaxed", "cpu-threads", "cpu-all", "webgpu", "convert"];
const parts = ["firebrand.js", "firebrand_bg.wasm"];

const missing = builds.flatMap((build) => parts.map((part) => join(wasm, build, part))).filter((file) => !existsSync(file));
if (missing.length > 0) {
  process.stderr.write(`The package needs the WebAssembly, and these files are not there: run "make wasm" first.\n  ${missing.join("\n  ")}\n`);
  process.exit(1);
}

// What the converter shares with sessions lies in the files that these need anyway: no page fetches more for it.
const groups = [
  { name: "platform", test: /src\/(platform|error)\.ts$/ },
  { name: "runtime", test: /src\/(runtime|source|protocol|progress|version)\.ts$/ },
];
/** Some bundlers know these expressions with plain quotes only. */
const plainQuotes = {
  name: "plain-quotes",
  generateBundle(_, chunks) {
    for (const chunk of Object.values(chunks)) if (chunk.code) chunk.code = chunk.code.replace(/(new URL\(|import\(|type:)`([^`$]*)`/g, '$1"$2"');
  },
};
rmSync(dist, { recursive: true, force: true });
const bundle = await rolldown({
  cwd: here,
  input: { index: "src/index.ts", worker: "src/worker.ts", thread: "src/thread.ts", convert: "src/convert.ts", "convert-worker": "src/convert-worker.ts", cli: "src/cli.ts", tasks: "src/tasks/index.ts", "capture-worklet": "src/tasks/capture-worklet.ts" },
  platform: "neutral",
  external: /^node:/,
  treeshake: { moduleSideEffects: [{ test: /(worker|worklet|thread|cli)\.ts$/, sideEffects: true }, { test: /./, sideEffects: false }] },
  plugins: [plainQuotes],
});
// Documentation is in the types, names are in the source maps; bundlers read other comments.
await bundle.write({ dir: dist, format: "esm", entryFileNames: "[name].js", chunkFileNames: "[name].js", sourcemap: true, comments: { legal: false, annotation: true, jsdoc: false }, minify: true, codeSplitting: { groups } });
await bundle.close();
// The part that opens packages stands alone: bundlers copy it as it is, so it imports nothing.
const licence = readFileSync(join(here, "node_modules/@noble/hashes/LICENSE"), "utf8").trim();
const packages = await rolldown({ cwd: here, input: { package: "src/package.ts" }, platform: "neutral", treeshake: { moduleSideEffects: false } });
await packages.write({ dir: dist, format: "esm", entryFileNames: "[name].js", sourcemap: true, minify: true, banner: `/*! With SHA-256 of @noble/hashes:\n${licence}\n*/` });
await packages.close();
// ONNX Runtime's interface is written on the public one, and shares that file: who imports "firebrand" alone fetches nothing of it.
const publicEntry = { name: "public entry", resolveId: (id) => (/^\.\.\/index\.js$/.test(id) ? { id: "./index.js", external: true } : null) };
const ort = await rolldown({ cwd: here, input: { ort: "src/ort/index.ts" }, platform: "neutral", plugins: [publicEntry], treeshake: { moduleSideEffects: false } });
await ort.write({ dir: dist, format: "esm", entryFileNames: "[name].js", sourcemap: true, comments: { legal: true, annotation: true, jsdoc: false } });
await ort.close();

for (const build of builds) {
  mkdirSync(join(dist, "wasm", build), { recursive: true });
  const [glue, binary] = parts;
  // Nobody reads what wasm-bindgen writes, and every visitor fetches it.
  const { code, errors } = minifySync(glue, readFileSync(join(wasm, build, glue), "utf8"), { module: true });
  if (errors.length > 0) throw new Error(`${build}/${glue} could not be minified: ${errors[0].message}`);
  writeFileSync(join(dist, "wasm", build, glue), code);
  cpSync(join(wasm, build, binary), join(dist, "wasm", build, binary));
}

execFileSync(process.execPath, [join(here, "node_modules/typescript/bin/tsc"), "-p", join(here, "tsconfig.build.json")], { stdio: "inherit" });
keepReachableTypes(join(dist, "types/src"), dist);

for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) {
  const file = join(here, "..", licence);
  if (existsSync(file)) cpSync(file, join(here, licence));
}

/** Moves the declarations that the entries' lead to into `to`, and drops those of internal modules. */
function keepReachableTypes(from, to) {
  const waiting = ["index.d.ts", "convert.d.ts", "tasks/index.d.ts", "ort/index.d.ts"].map((entry) => join(from, entry));
  const kept = new Map();
  for (let file = waiting.pop(); file; file = waiting.pop()) {
    if (kept.has(file)) continue;
    const text = readFileSync(file, "utf8");
    kept.set(file, text);
    for (const [, path] of text.matchAll(/from "(\.[^"]+)\.js"/g)) waiting.push(resolve(dirname(file), `${path}.d.ts`));
  }
  rmSync(join(to, "types"), { recursive: true });
  for (const [file, text] of kept) {
    const path = join(to, relative(from, file));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}

const total = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
process.stdout.write(`dist: ${total} files\n`);
