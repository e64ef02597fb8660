import { vi } from "vitest";
import type { Profile } from "../src/profile.js";
import type { ValueInfo, WireTensor, WireValue } from "../src/protocol.js";
import type { Glue, Ran, Runtime, WasmSession, WasmSessionOptions } from "../src/runtime.js";
import { runtimeVersion } from "../src/version.js";

/** What a profiled run of it tells. */
export const profile: Profile = {
  durationMs: 1.5,
  peak: { float32: 12e3, int8: 24e3 },
  nodes: [
    {
      name: "double",
      operator: "Mul",
      device: "cpu",
      startMs: 0.25,
      durationMs: 1,
      multiplyAdds: 6,
      shareOfPeak: 0.5,
      bytesRead: 12,
      bytesWritten: 8,
      outputs: [{ dtype: "float32", shape: [1, 2] }, null],
    },
  ],
};

/** A stand-in for the WebAssembly: y = 2 x, with switches for what the real one may do. */
export function fakeGlue(behaviour: { run?: WasmSession["run"]; device?: "cpu" | "webgpu"; external?: string[]; inputs?: ValueInfo[]; nodesOnGpu?: number; version?: string } = {}) {
  const free = vi.fn();
  const load = vi.fn(async (_model: Uint8Array, _external: Record<string, Uint8Array>, { device }: WasmSessionOptions): Promise<WasmSession> => ({
    inputs: () => behaviour.inputs ?? [{ name: "x", dtype: "float32", shape: ["N"] }],
    outputs: () => [{ name: "y", dtype: "float32", shape: ["N"] }],
    info: () => ({
      device,
      precision: "float32",
      runtimeVersion: behaviour.version ?? runtimeVersion,
      simd: "simd128",
      threads: 1,
      nodes: device === "webgpu" ? { total: 1, webgpu: behaviour.nodesOnGpu ?? 1, cpu: 0 } : { total: 1, webgpu: 0, cpu: 1 },
      weightBytes: 4,
      memoryBytes: 65536,
    }),
    run: behaviour.run ?? double,
    free,
  }));
  const memory = new WebAssembly.Memory({ initial: 1 });
  const glue: Glue = {
    default: async () => ({ memory }),
    inspect: () => ({ inputs: [], outputs: [], operators: [{ name: "Mul", domain: "", count: 1, supported: true }], externalFiles: [] }),
    externalFiles: () => behaviour.external ?? [],
    runtimeInfo: () => ({ version: behaviour.version ?? runtimeVersion, simd: "simd128", device: behaviour.device ?? "cpu" }),
    WasmSession: { load },
  };
  const runtime: Runtime = { glue, url: "fake:", module: new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)), memory };
  return { glue, runtime, load, free };
}

/** What a run tells that gave `outputs`. */
export const ran = (outputs: WireValue[]): Ran => ({ outputs, memoryBytes: 131072, peakBytes: 16 });

export const double: WasmSession["run"] = async (inputs, _outputs, profiled) => {
  const x = inputs.find(({ name }) => name === "x") as WireTensor | undefined;
  if (!x) throw { kind: "missing_input", message: 'input "x" was not given' };
  const values = new Float32Array((x.data as Uint8Array).slice().buffer).map((value) => value * 2);
  const told = ran([{ name: "y", dtype: "float32", shape: x.shape, data: new Uint8Array(values.buffer) }]);
  return profiled ? { ...told, profile } : told;
};
