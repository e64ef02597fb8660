import { afterEach, beforeEach, describe, expect, it, vi, type MockInstance } from "vitest";
import type * as Ort from "../src/ort/index.js";
import type { ValueInfo, WireValue } from "../src/protocol.js";
import * as runtime from "../src/runtime.js";
import { double, fakeGlue, ran } from "./fake-runtime.js";
import { rejectionOf } from "./thrown.js";

vi.mock("../src/runtime.js", async (original) => ({ ...(await original<typeof runtime>()), openRuntime: vi.fn(), abandonRuntime: vi.fn() }));

const model = Uint8Array.of(8, 7);
let ort: typeof Ort;
let warn: MockInstance<typeof console.warn>;

/** A runtime for the session that is made next; tells how it was loaded. */
function runtimeIs(behaviour: Parameters<typeof fakeGlue>[0] = {}) {
  const fake = fakeGlue(behaviour);
  vi.mocked(runtime.openRuntime).mockResolvedValueOnce(fake.runtime);
  return { ...fake, loadedWith: () => fake.load.mock.calls[0]?.[2] };
}

const create = (options?: Ort.InferenceSession.SessionOptions) => ort.InferenceSession.create(model, options);
const x = (...values: number[]) => new ort.Tensor("float32", Float32Array.from(values), [values.length]);
const warnings = () => warn.mock.calls.map(([text]) => String(text));

beforeEach(async () => {
  vi.resetModules();
  ort = await import("../src/ort/index.js");
  vi.mocked(runtime.openRuntime).mockReset();
  warn = vi.spyOn(console, "warn").mockImplementation(() => {});
});
afterEach(() => vi.restoreAllMocks());

describe("execution providers", () => {
  it.each<[string, Ort.InferenceSession.SessionOptions | undefined]>([
    ["none", undefined],
    ["an empty list", { executionProviders: [] }],
    ["wasm", { executionProviders: ["wasm"] }],
    ["cpu, as an object", { executionProviders: [{ name: "cpu" }] }],
    ["wasm before webgpu", { executionProviders: ["wasm", "webgpu"] }],
  ])("take the CPU with %s", async (_what, options) => {
    const { loadedWith } = runtimeIs();
    await create(options);
    expect(loadedWith()).toMatchObject({ device: "cpu" });
    expect(warnings()).toEqual([]);
  });

  it("pass over those that are not there, and say so once", async () => {
    for (let time = 0; time < 2; time++) {
      runtimeIs();
      await create({ executionProviders: [{ name: "webnn" }, "webgl", "wasm"] });
    }
    expect(warnings()).toEqual([expect.stringContaining('removing requested execution provider "webnn"'), expect.stringContaining('"webgl"')]);
  });

  it("are refused by name where none is there", async () => {
    const error = await rejectionOf(create({ executionProviders: ["webnn", "coreml"] }));
    expect(error).toMatchObject({ kind: "device_unavailable", message: expect.stringContaining("no available backend found. ERR: [webnn] backend not found, [coreml] backend not found") });
  });

  it("refuse webgpu alone where there is no WebGPU, and go to the CPU with wasm behind it", async () => {
    expect(await rejectionOf(create({ executionProviders: ["webgpu"] }))).toMatchObject({ kind: "device_unavailable", message: expect.stringMatching(/no available backend found\. ERR: \[webgpu\] .*navigator\.gpu is missing/) });
    const { loadedWith } = runtimeIs();
    await create({ executionProviders: ["webgpu", "wasm"] });
    expect(loadedWith()).toMatchObject({ device: "cpu" });
    expect(warnings()).toEqual([expect.stringMatching(/removing requested execution provider "webgpu".*navigator\.gpu is missing/)]);
  });

  it.each<[string, unknown]>([
    ["a name that is no text", [3]],
    ["no list", "wasm"],
  ])("are refused as %s", async (_what, executionProviders) => {
    expect(await rejectionOf(create({ executionProviders } as never))).toMatchObject({ name: "FirebrandError", kind: "invalid_argument" });
  });
});

describe("session options", () => {
  it.each([
    ["disabled", "disabled"],
    ["basic", "all"],
    ["extended", "all"],
    ["layout", "all"],
    ["all", "all"],
  ] as const)("map the graph optimization level %s to %s", async (given, expected) => {
    const { loadedWith } = runtimeIs();
    await create({ graphOptimizationLevel: given });
    expect(loadedWith()).toMatchObject({ graphOptimizationLevel: expected });
  });

  it.each<[string, object]>([
    ["an unknown level", { graphOptimizationLevel: "most" }],
    ["threads that are no number", { intraOpNumThreads: "two" }],
    ["a broken number of threads", { intraOpNumThreads: 1.5 }],
    ["external data that is no list", { externalData: "weights.bin" }],
    ["external data without a path", { externalData: [{ data: model }] }],
    ["external data without data", { externalData: [{ path: "w", data: 3 }] }],
    ["an override that is no length", { freeDimensionOverrides: { N: -1 } }],
    ["overrides that are no object", { freeDimensionOverrides: 3 }],
  ])("refuse %s", async (_what, options) => {
    expect(await rejectionOf(create(options as never))).toMatchObject({ name: "FirebrandError", kind: "invalid_argument" });
  });

  it("are silent where they make no difference", async () => {
    runtimeIs();
    await create({ interOpNumThreads: 2, enableCpuMemArena: true, enableMemPattern: true, executionMode: "parallel", logId: "a", logSeverityLevel: 3, logVerbosityLevel: 0, profileFilePrefix: "p", preferredOutputLocation: "cpu" });
    expect(warnings()).toEqual([]);
  });

  it("are told of once where they have no effect", async () => {
    const options = { preferredOutputLocation: { y: "gpu-buffer" }, optimizedModelFilePath: "m", enableGraphCapture: true, extra: { session: {} }, graphOptimisationLevel: "all" } as const;
    for (let time = 0; time < 2; time++) {
      runtimeIs();
      await create(options);
    }
    const parts = ["gpu-buffer", "optimizedModelFilePath", "enableGraphCapture", "extra", "graphOptimisationLevel"];
    expect(warnings()).toEqual(parts.map((part) => expect.stringContaining(part)));
  });

  it("keep silent where the log level says so", async () => {
    ort.env.logLevel = "error";
    runtimeIs();
    await create({ enableGraphCapture: true });
    expect(warnings()).toEqual([]);
  });

  it("override the axes that the model names", async () => {
    const inputs: ValueInfo[] = [{ name: "x", dtype: "float32", shape: ["N", "?", "M"] }];
    runtimeIs({ inputs });
    const session = await create({ freeDimensionOverrides: { N: 2 } });
    expect(session.inputMetadata).toEqual([{ name: "x", isTensor: true, type: "float32", shape: [2, "", "M"] }]);
  });
});

describe("env", () => {
  it("gives the number of threads, and a session's own goes before it", async () => {
    for (const [ofPage, ofSession, expected] of [
      [undefined, undefined, "auto"],
      [0, undefined, "auto"],
      [3, undefined, 3],
      [3, 2, 2],
    ] as const) {
      const { planOf } = await import("../src/ort/options.js");
      ort.env.wasm.numThreads = ofPage as number;
      expect(planOf(ofSession === undefined ? {} : { intraOpNumThreads: ofSession }).load.threads).toBe(expected);
    }
  });

  it("refuses a log level that is none", () => {
    expect(() => (ort.env.logLevel = "loud" as never)).toThrow(/Unsupported logging level: loud/);
    expect(ort.env.logLevel).toBe("warning");
    expect({ ...ort.env }.logLevel).toBe("warning");
  });

  it("does not say a version by which libraries fetch ONNX Runtime's WebAssembly", () => {
    expect(ort.env.versions.web).toBeUndefined();
    expect(ort.env.versions.common).toMatch(/^1\.\d+\.\d+$/);
  });

  it("tells of paths without effect at the debug level alone", async () => {
    const debug = vi.spyOn(console, "debug").mockImplementation(() => {});
    ort.env.wasm.wasmPaths = "/wasm/";
    runtimeIs();
    await create();
    expect(debug).not.toHaveBeenCalled();
    ort.env.debug = true;
    for (let time = 0; time < 2; time++) {
      runtimeIs();
      await create();
    }
    expect(debug.mock.calls).toEqual([[expect.stringContaining("wasmPaths")]]);
  });

  it("gives no GPU device, and survives a copy", async () => {
    expect({ ...ort.env.webgpu }).toEqual({ profiling: {} });
    expect(await rejectionOf(ort.env.webgpu.device)).toMatchObject({ kind: "unsupported" });
    ort.env.webgpu.device = {};
    expect(warnings()).toEqual([expect.stringContaining("env.webgpu.device")]);
  });
});

describe("a run", () => {
  it("answers with tensors", async () => {
    runtimeIs();
    const session = await create();
    const { y } = await session.run({ x: x(1, 2) });
    expect(y).toBeInstanceOf(ort.Tensor);
    expect(y?.data).toEqual(Float32Array.of(2, 4));
    await session.release();
    expect(await rejectionOf(session.run({ x: x(1) }))).toMatchObject({ kind: "disposed" });
  });

  it("is refused at once where it is to terminate", async () => {
    runtimeIs();
    const session = await create();
    expect(await rejectionOf(session.run({ x: x(1) }, { terminate: true }))).toMatchObject({ kind: "aborted" });
  });

  it("is timed between startProfiling and endProfiling", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    runtimeIs();
    const session = await create({ enableProfiling: true });
    await session.run({ x: x(1) });
    session.endProfiling();
    session.startProfiling();
    await session.run({ x: x(1) });
    await session.run({ x: x(1) });
    session.endProfiling();
    await session.run({ x: x(1) });
    session.endProfiling();
    expect(log.mock.calls.map(([text]) => JSON.parse(String(text)).traceEvents.at(-1).name)).toEqual(["double", "double", "double"]);
  });

  it("keeps what an error of the runtime says, and its kind", async () => {
    runtimeIs({ run: vi.fn(async () => Promise.reject({ kind: "shape_mismatch", message: 'input "x": expected float32 [3], got float32 [1]', node: "n" })) });
    const session = await create();
    const error = await rejectionOf(session.run({ x: x(1) }));
    const { FirebrandError } = await import("../src/index.js");
    expect(error).toBeInstanceOf(FirebrandError);
    expect(error).toMatchObject({ kind: "shape_mismatch", node: "n", message: 'failed to call OrtRun(). Got invalid dimensions for input: input "x": expected float32 [3], got float32 [1]', cause: expect.any(FirebrandError) });
  });

  it("takes null for an optional that is absent, and refuses one that comes out absent", async () => {
    const inputs: ValueInfo[] = [{ name: "x", dtype: "float32", shape: ["N"], optional: true }];
    const run = vi.fn(async (given: WireValue[]) => ran([{ name: "y", ...("absent" in given[0]! ? { absent: true } : { dtype: "float32", shape: [0], data: new Uint8Array() }) }]));
    runtimeIs({ inputs, run });
    const session = await create();
    expect((await session.run({ x: x(1) })).y?.dims).toEqual([0]);
    expect(await rejectionOf(session.run({ x: null as never }))).toMatchObject({ kind: "unsupported", message: expect.stringContaining("absent") });
  });

  it("gives a single number to an input that is declared as one, where the program gives [1]", async () => {
    const inputs: ValueInfo[] = [{ name: "x", dtype: "float32", shape: [] }];
    const run = vi.fn<typeof double>(async (given, outputs, profiled) => {
      const [value] = given;
      if (value && "shape" in value && value.shape.length > 0) throw { kind: "shape_mismatch", message: "expected float32 []" };
      return double(given, outputs, profiled);
    });
    runtimeIs({ inputs, run });
    const session = await create();
    expect((await session.run({ x: x(3) })).y?.data).toEqual(Float32Array.of(6));
    expect(await rejectionOf(session.run({ x: x(3, 4) }))).toMatchObject({ kind: "shape_mismatch" });
  });

  it("leaves [1] as it is where no shape is declared", async () => {
    const run = vi.fn(double);
    runtimeIs({ inputs: [{ name: "x", dtype: "float32", shape: [] }], run });
    const session = await create();
    await session.run({ x: x(3) });
    expect(run.mock.lastCall?.[0]).toMatchObject([{ name: "x", shape: [1] }]);
  });

  it.each(["bfloat16", "float8e5m2"] as const)("has no tensors of %s, which loading says", async (dtype) => {
    runtimeIs({ inputs: [{ name: "x", dtype, shape: [2] }] });
    expect(await rejectionOf(create())).toMatchObject({ kind: "unsupported", message: expect.stringContaining(dtype) });
  });
});

it("registering a backend does nothing", () => {
  expect(ort.registerBackend("mine", {}, 1)).toBeUndefined();
  expect(ort.default.InferenceSession).toBe(ort.InferenceSession);
});
