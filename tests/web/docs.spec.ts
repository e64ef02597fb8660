// The documentation's examples for pages, as they are written, with the models that they name. The others are docs.test.mjs'.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, type Page } from "@playwright/test";
import * as vite from "vite";
import { blockNamed, blocksOf } from "./markdown.mjs";
import { data, installed, models } from "./places.mjs";
import { serve } from "./server.mjs";

/* The page's own names; see pages/page.js. */
declare const load: any, pixels: any, rejection: any;

let folder: string;
let complaints: string[];
test.beforeAll(() => void (folder = mkdtempSync(join(installed(), "documented-"))));
test.afterAll(() => rmSync(folder, { recursive: true }));
test.beforeEach(({ page }) => {
  complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
});
test.afterEach(() => expect(complaints).toEqual([]));

/** What a page says in the end, served from a folder of its own. */
async function expectAnswer(page: Page, output: string, answer: RegExp): Promise<void> {
  const { address, close } = await serve({ root: output });
  try {
    await page.goto(`${address}/site/`);
    await expect(page.locator("p")).toHaveText(answer, { timeout: 30_000 });
  } finally {
    await close();
  }
}

/** A folder with the model, its labels and the photo of start.md. */
function place(name: string): string {
  const made = join(folder, name);
  mkdirSync(made, { recursive: true });
  copyFileSync(join(models, "squeezenet1.1.onnx"), join(made, "squeezenet1.1.onnx"));
  copyFileSync(join(data, "imagenet-labels.json"), join(made, "imagenet-labels.json"));
  copyFileSync(join(data, "photos/coffee.png"), join(made, "photo.png"));
  return made;
}

test("start.md: a page without a bundler", async ({ page }) => {
  const output = place("plain");
  symlinkSync(join(installed(), "node_modules/firebrand/dist"), join(output, "firebrand"));
  writeFileSync(join(output, "index.html"), blockNamed("docs/start.md", "page").text);
  await expectAnswer(page, output, /^espresso, on (cpu|webgpu)$/);
});

test("start.md: with Vite", async ({ page }) => {
  const project = join(folder, "vite");
  place("vite/public");
  writeFileSync(join(project, "index.html"), '<!doctype html><html lang="en"><head><title>Vite</title></head><body><img src="/photo.png"><p></p><script type="module" src="/main.js"></script></body></html>');
  writeFileSync(join(project, "main.js"), blockNamed("docs/start.md", "vite").text);
  const output = join(project, "dist");
  await vite.build({ root: project, base: "./", logLevel: "warn", build: { outDir: output } });
  await expectAnswer(page, output, /^class 967, with 98\.9 %$/);
});

test("README.md: the example in JavaScript", async ({ page }) => {
  const [example] = blocksOf("README.md").filter(({ info }: { info: string[] }) => info[0] === "js");
  const said: string[] = [];
  page.on("console", (message) => said.push(message.text()));
  const { address, close } = await serve();
  try {
    await page.goto(`${address}/pages/blank.html`);
    await page.setContent('<script type="importmap">{ "imports": { "firebrand": "/pkg/dist/index.js" } }</script><img src="/data/photos/coffee.png">');
    await page.addScriptTag({ type: "module", content: `${example.text}\nglobalThis.isDone = true;` });
    await page.waitForFunction(() => "isDone" in globalThis);
    expect(said.join("\n")).toMatch(/^(cpu|webgpu) .*\n\[1, 1000\] Float32Array\(1000\)$/);
  } finally {
    await close();
  }
});

test("troubleshooting.md: the message of a GPU that goes away", async ({ page }) => {
  test.setTimeout(120_000);
  await page.addInitScript(() => {
    const scope = globalThis as any;
    const request = scope.GPUAdapter.prototype.requestDevice;
    scope.GPUAdapter.prototype.requestDevice = async function (descriptor: unknown) {
      return (scope.gpu = await request.call(this, descriptor));
    };
  });
  const { address, close } = await serve();
  try {
    await page.goto(`${address}/pages/blank.html`);
    await page.waitForFunction(() => "firebrand" in globalThis);
    const { kind, message } = await page.evaluate(async () => {
      const session = await load("../made/add.onnx", { device: "webgpu", worker: false });
      (globalThis as any).gpu.destroy();
      return rejection(session.run({ pixels: pixels(1, 2, 3) }));
    });
    expect(kind).toBe("device_lost");
    const shown = blocksOf("docs/troubleshooting.md").find(({ section }: { section: string }) => section === kind);
    expect(`${message}\n`).toBe(shown?.text);
  } finally {
    await close();
  }
});
