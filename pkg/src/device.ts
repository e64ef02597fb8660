//! Choosing a device, and saying why in one plain sentence.
import { FirebrandError } from "./error.js";
import type { Device } from "./protocol.js";

/** The little of WebGPU that choosing needs. */
export interface Gpu {
  requestAdapter(options?: { powerPreference?: "high-performance" }): Promise<Adapter | null>;
}

interface Adapter {
  readonly info?: { vendor?: string; architecture?: string; device?: string; description?: string; isFallbackAdapter?: boolean };
  readonly isFallbackAdapter?: boolean;
}

export interface Surroundings {
  readonly gpu: Gpu | undefined;
  /** Browsers hide WebGPU from pages that came over plain HTTP. */
  readonly isSecure: boolean;
}

export interface Choice {
  device: Device;
  reason: string;
}

export function surroundings(): Surroundings {
  const scope = globalThis as { navigator?: { gpu?: Gpu }; isSecureContext?: boolean };
  return { gpu: scope.navigator?.gpu, isSecure: scope.isSecureContext ?? true };
}

/**
 * Chooses the device. `"auto"` takes the GPU only where it is one: emulated in software it would be
 * slower than the CPU. Asked for by name, such an adapter is taken.
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
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) return without(asked, "the browser has WebGPU but gives no adapter on this machine", "see chrome://gpu or about:support for why");
  const name = nameOf(adapter);
  if (!isSoftware(adapter, name)) return { device: "webgpu", reason: asked === "auto" ? `WebGPU is available${name && ` (${name})`}` : "WebGPU was asked for" };
  if (asked === "webgpu") return { device: "webgpu", reason: `WebGPU was asked for; it is emulated in software here${name && ` (${name})`}, so it will be slow` };
  return { device: "cpu", reason: `the only WebGPU adapter is emulated in software${name && ` (${name})`}, which is slower than the CPU` };
}

function without(asked: "auto" | Device, reason: string, advice: string): Choice {
  if (asked === "auto") return { device: "cpu", reason };
  throw new FirebrandError("device_unavailable", `device "webgpu": ${reason}: ${advice}, or use device "auto" or "cpu"`);
}

function nameOf({ info }: Adapter): string {
  return [info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean).join(" ");
}

function isSoftware(adapter: Adapter, name: string): boolean {
  const isFallback = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false;
  return isFallback || /swiftshader|llvmpipe|lavapipe|softpipe|microsoft basic render|\bwarp\b/i.test(name);
}
