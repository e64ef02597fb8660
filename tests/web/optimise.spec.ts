// The page that optimises, as a visitor meets it: built, served under a sub-path, the converter in its worker.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { expect, test, type Download, type Page } from "@playwright/test";
import { addBias, addExternalBias, biasBytes, unsupported } from "./pages/tiny-model.js";
import { cache, data, models, root, site } from "./places.mjs";
import { serve } from "./server.mjs";

const screenshots = join(cache, "screenshots");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const photo = (name: string) => readFileSync(join(data, "photos", name));

// What a test gives in a file's place has to reach the page.
test.use({ serviceWorkers: "block" });

let server: { address: string; close(): Promise<void> };

test.beforeAll(async () => {
  test.setTimeout(180_000);
  if (!process.env.FIREBRAND_SITE) execFileSync("npm", ["run", "--silent", "build"], { cwd: join(root, "www"), stdio: "inherit" });
  mkdirSync(screenshots, { recursive: true });
  server = await serve({ port: 0, root: site });
});
test.afterAll(() => server?.close());

// What holds whatever a visitor does: nothing is asked of another origin, nothing is sent, and nothing is complained about.
let requests: { url: string; method: string }[];
let complaints: string[];

function watch(page: Page): void {
  page.on("request", (request) => requests.push({ url: request.url(), method: request.method() }));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`${message.text()} (${message.location().url})`);
  });
}
test.beforeEach(({ page }) => {
  requests = [];
  complaints = [];
  watch(page);
});
test.afterEach(() => {
  expect(requests.length, "the page asked for something").toBeGreaterThan(0);
  expect(requests.filter(({ url, method }) => method !== "GET" || (!/^(blob|data):/.test(url) && new URL(url).origin !== server.address))).toEqual([]);
  expect(complaints.filter((text) => !text.includes("Service Worker registration blocked by Playwright"))).toEqual([]);
});

async function open(page: Page, switches = ""): Promise<void> {
  await page.goto(`${server.address}/${switches ? `${switches}/` : ""}site/optimise.html`);
}

const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name, exact: typeof name === "string" });
const choose = (page: Page, name: string) => page.getByRole("radio", { name, exact: true }).check({ force: true });
const state = (page: Page, name: string) => page.getByRole("heading", { name, exact: true });
const said = (page: Page) => page.locator("#beside-said");

async function done(page: Page): Promise<void> {
  await expect(page.locator("#done, #failure").filter({ visible: true })).toBeVisible({ timeout: 60_000 });
  await expect(state(page, "Done")).toBeVisible();
}

async function give(page: Page, ...files: { name: string; buffer: Buffer | Uint8Array }[]): Promise<void> {
  await page.locator("#model-files").setInputFiles(files.map(({ name, buffer }) => ({ name, mimeType: "", buffer: Buffer.from(buffer) })));
}

/** Drops files on an element, as a file manager does. */
async function drop(page: Page, selector: string, files: { name: string; type: string; buffer: Buffer }[]): Promise<void> {
  await page.locator(selector).evaluate(
    (target, files) => {
      const transfer = new DataTransfer();
      for (const { name, type, base64 } of files) transfer.items.add(new File([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], name, { type }));
      for (const kind of ["dragenter", "dragover", "drop"]) target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
    },
    files.map(({ name, type, buffer }) => ({ name, type, base64: buffer.toString("base64") })),
  );
}

/** The members of a zip file, read by its central directory. */
function unzip(bytes: Buffer): Map<string, Buffer> {
  const end = bytes.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  const members = new Map<string, Buffer>();
  let at = bytes.readUInt32LE(end + 16);
  for (let count = bytes.readUInt16LE(end + 10); count > 0; count--) {
    expect(bytes.readUInt32LE(at)).toBe(0x02014b50);
    const method = bytes.readUInt16LE(at + 10);
    const size = bytes.readUInt32LE(at + 20);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((place) => bytes.readUInt16LE(at + place)) as [number, number, number];
    const local = bytes.readUInt32LE(at + 42);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const content = bytes.subarray(start, start + size);
    members.set(bytes.toString("utf8", at + 46, at + 46 + nameLength), method === 0 ? content : inflateRawSync(content));
    at += 46 + nameLength + extraLength + commentLength;
  }
  return members;
}

async function saved(download: Promise<Download>): Promise<{ name: string; bytes: Buffer }> {
  const file = await download;
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

async function expectAccessible(page: Page): Promise<void> {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { target: unknown; failureSummary: string }[] }[] }> } };
    const found = await axe.run();
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${String(node.target)} ${node.failureSummary}`).join(" | ")}`);
  });
  expect(violations).toEqual([]);
}

test("the supplied SqueezeNet in int8: measured, compared, and saved as a package that is whole", async ({ page }) => {
  await open(page);
  await button(page, "Take SqueezeNet 1.1").click();
  await button(page, "Optimise").click();
  await done(page);

  await expect(page.locator("#done-share")).toHaveText(/^2\d\s%$/);
  await expect(page.locator("#done-kept")).toHaveText(/^The same answer on 100\.0\s% of 4 samples, in int8\.$/);
  await expect(page.locator("[data-figure=agreement] .figure")).toHaveText(/^100\.0\s%$/);
  expect(Number(await page.locator("[data-figure=cosine] .figure").textContent())).toBeGreaterThan(0.99);
  await expect(page.locator("[data-figure=size] .small").first()).toHaveText(/^27\s% of 5\.0\sMB\.$/);
  await expect(page.locator("#layers tr")).toHaveCount(26);
  await expect(page.locator("#layers tr").first()).toContainText("conv1");
  await expect(page.locator("#layers tr").first()).toContainText("int8");
  await expect(page.locator("#decisions")).toContainText("Within the budget");

  await expect(said(page)).toHaveText(/^Coffee: the same first answer\. The outputs differ by 0\.\d+ at most\. Optimised takes \d+\s% of the time/, { timeout: 60_000 });
  for (const side of ["original", "optimised"]) {
    await expect(page.locator(`[data-side=${side}] .answers li`)).toHaveCount(5);
    await expect(page.locator(`[data-side=${side}] .answers li`).first()).toContainText("Espresso");
    await expect(page.locator(`[data-side=${side}] .figure`)).toHaveText(/\d\s(ms|s)$/);
  }
  await button(page, "Chelsea").click();
  await expect(said(page)).toHaveText(/^Chelsea: .*in turns\.$/, { timeout: 60_000 });
  await expect(page.locator("[data-side=optimised] .answers li").first()).toContainText("Egyptian cat");
  await page.locator("#compare-file").setInputFiles({ name: "cup.png", mimeType: "image/png", buffer: photo("coffee.png") });
  await expect(said(page)).toHaveText(/^cup\.png: the same first answer/, { timeout: 60_000 });

  const archive = page.waitForEvent("download");
  await page.getByRole("link", { name: /^Package, 1\.3\sMB$/ }).click();
  const { name, bytes } = await saved(archive);
  expect(name).toBe("squeezenet1.1.zip");
  const members = unzip(bytes);
  const manifest = JSON.parse(members.get("squeezenet1.1/manifest.json")!.toString());
  expect(manifest).toMatchObject({ schema: 1, name: "squeezenet1.1", precision: "int8", source: { file: "squeezenet1.1.onnx", format: "onnx", bytes: 4950471 } });
  expect(manifest.inputs[0].preprocessing).toMatchObject({ size: [227, 227], color: "BGR", fit: "fill", mean: [103.939, 116.779, 123.68] });
  const files = [manifest.model, ...manifest.weights, manifest.golden.data];
  expect([...members.keys()].sort()).toEqual([...files.map(({ file }) => `squeezenet1.1/${file}`), "squeezenet1.1/manifest.json"].sort());
  for (const { file, sha256 } of files) expect(createHash("sha256").update(members.get(`squeezenet1.1/${file}`)!).digest("hex")).toBe(sha256);

  // Choosing something else takes away nothing that was made.
  await choose(page, "float16");
  await expect(page.getByRole("link", { name: /^Package/ })).toBeVisible();
  const report = page.waitForEvent("download");
  await page.getByRole("link", { name: "Report" }).click();
  const html = await saved(report);
  expect(html.name).toBe("squeezenet1.1-report.html");
  expect(html.bytes.toString()).toMatch(/^<!doctype html>[\s\S]*fire9\/expand3x3/);
  // Another model does: it is not that one's.
  await give(page, { name: "other.onnx", buffer: addBias() });
  await expect(page.locator("#result")).toBeHidden();
  await expect(page.locator("#idle-text")).toContainText("other is there");
});

test("the steps are shown as they come, cancelling ends them, and it can be begun again", async ({ page }) => {
  test.setTimeout(120_000);
  await open(page, "~slow-4000000");
  await button(page, "Take SqueezeNet 1.1").click();
  await button(page, "Optimise").click();
  await expect(page.locator("[data-step=fetch]")).toHaveAttribute("data-state", "busy");
  await expect(page.locator("[data-step=fetch]")).toContainText(/of 5\.0\sMB/);
  await expect(button(page, "Cancel")).toBeFocused();
  await expect(page.locator("[data-step=calibrate]")).toHaveAttribute("data-state", "busy", { timeout: 30_000 });
  await expect(page.locator("[data-step=calibrate]")).toContainText(/\d of 8/);
  await expect(page.locator("[data-step='measure original']")).toHaveAttribute("data-state", "done");
  expect(Number(await page.getByRole("progressbar").getAttribute("aria-valuenow"))).toBeGreaterThan(20);
  await button(page, "Cancel").click();
  await expect(page.locator("#idle-text")).toHaveText("It was cancelled. Nothing was kept.");
  await expect.poll(() => page.workers().length).toBe(0);
  await expect(page.locator("#result")).toBeHidden();
  await expect(button(page, "Optimise")).toBeFocused();
  await page.keyboard.press("Enter");
  await done(page);
});

test("what is over the budget is refused, with the reason and what may help", async ({ page }) => {
  await open(page);
  await button(page, "Take SqueezeNet 1.1").click();
  await choose(page, "float32");
  await page.getByRole("slider", { name: /^Prune/ }).fill("90");
  await expect(page.locator("#prune-told")).toHaveText("90 % of the weights become zero");
  await button(page, "Optimise").click();
  await expect(state(page, "Refused")).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole("alert").filter({ visible: true })).toContainText("Refused: it would lose more than it may.");
  await expect(page.locator("#failure-kind")).toHaveText("over_budget");
  await expect(page.locator("#failure-message")).toContainText("97.00 % are asked for");
  await expect(page.locator("#failure-tries")).toContainText("Prune less");
  await expect(page.locator("#result")).toBeHidden();
  await button(page, "Change what to do").click();
  await expect(page.getByRole("radio", { name: "float32" })).toBeFocused();
  // What asks for nothing is given out.
  await page.getByRole("slider", { name: /^Prune/ }).fill("0");
  await button(page, "Try again").click();
  await done(page);
});

test("a file that is no model, an empty one, and one with operators unknown are told", async ({ page }) => {
  await open(page);
  await choose(page, "float32");
  await give(page, { name: "page.onnx", buffer: Buffer.from("<!doctype html><html><head><title>Shop</title></head></html>") });
  await expect(page.locator("#model-name")).toHaveText("page.onnx");
  await button(page, "Optimise").click();
  await expect(page.locator("#failure-title")).toHaveText("That is not a model.");
  await expect(page.locator("#failure-kind")).toHaveText("not_a_model");
  await give(page, { name: "empty.onnx", buffer: Buffer.alloc(0) });
  await expect(page.locator("#idle-text")).toContainText("empty is there");
  await button(page, "Optimise").click();
  await expect(page.locator("#failure-title")).toHaveText("The file is empty.");
  await give(page, { name: "odd.onnx", buffer: unsupported() });
  await button(page, "Optimise").click();
  await expect(page.locator("#failure-kind")).toHaveText(/^(unsupported_operator|unsupported|invalid_argument)$/);
  await expect(page.locator("#failure-message")).not.toBeEmpty();
});

test("weights of their own are taken from beside the model, or told as missing; without pictures, random numbers compare", async ({ page }) => {
  await open(page);
  await choose(page, "float32");
  await choose(page, "None");
  await expect(page.getByLabel("How pictures become numbers")).toBeHidden();
  await give(page, { name: "external.onnx", buffer: addExternalBias("bias.bin") });
  await button(page, "Optimise").click();
  await expect(page.locator("#failure-kind")).toHaveText("missing_external_data");
  await expect(page.locator("#failure-message")).toContainText("bias.bin");
  await give(page, { name: "bias.bin", buffer: biasBytes() }, { name: "external.onnx", buffer: addExternalBias("bias.bin") });
  await expect(page.locator("#model-detail")).toContainText("1 file beside it");
  await button(page, "Optimise").click();
  await done(page);
  await expect(page.locator("#decisions")).toContainText("random numbers");
  await expect(said(page)).toHaveText(/^Random numbers: The outputs differ by 0 at most\..*in turns\.$/);
  await expect(page.locator("[data-side=optimised] .summary")).toContainText(/^\d+ numbers from /);
  await expect(button(page, "Another picture")).toBeHidden();
});

test("a model of another format, dropped, is converted, and compared with what conversion gives", async ({ page }) => {
  await open(page);
  await choose(page, "float16");
  await drop(page, "#model", [{ name: "selfie-segmentation.tflite", type: "", buffer: readFileSync(join(models, "selfie-segmentation.tflite")) }]);
  await button(page, "Optimise").click();
  await done(page);
  await expect(said(page)).toHaveText(/^Coffee: The outputs differ by 0(\.\d+)? at most\..*in turns\.$/, { timeout: 60_000 });
  for (const side of ["original", "optimised"]) await expect(page.locator(`[data-side=${side}] .summary`)).toContainText("65,536 numbers from");
});

test("pictures dropped become the samples, and int8 without any is said to need them", async ({ page }) => {
  await open(page);
  await button(page, "Take SqueezeNet 1.1").click();
  await choose(page, "None");
  await expect(page.locator("#idle-text")).toContainText("int8 needs samples");
  await expect(button(page, "Optimise")).toBeDisabled();
  await drop(page, "#samples-card", [
    { name: "cat.png", type: "image/png", buffer: photo("chelsea.png") },
    { name: "rocket.jpg", type: "image/jpeg", buffer: photo("rocket.jpg") },
    { name: "readme.txt", type: "text/plain", buffer: Buffer.from("not a picture") },
  ]);
  await expect(page.getByRole("radio", { name: "My own" })).toBeChecked();
  await expect(page.locator("#samples-note")).toContainText("2 files.");
  await expect(page.locator("#samples-problem")).toHaveText("Left out, for they are no samples: readme.txt.");
  await expect(page.locator("#samples-shown img")).toHaveCount(2);
  await button(page, "Optimise").click();
  await done(page);
  await expect(page.locator("#done-kept")).toContainText("of 2 samples");
  await expect(said(page)).toHaveText(/^cat\.png: /, { timeout: 60_000 });
});

test("a folder of samples is taken as it is, and its folders are classes only where that is said", async ({ page }) => {
  const folder = mkdtempSync(join(tmpdir(), "samples-"));
  for (const [name, file] of [["cats", "chelsea.png"], ["cups", "coffee.png"]] as const) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, file), photo(file));
  }
  await open(page);
  await button(page, "Take SqueezeNet 1.1").click();
  await page.locator("#samples-folder-files").setInputFiles(folder);
  await expect(page.locator("#samples-note")).toContainText("2 files.");
  await button(page, "Optimise").click();
  await done(page);
  await expect(page.locator("#done-kept")).toHaveText(/^The same answer on 100\.0\s% of 2 samples, in int8\.$/);
  // SqueezeNet has a thousand classes: two folders are some of them only where they are called by their numbers.
  await page.getByRole("checkbox", { name: /^Folders are the model’s classes/ }).check();
  await button(page, /^Optimise/).click();
  await expect(page.locator("#failure-message")).toContainText("expected 1000 folders", { timeout: 60_000 });
  renameSync(join(folder, "cats"), join(folder, "285"));
  renameSync(join(folder, "cups"), join(folder, "967"));
  await page.locator("#samples-folder-files").setInputFiles(folder);
  await page.getByRole("checkbox", { name: /^Folders are the model’s classes/ }).check();
  await button(page, "Try again").click();
  await expect(page.locator("#done-kept")).toHaveText(/^100\.0\s% right, 100\.0\s% before, on 2 samples, in int8\.$/, { timeout: 60_000 });
  rmSync(folder, { recursive: true });
});

test("numbers of one's own are checked before anything is done", async ({ page }) => {
  await open(page);
  await button(page, "Take SqueezeNet 1.1").click();
  await expect(page.getByLabel("How pictures become numbers")).toHaveValue("bgr");
  await page.getByText("Size, layout and numbers").click();
  await page.getByLabel("Mean, of 255").fill("1, two, 3");
  await expect(page.getByLabel("How pictures become numbers")).toHaveValue("custom");
  await button(page, "Optimise").click();
  await expect(page.getByLabel("Mean, of 255")).toBeFocused();
  await expect(state(page, "Ready")).toBeVisible();
  await page.getByLabel("How pictures become numbers").selectOption("imagenet");
  await expect(page.getByLabel("Scale, after that")).toHaveValue("1/58.395, 1/57.12, 1/57.375");
  await expect(page.getByLabel("Colour")).toHaveValue("RGB");
});

test("the demo leads here and back, and fetches nothing of the converter", async ({ page }) => {
  await page.goto(`${server.address}/site/`);
  await expect(page.getByRole("heading", { name: /^Ready after \d/ })).toBeVisible({ timeout: 60_000 });
  expect(requests.filter(({ url }) => /convert|optimise/.test(url))).toEqual([]);
  await page.getByRole("link", { name: "Optimise", exact: true }).click();
  await expect(page).toHaveTitle("Firebrand: optimise a model, in your browser");
  await page.getByRole("link", { name: "Home", exact: true }).click();
  await expect(page).toHaveTitle("Firebrand: a model, running in your browser");
});

test("the keyboard alone does it all", async ({ page }) => {
  await open(page);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the tool" })).toBeFocused();
  await page.keyboard.press("Enter");
  for (const next of [/^Drop a model here/, "Files", "Folder", "Take SqueezeNet 1.1"]) {
    await page.keyboard.press("Tab");
    await expect(button(page, next).first()).toBeFocused();
  }
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("radio", { name: "int8" })).toBeFocused();
  await page.keyboard.press("ArrowLeft");
  await expect(page.getByRole("radio", { name: "weights alone" })).toBeChecked();
  // Enter in a field begins, as in any form.
  await page.getByLabel("Least agreement").press("Enter");
  await done(page);
  await expect(page.locator("#spoken")).toHaveText(/^Done\. \d+\s% of the bytes\./);
});

for (const [size, viewport] of Object.entries({ phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } })) {
  for (const colorScheme of ["light", "dark"] as const) {
    test(`${size}, ${colorScheme}: accessible, nothing overflows, screenshots`, async ({ browser }) => {
      test.setTimeout(120_000);
      const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: size === "phone" ? 2 : 1, hasTouch: size === "phone", reducedMotion: "reduce" });
      const page = await context.newPage();
      watch(page);
      const check = async (shown: string) => {
        await page.screenshot({ path: join(screenshots, `optimise-${size}-${colorScheme}-${shown}.png`), fullPage: true });
        expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
        await expectAccessible(page);
      };
      await open(page);
      await page.getByText("Size, layout and numbers").click();
      await check("empty");
      await button(page, "Take SqueezeNet 1.1").click();
      await button(page, "Optimise").click();
      await done(page);
      await expect(said(page)).toHaveText(/in turns\.$/, { timeout: 60_000 });
      await check("done");
      await page.getByRole("slider", { name: /^Prune/ }).fill("90");
      await choose(page, "float32");
      await button(page, /^Optimise/).click();
      await expect(state(page, "Refused")).toBeVisible({ timeout: 60_000 });
      await check("refused");
      await context.close();
    });
  }
}
