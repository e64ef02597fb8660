// The demos, one page for each task: what is supplied is answered, by known answers, and what fails is told.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "@playwright/test";
import { data } from "./places.mjs";
import config from "./playwright.config.ts";
import { expectAccessible, screenshots, test } from "./site-visit.ts";

// A camera and a microphone of the browser's own: moving colours and beeps.
const { launchOptions } = config.use!;
test.use({ serviceWorkers: "block", launchOptions: { ...launchOptions, args: [...launchOptions!.args!, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"] } });

test("the photo of coffee is espresso, and the clip is followed", async ({ page, visit }) => {
  await visit.openDone(page, "classify");
  await expect(page.locator("#answers li").first()).toContainText("Espresso");
  await page.getByRole("button", { name: "Chelsea" }).click();
  await expect(page.locator("#answers li").first()).toContainText(/cat/i);
  await page.getByRole("button", { name: "Play the clip" }).click();
  await expect(page.locator("#caption")).toHaveText(/^\d+ a second$/, { timeout: 15_000 });
  await expect(page.locator("#answers li").first()).toContainText(/Espresso|Cup/, { timeout: 15_000 });
  await expect(page.getByRole("button", { name: "Stop" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Play the clip" })).toBeFocused();
});

test("the astronaut has one face, the right way up; a photo without one has none", async ({ page, visit }) => {
  await visit.openDone(page, "faces");
  await expect(page.locator("#headline")).toHaveText("One face");
  // Where scikit-image's astronaut has her face.
  const [, width, x, y] = /(\d+) × \d+ pixels at (\d+), (\d+)/.exec((await page.locator("#faces small").textContent())!)!.map(Number);
  expect(x! + width! / 2).toBeGreaterThan(190);
  expect(x! + width! / 2).toBeLessThan(260);
  expect(y).toBeGreaterThan(50);
  expect(y).toBeLessThan(120);
  await page.locator("#file").setInputFiles({ name: "cup.png", mimeType: "image/png", buffer: readFileSync(join(data, "photos/coffee.png")) });
  await expect(page.locator("#headline")).toHaveText("No face");
  await page.getByRole("button", { name: "Play the clip" }).click();
  await expect(page.locator("#headline")).toHaveText("One face", { timeout: 15_000 });
  await page.screenshot({ path: join(screenshots, "site-faces-desk-light-live.png") });
  await page.getByRole("button", { name: "Stop" }).click();
  // The browser's own test picture has no face in it.
  await page.getByRole("button", { name: "Camera" }).click();
  await expect(page.locator("#headline")).toHaveText("No face", { timeout: 15_000 });
});

test("the astronaut is cut out: transparent around her, as she was inside", async ({ page, visit }) => {
  // It is the test that reads the canvas.
  visit.provoked = [/willReadFrequently/];
  await visit.openDone(page, "cutout");
  const opacity = (x: number, y: number) => page.locator("#canvas").evaluate((canvas: HTMLCanvasElement, [x, y]) => canvas.getContext("2d")!.getImageData(x! * canvas.width, y! * canvas.height, 1, 1).data[3]!, [x, y]);
  await expect.poll(() => opacity(0.43, 0.25)).toBeGreaterThan(230);
  expect(await opacity(0.5, 0.85)).toBeGreaterThan(230);
  expect(await opacity(0.72, 0.08)).toBeLessThan(25);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as PNG" }).click()]);
  expect(readFileSync(await download.path()).subarray(1, 4).toString()).toBe("PNG");
  for (const name of ["Blur", "Glow"]) {
    await page.getByRole("radio", { name }).check({ force: true });
    await expect.poll(() => opacity(0.72, 0.08)).toBe(255);
  }
  await page.getByRole("radio", { name: "Mask" }).focus();
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("radio", { name: "None" })).toBeChecked();
});

test("of a voice, a tone, the voice and noise, only the voice is speech; a file that is no sound is told", async ({ page, visit }) => {
  await visit.openDone(page, "voice");
  await expect(page.locator("#segments li")).toHaveCount(2);
  const starts = (await page.locator("#segments li").allTextContents()).map((text) => parseFloat(text));
  expect(starts[0]).toBeLessThan(1);
  expect(starts[1]).toBeGreaterThan(3);
  expect(starts[1]).toBeLessThan(4);
  await expect(page.locator("#wave .segment")).toHaveCount(2);
  await page.locator("#file").setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no sound") });
  await expect(page.locator("#note")).toContainText("“notes.txt” is no sound that this browser can read.");
  await page.locator("#file").setInputFiles({ name: "ready.wav", mimeType: "audio/wav", buffer: readFileSync(join(data, "speech.wav")) });
  await expect(page.locator("#segments li")).toHaveCount(1);
});

test("the microphone is listened to until it is stopped, and beeps are no speech", async ({ page, visit }) => {
  await visit.openDone(page, "voice");
  await page.getByRole("button", { name: "Microphone" }).click();
  await expect(page.locator("#headline")).toHaveText("Quiet", { timeout: 15_000 });
  await expect(page.locator("#wave canvas")).toBeVisible();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.locator("#headline")).toHaveText("Stopped");
  await expect(page.getByRole("button", { name: "Supplied sound" })).toBeVisible();
});

test("the Ode to Joy is written down as it is played", async ({ page, visit }) => {
  await visit.openDone(page, "notes");
  const heard = await page.locator("#notes tr").evaluateAll((rows) => rows.map((row) => ({ name: row.children[0]!.textContent, start: parseFloat(row.children[1]!.textContent!) })));
  // The melody's first eight notes, a beat of 0.42 s each.
  for (const [at, name] of ["E4", "E4", "F4", "G4", "G4", "F4", "E4", "D4"].entries()) {
    expect(heard.some((note) => note.name === name && Math.abs(note.start - (0.1 + at * 0.42)) < 0.06), `${name} at ${0.1 + at * 0.42} s`).toBe(true);
  }
  await expect(page.locator("#wave .bar")).toHaveCount(heard.length);
  await page.getByRole("button", { name: "Play the notes" }).click();
  await expect(page.getByRole("button", { name: "Stop", exact: true })).toBeVisible();
});

test("sentences are put in order by what they mean, once the model is asked for", async ({ page, visit }) => {
  test.setTimeout(90_000);
  await visit.openDone(page, "similarity");
  expect(visit.asked.filter((path) => path.includes("text-embedding"))).toEqual([]);
  await page.getByRole("button", { name: "Load the model" }).click();
  const ranking = page.locator("#ranking .name");
  await expect(ranking).toHaveCount(6, { timeout: 60_000 });
  const order = await ranking.allTextContents();
  expect(order.slice(0, 2).sort()).toEqual(["Our refund policy", "Returns and reimbursements within thirty days"]);
  expect(order.indexOf("The bank of the river was muddy")).toBeGreaterThan(2);
  await page.getByLabel("Question").fill("A heavy rain is on its way");
  await page.getByLabel("Sentences, one a line").fill("The team won.\nA storm is coming on Friday.\n\nShe sells shells.");
  await expect(ranking.first()).toHaveText("A storm is coming on Friday.");
  await expect(ranking).toHaveCount(3);
  await expectAccessible(page);
  await page.screenshot({ path: join(screenshots, "site-similarity-desk-light-done.png"), fullPage: true });
});

test("files are told by their bytes, whatever their names", async ({ page, visit }) => {
  await visit.openDone(page, "filetype");
  for (const [name, kind] of [["holiday.jpg", "python"], ["letter.txt", "rust"], ["program.exe", "csv"], ["notes.txt", "jpeg"], ["speech", "wav"]] as const) {
    await page.getByRole("button", { name, exact: true }).click();
    await expect(page.locator("#files tr").first().locator("td small")).toContainText(new RegExp(`^${kind}, `));
    await expect(page.locator("#files tr").first().locator("th")).toContainText(name);
  }
  await page.locator("#file").setInputFiles([{ name: "empty.bin", mimeType: "", buffer: Buffer.alloc(0) }, { name: "page", mimeType: "", buffer: Buffer.from(`<!doctype html>\n<html lang="en"><head><title>A page</title></head><body><h1>Hello</h1><p>It is a page.</p></body></html>\n`) }]);
  await expect(page.locator("#files tr").first().locator("td small")).toContainText("html");
  await expect(page.locator("#files tr").nth(1).locator("td small")).toContainText("empty");
  await expectAccessible(page);
});

test("cases are told apart, and a slider moves the answer", async ({ page, visit }) => {
  await visit.openDone(page, "diagnosis");
  await expect(page.getByText("This is not medical advice.")).toBeVisible();
  await expect(page.locator("#headline")).toHaveText(/benign/i);
  await page.getByRole("button", { name: "A malignant case" }).click();
  await expect(page.locator("#headline")).toHaveText(/malignant/i);
  await page.getByRole("button", { name: "A benign case" }).click();
  await expect(page.locator("#headline")).toHaveText(/benign/i);
  const before = await page.locator("#share-told").textContent();
  const slider = page.locator("#try").getByRole("slider", { name: "Texture" }).first();
  await slider.focus();
  await page.keyboard.press("End");
  await expect(page.locator("#share-told")).not.toHaveText(before!);
});

test("a model that does not come is told in words, and trying again works", async ({ page, visit }) => {
  visit.provoked = [/503/];
  await page.route("**/models/face-detection/manifest.json", (route) => route.fulfill({ status: 503, contentType: "text/plain", body: "no" }));
  await visit.open(page, "faces");
  const alert = page.getByRole("alert").filter({ visible: true });
  await expect(alert).toContainText("could not be fetched", { timeout: 30_000 });
  await expectAccessible(page);
  await page.unroute("**/models/face-detection/manifest.json");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.locator("#headline")).toHaveText("One face", { timeout: 30_000 });
});
