import { describe, expect, it } from "vitest";
import { chooseDevice, type Gpu } from "../src/device.js";
import { chooseBuild } from "../src/runtime.js";
import { rejectionOf, thrownBy } from "./thrown.js";

type Info = { vendor?: string; architecture?: string; description?: string; isFallbackAdapter?: boolean };
const gpu = (info: Info | null): Gpu => ({ requestAdapter: async () => info && { info } });
const page = (given?: Gpu, isSecure = true) => ({ gpu: given, isSecure });

describe("chooseDevice", () => {
  it.each<[string, Parameters<typeof page>, "cpu" | "webgpu", RegExp]>([
    ["a GPU", [gpu({ vendor: "nvidia", architecture: "ampere" })], "webgpu", /WebGPU is available \(nvidia ampere\)/],
    ["no WebGPU", [undefined], "cpu", /navigator\.gpu is missing/],
    ["a page over plain HTTP", [undefined, false], "cpu", /only to secure pages/],
    ["no adapter", [gpu(null)], "cpu", /gives no adapter/],
    ["SwiftShader", [gpu({ vendor: "google", architecture: "swiftshader" })], "cpu", /emulated in software \(google swiftshader\)/],
    ["a fallback adapter", [gpu({ vendor: "acme", isFallbackAdapter: true })], "cpu", /emulated in software/],
    ["an adapter that throws", [{ requestAdapter: async () => { throw new Error("gpu process crashed"); } }], "cpu", /gives no adapter/],
  ])("auto, with %s", async (_what, around, device, reason) => {
    const choice = await chooseDevice("auto", page(...around));
    expect(choice.device).toBe(device);
    expect(choice.reason).toMatch(reason);
  });

  it("takes an emulated GPU that was asked for", async () => {
    const choice = await chooseDevice("webgpu", page(gpu({ architecture: "swiftshader" })));
    expect(choice).toMatchObject({ device: "webgpu", reason: expect.stringMatching(/slow/) });
  });

  it.each([undefined, gpu(null)])("says what to do where WebGPU was asked for and is not there", async (given) => {
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
    expect(error).toMatchObject({ kind: "device_unavailable" });
    expect(error.message).toMatch(/no SIMD/);
  });

  it("probes this machine: Node 20 has SIMD", () => {
    expect(["cpu-relaxed", "cpu-simd128"]).toContain(chooseBuild("cpu"));
  });
});
