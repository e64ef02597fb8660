// Runs every check and test, one stage after another, and adds up what their runners counted.
//   node scripts/test.mjs [all | rust | web | toolchains]…
// The slow toolchains run in the group of that name, and in the others where the package or a toolchain's project changed.
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { answer, run, toolEnvironment } from "./command.mjs";
import { places, repository } from "./places.mjs";
import { findChromium } from "./setup.mjs";
import { fromCargoTest, fromNextest, fromNodeTest, fromPlaywright, fromVitest } from "./test-counts.mjs";

const node = process.execPath;
const npm = (folder, ...args) => ["npm", ["--prefix", folder, "run", "--silent", ...args]];
const report = (name) => join(places.reports, `${name}.json`);
const json = (name) => readFile(report(name), "utf8").then(JSON.parse);

const everywhere = ["all", "rust", "web", "toolchains"];
const groups = process.argv.length > 2 ? process.argv.slice(2) : ["all"];
for (const group of groups) {
  if (everywhere.includes(group)) continue;
  console.error(`no such group of tests: ${group}; there are ${everywhere.join(", ")}`);
  process.exit(2);
}

/** Whether files under these paths changed since this branch left the main one, or in the last commit; not where git cannot tell. */
function hasChanged(...paths) {
  const git = (...args) => answer("git", args, { cwd: repository });
  const head = git("rev-parse", "HEAD");
  const fork = git("merge-base", "HEAD", "origin/main");
  return Boolean(git("diff", "--name-only", fork && fork !== head ? fork : "HEAD~1", "--", ...paths));
}
const hasAllToolchains = groups.includes("toolchains") || hasChanged("pkg", "tests/toolchains", "tests/web/toolchains.spec.ts");
const toolchains = `toolchain:checks,esbuild,vite${hasAllToolchains ? ",deno,next,parcel,rollup,webpack" : ""}`;
const toolchainSet = { FIREBRAND_TOOLCHAINS: hasAllToolchains ? "all" : "quick" };

const wasmToolchain = () => readFile(join(places.tools, "wasm-toolchain.json"), "utf8").then(JSON.parse);

const stages = [
  {
    name: "set-up",
    groups: ["all"],
    command: [node, ["scripts/setup.mjs", "wasm", "bindgen", "npm:scripts", "lints", "nextest", "chromium", "onnxruntime", "npm:pkg", "npm:www", "npm:tests/web", "npm:tests/ort", "npm:docs/reference", toolchains, "models:all,minilm"]],
  },
  { name: "set-up", groups: ["rust"], command: [node, ["scripts/setup.mjs", "rust", "lints", "nextest", "onnxruntime", "npm:docs/reference", "models:all"]] },
  {
    name: "set-up",
    groups: ["web"],
    command: [node, ["scripts/setup.mjs", "wasm", "lints", "bindgen", "npm:scripts", "chromium", "npm:pkg", "npm:www", "npm:tests/web", "npm:tests/ort", "npm:docs/reference", toolchains, "models:all,minilm"]],
  },
  { name: "set-up", groups: ["toolchains"], command: [node, ["scripts/setup.mjs", "wasm", "bindgen", "npm:scripts", "chromium", "npm:pkg", "npm:tests/web", toolchains]] },
  { name: "scripts", groups: ["all"], needs: ["set-up"], command: [node, ["--test", "scripts/test/"]], count: fromNodeTest },
  { name: "format", groups: ["all", "rust"], command: ["cargo", ["fmt", "--all", "--check"]] },
  { name: "clippy", groups: ["all", "rust"], needs: ["set-up"], command: ["cargo", ["clippy", "--locked", "--all-targets", "--", "-D", "warnings"]] },
  { name: "rust", groups: ["all", "rust"], needs: ["set-up"], command: ["cargo", ["nextest", "run", "--locked", "--no-fail-fast"]], count: fromNextest },
  { name: "onnxruntime", groups: ["all", "rust"], needs: ["rust"], command: [node, ["--test", "scripts/onnxruntime/"]], count: fromNodeTest },
  { name: "rust docs", groups: ["all", "rust"], needs: ["set-up"], command: ["cargo", ["test", "--locked", "--doc"]], count: fromCargoTest },
  { name: "reference, rust", groups: ["all", "rust"], needs: ["clippy"], command: npm("docs/reference", "reference", "--", "rust") },
  { name: "wasm", groups: ["all", "web", "toolchains"], needs: ["set-up"], command: [node, ["scripts/wasm.mjs"]] },
  ...["web,webgpu,all-operators", "web,cli,all-operators"].map((features) => ({
    name: `clippy, wasm, ${features}`,
    groups: ["all", "web"],
    needs: ["wasm"],
    // Debian's wasm compiler comes without clippy.
    unless: async () => (await wasmToolchain()).kind !== "installed target" && "this wasm compiler has no clippy",
    command: ["cargo", ["clippy", "--locked", "--package", "firebrand", "--package", "firebrand-kernels", "--lib", "--profile", "wasm-release", "--target", "wasm32-unknown-unknown", "--no-default-features", "--features", features, "--", "-D", "warnings"]],
    env: { CARGO_TARGET_DIR: places.targetWasm, RUSTFLAGS: "-C target-feature=+simd128" },
  })),
  { name: "kernels, wasm", groups: ["all", "web"], needs: ["set-up"], command: [node, ["scripts/kernels.mjs"]] },
  { name: "package", groups: ["all", "web", "toolchains"], needs: ["wasm"], command: npm("pkg", "tarball") },
  { name: "task packages", groups: ["all", "web"], needs: ["package"], command: [node, ["scripts/packages.mjs"]] },
  { name: "reference, npm", groups: ["all", "web"], needs: ["set-up"], command: npm("docs/reference", "reference", "--", "npm") },
  { name: "package types", groups: ["all", "web"], needs: ["set-up"], command: npm("pkg", "check") },
  {
    name: "package tests",
    groups: ["all", "web"],
    needs: ["set-up"],
    command: npm("pkg", "test", "--", "--reporter=default", "--reporter=json", `--outputFile.json=${report("vitest")}`),
    count: async () => fromVitest(await json("vitest")),
  },
  { name: "page", groups: ["all", "web"], needs: ["package", "task packages"], command: npm("www", "build") },
  { name: "node", groups: ["all", "web"], needs: ["package", "task packages", "kernels, wasm"], command: npm("tests/web", "test:node"), count: fromNodeTest },
  { name: "onnxruntime-web", groups: ["all", "web"], needs: ["package"], command: npm("tests/ort", "test"), count: fromNodeTest },
  { name: "docs", groups: ["all", "web"], needs: ["package", "task packages"], command: npm("tests/web", "test:docs"), count: fromNodeTest },
  {
    name: "browser",
    groups: ["all", "web"],
    needs: ["package", "task packages", "page"],
    command: npm("tests/web", "test", "--", "--grep-invert=@toolchain", "--reporter=list,json"),
    env: { PLAYWRIGHT_JSON_OUTPUT_FILE: report("playwright") },
    count: async () => fromPlaywright(await json("playwright")),
  },
  { name: "tarball", groups: ["all", "web", "toolchains"], needs: ["package"], command: [node, ["--test", "--test-concurrency=1", "tests/toolchains/"]], env: toolchainSet, count: fromNodeTest },
  {
    name: `toolchains, ${toolchainSet.FIREBRAND_TOOLCHAINS}`,
    groups: ["all", "web", "toolchains"],
    needs: ["package"],
    command: npm("tests/web", "test", "--", "toolchains.spec.ts", "--reporter=list,json"),
    env: { ...toolchainSet, PLAYWRIGHT_JSON_OUTPUT_FILE: report("toolchains") },
    count: async () => fromPlaywright(await json("toolchains")),
  },
];

await mkdir(places.reports, { recursive: true });
for (const name of ["vitest", "playwright", "toolchains"]) await rm(report(name), { force: true });

const failed = new Set();
const rows = [];
const total = { passed: 0, failed: 0, skipped: 0 };
for (const { name, groups: of, needs = [], unless, command: [program, args], env = {}, count } of stages) {
  if (!of.some((group) => groups.includes(group))) continue;
  console.log(`\n── ${name}: ${program === node ? "node" : program} ${args.join(" ")}`);
  const missing = needs.filter((need) => failed.has(need));
  const reason = missing.length ? `not run: ${missing.join(", ")} failed` : await unless?.();
  if (reason) {
    console.log(reason);
    rows.push([name, "", reason]);
    if (missing.length) failed.add(name);
    continue;
  }
  const since = performance.now();
  const { code, output } = await run(program, args, {
    cwd: repository,
    env: toolEnvironment({ CARGO_TARGET_DIR: places.target, CHROME_PATH: findChromium() ?? "", ...env }),
    show: true,
  });
  let counted = { passed: 0, failed: 0, skipped: 0 };
  let note = code === 0 ? "ok" : `exit code ${code}`;
  if (count) {
    try {
      counted = await count(output);
      note = `${counted.passed} passed, ${counted.failed} failed${counted.skipped ? `, ${counted.skipped} skipped` : ""}`;
      if (counted.passed + counted.failed === 0) note = "no test was run";
    } catch (error) {
      note = `the runner left no count (${error.message})`;
    }
  }
  const bad = code !== 0 || counted.failed > 0 || (count && counted.passed === 0);
  if (bad && counted.failed === 0) counted.failed = 1;
  if (bad) failed.add(name);
  for (const key of Object.keys(total)) total[key] += counted[key];
  rows.push([name, `${((performance.now() - since) / 1000).toFixed(0)} s`, note]);
}

const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column].length)));
console.log(`\n${rows.map(([name, took, note]) => `${name.padEnd(widths[0])}  ${took.padStart(widths[1])}  ${note}`).join("\n")}\n`);
if (total.skipped) console.log(`${total.skipped} skipped`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exit(failed.size ? 1 : 0);
