// ONNX's own suites, and the cases of ours, through the package, in Chromium, on both devices. What must
// pass natively must pass here too; tests/conformance/known-failures-webgpu.txt lists what WebGPU cannot
// answer within tolerance, each with its reason.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test, type Page } from "@playwright/test";
import { data, ownCases, root } from "./places.mjs";
import { serve } from "./server.mjs";

/* The page's own names; see pages/page.js. */
declare const runStored: any, runLight: any, runModel: any;

let server: { address: string; close(): Promise<void> };
test.beforeAll(async () => void (server = await serve()));
test.afterAll(() => server.close());

const devices = [
  { device: "cpu", relative: 1e-3, absolute: 1e-5 },
  // WGSL leaves its functions more room than ONNX's own runner does.
  { device: "webgpu", relative: 1e-3, absolute: 1e-3 },
] as const;

async function open(page: Page): Promise<void> {
  await page.goto(`${server.address}/pages/blank.html`);
  await page.waitForFunction(() => "firebrand" in globalThis);
}

const conformance = join(root, "tests/conformance");
const lines = (list: string) => readFileSync(join(conformance, list), "utf8").split("\n").filter((line) => line && !line.startsWith("#"));
/** The names of a list of `name: reason`. */
const listed = (list: string) => lines(list).map((line) => line.slice(0, line.indexOf(": ")));
const onlyOnCpu = listed("known-failures-webgpu.txt");
const folders = (place: string) => readdirSync(place).filter((name) => existsSync(join(place, name, "model.onnx"))).sort();

/** Suites: where their cases are, where the server has them, and which of them must pass. */
const suites = (["node", "simple", "pytorch-operator", "pytorch-converted"] as const).map((suite) => {
  const place = join(data, "onnx", suite);
  // Training: the operator differentiates a graph.
  const required = (name: string) => !name.startsWith("test_gradient");
  return { suite: suite as string, place, url: `../data/onnx/${suite}`, cases: suite === "node" ? lines("node-cpu.txt") : folders(place).filter(required) };
});
suites.push({ suite: "own", place: ownCases, url: "../own", cases: folders(ownCases) });
const light = readdirSync(join(data, "onnx/light")).sort().flatMap((name) => /^light_(.*)\.onnx$/.exec(name)?.[1] ?? []);

for (const { device, relative, absolute } of devices) {
  for (const { suite, place, url, cases } of suites) {
    test(`suite "${suite}" on ${device}`, async ({ page }) => {
      test.setTimeout(600_000);
      await open(page);
      const stored = cases.map((name) => {
        const folder = join(place, name);
        const sets = readdirSync(folder).filter((entry) => entry.startsWith("test_data_set_")).length;
        const count = (set: number, prefix: string) => readdirSync(join(folder, `test_data_set_${set}`)).filter((entry) => entry.startsWith(prefix)).length;
        return { name, sets: Array.from({ length: sets }, (_, set) => ({ inputs: count(set, "input_"), outputs: count(set, "output_") })) };
      });
      const { passed, outside, failed } = await page.evaluate(([url, stored, options]) => runStored(url, stored, options), [url, stored, { device, relative, absolute }] as const);
      test.info().annotations.push({ type: "cases", description: `${passed.length} passed, ${failed.length} failed, ${outside.length} with maps` });
      const excused = device === "webgpu" ? onlyOnCpu : [];
      expect(failed.filter((line: string) => !excused.includes(line.slice(0, line.indexOf(": "))))).toEqual([]);
      // Those that pass no longer belong into the list.
      expect(passed.filter((name: string) => excused.includes(name))).toEqual([]);
      expect(passed.length + failed.length + outside.length).toBe(cases.length);
      if (suite === "node") expect(lines(`node-${device}.txt`).filter((name) => !passed.includes(name))).toEqual([]);
      expect(passed.length).toBeGreaterThan(cases.length / 2);
    });
  }

  for (const model of readdirSync(join(root, "tests/models"), { withFileTypes: true })) {
    if (!model.isDirectory() || model.name === "images") continue;
    test(`real model ${model.name} on ${device}`, async ({ page }) => {
      test.setTimeout(300_000);
      await open(page);
      const cases = readdirSync(join(root, "tests/models", model.name));
      expect(cases.length).toBeGreaterThan(0);
      expect(await page.evaluate(([name, cases, options]) => runModel(name, cases, options), [model.name, cases, { device, limit: device === "cpu" ? 1e-5 : 1e-3 }] as const)).toEqual([]);
    });
  }

  for (const name of light) {
    // 20 billion multiplications take a GPU emulated in software minutes.
    if (name === "vgg19" && device === "webgpu" && !process.env.FIREBRAND_SLOW_TESTS) continue;
    test(`light model ${name} on ${device}`, async ({ page }) => {
      test.setTimeout(600_000);
      await open(page);
      expect(existsSync(join(data, "onnx/light", `light_${name}_output_0.pb`))).toBe(true);
      expect(await page.evaluate(([name, options]) => runLight(name, options), [name, { device, relative, absolute }] as const)).toEqual([]);
    });
  }
}
