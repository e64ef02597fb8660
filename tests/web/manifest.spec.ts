// Packages in a browser: the one that the Rust tests wrote, from hosts that behave and from such that do not.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { expect, test, type Page } from "@playwright/test";
import { Ajv2020 } from "ajv/dist/2020.js";
import esbuild from "esbuild";
import * as vite from "vite";
import webpack from "webpack";
import { installed, packages } from "./places.mjs";
import { serve } from "./server.mjs";

/* The page's own names; see pages/page.js. */
declare const load: any, Tensor: any, rejection: any, firebrand: any;

let server: { address: string; close(): Promise<void> };
test.beforeAll(async () => void (server = await serve()));
test.afterAll(() => server.close());

let complaints: string[];
test.beforeEach(({ page }) => {
  complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
});
test.afterEach(() => expect(complaints).toEqual([]));

async function open(page: Page, switches = ""): Promise<void> {
  await page.goto(`${server.address}/${switches}pages/blank.html`);
  await page.waitForFunction(() => "firebrand" in globalThis);
}

/** The names of what is fetched from now on, from the package's folder or the npm package's. */
function fetches(page: Page): string[] {
  const names: string[] = [];
  page.context().on("request", (request) => void (/\/(packages|pkg)\//.test(request.url()) && names.push(request.url().split("/").at(-1)!)));
  return names;
}

const tiny = join(packages, "tiny");
const manifest = JSON.parse(readFileSync(join(tiny, "manifest.json"), "utf8"));
const source = "../packages/tiny/manifest.json";
const total = readdirSync(tiny).filter((name) => name !== "manifest.json").reduce((sum, name) => sum + readFileSync(join(tiny, name)).length, 0);

test.describe("the JSON Schema", () => {
  const schema = JSON.parse(readFileSync(join(installed(), "node_modules/firebrand/schema/manifest-1.json"), "utf8"));
  const validate = new Ajv2020({ allErrors: true, strict: true, strictRequired: false, strictTypes: false }).compile(schema);

  test("holds for what is written", () => {
    expect(validate(manifest), JSON.stringify(validate.errors)).toBe(true);
    expect(manifest.$schema).toBe(schema.$id);
    const grey = structuredClone(manifest);
    Object.assign(grey.inputs[0].preprocessing, { color: "GRAY", mean: [9], scale: [1] });
    expect(validate(grey), JSON.stringify(validate.errors)).toBe(true);
  });

  const wrong: [what: string, edit: (manifest: any) => void][] = [
    ["a task without a name", (m) => (m.task = {})],
    ["a task with a name in other letters", (m) => (m.task = { name: "File Typing" })],
    ["a task's file outside of the folder", (m) => (m.task = { name: "file-typing", files: { config: { ...m.model, file: "../config.json" } } })],
    ["another schema", (m) => (m.schema = 2)],
    ["a field that is not known", (m) => (m.colour = "red")],
    ["no weights", (m) => delete m.weights],
    ["a version that is none", (m) => (m.version = "1.0")],
    ["a file outside of the folder", (m) => (m.weights[0].file = "../weights.bin")],
    ["a hash that is none", (m) => (m.model.sha256 = "abc")],
    ["a dtype that is none", (m) => (m.inputs[0].dtype = "float99")],
    ["a picture without a layout", (m) => delete m.inputs[0].preprocessing.layout],
    ["three means for the one channel of grey", (m) => (m.inputs[0].preprocessing.color = "GRAY")],
    ["one mean for three channels", (m) => (m.inputs[0].preprocessing.mean = [9])],
    ["a golden output of a seed", (m) => (m.golden.samples[0].outputs.probabilities = m.golden.samples[0].inputs.pixels)],
    ["a negative tolerance", (m) => (m.golden.samples[0].tolerance.relative = -1)],
  ];
  for (const [what, edit] of wrong) {
    test(`refuses ${what}`, () => {
      const other = structuredClone(manifest);
      edit(other);
      expect(validate(other)).toBe(false);
    });
  }
});

test.describe("a package", () => {
  for (const [device, worker] of [["cpu", true], ["cpu", false], ["webgpu", true]] as const) {
    test(`answers on ${device}, worker: ${worker}, under a strict policy`, async ({ page }) => {
      await open(page, "~csp/");
      const { info, labels, name, sum, shape } = await page.evaluate(
        async ([source, device, worker]) => {
          const session = await load(source, { device, worker });
          const { inputs, outputs, name } = session.manifest;
          const photo = new ImageData(Uint8ClampedArray.from({ length: 30 * 20 * 4 }, (_, at) => (at * 7) % 256), 30, 20);
          const pixels = Tensor.fromImage(photo, inputs[0].preprocessing);
          const { probabilities } = await session.run({ pixels });
          const { info } = session;
          await session.dispose();
          return { info, labels: outputs[0].labels, name, sum: probabilities.data.reduce((a: number, b: number) => a + b), shape: probabilities.shape };
        },
        [source, device, worker] as const,
      );
      // The golden sample's input is made of a seed here, as Rust made it when the package was written.
      expect(info.selfTest).toMatchObject({ passed: true, device });
      expect(info.selfTest.maxDifference).toBeLessThan(1e-5);
      expect(name).toBe("tiny");
      expect(labels).toHaveLength(100);
      expect(labels[42]).toBe("thing 42");
      expect(shape).toEqual([1, 100]);
      expect(sum).toBeCloseTo(1, 4);
    });
  }

  test("tells how far it is, in all, and needs one part of the npm package that a bare model does not", async ({ page }) => {
    await open(page);
    const names = fetches(page);
    await page.evaluate(async () => void (await (await load("../made/add.onnx", { device: "cpu" })).dispose()));
    expect(names).not.toContain("package.js");
    names.length = 0;
    const told = await page.evaluate(async (source) => {
      const told: any[] = [];
      await load(source, { device: "cpu", cache: "none", onProgress: (progress: any) => told.push(progress) });
      return told.filter(({ phase }) => phase === "model");
    }, source);
    expect(told.at(-1)).toEqual({ phase: "model", loaded: total, total });
    expect(names.filter((name) => name === "package.js")).toHaveLength(1);
    const files = names.filter((name) => /json|bin|onnx/.test(name)).sort();
    expect(files).toEqual(readdirSync(tiny).sort());
  });

  test("loads again after an abort ended its worker", async ({ page }) => {
    await open(page);
    const { kind, passed } = await page.evaluate(async (source) => {
      const session = await load(source, { device: "cpu" });
      const pixels = () => new Tensor("float32", new Float32Array(192), [1, 3, 8, 8]);
      const control = new AbortController();
      const running = rejection(session.run({ pixels: pixels() }, { signal: control.signal }));
      control.abort();
      const { kind } = await running;
      await session.run({ pixels: pixels() });
      return { kind, passed: session.info.selfTest.passed };
    }, source);
    expect({ kind, passed }).toEqual({ kind: "aborted", passed: true });
  });

  test("is inspected", async ({ page }) => {
    await open(page);
    const report = await page.evaluate((source) => firebrand.inspect(source), source);
    expect(report.operators.map(({ name }: any) => name)).toContain("GlobalAveragePool");
  });
});

test.describe("the cache", () => {
  test("gives the next visit every file but the manifest, verified again", async ({ page }) => {
    await open(page);
    const loadOnce = (options = {}) => page.evaluate(async ([source, options]) => (await load(source, { device: "cpu", ...(options as object) })).info.selfTest.passed, [source, options] as const);
    const inPackage = (names: string[]) => names.filter((name) => /json|bin|onnx/.test(name)).sort();
    await loadOnce();
    const kept = () => page.evaluate(async () => (await (await caches.open("firebrand-packages")).keys()).map(({ url }) => url));
    await expect.poll(async () => (await kept()).filter((url) => url.includes("/sha256/")).length).toBe(5);

    await open(page);
    let names = fetches(page);
    expect(await loadOnce()).toBe(true);
    expect(inPackage(names)).toEqual(["manifest.json"]);

    // One file of the cache is damaged.
    const [{ file, sha256 }] = manifest.weights;
    await page.evaluate(async (hash) => {
      const cache = await caches.open("firebrand-packages");
      const key = `https://firebrand.invalid/sha256/${hash}`;
      const bytes = new Uint8Array(await (await cache.match(key))!.arrayBuffer());
      bytes[100]! ^= 1;
      await cache.put(key, new Response(bytes));
    }, sha256);
    names.length = 0;
    expect(await loadOnce()).toBe(true);
    expect(inPackage(names)).toEqual(["manifest.json", file].sort());

    names.length = 0;
    expect(await loadOnce({ cache: "none" })).toBe(true);
    expect(inPackage(names)).toEqual(readdirSync(tiny).sort());
  });

  test("has nothing of a host that lies", async ({ page }) => {
    await open(page);
    const error = await page.evaluate((source) => rejection(load(source, { device: "cpu" })), `../~flip/${source.slice(3)}`);
    expect(error.kind).toBe("integrity");
    const hashes = await page.evaluate(async () => {
      const cache = await caches.open("firebrand-packages");
      const hex = (buffer: ArrayBuffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
      const found = [];
      for (const { url } of await cache.keys()) found.push([url, hex(await crypto.subtle.digest("SHA-256", await (await cache.match(url))!.arrayBuffer()))]);
      return found;
    });
    for (const [url, hash] of hashes) expect(url).toBe(`https://firebrand.invalid/sha256/${hash}`);
  });

  test("is done without where the page may not have one", async ({ page }) => {
    await page.addInitScript(() => Object.defineProperty(globalThis, "caches", { get: () => { throw new DOMException("no", "SecurityError"); } }));
    await open(page);
    expect(await page.evaluate(async (source) => (await load(source, { device: "cpu", worker: false })).info.selfTest.passed, source)).toBe(true);
  });
});

test.describe("hosts that misbehave", () => {
  const from = (switches: string) => `../${switches}${source.slice(3)}`;
  const attempt = (page: Page, switches: string) => page.evaluate((source) => rejection(load(source, { device: "cpu", cache: "none" })), from(switches));

  for (const [what, switches] of [["compresses", "~gzip/"], ["tells no length", "~chunked/"], ["is slow", "~slow-40000/"], ["drops connections and takes them up again", "~resume-1000/"]]) {
    test(`a host that ${what}`, async ({ page }) => {
      await open(page);
      const { passed, last } = await page.evaluate(async (source) => {
        let last: any;
        const session = await load(source, { device: "cpu", cache: "none", onProgress: (progress: any) => progress.phase === "model" && (last = progress) });
        return { passed: session.info.selfTest.passed, last };
      }, from(switches!));
      expect(passed).toBe(true);
      expect(last).toEqual({ phase: "model", loaded: total, total });
    });
  }

  const cases: [what: string, switches: string, kind: string, message: RegExp][] = [
    ["changes a bit", "~flip/", "integrity", /(weights|golden)-[0-9a-f]{64}\.bin: expected SHA-256 [0-9a-f]{64}, got SHA-256 [0-9a-f]{64}: this is not the file that the manifest names; publish/],
    ["cuts files short", "~cut-400/", "invalid_manifest", /manifest\.json: expected a package's manifest, which is JSON/],
    ["answers with a page", "~html/", "invalid_manifest", /manifest\.json: expected a package's manifest, got a web page \(status 200, text\/html/],
    ["has pages for the weights", "~html-data/", "missing_external_data", /\.bin: the package needs this file, and got a web page \(status 200/],
    ["always drops the connection", "~drop-700/", "network", /\/packages\/tiny\/.*: the connection ended \(.*\), after 700 of \d+ bytes and 4 tries in vain/],
    ["fails", "~status-503/", "network", /manifest\.json: the server answered 503/],
    ["is forbidden", "~status-403/", "network", /manifest\.json: the server answered 403/],
  ];
  for (const [what, switches, kind, message] of cases) {
    test(`a host that ${what}`, async ({ page }) => {
      await open(page);
      const error = await attempt(page, switches);
      expect(error).toMatchObject({ kind, message: expect.stringMatching(message) });
      expect(error.file).toMatch(/^http/);
      await expect.poll(() => page.workers().length, "its worker is ended").toBe(0);
    });
  }

  test("the part for packages is missing", async ({ page }) => {
    await page.route("**/package.js", (route) => route.fulfill({ status: 404, contentType: "text/plain", body: "none" }));
    await open(page);
    const error = await page.evaluate((source) => rejection(load(source, { device: "cpu", worker: false })), source);
    expect(error).toMatchObject({ kind: "network", message: expect.stringMatching(/package\.js.*404.*deploy the package's dist folder as a whole/) });
  });

  test("an abort in the middle ends the worker and its transfers", async ({ page }) => {
    await open(page);
    const error = await page.evaluate(async (source) => {
      const control = new AbortController();
      return rejection(load(source, { device: "cpu", cache: "none", signal: control.signal, onProgress: ({ phase }: any) => phase === "model" && control.abort() }));
    }, from("~slow-4000/"));
    expect(error.kind).toBe("aborted");
    await expect.poll(() => page.workers().length).toBe(0);
  });
});

test.describe("bundlers carry the part for packages along", () => {
  const html = (script: string) => `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Bundled</title><script type="module" src="${script}"></script></head></html>\n`;
  const program = `
    import { load } from "firebrand";
    globalThis.outcome = Promise.all([true, false].map((worker) => load("/packages/tiny/manifest.json", { device: "cpu", worker }))).then(
      (sessions) => sessions.map(({ info, manifest }) => [manifest.name, info.selfTest.passed]),
      (error) => [error.kind, error.message],
    );
  `;
  let folder: string;
  test.beforeAll(() => {
    folder = mkdtempSync(join(installed(), "bundled-"));
    writeFileSync(join(folder, "index.html"), html("./main.js"));
    writeFileSync(join(folder, "main.js"), program);
  });
  test.afterAll(() => rmSync(folder, { recursive: true }));

  async function expectLoaded(page: Page, output: string): Promise<void> {
    const { address, close } = await serve({ root: output });
    try {
      await page.goto(`${address}/~csp/site/`);
      await page.waitForFunction(() => "outcome" in globalThis);
      expect(await page.evaluate(() => (globalThis as any).outcome)).toEqual(Array(2).fill(["tiny", true]));
    } finally {
      await close();
    }
  }

  test("Vite", async ({ page }) => {
    const output = join(folder, "vite");
    await vite.build({ root: folder, base: "./", logLevel: "warn", build: { outDir: output } });
    await expectLoaded(page, output);
  });

  test("webpack", async ({ page }) => {
    const output = join(folder, "webpack");
    const stats = await new Promise<webpack.Stats>((resolve, reject) =>
      webpack({ mode: "production", performance: { hints: false }, context: folder, entry: "./main.js", output: { path: output, filename: "main.js" } }, (error, stats) => (stats ? resolve(stats) : reject(error))),
    );
    expect(stats.toJson({ errors: true, warnings: true })).toMatchObject({ errors: [], warnings: [] });
    writeFileSync(join(output, "index.html"), html("./main.js"));
    await expectLoaded(page, output);
  });

  test("esbuild, with the package's files beside the bundle", async ({ page }) => {
    const output = join(folder, "esbuild");
    mkdirSync(output);
    cpSync(join(installed(), "node_modules/firebrand/dist"), output, { recursive: true });
    await esbuild.build({ absWorkingDir: folder, entryPoints: ["main.js"], bundle: true, format: "esm", outdir: output, logLevel: "silent" });
    writeFileSync(join(output, "index.html"), html("./main.js"));
    await expectLoaded(page, output);
  });
});

test("the part for packages is small", () => {
  const bytes = readFileSync(join(installed(), "node_modules/firebrand/dist/package.js"));
  // Bundlers may inline a file of less than 4 KiB as a data: URL, which no strict policy lets run.
  expect(bytes.length).toBeGreaterThan(4096);
  expect(brotliCompressSync(bytes).length).toBeLessThan(9 * 1024);
});
