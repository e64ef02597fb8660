//! `InferenceSession`: ONNX Runtime's way to load and run a model, over Firebrand's own.
import { FirebrandError, Tensor as FirebrandTensor, load, toChromeTrace, type AnyTensor, type ErrorKind, type Profile, type Session, type ValueInfo } from "../index.js";
import { CpuTensor, isPacked, typeName, zero } from "./cpu-tensor.js";
import { warnOnce } from "./log.js";
import { planOf, type SessionPlan } from "./options.js";
import type { Tensor } from "./tensor.js";

export type FileUrlOrPath = string;
export type FileBlob = Blob;
export type FileData = Uint8Array | ArrayBufferLike;
export type FileType = FileUrlOrPath | FileBlob | FileData;

export interface ExternalDataFileDescription {
  data: FileType;
  /** The name that the model has for it. */
  path: string;
}

/** A string is a URL, whose last part is the name that the model has for the file. */
export type ExternalDataFileType = ExternalDataFileDescription | FileUrlOrPath;

export interface OnnxModelOptions {
  /** The files that hold weights beside the model. Those not given are fetched from beside it, where it came from a URL. */
  externalData?: readonly ExternalDataFileType[];
}

export type NonTensorType = never;
export type OnnxValue = Tensor | NonTensorType;
export type OnnxValueDataLocation = Tensor.DataLocation;

export declare namespace InferenceSession {
  type OnnxValueMapType = { readonly [name: string]: OnnxValue };
  type NullableOnnxValueMapType = { readonly [name: string]: OnnxValue | null };
  /** A tensor for each input, by name. */
  type FeedsType = OnnxValueMapType;
  /** The outputs to compute: their names, or an object of them, with `null` or a tensor that the output is written to. */
  type FetchesType = readonly string[] | NullableOnnxValueMapType;
  /** A tensor for each output, by name. */
  type ReturnType = OnnxValueMapType;

  type ExecutionProviderName = "coreml" | "cpu" | "cuda" | "dml" | "nnapi" | "tensorrt" | "wasm" | "webgl" | "webgpu" | "webnn" | "qnn" | "xnnpack";
  interface ExecutionProviderOption {
    readonly name: string;
  }
  type ExecutionProviderConfig = ExecutionProviderOption | ExecutionProviderName | string;

  interface SessionOptions extends OnnxModelOptions {
    /**
     * What may run the model, the first first. `"wasm"` and `"cpu"` are the CPU, `"webgpu"` is WebGPU; with one of the
     * former behind it, the CPU takes over where there is no GPU or it fails. Others are not there: they are passed over,
     * and refused where nothing else is given. Default: the CPU.
     */
    executionProviders?: readonly ExecutionProviderConfig[];
    /** How many threads share a node's work at most. Default: `env.wasm.numThreads`. */
    intraOpNumThreads?: number;
    /** Lengths of axes that the model names; inputs of other lengths are refused. */
    freeDimensionOverrides?: { readonly [dimensionName: string]: number };
    /** `"disabled"` runs nodes as they are written; all others optimise. */
    graphOptimizationLevel?: "disabled" | "basic" | "extended" | "layout" | "all";
    /** Whether runs are timed from the start, as with {@link InferenceSession.startProfiling}. */
    enableProfiling?: boolean;
    /** Outputs come on the CPU; for other places the console says so once. */
    preferredOutputLocation?: OnnxValueDataLocation | { readonly [outputName: string]: OnnxValueDataLocation };
    /** Without effect, which the console tells once. */
    optimizedModelFilePath?: string;
    /** Without effect, which the console tells once. */
    enableGraphCapture?: boolean;
    /** Without effect, which the console tells once. */
    extra?: Record<string, unknown>;
    /** Without effect, as all below. */
    interOpNumThreads?: number;
    enableCpuMemArena?: boolean;
    enableMemPattern?: boolean;
    executionMode?: "sequential" | "parallel";
    profileFilePrefix?: string;
    logId?: string;
    logSeverityLevel?: 0 | 1 | 2 | 3 | 4;
    logVerbosityLevel?: number;
  }

  interface RunOptions {
    /** Whether to end the run at once, with a FirebrandError of kind `aborted`. */
    terminate?: boolean;
    /** Without effect, as all below. */
    logSeverityLevel?: 0 | 1 | 2 | 3 | 4;
    logVerbosityLevel?: number;
    tag?: string;
    extra?: Record<string, unknown>;
  }

  interface ValueMetadataBase {
    readonly name: string;
  }
  /** A sequence, or maps. */
  interface NonTensorValueMetadata extends ValueMetadataBase {
    readonly isTensor: false;
  }
  interface TensorValueMetadata extends ValueMetadataBase {
    readonly isTensor: true;
    readonly type: Tensor.Type;
    /** The length of each axis; where it may vary, the model's name for it, or `""`. */
    readonly shape: ReadonlyArray<number | string>;
  }
  type ValueMetadata = NonTensorValueMetadata | TensorValueMetadata;
}

/** Makes sessions. */
export interface InferenceSessionFactory {
  /**
   * Loads a model and makes it ready to run.
   *
   * @throws FirebrandError; its `kind` tells what went wrong
   */
  create(uri: string, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  create(buffer: ArrayBufferLike, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  create(buffer: ArrayBufferLike, byteOffset: number, byteLength?: number, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  create(buffer: Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
}

/** A loaded model. */
export interface InferenceSession {
  /**
   * Runs the model once. Inputs are copied when the call is made; calls that do not wait for each other are answered in order.
   *
   * @throws FirebrandError; its `kind` tells what went wrong
   */
  run(feeds: InferenceSession.FeedsType, options?: InferenceSession.RunOptions): Promise<InferenceSession.ReturnType>;
  run(feeds: InferenceSession.FeedsType, fetches: InferenceSession.FetchesType, options?: InferenceSession.RunOptions): Promise<InferenceSession.ReturnType>;
  /** Frees the model and ends its worker. Calls that were not answered yet reject with kind `disposed`. */
  release(): Promise<void>;
  /** Times each node of the runs that follow. */
  startProfiling(): void;
  /** Logs what was timed on the console, as JSON that chrome://tracing and Perfetto open: one line for each run. */
  endProfiling(): void;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[];
}

type Wanted = Map<string, CpuTensor | null>;

class LoadedModel implements InferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly #session: Session;
  readonly #freeDimensions: SessionPlan["freeDimensions"];
  readonly #singleNumbers: ReadonlySet<string>;
  #profiles: Profile[] | undefined;

  static async create(first: string | ArrayBufferLike | Uint8Array, second?: InferenceSession.SessionOptions | number, third?: number, fourth?: InferenceSession.SessionOptions): Promise<InferenceSession> {
    const { source, options } = sourceOf(first, second, third, fourth);
    const plan = planOf(options ?? {});
    try {
      const session = await load(source, plan.load);
      if (plan.prefersGpu && session.info.device === "cpu") warnOnce(`removing requested execution provider "webgpu" from session options because it is not available: ${session.info.deviceReason}`);
      try {
        return new LoadedModel(session, plan, await singleNumbers(session));
      } catch (error) {
        await session.dispose();
        throw error;
      }
    } catch (error) {
      const isMissing = error instanceof FirebrandError && error.kind === "device_unavailable" && plan.load.device === "webgpu";
      throw toldAs(isMissing ? "no available backend found. ERR: [webgpu]" : "Can't create a session.", error);
    }
  }

  private constructor(session: Session, { freeDimensions, isProfiled }: SessionPlan, singleNumbers: ReadonlySet<string>) {
    this.#session = session;
    this.#singleNumbers = singleNumbers;
    this.#freeDimensions = freeDimensions;
    if (isProfiled) this.#profiles = [];
    this.inputNames = session.inputs.map(({ name }) => name);
    this.outputNames = session.outputs.map(({ name }) => name);
    this.inputMetadata = session.inputs.map((info) => metadataOf("input", info, freeDimensions));
    this.outputMetadata = session.outputs.map((info) => metadataOf("output", info, freeDimensions));
  }

  async run(feeds: InferenceSession.FeedsType, second?: InferenceSession.FetchesType | InferenceSession.RunOptions, third?: InferenceSession.RunOptions): Promise<InferenceSession.ReturnType> {
    const inputs = this.#inputs(feeds);
    const { wanted, options } = this.#wanted(second, third);
    if (options.terminate === true) throw new FirebrandError("aborted", "the run was ended by its option terminate");
    const outputs = [...(wanted?.keys() ?? this.outputNames)];
    this.#checkTensors(outputs);
    const profiles = this.#profiles;
    let results: Record<string, AnyTensor | null>;
    try {
      if (profiles) {
        const ran = await this.#session.run<Record<string, AnyTensor | null>>(inputs, { outputs, profile: true });
        profiles.push(ran.profile);
        results = ran.outputs;
      } else {
        results = await this.#session.run<Record<string, AnyTensor | null>>(inputs, { outputs });
      }
    } catch (error) {
      throw toldAs("failed to call OrtRun().", error);
    }
    const answers = outputs.map((name): [string, Tensor] => {
      const result = results[name];
      if (!result) throw new FirebrandError("unsupported", `output '${name}' is an optional that is absent: Reading data from non-tensor typed value is not supported; use load() of firebrand, which gives null for it`);
      const made = toTensor(result, name);
      const given = wanted?.get(name);
      return [name, given ? writeTo(given, made, name) : made];
    });
    return Object.fromEntries(answers);
  }

  async release(): Promise<void> {
    await this.#session.dispose();
  }

  /** A private part of ONNX Runtime's sessions, by which transformers.js frees them up to version 2. */
  get handler(): { dispose(): Promise<void> } {
    return { dispose: () => this.release() };
  }

  startProfiling(): void {
    this.#profiles ??= [];
  }

  endProfiling(): void {
    for (const profile of this.#profiles ?? []) console.log(toChromeTrace(profile));
    this.#profiles = undefined;
  }

  #inputs(feeds: unknown): Record<string, FirebrandTensor | null> {
    if (typeof feeds !== "object" || feeds === null || Array.isArray(feeds) || isTensorLike(feeds)) {
      throw invalid("'feeds' must be an object that use input names as keys and OnnxValue as corresponding values.");
    }
    const given = new Map<string, unknown>(Object.entries(feeds));
    const infos = new Map(this.#session.inputs.map((info) => [info.name, info]));
    for (const [name, info] of infos) {
      if (given.get(name) === undefined && !info.optional) throw new FirebrandError("missing_input", `input '${name}' is missing in 'feeds'. The model takes ${this.inputNames.join(", ")}`);
    }
    const inputs: [string, FirebrandTensor | null][] = [];
    for (const [name, value] of given) {
      if (value === undefined) continue;
      const info = infos.get(name);
      if (!info) throw new FirebrandError("unknown_input", `invalid input '${name}': the model takes ${this.inputNames.join(", ")}`);
      if (info.kind !== undefined) throw notTensor("input", info);
      if (value === null && info.optional) {
        inputs.push([name, null]);
        continue;
      }
      if (!isTensorLike(value)) throw invalid(`input '${name}': expected a Tensor, got ${typeName(value)}; make one with new Tensor(type, data, dims)`);
      const tensor = fromTensor(value, `input '${name}'`, this.#singleNumbers.has(name));
      checkOverrides(info, tensor.shape, this.#freeDimensions);
      inputs.push([name, tensor]);
    }
    return Object.fromEntries(inputs);
  }

  /** Tells fetches and options apart: an object is fetches where it has an output's name with a tensor or null. */
  #wanted(second: unknown, third: unknown): { wanted: Wanted | undefined; options: InferenceSession.RunOptions } {
    if (second === undefined) return { wanted: undefined, options: optionsOf(third) };
    if (second === null) throw invalid("Unexpected argument[1]: cannot be null.");
    if (typeof second !== "object") throw invalid("Unexpected argument[1]: must be 'fetches' or 'options'.");
    if (isTensorLike(second)) throw invalid("'fetches' cannot be a Tensor");
    const wanted: Wanted = new Map();
    if (Array.isArray(second)) {
      if (second.length === 0) throw invalid("'fetches' cannot be an empty array.");
      for (const name of second) {
        if (typeof name !== "string") throw invalid("'fetches' must be a string array or an object.");
        if (!this.outputNames.includes(name)) throw unknownOutput(name, this.outputNames);
        wanted.set(name, null);
      }
      return { wanted, options: optionsOf(third) };
    }
    const entries = Object.entries(second);
    for (const [name, value] of entries) {
      if (this.outputNames.includes(name) && (value === null || value instanceof CpuTensor)) wanted.set(name, value);
    }
    if (wanted.size === 0) return { wanted: undefined, options: optionsOf(second) };
    const unknown = entries.find(([name]) => !this.outputNames.includes(name));
    if (unknown) throw unknownOutput(unknown[0], this.outputNames);
    return { wanted, options: optionsOf(third) };
  }

  #checkTensors(names: readonly string[]): void {
    const other = this.#session.outputs.find(({ name, kind }) => kind !== undefined && names.includes(name));
    if (other) throw notTensor("output", other);
  }
}

/** Makes sessions. */
export const InferenceSession: InferenceSessionFactory = LoadedModel;

function sourceOf(first: unknown, second: unknown, third: unknown, fourth: unknown): { source: string | Uint8Array; options: InferenceSession.SessionOptions | undefined } {
  if (typeof first === "string") {
    if (/\.ort$/i.test(first.split(/[?#]/)[0] ?? "")) throw ortFormat(first);
    return { source: first, options: sessionOptionsOf(second) };
  }
  if (isBytes(first)) return { source: checkFormat(first), options: sessionOptionsOf(second) };
  if (!isBuffer(first)) throw invalid(`Unexpected argument[0]: must be 'path' or 'buffer'. Got ${typeName(first)}`);
  if (typeof second !== "number") return { source: checkFormat(new Uint8Array(first)), options: sessionOptionsOf(second) };
  const size = first.byteLength;
  if (!Number.isSafeInteger(second)) throw invalid("'byteOffset' must be an integer.");
  if (second < 0 || second >= size) throw invalid(`'byteOffset' is out of range [0, ${size}).`);
  if (third === undefined) return { source: checkFormat(new Uint8Array(first, second)), options: sessionOptionsOf(fourth) };
  if (typeof third !== "number") throw invalid("'byteLength' must be a number.");
  if (!Number.isSafeInteger(third)) throw invalid("'byteLength' must be an integer.");
  if (third <= 0 || second + third > size) throw invalid(`'byteLength' is out of range (0, ${size - second}].`);
  return { source: checkFormat(new Uint8Array(first, second, third)), options: sessionOptionsOf(fourth) };
}

/** ONNX Runtime's own format is no ONNX, and says so in its bytes 4 to 7. */
function checkFormat(bytes: Uint8Array): Uint8Array {
  if (String.fromCharCode(...bytes.subarray(4, 8)) === "ORTM") throw ortFormat("the given file");
  return bytes;
}

function ortFormat(name: string): FirebrandError {
  return new FirebrandError("unsupported", `Can't create a session. ${name}: ONNX Runtime's own format (.ort) is not read; give the ONNX model that it was made of`, { file: name });
}

function sessionOptionsOf(given: unknown): InferenceSession.SessionOptions | undefined {
  if (given !== undefined && (typeof given !== "object" || given === null)) throw invalid("'options' must be an object.");
  return given;
}

function optionsOf(given: unknown): InferenceSession.RunOptions {
  if (given === undefined) return {};
  if (typeof given !== "object" || given === null) throw invalid("'options' must be an object.");
  return given;
}

function metadataOf(what: string, info: ValueInfo, freeDimensions: SessionPlan["freeDimensions"]): InferenceSession.ValueMetadata {
  const { name, dtype, kind, shape } = info;
  if (kind !== undefined) return { name, isTensor: false };
  const type = typeOf(dtype, `${what} ${JSON.stringify(name)}`);
  return { name, isTensor: true, type, shape: shape.map((axis) => (axis === "?" ? "" : (freeDimensions[axis] ?? axis))) };
}

function typeOf(dtype: AnyTensor["dtype"], where: string): Tensor.Type {
  if (dtype === "bfloat16" || dtype === "float8e4m3fn" || dtype === "float8e4m3fnuz" || dtype === "float8e5m2" || dtype === "float8e5m2fnuz") {
    throw new FirebrandError("unsupported", `unsupported data type: ${where} is ${dtype}, for which ONNX Runtime's JavaScript has no array; use load() of firebrand, or cast it in the model`);
  }
  return dtype;
}

function checkOverrides({ name, shape }: ValueInfo, lengths: readonly number[], freeDimensions: SessionPlan["freeDimensions"]): void {
  for (const [at, axis] of shape.entries()) {
    const expected = typeof axis === "string" ? freeDimensions[axis] : undefined;
    if (expected !== undefined && lengths[at] !== expected) {
      throw new FirebrandError("shape_mismatch", `Got invalid dimensions for input: ${name}: axis ${at} ("${axis}") is overridden to ${expected}, got [${lengths.join(", ")}]`);
    }
  }
}

/**
 * The inputs that are declared as single numbers. ONNX Runtime does not look at the shapes of these, so programs give
 * `[1]`. A shape that is not declared is as empty; what tells them apart is whether `[1]` is refused, in a run that asks
 * for no output and so computes nothing.
 */
async function singleNumbers(session: Session): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const { name, kind, dtype, shape } of session.inputs) {
    if (kind !== undefined || shape.length > 0) continue;
    const probe = fromTensor(zero(typeOf(dtype, `input ${JSON.stringify(name)}`)), name, false);
    const refused = await session.run({ [name]: probe }, { outputs: [] }).then(() => undefined, (error: unknown) => error);
    if (refused instanceof FirebrandError && refused.kind === "shape_mismatch") found.add(name);
  }
  return found;
}

/** Whether this is a tensor, of this module or of another copy of onnxruntime-common. */
function isTensorLike(value: unknown): value is { readonly type: unknown; readonly data: unknown; readonly dims: unknown } {
  return typeof value === "object" && value !== null && "type" in value && "dims" in value && ("data" in value || "location" in value) && Array.isArray(value.dims);
}

function fromTensor(value: { readonly type: unknown; readonly data: unknown; readonly dims: unknown }, where: string, isSingle: boolean): FirebrandTensor {
  const location = "location" in value ? value.location : "cpu";
  if (location === "none") throw new FirebrandError("disposed", `${where}: The tensor is disposed.`);
  if (location !== "cpu" && location !== "cpu-pinned") {
    throw new FirebrandError("unsupported", `${where}: tensors on ${String(location)} are not supported; give the elements, as new Tensor(type, await tensor.getData(), dims)`);
  }
  // Its fields may have been assigned to since it was made.
  const { type, data, dims: axes } = value instanceof CpuTensor ? value : new CpuTensor(value.type, value.data, value.dims);
  const dims = isSingle && data.length === 1 && axes.every((axis) => axis === 1) ? [] : axes;
  if (isPacked(type)) {
    if (typeof data === "string" || !("buffer" in data)) throw invalid(`${where}: ${type} needs a Uint8Array`);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return new FirebrandTensor(type, unpack(type, bytes, dims.reduce((count, axis) => count * axis, 1)), dims);
  }
  // Which checks that the two belong together.
  return new FirebrandTensor(type, data as never, dims);
}

function toTensor(tensor: AnyTensor, name: string): CpuTensor {
  const { dtype, data, shape } = tensor;
  const type = typeOf(dtype, `output ${JSON.stringify(name)}`);
  if (tensor.dtype === "int4" || tensor.dtype === "uint4") return new CpuTensor(type, pack(tensor.data), shape);
  // A plain array, which the program may change.
  if (tensor.dtype === "string") return new CpuTensor(type, [...tensor.data], [...shape]);
  return new CpuTensor(type, data, [...shape]);
}

function unpack(type: "int4" | "uint4", bytes: Uint8Array, count: number): Int8Array | Uint8Array {
  const numbers = type === "int4" ? new Int8Array(count) : new Uint8Array(count);
  for (let at = 0; at < count; at++) {
    const half = ((bytes[at >> 1] ?? 0) >> ((at & 1) * 4)) & 15;
    numbers[at] = type === "int4" && half > 7 ? half - 16 : half;
  }
  return numbers;
}

function pack(numbers: Int8Array | Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(numbers.length / 2));
  numbers.forEach((number, at) => (bytes[at >> 1]! |= (number & 15) << ((at & 1) * 4)));
  return bytes;
}

/** Puts a result into the tensor that the caller gave for it. */
function writeTo(given: CpuTensor, made: CpuTensor, name: string): CpuTensor {
  const where = `the tensor given for output '${name}'`;
  if (given.type !== made.type) throw new FirebrandError("dtype_mismatch", `${where}: expected ${made.type}, got ${given.type}`);
  if (given.dims.join() !== made.dims.join()) throw new FirebrandError("shape_mismatch", `${where}: expected dims [${made.dims.join(", ")}], got [${given.dims.join(", ")}]`);
  const { data } = made;
  const into = given.data;
  if (Array.isArray(into)) into.splice(0, into.length, ...(data as string[]));
  else into.set(data as never);
  return given;
}

/** What ONNX Runtime's users look for in a message, by kind. */
const familiar: Readonly<Partial<Record<ErrorKind, string>>> = {
  shape_mismatch: "Got invalid dimensions for input",
  dtype_mismatch: "Unexpected input data type",
  not_a_model: "Failed to load model because protobuf parsing failed",
  truncated: "Failed to load model because protobuf parsing failed",
  empty_file: "Failed to load model because protobuf parsing failed",
  missing_external_data: "Failed to load external data file",
  unsupported_operator: "No Op registered, or it is not a registered function/op",
  disposed: "invalid session id",
};

function toldAs(opening: string, error: unknown): unknown {
  if (!(error instanceof FirebrandError)) return error;
  const { kind, message, node, operator, file } = error;
  const known = familiar[kind];
  return new FirebrandError(kind, `${opening} ${known === undefined ? "" : `${known}: `}${message}`, { node, operator, file, cause: error });
}

function notTensor(what: string, { name, kind }: ValueInfo): FirebrandError {
  const advice = what === "output" ? "name the outputs that are tensors in fetches, or use load() of firebrand, which gives it" : "use load() of firebrand, which takes it";
  return new FirebrandError("unsupported", `${what} '${name}' is ${kind === "maps" ? "a sequence of maps" : "a sequence"}: Reading data from non-tensor typed value is not supported; ${advice}`);
}

function unknownOutput(name: string, names: readonly string[]): FirebrandError {
  return new FirebrandError("unknown_output", `'fetches' contains invalid output name: ${name}. The model gives ${names.join(", ")}`);
}

function isBytes(given: unknown): given is Uint8Array {
  return typeName(given) === "Uint8Array";
}

function isBuffer(given: unknown): given is ArrayBufferLike {
  return ["ArrayBuffer", "SharedArrayBuffer"].includes(typeName(given));
}

function invalid(message: string): FirebrandError {
  return new FirebrandError("invalid_argument", message);
}
