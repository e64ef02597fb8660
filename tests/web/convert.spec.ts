// The converter of the packed tarball in a browser: in a worker, with the same bytes as the native program.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, type Page } from "@playwright/test";
import { addBias } from "./pages/tiny-model.js";
import { data, models, nativeProgram } from "./places.mjs";
import { serve } from "./server.mjs";

/* The page's own names; see pages/page.js. */
declare const load: any, tiny: any, answers: any;

let server: { address: string; close(): Promise<void> };
let place: string;
const photos = ["coffee.png", "chelsea.png"];
test.beforeAll(async () => {
  // The program may have to be built first.
  test.setTimeout(600_000);
  nativeProgram();
  server = await serve();
  place = mkdtempSync(join(tmpdir(), "firebrand-convert-"));
  mkdirSync(join(place, "photos"));
  for (const photo of photos) writeFileSync(join(place, "photos", photo), readFileSync(join(data, "photos", photo)));
  writeFileSync(join(place, "add.onnx"), addBias());
});
test.afterAll(async () => {
  await server.close();
  rmSync(place, { recursive: true });
});

async function open(page: Page, switches = ""): Promise<void> {
  await page.goto(`${server.address}/${switches}pages/blank.html`);
  await page.waitForFunction(() => "firebrand" in globalThis);
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** The hashes of what the native program builds. */
function natively(model: string, ...options: string[]): Record<string, string> {
  execFileSync(nativeProgram(), ["build", model, ...options, "-o", "built", "--no-report", "--quiet"], { cwd: place });
  return Object.fromEntries(readdirSync(join(place, "built")).map((file) => [file, sha256(readFileSync(join(place, "built", file)))]));
}

/** Builds in the page; the hashes of the files, and what else is worth knowing. */
const inPage = (page: Page, model: string, options: object, samples: string[] = []) =>
  page.evaluate(
    async ([model, options, samples]) => {
      const { build } = await import("../pkg/dist/convert.js" as string);
      const source = model === "add.onnx" ? new File([tiny.addBias()], model) : model;
      const given = samples.length ? { data: Object.fromEntries(samples.map((name) => [name, `../data/photos/${name}`])) } : {};
      const steps = new Set<string>();
      const { files, report, html } = await build(source, { ...options, ...given, onProgress: ({ step }: { step: string }) => steps.add(step) });
      const hex = async (bytes: Uint8Array<ArrayBuffer>) => [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const hashes: Record<string, string> = {};
      for (const { name, bytes } of files) hashes[name] = await hex(bytes);
      return { hashes, report, html: html.slice(0, 15), steps: [...steps] };
    },
    [model, options, samples] as const,
  );

test("a tiny model becomes the native program's package", async ({ page }) => {
  await open(page);
  const { hashes, html } = await inPage(page, "add.onnx", { licence: "MIT" });
  expect(hashes).toEqual(natively("add.onnx", "--licence", "MIT"));
  expect(html).toBe("<!doctype html>");
});

test("SqueezeNet in int8 with two photos becomes the native program's package", async ({ page }) => {
  test.setTimeout(180_000);
  await open(page);
  const pictures = { color: "BGR", mean: [103.939, 116.779, 123.68], scale: 1 };
  const { hashes, report, steps } = await inPage(page, "../models/squeezenet1.1.onnx", { quantize: "int8", minAgreement: 0.5, pictures }, photos);
  expect(hashes).toEqual(natively(join(models, "squeezenet1.1.onnx"), "--quantize", "int8", "--data", "photos", "--min-agreement", "0.5", "--image-color", "bgr", "--image-mean", "103.939,116.779,123.68", "--image-scale", "1"));
  expect(report.precision).toBe("int8");
  expect(steps).toEqual(expect.arrayContaining(["fetch", "read", "calibrate", "measure", "pack"]));
});

test("what is converted runs, and the page's Content-Security-Policy may be strict", async ({ page }) => {
  await open(page, "~csp/");
  const got = await page.evaluate(async () => {
    const { convert } = await import("../pkg/dist/convert.js" as string);
    const { model, format } = await convert(tiny.addBias(), { name: "add.onnx" });
    return { format, sum: await answers(await load(model, { device: "cpu" })) };
  });
  expect(got).toEqual({ format: "onnx", sum: [11, 22, 33] });
});

test("a signal ends the worker, and errors have kinds", async ({ page }) => {
  await open(page);
  const kinds = await page.evaluate(async () => {
    const { build, convert } = await import("../pkg/dist/convert.js" as string);
    const kindOf = (promise: Promise<unknown>) => promise.then(() => "none", (error) => error.kind);
    const control = new AbortController();
    const aborted = build("../models/squeezenet1.1.onnx", { signal: control.signal, onProgress: ({ step }: { step: string }) => step === "measure original" && control.abort() });
    return [await kindOf(aborted), await kindOf(build(tiny.unsupported())), await kindOf(convert(new Uint8Array())), await kindOf(build(tiny.addBias(), { quantize: "int8" }))];
  });
  expect(kinds).toEqual(["aborted", "unsupported_operator", "empty_file", "invalid_argument"]);
});
