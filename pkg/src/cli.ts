#!/usr/bin/env node
//! `npx firebrand`: the same command line as the native program, on Node's files and terminal.
import { lstatSync, mkdirSync, readFileSync, readdirSync, realpathSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { importPart } from "./parts.js";

/** A module of the converter's build with the command line in it. */
interface Program {
  initSync(options: { module: WebAssembly.Module }): unknown;
  runCommand(args: string[], host: object): number;
}

const streams = { 1: process.stdout, 2: process.stderr } as const;
let hasReported = false;

/** What the commands need of the machine; `src/cli/host.rs` has the other side. */
const host = {
  readFile: (path: string) => new Uint8Array(readFileSync(path)),
  writeFile: (path: string, bytes: Uint8Array) => writeFileSync(path, bytes),
  rename: (from: string, to: string) => renameSync(from, to),
  removeFile: (path: string) => unlinkSync(path),
  removeFolder: (path: string) => rmSync(path, { recursive: true }),
  makeFolder: (path: string) => void mkdirSync(path || ".", { recursive: true }),
  listFolder: (path: string) => readdirSync(path || ".", { withFileTypes: true }).map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)),
  stat(path: string): number {
    const found = statSync(path);
    return found.isDirectory() ? -1 : found.isFile() ? found.size : -2;
  },
  isLink: (path: string) => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false,
  realPath(path: string): string | undefined {
    try {
      return realpathSync(path);
    } catch {
      return undefined;
    }
  },
  write(stream: 1 | 2, text: string): void {
    hasReported ||= stream === 2 && text.includes("error:");
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(stream, bytes, at);
      } catch (error) {
        // A pipe whose reader is slow.
        if ((error as { code?: string }).code !== "EAGAIN") throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
  },
  isTerminal: (stream: 1 | 2) => isatty(stream),
  hasColours: (stream: 1 | 2) => isatty(stream) && streams[stream].hasColors(),
  now: () => performance.now(),
};

/** Windows takes both slashes; the commands know one. */
const native = (argument: string) => (process.platform === "win32" ? argument.replaceAll("\\", "/") : argument);

const instantiate = await importPart<() => Program>("convert", new URL("./wasm/convert/firebrand.js", import.meta.url).href);
if (!instantiate) throw new Error("the installation is damaged: its files are of different versions; install the package again");
const program = instantiate();
program.initSync({ module: new WebAssembly.Module(readFileSync(new URL("./wasm/convert/firebrand_bg.wasm", import.meta.url))) });
try {
  process.exitCode = program.runCommand(["firebrand", ...process.argv.slice(2).map(native)], host);
} catch (error) {
  // A panic has said so itself; memory that cannot be had has not.
  if (!hasReported) host.write(2, `error: the program ran out of memory, or stopped unexpectedly (${error instanceof Error ? error.message : String(error)})\n`);
  process.exitCode = 2;
}
