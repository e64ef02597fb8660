// The page that compares: nothing is fetched before it is asked for, and all runtimes give the same answer.
import { join } from "node:path";
import { expect, type Page } from "@playwright/test";
import { expectAccessible, overflow, screenshots, test } from "./site-visit.ts";

test.use({ serviceWorkers: "block" });

const rows = (page: Page) => page.locator("#rows tr");
const go = (page: Page) => page.getByRole("button", { name: /^(Fetch and measure|Measure again)$/ });

test("SqueezeNet by three runtimes, in turns: the same answer, with times, bytes and a chart", async ({ page, visit }) => {
  test.setTimeout(120_000);
  await visit.openDone(page, "compare");
  await expect(page.locator("#cost")).toHaveText(/^Fetches up to 2\d\.\d\sMB from this site, before compression: 16\.\d\sMB of runtimes, 11\.\d\sMB of models\./);
  expect(visit.asked.filter((path) => /\.wasm$|\.onnx$|peers\/(ort|tfjs)|tfjs\//.test(path)), "before it is asked for").toEqual([]);

  await go(page).click();
  await expect(page.getByRole("button", { name: "Stop" })).toBeFocused();
  await expect(page.locator("#said")).toHaveText(/^SqueezeNet 1\.1 on Coffee: quickest here is .*, with a median of .* over \d+ answers\.$/, { timeout: 100_000 });
  await expect(go(page)).toBeFocused();
  await expect(rows(page)).toHaveCount(5);
  for (const line of await rows(page).allTextContents()) expect(line).toMatch(/\d\s(ms|s).*\d\s(ms|s) – \d.*\d\s(ms|s)\d.*MBEspresso, 99\.\d\s%/);
  for (const at of [0, 1, 4]) {
    const told = (await rows(page).nth(at).textContent())!;
    expect(told).toContain("Same first answer as onnxruntime-web");
    // In int8 a code beside its tie moves a probability.
    const difference = Number(/differs by (?:under )?([\d.e-]+)/.exec(told)![1]);
    expect(difference).toBeLessThan(at === 1 ? 0.05 : 1e-4);
  }
  await expect(rows(page).nth(2)).toContainText("onnxruntime-web");
  await expect(rows(page).nth(2)).toContainText(/19\.\d\sMB/);
  await expect(page.locator("#chart .chart-bar")).toHaveCount(5);
  // What workers ask for is in the log that is held against other origins, too.
  for (const file of ["peers/ort/ort-wasm-simd-threaded.wasm", "peers/tfjs/tfjs-backend-wasm-simd.wasm", "models/squeezenet1.1-int8.onnx"]) expect(visit.asked).toContain(file);
  await expectAccessible(page);
  await page.screenshot({ path: join(screenshots, "site-compare-desk-light-done.png"), fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  expect(await overflow(page)).toBeLessThanOrEqual(0);
});

test("one that fails says so, and the others are measured; stopping keeps what is there", async ({ page, visit }) => {
  test.setTimeout(90_000);
  visit.provoked = [/404/];
  await page.route("**/peers/tfjs/tfjs.mjs", (route) => route.fulfill({ status: 404, body: "no" }));
  await visit.openDone(page, "compare");
  await page.getByRole("checkbox", { name: "onnxruntime-web" }).uncheck();
  await page.getByRole("checkbox", { name: "int8" }).uncheck();
  await go(page).click();
  await expect(page.locator("#said")).toContainText("quickest here is Firebrand, float32", { timeout: 60_000 });
  await expect(rows(page).nth(1)).toContainText("It failed: ");
  await go(page).click();
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.locator("#said")).toHaveText("Stopped. What was measured until then is kept.");
  await page.getByRole("checkbox", { name: "Firebrand" }).uncheck();
  await page.getByRole("checkbox", { name: "TensorFlow.js 4" }).uncheck();
  await expect(go(page)).toBeDisabled();
  await expect(page.locator("#cost")).toContainText("Choose at least one runtime");
});
