// The packed tarball as such: what its package.json says, its types, its sizes, and what is left of it in a bundle.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { brotliCompressSync, constants } from "node:zlib";
import { packages, root, tarball } from "../web/places.mjs";
import { discard, here, modulesOf, runScript, stage } from "./installation.mjs";

const exec = promisify(execFile);
const manifestOfPackage = JSON.parse(readFileSync(join(root, "pkg/package.json"), "utf8"));
const everything = process.env.FIREBRAND_TOOLCHAINS === "all";
/** Every address that the package may be imported by, and what it stands for. */
const subpaths = Object.entries(manifestOfPackage.exports).map(([subpath, target]) => ({ name: `firebrand${subpath.slice(1)}`, target }));
const modules = subpaths.filter(({ target }) => target.types);
const own = (name) => createRequire(join(modulesOf(name), "any.js"));
const model = join(packages, "tiny/manifest.json");
const expected = JSON.parse(readFileSync(join(here, "answer.json"), "utf8"));

function assertRight(text) {
  const { scores, device, selfTested } = JSON.parse(text);
  assert.deepEqual({ device, selfTested, length: scores.length }, { device: "cpu", selfTested: true, length: expected.length });
  assert.ok(Math.max(...scores.map((score, at) => Math.abs(score - expected[at]))) <= 1e-5);
}

describe("outside of browsers", () => {
  const runs = [
    { name: "node", what: "import", command: [process.execPath, "main.mjs"] },
    { name: "node", what: "require", command: [process.execPath, "main.cjs"] },
    { name: "deno", what: "import", command: ["node_modules/.bin/deno", "run", "--quiet", "--no-prompt", "--allow-read", "--allow-env", "main.js"], slow: true },
  ];
  for (const { name, what, command: [program, ...args] } of runs.filter(({ slow }) => everything || !slow)) {
    for (const worker of [false, true]) {
      test(`${name}, ${what} (worker: ${worker})`, async () => {
        const folder = stage(name);
        try {
          const { stdout, stderr } = await exec(program, [...args, model, JSON.stringify({ device: "cpu", worker })], { cwd: folder, timeout: 60_000 });
          assert.equal(stderr, "");
          assertRight(stdout);
        } finally {
          discard(folder);
        }
      });
    }
  }
});

describe("package.json", () => {
  test("publint has nothing to say", async () => {
    const { publint } = await import(pathToFileURL(own("checks").resolve("publint")).href);
    const { messages } = await publint({ strict: true, pack: { tarball: Uint8Array.from(readFileSync(tarball())).buffer } });
    assert.deepEqual(messages, []);
  });

  test("types are right for whoever imports it as a module", async () => {
    const { checkPackage, createPackageFromTarballData } = await import(pathToFileURL(own("checks").resolve("@arethetypeswrong/core")).href);
    const { problems } = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(tarball()))));
    // There is no CommonJS build: Node takes modules by require, and TypeScript says so to who asks for less.
    const other = problems.filter(({ kind, resolutionKind, entrypoint }) => kind !== "CJSResolvesToESM" && !(resolutionKind === "node10" && /\.json$/.test(entrypoint)));
    assert.deepEqual(other, []);
  });
});

describe("an installed package", () => {
  let folder;
  before(() => (folder = stage("esbuild")));
  after(() => discard(folder));

  for (const { name, target } of subpaths) {
    test(`${name}: its files are there`, () => {
      for (const file of typeof target === "string" ? [target] : Object.values(target)) assert.ok(existsSync(join(folder, "node_modules/firebrand", file)), `${file} is missing`);
    });
  }

  const imported = ({ name }, at) => `import * as entry${at} from ${JSON.stringify(name)};\nimport ${JSON.stringify(name)};\n`;
  const required = ({ name }, at) => `import entry${at} = require(${JSON.stringify(name)});\n`;
  for (const [moduleResolution, module, ending, byName] of [["bundler", "esnext", "ts", imported], ["node16", "node16", "ts", imported], ["nodenext", "nodenext", "ts", imported], ["nodenext", "nodenext", "cts", required]]) {
    test(`every subpath under strict TypeScript, moduleResolution ${moduleResolution}, .${ending}`, async () => {
      const file = join(folder, `types-${moduleResolution}.${ending}`);
      writeFileSync(file, `${modules.map(byName).join("")}export const all: object[] = [${modules.map((_, at) => `entry${at}`)}];\n`);
      const options = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUncheckedSideEffectImports", "--skipLibCheck", "false", "--types", "", "--target", "es2022", "--lib", "es2023,dom", "--module", module, "--moduleResolution", moduleResolution];
      const { stdout } = await exec(process.execPath, [join(root, "pkg/node_modules/typescript/bin/tsc"), ...options, file], { cwd: folder }).catch((error) => error);
      assert.equal(stdout, "");
    });
  }

  for (const { name, target } of modules) {
    test(`${name}: importing it does nothing that others see`, async () => {
      const script = `
        const seen = () => [...Object.getOwnPropertyNames(globalThis), ...process.eventNames(), ...process.getActiveResourcesInfo().filter((kind) => /Timeout|Immediate|Port|Worker|TCP|Watch/.test(kind))];
        await import("data:text/javascript,");
        const before = seen();
        await import(${JSON.stringify(name)});
        console.log(JSON.stringify(seen().filter((thing) => !before.includes(thing))));`;
      const { stdout, stderr } = await exec(process.execPath, ["--input-type=module", "--eval", script], { cwd: folder });
      assert.deepEqual([JSON.parse(stdout), stderr], [[], ""]);
    });

    const acts = manifestOfPackage.sideEffects.includes(target.default);
    test(`${name}: a bundle that imports it alone is ${acts ? "not " : ""}empty`, async () => {
      writeFileSync(join(folder, "src/main.js"), `import ${JSON.stringify(name)};\n`);
      rmSync(join(folder, "dist"), { recursive: true, force: true });
      await runScript(folder, "bundle", "--log-level=error");
      const bytes = statSync(join(folder, "dist/main.js")).size;
      assert.ok(acts ? bytes > 0 : bytes === 0, `${bytes} bytes`);
    });
  }

  test("a bundle has what it uses, and no more", async () => {
    const sizeOf = async (program) => {
      writeFileSync(join(folder, "src/main.js"), program);
      await runScript(folder, "bundle", "--minify", "--log-level=error");
      return statSync(join(folder, "dist/main.js")).size;
    };
    const [version, tensor, all] = [await sizeOf('import { runtimeVersion } from "firebrand"; console.log(runtimeVersion);'), await sizeOf('import { Tensor } from "firebrand"; console.log(Tensor);'), await sizeOf('import { load } from "firebrand"; console.log(load);')];
    assert.ok(version < 500, `the version alone: ${version} bytes`);
    assert.ok(tensor < all / 4, `tensors alone: ${tensor} of ${all} bytes`);
  });
});

describe("sizes", () => {
  const { groups, slack } = JSON.parse(readFileSync(join(root, "pkg/size-budget.json"), "utf8"));
  let dist;
  let folder;
  before(() => {
    folder = stage("static");
    dist = join(folder, "node_modules/firebrand/dist");
  });
  after(() => discard(folder));
  const measure = (files) => {
    const sizes = files.map((file) => readFileSync(join(dist, file))).map((bytes) => [bytes.length, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }).length]);
    return { raw: sizes.reduce((sum, [raw]) => sum + raw, 0), brotli: sizes.reduce((sum, [, brotli]) => sum + brotli, 0) };
  };

  for (const { name, files, ...budget } of groups) {
    test(name, () => {
      const got = measure(files);
      const over = Object.keys(got).filter((key) => got[key] > budget[key] * (1 + slack));
      const told = over.map((key) => `${key} is ${got[key]} bytes, ${got[key] - budget[key]} (${((got[key] / budget[key] - 1) * 100).toFixed(1)} %) more than ${budget[key]}`).join("; ");
      assert.equal(told, "", `${files.join(", ")} grew: ${told}; make it smaller, or write down the new size in pkg/size-budget.json and say in the commit what it is for`);
    });
  }

  test("every file that a visitor may fetch has a budget", () => {
    const budgeted = new Set(groups.flatMap(({ files }) => files));
    const found = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => /\.(js|wasm)$/.test(file) && file !== "cli.js");
    assert.deepEqual(found.filter((file) => !budgeted.has(file)), [], "add these to a group of pkg/size-budget.json");
  });
});
