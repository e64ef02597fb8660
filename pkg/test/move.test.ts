import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as device from "../src/device.js";
import { differenceOf, isQuicker } from "../src/move.js";
import type { SessionInfo, WireValue } from "../src/protocol.js";
import * as runtime from "../src/runtime.js";
import { load, type LoadOptions } from "../src/session.js";
import { Tensor } from "../src/tensor.js";
import { double, fakeGlue, ran } from "./fake-runtime.js";
import { rejectionOf } from "./thrown.js";

vi.mock("../src/runtime.js", async (original) => ({ ...(await original<typeof runtime>()), openRuntime: vi.fn(), abandonRuntime: vi.fn() }));

const bytes = Uint8Array.of(8, 7);
const x = (...values: number[]) => new Tensor("float32", Float32Array.from(values), [values.length]);
const lost = { kind: "device_lost", message: "the GPU was reset" };
type Run = typeof double;

const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));
const slow: Run = async (...call) => (await wait(20), double(...call));
const quick: Run = double;

let fakes: { cpu: ReturnType<typeof fakeGlue>; webgpu: ReturnType<typeof fakeGlue> };

/** A machine with a GPU; what its runtimes do. */
function machine(cpu: Run, webgpu: Run | Parameters<typeof fakeGlue>[0]) {
  vi.spyOn(device, "surroundings").mockReturnValue({ gpu: { requestAdapter: async () => ({ info: { vendor: "acme" } }) }, isSecure: true });
  fakes = { cpu: fakeGlue({ run: cpu }), webgpu: fakeGlue({ device: "webgpu", ...(typeof webgpu === "function" ? { run: webgpu } : webgpu) }) };
  vi.mocked(runtime.openRuntime).mockImplementation(async (build) => fakes[build === "webgpu" ? "webgpu" : "cpu"].runtime);
}

/** Puts the clock forward. */
function later(ms: number) {
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + ms);
}

/** A session and what it told. */
async function open(options: LoadOptions = {}) {
  const told: SessionInfo[] = [];
  const session = await load(bytes, { worker: false, onDeviceChange: (info) => told.push(info), ...options });
  return { session, told };
}

beforeEach(() => void vi.mocked(runtime.openRuntime).mockReset());
afterEach(() => vi.restoreAllMocks());

describe("auto", () => {
  it("answers on the CPU, and moves to a GPU that is right and quicker between two runs", async () => {
    machine(slow, quick);
    const { session, told } = await open();
    expect(session.info).toMatchObject({ device: "cpu", deviceReason: "WebGPU (acme) is being made ready, and the CPU answers until then" });
    expect((await session.run({ x: x(4) })).y!.data[0]).toBe(8);
    await vi.waitFor(() => expect(session.info.device).toBe("webgpu"));
    expect(session.info.deviceReason).toMatch(/^WebGPU \(acme\) gives the CPU's answers and is quicker: it takes \d+\.\d ms a run, the CPU \d+\.\d ms$/);
    expect(told).toEqual([session.info]);
    await vi.waitFor(() => expect(fakes.cpu.free).toHaveBeenCalledOnce());
    expect((await session.run({ x: x(5) })).y!.data[0]).toBe(10);
    await session.dispose();
    await vi.waitFor(() => expect(fakes.webgpu.free).toHaveBeenCalledOnce());
  });

  it("does not move in the middle of a run, nor before those that wait", async () => {
    const cpu = vi.fn(slow);
    machine(cpu, quick);
    const { session } = await open();
    const devices: string[] = [];
    await Promise.all([1, 2, 3, 4].map(async (value) => {
      expect((await session.run({ x: x(value) })).y!.data[0]).toBe(2 * value);
      devices.push(session.info.device);
    }));
    expect(devices[0]).toBe("cpu");
    await vi.waitFor(() => expect(session.info.device).toBe("webgpu"));
    await vi.waitFor(() => expect(fakes.cpu.free).toHaveBeenCalledOnce());
    const free = fakes.cpu.free.mock.invocationCallOrder[0]!;
    expect(Math.max(...cpu.mock.invocationCallOrder)).toBeLessThan(free);
    expect(cpu.mock.calls.length).toBeGreaterThanOrEqual(4);
  });

  it("waits for the decision where a warm-up is told to", async () => {
    machine(slow, quick);
    const { session } = await open();
    await session.warmup(undefined, { awaitDevice: true });
    expect(session.info.device).toBe("webgpu");
    await session.warmup(undefined, { awaitDevice: true });
  });

  it("gives up waiting for the decision when it is aborted or disposed of", async () => {
    let began = () => {};
    const running = new Promise<void>((resolve) => (began = resolve));
    machine(quick, async () => (began(), new Promise(() => {})));
    const { session } = await open();
    const control = new AbortController();
    const aborted = rejectionOf(session.warmup(undefined, { awaitDevice: true, signal: control.signal }));
    await running;
    control.abort();
    expect(await aborted).toMatchObject({ kind: "aborted" });
    const disposed = rejectionOf(session.warmup(undefined, { awaitDevice: true }));
    await wait(20);
    await session.dispose();
    expect(await disposed).toMatchObject({ kind: "disposed" });
    await vi.waitFor(() => expect(fakes.cpu.free).toHaveBeenCalledOnce());
  });

  it.each<[string, Run, Parameters<typeof machine>[1], RegExp]>([
    ["is slower", quick, slow, /^WebGPU \(acme\) is not clearly quicker: it takes \d+\.\d ms a run, the CPU \d+\.\d ms$/],
    ["answers otherwise", slow, async () => ran([{ name: "y", dtype: "float32", shape: [1], data: new Uint8Array(4) }]), /^WebGPU \(acme\) gave another answer than the CPU \(output "y", element 0: expected 8 within 0\.00810, got 0\)$/],
    ["fails", slow, async () => { throw { kind: "limit_exceeded", message: "this GPU allows less" }; }, /^WebGPU could not be used \(this GPU allows less\)$/],
    ["gets no node of the model", slow, { nodesOnGpu: 0 }, /^no node of the model runs on WebGPU \(acme\)$/],
    ["is lost while it is made ready", slow, async () => { throw lost; }, /^the GPU failed \(the GPU was reset\); the first run after 10 s tries it again$/],
  ])("stays on the CPU where the GPU %s, and says so", async (what, cpu, webgpu, reason) => {
    machine(cpu, webgpu);
    const { session, told } = await open();
    expect((await session.run({ x: x(4) })).y!.data[0]).toBe(8);
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(session.info).toMatchObject({ device: "cpu", deviceReason: expect.stringMatching(reason) });
    expect((await session.run({ x: x(5) })).y!.data[0]).toBe(10);
    // An instance whose GPU was lost is dropped as it is.
    if (what !== "is lost while it is made ready") await vi.waitFor(() => expect(fakes.webgpu.free).toHaveBeenCalledOnce());
    expect(fakes.cpu.free).not.toHaveBeenCalled();
  });

  it("stays on the CPU where the GPU cannot load the model, and says why", async () => {
    machine(slow, quick);
    fakes.webgpu.load.mockRejectedValueOnce({ kind: "device_unavailable", message: "no such feature" });
    const { session, told } = await open();
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(session.info).toMatchObject({ device: "cpu", deviceReason: "WebGPU could not be used (no such feature)" });
  });

  it("never opens the GPU's runtime for a bad model", async () => {
    machine(slow, quick);
    fakes.cpu.load.mockRejectedValueOnce({ kind: "unsupported_operator", message: "unsupported operators: RoiAlign (1 node)" });
    fakes.cpu.glue.inspect = () => ({ inputs: [], outputs: [], operators: [{ name: "RoiAlign", domain: "", count: 1, supported: false }], externalFiles: [] });
    expect(await rejectionOf(load(bytes, { worker: false }))).toMatchObject({ kind: "unsupported_operator" });
    expect(vi.mocked(runtime.openRuntime).mock.calls.map(([build]) => build)).toEqual([expect.stringMatching(/^cpu/)]);
  });

  it("leaks nothing where it is disposed of while the GPU is made ready", async () => {
    machine(slow, quick);
    let letGo = () => {};
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    const loadGpu = fakes.webgpu.load.getMockImplementation()!;
    fakes.webgpu.load.mockImplementation(async (...call) => (await gate, loadGpu(...call)));
    const { session, told } = await open();
    await vi.waitFor(() => expect(fakes.webgpu.load).toHaveBeenCalled());
    await session.dispose();
    letGo();
    await vi.waitFor(() => expect(fakes.webgpu.free).toHaveBeenCalledOnce());
    await vi.waitFor(() => expect(fakes.cpu.free).toHaveBeenCalledOnce());
    expect(told).toEqual([]);
  });

  it("does not keep the files of a large model for a move, and says how to use the GPU", async () => {
    machine(quick, quick);
    const folder = await mkdtemp(join(tmpdir(), "firebrand-move-"));
    try {
      // A producer's name of 256 MiB, which takes no room on the disk.
      const file = join(folder, "large.onnx");
      await writeFile(file, Uint8Array.of(0x12, 0x80, 0x80, 0x80, 0x80, 0x01));
      await truncate(file, 2 ** 28 + 6);
      const session = await load(file, { worker: false });
      expect(session.info).toMatchObject({ device: "cpu", deviceReason: "the model's files have more than 268435456 bytes, too many for a move to the GPU; device \"webgpu\" starts there" });
      expect(fakes.webgpu.load).not.toHaveBeenCalled();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("keeps the inputs and answers that are compared as they were", async () => {
    machine(slow, quick);
    const { session } = await open();
    const data = Float32Array.of(4);
    const { y } = await session.run({ x: new Tensor("float32", data, [1]) });
    data.fill(1);
    (y!.data as Float32Array).fill(0);
    await vi.waitFor(() => expect(session.info.device).toBe("webgpu"));
  });
});

describe("a GPU that is lost in a run", () => {
  /** On the GPU, which fails from then on as often as it is told. */
  async function onGpu(failures: { kind: string; message: string }[]) {
    machine(slow, async (...call) => {
      const failure = armed && failures.shift();
      if (failure) throw failure;
      return double(...call);
    });
    let armed = false;
    const opened = await open();
    await opened.session.warmup(undefined, { awaitDevice: true });
    expect(opened.session.info.device).toBe("webgpu");
    opened.told.length = 0;
    armed = true;
    return opened;
  }

  it("is answered for by the CPU, and tried again by a run that comes later, once", async () => {
    const { session, told } = await onGpu([lost]);
    expect((await session.run({ x: x(4) })).y!.data[0]).toBe(8);
    expect(session.info).toMatchObject({ device: "cpu", deviceReason: "the GPU failed (the GPU was reset); the first run after 10 s tries it again" });
    expect(told.map(({ device }) => device)).toEqual(["cpu"]);
    const loads = () => fakes.webgpu.load.mock.calls.length;
    const before = loads();
    await session.run({ x: x(4) });
    expect(loads()).toBe(before);

    later(11_000);
    await session.run({ x: x(4) });
    expect(session.info.deviceReason).toBe("the GPU that was lost is being made ready again, and the CPU answers until then");
    await session.run({ x: x(4) });
    await vi.waitFor(() => expect(session.info.device).toBe("webgpu"));
    expect(loads()).toBe(before + 1);
  });

  it("that stays away is not tried again and again", async () => {
    const { session, told } = await onGpu([lost]);
    await session.run({ x: x(4) });
    fakes.webgpu.load.mockRejectedValue({ kind: "device_unavailable", message: "no adapter" });
    later(11_000);
    await session.run({ x: x(4) });
    await vi.waitFor(() => expect(told.at(-1)!.deviceReason).toBe("WebGPU could not be used (no adapter)"));
    const loads = fakes.webgpu.load.mock.calls.length;
    for (let turn = 0; turn < 3; turn++) await session.run({ x: x(4) });
    expect(fakes.webgpu.load.mock.calls.length).toBe(loads);
  });

  it.each(["out_of_memory", "limit_exceeded", "internal"])("or fails with %s, is answered for by the CPU, which goes on", async (kind) => {
    const { session } = await onGpu([{ kind, message: "too much" }]);
    expect((await session.run({ x: x(4) })).y!.data[0]).toBe(8);
    expect(session.info).toMatchObject({ device: "cpu", deviceReason: "the GPU failed (too much)" });
  });

  it("and was asked for by name is told, and the next call answers", async () => {
    let failures = 1;
    machine(slow, async (...call) => {
      if (failures-- > 0) throw lost;
      return double(...call);
    });
    const { session } = await open({ device: "webgpu" });
    expect(await rejectionOf(session.run({ x: x(4) }))).toMatchObject({ kind: "device_lost" });
    expect((await session.run({ x: x(4) })).y!.data[0]).toBe(8);
    expect(session.info.device).toBe("webgpu");
  });
});

describe("what a GPU answers", () => {
  const value = (name: string, ...values: number[]): WireValue => ({ name, dtype: "float32", shape: [values.length], data: new Uint8Array(Float32Array.from(values).buffer) });

  it("may be off by a thousandth of the largest element", () => {
    expect(differenceOf([value("y", 1, 100)], [value("y", 1.09, 100)])).toBeUndefined();
    expect(differenceOf([value("y", 1, 100)], [value("y", 1.11, 100)])).toMatch(/element 0: expected 1 within 0\.100, got 1\.1/);
    expect(differenceOf([value("y", 0)], [value("y", NaN)])).toMatch(/got NaN/);
    expect(differenceOf([value("y", NaN, Infinity)], [value("y", NaN, Infinity)])).toBeUndefined();
  });

  it("is compared in every kind of value", () => {
    const texts = (...data: string[]): WireValue => ({ name: "t", dtype: "string", shape: [data.length], data });
    expect(differenceOf([texts("a", "b")], [texts("a", "b")])).toBeUndefined();
    expect(differenceOf([texts("a", "b")], [texts("a", "c")])).toMatch(/"t": other texts/);
    const list = (...values: number[]): WireValue => ({ name: "l", sequence: values.map((one) => ({ dtype: "int64" as const, shape: [1], data: new Uint8Array(BigInt64Array.of(BigInt(one)).buffer) })) });
    expect(differenceOf([list(1, 2)], [list(1, 2)])).toBeUndefined();
    expect(differenceOf([list(1, 2)], [list(1, 3)])).toMatch(/"l\[1\]".*expected 2 within 0\.00, got 3/);
    expect(differenceOf([list(1, 2)], [list(1)])).toBe('expected "l[0]", "l[1]", got "l[0]"');
    expect(differenceOf([{ name: "o", absent: true }], [{ name: "o", absent: true }])).toBeUndefined();
    expect(differenceOf([{ name: "o", absent: true }], [value("o", 1)])).toBe('expected nothing, got "o"');
  });

  it("must come in clearly less time", () => {
    expect([isQuicker(8.9, 10), isQuicker(9.1, 10)]).toEqual([true, false]);
  });
});
