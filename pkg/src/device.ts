//! Choosing a device before anything is loaded, and saying why in one plain sentence.
import { FirebrandError } from "./error.js";
import type { Device } from "./protocol.js";

/** The little of WebGPU that choosing needs. */
export interface Gpu {
  requestAdapter(options?: { powerPreference?: "high-performance" }): Promise<Adapter | null>;
}

interface Adapter {
  readonly info?: { vendor?: string; architecture?: string; device?: string; description?: string; isFallbackAdapter?: boolean };
  readonly isFallbackAdapter?: boolean;
  readonly limits?: Readonly<Record<string, number>>;
}

export interface Surroundings {
  readonly gpu: Gpu | undefined;
  /** Browsers hide WebGPU from pages that came over plain HTTP. */
  readonly isSecure: boolean;
}

/** A GPU that may be used. */
export interface GpuFound {
  /** What the browser calls it; it may be empty. */
  name: string;
  /** The bytes that one tensor may have, and the limit that says so. */
  largest: { bytes: number; limit: string };
}

export interface Choice {
  device: Device;
  reason: string;
  /** The GPU that was chosen, or that a session on the CPU may move to. */
  gpu?: GpuFound;
}

/** What every adapter that follows the standard has, and the kernels need; no optional features are needed. */
const needed = { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 16384, maxStorageBuffersPerShaderStage: 8 };

/** A browser whose GPU process hangs must not keep a page waiting that may do without it. */
const patienceMs = { auto: 3000, webgpu: 30_000 };

export function surroundings(): Surroundings {
  const scope = globalThis as { navigator?: { gpu?: Gpu }; isSecureContext?: boolean };
  return { gpu: scope.navigator?.gpu, isSecure: scope.isSecureContext ?? true };
}

/**
 * Chooses the device. `"auto"` begins on the CPU, and names the GPU to move to only where it is one: emulated in
 * software it would be slower than the CPU. Asked for by name, such an adapter is taken.
 *
 * @throws {@link FirebrandError} of kind `device_unavailable` where `"webgpu"` was asked for and
 *   there is none.
 */
export async function chooseDevice(asked: "auto" | Device, around: Surroundings, avoidGpu?: string): Promise<Choice> {
  if (asked === "cpu") return { device: "cpu", reason: "the CPU was asked for" };
  if (asked === "auto" && avoidGpu !== undefined) return { device: "cpu", reason: avoidGpu };
  const { gpu, isSecure } = around;
  if (!gpu) {
    return isSecure
      ? without(asked, "there is no WebGPU here (navigator.gpu is missing)", "use a browser that has it")
      : without(asked, "browsers give WebGPU only to secure pages", "serve the page over HTTPS or from localhost");
  }
  const adapter = await requestAdapter(gpu, patienceMs[asked]);
  if (adapter === "late") return without(asked, `the browser did not answer within ${patienceMs[asked] / 1000} s when asked for a WebGPU adapter`, "restart the browser, and see chrome://gpu or about:support");
  if (!adapter) return without(asked, "the browser has WebGPU but gives no adapter on this machine", "see chrome://gpu or about:support for why");
  const name = nameOf(adapter);
  const called = name && ` (${name})`;
  for (const [limit, least] of Object.entries(needed)) {
    const got = adapter.limits?.[limit] ?? least;
    if (got < least) return without(asked, `the WebGPU adapter${called} is too small: ${limit} is ${got}, ${least} is needed`, "use another GPU");
  }
  const found = { name, largest: largestTensor(adapter) };
  if (isSoftware(adapter, name)) {
    return asked === "webgpu"
      ? { device: "webgpu", reason: `WebGPU was asked for; it is emulated in software here${called}, so it will be slow`, gpu: found }
      : { device: "cpu", reason: `the only WebGPU adapter is emulated in software${called}, which is slower than the CPU` };
  }
  return asked === "webgpu"
    ? { device: "webgpu", reason: "WebGPU was asked for", gpu: found }
    : { device: "cpu", reason: `WebGPU${called} is being made ready, and the CPU answers until then`, gpu: found };
}

/** Why a GPU cannot hold a model, in words; nothing where it can. */
export function whyTooLarge({ name, largest }: GpuFound, tensor: { what: string; bytes: number } | undefined): string | undefined {
  if (!tensor || tensor.bytes <= largest.bytes) return undefined;
  return `${tensor.what} has ${tensor.bytes} bytes, and the WebGPU adapter${name && ` (${name})`} allows ${largest.bytes} in one tensor (${largest.limit})`;
}

/** @throws {@link FirebrandError} of kind `device_unavailable` where `"webgpu"` was asked for. */
export function without(asked: "auto" | Device, reason: string, advice: string): Choice {
  if (asked !== "webgpu") return { device: "cpu", reason };
  throw new FirebrandError("device_unavailable", `device "webgpu": ${reason}: ${advice}, or use device "auto" or "cpu"`);
}

async function requestAdapter(gpu: Gpu, patience: number): Promise<Adapter | null | "late"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => (timer = setTimeout(() => resolve("late"), patience)));
  try {
    return await Promise.race([gpu.requestAdapter({ powerPreference: "high-performance" }), late]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

function largestTensor({ limits }: Adapter): GpuFound["largest"] {
  const allowed = ["maxStorageBufferBindingSize", "maxBufferSize"].map((limit) => ({ limit, bytes: limits?.[limit] ?? Infinity }));
  return allowed.reduce((least, one) => (one.bytes < least.bytes ? one : least));
}

function nameOf({ info }: Adapter): string {
  return [info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean).join(" ");
}

function isSoftware(adapter: Adapter, name: string): boolean {
  const isFallback = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false;
  return isFallback || /swiftshader|llvmpipe|lavapipe|softpipe|microsoft basic render|\bwarp\b/i.test(name);
}
