import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FirebrandError } from "../src/error.js";
import * as runtime from "../src/runtime.js";
import { buffersOf, type ValueInfo, type WireValue } from "../src/protocol.js";
import { inspect, load, type InputValue } from "../src/session.js";
import { Tensor, zeros, type AnyTensor } from "../src/tensor.js";
import { double, fakeGlue, profile, ran } from "./fake-runtime.js";
import { rejectionOf } from "./thrown.js";

vi.mock("../src/runtime.js", async (original) => ({ ...(await original<typeof runtime>()), openRuntime: vi.fn(), abandonRuntime: vi.fn() }));

const bytes = Uint8Array.of(8, 7);
const x = (...values: number[]) => new Tensor("float32", Float32Array.from(values), [values.length]);
const inPlace = { worker: false } as const;

function runtimeIs(...glues: ReturnType<typeof fakeGlue>[]) {
  const open = vi.mocked(runtime.openRuntime);
  for (const { runtime } of glues) open.mockResolvedValueOnce(runtime);
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
    expect(session.info).toMatchObject({ memoryBytes: 131072, lastRunPeakBytes: 16 });
  });

  it("gives a profile beside the outputs where one is asked for", async () => {
    runtimeIs(fakeGlue());
    const session = await load(bytes, inPlace);
    expect(await session.run({ x: x(1, 2) }, { profile: true })).toEqual({ outputs: { y: x(2, 4) }, profile });
    expect(await session.run({ x: x(1, 2) }, { profile: false })).toEqual({ y: x(2, 4) });
  });

  it("opens the runtime with all operators where the small one lacks some", async () => {
    const small = fakeGlue();
    small.load.mockRejectedValue({ kind: "unsupported_operator", message: "unsupported operators: Acosh (1 node: \"a\")" });
    const whole = fakeGlue();
    runtimeIs(small, whole);
    const session = await load(bytes, inPlace);
    expect(vi.mocked(runtime.openRuntime).mock.calls.map(([build]) => build)).toEqual([expect.stringMatching(/^cpu-(relaxed|simd128)$/), "cpu-all"]);
    expect((await session.run({ x: x(3) })).y).toEqual(x(6));
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
    ["graphOptimizationLevel", { graphOptimizationLevel: "some" }],
    ["threads", { threads: 0 }],
    ["threads", { threads: 1.5 }],
    ["externalData", { externalData: 1 }],
  ])("refuses a wrong %s", async (_what, options) => {
    expect(await rejectionOf(load(bytes, options as never))).toMatchObject({ kind: "invalid_argument" });
  });

  it.each(["disabled", "all", undefined] as const)("hands graphOptimizationLevel %s to the runtime", async (graphOptimizationLevel) => {
    const fake = fakeGlue();
    runtimeIs(fake);
    await load(bytes, { ...inPlace, device: "cpu", ...(graphOptimizationLevel && { graphOptimizationLevel }) });
    expect(fake.load.mock.lastCall?.[2]).toEqual({ device: "cpu", intraOpNumThreads: 1, ...(graphOptimizationLevel && { graphOptimizationLevel }) });
  });

  it("takes any number of threads, and tells how many it uses", async () => {
    runtimeIs(fakeGlue());
    expect((await load(bytes, { ...inPlace, threads: 8 })).info).toMatchObject({ threads: 1, threadsReason: expect.stringMatching(/worker/) });
  });

  it("warms up with zeros, and 1 for axes that may vary", async () => {
    const run = vi.fn(double);
    runtimeIs(fakeGlue({ run }));
    const session = await load(bytes, inPlace);
    await session.warmup();
    expect(run).toHaveBeenCalledWith([{ name: "x", dtype: "float32", shape: [1], data: new Uint8Array(4) }], undefined, false);
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

  it("names every node whose operator is not supported, as the runtime does", async () => {
    const told = { kind: "unsupported_operator", message: 'unsupported operators: Twist (2 nodes: "a", "b"), com.example.Turn (1 node: "c")' };
    const { load: loading, glue } = runtimeIs(fakeGlue());
    glue.inspect = () => ({ inputs: [], outputs: [], operators: [{ name: "Twist", domain: "", count: 2, supported: false, nodes: ["a", "b"] }], externalFiles: [] });
    loading.mockRejectedValueOnce(told);
    expect(await rejectionOf(load(bytes, inPlace))).toMatchObject({ name: "FirebrandError", ...told });
  });

  it("tells a worker of another version than the page's", async () => {
    const { free } = runtimeIs(fakeGlue({ version: "0.0.9" }));
    const error = await rejectionOf(load(bytes, inPlace));
    expect(error).toMatchObject({ kind: "version_mismatch", message: expect.stringMatching(/^the page has Firebrand \d+\.\d+\.\d+.*, its worker 0\.0\.9; deploy/) });
    await vi.waitFor(() => expect(free).toHaveBeenCalledOnce());
  });

  it("inspects", async () => {
    runtimeIs(fakeGlue());
    expect((await inspect(bytes, inPlace)).operators).toEqual([{ name: "Mul", domain: "", count: 1, supported: true }]);
  });
});

describe("sequences, optionals and maps", () => {
  const list: ValueInfo = { name: "list", kind: "sequence", dtype: "float32", shape: ["N", 2] };
  const maybe: ValueInfo = { name: "maybe", optional: true, dtype: "int64", shape: [] };
  const maybeList: ValueInfo = { name: "maybeList", kind: "sequence", optional: true, dtype: "string", shape: [] };
  const ids = new Tensor("int64", BigInt64Array.of(7n), []);
  const inputs = [list, maybe, maybeList];

  async function sessionOf(outputs: WireValue[] = []) {
    const run = vi.fn<typeof double>(async () => ran(outputs));
    runtimeIs(fakeGlue({ run, inputs }));
    return { run, session: await load(bytes, inPlace) };
  }

  it("go in, copied when the call is made", async () => {
    const { run, session } = await sessionOf();
    const data = Float32Array.of(1, 2);
    const running = session.run({ list: [new Tensor("float32", data, [2]), x(3)], maybe: ids, maybeList: [] });
    data.fill(9);
    await running;
    expect(run.mock.calls[0]![0]).toEqual([
      { name: "list", sequence: [{ dtype: "float32", shape: [2], data: new Uint8Array(Float32Array.of(1, 2).buffer) }, { dtype: "float32", shape: [1], data: expect.any(Uint8Array) }] },
      { name: "maybe", dtype: "int64", shape: [], data: Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0) },
      { name: "maybeList", sequence: [] },
    ]);
    await session.run({ list: [], maybe: null, maybeList: null });
    expect(run.mock.calls[1]![0]).toEqual([{ name: "list", sequence: [] }, { name: "maybe", absent: true }, { name: "maybeList", absent: true }]);
  });

  it("come out", async () => {
    const wire = (...values: number[]) => ({ dtype: "float32", shape: [values.length], data: new Uint8Array(Float32Array.from(values).buffer) }) as const;
    const { session } = await sessionOf([
      { name: "parts", sequence: [wire(1, 2), wire()] },
      { name: "nothing", absent: true },
      { name: "byName", maps: { keys: { dtype: "string", shape: [2], data: ["cat", "dog"] }, values: { ...wire(0.25, 0.75, 1, 0), shape: [2, 2] } } },
      { name: "byNumber", maps: { keys: { dtype: "int64", shape: [1], data: new Uint8Array(BigInt64Array.of(-3n).buffer) }, values: { ...wire(0.5), shape: [1, 1] } } },
      { name: "none", maps: { keys: { dtype: "string", shape: [1], data: ["cat"] }, values: { ...wire(), shape: [0, 1] } } },
    ]);
    const results = await session.run<{ parts: AnyTensor[]; nothing: null; byName: Map<string, number>[]; byNumber: Map<bigint, number>[]; none: Map<string, number>[] }>({});
    expect(results).toEqual({
      parts: [x(1, 2), x()],
      nothing: null,
      byName: [new Map([["cat", 0.25], ["dog", 0.75]]), new Map([["cat", 1], ["dog", 0]])],
      byNumber: [new Map([[-3n, 0.5]])],
      none: [],
    });
  });

  it("give their buffers to the worker, each once", () => {
    const shared = new Uint8Array(4);
    const tensor = { dtype: "uint8", shape: [4], data: shared } as const;
    const keys = { dtype: "string" as const, shape: [1], data: ["a"] };
    const values: WireValue[] = [
      { name: "a", ...tensor },
      { name: "b", sequence: [{ ...tensor }, { ...tensor, data: new Uint8Array(1), shape: [1] }] },
      { name: "c", absent: true },
      { name: "d", maps: { keys, values: { ...tensor, data: new Uint8Array(2), shape: [2] } } },
    ];
    expect(buffersOf(values).map(({ byteLength }) => byteLength)).toEqual([4, 1, 2]);
    expect(buffersOf(values)[0]).toBe(shared.buffer);
  });

  it("warm up with a tensor each", async () => {
    const { run, session } = await sessionOf();
    await session.warmup();
    expect(run.mock.calls[0]![0]).toEqual([
      { name: "list", sequence: [{ dtype: "float32", shape: [1, 2], data: new Uint8Array(8) }] },
      { name: "maybe", dtype: "int64", shape: [], data: new Uint8Array(8) },
      { name: "maybeList", sequence: [{ dtype: "string", shape: [], data: [""] }] },
    ]);
  });

  it.each<[string, string, Record<string, unknown>, RegExp]>([
    ["null for what must be there", "invalid_argument", { list: null }, /^input "list": expected an array of Tensors \(float32 \[N, 2\]\), got null/],
    ["numbers for a sequence", "invalid_argument", { list: [x(1), 2] }, /^input "list", element 1: expected a Tensor, got number/],
    ["a hole in a sequence", "invalid_argument", { list: [undefined] }, /^input "list", element 0: expected a Tensor, got undefined/],
    ["several dtypes", "dtype_mismatch", { list: [x(1), ids] }, /^input "list", element 1: expected float32, as element 0 is, got int64/],
    ["a wrong length inside", "data_length_mismatch", { list: [{ dtype: "float32", data: new Float32Array(2), shape: [3] }] }, /^input "list", element 0: shape \[3\] has 3 elements, the data has 2/],
    ["numbers for an optional tensor", "invalid_argument", { maybe: [7n] }, /^input "maybe": expected a Tensor \(int64\) or null, got a plain array/],
    ["undefined for an optional", "invalid_argument", { maybe: undefined }, /^input "maybe": expected a Tensor \(int64\) or null, got undefined/],
    ["a map", "invalid_argument", { maybeList: new Map() }, /^input "maybeList": expected an array of Tensors \(string\) or null, got Map/],
  ])("are refused where they are %s", async (_what, kind, given, message) => {
    const { run, session } = await sessionOf();
    const error = await rejectionOf(session.run(given as never));
    expect(error).toMatchObject({ name: "FirebrandError", kind });
    expect(error.message).toMatch(message);
    expect(run).not.toHaveBeenCalled();
  });

  it("tell TypeScript what to give", async () => {
    const { session } = await sessionOf();
    const given = session.inputs.map((info) => {
      const tensor = new Tensor(info.dtype, zeros(info.dtype, 0), [0]);
      if (info.kind === "maps") throw new Error(info.keys satisfies "int64" | "string");
      return [info.name, info.kind === "sequence" ? [tensor] : tensor] satisfies [string, InputValue];
    });
    await session.run(Object.fromEntries(given));
  });
});

describe("abort", () => {
  it("before loading", async () => {
    expect(await rejectionOf(load(bytes, { ...inPlace, signal: AbortSignal.abort("no") }))).toMatchObject({ kind: "aborted", cause: "no" });
  });

  it("during loading, and a model that was loaded all the same is freed", async () => {
    const { runtime: started, free } = fakeGlue();
    let letGo = () => {};
    vi.mocked(runtime.openRuntime).mockReturnValue(new Promise((resolve) => (letGo = () => resolve(started))));
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
