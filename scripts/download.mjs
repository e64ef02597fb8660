// Fetches one file: resumes a cut download, checks its SHA-256, and puts it in place in one rename.
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

const attempts = 4;
const silenceMs = 60_000;

/** The registry gave no answer at all; nothing can be done before there is a network. */
export class Offline extends Error {
  constructor(what, cause) {
    const codes = [cause?.cause?.code, cause?.code, cause?.stderr?.match(/\bE[A-Z_]{4,}\b/)?.[0]];
    const reason = codes.find((code) => typeof code === "string") ?? cause?.cause?.message ?? cause?.message ?? "no answer";
    super(`offline: ${what} is not in the cache and the registry cannot be reached (${reason}); connect once and run again`, { cause });
    this.name = "Offline";
  }
}

/** The bytes that came are not the pinned ones. */
export class Corrupted extends Error {
  constructor(file, expected, got) {
    super(`${basename(file)}: expected SHA-256 ${expected}, got ${got}: the download was thrown away; run again, and if it repeats, the registry serves another file than the pinned one`);
    this.name = "Corrupted";
  }
}

export async function sha256(file) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

const sizeOf = (file) => stat(file).then((s) => s.size, () => 0);

/** fetch, with credentials in the address (as pip allows them) moved to a header. */
export function request(address, init = {}) {
  const url = new URL(address);
  const headers = new Headers(init.headers);
  if (url.username) {
    const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    headers.set("authorization", `Basic ${Buffer.from(credentials).toString("base64")}`);
    url.username = url.password = "";
  }
  return fetch(url, { ...init, headers });
}

function progressLine(name, total) {
  if (!process.stderr.isTTY) return () => {};
  let last = 0;
  return (loaded, done) => {
    const now = Date.now();
    if (!done && now - last < 100) return;
    last = now;
    const mb = (n) => (n / 1e6).toFixed(1);
    process.stderr.write(`\r  ${name}  ${mb(loaded)}${total ? ` / ${mb(total)}` : ""} MB${done ? "\n" : " "}`);
  };
}

/** Appends to `part` what is missing of `url`; resolves when the body has ended. */
async function fetchRest(url, part, bytes) {
  const have = await sizeOf(part);
  if (bytes && have >= bytes) return;
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(new Error("no data for 60 s")), silenceMs);
  try {
    const headers = { "accept-encoding": "identity" };
    if (have > 0) headers.range = `bytes=${have}-`;
    const response = await request(url, { headers, signal: abort.signal });
    if (response.status === 416) {
      await response.body?.cancel();
      await rm(part, { force: true });
      throw new Error("the server has no such range; starting over");
    }
    if (!response.ok) {
      const error = new Error(`${new URL(url).host} answered ${response.status} ${response.statusText}`);
      error.final = response.status < 500 && response.status !== 429;
      throw error;
    }
    const resumed = response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${have}-`);
    const show = progressLine(basename(part, ".part"), bytes);
    let loaded = resumed ? have : 0;
    const watch = new Transform({
      transform(chunk, _encoding, next) {
        loaded += chunk.length;
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(new Error("no data for 60 s")), silenceMs);
        show(loaded, false);
        next(null, chunk);
      },
    });
    await pipeline(Readable.fromWeb(response.body), watch, createWriteStream(part, { flags: resumed ? "a" : "w" }));
    show(loaded, true);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Makes `file` the file of `url` whose SHA-256 is `sha256`; resolves to true when it had to be fetched.
 * A cut download stays as `file.part` and is resumed by the next call.
 * `url` may be a function that finds the address; it is called only when the file is missing.
 */
export async function download({ url, file, sha256: expected, bytes, pauseMs = 500 }) {
  if (await sizeOf(file)) {
    if ((await sha256(file)) === expected) return false;
    await rm(file);
  }
  await mkdir(dirname(file), { recursive: true });
  const part = `${file}.part`;
  const address = typeof url === "function" ? await url() : url;
  let resumable = (await sizeOf(part)) > 0;
  for (let attempt = 1; ; attempt++) {
    try {
      await fetchRest(address, part, bytes);
    } catch (cause) {
      if (cause.final || attempt === attempts) {
        if (cause.final) throw cause;
        throw new Offline(basename(file), cause);
      }
      resumable ||= (await sizeOf(part)) > 0;
      await sleep(pauseMs * 2 ** (attempt - 1));
      continue;
    }
    if (bytes && (await sizeOf(part)) < bytes && attempt < attempts) continue;
    const got = await sha256(part);
    if (got === expected) break;
    await rm(part);
    // What was left over from an earlier run may be of another file: one clean try settles it.
    if (!resumable) throw new Corrupted(file, expected, got);
    resumable = false;
  }
  await rename(part, file);
  return true;
}
