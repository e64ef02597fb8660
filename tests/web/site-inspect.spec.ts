// The page that inspects: what it tells of models of all kinds, and the graph it draws.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Page } from "@playwright/test";
import { unsupported } from "./pages/tiny-model.js";
import { cache, models } from "./places.mjs";
import { expectAccessible, overflow, screenshots, test } from "./site-visit.ts";

test.use({ serviceWorkers: "block" });

async function give(page: Page, ...files: { name: string; buffer: Buffer | Uint8Array }[]): Promise<void> {
  await page.locator("#model-files").setInputFiles(files.map(({ name, buffer }) => ({ name, mimeType: "", buffer: Buffer.from(buffer) })));
  await expect(page.locator("#result, #failure").filter({ visible: true })).toBeVisible({ timeout: 30_000 });
}

/** The box whose words end like this: a node's with its name. */
const box = (page: Page, end: string) => page.locator(`#graph [aria-label$="${end}"]`);

test("SqueezeNet: its figures, values and operators, and its graph with all connections", async ({ page, visit }) => {
  await visit.open(page, "inspect");
  await page.getByRole("button", { name: "Take SqueezeNet 1.1" }).click();
  await expect(page.locator("#figures")).toContainText("1,235,496 numbers");
  await expect(page.locator("#figures .figure").nth(3)).toHaveText("65");
  await expect(page.locator("#values tr").first()).toContainText("1 × 3 × 227 × 227");
  await expect(page.locator("#operators tr").first()).toHaveText(/^Conv26yes$/);
  await expect(page.locator("#unsupported")).toBeHidden();
  // 65 nodes, an input and an output; a fire's two branches make one connection more than nodes.
  await expect(page.locator("#graph .box")).toHaveCount(67);
  await expect(page.locator("#graph .edges path")).toHaveCount(66 + 8);
  await box(page, ", fire2/expand3x3").click();
  await expect(page.locator("#details")).toContainText("fire2/expand3x3/weight [64, 16, 3, 3]");
  await expect(page.locator("#details")).toContainText("pads: 1, 1, 1, 1");
  await expectAccessible(page);
  await page.screenshot({ path: join(screenshots, "site-inspect-desk-light-graph.png"), fullPage: true });
});

test("the graph is walked, folded and zoomed by keyboard", async ({ page, visit }) => {
  await visit.open(page, "inspect");
  await page.getByRole("button", { name: "Take SqueezeNet 1.1" }).click();
  await box(page, "data, input").focus();
  await page.keyboard.press("ArrowDown");
  await expect(box(page, ", conv1")).toBeFocused();
  for (let step = 0; step < 4; step++) await page.keyboard.press("ArrowDown");
  await expect(box(page, ", fire2/squeeze1x1/relu")).toBeFocused();
  await page.keyboard.press("ArrowDown");
  // Either of the two branches may be the left one.
  const isNarrow = await page.evaluate(() => document.activeElement?.getAttribute("aria-label")?.endsWith(", fire2/expand1x1"));
  const isLeft = await page.evaluate(() => {
    const x = (end: string) => document.querySelector(`#graph [aria-label$="${end}"]`)!.getBoundingClientRect().x;
    return x(", fire2/expand1x1") < x(", fire2/expand3x3");
  });
  await page.keyboard.press(isNarrow === isLeft ? "ArrowRight" : "ArrowLeft");
  await expect(box(page, isNarrow ? ", fire2/expand3x3" : ", fire2/expand1x1")).toBeFocused();

  const zoom = page.locator("#zoom-level");
  await page.keyboard.press("0");
  const before = await zoom.textContent();
  await page.keyboard.press("-");
  await expect(zoom).not.toHaveText(before!);
  await page.keyboard.press("0");
  await expect(zoom).toHaveText(before!);

  await page.getByRole("button", { name: "Fold all" }).click();
  await expect(box(page, "fire2 7 nodes")).toBeVisible();
  await expect(page.locator("#graph .box")).toHaveCount(67 - 8 * 6);
  await box(page, "fire2 7 nodes").focus();
  await page.keyboard.press("Enter");
  await expect(box(page, ", fire2/squeeze1x1")).toBeFocused();
  await page.keyboard.press("Backspace");
  await expect(box(page, "fire2 7 nodes")).toBeFocused();

  await page.getByRole("searchbox", { name: "Find" }).fill("fire9/concat");
  await page.getByRole("button", { name: "fire9/concat" }).click();
  await expect(box(page, ", fire9/concat")).toBeFocused();
});

test("everything that is not supported is named at once, and marked in the graph", async ({ page, visit }) => {
  await visit.open(page, "inspect");
  await give(page, { name: "odd.onnx", buffer: unsupported() });
  const alert = page.locator("#unsupported");
  await expect(alert).toBeVisible();
  const missing = await page.locator("#operators .no").count();
  expect(missing).toBeGreaterThan(0);
  await expect(alert.locator("li")).toHaveCount(missing);
  await expect(page.locator("#graph .missing").first()).toBeVisible();
  await expectAccessible(page);
});

test("a package is shown as what it says of itself, other formats as what they become", async ({ page, visit }) => {
  await visit.open(page, "inspect");
  const folder = join(cache, "packages/face-detection");
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
  await give(page, ...["manifest.json", "graph.onnx"].map((name) => ({ name, buffer: readFileSync(join(folder, name)) })));
  await expect(page.locator("#figures")).toContainText(manifest.name);
  await expect(page.locator("#figures")).toContainText(`Version ${manifest.version}, ${manifest.precision}`);
  await expect(page.locator("#graph .box").first()).toBeVisible();

  await give(page, { name: "selfie-segmentation.tflite", buffer: readFileSync(join(models, "selfie-segmentation.tflite")) });
  await expect(page.locator("#figures")).toContainText("From TensorFlow Lite", { timeout: 30_000 });
  await expect(page.locator("#graph .box").first()).toBeVisible();
});

test("what is no model is told in words, and a model after it is shown", async ({ page, visit }) => {
  await visit.open(page, "inspect");
  await give(page, { name: "page.onnx", buffer: Buffer.from("<!doctype html><title>Shop</title>") });
  await expect(page.getByRole("alert")).toContainText("That is not a model.");
  await expectAccessible(page);
  await give(page, { name: "manifest.json", buffer: readFileSync(join(cache, "packages/face-detection/manifest.json")) });
  await expect(page.getByRole("alert")).toContainText("graph.onnx");
  await page.getByRole("button", { name: "Take SqueezeNet 1.1" }).click();
  await expect(page.locator("#figures")).toContainText("1,235,496 numbers");
  await expect(page.locator("#failure")).toBeHidden();
});

test("hundreds of nodes are drawn as few, and open on request; on a phone nothing overflows", async ({ page, visit }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await visit.open(page, "inspect");
  await give(page, { name: "efficientnet.onnx", buffer: readFileSync(join(models, "efficientnet-lite0-int8.onnx")) });
  await expect(page.locator("#graph .box").first()).toBeVisible();
  expect(await page.locator("#graph .box").count()).toBeLessThan(360);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await expectAccessible(page);
  await page.screenshot({ path: join(screenshots, "site-inspect-phone-light-graph.png"), fullPage: true });
});
