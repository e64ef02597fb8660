import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as device from "../src/device.js";
import { FirebrandError } from "../src/error.js";
import * as runtime from "../src/runtime.js";
import { inspect, load } from "../src/session.js";
import { Tensor } from "../src/tensor.js";
import { double, fakeGlue } from "./fake-runtime.js";
import { rejectionOf } from "./thrown.js";

vi.mock("../src/runtime.js", async (original) => ({ ...(await original<typeof runtime>()), openRuntime: vi.fn(), abandonRuntime: vi.fn() }));

const bytes = Uint8Array.of(8, 7);
const x = (...values: number[]) => new Tensor("float32", Float32Array.from(values), [values.length]);
const inPlace = { worker: false } as const;

function runtimeIs(...glues: ReturnType<typeof fakeGlue>[]) {
  const open = vi.mocked(runtime.openRuntime);
  for (const { glue } of glues) open.mockResolvedValueOnce(glue);
  return glues[0]!;
}

/** A run that waits until it is let go. */
function held() {
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const run = vi.fn<typeof double>(async (...call) => (await gate, double(...call)));
  return { run, letGo };
}

beforeEach(() => {
  vi.mocked(runtime.openRuntime).mockReset();
  vi.mocked(runtime.abandonRuntime).mockReset();
});
afterEach(() => vi.restoreAllMocks());

describe("a session in place", () => {
  it("answers", async () => {
    runtimeIs(fakeGlue());
    const session = await load(bytes, inPlace);
    expect(session.inputs).toEqual([{ name: "x", dtype: "float32", shape: ["N"] }]);
    expect(session.outputs.map(({ name }) => name)).toEqual(["y"]);
    expect(session.info).toMatchObject({ device: "cpu", threads: 1, deviceReason: expect.any(String), timings: { runtimeMs: expect.any(Number) } });
    const { y } = await session.run({ x: x(1, 2) });
    expect(y).toEqual(x(2, 4));
    expect(session.info.lastRunMs).toBeGreaterThanOrEqual(0);
  });

  it("copies inputs when the call is made", async () => {
    runtimeIs(fakeGlue());
    const session = await load(bytes, inPlace);
    const data = Float32Array.of(1, 2);
    const running = session.run({ x: new Tensor("float32", data, [2]) });
    data.fill(9);
    expect((await running).y!.data).toEqual(Float32Array.of(2, 4));
    expect(data).toEqual(Float32Array.of(9, 9));
  });

  it("answers calls that did not wait for each other, in order and one at a time", async () => {
    let active = 0;
    const run = vi.fn<typeof double>(async (...call) => {
      expect(++active).toBe(1);
      await new Promise((done) => setTimeout(done, 5));
      active--;
      return double(...call);
    });
    runtimeIs(fakeGlue({ run }));
    const session = await load(bytes, inPlace);
    const results = await Promise.all([1, 2, 3].map((value) => session.run({ x: x(value) })));
    expect(results.map(({ y }) => y!.data[0])).toEqual([2, 4, 6]);
  });

  it("passes errors of the runtime on, and answers the next call", async () => {
    runtimeIs(fakeGlue());
    const session = await load(bytes, inPlace);
    const error = await rejectionOf(session.run({ z: x(1) }));
    expect(error).toBeInstanceOf(FirebrandError);
    expect(error).toMatchObject({ kind: "missing_input", message: 'input "x" was not given' });
    expect((await session.run({ x: x(1) })).y!.data[0]).toBe(2);
    expect(runtime.openRuntime).toHaveBeenCalledTimes(1);
  });

  it.each<[string, string, unknown]>([
    ["no inputs", "invalid_argument", undefined],
    ["an array of inputs", "invalid_argument", [x(1)]],
    ["a bare array", "invalid_argument", { x: new Float32Array(1) }],
    ["null", "invalid_argument", { x: null }],
    ["a tensor-like thing of another dtype", "dtype_mismatch", { x: { dtype: "float32", data: new Int8Array(1), shape: [1] } }],
    ["a tensor-like thing of another length", "data_length_mismatch", { x: { dtype: "float32", data: new Float32Array(2), shape: [1] } }],
  ])("refuses %s, and answers the next call", async (_what, kind, inputs) => {
    runtimeIs(fakeGlue());
    const session = await load(bytes, inPlace);
    expect(await rejectionOf(session.run(inputs as never))).toMatchObject({ name: "FirebrandError", kind });
    expect((await session.run({ x: x(1) })).y!.data[0]).toBe(2);
  });

  it("tells an input whose array was given away since", async () => {
    runtimeIs(fakeGlue());
    const session = await load(bytes, inPlace);
    const tensor = x(1, 2);
    structuredClone(tensor.data, { transfer: [tensor.data.buffer as ArrayBuffer] });
    const error = await rejectionOf(session.run({ x: tensor }));
    expect(error).toMatchObject({ kind: "data_length_mismatch" });
    expect(error.message).toMatch(/^input "x": shape \[2\] has 2 elements, the data has 0/);
  });

  it.each<[string, object]>([
    ["device", { device: "gpu" }],
    ["threads", { threads: 0 }],
    ["threads", { threads: 1.5 }],
    ["externalData", { externalData: 1 }],
  ])("refuses a wrong %s", async (_what, options) => {
    expect(await rejectionOf(load(bytes, options as never))).toMatchObject({ kind: "invalid_argument" });
  });

  it("takes any number of threads, and tells how many it uses", async () => {
    runtimeIs(fakeGlue());
    expect((await load(bytes, { ...inPlace, threads: 8 })).info.threads).toBe(1);
  });

  it("warms up with zeros, and 1 for axes that may vary", async () => {
    const run = vi.fn(double);
    runtimeIs(fakeGlue({ run }));
    const session = await load(bytes, inPlace);
    await session.warmup();
    expect(run).toHaveBeenCalledWith([{ name: "x", dtype: "float32", shape: [1], data: new Uint8Array(4) }], undefined);
  });

  it("passes the names of outputs on", async () => {
    const run = vi.fn(double);
    runtimeIs(fakeGlue({ run }));
    const session = await load(bytes, inPlace);
    await session.run({ x: x(1) }, { outputs: ["y"] });
    expect(run.mock.calls[0]![1]).toEqual(["y"]);
    expect(await rejectionOf(session.run({ x: x(1) }, { outputs: "y" as never }))).toMatchObject({ kind: "invalid_argument" });
  });

  it("gives the runtime external data by name", async () => {
    const { load: loaded } = runtimeIs(fakeGlue({ external: ["w.bin"] }));
    await load(bytes, { ...inPlace, externalData: { "w.bin": Uint8Array.of(5, 6) } });
    expect(loaded.mock.calls[0]![1]).toEqual({ "w.bin": Uint8Array.of(5, 6) });
  });

  it("names external data that is missing", async () => {
    runtimeIs(fakeGlue({ external: ["w.bin"] }));
    expect(await rejectionOf(load(bytes, inPlace))).toMatchObject({ kind: "missing_external_data", file: "w.bin" });
  });

  it("tells an empty model before anything else", async () => {
    vi.mocked(runtime.openRuntime).mockReturnValue(new Promise(() => {}));
    expect(await rejectionOf(load(new Uint8Array(), inPlace))).toMatchObject({ kind: "empty_file" });
  });

  it("tells progress, and outlives a callback that throws", async () => {
    runtimeIs(fakeGlue());
    const complaint = vi.spyOn(console, "error").mockImplementation(() => {});
    const phases: string[] = [];
    await load(bytes, { ...inPlace, onProgress: ({ phase }) => { phases.push(phase); throw new Error("no such element"); } });
    expect(phases).toEqual(["model", "prepare", "prepare"]);
    expect(complaint).toHaveBeenCalledTimes(3);
  });

  it("inspects", async () => {
    runtimeIs(fakeGlue());
    expect((await inspect(bytes, inPlace)).operators).toEqual([{ name: "Mul", domain: "", count: 1, supported: true }]);
  });
});

describe("abort", () => {
  it("before loading", async () => {
    expect(await rejectionOf(load(bytes, { ...inPlace, signal: AbortSignal.abort("no") }))).toMatchObject({ kind: "aborted", cause: "no" });
  });

  it("during loading, and a model that was loaded all the same is freed", async () => {
    const { glue, free } = fakeGlue();
    let letGo = () => {};
    vi.mocked(runtime.openRuntime).mockReturnValue(new Promise((resolve) => (letGo = () => resolve(glue))));
    const control = new AbortController();
    const loading = load(bytes, { ...inPlace, signal: control.signal });
    await vi.waitFor(() => expect(runtime.openRuntime).toHaveBeenCalled());
    control.abort();
    expect(await rejectionOf(loading)).toMatchObject({ kind: "aborted" });
    letGo();
    await vi.waitFor(() => expect(free).toHaveBeenCalledTimes(1));
  });

  it("during a run, and the next call is right", async () => {
    const { run, letGo } = held();
    runtimeIs(fakeGlue({ run }));
    const session = await load(bytes, inPlace);
    const control = new AbortController();
    const first = session.run({ x: x(1) }, { signal: control.signal });
    await vi.waitFor(() => expect(run).toHaveBeenCalled());
    control.abort();
    expect(await rejectionOf(first)).toMatchObject({ kind: "aborted" });
    const second = session.run({ x: x(5) });
    letGo();
    expect((await second).y!.data[0]).toBe(10);
  });

  it("of a call that waits leaves the others alone", async () => {
    const { run, letGo } = held();
    runtimeIs(fakeGlue({ run }));
    const session = await load(bytes, inPlace);
    const control = new AbortController();
    const first = session.run({ x: x(1) });
    const second = session.run({ x: x(2) }, { signal: control.signal });
    const third = session.run({ x: x(3) });
    control.abort();
    expect(await rejectionOf(second)).toMatchObject({ kind: "aborted" });
    letGo();
    expect((await first).y!.data[0]).toBe(2);
    expect((await third).y!.data[0]).toBe(6);
    expect(run).toHaveBeenCalledTimes(2);
  });
});

describe("dispose", () => {
  it("may be called twice, and frees once", async () => {
    const { free } = runtimeIs(fakeGlue());
    const session = await load(bytes, inPlace);
    await session.dispose();
    await session.dispose();
    await session[Symbol.asyncDispose]();
    await vi.waitFor(() => expect(free).toHaveBeenCalledTimes(1));
    expect(await rejectionOf(session.run({ x: x(1) }))).toMatchObject({ kind: "disposed" });
    expect(await rejectionOf(session.warmup())).toMatchObject({ kind: "disposed" });
  });

  it("ends calls that were not answered, and frees when the last is done", async () => {
    const { run, letGo } = held();
    const { free } = runtimeIs(fakeGlue({ run }));
    const session = await load(bytes, inPlace);
    const calls = [session.run({ x: x(1) }), session.run({ x: x(2) })];
    await vi.waitFor(() => expect(run).toHaveBeenCalled());
    await session.dispose();
    for (const call of calls) expect(await rejectionOf(call)).toMatchObject({ kind: "disposed" });
    expect(free).not.toHaveBeenCalled();
    letGo();
    await vi.waitFor(() => expect(free).toHaveBeenCalledTimes(1));
    expect(run).toHaveBeenCalledTimes(1);
  });
});

describe("a trap", () => {
  const trap = () => new WebAssembly.RuntimeError("unreachable");

  it.each<[string, typeof double]>([
    ["carried by the promise", async () => { throw trap(); }],
    ["that leaves the promise pending", () => { process.nextTick(() => process.emit("uncaughtException", trap())); return new Promise(() => {}); }],
  ])("%s ends the call, and the next starts afresh", async (_what, run) => {
    const first = fakeGlue({ run });
    runtimeIs(first, fakeGlue());
    const session = await load(bytes, inPlace);
    expect(await rejectionOf(session.run({ x: x(1) }))).toMatchObject({ kind: "internal" });
    expect(runtime.abandonRuntime).toHaveBeenCalledWith(expect.any(String), first.glue);
    expect((await session.run({ x: x(1) })).y!.data[0]).toBe(2);
    expect(runtime.openRuntime).toHaveBeenCalledTimes(2);
    expect(process.listenerCount("uncaughtException")).toBe(listeners);
  });
  const listeners = process.listenerCount("uncaughtException");

  it("for want of memory is told as that", async () => {
    runtimeIs(fakeGlue({ run: async () => { throw new RangeError("WebAssembly.Memory.grow(): maximum memory size exceeded"); } }));
    const session = await load(bytes, inPlace);
    expect(await rejectionOf(session.run({ x: x(1) }))).toMatchObject({ kind: "out_of_memory" });
  });
});

describe("auto", () => {
  const onGpu = () => vi.spyOn(device, "surroundings").mockReturnValue({ gpu: { requestAdapter: async () => ({ info: { vendor: "acme" } }) }, isSecure: true });
  const lost = { kind: "device_lost", message: "the GPU was reset" };

  it("goes to the CPU where the GPU cannot load the model, and says why", async () => {
    onGpu();
    const gpu = fakeGlue();
    gpu.load.mockRejectedValueOnce({ kind: "device_unavailable", message: "no such feature" });
    runtimeIs(gpu, fakeGlue());
    const session = await load(bytes, inPlace);
    expect(vi.mocked(runtime.openRuntime).mock.calls.map(([build]) => build)).toEqual(["webgpu", expect.stringMatching(/^cpu/)]);
    expect(session.info).toMatchObject({ device: "cpu", deviceReason: expect.stringContaining("no such feature") });
  });

  it("does not try a bad model twice", async () => {
    onGpu();
    const gpu = fakeGlue();
    gpu.load.mockRejectedValueOnce({ kind: "unsupported_operator", message: "unsupported operators: RoiAlign (1 node)" });
    runtimeIs(gpu);
    expect(await rejectionOf(load(bytes, inPlace))).toMatchObject({ kind: "unsupported_operator" });
    expect(runtime.openRuntime).toHaveBeenCalledTimes(1);
  });

  it("repeats a run on the CPU when the GPU is lost", async () => {
    onGpu();
    runtimeIs(fakeGlue({ run: async () => { throw lost; } }), fakeGlue());
    const session = await load(bytes, inPlace);
    expect(session.info.device).toBe("webgpu");
    expect((await session.run({ x: x(4) })).y!.data[0]).toBe(8);
    expect(session.info).toMatchObject({ device: "cpu", deviceReason: expect.stringContaining("the GPU was reset") });
  });

  it("does not leave a GPU that was asked for by name", async () => {
    onGpu();
    runtimeIs(fakeGlue({ run: async () => { throw lost; } }), fakeGlue());
    const session = await load(bytes, { ...inPlace, device: "webgpu" });
    expect(await rejectionOf(session.run({ x: x(4) }))).toMatchObject({ kind: "device_lost" });
    await session.run({ x: x(4) });
    expect(session.info.device).toBe("webgpu");
  });
});
