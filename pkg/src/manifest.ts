//! A package's manifest: what it says, and what it must say to be used.
import type { ErrorKind } from "./error.js";
import type { DType } from "./tensor.js";

/** A file of a package, in its folder. */
export interface PackageFile {
  /** Its name there. */
  readonly file: string;
  /** Its length. */
  readonly bytes: number;
  /** In lower-case hexadecimal digits. */
  readonly sha256: string;
}

/** How a picture becomes an input: give it to `Tensor.fromImage` as it is. */
export interface ImagePreprocessing {
  readonly kind: "image";
  /** In pixels. */
  readonly size: readonly [height: number, width: number];
  /** `"NCHW"` is channels first, `"NHWC"` channels last. */
  readonly layout: "NCHW" | "NHWC";
  /** `"GRAY"` is one channel, the luminance. */
  readonly color: "RGB" | "BGR" | "GRAY";
  /** Where the proportions differ, as in `ImageOptions`. */
  readonly fit: "fill" | "cover" | "contain";
  /** Subtracted from each pixel, which is from 0 to 255: one number per channel, in the order of `color`. */
  readonly mean: readonly [number, number, number] | readonly [number];
  /** Multiplied after that. */
  readonly scale: readonly [number, number, number] | readonly [number];
}

/** What sound an input takes. */
export interface AudioPreprocessing {
  readonly kind: "audio";
  /** Samples a second. */
  readonly sampleRate: number;
}

/** What a manifest says of an input or output. */
export interface ManifestValue {
  /** As in the model. */
  readonly name: string;
  /** The element type: of each tensor of a sequence, of the numbers of maps. */
  readonly dtype: DType;
  /** Sizes, and names of those known at run time only; none where any shape is allowed. */
  readonly shape?: readonly (number | string)[];
  /** A tensor where there is none. */
  readonly kind?: "sequence" | "maps";
  /** Whether it may be absent. */
  readonly optional?: boolean;
}

/** What a manifest says of an input. */
export interface ManifestInput extends ManifestValue {
  /** How a picture or sound becomes it, where it is made of one. */
  readonly preprocessing?: ImagePreprocessing | AudioPreprocessing;
}

/** What a manifest says of an output. */
export interface ManifestOutput extends ManifestValue {
  /** What the places along the last axis stand for. */
  readonly labels?: readonly string[];
}

/** A file that a task needs beside the model, with what it holds. */
export interface TaskFile extends PackageFile {
  /** What it holds. */
  readonly data: Uint8Array;
}

/** What the model of a package is for, and what its user must know for that. */
export interface ManifestTask {
  /** Such as `image-classification`. */
  readonly name: string;
  /** Numbers, texts, lists, by name; those of the tasks in `firebrand/tasks` are in docs/tasks.md. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** By what they are to the task: a `tokenizer`, for instance. */
  readonly files?: Readonly<Record<string, TaskFile>>;
}

/** A tensor of a golden sample. */
export interface GoldenTensor {
  /** The element type. */
  readonly dtype: DType;
  /** The length of each axis. */
  readonly shape: readonly number[];
  /** Its elements are made of this seed, between these bounds, as docs/package.md says; else they are stored. */
  readonly random?: { readonly seed: number; readonly low: number; readonly high: number };
  /** Every so many elements are stored; all of them where it is absent. */
  readonly stride?: number;
  /** Where they begin in the golden file, in bytes. */
  readonly offset?: number;
  /** How many bytes they are there. */
  readonly bytes?: number;
}

/** Inputs, and what a right device makes of them. */
export interface GoldenSample {
  /** By the inputs' names. */
  readonly inputs: Readonly<Record<string, GoldenTensor>>;
  /** By the outputs' names. */
  readonly outputs: Readonly<Record<string, GoldenTensor>>;
  /** A float may be off by `absolute + relative × m`, where `m` is the largest magnitude that is expected of its output. */
  readonly tolerance: { readonly absolute: number; readonly relative: number };
}

/** What a package says of itself. */
export interface Manifest {
  /** The version of this format. */
  readonly schema: 1;
  /** The model's name. */
  readonly name: string;
  /** As Semantic Versioning has it. */
  readonly version: string;
  /** An SPDX expression. */
  readonly licence?: string;
  /** Who made the model. */
  readonly author?: string;
  /** What it does. */
  readonly description?: string;
  /** The file that the package was made of. */
  readonly source: PackageFile & { readonly format: string };
  /** What made the package, and with which options: enough to make it again. */
  readonly tool: { readonly name: string; readonly version: string; readonly options: Readonly<Record<string, unknown>> };
  /** The graph, with the smaller weights. */
  readonly model: PackageFile;
  /** The larger weights. */
  readonly weights: readonly PackageFile[];
  /** What the model takes. */
  readonly inputs: readonly ManifestInput[];
  /** What it gives. */
  readonly outputs: readonly ManifestOutput[];
  /** What it is computed in; `"mixed"` where layers differ. */
  readonly precision: "float32" | "float16" | "weight-only" | "int8" | "int4" | "dynamic" | "mixed";
  /** Opset version by domain; ONNX's own is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>;
  /** Bytes of graph and weights, as they are and with each file compressed by itself. */
  readonly sizes: { readonly raw: number; readonly brotli?: number };
  /** What a device must compute before it is trusted, and the file that stores tensors of it. */
  readonly golden?: { readonly data?: PackageFile; readonly samples: readonly GoldenSample[] };
  /** What the model is for. */
  readonly task?: ManifestTask;
  /** How near the package is to its source, as measured when it was made. */
  readonly accuracy?: Readonly<Record<string, unknown>>;
}

/** A manifest as its file has it, where labels, and what a task needs, may be in files of their own. */
export type StoredManifest = Omit<Manifest, "outputs" | "task"> & {
  readonly task?: Omit<ManifestTask, "files"> & { readonly files?: Readonly<Record<string, PackageFile>> };
  readonly outputs: readonly (ManifestValue & { readonly labels?: readonly string[] | PackageFile })[];
};

const goldenDtypes: readonly string[] = "float32 float64 float16 bfloat16 int4 uint4 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool".split(" ");

/** Larger golden tensors are hostile. */
const mostElements = 2 ** 28;

/** Larger tensors of a seed, which take no bytes in the package, are hostile. */
const mostDrawn = 2 ** 24;

type Fail = (kind: ErrorKind, message: string) => Error;

/** Reads a manifest and checks all that is used of it. What `fail` makes is thrown: `invalid_manifest`. */
export function parseManifest(text: string, fail: Fail): StoredManifest {
  const wrong = (what: string): never => {
    throw fail("invalid_manifest", what);
  };
  let manifest: any;
  try {
    manifest = JSON.parse(text);
  } catch (error) {
    wrong(`expected a package's manifest, which is JSON (${(error as Error).message})`);
  }
  const isObject = (value: unknown): value is Record<string, any> => typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject(manifest) || typeof manifest.schema !== "number") return wrong('expected a package\'s manifest, with a number "schema"; got other JSON');
  if (manifest.schema !== 1) return wrong(`the manifest is of schema ${manifest.schema}, this version of Firebrand reads 1: use a version that reads it`);

  const known = new Map<string, string>();
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  const file = (value: any, where: string) => {
    if (!isObject(value)) return wrong(`${where}: expected a file, with "file", "bytes" and "sha256"`);
    // The names reach no other folder, and need no escaping in a URL.
    if (typeof value.file !== "string" || !/^[\w-][\w.-]{0,254}$/.test(value.file)) return wrong(`${where}: ${JSON.stringify(value.file)} is no name of a package's file`);
    if (!isCount(value.bytes)) return wrong(`${where}: bytes: expected a whole number, got ${JSON.stringify(value.bytes)}`);
    if (typeof value.sha256 !== "string" || !/^[0-9a-f]{64}$/.test(value.sha256)) return wrong(`${where}: sha256: expected 64 lower-case hexadecimal digits`);
    const other = known.get(value.file);
    if (other !== undefined && other !== value.sha256) return wrong(`"${value.file}" is named twice, with other contents`);
    known.set(value.file, value.sha256);
  };
  const list = (value: unknown, where: string): any[] => (Array.isArray(value) ? value : wrong(`${where}: expected an array`));

  for (const name of ["name", "version"]) if (typeof manifest[name] !== "string") wrong(`${name}: expected a text`);
  file(manifest.model, "model");
  for (const [at, entry] of list(manifest.weights, "weights").entries()) file(entry, `weights[${at}]`);
  for (const side of ["inputs", "outputs"]) {
    for (const [at, value] of list(manifest[side], side).entries()) {
      const where = `${side}[${at}]`;
      if (!isObject(value) || typeof value.name !== "string") wrong(`${where}: expected a name`);
      const { labels } = value;
      if (side === "inputs" || labels === undefined) continue;
      if (Array.isArray(labels) ? !labels.every((label) => typeof label === "string") : file(labels, `${where}.labels`)) wrong(`${where}.labels: expected texts`);
    }
  }
  const { golden, task } = manifest;
  if (task !== undefined) {
    if (!isObject(task) || typeof task.name !== "string") return wrong('task: expected an object with a text "name"');
    for (const name of ["parameters", "files"]) if (task[name] !== undefined && !isObject(task[name])) wrong(`task.${name}: expected an object`);
    for (const [name, entry] of Object.entries(task.files ?? {})) file(entry, `task.files.${name}`);
  }
  if (golden !== undefined) {
    if (!isObject(golden)) return wrong("golden: expected an object");
    if (golden.data !== undefined) file(golden.data, "golden.data");
    for (const [at, sample] of list(golden.samples, "golden.samples").entries()) {
      const where = `golden.samples[${at}]`;
      if (!isObject(sample) || !isObject(sample.inputs) || !isObject(sample.outputs) || !isObject(sample.tolerance)) return wrong(`${where}: expected inputs, outputs and a tolerance`);
      const { absolute, relative } = sample.tolerance;
      if (!(absolute >= 0 && relative >= 0)) wrong(`${where}.tolerance: expected numbers of 0 or more`);
      for (const [side, tensors] of [["inputs", sample.inputs], ["outputs", sample.outputs]] as const) {
        for (const [name, tensor] of Object.entries<any>(tensors)) {
          const here = `${where}.${side}.${name}`;
          if (!isObject(tensor) || !goldenDtypes.includes(tensor.dtype) || !list(tensor.shape, `${here}.shape`).every(isCount)) return wrong(`${here}: expected a dtype and a shape`);
          const most = tensor.random ? mostDrawn : mostElements;
          if (tensor.shape.reduce((count: number, size: number) => count * Math.max(size, 1), 1) > most) return wrong(`${here}: a tensor of shape [${tensor.shape}] is too large`);
          const { random, offset, bytes, stride = 1 } = tensor;
          const isDrawn = side === "inputs" && isObject(random) && [random.seed, random.low, random.high].every(Number.isFinite);
          const isStored = isCount(offset) && isCount(bytes) && isCount(stride) && stride > 0 && offset + bytes <= (golden.data?.bytes ?? 0);
          if (isDrawn === isStored) wrong(`${here}: expected "random", or "offset" and "bytes" within the golden file`);
        }
      }
    }
  }
  return manifest as unknown as StoredManifest;
}
