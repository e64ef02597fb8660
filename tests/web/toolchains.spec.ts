// The packed package in the tools that people use, each with its default settings: ../toolchains has a project for each.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium, expect, test, type Page } from "@playwright/test";
import { discard, here, runScript, stage } from "../toolchains/installation.mjs";
import { serve } from "../toolchains/server.mjs";
import { addBias } from "./pages/tiny-model.js";
import { installed, packages } from "./places.mjs";

type Site = { address: string; requested: { path: string; bytes: number | undefined }[]; close(): Promise<void> };
type Options = { device?: string; worker?: boolean };
type Answer = { scores?: number[]; device?: string; selfTested?: boolean; threadsReason?: string; kind?: string; message?: string };

interface Toolchain {
  name: string;
  /** The scripts of its package.json that make the site. */
  scripts?: string[][];
  /** The folder that is served, inside the project, and where. */
  output?: string;
  prefix?: string;
  /** A server of the tool's own, in place of ours: the arguments of npm. */
  server?: string[];
  /** Whether its project uses the converter. */
  converts?: boolean;
  /** Whether its project has a worker of its own that imports the package. */
  ownWorker?: boolean;
  /** Whether it takes long: only with FIREBRAND_TOOLCHAINS=all. */
  slow?: boolean;
}

const toolchains: Toolchain[] = [
  { name: "static", prefix: "/under/a/prefix/", ownWorker: true, converts: true },
  { name: "import-map", prefix: "/under/a/prefix/" },
  { name: "vite", scripts: [["build"]], output: "dist", ownWorker: true, converts: true },
  { name: "vite", scripts: [["build", "--base=/under/a/prefix/"]], output: "dist", prefix: "/under/a/prefix/", ownWorker: true, slow: true, converts: true },
  { name: "vite", server: ["run", "dev", "--", "--host=127.0.0.1", "--strictPort", "--port"], ownWorker: true, converts: true },
  { name: "esbuild", scripts: [["build"]], prefix: "/under/a/prefix/", converts: true },
  { name: "webpack", scripts: [["build"]], prefix: "/under/a/prefix/", ownWorker: true, slow: true, converts: true },
  { name: "rollup", scripts: [["build"]], prefix: "/under/a/prefix/", slow: true, converts: true },
  { name: "parcel", scripts: [["build"]], output: "dist", prefix: "/under/a/prefix/", ownWorker: true, slow: true, converts: true },
  { name: "next", server: ["run", "dev", "--", "--hostname=127.0.0.1", "--port"], slow: true, converts: true },
  { name: "next", scripts: [["build", "--webpack"]], server: ["run", "start", "--", "--hostname=127.0.0.1", "--port"], slow: true, converts: true },
  { name: "next", scripts: [["build"]], server: ["run", "start", "--", "--hostname=127.0.0.1", "--port"], slow: true, converts: true },
];
const hasAll = process.env.FIREBRAND_TOOLCHAINS === "all";
const wanted = toolchains.filter(({ slow }) => hasAll || !slow);
const tag = { tag: "@toolchain" };

const expected: number[] = JSON.parse(readFileSync(join(here, "answer.json"), "utf8"));
const worst = ({ scores = [] }: Answer) => (scores.length === expected.length ? Math.max(...scores.map((score, at) => Math.abs(score - expected[at]!))) : Infinity);

let model: Site;
let manifest: string;
test.beforeAll(async () => {
  model = await serve(join(packages, "tiny"), { cors: true });
  manifest = `${model.address}manifest.json`;
});
test.afterAll(() => model.close());

async function classify(page: Page, options: Options, by = "classify"): Promise<Answer> {
  await page.waitForFunction((by) => by in globalThis, by);
  return page.evaluate(([by, manifest, options]) => (globalThis as any)[by](manifest, options), [by, manifest, options] as const);
}

function expectRight(answer: Answer, device: string): void {
  expect(answer).toMatchObject({ device, selfTested: true });
  expect(worst(answer)).toBeLessThanOrEqual(1e-5);
}

const binaryBytes = (build: string) => statSync(join(installed(), `node_modules/firebrand/dist/wasm/${build}/firebrand_bg.wasm`)).size;

/** Starts a tool's own server, on a port that is free. */
async function start(folder: string, args: string[]): Promise<Site> {
  const port = await new Promise<number>((done) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => done(port));
    });
  });
  // A group of its own, since npm starts the tool as its child.
  const child: ChildProcess = spawn("npm", [...args, String(port)], { cwd: folder, detached: true, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1" } });
  let said = "";
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (text) => (said += text));
  const address = `http://127.0.0.1:${port}/`;
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  const close = async () => {
    if (child.exitCode === null) process.kill(-child.pid!);
    await ended;
  };
  for (const since = Date.now(); ; await new Promise((done) => setTimeout(done, 100))) {
    if ((await fetch(address).catch(() => undefined))?.ok) return { address, requested: [], close };
    if (child.exitCode !== null || Date.now() - since > 60_000) {
      await close();
      throw new Error(`npm ${args.join(" ")} did not answer:\n${said}`);
    }
  }
}

for (const { name, scripts = [], output = "", prefix, server, ownWorker, converts } of wanted) {
  test(`${name}${scripts.map((script) => `, ${script.join(" ")}`).join("")}${server ? `, ${server[1]}` : ""}`, tag, async ({ page }) => {
    test.setTimeout(240_000);
    let folder: string | undefined;
    let site: Site | undefined;
    let isolated: Site | undefined;
    try {
      folder = stage(name);
      for (const [script, ...args] of scripts) await runScript(folder, script!, ...args);
      site = server ? await start(folder, server) : await serve(join(folder, output), { prefix });
      const problems: string[] = [];
      page.on("console", (message) => void (message.type() === "error" && !message.location().url.endsWith("/favicon.ico") && problems.push(message.text())));
      page.on("pageerror", (error) => void problems.push(String(error)));
      await page.goto(site.address);
      if (name === "next") expect(await page.textContent("#server")).toBe(JSON.parse(readFileSync(join(installed(), "node_modules/firebrand/package.json"), "utf8")).version);
      expectRight(await classify(page, { device: "cpu" }), "cpu");
      expectRight(await classify(page, { device: "cpu", worker: false }), "cpu");
      if (ownWorker) {
        expectRight(await classify(page, { device: "cpu" }, "classifyInWorker"), "cpu");
        expectRight(await classify(page, { device: "cpu", worker: false }, "classifyInWorker"), "cpu");
      }
      const fetched = site.requested.map(({ bytes }) => bytes);
      if (!server) expect(fetched).toContain(binaryBytes("cpu-relaxed"));
      const large = ["webgpu", "convert"].map(binaryBytes);
      expect(fetched.filter((bytes) => large.includes(bytes!)), "the CPU needs neither WebGPU's binary nor the converter's").toEqual([]);
      expectRight(await classify(page, { device: "webgpu" }), "webgpu");
      if (converts) {
        for (const worker of [true, false]) {
          const model = await page.evaluate(([model, options]) => (globalThis as any).convert(model, options), [[...addBias()], { worker }] as const);
          expect(model.length).toBeGreaterThan(100);
        }
      }
      if (!server) {
        isolated = await serve(join(folder, output), { prefix, isolated: true });
        await page.goto(isolated.address);
        const answer = await classify(page, { device: "cpu" });
        expectRight(answer, "cpu");
        expect(answer.threadsReason).toMatch(/^there are \d+ cores$/);
      }
      expect(problems).toEqual([]);
    } finally {
      await site?.close();
      await isolated?.close();
      discard(folder);
    }
  });
}

/** A page with a script in it, beside a project's files. */
async function onPage(folder: string, script: string, use: (address: string) => Promise<void>, options = {}): Promise<void> {
  writeFileSync(join(folder, "page.html"), `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Page</title>${script}</head></html>\n`);
  const site = await serve(folder, options);
  await use(`${site.address}page.html`).finally(site.close);
}

test.describe("what cannot work says what to do", tag, () => {
  let folder: string;
  test.beforeAll(async () => {
    folder = stage("esbuild");
    await runScript(folder, "bundle");
    await runScript(folder, "script");
  });
  test.afterAll(() => discard(folder));

  for (const [where, options] of [["a worker", {}], ["the page", { worker: false }]] as const) {
    test(`esbuild leaves the package's files behind, in ${where}`, async ({ page }) => {
      await onPage(folder, '<script type="module" src="dist/main.js"></script>', async (address) => {
        await page.goto(address);
        expect(await classify(page, options)).toMatchObject({ kind: "network", message: expect.stringContaining("copy node_modules/firebrand/dist beside the bundle") });
      });
    });

    test(`a script that is no module does not know its address, in ${where}`, async ({ page }) => {
      await onPage(folder, '<script src="dist/script.js"></script>', async (address) => {
        await page.goto(address);
        expect(await classify(page, options)).toMatchObject({ kind: "network", message: expect.stringMatching(/import\.meta\.url is empty.*--format=esm.*type="module"/) });
      });
    });

    test(`a page from a file, in ${where}`, async ({ page }) => {
      await onPage(folder, '<script src="dist/script.js"></script>', async () => {
        await page.goto(pathToFileURL(join(folder, "page.html")).href);
        expect(await classify(page, options)).toMatchObject({ kind: "network", message: expect.stringMatching(/opened from a file \(file:\).*serve its folder over HTTP/) });
      });
    });
  }

  test("a service worker that was given no code beforehand", async ({ page }) => {
    const plain = stage("static");
    try {
      writeFileSync(join(plain, "service-worker.js"), readFileSync(join(plain, "own-worker.js"), "utf8").replace("addEventListener", 'addEventListener("install", () => skipWaiting());\naddEventListener("activate", (event) => event.waitUntil(clients.claim()));\naddEventListener').replace("postMessage(await", "source.postMessage(await").replace("({ data })", "({ data, source })"));
      await onPage(plain, "", async (address) => {
        await page.goto(address);
        const answer = await page.evaluate(async (call) => {
          const heard = new Promise<Answer>((resolve) => navigator.serviceWorker.addEventListener("message", ({ data }) => resolve(data)));
          navigator.serviceWorker.startMessages();
          await navigator.serviceWorker.register("service-worker.js", { type: "module" });
          (await navigator.serviceWorker.ready).active!.postMessage(call);
          return heard;
        }, [manifest, { device: "cpu" }] as const);
        expect(answer).toMatchObject({ kind: "network", message: expect.stringContaining('import "firebrand/service-worker"') });
      });
    } finally {
      discard(plain);
    }
  });
});

test.describe("the package on another origin", tag, () => {
  let folder: string;
  let elsewhere: Site;
  const script = (address: string) => `<script type="module">
    import { FirebrandError, Tensor, load } from "${address}node_modules/firebrand/dist/index.js";
    import { classifier } from "./classify.js";
    globalThis.classify = classifier({ FirebrandError, Tensor, load });
    globalThis.convert = async (model, options) => [...(await (await import("${address}node_modules/firebrand/dist/convert.js")).convert(new Uint8Array(model), options)).model];
  </script>`;
  test.beforeAll(async () => {
    folder = stage("static");
    elsewhere = await serve(folder, { cors: true });
  });
  test.afterAll(async () => {
    await elsewhere.close();
    discard(folder);
  });

  test("that allows it by CORS: in a worker, and without one", async ({ page }) => {
    await onPage(folder, script(elsewhere.address), async (address) => {
      const workers: string[] = [];
      page.on("worker", (worker) => workers.push(worker.url()));
      await page.goto(address);
      expectRight(await classify(page, { device: "cpu" }), "cpu");
      expect(workers).toEqual([expect.stringMatching(/^blob:/)]);
      expectRight(await classify(page, { device: "cpu", worker: false }), "cpu");
      expect((await page.evaluate((model) => (globalThis as any).convert(model, {}), [...addBias()])).length).toBeGreaterThan(100);
    });
  });
});

if (hasAll) test("a bundle on another origin says why it has no worker, and does without one", tag, async ({ page }) => {
  const folder = stage("vite");
  let elsewhere: Site | undefined;
  try {
    elsewhere = await serve(join(folder, "dist"), { cors: true });
    await runScript(folder, "build", `--base=${elsewhere.address}`);
    const site = await serve(join(folder, "dist"));
    try {
      await page.goto(site.address);
      expect(await classify(page, { device: "cpu" })).toMatchObject({ kind: "network", message: expect.stringMatching(/only from the page's own origin.*or pass worker: false/) });
      expectRight(await classify(page, { device: "cpu", worker: false }), "cpu");
    } finally {
      await site.close();
    }
  } finally {
    await elsewhere?.close();
    discard(folder);
  }
});

/** Both are the same extension: as it is, and with its service worker in one file. */
const extensions: Record<string, () => Promise<string>> = {
  "an extension's service worker": async () => stage("extension"),
  "an extension's service worker, built with esbuild": async () => {
    const folder = stage("esbuild");
    const manifest = JSON.parse(readFileSync(join(here, "extension/manifest.json"), "utf8"));
    writeFileSync(join(folder, "manifest.json"), JSON.stringify({ ...manifest, background: { service_worker: "dist/main.js", type: "module" } }));
    writeFileSync(join(folder, "src/main.js"), `import "firebrand/service-worker";\n${readFileSync(join(folder, "src/main.js"), "utf8")}`);
    await runScript(folder, "build");
    return folder;
  },
};

for (const [name, make] of Object.entries(extensions)) {
  if (!hasAll) continue;
  test(name, tag, async () => {
    const folder = await make();
    const profile = mkdtempSync(join(tmpdir(), "firebrand-extension-"));
    const { executablePath, args = [] } = test.info().project.use.launchOptions!;
    const context = await chromium.launchPersistentContext(profile, { executablePath, args: [...args, `--disable-extensions-except=${folder}`, `--load-extension=${folder}`] });
    try {
      const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker", { timeout: 20_000 }));
      for (const device of ["cpu", "webgpu"]) {
        expectRight(await worker.evaluate(([manifest, device]) => (globalThis as any).classify(manifest, { device }), [manifest, device] as const), device);
      }
    } finally {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
      discard(folder);
    }
  });
}
