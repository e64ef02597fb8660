//! The side that holds the model: it opens the runtime, reads the files, and runs. It lives in a
//! worker, or in place; either way it sees messages only.
import { chooseDevice, surroundings, whyTooLarge, without, type Choice } from "./device.js";
import { FirebrandError, abortedError, describe } from "./error.js";
import type { OpenedPackage } from "./package.js";
import { progressOf, type ReportBytes } from "./progress.js";
import { buffersOf, tensorsOf, toFailure, type Candidate, type Device, type Progress, type Reply, type Request, type SessionInfo, type Source } from "./protocol.js";
import { abandonRuntime, buildWithAll, chooseBuild, importPackages, openRuntime, type Build, type Glue, type Runtime, type WasmSession } from "./runtime.js";
import { besideModel, checkModelBytes, fileNameOf, looksLikeHtml, mimeOf, nameOf, read, readExternal } from "./source.js";
import { chooseThreads, startHelpers, threadSurroundings, type ThreadChoice } from "./threads.js";
import { largestTensor } from "./weights.js";

type Send = (reply: Reply, transfer?: Transferable[]) => void;
type LoadRequest = Extract<Request, { type: "load" }>;
type RunRequest = Extract<Request, { type: "run" }>;

/** Over HTTP/1.1 a browser allows six connections; a model in many files must not take them all. */
const filesAtOnce = 4;

/** Files of more bytes are not kept for a move to the GPU: while that is made ready, the model is in memory twice. */
const mostToMove = 2 ** 28;

export class Host {
  readonly #send: Send;
  readonly #isOwnWorker: boolean;
  readonly #closing = new AbortController();
  #runtime: { build: Build; glue: Glue } | undefined;
  #session: WasmSession | undefined;
  #busy: Promise<void> = Promise.resolve();
  #trapped: ((error: unknown) => void) | undefined;

  constructor(send: Send, { isOwnWorker = false } = {}) {
    this.#send = send;
    this.#isOwnWorker = isOwnWorker;
  }

  /** Answers a request: progress, then one reply. */
  receive(request: Request): void {
    this.#busy = this.#answer(request);
  }

  /**
   * Takes in an error that no promise carried: a trap inside an asynchronous WebAssembly call leaves
   * its promise pending for good.
   */
  trap(error: unknown): void {
    if (this.#trapped) return this.#trapped(error);
    this.#abandon();
    this.#send({ type: "failed", failure: { ...toFailure(error), fatal: true } });
  }

  /** Stops fetching, and frees the model as soon as nothing uses it. */
  close(): void {
    this.#closing.abort();
    void this.#busy.then(() => this.#free());
  }

  async #answer(request: Request): Promise<void> {
    const trapped = new Promise<never>((_, reject) => (this.#trapped = reject));
    trapped.catch(() => {});
    try {
      await Promise.race([this.#perform(request), trapped]);
    } catch (error) {
      const failure = toFailure(error);
      if (failure.fatal) this.#abandon();
      this.#send({ type: "failed", failure });
    } finally {
      this.#trapped = undefined;
    }
  }

  #perform(request: Request): Promise<void> {
    switch (request.type) {
      case "load":
        return this.#load(request);
      case "run":
        return this.#run(request);
      case "inspect":
        return this.#inspect(request);
    }
  }

  async #load(request: LoadRequest): Promise<void> {
    const choosing = chooseDevice(request.device, surroundings(), request.avoidGpu);
    // The CPU need not wait for what the browser says of its GPU.
    const device = request.device === "webgpu" ? (await choosing).device : "cpu";
    const files = (await isManifest(request.source)) ? this.#readPackage(request) : this.#readFiles(request);
    const threads = chooseThreads(request.threads, threadSurroundings(this.#isOwnWorker));
    await this.#prepare(request, device, choosing, threads, files);
  }

  async #prepare(request: LoadRequest, device: Device, choosing: Promise<Choice>, wanted: ThreadChoice, files: Files, build = chooseBuild(device, wanted.threads)): Promise<void> {
    const began = performance.now();
    const opening = this.#start(build, wanted).then((started) => ({ ...started, runtimeMs: performance.now() - began }));
    const [{ glue, threads, runtimeMs }, model] = await Promise.all([opening, files.model]);
    const external = await files.external(glue.externalFiles(model));
    const modelMs = files.elapsed();
    let choice = await choosing;
    const tooLarge = choice.gpu && whyTooLarge(choice.gpu, largestTensor(model, glue.inspect(model)));
    if (tooLarge) choice = without(request.device, tooLarge, "use a GPU that allows more");

    const prepare = this.#progress("prepare");
    prepare(0, 1);
    const preparing = performance.now();
    let session: WasmSession;
    try {
      const { graphOptimizationLevel } = request;
      const options = { device, intraOpNumThreads: wanted.threads, ...(graphOptimizationLevel && { graphOptimizationLevel }) };
      session = await glue.WasmSession.load(model, external, options);
    } catch (error) {
      // The small build lacks operators that few models have; one that has all of them answers next.
      const other = toFailure(error).kind === "unsupported_operator" ? buildWithAll(build) : undefined;
      if (!other || !glue.inspect(model).operators.every(({ supported }) => supported)) throw error;
      const one = { threads: 1, reason: "the build with all operators, which this model needs, has one" };
      return this.#prepare(request, device, choosing, one, files, other);
    }
    let selfTest: SessionInfo["selfTest"];
    const opened = await files.opened;
    try {
      const test = opened?.selfTest;
      if (test) {
        const maxDifference = await test(device, async (inputs, outputs) => (await session.run(inputs, outputs, false)).outputs);
        selfTest = { passed: true, device, maxDifference };
      }
      if (this.#closing.signal.aborted) throw abortedError(this.#closing.signal);
    } catch (error) {
      session.free();
      throw error;
    }
    this.#session = session;
    const manifest = await opened?.manifest;
    const prepareMs = performance.now() - preparing;
    const { threads: count, reason } = await threads;
    let candidate: Candidate | undefined;
    if (device === "cpu" && choice.gpu) {
      const kept = await files.keep(mostToMove);
      if (kept) candidate = { gpu: `WebGPU${choice.gpu.name && ` (${choice.gpu.name})`}`, ...kept };
      else choice = { device, reason: `the model's files have more than ${mostToMove} bytes, too many for a move to the GPU; device "webgpu" starts there` };
    }
    prepare(1, 1);
    const info: SessionInfo = {
      ...session.info(),
      threads: count,
      threadsReason: reason,
      deviceReason: choice.reason,
      ...(selfTest && { selfTest }),
      timings: { runtimeMs, modelMs, prepareMs },
    };
    this.#send({ type: "loaded", inputs: session.inputs(), outputs: session.outputs(), info, ...(manifest && { manifest }), ...(candidate && { candidate }) });
  }

  /** Opens a build and starts its other threads; where that cannot be done, one thread does. */
  async #start(build: Build, wanted: ThreadChoice): Promise<{ glue: Glue; threads: Promise<ThreadChoice> }> {
    const one = (reason: string) => Promise.resolve({ threads: 1, reason });
    if (build !== "cpu-threads") {
      const { glue } = await this.#openBuild(build);
      const lacking = build === "webgpu" ? "the build with WebGPU has one" : "the build with threads needs relaxed SIMD, which is not here";
      return { glue, threads: one(wanted.threads > 1 ? lacking : wanted.reason) };
    }
    let runtime: Runtime;
    try {
      runtime = await this.#openBuild(build);
    } catch (error) {
      if (this.#closing.signal.aborted) throw error;
      // A device may not give shared memory, for one.
      const { glue } = await this.#openBuild(chooseBuild("cpu"));
      return { glue, threads: one(`the build with threads could not be started (${describe(messageOf(error))})`) };
    }
    const { glue, url, module, memory } = runtime;
    const threads = startHelpers(wanted.threads - 1, { glue: url, module, memory }).then(({ ready, problem }) => ({
      threads: 1 + ready,
      reason: problem === undefined ? wanted.reason : `not all could be started (${problem})`,
    }));
    return { glue, threads };
  }

  async #openBuild(build: Build): Promise<Runtime> {
    const progress = this.#progress("runtime");
    const runtime = await openRuntime(build, { signal: this.#closing.signal, onProgress: (loaded, total) => progress(loaded, total) });
    this.#runtime = { build, glue: runtime.glue };
    return runtime;
  }

  async #run({ inputs, outputs, profile }: RunRequest): Promise<void> {
    const session = this.#session;
    if (!session) throw new FirebrandError("internal", "a run came before its model was loaded");
    const began = performance.now();
    const ran = await session.run(inputs, outputs, profile);
    for (const tensor of ran.outputs.flatMap(tensorsOf)) tensor.data = ownElements(tensor.data);
    const lastRunMs = performance.now() - began;
    this.#send({ type: "ran", ...ran, lastRunMs }, buffersOf(ran.outputs));
  }

  async #inspect({ source }: Extract<Request, { type: "inspect" }>): Promise<void> {
    const graph = async () => ((await isManifest(source)) ? (await this.#openPackage({ source, externalData: {}, cache: "none", selfTest: false }, true)).model : this.#readModel(source));
    const [{ glue }, model] = await Promise.all([this.#openBuild(chooseBuild("cpu")), graph()]);
    this.#send({ type: "inspected", report: glue.inspect(model) });
  }

  async #readModel(source: LoadRequest["source"]): Promise<Uint8Array> {
    const progress = this.#progress("model", fileNameOf(source));
    const reported = source.from === "blob" && source.read;
    const bytes = await read(source, { signal: this.#closing.signal, onProgress: reported ? undefined : progress });
    checkModelBytes(bytes, source);
    return bytes;
  }

  #readFiles({ source, externalData }: LoadRequest): Files {
    const began = performance.now();
    let ended = began;
    const model = this.#readModel(source).finally(() => (ended = performance.now()));
    model.catch(() => {});
    let known: Promise<Record<string, Uint8Array>> | undefined;
    const givenOr = (file: string) => externalData[file] ?? externalData[file.replace(/^\.\//, "")] ?? besideModel(file, source);
    const readAll = async (names: string[]) => {
      const waiting = [...new Set(names)];
      const found: Record<string, Uint8Array> = {};
      const next = async () => {
        for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
          const options = { signal: this.#closing.signal, onProgress: this.#progress("model", file) };
          found[file] = await readExternal(file, givenOr(file), options);
        }
      };
      await Promise.all(Array.from({ length: filesAtOnce }, next));
      ended = performance.now();
      return found;
    };
    const keep = async (most: number) => {
      const [bytes, others] = [await model, (await known) ?? {}];
      if (Object.values(others).reduce((sum, { byteLength }) => sum + byteLength, bytes.byteLength) > most) return undefined;
      // Read from a file or a Blob, it is there to be read again.
      const again = (one: Source, data: Uint8Array): Source => (one.from === "url" ? { from: "blob", blob: new Blob([data as Uint8Array<ArrayBuffer>]), name: nameOf(one) } : one);
      const kept = Object.entries(others).map(([file, data]) => [file, again(givenOr(file)!, data)]);
      return { source: again(source, bytes), externalData: Object.fromEntries(kept) as Record<string, Source> };
    };
    return { model, external: (names) => (known ??= readAll(names)), elapsed: () => ended - began, keep };
  }

  #readPackage(request: LoadRequest): Files {
    const began = performance.now();
    let ended = began;
    const opened = this.#openPackage(request, false);
    const model = opened.then((one) => one.model);
    model.catch(() => {});
    let known: Promise<Record<string, Uint8Array>> | undefined;
    const external = async (names: string[]) => (await opened).external(names).finally(() => (ended = performance.now()));
    return { model, external: (names) => (known ??= external(names)), elapsed: () => ended - began, keep: async (most) => (await opened).keep(most), opened };
  }

  async #openPackage({ source, externalData, cache, selfTest }: Pick<LoadRequest, "source" | "externalData" | "cache" | "selfTest">, graphOnly: boolean): Promise<OpenedPackage> {
    const { openPackage } = await importPackages();
    const request = { source, externalData, cache, selfTest, graphOnly, signal: this.#closing.signal, onProgress: this.#progress("model") };
    return openPackage(request, { FirebrandError, abortedError, describe, read, nameOf, besideModel, looksLikeHtml, mimeOf });
  }

  #progress(phase: Progress["phase"], file?: string): ReportBytes {
    return progressOf(phase, file, (progress) => this.#send({ type: "progress", progress }));
  }

  #abandon(): void {
    if (this.#runtime) abandonRuntime(this.#runtime.build, this.#runtime.glue);
    this.#runtime = undefined;
    this.#session = undefined;
  }

  #free(): void {
    this.#session?.free();
    this.#session = undefined;
  }
}

interface Files {
  model: Promise<Uint8Array>;
  external(names: string[]): Promise<Record<string, Uint8Array>>;
  elapsed(): number;
  /** The same files, for another host; `undefined` where they are more than so many bytes. */
  keep(most: number): Promise<Pick<Candidate, "source" | "externalData"> | undefined>;
  /** The package that they belong to. */
  opened?: Promise<OpenedPackage>;
}

/** Whether this is a package's manifest: by its name, or where there is none by how it begins. No ONNX file begins so. */
async function isManifest(source: Source): Promise<boolean> {
  if (source.from === "blob") return new Uint8Array(await source.blob.slice(0, 1).arrayBuffer())[0] === 0x7b;
  return /\.json$/i.test(fileNameOf(source) ?? "");
}

/** Elements in a buffer of their own, which may be given away. */
function ownElements(data: Uint8Array | string[]): Uint8Array | string[] {
  return data instanceof Uint8Array && data.byteLength !== data.buffer.byteLength ? data.slice() : data;
}

function messageOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "message" in error ? error.message : error;
}
