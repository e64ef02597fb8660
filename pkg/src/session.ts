/// <reference lib="esnext.disposable" preserve="true" />
import { oneVersion } from "./deployment.js";
import { FirebrandError, abortedError, describe, type ErrorKind } from "./error.js";
import { Link, openInPlace, openWorker, type OpenPort } from "./link.js";
import type { Manifest } from "./manifest.js";
import type { Run, Watch, moveToGpu as MoveToGpu } from "./move.js";
import { partOf } from "./parts.js";
import { prefersWorker } from "./platform.js";
import type { Profile } from "./profile.js";
import { progressOf, tell, type ReportBytes } from "./progress.js";
import { buffersOf, type Candidate, type Device, type GraphOptimizationLevel, type ModelReport, type Progress, type Request, type SessionInfo, type Source, type ValueInfo, type WireTensor, type WireValue } from "./protocol.js";
import { toSource, type DataSource, type ModelSource } from "./source.js";
import { Tensor, checkTensor, copyElements, elementCount, tensorFromElements, typeName, zeros, type AnyTensor } from "./tensor.js";
import { runtimeVersion } from "./version.js";

/** How {@link inspect} reads a model. */
export interface InspectOptions {
  /**
   * Whether to work in a worker, so that the page stays live. Default: `true` in browsers, `false`
   * in Node, where `true` takes a worker thread.
   */
  worker?: boolean;
  /** Ends the call when it aborts; the call rejects with a {@link FirebrandError} of kind `aborted`. */
  signal?: AbortSignal;
  /** Told how far loading is, at most every 50 ms for each file. */
  onProgress?: (progress: Progress) => void;
}

/** How {@link load} makes a session. */
export interface LoadOptions extends InspectOptions {
  /**
   * `"auto"` answers on the CPU at once, readies WebGPU beside it where the machine has a GPU, and moves there between two
   * runs when the GPU gives the CPU's answers in less time; where the GPU fails, the CPU goes on.
   * `"webgpu"` and `"cpu"` take just that. Default: `"auto"`.
   */
  device?: "auto" | Device;
  /**
   * Told of `session.info` whenever the device, or the reason for it, has changed since loading. Never in the middle of a run.
   */
  onDeviceChange?: (info: SessionInfo) => void;
  /**
   * What is done to the graph at load, on the CPU: `"all"` fuses nodes, packs weights and computes quantised regions
   * in integers; `"disabled"` runs nodes as they are written, which is slower and tells whether a wrong answer comes
   * of the model or of that. Default: `"all"`.
   */
  graphOptimizationLevel?: GraphOptimizationLevel;
  /**
   * How many threads share the work of a node on the CPU at most; ONNX Runtime calls it `intraOpNumThreads`. They need
   * a page that is cross-origin isolated, and are not used elsewhere; `session.info.threads` tells how many there
   * are, and `session.info.threadsReason` why. Results do not depend on it. Default: `"auto"`, half of the cores, from 2 to 4.
   */
  threads?: number | "auto";
  /**
   * The files that hold weights beside the model, by the names that the model has for them. Those
   * not given are fetched from beside the model, where it came from a URL or path. The same goes for a package's files.
   */
  externalData?: Record<string, DataSource>;
  /**
   * Of a package: whether its files are kept between visits, where the browser lets a page do so. They are kept by
   * their hash and verified again when read; a new version fetches only what changed. Default: `"auto"`.
   */
  cache?: "auto" | "none";
  /**
   * Of a package: whether the device must compute a golden sample right before it is trusted. `"auto"` goes to the CPU
   * where the GPU does not; else `load` rejects with kind `self_test_failed`. Default: `true`.
   */
  selfTest?: boolean;
}

/** How one run is made. */
export interface RunOptions {
  /** The outputs to compute and return, by name. Default: all. */
  outputs?: readonly string[];
  /** Ends the run when it aborts; the run rejects with a {@link FirebrandError} of kind `aborted`. */
  signal?: AbortSignal;
  /** Without a profile, a run gives the outputs alone. */
  profile?: false;
}

/** How one run is made that tells what each node took. */
export interface ProfiledRunOptions extends Omit<RunOptions, "profile"> {
  profile: true;
}

/** How a session is warmed up. */
export interface WarmupOptions {
  /**
   * Whether to wait until it is decided which device the session stays on: under `device: "auto"` until a GPU that is being
   * made ready has been compared with the CPU. Default: `false`.
   */
  awaitDevice?: boolean;
  /** Ends the call when it aborts; the call rejects with a {@link FirebrandError} of kind `aborted`. */
  signal?: AbortSignal;
}

/** What a profiled run gives. */
export interface ProfiledRun<Outputs> {
  outputs: Outputs;
  profile: Profile;
}

/**
 * What an input takes: a tensor; for a sequence an array of tensors of one dtype; for an optional
 * that is absent `null`. {@link Session.inputs} tells which.
 */
export type InputValue = Tensor | readonly Tensor[] | null;

/**
 * What an output gives: a tensor; for a sequence an array of tensors; for an optional that is absent
 * `null`; for maps an array of `Map`s from bigints or strings to numbers. {@link Session.outputs}
 * tells which.
 */
export type OutputValue = AnyTensor | AnyTensor[] | null | Map<bigint, number>[] | Map<string, number>[];

type RunRequest = Extract<Request, { type: "run" }>;

interface Plan {
  source: Source;
  externalData: Record<string, Source>;
  device: "auto" | Device;
  threads: number | "auto";
  graphOptimizationLevel: GraphOptimizationLevel | undefined;
  cache: "auto" | "none";
  selfTest: boolean;
  open: OpenPort;
  onDeviceChange: LoadOptions["onDeviceChange"];
}

interface Loaded {
  link: Link;
  inputs: readonly ValueInfo[];
  outputs: readonly ValueInfo[];
  info: SessionInfo;
  manifest: Manifest | undefined;
  candidate: Candidate | undefined;
}

const devices: readonly string[] = ["auto", "webgpu", "cpu"];
const levels: readonly string[] = ["disabled", "all"];

/**
 * Loads a model and makes it ready to run.
 *
 * ```js
 * const session = await load("/models/squeezenet.onnx", { device: "auto" });
 * const packaged = await load("/models/squeezenet/manifest.json");
 * ```
 *
 * @param source an ONNX model, or a package's manifest: its URL (relative to the page; in Node also a path), a
 *   `Response`, or its bytes, which are copied and stay usable
 * @throws {@link FirebrandError}; its `kind` tells what went wrong
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Session> {
  return Session.open(source, options);
}

/**
 * Tells what a model takes, gives and needs, without running it. Also works for models with
 * operators that this version does not have.
 *
 * @param source as for {@link load}
 * @throws {@link FirebrandError}; its `kind` tells what went wrong
 */
export async function inspect(source: ModelSource, options: InspectOptions = {}): Promise<ModelReport> {
  checkOptions(options);
  const { signal, onProgress } = options;
  const from = await toSource(source, { signal, onProgress: modelProgress(onProgress) });
  const link = new Link(portFor(options));
  try {
    return (await link.exchange({ type: "inspect", source: from }, [], { signal, onProgress })).report;
  } finally {
    link.close();
  }
}

/** A loaded model. Made by {@link load}. */
export class Session {
  readonly #plan: Plan;
  #loaded: Loaded;
  #turn: Promise<unknown> = Promise.resolve();
  /** Where an `"auto"` session starts afresh, and why there. */
  #home: { device: Device; reason: string } | undefined;
  /** A move to the GPU that is under way. */
  #move: Promise<void> | undefined;
  /** Told of what the CPU answers while a move is under way. */
  #watch: Watch | undefined;
  #losses = 0;
  /** When a GPU that was lost is tried again. */
  #retryAt: number | undefined;
  #isDisposed = false;
  readonly #disposal = new AbortController();

  private constructor(plan: Plan, loaded: Loaded) {
    this.#plan = plan;
    this.#loaded = loaded;
  }

  /** @internal */
  static async open(given: ModelSource, options: LoadOptions): Promise<Session> {
    checkOptions(options);
    const { signal, onProgress } = options;
    if (signal?.aborted) throw abortedError(signal);
    const source = await toSource(given, { signal, onProgress: modelProgress(onProgress) });
    const externalData: Record<string, Source> = {};
    for (const [name, data] of Object.entries(options.externalData ?? {})) externalData[name] = await toSource(data);
    const { device = "auto", threads = "auto", graphOptimizationLevel, cache = "auto", selfTest = true } = options;
    const plan: Plan = { source, externalData, device, threads, graphOptimizationLevel, cache, selfTest, open: portFor(options), onDeviceChange: options.onDeviceChange };
    const session = new Session(plan, await start(plan, { signal, onProgress }));
    session.#beginMove();
    return session;
  }

  /** What the model takes. */
  get inputs(): readonly ValueInfo[] {
    return this.#loaded.inputs;
  }

  /** What the model gives. */
  get outputs(): readonly ValueInfo[] {
    return this.#loaded.outputs;
  }

  /** What the session runs on, why, and how long things took. It changes where the session moves to the GPU, or has to start afresh. */
  get info(): SessionInfo {
    return this.#loaded.info;
  }

  /** What the package says of itself; none for a bare model. */
  get manifest(): Manifest | undefined {
    return this.#loaded.manifest;
  }

  /**
   * Runs the model once.
   *
   * Inputs are copied when the call is made: the arrays stay the caller's and may be changed at
   * once. Calls made without waiting for each other are answered one after the other, in order.
   *
   * The type argument tells TypeScript what the outputs are, where not all of them are tensors:
   *
   * ```ts
   * const { parts } = await session.run<{ parts: AnyTensor[] }>({ whole });
   * ```
   *
   * @param inputs a value for each of {@link Session.inputs}, by name: a tensor, an array of them for
   *   a sequence, `null` for an optional that is absent
   * @returns a value for each output, by name: a tensor, or what {@link OutputValue} says of the
   *   other kinds
   * @throws {@link FirebrandError}: `unknown_input` (the message names the nearest right one),
   *   `missing_input`, `unknown_output`, `dtype_mismatch`, `shape_mismatch`,
   *   `data_length_mismatch`, `invalid_argument`, `aborted`, `disposed`, `out_of_memory`, `limit_exceeded`,
   *   `device_lost`, `internal`. The session answers the next call after any of them but `disposed`. Under
   *   `device: "auto"` what a GPU fails at is answered by the CPU.
   */
  async run<Outputs extends Record<string, OutputValue> = Record<string, AnyTensor>>(inputs: Record<string, InputValue>, options?: RunOptions): Promise<Outputs>;
  /**
   * Runs the model once, and tells what each node took:
   *
   * ```js
   * const { outputs, profile } = await session.run({ data }, { profile: true });
   * ```
   */
  async run<Outputs extends Record<string, OutputValue> = Record<string, AnyTensor>>(inputs: Record<string, InputValue>, options: ProfiledRunOptions): Promise<ProfiledRun<Outputs>>;
  async run(inputs: Record<string, InputValue>, options: RunOptions | ProfiledRunOptions = {}): Promise<Record<string, OutputValue> | ProfiledRun<Record<string, OutputValue>>> {
    this.#checkUsable();
    const wire = toWire(inputs, this.inputs);
    const { signal } = options;
    if (signal?.aborted) throw abortedError(signal);
    const outputs = outputNames(options.outputs);
    const request = { type: "run" as const, inputs: wire, ...(outputs && { outputs }), profile: options.profile === true };
    const { profile, ...ran } = await this.#takeTurn(signal, (either) => this.#perform(request, either));
    return profile ? { ...ran, profile } : ran.outputs;
  }

  /**
   * Runs the model once and drops the result, so that the first real run does not pay for compiling
   * kernels and filling caches.
   *
   * Under `device: "auto"` it is the run that a GPU is compared with; `{ awaitDevice: true }` waits for what comes of that.
   *
   * @param inputs values of the shapes that will be used. Default: zeros, with 1 for each axis that
   *   may vary; sequences have one tensor, and optionals are there.
   * @throws what {@link Session.run} throws
   */
  async warmup(inputs?: Record<string, InputValue>, { awaitDevice = false, signal }: WarmupOptions = {}): Promise<void> {
    await this.run(inputs ?? Object.fromEntries(this.inputs.map((input) => [input.name, blank(input)])), signal && { signal });
    if (!awaitDevice || !this.#move) return;
    const move = this.#move;
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(abortedError(signal!));
      if (signal?.aborted) return onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });
      void move.then(() => {
        signal?.removeEventListener("abort", onAbort);
        if (this.#isDisposed) reject(disposedError());
        else resolve();
      });
    });
  }

  /**
   * Frees the model and ends its worker. Calls that were not answered yet reject with kind
   * `disposed`, as do later ones; disposing again does nothing.
   */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#disposal.abort();
    this.#loaded.link.close();
  }

  /** The same as {@link Session.dispose}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** Runs `work` when all earlier calls are answered; gives up at once where the signal says so. */
  #takeTurn<T>(signal: AbortSignal | undefined, work: (either: AbortSignal) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const ending = new AbortController();
      const onAbort = () => {
        reject(abortedError(signal!));
        ending.abort(signal!.reason);
      };
      const onDispose = () => {
        reject(disposedError());
        ending.abort();
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#disposal.signal.addEventListener("abort", onDispose, { once: true });
      const turn = this.#turn.then(async () => {
        if (!ending.signal.aborted) resolve(await work(ending.signal));
      });
      this.#turn = turn.catch(reject).finally(() => {
        signal?.removeEventListener("abort", onAbort);
        this.#disposal.signal.removeEventListener("abort", onDispose);
      });
    });
  }

  async #perform(request: RunRequest, signal: AbortSignal): Promise<{ outputs: Record<string, OutputValue>; profile?: Profile }> {
    const { link } = await this.#open(signal);
    this.#retryGpu();
    // Where the GPU may be given up, the inputs are needed again, as they are for a comparison with it.
    const mayRepeat = this.#plan.device === "auto" && this.info.device === "webgpu";
    const isWatched = this.#watch !== undefined && !request.profile;
    const buffers = mayRepeat || isWatched ? [] : buffersOf(request.inputs);
    try {
      const { outputs: results, profile, lastRunMs, memoryBytes, peakBytes } = await link.exchange(request, buffers, { signal });
      this.#loaded.info = Object.freeze({ ...this.info, lastRunMs, memoryBytes, lastRunPeakBytes: peakBytes });
      if (isWatched) this.#watch?.(request, results, lastRunMs);
      return { outputs: Object.fromEntries(results.map((value) => [value.name, fromWire(value)])), ...(profile && { profile }) };
    } catch (error) {
      if (!mayRepeat || !(error instanceof FirebrandError) || !gpuFailures.includes(error.kind)) throw error;
      link.close();
      this.#leaveGpu(error);
      return this.#perform(request, signal);
    }
  }

  /** The host with the model, started afresh where it was ended. */
  async #open(signal: AbortSignal): Promise<Loaded> {
    if (this.#loaded.link.isOpen) return this.#loaded;
    const before = this.info;
    const loaded = await this.#restart(signal);
    // What is known by now of the GPU may be news since the start was asked for.
    this.#loaded = this.#home?.device === "cpu" ? withReason(loaded, this.#home.reason) : loaded;
    if (this.#isDisposed) this.#loaded.link.close();
    else this.#beginMove();
    if (this.info.device !== before.device) this.#tellDevice();
    return this.#loaded;
  }

  async #restart(signal: AbortSignal): Promise<Loaded> {
    const home = this.#home;
    if (home?.device !== "webgpu") return start(this.#plan, { signal }, home?.reason ?? (this.#move && this.info.deviceReason));
    try {
      return withReason(await start({ ...this.#plan, device: "webgpu" }, { signal }), home.reason);
    } catch (error) {
      if (!(error instanceof FirebrandError) || ![...gpuFailures, "device_unavailable", "self_test_failed"].includes(error.kind)) throw error;
      return start(this.#plan, { signal }, this.#leaveGpu(error));
    }
  }

  /** Has the session start on the CPU from now on; gives the reason. A GPU that was lost may come back. */
  #leaveGpu({ kind, message }: FirebrandError): string {
    let reason = `the GPU failed (${message})`;
    if (kind === "device_lost" && this.#losses < mostLosses) {
      const wait = firstRetryMs * 2 ** this.#losses++;
      this.#retryAt = performance.now() + wait;
      reason += `; the first run after ${wait / 1000} s tries it again`;
    }
    this.#home = { device: "cpu", reason };
    return reason;
  }

  /** Once for each loss, when some time has gone by. */
  #retryGpu(): void {
    if (this.#retryAt === undefined || this.#move || performance.now() < this.#retryAt) return;
    this.#retryAt = undefined;
    const { source, externalData } = this.#plan;
    this.#loaded = { ...this.#loaded, candidate: { gpu: "the GPU that was lost", source, externalData } };
    this.#beginMove();
    this.#stay("the GPU that was lost is being made ready again, and the CPU answers until then");
  }

  /** Where there is a GPU to move to: readies it in a host of its own while the CPU answers, and moves if that is right and quicker. */
  #beginMove(): void {
    const { candidate } = this.#loaded;
    if (!candidate || this.#move) return;
    // The model's files are not held for longer than they are needed.
    this.#loaded = { ...this.#loaded, candidate: undefined };
    this.#move = this.#moveTo(candidate)
      .then(
        (reason) => {
          if (reason !== undefined && !this.#isDisposed) this.#stay(reason);
        },
        (error: unknown) => {
          if (this.#isDisposed) return;
          const isLost = error instanceof FirebrandError && error.kind === "device_lost";
          this.#stay(isLost ? this.#leaveGpu(error) : `WebGPU could not be used (${describe(error)})`);
        },
      )
      .finally(() => (this.#move = this.#watch = undefined));
  }

  /** Gives why the session stays on the CPU; nothing where it has moved. */
  async #moveTo({ gpu: name, source, externalData }: Candidate): Promise<string | undefined> {
    let early: Parameters<Watch> | undefined;
    this.#watch = (run, results, ms) => (early = [run, structuredClone(results), ms]);
    const moveToGpu = partOf<typeof MoveToGpu>("move") ?? (await import("./move.js")).moveToGpu;
    const { signal } = this.#disposal;
    const repeatOn = ({ link }: Loaded, either: AbortSignal) => ({ inputs, outputs }: Run) => link.exchange({ type: "run", inputs, ...(outputs && { outputs }), profile: false }, [], { signal: either });
    return moveToGpu({
      name,
      signal,
      start: async () => {
        const loaded = await start({ ...this.#plan, source, externalData, device: "webgpu" }, { signal });
        const { link, info } = loaded;
        return { loaded, nodesOnGpu: info.nodes.webgpu, isOpen: () => link.isOpen, repeat: repeatOn(loaded, signal), close: (error) => link.close(error) };
      },
      watch: (seen) => {
        this.#watch = seen;
        if (early) seen(...early);
      },
      inTurn: (work) => this.#takeTurn(undefined, async (either) => work(repeatOn(await this.#open(either), either))),
      adopt: ({ loaded }, reason) => {
        const { link, inputs, outputs, manifest } = this.#loaded;
        this.#home = { device: "webgpu", reason };
        this.#loaded = { ...withReason(loaded, reason), inputs, outputs, manifest };
        link.close();
        this.#tellDevice();
      },
    });
  }

  /** Stays on the CPU, for this reason. */
  #stay(reason: string): void {
    this.#home = { device: "cpu", reason };
    this.#loaded = withReason(this.#loaded, reason);
    this.#tellDevice();
  }

  #tellDevice(): void {
    tell(this.#plan.onDeviceChange, this.info);
  }

  #checkUsable(): void {
    if (this.#isDisposed) throw disposedError();
  }
}

/** After these, a session that may choose its device answers on the CPU. */
const gpuFailures: readonly ErrorKind[] = ["device_lost", "internal", "out_of_memory", "limit_exceeded"];

/** The time before a GPU that was lost is tried again, in milliseconds; after each further loss it is twice as long. */
const firstRetryMs = 10_000;

/** A GPU that is lost more often is not tried again. */
const mostLosses = 4;

async function start({ open, onDeviceChange: _, graphOptimizationLevel, ...asked }: Plan, options: { signal?: AbortSignal | undefined; onProgress?: LoadOptions["onProgress"] | undefined }, avoidGpu?: string): Promise<Loaded> {
  const link = new Link(open);
  try {
    const request = { type: "load" as const, ...asked, ...(graphOptimizationLevel && { graphOptimizationLevel }), ...(avoidGpu !== undefined && { avoidGpu }) };
    const { inputs, outputs, info, manifest, candidate } = await link.exchange(request, [], options);
    if (info.runtimeVersion !== runtimeVersion) {
      throw new FirebrandError("version_mismatch", `the page has Firebrand ${runtimeVersion}, its worker ${info.runtimeVersion}; ${oneVersion}`);
    }
    return { link, inputs: Object.freeze(inputs), outputs: Object.freeze(outputs), info: Object.freeze(info), manifest, candidate };
  } catch (error) {
    link.close();
    throw error;
  }
}

function withReason(loaded: Loaded, deviceReason: string): Loaded {
  return { ...loaded, info: Object.freeze({ ...loaded.info, deviceReason }) };
}

function portFor({ worker }: InspectOptions): OpenPort {
  return (worker ?? prefersWorker()) ? openWorker : openInPlace;
}

function modelProgress(onProgress: LoadOptions["onProgress"]): ReportBytes {
  return progressOf("model", undefined, (progress) => tell(onProgress, progress));
}

function toWire(inputs: Record<string, InputValue>, infos: readonly ValueInfo[]): WireValue[] {
  if (typeof inputs !== "object" || inputs === null || Array.isArray(inputs)) {
    throw new FirebrandError("invalid_argument", `inputs are an object of tensors by input name, such as { pixels: tensor }; got ${inputs === null ? "null" : Array.isArray(inputs) ? "an array" : typeof inputs}`);
  }
  return Object.entries(inputs).map(([name, value]) => {
    const where = `input ${JSON.stringify(name)}`;
    const info = infos.find((known) => known.name === name);
    if (isTensor(value)) return { name, ...wireTensor(value, where) };
    // A name that the model does not have is for the runtime to tell.
    if (value === null && (!info || info.optional)) return { name, absent: true };
    if (!Array.isArray(value) || (info && info.kind !== "sequence" && !value.every(isTensor))) {
      throw new FirebrandError("invalid_argument", `${where}: expected ${expectedOf(info)}, got ${typeName(value)}; make tensors with new Tensor(dtype, data, shape)`);
    }
    const sequence = value.map((element: unknown, at) => {
      const place = `${where}, element ${at}`;
      if (!isTensor(element)) throw new FirebrandError("invalid_argument", `${place}: expected a Tensor, got ${typeName(element)}; make one with new Tensor(dtype, data, shape)`);
      const tensor = wireTensor(element, place);
      const { dtype } = value[0] as Tensor;
      if (tensor.dtype !== dtype) throw new FirebrandError("dtype_mismatch", `${place}: expected ${dtype}, as element 0 is, got ${tensor.dtype}; a sequence has one dtype`);
      return tensor;
    });
    return { name, sequence };
  });
}

/** Whether this is a tensor, or an object that is as good as one. */
function isTensor(value: unknown): value is Tensor {
  return typeof value === "object" && value !== null && "dtype" in value && "data" in value && "shape" in value;
}

function wireTensor(tensor: Tensor, where: string): WireTensor {
  // Its array may have been given away since the tensor was made.
  checkTensor(tensor.dtype, tensor.data, tensor.shape, where);
  return { dtype: tensor.dtype, shape: [...tensor.shape], data: copyElements(tensor) };
}

/** What an input takes, in words. */
function expectedOf(info: ValueInfo | undefined): string {
  // A shape that is not declared is as empty as that of a single number.
  const one = info ? `${info.dtype}${info.shape.length > 0 ? ` [${info.shape.join(", ")}]` : ""}` : "";
  const what = !info ? "a Tensor" : info.kind === "sequence" ? `an array of Tensors (${one})` : `a Tensor (${one})`;
  return info?.optional ? `${what} or null` : what;
}

function fromWire(value: WireValue): OutputValue {
  const tensor = ({ dtype, shape, data }: WireTensor) => tensorFromElements(dtype, shape, data);
  if ("sequence" in value) return value.sequence.map(tensor);
  if ("absent" in value) return null;
  if (!("maps" in value)) return tensor(value);
  const keys = [...(tensor(value.maps.keys).data as Iterable<bigint | string>)];
  const { data, shape } = tensor(value.maps.values);
  const numbers = data as ArrayLike<number | bigint>;
  const map = (_: unknown, row: number) => new Map(keys.map((key, at) => [key, Number(numbers[row * keys.length + at])]));
  return Array.from({ length: shape[0] ?? 0 }, map) as OutputValue;
}

function outputNames(names: readonly string[] | undefined): string[] | undefined {
  if (names === undefined) return undefined;
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) {
    throw new FirebrandError("invalid_argument", 'outputs: expected an array of names, such as ["probs"]');
  }
  return [...names];
}

function blank({ kind, dtype, shape }: ValueInfo): InputValue {
  const lengths = shape.map((axis) => (typeof axis === "number" ? axis : 1));
  const tensor = new Tensor(dtype, zeros(dtype, elementCount(lengths)), lengths);
  return kind === "sequence" ? [tensor] : tensor;
}

function checkOptions(options: LoadOptions): void {
  if (typeof options !== "object" || options === null) throw new FirebrandError("invalid_argument", "options are an object");
  const { device, onDeviceChange, graphOptimizationLevel, threads, externalData, cache, selfTest } = options;
  if (device !== undefined && !devices.includes(device)) {
    throw new FirebrandError("invalid_argument", `device: expected "auto", "webgpu" or "cpu", got ${JSON.stringify(device)}`);
  }
  if (onDeviceChange !== undefined && typeof onDeviceChange !== "function") {
    throw new FirebrandError("invalid_argument", `onDeviceChange: expected a function, got ${typeof onDeviceChange}`);
  }
  if (graphOptimizationLevel !== undefined && !levels.includes(graphOptimizationLevel)) {
    throw new FirebrandError("invalid_argument", `graphOptimizationLevel: expected "disabled" or "all", got ${JSON.stringify(graphOptimizationLevel)}`);
  }
  if (threads !== undefined && threads !== "auto" && !(Number.isSafeInteger(threads) && threads >= 1)) {
    throw new FirebrandError("invalid_argument", `threads: expected "auto" or a whole number of 1 or more, got ${JSON.stringify(threads)}`);
  }
  if (cache !== undefined && cache !== "auto" && cache !== "none") {
    throw new FirebrandError("invalid_argument", `cache: expected "auto" or "none", got ${JSON.stringify(cache)}`);
  }
  if (selfTest !== undefined && typeof selfTest !== "boolean") {
    throw new FirebrandError("invalid_argument", `selfTest: expected true or false, got ${JSON.stringify(selfTest)}`);
  }
  if (externalData !== undefined && (typeof externalData !== "object" || externalData === null)) {
    throw new FirebrandError("invalid_argument", "externalData: expected an object of files by name");
  }
}

function disposedError(): FirebrandError {
  return new FirebrandError("disposed", "the session was disposed of; load the model again");
}
