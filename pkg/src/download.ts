//! Fetching a file whose size and hash are known: hashed while it comes, taken up again where a connection broke, kept
//! by its hash between visits. What comes out is what the manifest names, or an error.
import { sha256 } from "@noble/hashes/sha2.js";
import type { FirebrandError as FirebrandErrorClass } from "./error.js";
import type { PackageFile } from "./manifest.js";
import type { Source } from "./protocol.js";
import type * as source from "./source.js";

/** What the rest of the package lends this file, which bundlers copy as it is: there is one FirebrandError. */
export interface Tools {
  FirebrandError: typeof FirebrandErrorClass;
  abortedError(signal: AbortSignal): FirebrandErrorClass;
  describe(thrown: unknown): string;
  read: typeof source.read;
  nameOf: typeof source.nameOf;
  besideModel: typeof source.besideModel;
  looksLikeHtml: typeof source.looksLikeHtml;
  mimeOf: typeof source.mimeOf;
}

export interface DownloadOptions {
  signal: AbortSignal;
  cache: "auto" | "none";
  /** Told how many bytes of the file are there; fewer than before where it has to start over. */
  onBytes(loaded: number): void;
}

/** Tries in a row without a byte more, before the network is given up. */
const patience = 4;

/** The first wait between two tries, in milliseconds; each further one is twice as long. */
const firstWait = 250;

/** A try failed in a way that another may not. */
class Interruption {
  constructor(readonly reason: string) {}
}

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A file's bytes, from the cache, from where it was given, or from its host. */
export async function download(file: PackageFile, from: Source, options: DownloadOptions, tools: Tools): Promise<Uint8Array<ArrayBuffer>> {
  if (from.from !== "url" || from.url.startsWith("file:")) {
    const bytes = (await tools.read(from, { signal: options.signal })) as Uint8Array<ArrayBuffer>;
    const got = hex(sha256(bytes));
    if (bytes.byteLength !== file.bytes || got !== file.sha256) throw isAnother(file, tools.nameOf(from), bytes.byteLength === file.bytes ? `SHA-256 ${got}` : `${bytes.byteLength} bytes`, tools);
    options.onBytes(file.bytes);
    return bytes;
  }
  const cached = options.cache === "auto" ? await fromCache(file) : undefined;
  if (options.signal.aborted) throw tools.abortedError(options.signal);
  if (cached) {
    options.onBytes(file.bytes);
    return cached;
  }
  const bytes = await fromHost(file, from.url, options, tools);
  if (options.cache === "auto") void toCache(file, bytes);
  return bytes;
}

async function fromHost(file: PackageFile, url: string, options: DownloadOptions, tools: Tools): Promise<Uint8Array<ArrayBuffer>> {
  const transfer = new Transfer(file, url, options, tools);
  // The browser's own cache may hold what the host had yesterday: what is wrong is fetched past it, once.
  for (const cache of ["default", "reload"] as const) {
    const got = await transfer.run(cache);
    if (got === file.sha256) return transfer.bytes;
    if (cache === "reload") throw isAnother(file, url, transfer.got(got), tools);
    transfer.restart();
  }
  throw new Error("unreachable");
}

class Transfer {
  bytes = new Uint8Array(0);
  loaded = 0;
  readonly #file: PackageFile;
  readonly #url: string;
  readonly #options: DownloadOptions;
  readonly #tools: Tools;
  #hash = sha256.create();
  /** The strong ETag of what came so far; a range of anything else is of no use. */
  #etag: string | undefined;
  /** Whether a part may be asked for: of a compressed answer it would be a part of other bytes. */
  #mayContinue = true;
  /** Whether more came than the file has. */
  #isTooLong = false;
  /** Asking another origin with headers beyond a plain range would need its consent first. */
  readonly #isSameOrigin: boolean;

  constructor(file: PackageFile, url: string, options: DownloadOptions, tools: Tools) {
    this.#file = file;
    this.#url = url;
    this.#options = options;
    this.#tools = tools;
    const { location } = globalThis as { location?: Location };
    this.#isSameOrigin = !location || new URL(url).origin === location.origin;
  }

  /** What came, in words. */
  got(hash: string): string {
    if (this.#isTooLong) return `more than ${this.#file.bytes} bytes`;
    return this.loaded === this.#file.bytes ? `SHA-256 ${hash}` : `${this.loaded} bytes`;
  }

  restart(): void {
    this.loaded = 0;
    this.#isTooLong = false;
    this.#hash = sha256.create();
    this.#etag = undefined;
    this.#options.onBytes(0);
  }

  /** Fetches until all bytes are there; gives their hash. */
  async run(cache: "default" | "reload"): Promise<string> {
    const { FirebrandError } = this.#tools;
    let most = -1;
    for (let vain = 0; ; ) {
      try {
        await this.#attempt(cache);
        return hex(this.#hash.digest());
      } catch (error) {
        if (!(error instanceof Interruption)) throw error;
        vain = this.loaded > most ? 0 : vain + 1;
        most = Math.max(most, this.loaded);
        if (vain >= patience) {
          throw new FirebrandError("network", `${this.#url}: ${error.reason}, after ${this.loaded} of ${this.#file.bytes} bytes and ${patience} tries in vain; check the connection and the server, and try again`, { file: this.#url });
        }
        if (!this.#mayContinue) this.restart();
        await this.#wait(firstWait * 2 ** vain);
      }
    }
  }

  async #attempt(cache: "default" | "reload"): Promise<void> {
    const { signal } = this.#options;
    const { describe, abortedError, looksLikeHtml, mimeOf } = this.#tools;
    const headers: Record<string, string> = {};
    if (this.loaded > 0) {
      headers["Range"] = `bytes=${this.loaded}-`;
      if (this.#etag && this.#isSameOrigin) headers["If-Range"] = this.#etag;
    }
    let response: Response;
    try {
      response = await fetch(this.#url, { signal, headers, cache: this.loaded > 0 ? "no-store" : cache });
    } catch (error) {
      if (signal.aborted) throw abortedError(signal);
      // Another origin may not allow ranges, and says so by failing.
      if (!this.#isSameOrigin) this.#mayContinue = false;
      throw new Interruption(`it could not be fetched (${describe(error)})`);
    }
    const { status } = response;
    if (status === 206 && this.loaded > 0 && response.headers.get("content-range")?.startsWith(`bytes ${this.loaded}-`) === false) {
      this.restart();
      throw new Interruption("the server sent another part than was asked for");
    }
    if (status === 416) {
      this.restart();
      throw new Interruption("the server has no such part of it");
    }
    if (!response.ok) this.#refuse(response);
    if (status !== 206 && this.loaded > 0) this.restart();
    if (this.loaded === 0) {
      const etag = response.headers.get("etag");
      this.#etag = etag?.startsWith('"') ? etag : undefined;
      this.#mayContinue = (response.headers.get("content-encoding") ?? "identity") === "identity";
    }
    this.#allocate();
    const reader = response.body?.getReader();
    const stop = () => void reader?.cancel(signal.reason).catch(() => {});
    signal.addEventListener("abort", stop, { once: true });
    try {
      while (reader) {
        const { done, value } = await reader.read();
        if (signal.aborted) throw abortedError(signal);
        if (done) break;
        if (this.loaded === 0 && this.#file.bytes > 0 && looksLikeHtml(value)) throw this.#page(`status ${status}, ${mimeOf(response)}`);
        if (this.loaded + value.byteLength > this.#file.bytes) {
          this.#isTooLong = true;
          return stop();
        }
        this.bytes.set(value, this.loaded);
        this.#hash.update(value);
        this.loaded += value.byteLength;
        this.#options.onBytes(this.loaded);
      }
    } catch (error) {
      stop();
      if (signal.aborted) throw abortedError(signal);
      if (error instanceof this.#tools.FirebrandError) throw error;
      throw new Interruption(`the connection ended (${describe(error)})`);
    } finally {
      signal.removeEventListener("abort", stop);
    }
    // An answer that ends well before the file does is all that the host has of it: another file.
  }

  #allocate(): void {
    if (this.bytes.byteLength === this.#file.bytes) return;
    try {
      this.bytes = new Uint8Array(this.#file.bytes);
    } catch (error) {
      throw new this.#tools.FirebrandError("out_of_memory", `${this.#url}: ${this.#file.bytes} bytes do not fit into memory`, { file: this.#url, cause: error });
    }
  }

  #refuse(response: Response): never {
    const answered = `the server answered ${response.status} ${response.statusText}`;
    void response.body?.cancel().catch(() => {});
    const { FirebrandError, mimeOf } = this.#tools;
    if (response.status === 404 || response.status === 410) {
      throw new FirebrandError("missing_external_data", `${this.#url}: the package needs this file, and ${answered}; publish the package's whole folder`, { file: this.#url });
    }
    if (response.status >= 500 || response.status === 408 || response.status === 429) throw new Interruption(answered);
    throw new FirebrandError("network", `${this.#url}: ${answered} (${mimeOf(response)}); check the server`, { file: this.#url });
  }

  #page(answer: string): FirebrandErrorClass {
    return new this.#tools.FirebrandError(
      "missing_external_data",
      `${this.#url}: the package needs this file, and got a web page (${answer}); hosts often answer with their index.html for files they do not have: publish the package's whole folder`,
      { file: this.#url },
    );
  }

  async #wait(milliseconds: number): Promise<void> {
    const { signal } = this.#options;
    const { abortedError } = this.#tools;
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => (clearTimeout(timer), reject(abortedError(signal)));
      const timer = setTimeout(() => (signal.removeEventListener("abort", onAbort), resolve()), milliseconds);
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}

function isAnother(file: PackageFile, where: string, got: string, tools: Tools): FirebrandErrorClass {
  const expected = got.startsWith("SHA-256") ? `SHA-256 ${file.sha256}` : `${file.bytes} bytes`;
  return new tools.FirebrandError(
    "integrity",
    `${where}: expected ${expected}, got ${got}: this is not the file that the manifest names; publish the package's folder as a whole, and purge caches in front of it`,
    { file: where },
  );
}

const cacheName = "firebrand-packages";
const key = (hash: string) => `https://firebrand.invalid/sha256/${hash}`;
const listKey = (manifest: string) => `https://firebrand.invalid/package?${encodeURIComponent(manifest)}`;

/** The cache, where there is one: not on insecure pages, not in Node, not where the user forbids it. */
async function openCache(): Promise<Cache | undefined> {
  try {
    return typeof caches === "object" ? await caches.open(cacheName) : undefined;
  } catch {
    return undefined;
  }
}

async function fromCache(file: PackageFile): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    const cache = await openCache();
    const found = await cache?.match(key(file.sha256));
    if (!found) return undefined;
    const bytes = new Uint8Array(file.bytes);
    const hash = sha256.create();
    let loaded = 0;
    const reader = found.body?.getReader();
    for (let piece = await reader?.read(); piece?.value; piece = await reader?.read()) {
      // What is too long throws, and is fetched afresh as what is damaged is.
      bytes.set(piece.value, loaded);
      hash.update(piece.value);
      loaded += piece.value.byteLength;
    }
    if (loaded === file.bytes && hex(hash.digest()) === file.sha256) return bytes;
    await cache!.delete(key(file.sha256));
  } catch {
    // A cache that fails is as good as none.
  }
  return undefined;
}

async function toCache(file: PackageFile, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    await (await openCache())?.put(key(file.sha256), new Response(bytes, { headers: { "Content-Type": "application/octet-stream" } }));
  } catch {
    // It may be full; the next visit fetches again.
  }
}

/** Drops what earlier versions of a package left in the cache, and no package on this origin uses now. */
export async function tidyCache(manifest: string, files: readonly PackageFile[]): Promise<void> {
  try {
    const cache = await openCache();
    if (!cache) return;
    const own = files.map(({ sha256 }) => sha256);
    const before: string[] = (await (await cache.match(listKey(manifest)))?.json()) ?? [];
    await cache.put(listKey(manifest), new Response(JSON.stringify(own)));
    const gone = before.filter((hash) => !own.includes(hash));
    if (gone.length === 0) return;
    const used = new Set<string>();
    for (const { url } of await cache.keys()) {
      if (!url.startsWith(listKey(""))) continue;
      for (const hash of (await (await cache.match(url))?.json()) ?? []) used.add(hash);
    }
    for (const hash of gone) if (!used.has(hash)) await cache.delete(key(hash));
  } catch {
    // As above.
  }
}
