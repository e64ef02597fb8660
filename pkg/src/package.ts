//! Opening a package by its manifest. This is a file of its own, fetched by pages that load packages and by no others;
//! it is given what it shares with the rest, so that it imports nothing.
import { download, tidyCache, type Tools } from "./download.js";
import { compare, inputsOf } from "./golden.js";
import { parseManifest, type Manifest, type ManifestTask, type PackageFile, type StoredManifest } from "./manifest.js";
import { leavePart } from "./parts.js";
import type { ReportBytes } from "./progress.js";
import type { Source, WireValue } from "./protocol.js";

export type { Tools } from "./download.js";

export interface OpenRequest {
  source: Source;
  externalData: Record<string, Source>;
  cache: "auto" | "none";
  selfTest: boolean;
  /** Whether the graph alone is wanted. */
  graphOnly: boolean;
  signal: AbortSignal;
  /** Told of all files together. */
  onProgress: ReportBytes;
}

/** A package that is on its way. */
export interface OpenedPackage {
  model: Promise<Uint8Array>;
  /** The weight files of these names. */
  external(names: string[]): Promise<Record<string, Uint8Array>>;
  /** The manifest, with what files of their own hold of it. */
  manifest: Promise<Manifest>;
  /** All its files, for a host that is to open it again without fetching them; `undefined` where they are more than so many bytes. */
  keep(most: number): Promise<{ source: Source; externalData: Record<string, Source> } | undefined>;
  /** Runs a golden sample; the largest difference, or an error of kind `self_test_failed`. None where there is no sample. */
  selfTest: ((device: string, run: (inputs: WireValue[], outputs: string[]) => Promise<WireValue[]>) => Promise<number>) | undefined;
}

/** Over HTTP/1.1 a browser allows six connections; a package must not take them all. */
const filesAtOnce = 4;

export async function openPackage(request: OpenRequest, tools: Tools): Promise<OpenedPackage> {
  const { source, signal } = request;
  const { FirebrandError, nameOf } = tools;
  const name = nameOf(source);
  const fail = (kind: ConstructorParameters<typeof FirebrandError>[0], message: string) => new FirebrandError(kind, `${name}: ${message}`, { file: name });
  const text = await readText(request, tools);
  const stored = parseManifest(text, fail);

  // A Response's address is known, though its bytes came already.
  const home: Source = source.from === "blob" && /^https?:/.test(source.name ?? "") ? { from: "url", url: source.name! } : source;
  const placeOf = (file: string): Source => {
    const place = request.externalData[file] ?? tools.besideModel(file, home);
    if (!place) throw fail("missing_external_data", `the package's file "${file}" was not given: give it in options.externalData, or load the manifest from its URL`);
    return place;
  };
  const sample = request.selfTest && !request.graphOnly ? stored.golden?.samples[0] : undefined;
  const labelFiles = stored.outputs.flatMap(({ labels }) => (isFile(labels) ? [labels] : []));
  const wanted = request.graphOnly ? [stored.model] : [stored.model, ...stored.weights, ...(sample && stored.golden?.data ? [stored.golden.data] : []), ...labelFiles, ...taskFiles(stored)];
  const files = [...new Map(wanted.map((file) => [file.file, file])).values()];

  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const loaded = new Map<string, number>();
  const report = () => request.onProgress([...loaded.values()].reduce((sum, bytes) => sum + bytes, 0), total);
  // Whatever fails ends the other transfers too.
  const ending = new AbortController();
  if (signal.aborted) ending.abort(signal.reason);
  else signal.addEventListener("abort", () => ending.abort(signal.reason), { once: true, signal: ending.signal });

  const waiting = files.map((file) => ({ file, ...withResolvers<Uint8Array>() }));
  const arrived = new Map(waiting.map(({ file, promise }) => [file.file, promise]));
  const next = async () => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      const { file, resolve, reject } = one;
      const onBytes = (bytes: number) => (loaded.set(file.file, bytes), report());
      try {
        resolve(await download(file, placeOf(file.file), { signal: ending.signal, cache: request.cache, onBytes }, tools));
      } catch (error) {
        // The first failure is the one to tell; what it ends fails of that.
        const told = ending.signal.aborted && !signal.aborted ? ending.signal.reason : error;
        reject(told);
        ending.abort(told);
      }
    }
  };
  const done = Promise.all(Array.from({ length: filesAtOnce }, next));
  void done.then(() => {
    if (request.cache === "auto" && !request.graphOnly && !ending.signal.aborted && home.from === "url") void tidyCache(home.url, allFiles(stored));
  });

  const bytesOf = ({ file }: PackageFile) => arrived.get(file)!;
  const golden = sample && (stored.golden?.data ? bytesOf(stored.golden.data) : Promise.resolve(new Uint8Array()));
  golden?.catch(() => {});
  const manifest = withFiles(stored, bytesOf, request.graphOnly, fail);
  manifest.catch(() => {});
  return {
    model: bytesOf(stored.model),
    async external(names) {
      const known = new Map(stored.weights.map((file) => [file.file, file]));
      const found: Record<string, Uint8Array> = {};
      for (const file of names) {
        const entry = known.get(file);
        if (!entry) throw fail("invalid_manifest", `the graph keeps weights in ${JSON.stringify(file)}, which the manifest does not name`);
        found[file] = await bytesOf(entry);
      }
      return found;
    },
    manifest,
    async keep(most) {
      if (total > most) return undefined;
      const externalData: Record<string, Source> = {};
      for (const { file } of files) {
        const place = placeOf(file);
        // What was read from a file or a Blob is there to be read again.
        externalData[file] = place.from === "url" ? { from: "blob", blob: new Blob([(await arrived.get(file)!) as Uint8Array<ArrayBuffer>]), name: nameOf(place) } : place;
      }
      return { source: source.from === "url" ? { from: "blob", blob: new Blob([text]), name } : source, externalData };
    },
    selfTest:
      sample &&
      (async (device, run) => {
        const data = await golden!;
        const compared = compare(sample, await run(inputsOf(sample, data), Object.keys(sample.outputs)), data);
        if ("maxDifference" in compared) return compared.maxDifference;
        throw fail("self_test_failed", `this machine's ${device === "webgpu" ? "WebGPU" : "CPU"} computes a golden sample wrongly: ${compared.wrong}; use another device, or update the browser and the driver`);
      }),
  };
}

function isFile(labels: StoredManifest["outputs"][number]["labels"]): labels is PackageFile {
  return labels !== undefined && !Array.isArray(labels);
}

function taskFiles({ task }: StoredManifest): PackageFile[] {
  return Object.values(task?.files ?? {});
}

function allFiles(stored: StoredManifest): PackageFile[] {
  const { model, weights, golden, outputs } = stored;
  return [model, ...weights, ...(golden?.data ? [golden.data] : []), ...outputs.flatMap(({ labels }) => (isFile(labels) ? [labels] : [])), ...taskFiles(stored)];
}

async function withFiles(stored: StoredManifest, bytesOf: (file: PackageFile) => Promise<Uint8Array>, graphOnly: boolean, fail: (kind: "invalid_manifest", message: string) => Error): Promise<Manifest> {
  const outputs = stored.outputs.map(async ({ labels, ...output }) => {
    if (labels === undefined || (isFile(labels) && graphOnly)) return output;
    if (!isFile(labels)) return { ...output, labels };
    let texts: unknown;
    try {
      texts = JSON.parse(new TextDecoder().decode(await bytesOf(labels)));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
    if (!Array.isArray(texts) || !texts.every((text) => typeof text === "string")) throw fail("invalid_manifest", `${labels.file}: expected labels, a JSON array of texts`);
    return { ...output, labels: texts as string[] };
  });
  const { task, ...rest } = stored;
  return { ...rest, outputs: await Promise.all(outputs), ...(task && { task: await withTaskFiles(task, bytesOf, graphOnly) }) };
}

async function withTaskFiles({ files, ...task }: NonNullable<StoredManifest["task"]>, bytesOf: (file: PackageFile) => Promise<Uint8Array>, graphOnly: boolean): Promise<ManifestTask> {
  if (!files || graphOnly) return task;
  const read = Object.entries(files).map(async ([name, file]) => [name, { ...file, data: await bytesOf(file) }] as const);
  return { ...task, files: Object.fromEntries(await Promise.all(read)) };
}

/** The manifest's text. Its host is asked each time, so that a new version is seen. */
async function readText({ source, signal }: OpenRequest, tools: Tools): Promise<string> {
  const { FirebrandError, abortedError, describe, looksLikeHtml, mimeOf, nameOf } = tools;
  const name = nameOf(source);
  const page = (answer: string) =>
    new FirebrandError("invalid_manifest", `${name}: expected a package's manifest, got a web page${answer}; hosts often answer with their index.html for files they do not have: check the address, and that the package was published`, { file: name });
  if (source.from !== "url" || source.url.startsWith("file:")) {
    const bytes = await tools.read(source, { signal });
    if (looksLikeHtml(bytes)) throw page("");
    return new TextDecoder().decode(bytes);
  }
  let problem = "";
  for (const wait of [0, 250, 1000]) {
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (signal.aborted) throw abortedError(signal);
    try {
      const response = await fetch(source.url, { signal, cache: "no-cache" });
      if (!response.ok) {
        problem = `the server answered ${response.status} ${response.statusText} (${mimeOf(response)})`;
        if (response.status < 500 && response.status !== 429) break;
        continue;
      }
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (looksLikeHtml(bytes)) throw page(` (status ${response.status}, ${mimeOf(response)})`);
      return new TextDecoder().decode(bytes);
    } catch (error) {
      if (signal.aborted) throw abortedError(signal);
      if (error instanceof FirebrandError) throw error;
      problem = `it could not be fetched (${describe(error)})`;
    }
  }
  throw new FirebrandError("network", `${name}: ${problem}: check the address and the connection, and for another origin that its server sends CORS headers`, { file: name });
}

function withResolvers<T>(): { promise: Promise<T>; resolve(value: T): void; reject(reason: unknown): void } {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]));
  // Whoever waits for it is told; nobody may.
  promise.catch(() => {});
  return { promise, resolve, reject };
}

leavePart("package", { openPackage });
