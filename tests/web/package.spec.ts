// The packed tarball in a browser, as a plain page without a bundler uses it.
import { expect, test, type Page } from "@playwright/test";
import { serve } from "./server.mjs";
import { hardware, openPage, quickGpu } from "./stubs.ts";

/* The page's own names; see pages/page.js. */
declare const load: any, Tensor: any, tiny: any, rejection: any, runCase: any, pixels: any, answers: any, longestStall: any, firebrand: any;

let server: { address: string; close(): Promise<void> };
test.beforeAll(async () => void (server = await serve()));
test.afterAll(() => server.close());

let complaints: string[];
test.beforeEach(({ page }) => {
  complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
});
// A trap or a rejection that nobody handles is a defect, whatever the test was about.
test.afterEach(() => expect(complaints).toEqual([]));

async function open(page: Page, switches = ""): Promise<void> {
  await page.goto(`${server.address}/${switches}pages/blank.html`);
  await page.waitForFunction(() => "firebrand" in globalThis);
}

const squeezenet = "../models/squeezenet1.1.onnx";
const efficientnet = "../models/efficientnet-lite0.onnx";

test.describe("answers", () => {
  const bothPhotos = (page: Page, device: string) =>
    page.evaluate(
      async ([model, device]) => {
        const session = await load(model, { device });
        const coffee = await runCase(session, "squeezenet1.1/coffee");
        const chelsea = await runCase(session, "squeezenet1.1/chelsea");
        const info = session.info;
        await session.dispose();
        return { coffee, chelsea, info };
      },
      [squeezenet, device] as const,
    );

  test("SqueezeNet on the CPU, as ONNX Runtime does", async ({ page }) => {
    await open(page);
    const { coffee, chelsea, info } = await bothPhotos(page, "cpu");
    expect(coffee.top).toBe(967);
    expect(coffee.expected.label).toBe("espresso");
    expect(coffee.worst).toBeLessThanOrEqual(1e-5);
    expect(chelsea.top).toBe(285);
    expect(chelsea.expected.label).toBe("Egyptian cat");
    expect(chelsea.worst).toBeLessThanOrEqual(1e-5);
    expect(info).toMatchObject({ device: "cpu", deviceReason: "the CPU was asked for", precision: "float32", threads: 1, simd: "relaxed" });
    expect(info.nodes.cpu).toBe(info.nodes.total);
    expect(info.weightBytes).toBeGreaterThan(4e6);
    expect(info.memoryBytes).toBeGreaterThan(info.weightBytes);
    expect(info.lastRunMs).toBeGreaterThan(0);
    for (const time of Object.values(info.timings)) expect(time).toBeGreaterThan(0);
  });

  test("SqueezeNet on WebGPU, as ONNX Runtime does", async ({ page }) => {
    test.setTimeout(120_000);
    await open(page);
    const { coffee, chelsea, info } = await bothPhotos(page, "webgpu");
    expect(coffee.top).toBe(967);
    expect(coffee.worst).toBeLessThanOrEqual(1e-3);
    expect(chelsea.top).toBe(285);
    expect(chelsea.worst).toBeLessThanOrEqual(1e-3);
    expect(info).toMatchObject({ device: "webgpu", deviceReason: expect.stringContaining("emulated in software") });
    expect(info.nodes.webgpu).toBeGreaterThan(0);
  });

  test("EfficientNet-Lite0 on the CPU", async ({ page }) => {
    await open(page);
    const { top, worst } = await page.evaluate(async (model) => runCase(await load(model, { device: "cpu" }), "efficientnet-lite0/coffee"), efficientnet);
    expect(top).toBe(967);
    expect(worst).toBeLessThanOrEqual(1e-5);
  });

  test("in place, without a worker", async ({ page }) => {
    await open(page);
    const workers: string[] = [];
    page.on("worker", (worker) => workers.push(worker.url()));
    const { top, worst } = await page.evaluate(async (model) => runCase(await load(model, { device: "cpu", worker: false }), "squeezenet1.1/coffee"), squeezenet);
    expect(top).toBe(967);
    expect(worst).toBeLessThanOrEqual(1e-5);
    expect(workers).toEqual([]);
  });

  test("auto keeps off an emulated GPU, says why, and does not fetch what it does not use", async ({ page }) => {
    const fetched: string[] = [];
    page.context().on("request", (request) => fetched.push(request.url()));
    await open(page);
    const info = await page.evaluate(async (model) => (await load(model)).info, squeezenet);
    expect(info).toMatchObject({ device: "cpu", deviceReason: expect.stringMatching(/emulated in software \(.*swiftshader.*\)/i) });
    expect(fetched.filter((url) => url.endsWith(".wasm"))).toEqual([expect.stringContaining("/wasm/cpu-relaxed/")]);
  });
});

test.describe("the contract", () => {
  test("inputs and outputs are described", async ({ page }) => {
    await open(page);
    const { inputs, outputs, version, runtimeVersion } = await page.evaluate(async () => {
      const { inputs, outputs, info } = await load("../made/add.onnx", { device: "cpu" });
      return { inputs, outputs, version: info.runtimeVersion, runtimeVersion: firebrand.runtimeVersion };
    });
    expect(inputs).toEqual([{ name: "pixels", dtype: "float32", shape: ["batch", 3] }]);
    expect(outputs).toEqual([{ name: "sum", dtype: "float32", shape: ["batch", 3] }]);
    expect(version).toBe(runtimeVersion);
  });

  for (const worker of [true, false]) {
    test(`the caller's arrays stay usable, and runs need not wait for each other (worker: ${worker})`, async ({ page }) => {
      await open(page);
      const result = await page.evaluate(async (worker) => {
        const model = tiny.addBias();
        const session = await load(model, { device: "cpu", worker });
        const data = Float32Array.of(1, 2, 3, 4, 5, 6);
        const tensor = new Tensor("float32", data, [2, 3]);
        const both = Promise.all([session.run({ pixels: tensor }), session.run({ pixels: pixels(7, 8, 9) })]);
        data.fill(0);
        const [first, second] = await both;
        await session.warmup();
        return { model: model.length, data: data.length, first: [...first.sum.data], shape: first.sum.shape, second: [...second.sum.data], again: await answers(session) };
      }, worker);
      expect(result.model).toBeGreaterThan(50);
      expect(result).toMatchObject({ data: 6, first: [2, 4, 6, 5, 7, 9], shape: [2, 3], second: [8, 10, 12], again: [11, 22, 33] });
    });
  }

  test("a profile tells what each node took, and becomes a trace", async ({ page }) => {
    await open(page);
    const { top, profile, trace, info } = await page.evaluate(async (model) => {
      const session = await load(model, { device: "cpu" });
      await session.warmup();
      const blank = { data: new Tensor("float32", new Float32Array(3 * 227 * 227), [1, 3, 227, 227]) };
      const { outputs, profile } = await session.run(blank, { profile: true });
      return { top: outputs.probabilities.shape, profile, trace: JSON.parse(firebrand.toChromeTrace(profile)), info: session.info };
    }, squeezenet);
    expect(top).toEqual([1, 1000]);
    expect(profile.nodes).toHaveLength(info.nodes.total);
    const first = profile.nodes.find(({ name }: any) => name === "conv1");
    // 64 channels of 114 × 114 sums of 3 · 3 · 3 products; the photo, the kernel and the bias.
    expect(first).toMatchObject({ operator: expect.stringContaining("Conv"), device: "cpu", multiplyAdds: 64 * 114 * 114 * 27, bytesRead: 4 * (3 * 227 * 227 + 64 * 27 + 64), bytesWritten: 4 * 64 * 114 * 114 });
    expect(first.shareOfPeak).toBeCloseTo(first.multiplyAdds / profile.peak.float32 / (first.durationMs / 1000), 6);
    expect(profile.peak.int8).toBeGreaterThan(1e8);
    expect(first.outputs).toEqual([{ dtype: "float32", shape: [1, 64, 114, 114] }]);
    const sum = (of: (node: any) => number) => profile.nodes.map(of).reduce((a: number, b: number) => a + b, 0);
    expect(sum(({ multiplyAdds }) => multiplyAdds)).toBeGreaterThan(3.4e8);
    expect(sum(({ multiplyAdds }) => multiplyAdds)).toBeLessThan(3.6e8);
    const took = sum(({ durationMs }) => durationMs);
    expect(took).toBeLessThanOrEqual(profile.durationMs + 0.1 * profile.nodes.length);
    expect(took).toBeGreaterThan(profile.durationMs / 2);
    expect(profile.durationMs).toBeLessThanOrEqual(info.lastRunMs + 1);
    expect(info.lastRunPeakBytes).toBeGreaterThanOrEqual(first.bytesWritten);
    expect(trace.traceEvents.filter(({ ph }: any) => ph === "X").map(({ name }: any) => name)).toEqual(["run", ...profile.nodes.map(({ name }: any) => name)]);
  });

  test("a profile on WebGPU waits for each node", async ({ page }) => {
    await open(page);
    const { sum, profile } = await page.evaluate(async () => {
      const session = await load("../made/add.onnx", { device: "webgpu" });
      const { outputs, profile } = await session.run({ pixels: pixels(10, 20, 30) }, { profile: true });
      return { sum: [...outputs.sum.data], profile };
    });
    expect(sum).toEqual([11, 22, 33]);
    expect(profile.nodes).toEqual([expect.objectContaining({ operator: "Add", device: "webgpu", bytesWritten: 12 })]);
    expect(profile.nodes[0].durationMs).toBeGreaterThan(0);
  });

  test("float16 is bits, also where the platform has Float16Array", async ({ page }) => {
    await open(page);
    const bits = await page.evaluate(() => {
      const { data } = new Tensor("float16", new (globalThis as any).Float16Array([1, -2]), [2]);
      return [data.constructor.name, ...data];
    });
    expect(bits).toEqual(["Uint16Array", 0x3c00, 0xc000]);
  });

  for (const device of ["cpu", "webgpu"]) {
    test(`every dtype goes in and comes out, on ${device}`, async ({ page }) => {
      await open(page);
      const { wrong, count } = await page.evaluate(async (device) => {
        const values: Record<string, any> = {
          float32: Float32Array.of(-1.5, 3e38, 1e-45),
          float16: Uint16Array.of(0x3c00, 0xc000, 0x7bff),
          bfloat16: Uint16Array.of(0x3f80, 0xc000, 0x7f7f),
          float8e4m3fn: Uint8Array.of(0x80, 0x38, 0x7f),
          float8e4m3fnuz: Uint8Array.of(0x80, 0x40, 0xff),
          float8e5m2: Uint8Array.of(0x80, 0x7c, 0x7f),
          float8e5m2fnuz: Uint8Array.of(0x80, 0x40, 0xff),
          int4: Int8Array.of(-8, -1, 7),
          uint4: Uint8Array.of(0, 8, 15),
          float64: Float64Array.of(Math.PI, -1e300, 5e-324),
          int8: Int8Array.of(-128, 0, 127),
          uint8: Uint8Array.of(0, 128, 255),
          int16: Int16Array.of(-32768, 0, 32767),
          uint16: Uint16Array.of(0, 32768, 65535),
          int32: Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1),
          uint32: Uint32Array.of(0, 2 ** 31, 2 ** 32 - 1),
          int64: BigInt64Array.of(-(2n ** 63n), 2n ** 53n + 1n, 2n ** 63n - 1n),
          uint64: BigUint64Array.of(0n, 2n ** 63n, 2n ** 64n - 1n),
          bool: Uint8Array.of(0, 1, 1),
          string: ["", "flame", "Glühwürmchen 🔥"],
        };
        const wrong = [];
        for (const [dtype, data] of Object.entries(values)) {
          const error = await load(tiny.identity(dtype), { device }).then(
            async (session: any) => {
              const { y } = await session.run({ x: new Tensor(dtype, data, [3]) });
              await session.dispose();
              const same = y.dtype === dtype && String(y.shape) === "3" && y.data.constructor === data.constructor && [...y.data].every((value: unknown, at: number) => Object.is(value, data[at]));
              return same ? undefined : `came out as ${y.dtype} [${y.shape}] ${[...y.data]}`;
            },
          ).catch(String);
          if (error) wrong.push(`${dtype} ${error}`);
        }
        return { wrong, count: Object.keys(values).length };
      }, device);
      expect(count).toBe(20);
      expect(wrong).toEqual([]);
    });
  }

  for (const [device, worker] of [["cpu", true], ["cpu", false], ["webgpu", true]] as const) {
    test(`sequences and optionals go in and come out, on ${device}, worker: ${worker}`, async ({ page }) => {
      await open(page);
      const told = await page.evaluate(async ([device, worker]) => {
        const words = (value: any): unknown => (Array.isArray(value) ? value.map(words) : value && `${value.dtype} [${value.shape}] ${[...value.data]}`);
        const tensor = (...values: number[]) => new Tensor("float32", Float32Array.from(values), [values.length]);
        const through = async (model: Uint8Array, ...values: unknown[]) => {
          const session = await load(model, { device, worker });
          const { inputs, outputs } = session;
          await session.warmup();
          const results = [];
          for (const x of values) results.push(words(Object.values(await session.run({ x }))[0]));
          await session.dispose();
          return { input: inputs[0], output: outputs[0], results };
        };
        return {
          sequence: await through(tiny.identity("float32", { kind: "sequence" }), [tensor(1, 2), tensor()], []),
          strings: await through(tiny.identity("string", { kind: "sequence" }), [new Tensor("string", ["a", "🔥"], [2])], []),
          optional: await through(tiny.identity("float32", { optional: true }), tensor(3), null),
          both: await through(tiny.identity("int4", { kind: "sequence", optional: true }), [new Tensor("int4", Int8Array.of(-8), [1])], null),
          there: await through(tiny.isThere(), tensor(1), null),
        };
      }, [device, worker] as const);
      const info = { name: "x", dtype: "float32", shape: ["length"] };
      expect(told.sequence).toMatchObject({ input: { ...info, kind: "sequence" }, output: { name: "y", kind: "sequence" }, results: [["float32 [2] 1,2", "float32 [0] "], []] });
      expect(told.strings).toMatchObject({ input: { ...info, kind: "sequence", dtype: "string" }, results: [["string [2] a,🔥"], []] });
      expect(told.optional).toMatchObject({ input: { ...info, optional: true }, output: { name: "y", optional: true }, results: ["float32 [1] 3", null] });
      expect(told.both).toMatchObject({ input: { ...info, kind: "sequence", optional: true, dtype: "int4" }, results: [["int4 [1] -8"], null] });
      expect(told.there.results).toEqual(["bool [] 1", "bool [] 0"]);
    });
  }

  test("a wrong kind of value is told, and the session answers the next good call", async ({ page }) => {
    await open(page);
    const { list, one, next } = await page.evaluate(async () => {
      const sequence = await load(tiny.identity("float32", { kind: "sequence" }), { device: "cpu" });
      const add = await load("../made/add.onnx", { device: "cpu" });
      const list = [await rejection(sequence.run({ x: pixels(1, 2, 3) })), await rejection(sequence.run({ x: null })), await rejection(sequence.run({ x: [new Tensor("int32", Int32Array.of(1), [1])] }))];
      const one = [await rejection(add.run({ pixels: [pixels(1, 2, 3)] })), await rejection(add.run({ pixels: null }))];
      return { list, one, next: await answers(add) };
    });
    expect([...list, ...one].map(({ kind }: any) => kind)).toEqual(["dtype_mismatch", "invalid_argument", "dtype_mismatch", "dtype_mismatch", "invalid_argument"]);
    expect(list[0].message).toMatch(/"x".*a sequence of float32.*got a tensor/);
    expect(list[1].message).toMatch(/"x": expected an array of Tensors \(float32 \[length\]\), got null/);
    expect(list[2].message).toMatch(/"x".*a sequence of float32.*got int32/);
    expect(one[0].message).toMatch(/"pixels".*a tensor, float32 \[batch, 3\], got a sequence/);
    expect(next).toEqual([11, 22, 33]);
  });

  test("only the outputs that are asked for come back", async ({ page }) => {
    await open(page);
    const results = await page.evaluate(async () => {
      const session = await load(tiny.twoOutputs(), { device: "cpu" });
      const run = async (outputs?: string[]) => {
        const results = await session.run({ x: new Tensor("float32", Float32Array.of(-1, 2), [2]) }, { outputs });
        return Object.fromEntries(Object.entries(results).map(([name, { data }]: any) => [name, [...data]]));
      };
      return [await run(), await run(["negative"]), await run(["positive"])];
    });
    expect(results).toEqual([{ positive: [0, 2], negative: [1, -2] }, { negative: [1, -2] }, { positive: [0, 2] }]);
  });

  test("a tensor from every kind of picture", async ({ page }) => {
    await open(page);
    const tensors = await page.evaluate(async () => {
      const url = "../cases/images/coffee-227.png";
      const blob = await (await fetch(url)).blob();
      const bitmap = await createImageBitmap(blob);
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
      const context = canvas.getContext("2d")!;
      context.drawImage(bitmap, 0, 0);
      const offscreen = new OffscreenCanvas(bitmap.width, bitmap.height);
      offscreen.getContext("2d")!.drawImage(bitmap, 0, 0);
      const video = Object.assign(document.createElement("video"), { srcObject: canvas.captureStream(30), muted: true });
      const redraw = setInterval(() => context.drawImage(bitmap, 0, 0), 20);
      await video.play();
      const options = { size: 64, color: "BGR", mean: [103.939, 116.779, 123.68], scale: 1 };
      const sources = { bitmap, image, canvas, offscreen, pixels: context.getImageData(0, 0, bitmap.width, bitmap.height), video };
      const tensors = Object.entries(sources).map(([name, source]) => [name, Tensor.fromImage(source, options)] as const);
      clearInterval(redraw);
      const first: Float32Array = tensors[0]![1].data;
      return tensors.map(([name, { dtype, shape, data }]) => ({ name, dtype, shape, worst: Math.max(...first.map((value, at) => Math.abs(value - data[at]))), spread: Math.max(...data) - Math.min(...data) }));
    });
    expect(tensors.map(({ name }) => name)).toEqual(["bitmap", "image", "canvas", "offscreen", "pixels", "video"]);
    for (const { name, dtype, shape, worst, spread } of tensors) {
      expect(dtype, name).toBe("float32");
      expect(shape, name).toEqual([1, 3, 64, 64]);
      expect(spread, name).toBeGreaterThan(150);
      // A stream's frames pass through a codec's colour space.
      expect(worst, name).toBeLessThanOrEqual(name === "video" ? 24 : 0);
    }
  });

  test("every kind of source", async ({ page }) => {
    await open(page);
    const sums = await page.evaluate(async () => {
      const bytes = tiny.addBias();
      const url = new URL("../made/add.onnx", location.href);
      const sources = ["../made/add.onnx", url, await fetch(url), new Blob([bytes]), bytes.buffer, bytes, URL.createObjectURL(new Blob([bytes]))];
      const sums = [];
      for (const source of sources) {
        const session = await load(source, { device: "cpu" });
        sums.push(await answers(session));
        await session.dispose();
      }
      return sums;
    });
    expect(sums).toEqual(Array(7).fill([11, 22, 33]));
  });

  test("external data beside the model, or given", async ({ page }) => {
    await open(page);
    const sums = await page.evaluate(async () => [
      await answers(await load("../made/external.onnx", { device: "cpu" })),
      await answers(await load(tiny.addExternalBias("b.bin"), { device: "cpu", externalData: { "b.bin": tiny.biasBytes() } })),
      await answers(await load(tiny.addExternalBias("b.bin"), { device: "cpu", externalData: { "b.bin": "../made/weights/bias.bin" } })),
    ]);
    expect(sums).toEqual(Array(3).fill([11, 22, 33]));
  });

  test("progress grows to the total, for the runtime and for the model", async ({ page }) => {
    await open(page);
    const { told, size } = await page.evaluate(async (model) => {
      const told: { phase: string; loaded: number; total?: number; file?: string }[] = [];
      await load(model, { device: "cpu", onProgress: (progress: any) => told.push(progress) });
      return { told, size: (await (await fetch(model)).arrayBuffer()).byteLength };
    }, squeezenet);
    for (const phase of ["runtime", "model", "prepare"]) {
      const steps = told.filter((step) => step.phase === phase);
      expect(steps.length, phase).toBeGreaterThan(0);
      expect(steps.map(({ loaded }) => loaded), phase).toEqual(steps.map(({ loaded }) => loaded).sort((a, b) => a - b));
      expect(steps.at(-1)!.loaded, phase).toBe(steps.at(-1)!.total);
    }
    expect(told.filter(({ phase }) => phase === "model").at(-1)).toEqual({ phase: "model", loaded: size, total: size, file: "squeezenet1.1.onnx" });
  });

  test("progress of a compressed model names no total that is another's, and ends with its own", async ({ page }) => {
    await open(page);
    const { told, size } = await page.evaluate(async () => {
      const told: any[] = [];
      await answers(await load("../~gzip/made/add.onnx", { device: "cpu", onProgress: (progress: any) => told.push(progress) }));
      return { told: told.filter(({ phase }) => phase === "model"), size: tiny.addBias().length };
    });
    expect(told.at(-1)).toMatchObject({ loaded: size, total: size });
    for (const { total } of told.slice(0, -1)) expect(total).toBeUndefined();
  });

  test("abort while loading", async ({ page }) => {
    await open(page);
    const { error, elapsed } = await page.evaluate(async () => {
      const control = new AbortController();
      const began = performance.now();
      const error = await rejection(
        load("../~slow-100000/models/squeezenet1.1.onnx", {
          device: "cpu",
          signal: control.signal,
          onProgress: ({ phase, loaded }: any) => phase === "model" && loaded > 10_000 && control.abort("changed my mind"),
        }),
      );
      return { error, elapsed: performance.now() - began };
    });
    expect(error).toMatchObject({ kind: "aborted", cause: "changed my mind" });
    expect(elapsed).toBeLessThan(20_000);
    await expect.poll(() => page.workers().length).toBe(0);
  });

  test("abort while running ends the worker; calls in line and later are right", async ({ page }) => {
    await open(page);
    const result = await page.evaluate(async (model) => {
      const session = await load(model, { device: "cpu" });
      const before = await runCase(session, "squeezenet1.1/coffee");
      const zeros = new Tensor("float32", new Float32Array(3 * 227 * 227), [1, 3, 227, 227]);
      const control = new AbortController();
      const began = performance.now();
      const first = rejection(session.run({ data: zeros }, { signal: control.signal }));
      const second = runCase(session, "squeezenet1.1/chelsea");
      setTimeout(() => control.abort(), 5);
      const error = await first;
      const elapsed = performance.now() - began;
      return { before, error, elapsed, runMs: session.info.lastRunMs, second: await second, third: await runCase(session, "squeezenet1.1/coffee") };
    }, squeezenet);
    expect(result.error.kind).toBe("aborted");
    expect(result.elapsed).toBeLessThan(100);
    expect([result.before.top, result.second.top, result.third.top]).toEqual([967, 285, 967]);
    expect(page.workers()).toHaveLength(1);
  });

  test("dispose twice, and use after it", async ({ page }) => {
    await open(page);
    const errors = await page.evaluate(async () => {
      const session = await load("../made/add.onnx", { device: "cpu" });
      const running = rejection(session.run({ pixels: pixels(1, 2, 3) }));
      await session.dispose();
      await session.dispose();
      await session[Symbol.asyncDispose]();
      return [await running, await rejection(session.run({ pixels: pixels(1, 2, 3) })), await rejection(session.warmup())];
    });
    expect(errors.map(({ kind }) => kind)).toEqual(["disposed", "disposed", "disposed"]);
    await expect.poll(() => page.workers().length).toBe(0);
  });

  test("a video-like loop does not leak", async ({ page }) => {
    await open(page);
    const { early, late } = await page.evaluate(async () => {
      const session = await load("../made/add.onnx", { device: "cpu" });
      const many = new Tensor("float32", new Float32Array(30_000), [10_000, 3]);
      for (let turn = 0; turn < 20; turn++) await session.run({ pixels: many });
      const early = session.info.memoryBytes;
      for (let turn = 0; turn < 300; turn++) await session.run({ pixels: many });
      return { early, late: session.info.memoryBytes };
    });
    expect(late).toBe(early);
  });

  test("inspect tells operators, supported or not, without running", async ({ page }) => {
    await open(page);
    const report = await page.evaluate(() => firebrand.inspect("../made/unsupported.onnx"));
    const operators = report.operators.map(({ name, count, supported, nodes }: any) => [name, count, supported, nodes]).sort();
    expect(operators).toEqual([["Defenestrate", 1, false, ["third"]], ["Frobnicate", 2, false, ["first", "second"]], ["Relu", 1, true, undefined]]);
    const kinds = await page.evaluate(async () => (await firebrand.inspect(tiny.identity("int64", { kind: "sequence", optional: true }))).inputs);
    expect(kinds).toEqual([{ name: "x", kind: "sequence", optional: true, dtype: "int64", shape: ["length"] }]);
  });
});

test.describe("threads", () => {
  const int8 = "../models/squeezenet1.1-int8.onnx";
  /** The answers of a session with one thread and of one with `threads`, and what that one tells. */
  const compare = (page: Page, model: string, threads: number | "auto") =>
    page.evaluate(
      async ([model, threads]) => {
        const sessions = [await load(model, { device: "cpu", threads: 1 }), await load(model, { device: "cpu", threads })];
        const data = new Tensor("float32", Float32Array.from({ length: 3 * 227 * 227 }, (_, at) => 120 * Math.sin(at)), [1, 3, 227, 227]);
        const answers = [];
        for (const session of sessions) for (let turn = 0; turn < 3; turn++) answers.push(Array.from((await session.run({ data })).probabilities.data as Float32Array));
        const infos = sessions.map(({ info }) => info);
        for (const session of sessions) await session.dispose();
        return { same: answers.every((answer) => answer.every((value, at) => Object.is(value, answers[0]![at]))), infos };
      },
      [model, threads] as const,
    );

  for (const [name, model] of [["float32", squeezenet], ["int8", int8]] as const) {
    test(`share the work where the page is isolated, with the answers of one: ${name}`, async ({ page }) => {
      await open(page, "~isolated/");
      const { same, infos } = await compare(page, model, 2);
      expect(infos).toMatchObject([{ threads: 1, threadsReason: "one thread was asked for" }, { threads: 2, threadsReason: "2 threads were asked for", simd: "relaxed" }]);
      expect(infos[1].memoryBytes).toBeGreaterThan(infos[1].weightBytes);
      expect(same).toBe(true);
      await expect.poll(() => page.workers().length).toBe(0);
    });
  }

  test("are there of themselves, under a strict policy too", async ({ page }) => {
    await open(page, "~isolated/~csp/");
    const { infos } = await compare(page, int8, "auto");
    expect(infos[1]).toMatchObject({ threads: expect.any(Number), threadsReason: expect.stringMatching(/^there are \d+ cores$/) });
    expect(infos[1].threads).toBeGreaterThan(1);
  });

  test("are not used, in silence, where the page is not isolated or the host lacks a part of them", async ({ page }) => {
    await open(page);
    expect((await compare(page, int8, 2)).infos[1]).toMatchObject({ threads: 1, threadsReason: expect.stringMatching(/cross-origin isolated/) });
    await open(page, "~isolated/~html-thread/");
    const { same, infos } = await compare(page, int8, 2);
    expect(infos[1]).toMatchObject({ threads: 1, threadsReason: expect.stringMatching(/could not be started/) });
    expect(same).toBe(true);
  });

  test("end with a run that is aborted, and the next run has them again", async ({ page }) => {
    await open(page, "~isolated/");
    const { kind, top, threads } = await page.evaluate(async (model) => {
      const session = await load(model, { device: "cpu", threads: 2 });
      const control = new AbortController();
      const zeros = new Tensor("float32", new Float32Array(3 * 227 * 227), [1, 3, 227, 227]);
      const running = rejection(session.run({ data: zeros }, { signal: control.signal }));
      setTimeout(() => control.abort(), 5);
      const { kind } = await running;
      const { top } = await runCase(session, "squeezenet1.1/coffee");
      return { kind, top, threads: session.info.threads };
    }, squeezenet);
    expect({ kind, top, threads }).toEqual({ kind: "aborted", top: 967, threads: 2 });
  });
});

test.describe("the page stays live", () => {
  const work = (page: Page, worker: boolean) =>
    page.evaluate(
      async ([model, worker]) => {
        const input = new Tensor("float32", new Float32Array(3 * 227 * 227), [1, 3, 227, 227]);
        const { longest } = await longestStall(async () => {
          const session = await load(model, { device: "cpu", worker });
          for (let turn = 0; turn < 3; turn++) await session.run({ data: input });
        });
        return longest as number;
      },
      [squeezenet, worker] as const,
    );

  /**
   * The longest task of the page's thread, in milliseconds: the lesser of its wall time, which other
   * processes that want the CPU draw out, and its CPU time, which some kernels charge with theirs.
   */
  async function longestTask(page: Page, during: () => Promise<unknown>): Promise<number> {
    const browser = page.context().browser()!;
    await browser.startTracing(page, { categories: ["toplevel", "__metadata"] });
    await during();
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
    const threads = traceEvents.filter(({ name, args }: any) => name === "thread_name" && args.name === "CrRendererMain");
    const isPage = ({ pid, tid }: any) => threads.some((thread: any) => thread.pid === pid && thread.tid === tid);
    const tasks = traceEvents.filter((event: any) => event.ph === "X" && event.tdur !== undefined && isPage(event));
    expect(tasks.length).toBeGreaterThan(10);
    return Math.max(...tasks.map(({ dur, tdur }: any) => Math.min(dur, tdur) / 1000));
  }

  test("while a model loads and runs", async ({ page }) => {
    await open(page, "~isolated/");
    await page.waitForTimeout(500);
    let stall = 0;
    const longest = await longestTask(page, async () => (stall = await work(page, true)));
    test.info().annotations.push({ type: "longest task and stall, ms", description: `${longest.toFixed(1)}, ${stall.toFixed(1)}` });
    expect(longest).toBeLessThanOrEqual(50);
  });

  test("while a session moves to the GPU", async ({ page }) => {
    test.setTimeout(120_000);
    await openPage(page, `${server.address}/pages/blank.html`, [hardware, quickGpu]);
    await page.waitForTimeout(500);
    let device = "";
    const longest = await longestTask(page, async () => {
      device = await page.evaluate(async (model) => {
        const session = await load(model);
        await session.warmup(undefined, { awaitDevice: true });
        return session.info.device;
      }, squeezenet);
    });
    test.info().annotations.push({ type: "longest task, ms", description: longest.toFixed(1) });
    expect(device).toBe("webgpu");
    expect(longest).toBeLessThanOrEqual(50);
  });

  test("which the same work in place does not leave it: the test would notice", async ({ page }) => {
    await open(page);
    expect(await longestTask(page, () => work(page, false))).toBeGreaterThan(50);
  });
});

test.describe("hosts that misbehave", () => {
  test("a strict Content-Security-Policy is enough", async ({ page }) => {
    const violations: string[] = [];
    page.on("console", (message) => void (/Content.Security.Policy/i.test(message.text()) && violations.push(message.text())));
    await open(page, "~csp/");
    const sums = await page.evaluate(async () => [
      await answers(await load("../made/add.onnx", { device: "cpu" })),
      await answers(await load("../made/add.onnx", { device: "cpu", worker: false })),
    ]);
    expect(sums).toEqual(Array(2).fill([11, 22, 33]));
    expect(violations).toEqual([]);
  });

  for (const worker of [true, false]) {
    test(`HTML instead of WebAssembly says URL, status, MIME type and what to do (worker: ${worker})`, async ({ page }) => {
      await open(page, "~html-wasm/");
      const error = await page.evaluate((worker) => rejection(load("../made/add.onnx", { device: "cpu", worker })), worker);
      expect(error.kind).toBe("network");
      expect(error.file).toMatch(/\/wasm\/cpu-relaxed\/firebrand_bg\.wasm$/);
      expect(error.message).toContain(error.file);
      expect(error.message).toMatch(/expected WebAssembly, got a web page \(status 200, text\/html.*\).*deploy the package's dist folder/);
    });
  }

  test("a wrong MIME type for WebAssembly does no harm", async ({ page }) => {
    await open(page, "~wasm-as-text/");
    expect(await page.evaluate(async () => answers(await load("../made/add.onnx", { device: "cpu" })))).toEqual([11, 22, 33]);
  });

  test("HTML instead of the worker", async ({ page }) => {
    await open(page, "~html-worker/");
    const error = await page.evaluate(() => rejection(load("../made/add.onnx", { device: "cpu" })));
    expect(error.kind).toBe("network");
    expect(error.message).toMatch(/worker\.js answered 200 OK \(text\/html/);
  });

  test("a missing file, a failing server, no server", async ({ page }) => {
    await open(page);
    const errors = await page.evaluate(async () => [
      await rejection(load("../models/none.onnx", { device: "cpu" })),
      await rejection(load("../~status-503/models/squeezenet1.1.onnx", { device: "cpu" })),
      await rejection(load("http://127.0.0.1:9/model.onnx", { device: "cpu" })),
    ]);
    expect(errors.map(({ kind }) => kind)).toEqual(["network", "network", "network"]);
    expect(errors[0].message).toMatch(/models\/none\.onnx: the server answered 404/);
    expect(errors[1].message).toMatch(/answered 503/);
    expect(errors[2].message).toMatch(/http:\/\/127\.0\.0\.1:9\/model\.onnx could not be fetched/);
  });

  test("a connection that drops in the middle of a model", async ({ page }) => {
    await open(page);
    const error = await page.evaluate(() => rejection(load("../~drop-200000/models/squeezenet1.1.onnx", { device: "cpu" })));
    expect(error.kind).toBe("network");
    expect(error.message).toMatch(/after \d+ of \d+ bytes/);
  });
});

test.describe("a model that is none", () => {
  const cases: [what: string, source: string, kind: string, message: RegExp][] = [
    ["empty", "../made/empty.onnx", "empty_file", /made\/empty\.onnx is empty \(0 bytes\)/],
    ["HTML", "../~html/models/squeezenet1.1.onnx", "not_a_model", /squeezenet1\.1\.onnx: expected an ONNX model, got a web page \(status 200, text\/html/],
    ["truncated", "../~cut-300000/models/squeezenet1.1.onnx", "truncated", /./],
    ["truncated early", "../~cut-40/made/add.onnx", "truncated", /./],
    ["another kind of file", "../cases/images/coffee-227.png", "not_a_model", /./],
    ["missing external data", "../made/lost.onnx", "missing_external_data", /"lost\.bin".*404/],
    ["HTML for external data", "../~html-data/made/external.onnx", "missing_external_data", /"weights\/bias\.bin".*web page/],
    ["external data outside its folder", "../made/escaping.onnx", "invalid_model", /\.\.\/made\/weights\/bias\.bin/],
    ["unsupported operators, all at once", "../made/unsupported.onnx", "unsupported_operator", /unsupported operators: test\.firebrand\.Defenestrate \(1 node: "third"\), test\.firebrand\.Frobnicate \(2 nodes: "first", "second"\)/],
  ];
  for (const [what, source, kind, message] of cases) {
    test(what, async ({ page }) => {
      await open(page);
      const error = await page.evaluate((source) => rejection(load(source, { device: "cpu" })), source);
      expect(error).toMatchObject({ kind });
      expect(error.message).toMatch(message);
      await expect.poll(() => page.workers().length, "its worker is ended").toBe(0);
    });
  }

  test("external data cut short names the tensor and the sizes", async ({ page }) => {
    await open(page);
    const error = await page.evaluate(() =>
      rejection(load(tiny.addExternalBias("b.bin"), { device: "cpu", externalData: { "b.bin": tiny.biasBytes().subarray(0, 8) } })),
    );
    expect(error.kind).toBe("truncated");
    expect(error.message).toMatch(/(?=.*b\.bin)(?=.*bias)(?=.*12)(?=.*8)/);
  });
});

test.describe("wrong inputs each have a kind, and the session answers the next good call", () => {
  const cases: [what: string, make: string, kind: string, message: RegExp][] = [
    ["a wrong name, with the nearest right one", `({ pixel: pixels(1, 2, 3) })`, "unknown_input", /"pixel".*"pixels"/],
    ["no input", `({})`, "missing_input", /"pixels"/],
    ["an extra input", `({ pixels: pixels(1, 2, 3), mask: pixels(1, 2, 3) })`, "unknown_input", /"mask"/],
    ["a wrong dtype", `({ pixels: new Tensor("int32", Int32Array.of(1, 2, 3), [1, 3]) })`, "dtype_mismatch", /(?=.*pixels)(?=.*(float32|f32))(?=.*(int32|i32))/],
    ["a wrong axis", `({ pixels: new Tensor("float32", Float32Array.of(1, 2), [1, 2]) })`, "shape_mismatch", /(?=.*pixels)(?=.*\[batch, 3\])(?=.*\[1, 2\])/],
    ["a wrong rank", `({ pixels: new Tensor("float32", Float32Array.of(1, 2, 3), [3]) })`, "shape_mismatch", /(?=.*\[batch, 3\])(?=.*\[3\])/],
    ["data whose length does not fit", `({ pixels: { dtype: "float32", data: Float32Array.of(1, 2), shape: [1, 3] } })`, "data_length_mismatch", /\[1, 3\] has 3 elements, the data has 2/],
    ["a bare array", `({ pixels: Float32Array.of(1, 2, 3) })`, "invalid_argument", /expected a Tensor/],
    ["no inputs at all", `undefined`, "invalid_argument", /inputs are an object/],
  ];
  for (const [device, worker] of [["cpu", true], ["cpu", false], ["webgpu", true]] as const) {
    test(`on ${device}, worker: ${worker}`, async ({ page }) => {
      await open(page);
      const results = await page.evaluate(
        async ([makes, device, worker]) => {
          const session = await load("../made/add.onnx", { device, worker });
          const results = [];
          for (const make of makes) results.push({ error: await rejection(session.run((0, eval)(make))), next: await answers(session) });
          const unknown = await rejection(session.run({ pixels: pixels(1, 2, 3) }, { outputs: ["sums"] }));
          results.push({ error: unknown, next: await answers(session) });
          return results;
        },
        [cases.map(([, make]) => make), device, worker] as const,
      );
      for (const [index, [what, , kind, message]] of cases.entries()) {
        const { error, next } = results[index]!;
        expect.soft(error.kind, what).toBe(kind);
        expect.soft(error.message, what).toMatch(message);
        expect.soft(next, `after ${what}`).toEqual([11, 22, 33]);
      }
      expect.soft(results.at(-1)!.error.kind).toBe("unknown_output");
      expect.soft(results.at(-1)!.error.message).toMatch(/"sums".*"sum"/);
      expect.soft(results.at(-1)!.next).toEqual([11, 22, 33]);
    });
  }

  for (const worker of [true, false]) {
    test(`more memory than there is (worker: ${worker})`, async ({ page }) => {
      await open(page);
      const { errors, zeros } = await page.evaluate(async (worker) => {
        const session = await load(tiny.zeros(), { device: "cpu", worker });
        const run = (length: bigint) => session.run({ length: new Tensor("int64", BigInt64Array.of(length), [1]) });
        const errors = [await rejection(run(2n ** 31n)), await rejection(run(2n ** 62n)), await rejection(run(-1n))];
        const { zeros } = await run(3n);
        return { errors, zeros: [...zeros.data] };
      }, worker);
      expect(["out_of_memory", "limit_exceeded"]).toContain(errors[0].kind);
      expect(["out_of_memory", "limit_exceeded"]).toContain(errors[1].kind);
      expect(["invalid_argument", "invalid_model", "shape_mismatch"]).toContain(errors[2].kind);
      expect(zeros).toEqual([0, 0, 0]);
    });
  }

  for (const device of ["cpu", "webgpu"]) {
    test(`NaN and infinities go through as IEEE says, on ${device}`, async ({ page }) => {
      await open(page);
      const values = await page.evaluate(async (device) => {
        const session = await load("../made/add.onnx", { device });
        const { sum } = await session.run({ pixels: pixels(NaN, Infinity, -Infinity, 1, NaN, 0) });
        return [...sum.data].map(String);
      }, device);
      expect(values).toEqual(["NaN", "Infinity", "-Infinity", "2", "NaN", "3"]);
    });
  }
});

test.describe("options that make no sense", () => {
  test("each are told", async ({ page }) => {
    await open(page);
    const errors = await page.evaluate(async () => [
      await rejection(load("../made/add.onnx", { device: "gpu" })),
      await rejection(load(null)),
      await rejection(load(5)),
      await rejection(load("http://")),
    ]);
    expect(errors.map(({ kind }) => kind)).toEqual(Array(4).fill("invalid_argument"));
  });
});
