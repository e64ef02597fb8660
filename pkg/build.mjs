// Builds dist/: the entries and what they share, the part for packages, their types, and the WebAssembly beside them.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { minifySync } from "rolldown/utils";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "dist");
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "firebrand");
const wasm = process.env.FIREBRAND_WASM ?? join(cache, "wasm");
const { version, exports } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const builds = ["cpu-simd128", "cpu-relaxed", "cpu-threads", "cpu-all", "webgpu", "convert"];
const parts = ["firebrand.js", "firebrand_bg.wasm"];

const missing = builds.flatMap((build) => parts.map((part) => join(wasm, build, part))).filter((file) => !existsSync(file));
if (missing.length > 0) {
  process.stderr.write(`The package needs the WebAssembly, and these files are not there: run "make wasm" first.\n  ${missing.join("\n  ")}\n`);
  process.exit(1);
}

// What the converter shares with sessions lies in the files that these need anyway: no page fetches more for it.
const groups = [
  { name: "platform", test: /(src\/(platform|error|parts|version)\.ts|package\.json)$/ },
  { name: "source", test: /src\/(source|protocol|progress|deployment)\.ts$/ },
];
const treeshake = { moduleSideEffects: [{ test: /((worker|worklet|thread|cli)\.ts|(host|package|firebrand)\.js)$/, sideEffects: true }, { test: /./, sideEffects: false }] };
// Documentation is in the types, names are in the source maps, and what opens a module here (`//!`) counts as a licence to bundlers, which keep it.
const output = { dir: dist, format: "esm", entryFileNames: "[name].js", chunkFileNames: "[name].js", sourcemap: true, comments: { legal: false, annotation: true, jsdoc: false }, minify: true };

/** Some bundlers know these expressions with plain quotes only. */
const plainQuotes = {
  name: "plain-quotes",
  generateBundle(_, chunks) {
    for (const chunk of Object.values(chunks)) if (chunk.code) chunk.code = chunk.code.replace(/(new URL\(|import\(|\btype:)`([\w./?-]*)`/g, '$1"$2"');
  },
};
rmSync(dist, { recursive: true, force: true });
const bundle = await rolldown({
  cwd: here,
  input: { index: "src/index.ts", "service-worker": "src/service-worker.ts", convert: "src/convert.ts", tasks: "src/tasks/index.ts", cli: "src/cli.ts" },
  platform: "neutral",
  external: [/^node:/, /^\.\/(host|move|package|wasm\/.*)\.js$/],
  treeshake,
  plugins: [plainQuotes],
});
await bundle.write({ ...output, codeSplitting: { groups } });
await bundle.close();
// What runs in a worker, or is loaded later in its place, is one file each: it starts after one answer of the server, and
// Parcel loses modules that a worker shares with what it loads later. Minified, that is little more to fetch.
for (const file of ["host", "move", "worker", "thread", "convert-worker", "tasks/capture-worklet"]) {
  const part = await rolldown({ cwd: here, input: { [basename(file)]: `src/${file}.ts` }, platform: "neutral", treeshake, plugins: [plainQuotes] });
  await part.write(output);
  await part.close();
}
// The part that opens packages stands alone: bundlers copy it as it is, so it imports nothing, and is minified here.
const licence = readFileSync(join(here, "node_modules/@noble/hashes/LICENSE"), "utf8").trim();
const packages = await rolldown({ cwd: here, input: { package: "src/package.ts" }, platform: "neutral", treeshake: { moduleSideEffects: [{ test: /src\/package\.ts$/, sideEffects: true }, { test: /./, sideEffects: false }] } });
await packages.write({ dir: dist, format: "esm", entryFileNames: "[name].js", sourcemap: true, minify: true, comments: { legal: false }, postBanner: `/*! With SHA-256 of @noble/hashes:\n${licence}\n*/` });
await packages.close();
// ONNX Runtime's interface is written on the public one, and shares that file: who imports "firebrand" alone fetches nothing of it.
const publicEntry = { name: "public entry", resolveId: (id) => (/^\.\.\/index\.js$/.test(id) ? { id: "./index.js", external: true } : null) };
const ort = await rolldown({ cwd: here, input: { ort: "src/ort/index.ts" }, platform: "neutral", plugins: [publicEntry], treeshake: { moduleSideEffects: false } });
await ort.write({ dir: dist, format: "esm", entryFileNames: "[name].js", sourcemap: true, comments: { legal: true, annotation: true, jsdoc: false } });
await ort.close();

for (const build of builds) {
  mkdirSync(join(dist, "wasm", build), { recursive: true });
  const [glue, binary] = parts;
  writeFileSync(join(dist, "wasm", build, glue), await asPart(build, join(wasm, build, glue)));
  cpSync(join(wasm, build, binary), join(dist, "wasm", build, binary));
}

execFileSync(process.execPath, [join(here, "node_modules/typescript/bin/tsc"), "-p", join(here, "tsconfig.build.json")], { stdio: "inherit" });
keepReachableTypes(join(dist, "types/src"), dist);

// Parcel and TypeScript's older resolution do not read "exports": for them a subpath is a folder with a main file.
for (const [subpath, { default: main, types }] of Object.entries(exports)) {
  if (subpath === "." || !types) continue;
  const fromHere = (file) => relative(subpath, file);
  mkdirSync(join(here, subpath), { recursive: true });
  writeFileSync(join(here, subpath, "package.json"), `${JSON.stringify({ type: "module", main: fromHere(main), types: fromHere(types) }, null, 2)}\n`);
}

for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) {
  const file = join(here, "..", licence);
  if (existsSync(file)) cpSync(file, join(here, licence));
}

/** What wasm-bindgen wrote, as a part (src/parts.ts): a function that makes an instance. Nobody reads it, and every visitor fetches it. */
async function asPart(build, file) {
  // It is always given compiled WebAssembly: what fetches, and the address, which bundlers would take for another file to
  // copy, are left out.
  const without = [
    [/async function __wbg_load\(module, imports\) \{.*?\n\}\n/s, "const __wbg_load = async (module, imports) => ({ instance: await WebAssembly.instantiate(module, imports), module });\n"],
    [/module_or_path = new URL\('firebrand_bg\.wasm', import\.meta\.url\);/, ""],
    [/ {4}if \(typeof module_or_path === 'string'.*?\n {4}\}\n/s, ""],
    [/ else \{\s*console\.warn\('using deprecated parameters for the initialization function;[^}]*\}/, ""],
    // The command line starts in one step.
    ...(build === "convert" ? [] : [[/function initSync\(module[^)]*\) \{.*?\n\}\n/s, ""], [/export \{ initSync, /, "export { "]]),
  ];
  const withoutFetching = {
    name: "without-fetching",
    transform(code, id) {
      if (id !== file) return undefined;
      return without.reduce((rest, [pattern, instead]) => {
        if (rest.split(pattern).length !== 2) throw new Error(`${file}: expected ${pattern} once; wasm-bindgen writes something else now`);
        return rest.replace(pattern, instead);
      }, code);
    },
  };
  const glue = await rolldown({ cwd: here, input: file, platform: "neutral", plugins: [withoutFetching] });
  const { output } = await glue.generate({ format: "iife", name: "glue", exports: "named" });
  await glue.close();
  const place = `globalThis[Symbol.for(${JSON.stringify(`firebrand ${version}`)})] ??= {}`;
  const { code, errors } = minifySync(`${build}.js`, `(${place})[${JSON.stringify(build)}] = () => {\n${output[0].code}\nreturn glue;\n};\n`, { module: true });
  if (errors.length > 0) throw new Error(`${file} could not be minified: ${errors[0].message}`);
  return code;
}

/** Moves the declarations that the entries' lead to into `to`, and drops those of internal modules. */
function keepReachableTypes(from, to) {
  const waiting = Object.values(exports).flatMap(({ types }) => (types ? [join(from, relative("dist", types))] : []));
  const kept = new Map();
  for (let file = waiting.pop(); file; file = waiting.pop()) {
    if (kept.has(file)) continue;
    // What a module does is none of its types' concern, and may have no declarations.
    const text = readFileSync(file, "utf8").replace(/^import "[^"]+";$/gm, "export {};");
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
