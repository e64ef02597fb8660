//! Getting a model's bytes: where they may come from, how far reading is, and what to say when a
//! host sends something else.
import { FirebrandError, abortedError, describe } from "./error.js";
import { baseUrl, builtin, hasFiles } from "./platform.js";
import type { ReportBytes } from "./progress.js";
import type { Source } from "./protocol.js";

/**
 * Where a model comes from: a URL (relative to the page), a `Response`, or its bytes. In Node a
 * string without a scheme is a path, and `file:` URLs work.
 */
export type ModelSource = string | URL | Response | Blob | ArrayBuffer | Uint8Array;

/** Where a file that belongs to a model comes from. */
export type DataSource = string | URL | Blob | ArrayBuffer | Uint8Array;

export interface ReadOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ReportBytes | undefined;
}

/** Looks at the first bytes of an answer; what it returns ends the reading and is thrown. */
type Refuse = (start: Uint8Array, response: Response) => FirebrandError | undefined;

/** Turns what the caller gave into something that stays readable, and that may be read again. */
export async function toSource(given: ModelSource, options: ReadOptions = {}): Promise<Source> {
  if (typeof given === "string") return fromString(given);
  if (given instanceof URL) return fromUrl(given);
  if (isResponse(given)) return fromResponse(given, options);
  if (given instanceof Blob) {
    const name = (given as Blob & { name?: unknown }).name;
    return typeof name === "string" ? { from: "blob", blob: given, name } : { from: "blob", blob: given };
  }
  if (ArrayBuffer.isView(given) || isBuffer(given)) {
    // A Blob keeps the bytes as they are now, outside the script's memory in most browsers.
    const bytes = ArrayBuffer.isView(given) ? new Uint8Array(given.buffer, given.byteOffset, given.byteLength) : new Uint8Array(given);
    const own = bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
    return { from: "blob", blob: new Blob([own]) };
  }
  throw new FirebrandError(
    "invalid_argument",
    `a model is a URL, Response, Blob, ArrayBuffer or Uint8Array; got ${given === null ? "null" : typeof given}`,
  );
}

/** What to call a source in messages. */
export function nameOf(source: Source): string {
  switch (source.from) {
    case "url":
      return source.url.startsWith("data:") ? "data: URL" : source.url;
    case "path":
      return source.path;
    case "blob":
      return source.name ?? "the given file";
  }
}

/** The last part of a source's name: enough beside a progress bar. */
export function fileNameOf(source: Source): string | undefined {
  if (source.from === "blob") return source.name?.split("/").at(-1);
  if (source.from === "path") return source.path.split(/[\\/]/).at(-1);
  if (!URL.canParse(source.url) || source.url.startsWith("data:")) return undefined;
  const name = new URL(source.url).pathname.split("/").at(-1) ?? "";
  try {
    return decodeURIComponent(name) || undefined;
  } catch {
    return name;
  }
}

/** Reads a source to its end. */
export async function read(source: Source, options: ReadOptions = {}): Promise<Uint8Array> {
  if (source.from === "url" && !source.url.startsWith("file:")) {
    const response = await request(source.url, options.signal);
    return readResponse(response, source.url, refusePage(source.url), options, restOf(source.url, response, options.signal));
  }
  const name = nameOf(source);
  let bytes: Uint8Array;
  try {
    if (source.from === "blob") {
      bytes = new Uint8Array(await source.blob.arrayBuffer());
    } else {
      const files = builtin("node:fs/promises");
      if (!files) throw new Error("only Node reads files by path; give a URL that a server answers, or the bytes");
      const { buffer, byteOffset, byteLength } = await files.readFile(source.from === "path" ? source.path : new URL(source.url), { signal: options.signal });
      bytes = new Uint8Array(buffer, byteOffset, byteLength);
    }
  } catch (error) {
    if (options.signal?.aborted) throw abortedError(options.signal);
    throw new FirebrandError("io", `${name} could not be read: ${describe(error)}`, { file: name, cause: error });
  }
  if (options.signal?.aborted) throw abortedError(options.signal);
  options.onProgress?.(bytes.byteLength, bytes.byteLength);
  return bytes;
}

/** Throws where a model's bytes are no model at all: none, or a web page's. */
export function checkModelBytes(bytes: Uint8Array, source: Source): void {
  const name = nameOf(source);
  if (bytes.byteLength === 0) {
    throw new FirebrandError("empty_file", `${name} is empty (0 bytes): expected an ONNX model; was the download or upload interrupted?`, { file: name });
  }
  if (looksLikeHtml(bytes)) throw htmlError(name);
}

/**
 * Finds a file that a model refers to, beside the model. The name comes out of the model's file, so
 * it is kept from reaching anything above the model's folder.
 */
export function besideModel(file: string, model: Source): Source | undefined {
  const parts = file.replaceAll("\\", "/").split("/").filter((part) => part !== ".");
  const escapes = parts.some((part) => part === ".." || part === "") || /^[a-z][a-z0-9+.-]*:/i.test(file) || file.includes("\0");
  if (escapes) {
    throw new FirebrandError(
      "invalid_model",
      `the model refers to ${JSON.stringify(file)}, outside its own folder; give that file in options.externalData if you trust the model`,
      { file },
    );
  }
  if (model.from === "path") {
    const path = builtin("node:path");
    return path && { from: "path", path: path.join(path.dirname(model.path), ...parts) };
  }
  if (model.from === "url" && /^(https?|file):/.test(model.url)) {
    return { from: "url", url: new URL(parts.map(encodeURIComponent).join("/"), model.url).href };
  }
  return undefined;
}

/** Fetches a file of a model's weights; whatever goes wrong is told as that file missing. */
export async function readExternal(file: string, source: Source | undefined, options: ReadOptions): Promise<Uint8Array> {
  const advice = "put it beside the model, or give it in options.externalData";
  if (!source) {
    throw new FirebrandError("missing_external_data", `the model keeps weights in ${JSON.stringify(file)}, which was not given: give it in options.externalData`, { file });
  }
  let bytes: Uint8Array;
  try {
    bytes = await read(source, options);
  } catch (error) {
    if (!(error instanceof FirebrandError) || !["network", "io", "not_a_model"].includes(error.kind)) throw error;
    throw new FirebrandError(
      "missing_external_data",
      `the model keeps weights in ${JSON.stringify(file)}, which could not be had: ${error.message}; ${advice}`,
      { file, cause: error },
    );
  }
  if (looksLikeHtml(bytes)) {
    throw new FirebrandError(
      "missing_external_data",
      `the model keeps weights in ${JSON.stringify(file)}, but ${nameOf(source)} is a web page (hosts often answer so for files they do not have); ${advice}`,
      { file },
    );
  }
  return bytes;
}

/** Fetches `url`; an answer that is no success is an error which says what came. */
export async function request(url: string, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, signal ? { signal } : {});
  } catch (error) {
    if (signal?.aborted) throw abortedError(signal);
    throw new FirebrandError(
      "network",
      `${url} could not be fetched (${describe(error)}): check the address and the connection, and for another origin that its server sends CORS headers`,
      { file: url, cause: error },
    );
  }
  checkStatus(response, url);
  return response;
}

/** A response's MIME type, for messages. */
export function mimeOf(response: Response): string {
  return response.headers.get("content-type") ?? "no MIME type";
}

/** Whether bytes are the beginning of a web page (or another kind of markup). */
export function looksLikeHtml(bytes: Uint8Array): boolean {
  const start = new TextDecoder("utf-8").decode(bytes.subarray(0, 256)).trimStart().toLowerCase();
  return /^<(!doctype\s|html[\s>]|head[\s>]|\?xml\s|!--)/.test(start);
}

async function fromResponse(response: Response, options: ReadOptions): Promise<Source> {
  const name = response.url || "the given Response";
  if (response.bodyUsed) {
    throw new FirebrandError("invalid_argument", `${name} was already read; pass it before reading it, or pass response.clone()`, { file: name });
  }
  checkStatus(response, name);
  const bytes = await readResponse(response, name, refusePage(name), options);
  return { from: "blob", blob: new Blob([bytes]), name, read: true };
}

/** Asks for the rest of a file of which so many bytes are there; nothing where that cannot be had. */
type AskRest = (loaded: number) => Promise<Response | undefined>;

/** Tries in a row without a byte more, before a broken connection is given up, and the wait before the first, in milliseconds. */
const patience = 4;
const firstWait = 250;

/** How to go on where the connection breaks: only a strong ETag says that a rest is of the same file, and the rest of a compressed answer is of other bytes. */
function restOf(url: string, { headers }: Response, signal: AbortSignal | undefined): AskRest | undefined {
  const etag = headers.get("etag");
  if (!etag?.startsWith('"') || (headers.get("content-encoding") ?? "identity") !== "identity") return undefined;
  let most = 0;
  let vain = 0;
  return async (loaded) => {
    if (loaded > most) vain = 0;
    most = loaded;
    for (; vain < patience; vain++) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, firstWait * 2 ** vain);
        signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
      });
      if (signal?.aborted) throw abortedError(signal);
      try {
        const response = await fetch(url, { headers: { Range: `bytes=${loaded}-`, "If-Range": etag }, cache: "no-store", ...(signal && { signal }) });
        if (response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${loaded}-`)) return (vain++, response);
        void response.body?.cancel().catch(() => {});
        if (response.status < 500) return undefined;
      } catch {
        if (signal?.aborted) throw abortedError(signal);
      }
    }
    return undefined;
  };
}

/** Reads a response's body to its end. */
export async function readResponse(response: Response, name: string, refuse: Refuse, options: ReadOptions, askRest?: AskRest): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const take = (chunk: Uint8Array<ArrayBuffer>) => {
    const refusal = chunks.length === 0 ? refuse(chunk, response) : undefined;
    if (refusal) throw refusal;
    chunks.push(chunk);
  };
  return concatenate(chunks, await consume(response, name, options, take, askRest), name);
}

/** Hands a response's body over piece by piece, and gives its length. What `take` throws ends it. */
export async function consume(response: Response, name: string, { signal, onProgress }: ReadOptions, take: (chunk: Uint8Array<ArrayBuffer>) => void, askRest?: AskRest): Promise<number> {
  const encoded = response.headers.get("content-encoding") ?? "identity";
  const announced = Number(response.headers.get("content-length") ?? Number.NaN);
  // The header counts encoded bytes, and hides the encoding from another origin.
  let total = encoded === "identity" && Number.isSafeInteger(announced) && announced > 0 ? announced : undefined;
  const isExact = total !== undefined && response.type !== "cors";

  let loaded = 0;
  let reader = response.body?.getReader();
  const stop = () => void reader?.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener("abort", stop, { once: true });
  try {
    while (reader) {
      let piece: ReadableStreamReadResult<Uint8Array<ArrayBuffer>>;
      try {
        piece = await reader.read();
      } catch (error) {
        if (signal?.aborted) throw abortedError(signal);
        reader = (await askRest?.(loaded))?.body?.getReader();
        if (reader) continue;
        const of = total === undefined ? `after ${loaded} bytes` : `after ${loaded} of ${total} bytes`;
        throw new FirebrandError("network", `${name}: the connection ended ${of} (${describe(error)}); try again`, { file: name, cause: error });
      }
      if (signal?.aborted) throw abortedError(signal);
      if (piece.done) break;
      take(piece.value);
      loaded += piece.value.byteLength;
      if (total !== undefined && loaded > total) total = undefined;
      onProgress?.(loaded, total);
    }
  } catch (error) {
    stop();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
  if (isExact && total !== undefined && loaded < total) {
    throw new FirebrandError("truncated", `${name}: expected ${total} bytes, got ${loaded}; the download was cut short, try again`, { file: name });
  }
  // Without a total beforehand, the end is the first to know it.
  if (loaded !== total) onProgress?.(loaded, loaded);
  return loaded;
}

function concatenate(chunks: Uint8Array<ArrayBuffer>[], length: number, name: string): Uint8Array<ArrayBuffer> {
  if (chunks.length === 1) return chunks[0]!;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(length);
  } catch (error) {
    throw new FirebrandError("out_of_memory", `${name}: ${length} bytes do not fit into memory`, { file: name, cause: error });
  }
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

function checkStatus(response: Response, name: string): void {
  if (response.ok) return;
  const advice = response.status === 404 ? "check the address, and that the file was deployed" : "check the server";
  throw new FirebrandError("network", `${name}: the server answered ${response.status} ${response.statusText} (${mimeOf(response)}); ${advice}`, { file: name });
}

function refusePage(name: string): Refuse {
  return (start, response) => (looksLikeHtml(start) ? htmlError(name, response) : undefined);
}

function htmlError(name: string, response?: Response): FirebrandError {
  const answer = response?.status ? ` (status ${response.status}, ${mimeOf(response)})` : "";
  return new FirebrandError(
    "not_a_model",
    `${name}: expected an ONNX model, got a web page${answer}; hosts often answer with their index.html for files they do not have: check the address, and that the file was deployed`,
    { file: name },
  );
}

function fromString(given: string): Source {
  if (/^(https?|data|blob|file):/i.test(given)) return fromUrl(parseUrl(given));
  if (hasFiles()) return { from: "path", path: builtin("node:path")!.resolve(given) };
  return fromUrl(parseUrl(given, baseUrl()));
}

function fromUrl(url: URL): Source {
  if (url.protocol === "file:" && hasFiles()) return { from: "path", path: builtin("node:url")!.fileURLToPath(url) };
  return { from: "url", url: url.href };
}

function parseUrl(text: string, base?: string): URL {
  try {
    return new URL(text, base);
  } catch (error) {
    throw new FirebrandError("invalid_argument", `${JSON.stringify(text)} is not a URL`, { cause: error });
  }
}

function isResponse(given: unknown): given is Response {
  return typeof given === "object" && given !== null && "bodyUsed" in given && "headers" in given;
}

function isBuffer(given: unknown): given is ArrayBuffer {
  const tag = Object.prototype.toString.call(given);
  return tag === "[object ArrayBuffer]" || tag === "[object SharedArrayBuffer]";
}
