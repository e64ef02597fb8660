/**
 * Reads trained models of other formats, optimises them and makes packages of them, in a worker of its own for each call.
 *
 * ```js
 * import { build, convert } from "firebrand/convert";
 *
 * const { model } = await convert("/models/hand-landmark.tflite");
 * const { files } = await build(model, { quantize: "weight-only" });
 * ```
 *
 * @packageDocumentation
 */
import { adviceForWorkerScripts, adviceForWorkers, checkAddress, workerFromElsewhere } from "./deployment.js";
import { FirebrandError, abortedError, type ErrorKind } from "./error.js";
import { nodeThreads, prefersWorker } from "./platform.js";
import { fromFailure, toFailure, type Failure, type Source } from "./protocol.js";
import { fileNameOf, nameOf, toSource, type DataSource, type ModelSource } from "./source.js";

export { FirebrandError, type ErrorDetails, type ErrorKind } from "./error.js";
export type { DataSource, ModelSource } from "./source.js";

/** A format that models are read from. Later versions may add some. */
export type Format = "onnx" | "tflite" | "safetensors" | "pytorch" | "numpy" | "keras-h5" | "keras" | "tfjs-layers" | "tfjs-graph" | (string & {});

/** What weights and activations become. */
export type Precision = "float32" | "float16" | "weight-only" | "int8" | "dynamic" | "int4";

/** How far a call is. */
export interface ConvertProgress {
  /** What is being done, in a few words: `"fetch"`, `"read"`, `"calibrate"`, `"measure"`, … Later versions may say others. */
  readonly step: string;
  /** How much of the step is done: bytes for `"fetch"`, else samples, layers or candidates. */
  readonly done: number;
  /** Of how much; 0 where it is not known. */
  readonly total: number;
}

/** How {@link convert} reads a model. */
export interface ConvertOptions {
  /** What the model's file is called, with its ending. Default: the name in its URL or path, or of its `File`. */
  name?: string;
  /** The files that the model refers to (weights of their own), by the names that it has for them. */
  externalData?: Record<string, DataSource>;
  /** The architecture that a file of weights alone belongs to: its name, such as `"resnet18"`, or a description in JSON. */
  arch?: string;
  /**
   * Whether to work in a worker, so that the page stays live. Default: `true` in browsers, `false` in Node, where
   * `true` takes a worker thread. Without one, a signal ends a build between two steps only.
   */
  worker?: boolean;
  /** Ends the call when it aborts; the call rejects with a {@link FirebrandError} of kind `aborted`. */
  signal?: AbortSignal;
  /** Told how far the call is. */
  onProgress?: (progress: ConvertProgress) => void;
}

/** What {@link convert} gives. */
export interface Converted {
  /** The model as ONNX, opset 21, weights inside. */
  readonly model: Uint8Array;
  /** What it was read from. */
  readonly format: Format;
  /** What was left out or changed on the way, a sentence each. */
  readonly notes: readonly string[];
}

/** How pictures become the model's input: those of `data` here, and all of them where the package is used. */
export interface PictureOptions {
  /** Height and width in pixels. Default: what the model declares, else each picture's own. */
  size?: number | readonly [height: number, width: number];
  /** Where the channels are. Default: what the model's declared shape says, else `"NCHW"`. */
  layout?: "NCHW" | "NHWC";
  /** The channels and their order. Default: `"GRAY"` where the model declares one channel, else `"RGB"`. */
  color?: "RGB" | "BGR" | "GRAY";
  /** Subtracted from each pixel (0 to 255): for all channels, or for each in the order of the result. Default: 0. */
  mean?: number | readonly [number, number, number];
  /** Multiplied after the mean is subtracted. Default: 1/255. */
  scale?: number | readonly [number, number, number];
  /** Where the proportions differ. Default: `"cover"`. */
  fit?: "cover" | "contain" | "fill";
}

/** Samples by file name, folders before it with `/`. */
export type Samples = Record<string, DataSource>;

/** How {@link build} makes a package. The command line's options, under the same names. */
export interface BuildOptions extends ConvertOptions {
  /** What weights and activations become. `"int8"` needs samples. Default: `"float32"`. */
  quantize?: Precision;
  /** The share of the weights, of 1, that becomes zero: those of the least magnitude. */
  prune?: number;
  /** That share of each layer's weights, not of all together. Default: `false`. */
  pruneEachLayer?: boolean;
  /** Weights of a magnitude below this become zero. */
  pruneThreshold?: number;
  /** The share of the output channels, of 1, that is removed. */
  pruneChannels?: number;
  /** How many channels stay is rounded up to a multiple of this. Default: 8. */
  channelMultiple?: number;
  /** How ranges of activations are chosen. Default: the best of all on some samples. */
  calibrationMethod?: "minmax" | "percentile" | "mse" | "entropy";
  /** How many samples are used for that at most. Default: 128. */
  calibrationSamples?: number;
  /** One scale for a whole weight instead of one for each output channel. Default: `false`. */
  perTensor?: boolean;
  /** Weights of 7 bits instead of 8. Default: `false`. */
  reduceRange?: boolean;
  /** Whether channels of convolutions that follow each other are scaled to be equally wide. Default: `true`. */
  equalize?: boolean;
  /** Whether biases make up for what quantising weights takes from the mean. Default: `true`. */
  correctBias?: boolean;
  /** How many weights share a scale, at `"int4"`. Default: 32. */
  blockSize?: number;
  /** Nodes that stay as they are, by name; `*` stands for any characters. */
  exclude?: readonly string[];
  /** What counts as agreement. Default: `"top1"` for rows of scores, else `"cosine"`. */
  metric?: "top1" | "cosine";
  /** The most accuracy, of 1, that may be lost, where labels are known. Default: 0.01. */
  maxDrop?: number;
  /** The least agreement, of 1, with the original where labels are not known. Default: 0.97. */
  minAgreement?: number;
  /** Refuse at once what is over the budget, instead of computing layers in float32. Default: `false`. */
  strict?: boolean;
  /**
   * Samples to measure with: pictures (`.png`, `.jpg`; folders are classes), or one `.npz`, `.npy` or `.csv` file.
   * Default: those of `calibrate`, else random numbers, which say little.
   */
  data?: Samples;
  /** Samples to find the ranges of activations with. Default: those of `data`. */
  calibrate?: Samples;
  /** What is right for each sample of `data`, in the alphabetical order of its files. Default: what the files themselves say. */
  labels?: readonly number[];
  /** The classes' names in the order of the model's output. */
  classes?: readonly string[];
  /** How pictures become the model's input. */
  pictures?: PictureOptions;
  /** The model's name in the manifest. Default: the file's, without its ending. */
  modelName?: string;
  /** The model's version. Default: `"1.0.0"`. */
  packageVersion?: string;
  /** The model's licence, as SPDX has it. */
  licence?: string;
  /** Who made the model. */
  author?: string;
  /** What it does, in a sentence. */
  description?: string;
  /** A weight file has at most so many bytes, or one tensor. Default: 4 MiB. */
  shardBytes?: number;
}

/** A file of a package. */
export interface BuiltFile {
  /** Its name in the package's folder. */
  readonly name: string;
  /** What it holds. */
  readonly bytes: Uint8Array;
}

/** Bytes of a model's files. */
export interface ReportSize {
  /** As they are. */
  readonly raw: number;
  /** As servers send it: each file by brotli at quality 9. */
  readonly brotli: number;
}

/** How near the result is to the original, as measured. */
export interface ReportAccuracy {
  /** What counts as agreement: the same largest element, or the cosine of all outputs. */
  readonly metric: "top1" | "cosine";
  /** How many samples were measured with. */
  readonly samples: number;
  /** The share of samples, of 1, with the same answer; or the mean cosine. */
  readonly agreement: number;
  /** Cosine of the outputs, the mean over samples. */
  readonly cosine: number;
  /** That of the worst sample. */
  readonly leastCosine: number;
  /** The largest difference of any element. */
  readonly maxDifference: number;
  /** The share, of 1, that the original has right, where labels are known. */
  readonly originalAccuracy?: number;
  /** The share, of 1, that the result has right, where labels are known. */
  readonly accuracy?: number;
}

/** One layer of the result. */
export interface ReportLayer {
  /** The node's name. */
  readonly node: string;
  /** Its operator, such as `Conv`. */
  readonly opType: string;
  /** The name of its weight. */
  readonly weight: string;
  /** How many numbers the weight has. */
  readonly elements: number;
  /** What it is computed in. */
  readonly precision: Precision | "mixed";
  /** Of the weights, in dB. */
  readonly signalToNoise?: number;
  /** Why it is in this precision, where that is not what was asked for. */
  readonly reason?: string;
  /** Share of weights that are 0, of 1. */
  readonly sparsity: number;
  /** How far its output is from the original's, relative to it (root mean square). */
  readonly outputError?: number;
}

/** What a build did. Later versions may say more. */
export interface BuildReport {
  /** The name of the file that was read. */
  readonly source?: string;
  /** Its format. */
  readonly format?: Format;
  /** What reading it left out or changed, a sentence each. */
  readonly notes?: readonly string[];
  /** What the result is in; `"mixed"` where layers differ. */
  readonly precision: Precision | "mixed";
  /** The original's, as one ONNX file. */
  readonly sizeBefore: ReportSize;
  /** The result's: graph and weights. */
  readonly sizeAfter: ReportSize;
  /** What was measured on the samples. */
  readonly accuracy: ReportAccuracy;
  /** How ranges of activations were found, for `"int8"`: the method, on how many samples, and each method's agreement. */
  readonly calibration?: { readonly method: string; readonly samples: number; readonly tried: Readonly<Record<string, number>> };
  /** Those with weights. */
  readonly layers: readonly ReportLayer[];
  /** What was decided and why, in order. */
  readonly decisions: readonly string[];
}

/** What {@link build} gives. */
export interface BuiltPackage {
  /** The package's files, the manifest `manifest.json` last: put them into one folder of a server, or a zip file. */
  readonly files: readonly BuiltFile[];
  /** What was done and measured. */
  readonly report: BuildReport;
  /** The same as one page for people. */
  readonly html: string;
}

/** @internal */
export interface Work {
  call: "convert" | "build";
  name: string;
  source: Source;
  beside: Record<string, Source>;
  options: string;
  data?: Record<string, Source>;
  calibrate?: Record<string, Source>;
}

/** @internal */
export type WorkReply = { type: "progress"; progress: ConvertProgress } | { type: "done"; result: Converted | BuiltPackage } | { type: "failed"; failure: Failure };

/**
 * Reads a trained model of any known format and writes it as ONNX. Nothing in the file is trusted or run.
 *
 * ```js
 * const { model, notes } = await convert("/models/mobilenet_v1.tflite");
 * const session = await load(model);
 * ```
 *
 * @throws {@link FirebrandError}: `empty_file`, `not_a_model`, `truncated`, `invalid_model`, `unsupported_operator` (all
 *   of them are named), `unsupported`, `missing_external_data`, `limit_exceeded`, `invalid_argument`, `network`, `io`,
 *   `aborted`, `out_of_memory`, `internal`.
 */
export async function convert(source: ModelSource, options: ConvertOptions = {}): Promise<Converted> {
  const { arch } = options;
  return (await perform("convert", source, options, arch === undefined ? {} : { arch })) as Converted;
}

/**
 * Makes a package of a trained model: converts, prunes, quantises, and measures what that costs. The same as
 * `firebrand build`, byte for byte.
 *
 * ```js
 * const { files, report } = await build(file, { quantize: "int8", data: { "a.jpg": photo, "b.jpg": other } });
 * ```
 *
 * @throws {@link FirebrandError}: `over_budget` where the result would lose more accuracy than it may, with what was
 *   measured; `invalid_argument` for samples or options that do not fit; and those of {@link convert}.
 */
export async function build(source: ModelSource, options: BuildOptions = {}): Promise<BuiltPackage> {
  return (await perform("build", source, options, inRust(options), options)) as BuiltPackage;
}

const passes = ["prune", "pruneEachLayer", "pruneThreshold", "pruneChannels", "channelMultiple", "quantize", "calibrationMethod", "calibrationSamples", "perTensor", "reduceRange", "equalize", "correctBias", "blockSize", "exclude", "metric", "maxDrop", "minAgreement", "strict"] as const;
const about = ["packageVersion", "licence", "author", "description", "classes", "shardBytes"] as const;

/** Options under the names that Rust has for them. */
function inRust(options: BuildOptions): object {
  const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const picked = <Name extends keyof BuildOptions>(names: readonly Name[]) => Object.fromEntries(names.flatMap((name) => (options[name] === undefined ? [] : [[kebab(name), options[name]]])));
  const three = (value: number | readonly number[] | undefined) => (typeof value === "number" ? [value, value, value] : value);
  const { size, layout, color, mean, scale, fit } = options.pictures ?? {};
  const pictures = { "image-size": typeof size === "number" ? [size, size] : size, "image-layout": layout, "image-color": color, "image-mean": three(mean), "image-scale": three(scale), "image-fit": fit };
  const { arch, labels, modelName } = options;
  return { arch, labels, pictures, build: picked(passes), package: { ...picked(about), ...(modelName !== undefined && { name: modelName }) } };
}

async function perform(call: Work["call"], given: ModelSource, options: ConvertOptions, rust: object, samples: Pick<BuildOptions, "data" | "calibrate"> = {}): Promise<Converted | BuiltPackage> {
  const { signal, onProgress } = options;
  if (signal?.aborted) throw abortedError(signal);
  checkAddress(import.meta.url);
  const source = await toSource(given, { signal });
  const all = async (files: Record<string, DataSource>) => Object.fromEntries(await Promise.all(Object.entries(files).map(async ([name, file]) => [name, await toSource(file)] as const)));
  const work: Work = {
    call,
    name: options.name ?? fileNameOf(source) ?? "model",
    source,
    beside: await all(options.externalData ?? {}),
    options: JSON.stringify(rust),
    ...(samples.data && { data: await all(samples.data) }),
    ...(samples.calibrate && { calibrate: await all(samples.calibrate) }),
  };
  const tell = (progress: ConvertProgress) => {
    try {
      onProgress?.(progress);
    } catch (error) {
      console.error(error);
    }
  };
  if (options.worker ?? prefersWorker()) return inWorker(work, signal, tell);
  const { work: perform } = await import("./converter.js");
  try {
    return await perform(work, (progress) => {
      tell(progress);
      return !signal?.aborted;
    });
  } catch (error) {
    if (signal?.aborted) throw abortedError(signal);
    throw fromFailure(toFailure(error));
  }
}

/** One worker for one call: ending it is how the call is aborted, and how its memory is given back. */
function inWorker(work: Work, signal: AbortSignal | undefined, tell: (progress: ConvertProgress) => void): Promise<Converted | BuiltPackage> {
  return new Promise((resolve, reject) => {
    const end = (finish: () => void) => {
      signal?.removeEventListener("abort", onAbort);
      close();
      finish();
    };
    const onAbort = () => end(() => reject(abortedError(signal!)));
    const receive = (reply: WorkReply) => {
      if (reply.type === "progress") return tell(reply.progress);
      end(() => (reply.type === "done" ? resolve(reply.result) : reject(fromFailure(reply.failure))));
    };
    const fail = (kind: ErrorKind, message: string, cause?: unknown) => end(() => reject(new FirebrandError(kind, message, { file: nameOf(work.source), cause })));
    let close = () => {};
    signal?.addEventListener("abort", onAbort, { once: true });
    // Bundlers leave this expression alone: the one they know is rewritten to theirs.
    const here = import.meta.url;
    const threads = nodeThreads();
    if (threads) {
      const worker = new threads.Worker(new URL("./convert-worker.js", here), { execArgv: [] });
      close = () => void worker.terminate();
      worker.on("message", receive);
      worker.on("error", (error) => end(() => reject(fromFailure(toFailure(error)))));
      worker.postMessage(work);
      return;
    }
    const startBrowserWorker = () => {
      const name = "firebrand-convert";
      try {
        return new Worker(new URL("./convert-worker.js", import.meta.url), { type: "module", name });
      } catch (error) {
        const other = /\/convert\.js$/.test(new URL(here).pathname) ? workerFromElsewhere(new URL("./convert-worker.js", here), name) : undefined;
        if (!other) throw error;
        return other;
      }
    };
    try {
      const worker = startBrowserWorker();
      close = () => worker.terminate();
      worker.onmessage = ({ data }: MessageEvent<WorkReply>) => receive(data);
      worker.onerror = (event) => {
        event.preventDefault();
        if (event.message) end(() => reject(fromFailure(toFailure(new Error(event.message)))));
        else fail("network", `the converter's worker could not be started: ${adviceForWorkerScripts}`);
      };
      worker.postMessage(work);
    } catch (error) {
      fail("network", `the converter's worker could not be started ${adviceForWorkers(error)}`, error);
    }
  });
}
