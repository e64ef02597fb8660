// Every name that onnxruntime-common exports, and every member of its classes, is in firebrand/ort or in refused.mjs.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import * as common from "onnxruntime-common";
import { root } from "../web/places.mjs";
import { folder, ours } from "./modules.mjs";
import * as refused from "./refused.mjs";

const here = import.meta.dirname;
const theirTypes = join(here, "node_modules/onnxruntime-common/dist/esm");
const ourTypes = join(folder, "dist/ort");

const options = { strict: true, noEmit: true, target: "ES2022", lib: ["ES2023", "DOM", "ESNext.Disposable"], module: "ESNext", moduleResolution: "bundler", skipLibCheck: false, types: [], noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true };

function assertCompiles(config) {
  try {
    execFileSync(process.execPath, [join(here, "node_modules/typescript/bin/tsc"), "-p", config], { encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    assert.fail(`${config}: ${error.stdout}`);
  }
}

/** Each name that declarations export, and of each namespace the types in it. */
function declared(types) {
  const names = new Set();
  const inner = new Set();
  const index = readFileSync(join(types, "index.d.ts"), "utf8");
  for (const [, list] of index.matchAll(/export (?:type )?\{([^}]*)\}/g)) for (const name of list.split(",")) names.add(name.trim().split(/\s/).at(-1));
  for (const file of readdirSync(types).filter((name) => name.endsWith(".d.ts"))) {
    const text = readFileSync(join(types, file), "utf8");
    const isPublic = file === "index.d.ts" || index.includes(`export * from './${file.replace(".d.ts", ".js")}'`);
    for (const [, name] of text.matchAll(/^export (?:declare )?(?:interface|type|const|class|function|namespace) (\w+)/gm)) if (isPublic) names.add(name);
    for (const [, name] of isPublic ? text.matchAll(/^export \{ (\w+) \}/gm) : []) names.add(name);
    for (const [, namespace, body] of text.matchAll(/^export declare namespace (\w+) \{\n([\s\S]*?)^\}/gm)) {
      for (const [, name] of body.matchAll(/^    (?:interface|type) (\w+)/gm)) inner.add(`${namespace}.${name}`);
    }
  }
  return { names, inner };
}

test("every value that onnxruntime-common exports is there, or refused by name", () => {
  const missing = Object.keys(common).filter((name) => !(name in ours) && !(name in refused.exports));
  assert.deepEqual(missing, []);
  assert.deepEqual(Object.keys(refused.exports).filter((name) => name in ours), [], "refused, and yet there");
  for (const name of Object.keys(common).filter((name) => name in ours)) assert.equal(ours.default[name], ours[name], `${name} is in the default export`);
});

test("the version that env tells is that of the interface", () => assert.equal(ours.env.versions.common, common.env.versions.common));

test("every member of its classes is there", () => {
  const tensors = [new common.Tensor("float32", [1]), new ours.Tensor("float32", [1])];
  const membersOf = (value) => [...Object.keys(value), ...Object.getOwnPropertyNames(Object.getPrototypeOf(value))];
  const [theirs, mine] = tensors.map(membersOf);
  // Fields that hold the elements are private, in both.
  const isPrivate = (name) => refused.privateMembers.includes(name) || ["cpuData", "dataLocation"].includes(name);
  assert.deepEqual(theirs.filter((name) => !mine.includes(name) && !isPrivate(name)), []);
  for (const [their, our] of [
    [common.Tensor, ours.Tensor],
    [common.InferenceSession, ours.InferenceSession],
    [common.InferenceSession.prototype, ours.InferenceSession.prototype],
  ]) {
    assert.deepEqual(Object.getOwnPropertyNames(their).filter((name) => !(name in our) && !isPrivate(name) && !["inputNames", "outputNames", "inputMetadata", "outputMetadata"].includes(name)), []);
  }
  assert.deepEqual(Object.keys(common.env).filter((name) => !(name in ours.env)), []);
});

test("every type that it exports is there, or refused by name", () => {
  const [theirs, mine] = [theirTypes, ourTypes].map(declared);
  assert.ok(theirs.names.size > 40 && theirs.inner.size > 40, "their declarations were read");
  assert.deepEqual([...theirs.names].filter((name) => !mine.names.has(name) && !(name in refused.exports)), []);
  assert.deepEqual([...theirs.inner].filter((name) => !mine.inner.has(name) && !(name in refused.types) && !name.startsWith("SessionHandler.")), []);
  assert.deepEqual(Object.keys(refused.exports).filter((name) => !theirs.names.has(name)), [], "refused, and not theirs");
  assert.deepEqual(Object.keys(refused.types).filter((name) => !theirs.inner.has(name) || mine.inner.has(name)), [], "refused, and not theirs or there");
});

test("what is refused is documented", () => {
  const text = readFileSync(join(root, "docs/onnxruntime-web.md"), "utf8");
  const missing = [...Object.entries(refused.exports), ...Object.entries(refused.types)].filter(([name]) => !text.includes(name.split(".").at(-1)));
  assert.deepEqual(missing.map(([name]) => name), []);
});

test("a program in TypeScript compiles with the alias as it does without", () => {
  const program = mkdtempSync(join(here, "node_modules", ".types-"));
  after(() => rmSync(program, { recursive: true }));
  const entry = join(ourTypes, "index.d.ts");
  const compile = (name, files, paths) => {
    writeFileSync(join(program, name), JSON.stringify({ compilerOptions: { ...options, paths }, files }));
    assertCompiles(join(program, name));
  };
  writeFileSync(join(program, "program.ts"), readFileSync(join(here, "program.ts")));
  writeFileSync(join(program, "same.ts"), readFileSync(join(here, "same.ts")));
  compile("theirs.json", ["program.ts"], {});
  compile("ours.json", ["program.ts"], { "onnxruntime-web": [entry], "onnxruntime-common": [entry] });
  compile("same.json", ["same.ts"], { "firebrand/ort": [entry] });
});

test("its types resolve by the package's name, under node16 too", () => {
  const program = mkdtempSync(join(folder, "../..", "types-ort-"));
  after(() => rmSync(program, { recursive: true }));
  writeFileSync(join(program, "package.json"), JSON.stringify({ type: "module" }));
  writeFileSync(join(program, "program.ts"), readFileSync(join(here, "program.ts"), "utf8").replaceAll(/"onnxruntime-(web|common)"/g, '"firebrand/ort"'));
  for (const [module, moduleResolution] of [["Node16", "Node16"], ["ESNext", "bundler"]]) {
    writeFileSync(join(program, "tsconfig.json"), JSON.stringify({ compilerOptions: { ...options, module, moduleResolution }, files: ["program.ts"] }));
    assertCompiles(join(program, "tsconfig.json"));
  }
});
