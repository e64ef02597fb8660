// Hosts, browsers' caches and connections that make it hard: what works all the same, and what is said where it cannot.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, expect, test, type BrowserContext, type Page } from "@playwright/test";
import { installed, packages } from "./places.mjs";
import { many, serve } from "./server.mjs";
import { hardware, openPage } from "./stubs.ts";

/* The page's own names; see pages/page.js. */
declare const load: any, Tensor: any, rejection: any, answers: any, pixels: any;

let server: { address: string; unfinished(): string[]; close(): Promise<void> };
test.beforeAll(async () => void (server = await serve()));
test.afterAll(() => server.close());

let complaints: string[];
test.beforeEach(({ page }) => {
  complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
});
test.afterEach(() => expect(complaints).toEqual([]));

const open = (page: Page, switches = "", stubs: (() => void)[] = []) => openPage(page, `${server.address}/${switches}pages/blank.html`, stubs);

/** The names of what is fetched from now on, from the package's folder. */
function fetches(context: BrowserContext): string[] {
  const names: string[] = [];
  context.on("request", (request) => void (/\/packages\//.test(request.url()) && names.push(request.url().split("/").at(-1)!)));
  return names;
}

const tiny = join(packages, "tiny");
const total = readdirSync(tiny).filter((name) => name !== "manifest.json").reduce((sum, name) => sum + readFileSync(join(tiny, name)).length, 0);
const manifest = "../packages/tiny/manifest.json";
const { version } = JSON.parse(readFileSync(join(installed(), "node_modules/firebrand/package.json"), "utf8"));

/** Loads the tiny package; whether its golden sample came out right, and what was told of the progress. */
const loadTiny = (page: Page, switches = "", options = {}) =>
  page.evaluate(
    async ([source, options]) => {
      const told: { phase: string; loaded: number; total?: number }[] = [];
      const session = await load(source, { device: "cpu", ...(options as object), onProgress: (progress: any) => told.push(progress) });
      // It stays: what is fetched is kept in the background.
      return { passed: session.info.selfTest.passed, told };
    },
    [`../${switches}${manifest.slice(3)}`, options] as const,
  );

/** How many of the tiny package's files are kept, and whether each is what it is called. */
const kept = (page: Page) =>
  page.evaluate(async () => {
    const cache = await caches.open("firebrand-packages");
    const hex = (buffer: ArrayBuffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
    let count = 0;
    for (const { url } of await cache.keys()) {
      const hash = /\/sha256\/(.*)$/.exec(url)?.[1];
      if (hash === undefined) continue;
      if (hex(await crypto.subtle.digest("SHA-256", await (await cache.match(url))!.arrayBuffer())) !== hash) return "damaged";
      count++;
    }
    return count;
  });

test.describe("scripts that are not there, or served as something else", () => {
  const cases: [what: string, switches: string, worker: boolean, message: RegExp][] = [
    ["a page for the script beside the WebAssembly", "~html-glue/", true, /\/wasm\/cpu-relaxed\/firebrand\.js answered 200 OK \(text\/html.*\): expected JavaScript.*deploy the package's dist folder as a whole/],
    ["a page for the script that works in place", "~html-host/", false, /\/dist\/host\.js answered 200 OK \(text\/html.*\).*deploy the package's dist folder as a whole/],
    ["the worker served as plain text", "~worker-as-text/", true, /\/dist\/worker\.js answered 200 OK \(text\/plain\); expected JavaScript \(text\/javascript\): deploy/],
  ];
  for (const [what, switches, worker, message] of cases) {
    test(what, async ({ page }) => {
      await open(page, switches);
      const error = await page.evaluate((worker) => rejection(load("../made/add.onnx", { device: "cpu", worker })), worker);
      expect(error).toMatchObject({ kind: "network", message: expect.stringMatching(message) });
    });
  }
});

test.describe("files of two versions", () => {
  const wasm = "**/wasm/cpu-relaxed/firebrand_bg.wasm";
  const older = version.replace(/\d+$/, (patch: string) => String((Number(patch) + 1) % 10));

  for (const worker of [true, false]) {
    test(`old WebAssembly under new JavaScript is told with both versions, worker: ${worker}`, async ({ page }) => {
      await page.route(wasm, async (route) => {
        const response = await route.fetch();
        const body = Buffer.from((await response.body()).toString("latin1").replaceAll(version, older), "latin1");
        await route.fulfill({ response, body });
      });
      await open(page);
      const error = await page.evaluate((worker) => rejection(load("../made/add.onnx", { device: "cpu", worker })), worker);
      expect(error.kind).toBe("version_mismatch");
      expect(error.message).toContain(`expected the WebAssembly of Firebrand ${version}, got that of ${older}`);
      expect(error.message).toMatch(/firebrand_bg\.wasm: .*deploy the package's dist folder .* as a whole, purge caches/);
    });
  }

  test("WebAssembly that does not fit the script beside it is told as such", async ({ page }) => {
    await page.route(wasm, async (route) => route.fulfill({ response: await route.fetch({ url: route.request().url().replace("cpu-relaxed", "webgpu") }) }));
    await open(page);
    const error = await page.evaluate(() => rejection(load("../made/add.onnx", { device: "cpu" })));
    expect(error).toMatchObject({ kind: "version_mismatch", message: expect.stringMatching(/firebrand_bg\.wasm does not fit .*firebrand\.js \(.*\): expected both to be of Firebrand .*deploy/) });
  });
});

test.describe("compression", () => {
  for (const switches of ["~gzip/", "~br/"]) {
    test(`of everything gives right progress, never more than all: ${switches}`, async ({ page }) => {
      await open(page, switches);
      const { passed, told } = await loadTiny(page, "", { cache: "none" });
      expect(passed).toBe(true);
      const model = told.filter(({ phase }) => phase === "model");
      for (const step of model) expect(step.total).toBe(total);
      expect(model.at(-1)!.loaded).toBe(total);
      const runtime = told.filter(({ phase }) => phase === "runtime");
      const size = readFileSync(join(installed(), "node_modules/firebrand/dist/wasm/cpu-relaxed/firebrand_bg.wasm")).length;
      expect(runtime.at(-1)).toMatchObject({ loaded: size, total: size });
      for (const { loaded, total } of told) if (total !== undefined) expect(loaded).toBeLessThanOrEqual(total);

      const bare = await page.evaluate(async () => {
        const told: any[] = [];
        await answers(await load("../made/add.onnx", { device: "cpu", onProgress: (progress: any) => progress.phase === "model" && told.push(progress) }));
        return told;
      });
      for (const { loaded, total } of bare) if (total !== undefined) expect(loaded).toBe(total);
    });
  }
});

test.describe("connections that are cut", () => {
  const cases: [what: string, switches: string][] = [
    ["again and again, by a host that knows ranges", "~trickle-1500/"],
    ["once, by a host that knows none", "~once-1500/"],
  ];
  for (const [what, switches] of cases) {
    test(`a package comes whole: ${what}`, async ({ page }) => {
      await open(page);
      const { passed, told } = await loadTiny(page, switches, { cache: "none" });
      expect(passed).toBe(true);
      expect(told.filter(({ phase }) => phase === "model").at(-1)).toEqual({ phase: "model", loaded: total, total });
      for (const { loaded, total } of told) if (total !== undefined) expect(loaded).toBeLessThanOrEqual(total);
    });
  }

  test("a model without a manifest comes whole where the host knows ranges", async ({ page }) => {
    await open(page);
    const ranges: (string | undefined)[] = [];
    page.context().on("request", (request) => void (request.url().endsWith(".onnx") && ranges.push(request.headers()["range"])));
    const { top, loads } = await page.evaluate(async () => {
      const loads: number[] = [];
      const session = await load("../~trickle-2000000/models/squeezenet1.1.onnx", { device: "cpu", onProgress: ({ phase, loaded }: any) => phase === "model" && loads.push(loaded) });
      const { probabilities } = await session.run({ data: new Tensor("float32", new Float32Array(3 * 227 * 227), [1, 3, 227, 227]) });
      return { top: probabilities.shape, loads };
    });
    expect(top).toEqual([1, 1000]);
    expect(loads).toEqual([...loads].sort((a, b) => a - b));
    expect(ranges).toEqual([undefined, "bytes=2000000-", "bytes=4000000-"]);
  });
});

test.describe("another origin", () => {
  let other: { address: string; close(): Promise<void> };
  test.beforeAll(async () => void (other = await serve()));
  test.afterAll(() => other.close());

  for (const switches of ["", "~trickle-1500/", "~gzip/"]) {
    test(`that allows it gives packages and models as one's own does: ${switches || "plain"}`, async ({ page }) => {
      await open(page);
      const { passed, last, sum } = await page.evaluate(async (address) => {
        let last: any;
        const session = await load(`${address}packages/tiny/manifest.json`, { device: "cpu", cache: "none", onProgress: (progress: any) => progress.phase === "model" && (last = progress) });
        return { passed: session.info.selfTest.passed, last, sum: await answers(await load(`${address}made/external.onnx`, { device: "cpu" })) };
      }, `${other.address}/~cors/${switches}`);
      expect({ passed, last, sum }).toEqual({ passed: true, last: { phase: "model", loaded: total, total }, sum: [11, 22, 33] });
    });
  }

  test("that does not is told what it must send", async ({ page }) => {
    await open(page);
    const errors = await page.evaluate(async (address) => [await rejection(load(`${address}/packages/tiny/manifest.json`, { device: "cpu" })), await rejection(load(`${address}/made/add.onnx`, { device: "cpu" }))], other.address);
    for (const error of errors) expect(error).toMatchObject({ kind: "network", message: expect.stringMatching(/could not be fetched .*for another origin that its server sends CORS headers/) });
  });
});

test.describe("an abort ends the transfers too", () => {
  const cases: [what: string, source: string, phase: string, page: string][] = [
    ["of a model", "../~slow-100000/models/squeezenet1.1.onnx", "model", ""],
    ["of a package", "../~slow-data-100/packages/tiny/manifest.json", "model", ""],
    ["of the runtime", "../made/add.onnx", "runtime", "~slow-100000/"],
  ];
  for (const [what, source, phase, switches] of cases) {
    for (const worker of [true, false]) {
      test(`${what}, worker: ${worker}`, async ({ page }) => {
        await open(page, switches);
        const { error, took } = await page.evaluate(
          async ([source, phase, worker]) => {
            const control = new AbortController();
            let hasBegun = false;
            let aborted = 0;
            const onProgress = (progress: any) => {
              if (progress.phase !== phase || hasBegun) return;
              hasBegun = true;
              // By then all that goes on at once has begun.
              setTimeout(() => ((aborted = performance.now()), control.abort()), 200);
            };
            const error = await rejection(load(source, { device: "cpu", cache: "none", worker, signal: control.signal, onProgress }));
            return { error, took: performance.now() - aborted };
          },
          [source, phase, worker] as const,
        );
        expect(error.kind).toBe("aborted");
        expect(took).toBeLessThan(500);
        // Chromium itself reads on for up to 5 s where little is left, so as to use the connection again.
        await expect.poll(() => server.unfinished(), { timeout: 8000 }).toEqual([]);
      });
    }
  }
});

test.describe(`a model in ${many} files, over HTTP/1.1 with its six connections`, () => {
  const sum = [10, 20, 30].map((value, axis) => value + ((axis + 1) * many * (many - 1)) / 2);
  for (const [what, file] of [["a model", "graph.onnx"], ["a package", "manifest.json"]]) {
    test(`loads, and two at once do: ${what}`, async ({ page }) => {
      await open(page);
      const sums = await page.evaluate(async (source) => {
        const sessions = await Promise.all([0, 1].map(() => load(source, { device: "cpu", cache: "none" })));
        return Promise.all(sessions.map((session) => answers(session)));
      }, `../~slow-4000/made/many/${file}`);
      expect(sums).toEqual([sum, sum]);
    });
  }

  test("and names the one that is missing", async ({ page }) => {
    await page.route("**/w17.bin", (route) => route.fulfill({ status: 404, contentType: "text/plain", body: "none" }));
    await open(page);
    const errors = await page.evaluate(async () => [await rejection(load("../made/many/graph.onnx", { device: "cpu" })), await rejection(load("../made/many/manifest.json", { device: "cpu", cache: "none" }))]);
    for (const error of errors) expect(error).toMatchObject({ kind: "missing_external_data", file: expect.stringMatching(/w17\.bin$/), message: expect.stringMatching(/404/) });
  });
});

test("what is wrong with a package's shard has a message of its own", async ({ page }) => {
  await open(page);
  const told: Record<string, string> = {};
  for (const [what, switches] of Object.entries({ truncated: "~cut-data-100/", page: "~html-data/", empty: "~empty-data/", missing: "~missing-data/" })) {
    const error = await page.evaluate((source) => rejection(load(source, { device: "cpu", cache: "none" })), `../${switches}packages/tiny/manifest.json`);
    told[what] = `${error.kind}: ${error.message.replace(/^\S+\/(weights|golden)-[0-9a-f]{64}\.bin/, "the shard")}`;
  }
  expect(told).toEqual({
    truncated: expect.stringMatching(/^integrity: the shard: expected \d+ bytes, got 100 bytes: this is not the file that the manifest names/),
    page: expect.stringMatching(/^missing_external_data: the shard: the package needs this file, and got a web page \(status 200, text\/html/),
    empty: expect.stringMatching(/^integrity: the shard: expected \d+ bytes, got 0 bytes: /),
    missing: expect.stringMatching(/^missing_external_data: the shard: the package needs this file, and the server answered 404 Not Found; publish the package's whole folder/),
  });
});

test("a strict Content-Security-Policy is enough for the move to the GPU", async ({ page }) => {
  const violations: string[] = [];
  page.on("console", (message) => void (/Content.Security.Policy/i.test(message.text()) && violations.push(message.text())));
  await open(page, "~csp/", [hardware]);
  const reason = await page.evaluate(async () => {
    const session = await load("../made/add.onnx");
    await session.warmup(undefined, { awaitDevice: true });
    return session.info.deviceReason;
  });
  expect(reason).toMatch(/^WebGPU \(acme\) (gives the CPU's answers|is not clearly quicker)/);
  expect(violations).toEqual([]);
});

test.describe("the browser's cache", () => {
  const full = () => {
    Cache.prototype.put = async () => {
      throw new DOMException("the quota is used up", "QuotaExceededError");
    };
  };
  const absent = () => void Reflect.deleteProperty(globalThis, "caches");
  const forbidden = () => Object.defineProperty(globalThis, "caches", { get: () => { throw new DOMException("no", "SecurityError"); } });
  const broken = () => {
    Cache.prototype.match = async () => {
      throw new Error("the disk fails");
    };
  };
  const stuck = () => {
    CacheStorage.prototype.open = async () => {
      throw new DOMException("Internal error.", "UnknownError");
    };
  };
  for (const [what, stub] of Object.entries({ full, absent, forbidden, broken, stuck })) {
    test(`may be ${what}`, async ({ page }) => {
      await open(page, "", [stub]);
      for (const worker of [true, false]) expect((await loadTiny(page, "", { worker })).passed).toBe(true);
    });
  }

  test("serves two pages that load the same package at once, and is whole afterwards", async ({ page, context }) => {
    const other = await context.newPage();
    await Promise.all([open(page), open(other)]);
    const both = await Promise.all([page, other].map((one) => loadTiny(one, "~slow-20000/")));
    expect(both.map(({ passed }) => passed)).toEqual([true, true]);
    await expect.poll(() => kept(page)).toBe(5);
    const names = fetches(context);
    expect((await loadTiny(other, "~slow-20000/")).passed).toBe(true);
    expect(names).toEqual(["manifest.json"]);
  });

  test("ends with a private window, and outlives the browser elsewhere", async ({ browser }) => {
    const { launchOptions } = test.info().project.use;
    const profile = mkdtempSync(join(tmpdir(), "firebrand-profile-"));
    const visit = async (context: BrowserContext) => {
      const page = await context.newPage();
      await open(page);
      const names = fetches(context);
      expect((await loadTiny(page)).passed).toBe(true);
      await expect.poll(() => kept(page)).toBe(5);
      await context.close();
      return names;
    };
    try {
      // A context of Playwright's is a private window.
      for (let turn = 0; turn < 2; turn++) expect(await visit(await browser.newContext())).toHaveLength(6);
      expect(await visit(await chromium.launchPersistentContext(profile, { ...launchOptions, headless: true }))).toHaveLength(6);
      expect(await visit(await chromium.launchPersistentContext(profile, { ...launchOptions, headless: true }))).toEqual(["manifest.json"]);
    } finally {
      rmSync(profile, { recursive: true });
    }
  });
});
