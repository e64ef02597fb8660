// How a device is chosen and left, on machines of all kinds: the browser's own parts are changed in the page and in its workers.
import { expect, test, type Page } from "@playwright/test";
import { serve } from "./server.mjs";
import { hardware, openPage, quickGpu } from "./stubs.ts";

/* The page's own names; see pages/page.js. */
declare const load: any, Tensor: any, rejection: any, runCase: any, answers: any, pixels: any;

let server: { address: string; close(): Promise<void> };
test.beforeAll(async () => void (server = await serve()));
test.afterAll(() => server.close());

let complaints: string[];
test.beforeEach(({ page }) => {
  complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
});
test.afterEach(() => expect(complaints).toEqual([]));

const open = (page: Page, stubs: (() => void)[] = [], switches = "") => openPage(page, `${server.address}/${switches}pages/blank.html`, stubs);

/** Devices are lost when the page says so. */
function losable() {
  const scope = globalThis as any;
  const channel = new BroadcastChannel("gpu");
  if ("document" in scope) return void (scope.loseGpu = () => channel.postMessage("lose"));
  const request = scope.GPUAdapter.prototype.requestDevice;
  scope.GPUAdapter.prototype.requestDevice = async function (descriptor: unknown) {
    const device = await request.call(this, descriptor);
    channel.onmessage = () => device.destroy();
    return device;
  };
}

const noGpu = () => {
  const scope = globalThis as any;
  Object.defineProperty((scope.Navigator ?? scope.WorkerNavigator).prototype, "gpu", { get: () => undefined });
};
const noAdapter = () => void ((globalThis as any).GPU.prototype.requestAdapter = async () => null);
const adapterThrows = () => void ((globalThis as any).GPU.prototype.requestAdapter = async () => { throw new DOMException("the GPU process crashed", "OperationError"); });
const smallTensors = () => Object.defineProperty((globalThis as any).GPUSupportedLimits.prototype, "maxStorageBufferBindingSize", { get: () => 2 ** 20 });
const smallWorkgroups = () => Object.defineProperty((globalThis as any).GPUSupportedLimits.prototype, "maxComputeInvocationsPerWorkgroup", { get: () => 128 });
const losesAtOnce = () => {
  const { prototype } = (globalThis as any).GPUAdapter;
  const request = prototype.requestDevice;
  prototype.requestDevice = async function (descriptor: unknown) {
    const device = await request.call(this, descriptor);
    device.destroy();
    return device;
  };
};
const wrongNumbers = () => {
  const { prototype } = (globalThis as any).GPUBuffer;
  const map = prototype.getMappedRange;
  prototype.getMappedRange = function (...range: number[]) {
    const mapped: ArrayBuffer = map.apply(this, range);
    if (this.usage & (globalThis as any).GPUBufferUsage.MAP_READ) new Uint8Array(mapped).fill(0);
    return mapped;
  };
};

const squeezenet = "../models/squeezenet1.1.onnx";
const tinyPackage = "../packages/tiny/manifest.json";
const add = "../made/add.onnx";

/** Loads a model, runs it, waits for the decision, and runs it again. */
const settle = (page: Page, source: string, options = {}) =>
  page.evaluate(
    async ([source, options]) => {
      const told: any[] = [];
      const session = await load(source, { ...(options as object), onDeviceChange: ({ device, deviceReason }: any) => told.push({ device, deviceReason }) });
      const first = session.info;
      const input = session.inputs[0];
      const shape = input.shape.map((axis: number | string) => (typeof axis === "number" ? axis : 1));
      const tensor = new Tensor("float32", Float32Array.from({ length: shape.reduce((a: number, b: number) => a * b, 1) }, (_, at) => Math.sin(at)), shape);
      const run = async () => [...((Object.values(await session.run({ [input.name]: tensor })) as any[])[0].data as Float32Array)];
      const before = await run();
      await session.warmup({ [input.name]: tensor }, { awaitDevice: true });
      const after = await run();
      const last = session.info;
      await session.dispose();
      return { first, last, told, worst: Math.max(...before.map((value, at) => Math.abs(value - after[at]!))), largest: Math.max(...before.map(Math.abs)) };
    },
    [source, options] as const,
  );

test.describe("no GPU that could be used is told before anything is loaded", () => {
  const cases: [what: string, stubs: (() => void)[], reason: RegExp][] = [
    ["no navigator.gpu", [noGpu], /there is no WebGPU here \(navigator\.gpu is missing\)/],
    ["no adapter", [noAdapter], /the browser has WebGPU but gives no adapter on this machine/],
    ["a GPU process that crashed", [adapterThrows], /gives no adapter/],
    ["an adapter below WebGPU's least", [hardware, smallWorkgroups], /the WebGPU adapter \(acme\) is too small: maxComputeInvocationsPerWorkgroup is 128, 256 is needed/],
  ];
  for (const [what, stubs, reason] of cases) {
    test(what, async ({ page }) => {
      const fetched: string[] = [];
      page.context().on("request", (request) => fetched.push(request.url()));
      await open(page, stubs);
      const { error, info, sum } = await page.evaluate(async (add) => {
        const error = await rejection(load(add, { device: "webgpu" }));
        const session = await load(add);
        return { error, info: session.info, sum: await answers(session) };
      }, add);
      expect(error).toMatchObject({ kind: "device_unavailable", message: expect.stringMatching(reason) });
      expect(error.message).toMatch(/^device "webgpu": .*or use device "auto" or "cpu"$/);
      expect(info).toMatchObject({ device: "cpu", deviceReason: expect.stringMatching(reason) });
      expect(sum).toEqual([11, 22, 33]);
      expect(fetched.filter((url) => url.includes("/wasm/webgpu/"))).toEqual([]);
      expect(page.workers()).toHaveLength(1);
    });
  }

  test("a GPU that cannot hold the model's largest tensor, with the numbers", async ({ page }) => {
    await open(page, [hardware, smallTensors]);
    // SqueezeNet's last convolution has 1000 × 512 weights of 4 bytes.
    const reason = /the weight "conv10\/weight" has 2048000 bytes, and the WebGPU adapter \(acme\) allows 1048576 in one tensor \(maxStorageBufferBindingSize\)/;
    const { error, info, kinds } = await page.evaluate(async ([squeezenet, add]) => {
      const error = await rejection(load(squeezenet, { device: "webgpu" }));
      const { info } = await load(squeezenet);
      const small = await load(add, { device: "webgpu" });
      return { error, info, kinds: await answers(small) };
    }, [squeezenet, add] as const);
    expect(error).toMatchObject({ kind: "device_unavailable", message: expect.stringMatching(reason) });
    expect(info).toMatchObject({ device: "cpu", deviceReason: expect.stringMatching(reason) });
    expect(kinds).toEqual([11, 22, 33]);
  });
});

test.describe("auto", () => {
  for (const source of [tinyPackage, add]) {
    test(`begins on the CPU, and moves to a GPU that is right and quicker: ${source}`, async ({ page }) => {
      test.setTimeout(120_000);
      const fetched: string[] = [];
      page.context().on("request", (request) => fetched.push(new URL(request.url()).pathname));
      await open(page, [hardware, quickGpu]);
      const { first, last, told, worst, largest } = await settle(page, source, { cache: "none" });
      expect(first).toMatchObject({ device: "cpu", deviceReason: "WebGPU (acme) is being made ready, and the CPU answers until then" });
      expect(last).toMatchObject({ device: "webgpu", deviceReason: expect.stringMatching(/^WebGPU \(acme\) gives the CPU's answers and is quicker: it takes \d+\.\d ms a run, the CPU \d+\.\d ms$/) });
      expect(told).toEqual([{ device: "webgpu", deviceReason: last.deviceReason }]);
      expect(worst).toBeLessThanOrEqual(1e-4 + 1e-3 * largest);
      // What the CPU's host had fetched was handed over.
      const files = fetched.filter((path) => /\/(made|packages)\//.test(path));
      expect(files.sort()).toEqual([...new Set(files)]);
      if (source === tinyPackage) expect(last.selfTest).toMatchObject({ passed: true, device: "webgpu" });
    });
  }

  test("never moves in the middle of a run, and keeps one worker", async ({ page }) => {
    test.setTimeout(120_000);
    await open(page, [hardware, quickGpu]);
    const { sums, devices, last } = await page.evaluate(async (add) => {
      const session = await load(add);
      const sums: number[][] = [];
      const devices = new Set<string>();
      // Calls in line all the while, until the session has moved and then some.
      for (let after = 0; after < 5; ) {
        const three = await Promise.all([1, 2, 3].map(async () => ((devices.add(session.info.device)), answers(session))));
        sums.push(...three);
        if (session.info.device === "webgpu") after++;
      }
      return { sums, devices: [...devices], last: session.info.device };
    }, add);
    expect(devices).toEqual(["cpu", "webgpu"]);
    expect(last).toBe("webgpu");
    for (const sum of sums) expect(sum).toEqual([11, 22, 33]);
    await expect.poll(() => page.workers().length).toBe(1);
  });

  test("stays on the CPU where the GPU is slower, with both times", async ({ page }) => {
    test.setTimeout(120_000);
    await open(page, [hardware]);
    const { last, told } = await settle(page, tinyPackage);
    expect(last).toMatchObject({ device: "cpu", deviceReason: expect.stringMatching(/^WebGPU \(acme\) is not clearly quicker: it takes \d+\.\d ms a run, the CPU \d+\.\d ms$/) });
    expect(told).toEqual([{ device: "cpu", deviceReason: last.deviceReason }]);
    await expect.poll(() => page.workers().length).toBe(0);
  });

  test("decides in place, without a worker, too", async ({ page }) => {
    test.setTimeout(120_000);
    await open(page, [hardware]);
    const { first, last, worst } = await settle(page, add, { worker: false });
    expect(first).toMatchObject({ device: "cpu", deviceReason: expect.stringMatching(/is being made ready/) });
    expect(last.deviceReason).toMatch(/^WebGPU \(acme\) (gives the CPU's answers|is not clearly quicker)/);
    expect(worst).toBe(0);
    expect(page.workers()).toEqual([]);
  });

  const wrong: [what: string, source: string, stubs: (() => void)[], reason: RegExp][] = [
    ["computes a package's golden sample wrongly", tinyPackage, [hardware, quickGpu, wrongNumbers], /WebGPU could not be used \(.*WebGPU computes a golden sample wrongly: output "probabilities"/],
    ["gives another answer than the CPU", add, [hardware, quickGpu, wrongNumbers], /WebGPU \(acme\) gave another answer than the CPU \(output "sum", element \d: expected/],
    ["is lost while the model loads", tinyPackage, [hardware, quickGpu, losesAtOnce], /the GPU failed \(.*the GPU was lost.*\); the first run after 10 s tries it again/],
  ];
  for (const [what, source, stubs, reason] of wrong) {
    test(`stays on the CPU where the GPU ${what}`, async ({ page }) => {
      test.setTimeout(120_000);
      await open(page, stubs);
      const { last, worst } = await settle(page, source);
      expect(last).toMatchObject({ device: "cpu", deviceReason: expect.stringMatching(reason) });
      expect(worst).toBe(0);
    });
  }

  test("goes back to the CPU when the GPU is lost, and to the GPU when it has returned", async ({ page }) => {
    test.setTimeout(180_000);
    await open(page, [hardware, quickGpu, losable]);
    const { sums, told } = await page.evaluate(async (add) => {
      const told: string[] = [];
      const session = await load(add, { onDeviceChange: ({ device, deviceReason }: any) => told.push(`${device}: ${deviceReason}`) });
      await session.warmup(undefined, { awaitDevice: true });
      (globalThis as any).loseGpu();
      await new Promise((done) => setTimeout(done, 200));
      const sums = [await answers(session), await answers(session)];
      const now = performance.now.bind(performance);
      performance.now = () => now() + 11_000;
      sums.push(await answers(session));
      await session.warmup(undefined, { awaitDevice: true });
      sums.push(await answers(session));
      return { sums, told };
    }, add);
    expect(sums).toEqual(Array(4).fill([11, 22, 33]));
    expect(told).toEqual([
      expect.stringMatching(/^webgpu: WebGPU \(acme\) gives the CPU's answers/),
      expect.stringMatching(/^cpu: the GPU failed \(.*\); the first run after 10 s tries it again$/),
      "cpu: the GPU that was lost is being made ready again, and the CPU answers until then",
      expect.stringMatching(/^webgpu: the GPU that was lost gives the CPU's answers and is quicker/),
    ]);
  });

  test("answers while the GPU is made ready, however long that takes, and leaves nothing behind when it is disposed of", async ({ page }) => {
    await open(page, [hardware, () => void ((globalThis as any).GPUAdapter.prototype.requestDevice = () => new Promise(() => {}))]);
    const { sums, kind } = await page.evaluate(async (add) => {
      const session = ((globalThis as any).session = await load(add));
      const sums = [await answers(session), await answers(session)];
      const control = new AbortController();
      setTimeout(() => control.abort(), 500);
      return { sums, kind: (await rejection(session.warmup(undefined, { awaitDevice: true, signal: control.signal }))).kind };
    }, add);
    expect({ sums, kind }).toEqual({ sums: Array(2).fill([11, 22, 33]), kind: "aborted" });
    await expect.poll(() => page.workers().length).toBe(2);
    await page.evaluate(() => (globalThis as any).session.dispose());
    await expect.poll(() => page.workers().length).toBe(0);
  });

  test("survives an abort while the GPU is made ready, and moves all the same", async ({ page }) => {
    test.setTimeout(120_000);
    await open(page, [hardware, quickGpu]);
    const { kind, sum, device } = await page.evaluate(async (add) => {
      const session = await load(add);
      const control = new AbortController();
      const running = rejection(session.run({ pixels: pixels(1, 2, 3) }, { signal: control.signal }));
      control.abort();
      const { kind } = await running;
      const sum = await answers(session);
      await session.warmup(undefined, { awaitDevice: true });
      return { kind, sum, device: session.info.device };
    }, add);
    expect({ kind, sum, device }).toEqual({ kind: "aborted", sum: [11, 22, 33], device: "webgpu" });
    await expect.poll(() => page.workers().length).toBe(1);
  });

  test("stays on the GPU that it has moved to, when an abort has ended its worker", async ({ page }) => {
    test.setTimeout(120_000);
    await open(page, [hardware, quickGpu]);
    const { kind, sum, before, after } = await page.evaluate(async (add) => {
      const session = await load(add);
      await session.warmup(undefined, { awaitDevice: true });
      const before = session.info;
      const control = new AbortController();
      const running = rejection(session.run({ pixels: pixels(1, 2, 3) }, { signal: control.signal }));
      control.abort();
      const { kind } = await running;
      return { kind, sum: await answers(session), before, after: session.info };
    }, add);
    expect({ kind, sum }).toEqual({ kind: "aborted", sum: [11, 22, 33] });
    expect(before.device).toBe("webgpu");
    expect(after).toMatchObject({ device: "webgpu", deviceReason: before.deviceReason });
    await expect.poll(() => page.workers().length).toBe(1);
  });

  test("answers on the CPU when the GPU is out of memory", async ({ page }) => {
    test.setTimeout(120_000);
    await open(page, [hardware, quickGpu, function full() {
      const scope = globalThis as any;
      const channel = new BroadcastChannel("full");
      if ("document" in scope) return void (scope.fillGpu = () => channel.postMessage("full"));
      let isFull = false;
      channel.onmessage = () => (isFull = true);
      const pop = scope.GPUDevice.prototype.popErrorScope;
      scope.GPUDevice.prototype.popErrorScope = async function () {
        const error = await pop.call(this);
        return isFull ? new scope.GPUOutOfMemoryError("full") : error;
      };
    }]);
    const { before, sums, info } = await page.evaluate(async (add) => {
      const session = await load(add);
      await session.warmup(undefined, { awaitDevice: true });
      const before = session.info.device;
      (globalThis as any).fillGpu();
      await new Promise((done) => setTimeout(done, 200));
      return { before, sums: [await answers(session), await answers(session)], info: session.info };
    }, add);
    expect(before).toBe("webgpu");
    expect(sums).toEqual(Array(2).fill([11, 22, 33]));
    expect(info).toMatchObject({ device: "cpu", deviceReason: expect.stringMatching(/^the GPU failed \(.*the GPU is out of memory/) });
  });
});

test("a GPU that was asked for by name and is lost while loading is an error of its kind", async ({ page }) => {
  await open(page, [hardware, losesAtOnce]);
  const error = await page.evaluate((source) => rejection(load(source, { device: "webgpu" })), tinyPackage);
  expect(error).toMatchObject({ kind: "device_lost", message: expect.stringMatching(/the GPU was lost/) });
  await expect.poll(() => page.workers().length).toBe(0);
});

test.describe("WebAssembly", () => {
  // The probes differ in their length.
  const noRelaxed = () => {
    const validate = WebAssembly.validate;
    WebAssembly.validate = (bytes) => (bytes as Uint8Array).byteLength !== 36 && validate(bytes);
  };
  const noSimd = () => void (WebAssembly.validate = () => false);
  const none = () => void Reflect.deleteProperty(globalThis, "WebAssembly");

  for (const worker of [true, false]) {
    test(`without relaxed SIMD does with simd128, worker: ${worker}`, async ({ page }) => {
      await open(page, [noRelaxed]);
      const { simd, top, worst } = await page.evaluate(async ([model, worker]) => {
        const session = await load(model, { device: "cpu", worker });
        return { simd: session.info.simd, ...(await runCase(session, "squeezenet1.1/coffee")) };
      }, [squeezenet, worker] as const);
      expect({ simd, top }).toEqual({ simd: "simd128", top: 967 });
      expect(worst).toBeLessThanOrEqual(1e-5);
    });

    test(`without SIMD, or none at all, is told with the browsers that have it, worker: ${worker}`, async ({ page, context }) => {
      await open(page, [noSimd]);
      const other = await context.newPage();
      await open(other, [none]);
      for (const [one, lacking] of [[page, /WebAssembly has no 128-bit SIMD \(simd128\)/], [other, /has no WebAssembly/]] as const) {
        for (const device of ["cpu", "auto"]) {
          const error = await one.evaluate(([add, device, worker]) => rejection(load(add, { device, worker })), [add, device, worker] as const);
          expect(error).toMatchObject({ kind: "unsupported_browser", message: expect.stringMatching(lacking) });
          expect(error.message).toMatch(/use Chrome or Edge 91, Firefox 89, Safari 16\.4, Node 20, or later/);
        }
      }
    });
  }

  test("without SharedArrayBuffer, even on an isolated page, has one thread, and nothing in the console", async ({ page }) => {
    const lines: string[] = [];
    page.on("console", (message) => lines.push(message.text()));
    await open(page, [() => void Reflect.deleteProperty(globalThis, "SharedArrayBuffer")], "~isolated/");
    const { info, sum } = await page.evaluate(async (add) => {
      const session = await load(add, { device: "cpu", threads: 4 });
      return { info: session.info, sum: await answers(session) };
    }, add);
    expect(sum).toEqual([11, 22, 33]);
    expect(info).toMatchObject({ threads: 1, threadsReason: expect.stringMatching(/cannot share memory/) });
    expect(lines).toEqual([]);
  });
});
