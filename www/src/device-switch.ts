/** The switch Auto / WebGPU / CPU. */
import type { DeviceChoice } from "./classifier";

export class DeviceSwitch {
  /** Why WebGPU cannot be chosen; empty when it can. */
  #missing = "";
  /** Why only the CPU can be chosen for now; empty when more can. */
  #onlyCpu = "";
  #running = { on: "", why: "" };

  constructor(
    readonly segments: HTMLElement,
    readonly note: HTMLElement,
    onChange: (device: DeviceChoice) => void,
  ) {
    segments.addEventListener("change", () => onChange(this.value));
  }

  get value(): DeviceChoice {
    return (this.#inputs().find((input) => input.checked)?.value ?? "auto") as DeviceChoice;
  }

  set value(device: DeviceChoice) {
    for (const input of this.#inputs()) input.checked = input.value === device;
  }

  /** Disables WebGPU where there is none, and says why. */
  async probe(): Promise<void> {
    const reason = await whyNoWebGpu();
    if (!reason) return;
    this.#missing = reason;
    this.#tell();
  }

  /** Takes WebGPU out of the choice for the reason given, and puts it back where there is none. */
  onlyCpu(reason: string): void {
    this.#onlyCpu = reason;
    this.#tell();
  }

  /** Says on what the session runs, and why; nothing while there is none. */
  running(on: string, why: string): void {
    this.#running = { on, why };
    this.#tell();
  }

  #tell(): void {
    const { on, why } = this.#running;
    const without = this.#onlyCpu || this.#missing;
    for (const input of this.#inputs()) if (input.value === "webgpu") input.disabled = without !== "";
    if (without && this.value === "webgpu") this.value = "auto";
    this.note.textContent = `${on} ${without || why}`.trim();
  }

  #inputs(): HTMLInputElement[] {
    return [...this.segments.querySelectorAll("input")];
  }
}

/** `undefined` when a WebGPU adapter is there. */
async function whyNoWebGpu(): Promise<string | undefined> {
  if (!isSecureContext) return "WebGPU is only for pages served over https, or from localhost.";
  // The types say it is always there; many browsers say otherwise.
  const gpu = navigator.gpu as GPU | undefined;
  if (!gpu) return "This browser has no WebGPU.";
  try {
    if (await gpu.requestAdapter()) return undefined;
  } catch {
    // As good as none.
  }
  return "This browser knows WebGPU but offers no adapter here.";
}
