//! Kinds of files with Magika: features, thresholds and the way from the model's answer to a kind as magika/magika.py
//! has them, version 3 of the models.
import { FirebrandError, abortedError } from "../error.js";
import type { Session } from "../session.js";
import type { ModelSource } from "../source.js";
import { Tensor, typeName } from "../tensor.js";
import { Task, floats, isObject, openTask, type CallOptions, type Description, type TaskOptions } from "./task.js";

/** What kind of file some bytes are. */
export interface FileType {
  /** Magika's name for it, such as `"python"`; `"txt"` or `"unknown"` where the model is not sure, `"empty"` for no bytes. */
  label: string;
  /** The MIME type, such as `"text/x-python"`. */
  mime: string;
  /** In words, such as `"Python source"`. */
  description?: string;
  /** How sure the model is, from 0 to 1; 1 where it was not asked, for a file of few bytes. */
  score: number;
}

interface Config {
  readonly beginning: number;
  readonly end: number;
  readonly block: number;
  readonly padding: number;
  readonly leastBytes: number;
  readonly labels: readonly string[];
  readonly thresholds: Readonly<Record<string, unknown>>;
  readonly defaultThreshold: number;
  readonly overwrite: Readonly<Record<string, unknown>>;
}

interface ContentType {
  readonly mime: string;
  readonly description: string | undefined;
  readonly isText: boolean;
}

/** Tells what kind of file some bytes are. Made by {@link fileTyper}. */
export class FileTyper extends Task {
  readonly #config: Config;
  readonly #types: ReadonlyMap<string, ContentType>;
  readonly #input: string;
  readonly #output: string;

  /** @internal */
  constructor(session: Session, description: Description) {
    super(session);
    const [input] = session.inputs;
    const [output] = session.outputs;
    if (!input || !output) throw description.lacks("has no input or no output");
    this.#input = input.name;
    this.#output = output.name;
    this.#config = readConfig(description);
    this.#types = readTypes(description);
    for (const label of [...this.#config.labels, "txt", "unknown", "empty"]) {
      if (!this.#types.has(label)) throw description.lacks(`has nothing in its file "content-types" of "${label}"`);
    }
  }

  /**
   * What kind of file this is, by its bytes: the first and last 4096, whatever its name and size.
   *
   * @throws {@link FirebrandError}: `invalid_argument` for what is no file and no bytes; `io` where a file cannot be read;
   *   what `session.run` throws
   */
  async identify(file: Blob | ArrayBuffer | Uint8Array, options: CallOptions = {}): Promise<FileType> {
    const { signal } = options;
    if (signal?.aborted) throw abortedError(signal);
    const { block, leastBytes, padding } = this.#config;
    const { size, read } = readerOf(file);
    if (size === 0) return this.#type("empty", 1);
    const count = Math.min(block, size);
    const start = await read(0, count);
    if (size < leastBytes) return this.#fewBytes(start);
    const tokens = this.#tokens(start, await read(size - count, size));
    // White space alone is stripped, and leaves nothing to look at.
    if (tokens[leastBytes - 1] === padding) return this.#fewBytes(start);
    const outputs = await this.session.run({ [this.#input]: new Tensor("int32", tokens, [1, tokens.length]) }, signal ? { signal } : {});
    const { data } = floats(outputs[this.#output], this.#output);
    const { labels } = this.#config;
    if (data.length !== labels.length) throw new FirebrandError("invalid_manifest", `fileTyper: the model gives ${data.length} scores, its file "config" has ${labels.length} labels`);
    let best = 0;
    for (let at = 1; at < data.length; at++) if (data[at]! > data[best]!) best = at;
    return this.#type(this.#decide(labels[best]!, data[best]!), data[best]!);
  }

  /** The first and the last bytes that are no white space, filled up where there are fewer. */
  #tokens(start: Uint8Array, end: Uint8Array): Int32Array {
    const { beginning, end: ending, padding } = this.#config;
    const tokens = new Int32Array(beginning + ending).fill(padding);
    let from = 0;
    while (from < start.length && isSpace(start[from]!)) from++;
    tokens.set(start.subarray(from, from + beginning));
    let to = end.length;
    while (to > 0 && isSpace(end[to - 1]!)) to--;
    const last = end.subarray(Math.max(0, to - ending), to);
    tokens.set(last, tokens.length - last.length);
    return tokens;
  }

  /** What a label is called in the end: one that the model is not sure enough of says only whether it is text. */
  #decide(label: string, score: number): string {
    const { thresholds, defaultThreshold, overwrite } = this.#config;
    const other = Object.hasOwn(overwrite, label) ? overwrite[label] : undefined;
    const output = typeof other === "string" ? other : label;
    const own = Object.hasOwn(thresholds, label) ? thresholds[label] : undefined;
    if (score >= (typeof own === "number" ? own : defaultThreshold)) return output;
    return this.#types.get(output)?.isText ? "txt" : "unknown";
  }

  #fewBytes(bytes: Uint8Array): FileType {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      return this.#type("txt", 1);
    } catch {
      return this.#type("unknown", 1);
    }
  }

  #type(label: string, score: number): FileType {
    const { mime = "application/octet-stream", description } = this.#types.get(label) ?? {};
    return { label, mime, ...(description !== undefined && { description }), score };
  }
}

/** What Python's `bytes.strip` strips. */
function isSpace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

/** Reads parts of a file, of which the rest stays where it is. */
function readerOf(file: Blob | ArrayBuffer | Uint8Array): { size: number; read(from: number, to: number): Promise<Uint8Array> } {
  if (file instanceof Blob) {
    const read = async (from: number, to: number) => {
      try {
        return new Uint8Array(await file.slice(from, to).arrayBuffer());
      } catch (error) {
        throw new FirebrandError("io", "the file cannot be read: it was moved or changed, or may not be read", { cause: error });
      }
    };
    return { size: file.size, read };
  }
  if (!(file instanceof ArrayBuffer || file instanceof Uint8Array)) throw new FirebrandError("invalid_argument", `a file is a File, Blob, ArrayBuffer or Uint8Array, got ${typeName(file)}`);
  const bytes = file instanceof Uint8Array ? file : new Uint8Array(file);
  return { size: bytes.byteLength, read: async (from, to) => bytes.subarray(from, to) };
}

function readConfig(description: Description): Config {
  const json = description.json("config");
  const wrong = (what: string) => description.lacks(`has in its file "config" no configuration of Magika's models, version 3: ${what}`);
  if (!isObject(json)) throw wrong("expected an object");
  const count = (name: string) => {
    const value = json[name];
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > 2 ** 20) throw wrong(`${name}: ${JSON.stringify(value)}`);
    return value;
  };
  if (json.version_major !== 3 || json.mid_size !== 0 || json.use_inputs_at_offsets !== false) throw wrong("expected features of the beginning and the end alone");
  const { target_labels_space: labels, thresholds, overwrite_map: overwrite, medium_confidence_threshold: threshold } = json;
  if (!Array.isArray(labels) || !labels.every((label) => typeof label === "string")) throw wrong("target_labels_space");
  if (!isObject(thresholds) || !isObject(overwrite) || typeof threshold !== "number") throw wrong("thresholds");
  const [beginning, end, leastBytes] = [count("beg_size"), count("end_size"), count("min_file_size_for_dl")];
  if (leastBytes > beginning) throw wrong("min_file_size_for_dl");
  return { beginning, end, leastBytes, block: count("block_size"), padding: count("padding_token"), labels, thresholds, overwrite, defaultThreshold: threshold };
}

function readTypes(description: Description): Map<string, ContentType> {
  const json = description.json("content-types");
  if (!isObject(json)) throw description.lacks('has in its file "content-types" no object');
  const types = new Map<string, ContentType>();
  for (const [label, entry] of Object.entries(json)) {
    if (!isObject(entry)) continue;
    const isText = entry.is_text === true;
    const mime = typeof entry.mime_type === "string" ? entry.mime_type : isText ? "text/plain" : "application/octet-stream";
    types.set(label, { mime, isText, description: typeof entry.description === "string" ? entry.description : undefined });
  }
  return types;
}

/**
 * Makes a teller of kinds of files.
 *
 * ```js
 * const typer = await fileTyper("/models/file-typing/manifest.json");
 * const { label, mime, score } = await typer.identify(file);
 * ```
 *
 * @param source a package of the task `file-typing`, with Magika's files `config` and `content-types`
 * @throws {@link FirebrandError}: what `load` throws; `invalid_argument` for a package of another task;
 *   `invalid_manifest` for one whose files are not Magika's
 */
export function fileTyper(source: ModelSource, options: TaskOptions = {}): Promise<FileTyper> {
  return openTask(source, options, ["file-typing"], (session, description) => new FileTyper(session, description));
}
