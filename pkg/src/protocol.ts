//! The messages between a session and the host that holds its model, in a worker or in place.
//! A session sends one request at a time; a host answers each with progress and then one reply.
import { FirebrandError, describe, type ErrorKind } from "./error.js";
import type { Manifest } from "./manifest.js";
import type { Profile } from "./profile.js";
import type { DType } from "./tensor.js";

/** Where bytes come from, in a form that crosses to a worker at little cost. */
export type Source =
  | { from: "url"; url: string }
  | { from: "path"; path: string }
  /** `name` is what messages call it; `read` says that reading it was already reported as progress. */
  | { from: "blob"; blob: Blob; name?: string; read?: boolean };

/** What is being waited for, and how far it is. */
export interface Progress {
  /** `"runtime"`: fetching the WebAssembly; `"model"`: fetching the model's files; `"prepare"`: planning and packing weights. */
  phase: "runtime" | "model" | "prepare";
  /** Bytes so far, decoded; for `"prepare"` 0 and then 1. Fewer than before where a file has to be fetched afresh. */
  loaded: number;
  /** All bytes, where it is known beforehand; for `"prepare"` 1. */
  total?: number;
  /** The file's name, where the phase has several. A package's files are told of as one. */
  file?: string;
}

/** What {@link ValueInfo} tells of every value. */
interface Described {
  readonly name: string;
  /** The element type: of the tensor, of each tensor of a sequence, of the numbers in maps. */
  readonly dtype: DType;
  /** The length of each axis; where it may vary, the model's own name for it, or `"?"`. For a sequence, of each tensor. */
  readonly shape: readonly (number | string)[];
  /** Whether the value may be absent, which is `null` in JavaScript. */
  readonly optional?: true;
}

/** A tensor. */
export interface TensorInfo extends Described {
  readonly kind?: undefined;
}

/** A sequence: an array of tensors of one dtype. */
export interface SequenceInfo extends Described {
  readonly kind: "sequence";
}

/** An array of `Map`s from keys to numbers, which only outputs may be. */
export interface MapsInfo extends Described {
  readonly kind: "maps";
  /** The dtype of the keys: bigints or strings. */
  readonly keys: "int64" | "string";
}

/** An input or output of a model: a tensor unless `kind` says otherwise. */
export type ValueInfo = TensorInfo | SequenceInfo | MapsInfo;

/** An input or output of a kind that this version has no value for; only {@link inspect} tells of such. */
export interface OtherInfo {
  readonly name: string;
  readonly kind: "other";
  /** The type as ONNX has it, or `"unknown"` where the model does not declare it. */
  readonly dtype: string;
  readonly shape: readonly [];
  readonly optional?: true;
}

/** A device that a session runs on. */
export type Device = "webgpu" | "cpu";

/** What is done to a graph at load. */
export type GraphOptimizationLevel = "disabled" | "all";

/** What a session runs on, and what it took to get there. Times are in milliseconds. */
export interface SessionInfo {
  /** Where the next run is computed. */
  readonly device: Device;
  /** Why this device, in one sentence; `docs/devices.md` has them all. */
  readonly deviceReason: string;
  /** The precision in which floats are computed. */
  readonly precision: "float32";
  /** That of the WebAssembly, which is the package's. */
  readonly runtimeVersion: string;
  /** The WebAssembly instruction set in use. */
  readonly simd: "relaxed" | "simd128";
  /** How many threads share the work of a node on the CPU. */
  readonly threads: number;
  /** Why so many threads, in one sentence. */
  readonly threadsReason: string;
  /** The plan's nodes, by where they run. */
  readonly nodes: { readonly total: number; readonly webgpu: number; readonly cpu: number };
  /** The GPU, where it is known. */
  readonly adapter?: string;
  /** What came of a package's golden sample on this device. A device that fails it is not used. */
  readonly selfTest?: {
    readonly passed: true;
    readonly device: Device;
    /** The largest difference of any element from what is expected. */
    readonly maxDifference: number;
  };
  /** Bytes of the model's weights. */
  readonly weightBytes: number;
  /** Bytes of the runtime's WebAssembly memory, which grows as needed and never shrinks. */
  readonly memoryBytes: number;
  readonly timings: {
    /** Fetching and compiling the WebAssembly. */
    readonly runtimeMs: number;
    /** Fetching the model's files, at the same time as the runtime. */
    readonly modelMs: number;
    /** Reading the model, planning, packing weights. */
    readonly prepareMs: number;
  };
  /** The latest run, without waiting in line and crossing to the worker. */
  readonly lastRunMs?: number;
  /**
   * The most bytes of tensors, without weights, that the latest run held between its nodes. Tensors that share
   * their elements count for each.
   */
  readonly lastRunPeakBytes?: number;
}

/** How often a model uses an operator. */
export interface OperatorUse {
  /** Such as `Conv`. */
  readonly name: string;
  /** `""` for ONNX's own operators. */
  readonly domain: string;
  /** How many nodes use it. */
  readonly count: number;
  /** Whether this version has it. */
  readonly supported: boolean;
  /** The nodes that use it, by name, where it is not supported. */
  readonly nodes?: readonly string[];
}

/** What {@link inspect} tells about a model without running it. */
export interface ModelReport {
  /** What the model takes. */
  readonly inputs: readonly (ValueInfo | OtherInfo)[];
  /** What it gives. */
  readonly outputs: readonly (ValueInfo | OtherInfo)[];
  /** The operators in use, also in bodies and functions, and whether this version has them. */
  readonly operators: readonly OperatorUse[];
  /** Files that hold weights beside the model, by relative path. */
  readonly externalFiles: readonly string[];
}

export interface WireTensor {
  dtype: DType;
  shape: readonly number[];
  data: Uint8Array | string[];
}

/** A named value. Maps are the keys `[C]` that all have, and each one's numbers `[N, C]`. */
export type WireValue = { name: string } & (WireTensor | { sequence: WireTensor[] } | { maps: { keys: WireTensor; values: WireTensor } } | { absent: true });

/** The tensors that a value is made of. */
export function tensorsOf(value: WireValue): WireTensor[] {
  if ("sequence" in value) return value.sequence;
  if ("maps" in value) return [value.maps.keys, value.maps.values];
  return "absent" in value ? [] : [value];
}

/** The buffers that values lie in, to be given away with them. */
export function buffersOf(values: WireValue[]): ArrayBuffer[] {
  const buffers = values.flatMap(tensorsOf).flatMap(({ data }) => (data instanceof Uint8Array ? [data.buffer as ArrayBuffer] : []));
  return [...new Set(buffers)];
}

export type Request =
  | {
      type: "load";
      source: Source;
      externalData: Record<string, Source>;
      device: "auto" | Device;
      threads: number | "auto";
      graphOptimizationLevel?: GraphOptimizationLevel;
      /** For packages. */
      cache: "auto" | "none";
      selfTest: boolean;
      /** Why `"auto"` must stay off the GPU, if it must. */
      avoidGpu?: string;
    }
  | { type: "run"; inputs: WireValue[]; outputs?: string[]; profile: boolean }
  | { type: "inspect"; source: Source };

export interface Failure {
  kind: ErrorKind;
  message: string;
  node?: string | undefined;
  operator?: string | undefined;
  file?: string | undefined;
  cause?: { name: string; message: string };
  /** The host's WebAssembly can no longer be trusted. */
  fatal: boolean;
}

/** A GPU that a session on the CPU may move to, and the model's files, kept for that. */
export interface Candidate {
  /** What messages call the GPU. */
  gpu: string;
  source: Source;
  externalData: Record<string, Source>;
}

export type Reply =
  | { type: "progress"; progress: Progress }
  | { type: "loaded"; inputs: ValueInfo[]; outputs: ValueInfo[]; info: SessionInfo; manifest?: Manifest; candidate?: Candidate }
  | { type: "ran"; outputs: WireValue[]; lastRunMs: number; memoryBytes: number; peakBytes: number; profile?: Profile }
  | { type: "inspected"; report: ModelReport }
  | { type: "failed"; failure: Failure };

/**
 * What a thrown value means. WebAssembly throws plain objects with a `kind` for errors it knows;
 * anything else has left the instance in an unknown state and is fatal.
 */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof FirebrandError || isTold(thrown)) {
    const { kind, message, node, operator, file } = thrown;
    const failure: Failure = { kind, message, node, operator, file, fatal: kind === "device_lost" };
    const cause = (thrown as { cause?: unknown }).cause;
    if (cause !== undefined) failure.cause = causeOf(cause);
    return failure;
  }
  const text = describe(thrown);
  const outOfMemory = thrown instanceof RangeError || /out of memory|memory\.grow|allocation failed|capacity overflow/i.test(text);
  return {
    kind: outOfMemory ? "out_of_memory" : "internal",
    message: outOfMemory
      ? `the runtime ran out of memory (${text}); use a smaller model or batch, or close other sessions. The next call starts a fresh runtime`
      : `the runtime stopped unexpectedly (${text}); this is a defect of Firebrand, please report it. The next call starts a fresh runtime`,
    cause: causeOf(thrown),
    fatal: true,
  };
}

/** The error that a failure stands for, on the caller's side. */
export function fromFailure(failure: Failure): FirebrandError {
  const { kind, message, node, operator, file, cause } = failure;
  let error: Error | undefined;
  if (cause) {
    error = new Error(cause.message);
    error.name = cause.name;
  }
  return new FirebrandError(kind, message, { node, operator, file, cause: error });
}

function causeOf(thrown: unknown): { name: string; message: string } {
  return { name: thrown instanceof Error ? thrown.name : "Error", message: describe(thrown) };
}

function isTold(thrown: unknown): thrown is { kind: ErrorKind; message: string; node?: string; operator?: string; file?: string } {
  if (typeof thrown !== "object" || thrown === null || thrown instanceof Error) return false;
  const { kind, message } = thrown as { kind?: unknown; message?: unknown };
  return typeof kind === "string" && typeof message === "string";
}
