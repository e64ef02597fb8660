/// <reference lib="esnext.disposable" preserve="true" />
//! What all tasks share: a session on a package that says what it is for, and readers of what it says.
import { FirebrandError } from "../error.js";
import type { ImageOptions } from "../image.js";
import type { ImagePreprocessing, Manifest } from "../manifest.js";
import { load, type LoadOptions, type Session } from "../session.js";
import type { ModelSource } from "../source.js";
import type { AnyTensor, Tensor } from "../tensor.js";
import { isSampleRate } from "./resampler.js";

/** How a task's package is loaded: as `load` does. */
export type TaskOptions = LoadOptions;

/** How one call of a task is made. */
export interface CallOptions {
  /** Ends the call when it aborts; the call rejects with a {@link FirebrandError} of kind `aborted`. */
  signal?: AbortSignal;
}

/** The tasks of packages, by what makes them. */
const factories = {
  "image-classification": "imageClassifier",
  "face-detection": "faceDetector",
  "object-detection": "objectDetector",
  "image-segmentation": "imageSegmenter",
  "voice-activity-detection": "audioDetector",
  "note-transcription": "noteTranscriber",
  "text-embedding": "textEmbedder",
  "file-typing": "fileTyper",
  "tabular-classification": "tabularPredictor",
} as const;

/** What a package may be for. */
export type TaskName = keyof typeof factories;

/** A loaded package with one use. */
export class Task {
  /** The session that answers; its `info` tells what it runs on, its `manifest` what the package says. */
  readonly session: Session;

  /** @internal */
  constructor(session: Session) {
    this.session = session;
  }

  /** Frees the model, as `session.dispose()` does. */
  dispose(): Promise<void> {
    return this.session.dispose();
  }

  /** The same as {@link Task.dispose}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** What a package tells a task, with errors that name who asked. */
export class Description {
  readonly manifest: Manifest;
  readonly #factory: string;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(factory: string, manifest: Manifest) {
    this.manifest = manifest;
    this.#factory = factory;
    this.#values = manifest.task?.parameters ?? {};
  }

  /** The error of a package that lacks something. */
  lacks(what: string): FirebrandError {
    return new FirebrandError("invalid_manifest", `${this.#factory}: the package "${this.manifest.name}" ${what}; build it again with what docs/tasks.md says of the task`);
  }

  /** A number among the task's parameters. */
  number(name: string, least: number, most: number): number {
    const value = this.#values[name];
    if (typeof value !== "number" || !(value >= least && value <= most)) throw this.#wrong(name, `a number from ${least} to ${most}`);
    return value;
  }

  /** A whole number of 1 or more. */
  count(name: string, most = 2 ** 20): number {
    const value = this.number(name, 1, most);
    if (!Number.isInteger(value)) throw this.#wrong(name, "a whole number");
    return value;
  }

  text(name: string): string {
    const value = this.#values[name];
    if (typeof value !== "string") throw this.#wrong(name, "a text");
    return value;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    if (!Array.isArray(value) || !value.every((text) => typeof text === "string")) throw this.#wrong(name, "a list of texts");
    return value;
  }

  /** A list of objects that have a number under each of `keys`. */
  records<Key extends string>(name: string, keys: readonly Key[]): readonly Readonly<Record<Key, number>>[] {
    const value = this.#values[name];
    const isRecord = (entry: unknown): entry is Record<Key, number> => isObject(entry) && keys.every((key) => Number.isFinite(entry[key]));
    if (!Array.isArray(value) || !value.every(isRecord)) throw this.#wrong(name, `a list of objects with the numbers ${keys.join(", ")}`);
    return value;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#values, name);
  }

  /** A file of the task, as JSON. */
  json(name: string): unknown {
    const { files } = this.manifest.task ?? {};
    const file = files && Object.hasOwn(files, name) ? files[name] : undefined;
    if (!file) throw this.lacks(`has no file "${name}" among those of its task`);
    try {
      return JSON.parse(new TextDecoder().decode(file.data));
    } catch {
      throw this.lacks(`has in its file "${name}" (${file.file}) no JSON`);
    }
  }

  /** The input that takes a picture, and how one is prepared for it. */
  get picture(): { name: string; preprocessing: ImagePreprocessing } {
    for (const { name, preprocessing } of this.manifest.inputs) {
      if (preprocessing?.kind !== "image") continue;
      const { size } = preprocessing;
      if (!Array.isArray(size) || size.length !== 2 || !size.every((side) => Number.isSafeInteger(side) && side > 0)) throw this.lacks(`has a size of pictures that is none: ${JSON.stringify(size)}`);
      return { name, preprocessing };
    }
    throw this.lacks("has no input with preprocessing of pictures");
  }

  /** The input that takes sound, and how many samples a second it takes. */
  get sound(): { name: string; sampleRate: number } {
    for (const { name, preprocessing } of this.manifest.inputs) {
      if (preprocessing?.kind !== "audio") continue;
      const { sampleRate } = preprocessing;
      if (!isSampleRate(sampleRate)) throw this.lacks(`has a sample rate that is none: ${JSON.stringify(sampleRate)}`);
      return { name, sampleRate };
    }
    throw this.lacks("has no input with preprocessing of sound");
  }

  #wrong(name: string, expected: string): FirebrandError {
    return this.lacks(`has in its manifest task.parameters.${name}: ${JSON.stringify(this.#values[name]) ?? "nothing"}, expected ${expected}`);
  }
}

/**
 * Loads a package and makes a task of it; whatever goes wrong, no session is left.
 *
 * @param accepted the tasks that the package may be for
 * @param make reads what the package says; what it throws is thrown on
 */
export async function openTask<Made extends Task>(
  source: ModelSource,
  options: TaskOptions,
  accepted: readonly TaskName[],
  make: (session: Session, description: Description) => Made | Promise<Made>,
  mayBeUnnamed = false,
): Promise<Made> {
  const factory = factories[accepted[0]!];
  const session = await load(source, options);
  try {
    const { manifest } = session;
    const wanted = accepted.map((name) => `"${name}"`).join(" or ");
    if (!manifest) {
      throw new FirebrandError("invalid_argument", `${factory}: expected a package (its manifest.json) of the task ${wanted}, got a bare model: make one with "firebrand build MODEL --task ${accepted[0]}"`);
    }
    const name = manifest.task?.name;
    if (name === undefined ? !mayBeUnnamed : !accepted.some((one) => one === name)) {
      const other = name !== undefined && isTaskName(name) ? `: give it to ${factories[name]}` : "";
      throw new FirebrandError("invalid_argument", `${factory}: expected a package of the task ${wanted}, "${manifest.name}" is ${name === undefined ? `of none: build it with --task ${accepted[0]}` : `of "${name}"${other}`}`);
    }
    return await make(session, new Description(factory, manifest));
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

function isTaskName(name: string): name is TaskName {
  return Object.hasOwn(factories, name);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Options for `Tensor.fromImage`. */
export function imageOptions({ size, layout, color, fit, mean, scale }: ImagePreprocessing): ImageOptions {
  return { size, layout, color, fit, mean, scale };
}

/** The numbers of a float32 output. */
export function floats(tensor: AnyTensor | undefined, name: string): Tensor<"float32"> {
  if (tensor?.dtype !== "float32") throw new FirebrandError("unsupported", `output "${name}": a task reads float32, got ${tensor?.dtype ?? "nothing"}`);
  return tensor;
}

/** Refuses an option that is no number of its range; NaN among them. */
export function checkOption(name: string, value: number | undefined, least: number, most: number): void {
  if (value !== undefined && !(value >= least && value <= most)) {
    throw new FirebrandError("invalid_argument", `${name} is a number from ${least} to ${most}, got ${String(value)}`);
  }
}
