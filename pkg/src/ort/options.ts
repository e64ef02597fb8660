//! What ONNX Runtime's session options mean here: mapped, without effect, told of once, or refused.
import { FirebrandError, type DataSource, type LoadOptions } from "../index.js";
import { typeName } from "./cpu-tensor.js";
import { env } from "./env.js";
import { debugOnce, warnOnce } from "./log.js";
import type { InferenceSession } from "./session.js";

/** A session's options in Firebrand's terms. */
export interface SessionPlan {
  load: LoadOptions;
  /** The lengths of axes that the model names, by name. */
  freeDimensions: Readonly<Record<string, number>>;
  isProfiled: boolean;
  /** Whether WebGPU was asked for first, with the CPU behind it. */
  prefersGpu: boolean;
}

/** What makes no difference to results: there is nothing here that it would set. */
const harmless: readonly string[] = [
  "interOpNumThreads",
  "enableCpuMemArena",
  "enableMemPattern",
  "executionMode",
  "profileFilePrefix",
  "logId",
  "logSeverityLevel",
  "logVerbosityLevel",
];

const mapped: readonly string[] = ["executionProviders", "intraOpNumThreads", "freeDimensionOverrides", "graphOptimizationLevel", "enableProfiling", "externalData", "preferredOutputLocation", "optimizedModelFilePath", "enableGraphCapture", "extra"];

const available: readonly string[] = ["wasm", "cpu", "webgpu"];
const levels: readonly unknown[] = ["disabled", "basic", "extended", "layout", "all"];

export function planOf(options: InferenceSession.SessionOptions): SessionPlan {
  if (typeof options !== "object" || options === null || Array.isArray(options)) throw invalid("'options' must be an object.");
  const { graphOptimizationLevel, freeDimensionOverrides, enableProfiling, externalData, intraOpNumThreads } = options;
  if (graphOptimizationLevel !== undefined && !levels.includes(graphOptimizationLevel)) {
    throw invalid(`unsupported graph optimization level: ${String(graphOptimizationLevel)}; expected one of ${levels.join(", ")}`);
  }
  tellUnused(options);
  const { device, prefersGpu } = deviceFor(options.executionProviders);
  const load: LoadOptions = { device, threads: threadsFor(intraOpNumThreads) };
  if (graphOptimizationLevel !== undefined) load.graphOptimizationLevel = graphOptimizationLevel === "disabled" ? "disabled" : "all";
  if (externalData !== undefined) load.externalData = externalFiles(externalData);
  return { load, freeDimensions: freeDimensions(freeDimensionOverrides), isProfiled: enableProfiling === true, prefersGpu };
}

/** The device of the first provider that is there; the others are removed, as ONNX Runtime removes them. */
function deviceFor(providers: InferenceSession.SessionOptions["executionProviders"]): { device: NonNullable<LoadOptions["device"]>; prefersGpu: boolean } {
  if (providers === undefined) return { device: "cpu", prefersGpu: false };
  if (!Array.isArray(providers)) throw invalid(`executionProviders: expected an array of names or of objects with a name, got ${typeName(providers)}`);
  const names = providers.map(providerName);
  const there = names.filter((name) => available.includes(name));
  const missing = names.filter((name) => !available.includes(name));
  const why = "Firebrand has the providers webgpu, wasm and cpu";
  if (names.length > 0 && there.length === 0) {
    throw new FirebrandError("device_unavailable", `no available backend found. ERR: ${missing.map((name) => `[${name}] backend not found`).join(", ")}: ${why}`);
  }
  for (const name of missing) warnOnce(`removing requested execution provider "${name}" from session options because it is not available: ${why}`);
  if (there[0] !== "webgpu") return { device: "cpu", prefersGpu: false };
  const prefersGpu = there.some((name) => name !== "webgpu");
  return { device: prefersGpu ? "auto" : "webgpu", prefersGpu };
}

function providerName(provider: unknown): string {
  const name = typeof provider === "object" && provider !== null && "name" in provider ? provider.name : provider;
  if (typeof name !== "string") throw invalid(`executionProviders: expected names or objects with a name, got ${typeName(provider)}`);
  if (typeof provider === "object" && provider !== null && "device" in provider && provider.device !== undefined) {
    warnOnce(`the execution provider "${name}" has a device of its own, in the session's worker; the given one is not used`);
  }
  return name;
}

/** A session's own number goes before the page's; 0 leaves the choice to Firebrand, as ONNX Runtime's does. */
function threadsFor(ofSession: number | undefined): number | "auto" {
  const given = ofSession ?? env.wasm.numThreads;
  if (given === undefined || given === 0) return "auto";
  if (!Number.isSafeInteger(given) || given < 0) throw invalid(`the number of threads: expected 0 or a whole number above it, got ${String(given)}`);
  return given;
}

function externalFiles(given: NonNullable<InferenceSession.SessionOptions["externalData"]>): Record<string, DataSource> {
  if (!Array.isArray(given)) throw invalid(`externalData: expected an array of URLs or of { path, data }, got ${typeName(given)}`);
  const files: Record<string, DataSource> = {};
  for (const file of given) {
    const described: unknown = typeof file === "string" ? { path: nameIn(file), data: file } : file;
    if (typeof described !== "object" || described === null || !("path" in described) || typeof described.path !== "string" || !("data" in described)) {
      throw invalid(`externalData: expected URLs or { path, data }, got ${typeName(file)}`);
    }
    files[described.path.replace(/^\.\//, "")] = sourceOf(described.data, described.path);
  }
  return files;
}

function sourceOf(data: unknown, path: string): DataSource {
  if (typeof data === "string" || data instanceof Blob || data instanceof Uint8Array || data instanceof ArrayBuffer) return data;
  if (typeof SharedArrayBuffer === "function" && data instanceof SharedArrayBuffer) return new Uint8Array(data);
  throw invalid(`externalData ${JSON.stringify(path)}: expected a URL, Blob, Uint8Array or ArrayBuffer, got ${typeName(data)}`);
}

/** What a model calls the file at an address: its last part, where the address is absolute. */
function nameIn(address: string): string {
  return /^[a-z][a-z0-9+.-]*:|^\//i.test(address) ? (address.split(/[?#]/)[0]?.split("/").at(-1) ?? address) : address;
}

function freeDimensions(given: unknown): Record<string, number> {
  if (given === undefined) return {};
  if (typeof given !== "object" || given === null) throw invalid(`free dimension overrides: expected an object of numbers by name, got ${typeName(given)}`);
  const lengths: Record<string, number> = Object.create(null);
  for (const [name, length] of Object.entries(given)) {
    if (!Number.isSafeInteger(length) || length < 0) throw invalid(`free dimension override value must be a non-negative integer: ${JSON.stringify(name)} is ${String(length)}`);
    lengths[name] = length;
  }
  return lengths;
}

function tellUnused(options: InferenceSession.SessionOptions): void {
  const { preferredOutputLocation: location, optimizedModelFilePath, enableGraphCapture, extra } = options;
  const locations = typeof location === "object" && location !== null ? Object.values(location) : [location];
  const others = locations.filter((one) => one !== undefined && one !== "cpu" && one !== "cpu-pinned");
  if (others.length > 0) warnOnce(`preferredOutputLocation "${others[0]}": outputs come on the CPU; tensor.location says so, and tensor.data has the elements`);
  if (optimizedModelFilePath !== undefined) warnOnce("optimizedModelFilePath: no optimised model is written; `firebrand build` makes one");
  if (enableGraphCapture === true) warnOnce("enableGraphCapture: there is no capture of graphs; results are the same");
  if (extra !== undefined && Object.keys(extra).length > 0) warnOnce(`extra: the settings of ONNX Runtime's session (${Object.keys(extra).join(", ")}) have no effect`);
  const unknown = Object.keys(options).filter((name) => !harmless.includes(name) && !mapped.includes(name));
  if (unknown.length > 0) warnOnce(`session options that ONNX Runtime does not have are not heeded: ${unknown.join(", ")}`);
  if (env.wasm.wasmPaths !== undefined || env.wasm.wasmBinary !== undefined) debugOnce("env.wasm.wasmPaths and wasmBinary have no effect: Firebrand's WebAssembly lies beside its JavaScript");
}

function invalid(message: string): FirebrandError {
  return new FirebrandError("invalid_argument", message);
}
