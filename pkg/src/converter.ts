//! The converter's WebAssembly at work, in a worker or in place.
import type { BuildReport, BuiltFile, BuiltPackage, ConvertProgress, Converted, Work } from "./convert.js";
import { toFailure, type Source } from "./protocol.js";
import { startModule, type Startable } from "./runtime.js";
import { read, readExternal } from "./source.js";

type Files = Record<string, Uint8Array>;

/** What wasm-bindgen writes beside the converter's WebAssembly. */
export interface Converter extends Startable {
  convert(name: string, model: Uint8Array, beside: Files, options: string): Converted;
  build(name: string, model: Uint8Array, beside: Files, options: string, data: Files | undefined, calibrate: Files | undefined, onProgress: (step: string, done: number, total: number) => boolean): { files: BuiltFile[]; report: string; html: string };
}

let opened: Promise<Converter> | undefined;

/** Starts the WebAssembly, once. Bundlers find and copy its files by these very expressions. */
function open(): Promise<Converter> {
  if (opened) return opened;
  const files = { glue: new URL("./wasm/convert/firebrand.js", import.meta.url), wasm: new URL("./wasm/convert/firebrand_bg.wasm", import.meta.url) };
  opened = startModule<Converter>("convert", files, {}).then(({ glue }) => glue);
  opened.catch(() => (opened = undefined));
  return opened;
}

/** Does what was asked for; `tell` gives `false` to end it. */
export async function work({ call, name, source, beside, options, data, calibrate }: Work, tell: (progress: ConvertProgress) => boolean): Promise<Converted | BuiltPackage> {
  const opening = open();
  opening.catch(() => {});
  const fetched = (done: number, total = 0) => void tell({ step: "fetch", done, total });
  const model = await read(source, { onProgress: fetched });
  const [besides, samples, ranges] = await Promise.all([readAll(beside, (file, from) => readExternal(file, from, {})), data && readAll(data), calibrate && readAll(calibrate)]);
  const converter = await opening;
  tell({ step: "read", done: 0, total: 1 });
  try {
    if (call === "convert") return converter.convert(name, model, besides, options);
    const built = converter.build(name, model, besides, options, samples, ranges, (step, done, total) => tell({ step, done, total }));
    return { ...built, report: JSON.parse(built.report) as BuildReport };
  } catch (error) {
    // After a trap the instance can no longer be trusted; the next call starts another.
    if (toFailure(error).fatal) opened = undefined;
    throw error;
  }
}

async function readAll(files: Record<string, Source>, readOne: (file: string, source: Source) => Promise<Uint8Array> = (_, source) => read(source)): Promise<Files> {
  return Object.fromEntries(await Promise.all(Object.entries(files).map(async ([file, source]) => [file, await readOne(file, source)] as const)));
}
