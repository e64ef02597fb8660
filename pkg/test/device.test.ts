import { describe, expect, it, vi } from "vitest";
import { chooseDevice, whyTooLarge, type Gpu } from "../src/device.js";
import { chooseBuild } from "../src/runtime.js";
import { rejectionOf, thrownBy } from "./thrown.js";

type Info = { vendor?: string; architecture?: string; description?: string; isFallbackAdapter?: boolean };
const gpu = (info: Info | null, limits: Record<string, number> = {}): Gpu => ({ requestAdapter: async () => info && { info, limits } });
const page = (given?: Gpu, isSecure = true) => ({ gpu: given, isSecure });

describe("chooseDevice", () => {
  it("auto, with a GPU, begins on the CPU and names the GPU to move to", async () => {
    const limits = { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27, maxComputeInvocationsPerWorkgroup: 256 };
    expect(await chooseDevice("auto", page(gpu({ vendor: "nvidia", architecture: "ampere" }, limits)))).toEqual({
      device: "cpu",
      reason: "WebGPU (nvidia ampere) is being made ready, and the CPU answers until then",
      gpu: { name: "nvidia ampere", largest: { limit: "maxStorageBufferBindingSize", bytes: 2 ** 27 } },
    });
  });

  it.each<[string, Parameters<typeof page>, RegExp]>([
    ["no WebGPU", [undefined], /navigator\.gpu is missing/],
    ["a page over plain HTTP", [undefined, false], /only to secure pages/],
    ["no adapter", [gpu(null)], /gives no adapter/],
    ["SwiftShader", [gpu({ vendor: "google", architecture: "swiftshader" })], /emulated in software \(google swiftshader\)/],
    ["a fallback adapter", [gpu({ vendor: "acme", isFallbackAdapter: true })], /emulated in software/],
    ["an adapter that throws", [{ requestAdapter: async () => { throw new Error("gpu process crashed"); } }], /gives no adapter/],
    ["an adapter that is too small", [gpu({ vendor: "acme" }, { maxComputeInvocationsPerWorkgroup: 128 })], /WebGPU adapter \(acme\) is too small: maxComputeInvocationsPerWorkgroup is 128, 256 is needed/],
  ])("auto, with %s, stays on the CPU", async (_what, around, reason) => {
    const choice = await chooseDevice("auto", page(...around));
    expect(choice).toEqual({ device: "cpu", reason: expect.stringMatching(reason) });
  });

  it("does not wait for a browser that never answers", async () => {
    vi.useFakeTimers();
    try {
      const choosing = chooseDevice("auto", page({ requestAdapter: () => new Promise(() => {}) }));
      await vi.advanceTimersByTimeAsync(3000);
      expect(await choosing).toEqual({ device: "cpu", reason: expect.stringMatching(/did not answer within 3 s/) });
    } finally {
      vi.useRealTimers();
    }
  });

  it("says by how much a tensor is too large", () => {
    const found = { name: "acme", largest: { limit: "maxBufferSize", bytes: 1000 } };
    expect(whyTooLarge(found, undefined)).toBeUndefined();
    expect(whyTooLarge(found, { what: "the weight \"w\"", bytes: 1000 })).toBeUndefined();
    expect(whyTooLarge(found, { what: "the weight \"w\"", bytes: 1004 })).toBe('the weight "w" has 1004 bytes, and the WebGPU adapter (acme) allows 1000 in one tensor (maxBufferSize)');
  });

  it("takes an emulated GPU that was asked for", async () => {
    const choice = await chooseDevice("webgpu", page(gpu({ architecture: "swiftshader" })));
    expect(choice).toMatchObject({ device: "webgpu", reason: expect.stringMatching(/slow/) });
  });

  it.each([undefined, gpu(null), gpu({}, { maxStorageBuffersPerShaderStage: 4 })])("says what to do where WebGPU was asked for and is not there", async (given) => {
    const error = await rejectionOf(chooseDevice("webgpu", page(given)));
    expect(error).toMatchObject({ kind: "device_unavailable" });
    expect(error.message).toMatch(/or use device "auto" or "cpu"/);
  });

  it("does not look for a GPU when the CPU was asked for", async () => {
    const asked: Gpu = { requestAdapter: () => { throw new Error("asked"); } };
    expect((await chooseDevice("cpu", page(asked))).device).toBe("cpu");
  });

  it("keeps off a GPU that failed", async () => {
    expect(await chooseDevice("auto", page(gpu({ vendor: "nvidia" })), "it was lost")).toEqual({ device: "cpu", reason: "it was lost" });
  });
});

describe("chooseBuild", () => {
  const machine = (relaxed: boolean, simd = true) => (bytes: Uint8Array) => (bytes.includes(98) ? simd : relaxed);

  it("takes the quickest that the machine runs", () => {
    expect(chooseBuild("cpu", 1, machine(true))).toBe("cpu-relaxed");
    expect(chooseBuild("cpu", 1, machine(false))).toBe("cpu-simd128");
    expect(chooseBuild("cpu", 2, machine(true))).toBe("cpu-threads");
    expect(chooseBuild("cpu", 2, machine(false))).toBe("cpu-simd128");
    expect(chooseBuild("webgpu", 2, machine(true))).toBe("webgpu");
  });

  it("says so where there is no SIMD", () => {
    const error = thrownBy(() => chooseBuild("cpu", 1, machine(false, false)));
    expect(error).toMatchObject({ kind: "unsupported_browser" });
    expect(error.message).toMatch(/no 128-bit SIMD \(simd128\).*Chrome or Edge 91, Firefox 89, Safari 16\.4/);
  });

  it("says so where there is no WebAssembly", () => {
    vi.stubGlobal("WebAssembly", undefined);
    try {
      expect(thrownBy(() => chooseBuild("cpu"))).toMatchObject({ kind: "unsupported_browser", message: expect.stringMatching(/has no WebAssembly/) });
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it("probes this machine: Node 20 has SIMD", () => {
    expect(["cpu-relaxed", "cpu-simd128"]).toContain(chooseBuild("cpu"));
  });
});
