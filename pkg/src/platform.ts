//! What differs between browsers and Node. Built-in modules are asked for at run time, so that
//! bundlers for browsers never meet a `node:` import.

type BuiltinModules = {
  "node:fs/promises": typeof import("node:fs/promises");
  "node:os": typeof import("node:os");
  "node:path": typeof import("node:path");
  "node:url": typeof import("node:url");
  "node:worker_threads": typeof import("node:worker_threads");
};

/** A module that is built into Node, or `undefined` elsewhere. */
export function builtin<Name extends keyof BuiltinModules>(name: Name): BuiltinModules[Name] | undefined {
  const node = nodeProcess();
  if (typeof node?.getBuiltinModule !== "function") return undefined;
  return node.getBuiltinModule(name) as BuiltinModules[Name] | undefined;
}

/** Node's `process`. For the bare name Parcel and others bring a stand-in into the page, unasked. */
export function nodeProcess(): typeof process | undefined {
  return (globalThis as { process?: typeof process }).process;
}

/** Whether strings may name files: there is a file system, and no page whose address they could be relative to. */
export function hasFiles(): boolean {
  return builtin("node:fs/promises") !== undefined && baseUrl() === undefined;
}

/** What relative URLs are relative to. */
export function baseUrl(): string | undefined {
  if (typeof document === "object") return document.baseURI;
  if (typeof location === "object") return location.href;
  return undefined;
}

/** Node's threads, where they are what workers are made of. Some libraries put them in the place of the browsers' `Worker`. */
export function nodeThreads(): BuiltinModules["node:worker_threads"] | undefined {
  const threads = builtin("node:worker_threads");
  const { Worker } = globalThis as { Worker?: unknown };
  return Worker === undefined || Worker === threads?.Worker ? threads : undefined;
}

/** Whether calls get a worker of their own unless the caller says otherwise. */
export function prefersWorker(): boolean {
  return typeof Worker === "function" && nodeThreads() === undefined;
}
