import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { besideModel, checkModelBytes, fileNameOf, read, readExternal, toSource } from "../src/source.js";
import { rejectionOf, thrownBy } from "./thrown.js";

const model = new Uint8Array(200_000).map((_, index) => index % 251);
const page = "<!DOCTYPE html>\n<html><body></body></html>";

const answers: Record<string, RequestListener> = {
  "/model.onnx": (_, response) => response.writeHead(200, { "Content-Length": model.length }).end(model),
  "/chunked.onnx": (_, response) => response.end(model),
  "/gzip.onnx": (_, response) => {
    const body = gzipSync(model);
    response.writeHead(200, { "Content-Encoding": "gzip", "Content-Length": body.length }).end(body);
  },
  "/page.onnx": (_, response) => response.writeHead(200, { "Content-Type": "text/html" }).end(page),
  "/empty.onnx": (_, response) => response.writeHead(200, { "Content-Length": 0 }).end(),
  "/dropped.onnx": (_, response) => {
    response.writeHead(200, { "Content-Length": model.length }).write(model.subarray(0, 50_000));
    setTimeout(() => response.destroy(), 20);
  },
  "/resumed.onnx": (request, response) => breaksOff(request, response, '"one"'),
  "/weak.onnx": (request, response) => breaksOff(request, response, 'W/"one"'),
  "/changed.onnx": (request, response) => breaksOff(request, response, request.headers.range ? '"two"' : '"one"'),
  "/vain.onnx": (request, response) => {
    if (request.headers.range) return void response.destroy();
    breaksOff(request, response, '"one"');
  },
  "/endless.onnx": (_, response) => void response.writeHead(200).write(model),
};

const ranges: string[] = [];

/** Sends 60 000 bytes of what is left, and drops the connection; a range only of what the caller has. */
const breaksOff = (request: IncomingMessage, response: ServerResponse, etag: string) => {
  const { range, "if-range": ifRange } = request.headers;
  if (range) ranges.push(range);
  const from = range && ifRange === etag ? Number(/\d+/.exec(range)![0]) : 0;
  const rest = model.subarray(from);
  response.writeHead(from ? 206 : 200, { "Content-Length": rest.length, ETag: etag, ...(from && { "Content-Range": `bytes ${from}-${model.length - 1}/${model.length}` }) });
  if (rest.length <= 60_000) return void response.end(rest);
  response.write(rest.subarray(0, 60_000));
  setTimeout(() => response.destroy(), 20);
};

const server = createServer((request, response) => {
  const answer = answers[request.url!];
  if (answer) answer(request, response);
  else response.writeHead(404, { "Content-Type": "text/plain" }).end("none");
});
let base = "";
let folder = "";

beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), "firebrand-source-"));
  await writeFile(join(folder, "model.onnx"), model);
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

describe("reading a source", () => {
  it.each<[string, () => Parameters<typeof toSource>[0] | Promise<Response>]>([
    ["a URL string", () => `${base}/model.onnx`],
    ["a URL", () => new URL(`${base}/model.onnx`)],
    ["a Response", () => fetch(`${base}/model.onnx`)],
    ["a response without a length", () => fetch(`${base}/chunked.onnx`)],
    ["a compressed answer", () => `${base}/gzip.onnx`],
    ["a Blob", () => new Blob([model])],
    ["an ArrayBuffer", () => model.buffer],
    ["a view into a buffer", () => new Uint8Array([9, ...model, 9]).subarray(1, -1)],
    ["shared memory", () => { const shared = new Uint8Array(new SharedArrayBuffer(model.length)); shared.set(model); return shared; }],
    ["a path", () => join(folder, "model.onnx")],
    ["a file URL", () => pathToFileURL(join(folder, "model.onnx"))],
    ["a file URL string", () => pathToFileURL(join(folder, "model.onnx")).href],
  ])("takes %s", async (_what, given) => {
    const source = await toSource(await given());
    for (const time of ["first", "second"]) {
      const bytes = await read(source);
      expect(Object.getPrototypeOf(bytes), time).toBe(Uint8Array.prototype);
      expect(Buffer.compare(bytes, model), time).toBe(0);
    }
  });

  it("keeps bytes as they were when they were given", async () => {
    const bytes = Uint8Array.of(1, 2, 3);
    const source = await toSource(bytes);
    bytes[0] = 9;
    expect(await read(source)).toEqual(Uint8Array.of(1, 2, 3));
    expect(bytes).toHaveLength(3);
  });

  it("tells progress up to the total", async () => {
    const told: [number, number | undefined][] = [];
    await read(await toSource(`${base}/model.onnx`), { onProgress: (loaded, total) => told.push([loaded, total]) });
    expect(told.at(-1)).toEqual([model.length, model.length]);
    expect(told.every(([loaded, total]) => total === model.length && loaded <= total)).toBe(true);
  });

  it("names no total for a compressed answer, whose length is another, until its end", async () => {
    const told: [number, number | undefined][] = [];
    await read(await toSource(`${base}/gzip.onnx`), { onProgress: (loaded, total) => told.push([loaded, total]) });
    expect(told.slice(0, -1).every(([, total]) => total === undefined)).toBe(true);
    expect(told.length).toBeGreaterThan(1);
    expect(told.at(-1)).toEqual([model.length, model.length]);
  });

  it.each<[string, () => string, string, RegExp]>([
    ["a status", () => `${base}/none.onnx`, "network", /none\.onnx: the server answered 404 Not Found \(text\/plain\); check the address/],
    ["a web page", () => `${base}/page.onnx`, "not_a_model", /page\.onnx: expected an ONNX model, got a web page \(status 200, text\/html\); .*check the address/],
    ["a dropped connection", () => `${base}/dropped.onnx`, "network", /after \d+ of 200000 bytes/],
    ["no server", () => "http://127.0.0.1:1/model.onnx", "network", /could not be fetched .*check the address and the connection/],
    ["a missing file", () => join(folder, "none.onnx"), "io", /none\.onnx could not be read/],
    ["a wrong URL", () => "http://", "invalid_argument", /is not a URL/],
  ])("says what came instead: %s", async (_what, given, kind, message) => {
    const error = await rejectionOf(toSource(given()).then((source) => read(source)));
    expect(error).toMatchObject({ kind });
    expect(error.message).toMatch(message);
  });

  it("asks for the rest where the connection breaks, as often as something comes", async () => {
    ranges.length = 0;
    const told: [loaded: number, total?: number | undefined][] = [];
    const bytes = await read(await toSource(`${base}/resumed.onnx`), { onProgress: (...progress) => told.push(progress) });
    expect(bytes).toEqual(model);
    expect(ranges).toEqual(["bytes=60000-", "bytes=120000-", "bytes=180000-"]);
    expect(told.at(-1)).toEqual([model.length, model.length]);
    for (const [loaded, total] of told) expect(loaded).toBeLessThanOrEqual(total!);
  });

  it.each(["weak", "changed", "vain"])("does not put two files together, nor ask for ever (%s)", async (name) => {
    const error = await rejectionOf(read(await toSource(`${base}/${name}.onnx`)));
    expect(error).toMatchObject({ kind: "network", message: expect.stringMatching(/the connection ended after 60000 of 200000 bytes/) });
  });

  it("does not hold up an abort while it waits to ask again", async () => {
    const control = new AbortController();
    const reading = read(await toSource(`${base}/vain.onnx`), { signal: control.signal, onProgress: () => setTimeout(() => control.abort(), 800) });
    const began = performance.now();
    expect(await rejectionOf(reading)).toMatchObject({ kind: "aborted" });
    expect(performance.now() - began).toBeLessThan(1300);
  });

  it.each([null, undefined, 5, {}, []])("refuses %j", async (given) => {
    expect(await rejectionOf(toSource(given as never))).toMatchObject({ kind: "invalid_argument" });
  });

  it("refuses a Response that was read", async () => {
    const response = await fetch(`${base}/model.onnx`);
    await response.arrayBuffer();
    const error = await rejectionOf(toSource(response));
    expect(error).toMatchObject({ kind: "invalid_argument", file: `${base}/model.onnx` });
    expect(error.message).toMatch(/response\.clone\(\)/);
  });

  it("stops when the signal says so", async () => {
    const control = new AbortController();
    const reading = toSource(`${base}/endless.onnx`).then((source) => read(source, { signal: control.signal, onProgress: () => control.abort("enough") }));
    expect(await rejectionOf(reading)).toMatchObject({ kind: "aborted", cause: "enough" });
  });

  it("stops reading a Response that it did not fetch", async () => {
    const control = new AbortController();
    const response = await fetch(`${base}/endless.onnx`);
    const reading = toSource(response, { signal: control.signal });
    setTimeout(() => control.abort(), 30);
    expect(await rejectionOf(reading)).toMatchObject({ kind: "aborted" });
  });
});

describe("checkModelBytes", () => {
  const source = { from: "blob" as const, blob: new Blob([]), name: "m.onnx" };
  const bytes = (text: string) => new TextEncoder().encode(text);

  it("refuses an empty file", () => {
    expect(thrownBy(() => checkModelBytes(new Uint8Array(), source))).toMatchObject({ kind: "empty_file", file: "m.onnx" });
  });

  it.each([page, "  \n<html>", "\u{feff}<!doctype HTML>", "<?xml version='1.0'?>", "<!-- moved -->"])("refuses %j", (text) => {
    expect(thrownBy(() => checkModelBytes(bytes(text), source))).toMatchObject({ kind: "not_a_model" });
  });

  it("leaves the rest to the reader of models", () => {
    expect(() => checkModelBytes(Uint8Array.of(8, 7, 60, 104), source)).not.toThrow();
  });
});

describe("files beside a model", () => {
  it("are found by URL and by path", () => {
    expect(besideModel("a b/w#1.bin", { from: "url", url: "https://x.test/m/model.onnx?v=2" })).toEqual({ from: "url", url: "https://x.test/m/a%20b/w%231.bin" });
    expect(besideModel("./w.bin", { from: "path", path: "/m/model.onnx" })).toEqual({ from: "path", path: "/m/w.bin" });
  });

  it("cannot be known where the model came as bytes", async () => {
    const blob = { from: "blob" as const, blob: new Blob([]) };
    expect(besideModel("w.bin", blob)).toBeUndefined();
    expect(await rejectionOf(readExternal("w.bin", undefined, {}))).toMatchObject({ kind: "missing_external_data", file: "w.bin" });
  });

  it.each(["../w.bin", "a/../../w.bin", "/etc/passwd", "..\\w.bin", "https://elsewhere.test/w.bin", "file:///etc/passwd", "a//b", "", "w\0.bin"])("must stay in its folder: %j", (file) => {
    for (const model of [{ from: "url" as const, url: "https://x.test/m/model.onnx" }, { from: "path" as const, path: "/m/model.onnx" }]) {
      expect(thrownBy(() => besideModel(file, model))).toMatchObject({ kind: "invalid_model", file });
    }
  });

  it.each(["/none.bin", "/page.onnx"])("are told missing where the host answers %s", async (path) => {
    const error = await rejectionOf(readExternal("w.bin", { from: "url", url: `${base}${path}` }, {}));
    expect(error).toMatchObject({ kind: "missing_external_data", file: "w.bin" });
    expect(error.message).toContain(base);
  });
});

describe("fileNameOf", () => {
  it("is the last part", () => {
    expect(fileNameOf({ from: "url", url: "https://x.test/m/a%20b.onnx?v=1" })).toBe("a b.onnx");
    expect(fileNameOf({ from: "path", path: "/m/c.onnx" })).toBe("c.onnx");
    expect(fileNameOf({ from: "blob", blob: new Blob([]) })).toBeUndefined();
    expect(fileNameOf({ from: "url", url: "https://x.test/%E0%A4%A" })).toBe("%E0%A4%A");
  });
});
