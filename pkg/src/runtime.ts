//! Getting the WebAssembly: which build fits this machine, fetching, compiling, and what to say when
//! a host sends something else.
import { adviceForFiles, diagnose, oneVersion } from "./deployment.js";
import { FirebrandError, abortedError, describe } from "./error.js";
import { importPart } from "./parts.js";
import { builtin } from "./platform.js";
import type { Profile } from "./profile.js";
import type { Device, GraphOptimizationLevel, ModelReport, SessionInfo, ValueInfo, WireValue } from "./protocol.js";
import { consume, looksLikeHtml, mimeOf, read, readResponse, request, type ReadOptions } from "./source.js";
import { runtimeVersion } from "./version.js";

/** An instance of the module that wasm-bindgen writes beside the WebAssembly. */
export interface Glue extends Startable {
  default(options: { module_or_path: WebAssembly.Module }): Promise<{ memory: WebAssembly.Memory }>;
  inspect(model: Uint8Array): ModelReport;
  externalFiles(model: Uint8Array): string[];
  runtimeInfo(): { version: string; simd: "relaxed" | "simd128"; device: Device };
  WasmSession: {
    load(model: Uint8Array, externalData: Record<string, Uint8Array>, options: WasmSessionOptions): Promise<WasmSession>;
  };
}

/** A build that was started, and what other threads need to join it. */
export interface Runtime {
  glue: Glue;
  /** The address of `glue`. */
  url: string;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
}

/** How the runtime loads. */
export interface WasmSessionOptions {
  device: Device;
  intraOpNumThreads: number;
  graphOptimizationLevel?: GraphOptimizationLevel;
}

/** What came of a run; {@link SessionInfo} says what the numbers are. */
export interface Ran {
  outputs: WireValue[];
  memoryBytes: number;
  peakBytes: number;
  profile?: Profile;
}

export interface WasmSession {
  inputs(): ValueInfo[];
  outputs(): ValueInfo[];
  info(): Omit<SessionInfo, "deviceReason" | "threadsReason" | "timings" | "lastRunMs" | "lastRunPeakBytes">;
  run(inputs: WireValue[], outputs: string[] | undefined, profile: boolean): Promise<Ran>;
  free(): void;
}

/**
 * A build of the runtime. The first three are small and have the common operators; the others have all. Only the third
 * has threads.
 */
export type Build = "cpu-simd128" | "cpu-relaxed" | "cpu-threads" | "cpu-all" | "webgpu";

// Modules whose only function uses one instruction: v128.any_true and i8x16.relaxed_swizzle.
const usesSimd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const usesRelaxedSimd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11];

/**
 * The quickest build for a device that this machine can run, with threads where there is to be more than one.
 *
 * @throws {@link FirebrandError} of kind `unsupported_browser` where there is no WebAssembly, or none with SIMD.
 */
export function chooseBuild(device: Device, threads = 1, validate: (bytes: Uint8Array<ArrayBuffer>) => boolean = canRun): Build {
  if (!validate(new Uint8Array(usesSimd))) {
    const lacking = typeof WebAssembly === "object" ? "this browser's WebAssembly has no 128-bit SIMD (simd128)" : "this browser has no WebAssembly, or it is switched off";
    throw new FirebrandError("unsupported_browser", `${lacking}, which Firebrand needs: use Chrome or Edge 91, Firefox 89, Safari 16.4, Node 20, or later`);
  }
  if (device === "webgpu") return "webgpu";
  if (!validate(new Uint8Array(usesRelaxedSimd))) return "cpu-simd128";
  return threads > 1 ? "cpu-threads" : "cpu-relaxed";
}

/** The build for the same device that has all operators, where `build` has the common ones only. */
export function buildWithAll(build: Build): Build | undefined {
  return build === "cpu-all" || build === "webgpu" ? undefined : "cpu-all";
}

function canRun(bytes: Uint8Array<ArrayBuffer>): boolean {
  return typeof WebAssembly === "object" && WebAssembly.validate(bytes);
}

/** Where a build's two files are. Bundlers find and copy them by these very expressions. */
function filesOf(build: Build): { glue: URL; wasm: URL } {
  switch (build) {
    case "cpu-simd128":
      return {
        glue: new URL("./wasm/cpu-simd128/firebrand.js", import.meta.url),
        wasm: new URL("./wasm/cpu-simd128/firebrand_bg.wasm", import.meta.url),
      };
    case "cpu-relaxed":
      return {
        glue: new URL("./wasm/cpu-relaxed/firebrand.js", import.meta.url),
        wasm: new URL("./wasm/cpu-relaxed/firebrand_bg.wasm", import.meta.url),
      };
    case "cpu-threads":
      return {
        glue: new URL("./wasm/cpu-threads/firebrand.js", import.meta.url),
        wasm: new URL("./wasm/cpu-threads/firebrand_bg.wasm", import.meta.url),
      };
    case "cpu-all":
      return {
        glue: new URL("./wasm/cpu-all/firebrand.js", import.meta.url),
        wasm: new URL("./wasm/cpu-all/firebrand_bg.wasm", import.meta.url),
      };
    case "webgpu":
      return {
        glue: new URL("./wasm/webgpu/firebrand.js", import.meta.url),
        wasm: new URL("./wasm/webgpu/firebrand_bg.wasm", import.meta.url),
      };
  }
}

const opened = new Map<Build, Promise<Runtime>>();

/** The part that opens packages: a file of its own, which bundlers find and copy by this very expression. */
export function importPackages(): Promise<typeof import("./package.js")> {
  return openPart("package", new URL("./package.js", import.meta.url));
}

/** Starts a build, once for this page, worker or process, until {@link abandonRuntime}. */
export async function openRuntime(build: Build, options: ReadOptions = {}): Promise<Runtime> {
  const known = opened.get(build);
  if (known) {
    try {
      return await known;
    } catch (error) {
      // Whoever began was aborted; this caller was not.
      if (!(error instanceof FirebrandError && error.kind === "aborted") || options.signal?.aborted) throw error;
      return openRuntime(build, options);
    }
  }
  const opening = start(build, options);
  opened.set(build, opening);
  opening.catch(() => {
    if (opened.get(build) === opening) opened.delete(build);
  });
  return opening;
}

/** Forgets an instance that can no longer be trusted; the next {@link openRuntime} starts another. */
export function abandonRuntime(build: Build, glue: Glue): void {
  const known = opened.get(build);
  if (!known) return;
  void known.then((current) => {
    if (current.glue === glue && opened.get(build) === known) opened.delete(build);
  });
}

async function start(build: Build, options: ReadOptions): Promise<Runtime> {
  const files = filesOf(build);
  const { glue, module, exports } = await startModule<Glue>(build, files, options);
  return { glue, url: files.glue.href, module, memory: exports.memory };
}

/** What wasm-bindgen writes beside any of our WebAssembly. */
export interface Startable {
  default(options: { module_or_path: WebAssembly.Module }): Promise<unknown>;
  runtimeInfo(): { version: string };
}

/**
 * Fetches, compiles and starts a new instance of WebAssembly, with the module that wasm-bindgen wrote beside it.
 *
 * @throws {@link FirebrandError} of kind `version_mismatch` where these are not of one version, and of this one
 */
export async function startModule<Module extends Startable>(name: string, files: { glue: URL; wasm: URL }, options: ReadOptions): Promise<{ glue: Module; module: WebAssembly.Module; exports: Awaited<ReturnType<Module["default"]>> }> {
  const [instantiate, module] = await Promise.all([openPart<() => Module>(name, files.glue), compile(files.wasm, options)]);
  const glue = instantiate();
  let exports: Awaited<ReturnType<Module["default"]>>;
  let version: string;
  try {
    exports = (await glue.default({ module_or_path: module })) as Awaited<ReturnType<Module["default"]>>;
    ({ version } = glue.runtimeInfo());
  } catch (error) {
    throw new FirebrandError("version_mismatch", `${files.wasm.href} does not fit ${files.glue.href} (${describe(error)}): expected both to be of Firebrand ${runtimeVersion}; ${oneVersion}`, { file: files.wasm.href, cause: error });
  }
  if (version !== runtimeVersion) {
    throw new FirebrandError("version_mismatch", `${files.wasm.href}: expected the WebAssembly of Firebrand ${runtimeVersion}, got that of ${version}; ${oneVersion}`, { file: files.wasm.href });
  }
  return { glue, module, exports };
}

async function openPart<Part>(name: string, { href }: URL): Promise<Part> {
  let part: Part | undefined;
  try {
    part = await importPart<Part>(name, href);
  } catch (error) {
    throw new FirebrandError("network", `${await diagnose(href)}: expected JavaScript (text/javascript; ${describe(error)}); ${adviceForFiles()}`, { file: href, cause: error });
  }
  if (part !== undefined) return part;
  throw new FirebrandError("version_mismatch", `${href}: expected a file of Firebrand ${runtimeVersion}, got other JavaScript; ${oneVersion}`, { file: href });
}

async function compile(url: URL, options: ReadOptions): Promise<WebAssembly.Module> {
  const { signal } = options;
  if (url.protocol === "file:" && builtin("node:fs/promises")) {
    return compileBytes(await read({ from: "url", url: url.href }, options), url.href);
  }
  const response = await request(url.href, signal).catch((error) => {
    if (!(error instanceof FirebrandError) || error.kind !== "network") throw error;
    throw new FirebrandError("network", `${error.message}; ${adviceForFiles()}`, { file: url.href, cause: error });
  });
  if (typeof WebAssembly.compileStreaming !== "function" || !mimeOf(response).startsWith("application/wasm")) {
    const bytes = await readResponse(response, url.href, (start, answer) => (isNotWasm(start) ? notWasm(url.href, answer, start) : undefined), options);
    return compileBytes(bytes, url.href);
  }
  // Browsers keep the compiled code of a response of theirs, but not of one made by script: so the
  // response itself is compiled, and a copy of it counted.
  let start = new Uint8Array();
  const counted = consume(response.clone(), url.href, options, (chunk) => {
    if (start.byteLength === 0) start = chunk.slice(0, 256);
  });
  counted.catch(() => {});
  try {
    const [module] = await Promise.all([WebAssembly.compileStreaming(response), counted]);
    return module;
  } catch (error) {
    if (signal?.aborted) throw abortedError(signal);
    await counted;
    if (start.byteLength === 0 || isNotWasm(start)) throw notWasm(url.href, response, start);
    throw cannotCompile(url.href, error);
  }
}

async function compileBytes(bytes: Uint8Array, url: string): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>);
  } catch (error) {
    throw cannotCompile(url, error);
  }
}

/** Whether bytes begin as no WebAssembly does; a first piece that is too short to tell may still be some. */
function isNotWasm(start: Uint8Array): boolean {
  return [0, 0x61, 0x73, 0x6d].some((byte, at) => at < start.byteLength && start[at] !== byte);
}

function notWasm(url: string, response: Response, bytes: Uint8Array): FirebrandError {
  const got = looksLikeHtml(bytes) ? "a web page" : bytes.byteLength === 0 ? "nothing" : "other bytes";
  return new FirebrandError(
    "network",
    `${url}: expected WebAssembly, got ${got} (status ${response.status}, ${mimeOf(response)}); hosts often answer with their index.html for files they do not have: deploy the package's dist folder as a whole`,
    { file: url },
  );
}

function cannotCompile(url: string, error: unknown): FirebrandError {
  const reason = describe(error);
  const advice = /unsafe-eval|Content Security Policy/i.test(reason)
    ? "add 'wasm-unsafe-eval' to the page's (and the worker's) Content-Security-Policy, in script-src"
    : "the file may be damaged or this browser too old; deploy it again, or update the browser";
  return new FirebrandError("device_unavailable", `${url} could not be compiled (${reason}): ${advice}`, { file: url, cause: error });
}
