import { FirebrandError, runtimeVersion } from "../index.js";
import { log, warnOnce } from "./log.js";

/** The version of ONNX Runtime's JavaScript API that this module speaks. */
const apiVersion = "1.30.0";

export declare namespace Env {
  type WasmPathPrefix = string;

  interface WasmFilePaths {
    wasm?: URL | string;
    mjs?: URL | string;
  }

  type WasmPrefixOrFilePaths = WasmPathPrefix | WasmFilePaths;

  interface WebAssemblyFlags {
    /**
     * How many threads share the work of a node at most; 0 or nothing leaves the choice to Firebrand. They need a page
     * that is cross-origin isolated, as ONNX Runtime's do. `intraOpNumThreads` of a session goes before it.
     */
    numThreads?: number;
    /** Without effect: the quickest instructions that the machine has are used. */
    simd?: boolean | "fixed" | "relaxed";
    /** Without effect. */
    trace?: boolean;
    /** Without effect. */
    initTimeout?: number;
    /** Without effect: Firebrand's WebAssembly lies beside its JavaScript, where bundlers find it. */
    wasmPaths?: WasmPrefixOrFilePaths;
    /** Without effect, as `wasmPaths`. */
    wasmBinary?: ArrayBufferLike | Uint8Array;
    /** Without effect: a session has a worker of its own wherever there are workers. */
    proxy?: boolean;
  }

  /** Without effect: there is no WebGL. */
  interface WebGLFlags {
    contextId?: "webgl" | "webgl2";
    readonly context?: WebGLRenderingContext;
    matmulMaxBatchSize?: number;
    textureCacheMode?: "initializerOnly" | "full";
    pack?: boolean;
    async?: boolean;
  }

  interface WebGpuFlags {
    /** Without effect: use `startProfiling()`. */
    profilingMode?: "off" | "default";
    /** Without effect: use `startProfiling()`. */
    profiling: { mode?: "off" | "default"; ondata?: (data: unknown) => void };
    /** Without effect: the adapter for high performance is asked for. */
    powerPreference?: "low-power" | "high-performance";
    /** Without effect. */
    forceFallbackAdapter?: boolean;
    /** Without effect, as `device`. */
    adapter?: unknown;
    /**
     * Firebrand's GPU device belongs to its worker.
     * Reading it gives a promise that rejects with a {@link FirebrandError} of kind `unsupported`; writing it is without
     * effect, which the console tells once.
     */
    get device(): Promise<unknown>;
    set device(value: unknown);
    /** Without effect. */
    validateInputContent?: boolean;
  }
}

/** Settings for all sessions that are made afterwards. */
export interface Env {
  /**
   * How serious a message must be to reach the console. Default: `"warning"`.
   *
   * @throws setting it to anything else throws a {@link FirebrandError} of kind `invalid_argument`
   */
  logLevel?: "verbose" | "info" | "warning" | "error" | "fatal";
  /** Whether settings without effect are told of, on the console's debug level. Default: `false`. */
  debug?: boolean;
  /** Without effect: use `startProfiling()`. */
  trace?: boolean;
  /**
   * `common` is the version of ONNX Runtime whose interface this is. `web` is absent: libraries fetch onnxruntime-web's
   * WebAssembly by it, which would be for nothing.
   */
  readonly versions: { readonly common: string; readonly web?: string; readonly node?: string; readonly "react-native"?: string; readonly firebrand: string };
  readonly wasm: Env.WebAssemblyFlags;
  readonly webgl: Env.WebGLFlags;
  readonly webgpu: Env.WebGpuFlags;
  [name: string]: unknown;
}

type LogLevel = NonNullable<Env["logLevel"]>;

const logLevels: readonly unknown[] = ["verbose", "info", "warning", "error", "fatal"] satisfies LogLevel[];

const webgpu: Env.WebGpuFlags = {
  profiling: {},
  get device(): Promise<unknown> {
    return Promise.reject(new FirebrandError("unsupported", "env.webgpu.device: the GPU device belongs to a session's worker and cannot be shared with the page; give and take tensors on the CPU"));
  },
  set device(_: unknown) {
    warnOnce("env.webgpu.device: a session makes a GPU device of its own, in its worker; the given one is not used");
  },
};
// Who copies the flags must not meet the rejection.
Object.defineProperty(webgpu, "device", { enumerable: false });

/** Settings for all sessions that are made afterwards. */
export const env: Env = {
  wasm: {},
  webgl: {},
  webgpu,
  versions: { common: apiVersion, firebrand: runtimeVersion },
  get debug(): boolean {
    return log.debug;
  },
  set debug(value: boolean | undefined) {
    log.debug = value === true;
  },
  get logLevel(): LogLevel {
    return log.level;
  },
  set logLevel(value: LogLevel | undefined) {
    if (value === undefined) return;
    if (!logLevels.includes(value)) {
      throw new FirebrandError("invalid_argument", `env.logLevel: Unsupported logging level: ${String(value)}; expected one of ${logLevels.join(", ")}`);
    }
    log.level = value;
  },
};
