// What a software adapter does not show by itself: the kernels that hardware gets, and a GPU that goes away.
import { expect, test, type Page } from "@playwright/test";
import { serve } from "./server.mjs";

/* The page's own names; see pages/page.js. */
declare const load: any, runCase: any, rejection: any, answers: any, pixels: any;

let server: { address: string; close(): Promise<void> };
test.beforeAll(async () => void (server = await serve()));
test.afterAll(() => server.close());

const squeezenet = "../models/squeezenet1.1.onnx";

async function open(page: Page, script: () => void): Promise<void> {
  await page.addInitScript(script);
  await page.goto(`${server.address}/pages/blank.html`);
  await page.waitForFunction(() => "firebrand" in globalThis);
}

test("the kernels of hardware adapters answer alike", async ({ page }) => {
  test.setTimeout(180_000);
  await open(page, () => {
    const scope = globalThis as any;
    Object.defineProperty(scope.GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });
    scope.shaders = [];
    const create = scope.GPUDevice.prototype.createShaderModule;
    scope.GPUDevice.prototype.createShaderModule = function (descriptor: { code: string }) {
      scope.shaders.push(descriptor.code);
      return create.call(this, descriptor);
    };
  });
  const { top, worst, shared } = await page.evaluate(async (model) => {
    const session = await load(model, { device: "webgpu", worker: false });
    const answer = await runCase(session, "squeezenet1.1/coffee");
    await session.dispose();
    const shaders: string[] = (globalThis as any).shaders;
    return { ...answer, shared: shaders.filter((code) => code.includes("tile_a") && code.includes("workgroupBarrier")).length };
  }, squeezenet);
  expect(top).toBe(967);
  expect(worst).toBeLessThanOrEqual(1e-3);
  expect(shared).toBeGreaterThan(1);
});

test("a GPU that goes away is an error, and a new session gets another", async ({ page }) => {
  test.setTimeout(180_000);
  await open(page, () => {
    const scope = globalThis as any;
    scope.devices = [];
    const request = scope.GPUAdapter.prototype.requestDevice;
    scope.GPUAdapter.prototype.requestDevice = async function (descriptor: unknown) {
      const device = await request.call(this, descriptor);
      scope.devices.push(device);
      return device;
    };
  });
  const { kind, top, devices } = await page.evaluate(async (model) => {
    const devices: { destroy(): void }[] = (globalThis as any).devices;
    const first = await load(model, { device: "webgpu", worker: false });
    devices.at(-1)?.destroy();
    const { kind } = await rejection(runCase(first, "squeezenet1.1/coffee"));
    await first.dispose();
    const second = await load(model, { device: "webgpu", worker: false });
    const { top } = await runCase(second, "squeezenet1.1/coffee");
    await second.dispose();
    return { kind, top, devices: devices.length };
  }, squeezenet);
  expect(kind).toBe("device_lost");
  expect(top).toBe(967);
  expect(devices).toBeGreaterThan(1);
});

test("a GPU out of memory is an error, and the session answers the next call", async ({ page }) => {
  await open(page, () => {
    const scope = globalThis as any;
    const pop = scope.GPUDevice.prototype.popErrorScope;
    scope.GPUDevice.prototype.popErrorScope = async function () {
      const error = await pop.call(this);
      if (!scope.full) return error;
      scope.full = false;
      return new scope.GPUOutOfMemoryError("full");
    };
  });
  const { error, next } = await page.evaluate(async () => {
    const session = await load("../made/add.onnx", { device: "webgpu", worker: false });
    (globalThis as any).full = true;
    const error = await rejection(session.run({ pixels: pixels(1, 2, 3) }));
    return { error, next: await answers(session) };
  });
  expect(error.kind).toBe("out_of_memory");
  expect(error.message).toMatch(/the GPU is out of memory/);
  expect(next).toEqual([11, 22, 33]);
});

test("shapes that change from run to run compile nothing again", async ({ page }) => {
  await open(page, () => {
    const scope = globalThis as any;
    scope.pipelines = 0;
    const create = scope.GPUDevice.prototype.createComputePipeline;
    scope.GPUDevice.prototype.createComputePipeline = function (descriptor: unknown) {
      scope.pipelines++;
      return create.call(this, descriptor);
    };
  });
  const { first, later, sums } = await page.evaluate(async () => {
    const scope = globalThis as any;
    const session = await load("../made/add.onnx", { device: "webgpu", worker: false });
    const run = async (rows: number) => [...(await session.run({ pixels: new scope.firebrand.Tensor("float32", new Float32Array(3 * rows).fill(rows), [rows, 3]) })).sum.data.slice(-3)];
    await run(2);
    const first = scope.pipelines;
    const sums = [await run(3), await run(7), await run(100)];
    return { first, later: scope.pipelines - first, sums };
  });
  expect(first).toBeGreaterThan(0);
  expect(later).toBe(0);
  expect(sums).toEqual([[4, 5, 6], [8, 9, 10], [101, 102, 103]]);
});
