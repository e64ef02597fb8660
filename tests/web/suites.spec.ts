// ONNX's own suites through the package, in Chromium, on both devices. What must pass natively must
// pass here too, as far as JavaScript has arrays for it.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test, type Page } from "@playwright/test";
import { data, root } from "./places.mjs";
import { serve } from "./server.mjs";

/* The page's own names; see pages/page.js. */
declare const runStored: any, runLight: any;

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

const folders = (suite: string) => readdirSync(join(data, "onnx", suite)).sort();
const required = readFileSync(join(root, "tests/conformance/node-cpu.txt"), "utf8").split("\n").filter(Boolean);
const suites: [suite: string, cases: string[]][] = [
  ["node", required],
  // Training: the operator differentiates a graph.
  ["simple", folders("simple").filter((name) => !name.startsWith("test_gradient"))],
];
const light = folders("light").flatMap((name) => /^light_(.*)\.onnx$/.exec(name)?.[1] ?? []);

for (const { device, relative, absolute } of devices) {
  for (const [suite, cases] of suites) {
    test(`suite "${suite}" on ${device}`, async ({ page }) => {
      test.setTimeout(300_000);
      await open(page);
      const stored = cases.map((name) => {
        const folder = join(data, "onnx", suite, name);
        const sets = readdirSync(folder).filter((entry) => entry.startsWith("test_data_set_")).length;
        const count = (set: number, prefix: string) => readdirSync(join(folder, `test_data_set_${set}`)).filter((entry) => entry.startsWith(prefix)).length;
        return { name, sets: Array.from({ length: sets }, (_, set) => ({ inputs: count(set, "input_"), outputs: count(set, "output_") })) };
      });
      const { passed, outside, failed } = await page.evaluate(([suite, stored, options]) => runStored(suite, stored, options), [suite, stored, { device, relative, absolute }] as const);
      test.info().annotations.push({ type: "cases", description: `${passed.length} passed, ${outside.length} with values that JavaScript has no array for` });
      expect(failed).toEqual([]);
      // Sequences and bfloat16 reach no array of JavaScript's.
      expect(outside.filter((name: string) => !/sequence|split_to|bfloat16|optional|identity_seq|loop|if_/i.test(name))).toEqual([]);
      expect(passed.length + outside.length).toBe(cases.length);
      expect(passed.length).toBeGreaterThan(cases.length / 2);
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
