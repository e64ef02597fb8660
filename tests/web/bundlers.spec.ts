// The installed package through the bundlers that people use, without configuration.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test, type Page } from "@playwright/test";
import esbuild from "esbuild";
import * as vite from "vite";
import webpack from "webpack";
import { installed } from "./places.mjs";
import { serve } from "./server.mjs";

const html = (script: string) => `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Bundled</title><script type="module" src="${script}"></script></head></html>\n`;
const program = `
  import { FirebrandError, Tensor, load } from "firebrand";
  import { addBias } from "./tiny-model.js";
  async function sums() {
    const sums = [];
    globalThis.threads = [];
    for (const worker of [true, false]) {
      const session = await load(addBias(), { device: "cpu", worker });
      const { sum } = await session.run({ pixels: new Tensor("float32", Float32Array.of(10, 20, 30), [1, 3]) });
      sums.push([...sum.data]);
      threads.push([session.info.threads, session.info.threadsReason]);
    }
    return sums;
  }
  globalThis.outcome = sums().catch((error) => [error instanceof FirebrandError ? error.kind : "other", error.message]);
`;

const converting = `
  import { FirebrandError, load, Tensor } from "firebrand";
  import { build, convert, FirebrandError as Same } from "firebrand/convert";
  import { addBias } from "./tiny-model.js";
  async function sums() {
    const sums = [];
    for (const worker of [true, false]) {
      const { model } = await convert(addBias(), { name: "add.onnx", worker });
      const { files } = await build(model, { name: "add.onnx", worker });
      const session = await load(files.find(({ name }) => name === "graph.onnx").bytes, { device: "cpu" });
      const { sum } = await session.run({ pixels: new Tensor("float32", Float32Array.of(10, 20, 30), [1, 3]) });
      sums.push([...sum.data]);
    }
    return FirebrandError === Same ? sums : ["two classes of errors"];
  }
  globalThis.outcome = sums().catch((error) => [error instanceof FirebrandError ? error.kind : "other", error.message]);
`;

let folder: string;
let convertingFolder: string;
test.beforeAll(() => {
  // Inside the installed folder, so that bundlers find node_modules/firebrand as in any project.
  folder = mkdtempSync(join(installed(), "bundled-"));
  writeFileSync(join(folder, "index.html"), html("./main.js"));
  writeFileSync(join(folder, "main.js"), program);
  cpSync(fileURLToPath(new URL("./pages/tiny-model.js", import.meta.url)), join(folder, "tiny-model.js"));
});
test.beforeAll(() => {
  convertingFolder = mkdtempSync(join(installed(), "bundled-converting-"));
  writeFileSync(join(convertingFolder, "index.html"), html("./main.js"));
  writeFileSync(join(convertingFolder, "main.js"), converting);
  cpSync(fileURLToPath(new URL("./pages/tiny-model.js", import.meta.url)), join(convertingFolder, "tiny-model.js"));
});
test.afterAll(() => [folder, convertingFolder].forEach((one) => rmSync(one, { recursive: true })));

/** Every file's name of a bundle. */
const filesOf = (output: string) => readdirSync(output, { recursive: true, encoding: "utf8" });
const converters = (output: string) => filesOf(output).filter((file) => /convert.*worker/.test(file));

async function expectAnswers(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await page.waitForFunction(() => "outcome" in globalThis);
  expect(await page.evaluate(() => (globalThis as any).outcome)).toEqual(Array(2).fill([11, 22, 33]));
  if (address.includes("~isolated")) expect(await page.evaluate(() => (globalThis as any).threads)).toEqual([[expect.any(Number), expect.stringMatching(/^there are \d+ cores$/)], [1, expect.any(String)]]);
}

async function expectBuilt(page: Page, output: string): Promise<void> {
  const { address, close } = await serve({ root: output });
  try {
    await expectAnswers(page, `${address}/site/`);
    // The other threads' script is a file of its own, too.
    await expectAnswers(page, `${address}/~isolated/site/`);
  } finally {
    await close();
  }
}

test("Vite builds it", async ({ page }) => {
  const output = join(folder, "vite");
  await vite.build({ root: folder, base: "./", logLevel: "warn", build: { outDir: output } });
  await expectBuilt(page, output);
});

test("Vite builds the converter, for pages that import it", async ({ page }) => {
  const output = join(convertingFolder, "vite");
  await vite.build({ root: convertingFolder, base: "./", logLevel: "warn", build: { outDir: output } });
  expect(converters(output)).not.toEqual([]);
  expect(converters(join(folder, "vite"))).toEqual([]);
  const { address, close } = await serve({ root: output });
  await expectAnswers(page, `${address}/site/`).finally(close);
});

test("Vite serves it while developing", async ({ page }) => {
  const server = await vite.createServer({ root: folder, logLevel: "error", cacheDir: join(folder, ".vite"), server: { host: "127.0.0.1", port: 0 } });
  try {
    await server.listen();
    await expectAnswers(page, server.resolvedUrls!.local[0]!);
  } finally {
    await server.close();
  }
});

async function bundleWithWebpack(context: string, output: string): Promise<void> {
  const stats = await new Promise<webpack.Stats>((resolve, reject) =>
    webpack({ mode: "production", performance: { hints: false }, context, entry: "./main.js", output: { path: output, filename: "main.js" } }, (error, stats) => (stats ? resolve(stats) : reject(error))),
  );
  expect(stats.toJson({ errors: true, warnings: true })).toMatchObject({ errors: [], warnings: [] });
  writeFileSync(join(output, "index.html"), html("./main.js"));
}

test("webpack builds it", async ({ page }) => {
  const output = join(folder, "webpack");
  await bundleWithWebpack(folder, output);
  await expectBuilt(page, output);
});

test("webpack builds the converter", async ({ page }) => {
  const output = join(convertingFolder, "webpack");
  await bundleWithWebpack(convertingFolder, output);
  const { address, close } = await serve({ root: output });
  await expectAnswers(page, `${address}/site/`).finally(close);
});

test("esbuild builds it, with the package's files beside the bundle", async ({ page }) => {
  const output = join(folder, "esbuild");
  mkdirSync(output);
  cpSync(join(installed(), "node_modules/firebrand/dist"), output, { recursive: true });
  const { warnings } = await esbuild.build({ absWorkingDir: folder, entryPoints: ["main.js"], bundle: true, format: "esm", outdir: output, logLevel: "silent" });
  expect(warnings).toEqual([]);
  writeFileSync(join(output, "index.html"), html("./main.js"));
  await expectBuilt(page, output);
});
