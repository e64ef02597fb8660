// The demo page as a visitor meets it: built, served under a sub-path, on the CPU and on WebGPU.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test, type Locator, type Page } from "@playwright/test";
import { cache, data, root, site } from "./places.mjs";
import { serve } from "./server.mjs";

const screenshots = join(cache, "screenshots");
const photo = (name: string) => readFileSync(join(data, "photos", name));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

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

// What holds whatever a visitor does: nothing is asked of another origin, and nothing is complained about.
let requests: string[];
let complaints: string[];
/** Complaints that a test provokes. */
let provoked: RegExp[];

test.beforeEach(({ page }) => {
  requests = [];
  complaints = [];
  provoked = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`${message.text()} (${message.location().url})`);
  });
});
test.afterEach(() => {
  expect(requests.length, "the page asked for something").toBeGreaterThan(0);
  expect(requests.filter((url) => !/^(blob|data):/.test(url) && new URL(url).origin !== server.address)).toEqual([]);
  const expected = [/Service Worker registration blocked by Playwright/, ...provoked];
  expect(complaints.filter((text) => !expected.some((pattern) => pattern.test(text)))).toEqual([]);
});

/** Opens the page; `switches` are the server's, such as `~slow-100000`. */
async function open(page: Page, switches = ""): Promise<void> {
  await page.goto(`${server.address}/${switches ? `${switches}/` : ""}site/`);
}

const ready = (page: Page) => page.getByRole("heading", { name: /^Ready after \d/ });
const answers = (page: Page) => page.locator("#answers:not(.stale) li");
const sample = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const device = (page: Page, name: string) => page.getByRole("radio", { name });
const precision = device;
const compare = (page: Page) => page.getByRole("button", { name: "Compare" });

/** The figures of a finished comparison, in milliseconds. */
async function compared(page: Page): Promise<Record<"float32" | "int8", number>> {
  await expect(page.locator("#compared")).toHaveText(/^int8 takes \d+\s% of float32’s time, and 27\s% of its bytes\./, { timeout: 60_000 });
  const figure = async (name: string) => parseFloat((await page.locator(`[data-precision=${name}] .figure`).textContent())!);
  return { float32: await figure("float32"), int8: await figure("int8") };
}

async function expectAnswer(page: Page, name: string): Promise<number> {
  await expect(answers(page).first()).toContainText(name, { timeout: 60_000 });
  await expect(answers(page)).toHaveCount(5);
  const percents = (await answers(page).locator(".percent").allTextContents()).map((text) => parseFloat(text.replace("under", "")));
  expect(percents).toEqual([...percents].sort((a, b) => b - a));
  expect(percents.reduce((sum, value) => sum + value, 0)).toBeLessThanOrEqual(100.5);
  return percents[0]!;
}

async function dispatchFile(target: Locator, event: "drop" | "paste", name: string, type: string, content: Buffer): Promise<void> {
  await target.evaluate(
    (element, { event, name, type, base64 }) => {
      const transfer = new DataTransfer();
      if (base64) transfer.items.add(new File([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], name, { type }));
      else transfer.setData("text/plain", name);
      if (event === "paste") {
        element.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: transfer }));
        return;
      }
      for (const kind of ["dragenter", "dragover", "drop"]) {
        element.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
      }
    },
    { event, name, type, base64: content.toString("base64") },
  );
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

test("coffee is espresso and Chelsea an Egyptian cat, by a click, on the CPU", async ({ page }) => {
  await open(page);
  await device(page, "CPU").check({ force: true });
  await expect(ready(page)).toBeVisible();
  await sample(page, "Coffee").click();
  expect(await expectAnswer(page, "Espresso")).toBeGreaterThan(90);
  await sample(page, "Chelsea").click();
  expect(await expectAnswer(page, "Egyptian cat")).toBeGreaterThan(30);

  await expect(page.getByRole("heading", { name: "It sees" })).toBeVisible();
  await expect(sample(page, "Chelsea")).toHaveAttribute("aria-pressed", "true");
  await expect(page.locator("#spoken")).toContainText("Chelsea: Egyptian cat");
  await expect(page.locator("#device-name")).toHaveText("CPU");
  await expect(page.locator("#median")).toHaveText(/\d\s(ms|s)$/);
  await expect(page.locator("#runs")).toHaveText("of 2");
  await expect(page.locator("#load-total")).toHaveText(/\d\s(ms|s)$/);
  await expect(page.locator("#fetched-detail")).toContainText("model 5.0 MB");
  await expect(page.locator("#fetched-detail")).not.toContainText("Runtime 0");
  expect(requests.filter((url) => url.endsWith(".wasm")), "the runtime came from this origin").not.toEqual([]);
});

test("the same on WebGPU, and switching runs the same photo again", async ({ page }) => {
  test.setTimeout(180_000);
  await open(page);
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
  await device(page, "WebGPU").check({ force: true });
  await expect(page.locator("#device-name")).toHaveText("WebGPU", { timeout: 90_000 });
  expect(await expectAnswer(page, "Espresso")).toBeGreaterThan(90);
  await expect(page.locator("#device-note")).toContainText("Running on WebGPU.");
  await sample(page, "Chelsea").click();
  expect(await expectAnswer(page, "Egyptian cat")).toBeGreaterThan(30);
  await dispatchFile(page.locator("#stage"), "drop", "cup.png", "image/png", photo("coffee.png"));
  expect(await expectAnswer(page, "Espresso")).toBeGreaterThan(90);
});

test("what the model knows it names, what it does not it calls a guess", async ({ page }) => {
  await open(page);
  await device(page, "CPU").check({ force: true });
  await sample(page, "Filming").click();
  expect(await expectAnswer(page, "Tripod")).toBeGreaterThan(50);
  await expect(page.getByRole("heading", { name: "It sees" })).toBeVisible();
  // A rocket seen through its gantry is none of the thousand things for certain.
  await sample(page, "Rocket").click();
  await expect(page.locator("#spoken")).toContainText("Rocket: ");
  await expect(page.getByRole("heading", { name: "It is not sure. Perhaps" })).toBeVisible();
});

test("a photo dropped, pasted or chosen is answered", async ({ page }) => {
  await open(page);
  // Before the model is there, the photo waits for it.
  await dispatchFile(page.locator("#stage"), "drop", "cat.png", "image/png", photo("chelsea.png"));
  await expectAnswer(page, "Egyptian cat");
  await expect(page.getByRole("img", { name: "Your photo: cat.png" })).toBeVisible();

  await dispatchFile(page.locator("body"), "paste", "", "image/png", photo("coffee.png"));
  await expectAnswer(page, "Espresso");

  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Choose photo" }).click();
  await (await chooser).setFiles({ name: "cat.png", mimeType: "image/png", buffer: photo("chelsea.png") });
  await expectAnswer(page, "Egyptian cat");
});

test("what is no photo is said, and the answer before it stays", async ({ page }) => {
  await open(page);
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
  const note = page.locator("#note");
  await dispatchFile(page.locator("#stage"), "drop", "notes.txt", "text/plain", Buffer.from("not a photo"));
  await expect(note).toContainText("“notes.txt” is not a photo this browser can read.");
  await dispatchFile(page.locator("#stage"), "drop", "https://elsewhere.example/cat.png", "", Buffer.alloc(0));
  await expect(note).toContainText("That was no file.");
  await dispatchFile(page.locator("body"), "paste", "words", "", Buffer.alloc(0));
  await expect(note).toContainText("no picture in the clipboard");
  await expectAnswer(page, "Espresso");
  await sample(page, "Chelsea").click();
  await expect(note).toBeHidden();
  await expectAnswer(page, "Egyptian cat");
});

test("the keyboard alone does it all", async ({ page }) => {
  // Playwright catches file choosers from a moment after the first listener on; a key press is quicker than that.
  page.on("filechooser", () => {});
  await open(page);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the demo" })).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  const drop = page.getByRole("button", { name: /^Drop a photo here/ });
  await expect(drop).toBeFocused();
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Enter");
  await (await chooser).setFiles({ name: "cup.png", mimeType: "image/png", buffer: photo("coffee.png") });
  await expectAnswer(page, "Espresso");

  // The drop zone gave way to the photo; focus is on what does the same.
  await expect(page.getByRole("button", { name: "Choose photo" })).toBeFocused();
  for (const next of [page.getByRole("button", { name: "Camera" }), sample(page, "Coffee"), sample(page, "Chelsea")]) {
    await page.keyboard.press("Tab");
    await expect(next).toBeFocused();
  }
  await page.keyboard.press("Space");
  await expectAnswer(page, "Egyptian cat");
  for (const next of [sample(page, "Filming"), sample(page, "Rocket"), device(page, "Auto")]) {
    await page.keyboard.press("Tab");
    await expect(next).toBeFocused();
  }
  // Left of the first is the last: CPU.
  await page.keyboard.press("ArrowLeft");
  await expect(device(page, "CPU")).toBeChecked();
  await expect(page.locator("#device-note")).toContainText("Running on the CPU.");
  await expectAnswer(page, "Egyptian cat");
  const outline = await page.locator("input:focus-visible + span").evaluate((span) => getComputedStyle(span).outlineStyle);
  expect(outline).toBe("solid");
});

test("the camera gives a photo, or the reason why not", async ({ page }) => {
  await page.addInitScript(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 600, height: 400 });
    let refusal: DOMException | undefined = new DOMException("Permission denied", "NotAllowedError");
    navigator.mediaDevices.getUserMedia = async () => {
      if (refusal) {
        const thrown = refusal;
        refusal = undefined;
        throw thrown;
      }
      const image = new Image();
      image.src = "photos/coffee.png";
      await image.decode();
      const draw = () => canvas.getContext("2d")!.drawImage(image, 0, 0);
      draw();
      const stream = canvas.captureStream(30);
      setInterval(draw, 30);
      Object.assign(globalThis, { cameraStream: stream });
      return stream;
    };
  });
  await open(page);
  await page.getByRole("button", { name: "Camera" }).click();
  await expect(page.locator("#note")).toContainText("The camera was not allowed.");
  await expect(page.getByRole("button", { name: "Camera" })).toBeFocused();

  await page.getByRole("button", { name: "Camera" }).click();
  await expect(page.locator("#note")).toBeHidden();
  await expect(page.getByLabel("Camera preview")).toBeVisible();
  await expect(page.getByRole("button", { name: "Take photo" })).toBeFocused();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(page.getByLabel("Camera preview")).toBeHidden();

  await page.getByRole("button", { name: "Camera" }).click();
  await page.getByRole("button", { name: "Take photo" }).click();
  await expectAnswer(page, "Espresso");
  const live = await page.evaluate(() =>
    (globalThis as unknown as { cameraStream: MediaStream }).cameraStream.getTracks().filter((track) => track.readyState === "live").length,
  );
  expect(live, "the camera is off again").toBe(0);
});

test("without a camera the page says so", async ({ page }) => {
  await page.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("Requested device not found", "NotFoundError"));
  });
  await open(page);
  await page.getByRole("button", { name: "Camera" }).click();
  await expect(page.locator("#note")).toContainText("No camera was found on this device.");
});

test("loading shows how far it is, and can be cancelled and begun again", async ({ page }) => {
  await open(page, "~slow-1500000");
  const bar = page.getByRole("progressbar", { name: "Loading the model" });
  await expect(bar).toHaveAttribute("aria-valuetext", /^(Fetching|Preparing)/);
  const seen: number[] = [];
  await expect
    .poll(async () => {
      const now = Number(await bar.getAttribute("aria-valuenow"));
      if (now !== seen.at(-1)) seen.push(now);
      return seen.length;
    })
    .toBeGreaterThan(3);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  await expect(page.locator("#steps li[data-phase=model]")).toContainText(/\d.* of 5\.0\sMB/);
  await expectAccessible(page);

  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByText("Loading was cancelled.").first()).toBeVisible();
  await expect(bar).toBeHidden();
  // Focus is where the visitor would go on.
  await expect(page.getByRole("button", { name: "Load the model" })).toBeFocused();
  await sample(page, "Coffee").click();
  await page.getByRole("button", { name: "Load the model" }).click();
  await expect(page.getByRole("button", { name: "Cancel" })).toBeFocused();
  await expect(page.locator("#caption")).toHaveText("Loading the model …");
  await expectAnswer(page, "Espresso");
});

for (const host of ["~chunked", "~gzip"]) {
  test(`what came is counted where the host does not say how much will come (${host})`, async ({ page }) => {
    await open(page, host);
    await expect(ready(page)).toBeVisible();
    await expect(page.locator("#fetched-detail")).toHaveText(/^Runtime \d\.\d\sMB, model 5\.0\sMB/);
  });
}

test("a web page in the model's place is told in plain words, and trying again works", async ({ page }) => {
  await page.route("**/*.onnx", (route) => route.fulfill({ status: 200, contentType: "text/html", body: "<!doctype html><title>Shop</title>" }));
  await open(page);
  const alert = page.getByRole("alert");
  await expect(alert).toContainText("What the server sent is not a model.");
  await expect(alert).toContainText("not_a_model");
  await expectAccessible(page);
  await page.unroute("**/*.onnx");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(ready(page)).toBeVisible();
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
});

test("a missing model is told with its address", async ({ page }) => {
  provoked = [/404/];
  await page.route("**/*.onnx", (route) => route.fulfill({ status: 404, contentType: "text/plain", body: "no" }));
  await open(page);
  const alert = page.getByRole("alert");
  await expect(alert).toContainText("The model could not be fetched.");
  await expect(alert).toContainText("404");
  await expect(alert).toContainText("squeezenet1.1.onnx");
});

test("without WebGPU the switch says why, and the CPU answers", async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(navigator, "gpu", { value: undefined }));
  await open(page);
  await expect(device(page, "WebGPU")).toBeDisabled();
  await expect(device(page, "WebGPU")).toHaveAccessibleDescription(/This browser has no WebGPU\./);
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
});

test("opened as a file, the page says what it needs", async ({ browser, page }) => {
  await open(page);
  await expect(page.locator("#opened-as-file")).toBeHidden();
  const context = await browser.newContext();
  const local = await context.newPage();
  await local.goto(pathToFileURL(join(site, "index.html")).href);
  await expect(local.getByRole("alert")).toContainText("Serve this folder with any web server");
  await context.close();
});

test("measuring again adds runs", async ({ page }) => {
  await open(page);
  const measure = page.getByRole("button", { name: "Measure again" });
  await expect(measure).toBeDisabled();
  await device(page, "CPU").check({ force: true });
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
  await measure.click();
  await expect(measure).toBeEnabled({ timeout: 15_000 });
  expect(Number((await page.locator("#runs").textContent())!.replace("of ", ""))).toBeGreaterThan(2);
  expect(await page.locator("#history i").count()).toBeGreaterThan(2);
});

test("int8 gives the same answers from a smaller file, on the CPU", async ({ page }) => {
  await open(page);
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
  await precision(page, "int8").check({ force: true });
  await expect(page.locator("#fetched-detail")).toContainText("model 1.3 MB");
  expect(await expectAnswer(page, "Espresso")).toBeGreaterThan(90);
  await expect(device(page, "WebGPU")).toBeDisabled();
  await expect(device(page, "WebGPU")).toHaveAccessibleDescription("Running on the CPU. WebGPU computes float32 only.");
  await expect(page.locator("#device-detail")).toContainText("of memory, int8.");
  await expect(page.locator("#median")).toHaveText(/\d\s(ms|s)$/);
  for (const [name, answer] of [["Chelsea", "Egyptian cat"], ["Filming", "Tripod"]] as const) {
    await sample(page, name).click();
    await expectAnswer(page, answer);
  }
  expect(requests.filter((url) => url.endsWith("-int8.onnx"))).toHaveLength(1);

  await precision(page, "float32").check({ force: true });
  await expect(page.locator("#fetched-detail")).toContainText("model 5.0 MB");
  await expect(device(page, "WebGPU")).toBeEnabled();
  await expectAnswer(page, "Tripod");
});

test("from WebGPU, int8 goes to the CPU and says so", async ({ page }) => {
  test.setTimeout(180_000);
  await open(page);
  await device(page, "WebGPU").check({ force: true });
  await expect(page.locator("#device-name")).toHaveText("WebGPU", { timeout: 90_000 });
  await precision(page, "int8").focus();
  await page.keyboard.press("Space");
  await expect(page.locator("#device-name")).toHaveText("CPU");
  await expect(device(page, "Auto")).toBeChecked();
  await expect(page.locator("#device-note")).toHaveText("Running on the CPU. WebGPU computes float32 only.");
  await sample(page, "Coffee").click();
  expect(await expectAnswer(page, "Espresso")).toBeGreaterThan(90);
});

test("float32 and int8 are compared on the photo shown", async ({ page }) => {
  await open(page);
  await expect(compare(page)).toBeDisabled();
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
  await compare(page).click();
  await expect(compare(page)).toBeDisabled();
  const { float32, int8 } = await compared(page);
  expect(float32).toBeGreaterThan(0);
  expect(int8).toBeGreaterThan(0);
  for (const [name, size] of [["float32", "5.0"], ["int8", "1.3"]] as const) {
    await expect(page.locator(`[data-precision=${name}] .small`)).toHaveText(new RegExp(`^Espresso, 9\\d\\.\\d\\s%\\. File ${size}\\sMB, \\d.* of memory\\. One thread, .*SIMD\\.$`));
  }
  await expect(compare(page)).toBeEnabled();
  // The page's own session is what it was.
  await expect(page.locator("#runs")).toHaveText("");
  await sample(page, "Chelsea").click();
  await expectAnswer(page, "Egyptian cat");
});

test("a photo that comes during a comparison is answered", async ({ page }) => {
  await open(page);
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
  await compare(page).click();
  await expect(page.locator("#compared")).toHaveText("Both answer in turns …");
  await sample(page, "Chelsea").click();
  await expectAnswer(page, "Egyptian cat");
  await expect(page.locator("#compared")).toHaveText("The comparison was left off.");
});

test("a comparison that cannot be made says why, and the answer stays", async ({ page }) => {
  await page.route("**/*-int8.onnx", (route) => route.fulfill({ status: 404 }));
  provoked = [/404/];
  await open(page);
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
  await compare(page).click();
  await expect(page.locator("#compared")).toContainText("The model could not be fetched.");
  await expect(page.locator("#compared")).toContainText("squeezenet1.1-int8.onnx");
  await expectAnswer(page, "Espresso");
  await expect(compare(page)).toBeEnabled();
});

test("the example is copied as it is shown", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await open(page);
  await page.getByRole("button", { name: "Copy the code" }).click();
  await expect(page.getByRole("button", { name: "Copied" })).toBeVisible();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  expect(copied.trim()).toBe((await page.locator("#snippet").textContent())!.trim());
  expect(copied).toContain('from "firebrand"');
  expect(copied.trim().split("\n").filter(Boolean).length).toBeLessThanOrEqual(12);
});

test("the theme follows the system until chosen, and is remembered", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await open(page);
  const toggle = page.getByRole("button", { name: "Dark theme" });
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await expect(toggle).toHaveAttribute("aria-pressed", "false");
  const light = await background();
  await toggle.click();
  await expect(toggle).toHaveAttribute("aria-pressed", "true");
  const dark = await background();
  expect(dark).not.toBe(light);
  await page.reload();
  await expect(toggle).toHaveAttribute("aria-pressed", "true");
  expect(await background()).toBe(dark);
  await toggle.click();
  await page.emulateMedia({ colorScheme: "dark" });
  await expect(toggle).toHaveAttribute("aria-pressed", "true");
  expect(await background()).toBe(dark);
});

test("less motion where it is asked for", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page);
  await sample(page, "Coffee").click();
  await expectAnswer(page, "Espresso");
  expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
});

for (const [size, viewport] of Object.entries({ phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } })) {
  for (const colorScheme of ["light", "dark"] as const) {
    test(`${size}, ${colorScheme}: accessible, nothing overflows, screenshots`, async ({ browser }) => {
      const context = await browser.newContext({
        viewport,
        colorScheme,
        deviceScaleFactor: size === "phone" ? 2 : 1,
        hasTouch: size === "phone",
        reducedMotion: "reduce",
        serviceWorkers: "block",
      });
      const page = await context.newPage();
      page.on("request", (request) => requests.push(request.url()));
      page.on("pageerror", (error) => complaints.push(String(error)));
      await open(page);
      await device(page, "CPU").check({ force: true });
      await expect(ready(page)).toBeVisible();
      const picture = (state: string, fullPage = false) =>
        page.screenshot({ path: join(screenshots, `${size}-${colorScheme}-${state}.png`), fullPage });
      await picture("ready");
      await expectAccessible(page);
      await sample(page, "Chelsea").click();
      await expectAnswer(page, "Egyptian cat");
      await picture("answer");
      await precision(page, "int8").check({ force: true });
      await expect(page.locator("#fetched-detail")).toContainText("model 1.3 MB");
      await expectAnswer(page, "Egyptian cat");
      await compare(page).click();
      await compared(page);
      await picture("page", true);
      await expectAccessible(page);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
      await context.close();
    });
  }
}
