import { createHash } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import * as device from "../src/device.js";
import { FirebrandError } from "../src/error.js";
import { compare, draw, inputsOf } from "../src/golden.js";
import { parseManifest, type GoldenSample, type GoldenTensor } from "../src/manifest.js";
import type { Progress, WireValue } from "../src/protocol.js";
import * as runtime from "../src/runtime.js";
import { inspect, load, type LoadOptions } from "../src/session.js";
import { Tensor } from "../src/tensor.js";
import { fakeGlue } from "./fake-runtime.js";
import { rejectionOf, thrownBy } from "./thrown.js";

vi.mock("../src/runtime.js", async (original) => ({
  ...(await original<typeof runtime>()),
  openRuntime: vi.fn(),
  abandonRuntime: vi.fn(),
  importPackages: () => import("../src/package.js"),
}));

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const tiny = new URL("../../tests/package/tiny/", import.meta.url);
const fail = (kind: ConstructorParameters<typeof FirebrandError>[0], message: string) => new FirebrandError(kind, message);

/** A package of the fake runtime's model, y = 2 x: a graph, two weight files, a golden sample, labels. */
function makePackage() {
  const graph = Uint8Array.from({ length: 60_000 }, (_, at) => (at * 7) % 251);
  const shards = [1, 2].map((seed) => Uint8Array.from({ length: 90_000 + seed }, (_, at) => (at * seed * 13) % 241));
  const golden = new Uint8Array(Float32Array.of(2, 4, 6).buffer);
  const x = new Uint8Array(Float32Array.of(1, 2, 3, 0).buffer);
  const data = new Uint8Array(32);
  data.set(golden);
  data.set(x, 16);
  const labels = new TextEncoder().encode(JSON.stringify(["one", "two", "three"]));
  const file = (name: string, bytes: Uint8Array) => ({ file: name.replace("#", sha256(bytes)), bytes: bytes.byteLength, sha256: sha256(bytes) });
  const entries = { graph: file("graph.onnx", graph), shards: shards.map((shard) => file("weights-#.bin", shard)), data: file("golden-#.bin", data), labels: file("labels-#.json", labels) };
  const sample: GoldenSample = {
    inputs: { x: { dtype: "float32", shape: [3], offset: 16, bytes: 12 } },
    outputs: { y: { dtype: "float32", shape: [3], offset: 0, bytes: 12 } },
    tolerance: { absolute: 0, relative: 0.01 },
  };
  const manifest: any = {
    schema: 1,
    name: "double",
    version: "1.0.0",
    source: { file: "double.onnx", format: "onnx", bytes: 1, sha256: sha256(graph) },
    tool: { name: "firebrand", version: "0.1.0", options: {} },
    model: entries.graph,
    weights: entries.shards,
    inputs: [{ name: "x", dtype: "float32", shape: ["N"] }],
    outputs: [{ name: "y", dtype: "float32", shape: ["N"], labels: entries.labels }],
    precision: "float32",
    opsets: { "ai.onnx": 17 },
    sizes: { raw: 0 },
    golden: { data: entries.data, samples: [sample] },
  };
  const files: Record<string, Uint8Array> = { [entries.graph.file]: graph, [entries.data.file]: data, [entries.labels.file]: labels };
  entries.shards.forEach(({ file }, at) => (files[file] = shards[at]!));
  return { manifest, files, weights: entries.shards.map(({ file }) => file), total: [graph, ...shards, data, labels].reduce((sum, { byteLength }) => sum + byteLength, 0) };
}

let made = makePackage();
/** What the host does with a request instead of answering it well; `undefined` leaves it to answer. */
let misbehave: (name: string, request: IncomingMessage, count: number) => RequestListener | undefined = () => undefined;
const requests: { name: string; range: string | undefined; ifRange: string | undefined }[] = [];

const server = createServer((request, response) => {
  const name = new URL(request.url!, "http://host").pathname.split("/").at(-1)!;
  const { range, "if-range": ifRange } = request.headers;
  requests.push({ name, range, ifRange: ifRange as string | undefined });
  const special = misbehave(name, request, requests.filter((one) => one.name === name).length);
  if (special) return special(request, response);
  if (name === "manifest.json") return void response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(made.manifest));
  const body = made.files[name];
  if (!body) return void response.writeHead(404, { "Content-Type": "text/plain" }).end("none");
  const from = /^bytes=(\d+)-$/.exec(range ?? "")?.[1];
  const etag = `"${sha256(body).slice(0, 8)}"`;
  if (from === undefined || (ifRange && ifRange !== etag)) return void response.writeHead(200, { "Content-Length": body.length, ETag: etag }).end(body);
  const rest = body.subarray(Number(from));
  response.writeHead(206, { "Content-Length": rest.length, "Content-Range": `bytes ${from}-${body.length - 1}/${body.length}`, ETag: etag }).end(rest);
});
let base = "";
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  made = makePackage();
  misbehave = () => undefined;
  requests.length = 0;
  vi.mocked(runtime.openRuntime).mockReset();
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function runtimeIs(...glues: ReturnType<typeof fakeGlue>[]) {
  for (const { runtime: opened } of glues) vi.mocked(runtime.openRuntime).mockResolvedValueOnce(opened);
  return glues[0]!;
}

/** Loads the package in place, with a fake runtime that asks for its weights. */
function loadMade(options: LoadOptions = {}, source: Parameters<typeof load>[0] = `${base}/manifest.json`) {
  const glue = runtimeIs(fakeGlue({ external: made.weights }));
  return { glue, loading: load(source, { worker: false, ...options }) };
}

/** Promises the whole length, sends the beginning, drops the connection. */
const dropAfter =
  (body: Uint8Array, length: number, headers: Record<string, string> = {}): RequestListener =>
  (_, response) => {
    response.writeHead(200, { "Content-Length": body.length, ...headers });
    response.write(body.subarray(0, length));
    setTimeout(() => response.destroy(), 30);
  };

describe("a package", () => {
  it("is fetched from beside its manifest, tested, and tells of itself", async () => {
    const told: Progress[] = [];
    const { glue, loading } = loadMade({ onProgress: (progress) => told.push(progress) });
    const session = await loading;
    expect(session.manifest).toMatchObject({ name: "double", version: "1.0.0", outputs: [{ name: "y", labels: ["one", "two", "three"] }] });
    expect(session.info.selfTest).toEqual({ passed: true, device: "cpu", maxDifference: 0 });
    const [model, external] = glue.load.mock.calls[0]!;
    expect(model).toEqual(made.files["graph.onnx"]);
    expect(external).toEqual(Object.fromEntries(made.weights.map((file) => [file, made.files[file]])));
    const { y } = await session.run({ x: new Tensor("float32", Float32Array.of(5), [1]) });
    expect(y!.data).toEqual(Float32Array.of(10));
    const model_ = told.filter(({ phase }) => phase === "model");
    expect(model_.at(-1)).toEqual({ phase: "model", loaded: made.total, total: made.total });
    expect(model_.every(({ total }) => total === made.total)).toBe(true);
    expect(requests.map(({ name }) => name).sort()).toEqual(["manifest.json", ...Object.keys(made.files)].sort());
  });

  it("of the CLI's is one too", async () => {
    const labels: unknown = JSON.parse(await readFile(new URL((await readdir(tiny)).find((name) => name.startsWith("labels"))!, tiny), "utf8"));
    const manifest = JSON.parse(await readFile(new URL("manifest.json", tiny), "utf8"));
    const weights: string[] = manifest.weights.map(({ file }: { file: string }) => file);
    runtimeIs(fakeGlue({ external: weights }));
    const session = await load(new URL("manifest.json", tiny), { worker: false, selfTest: false });
    expect(session.manifest!.outputs[0]!.labels).toEqual(labels);
    expect(session.manifest!.inputs[0]!.preprocessing).toMatchObject({ kind: "image", size: [8, 8], layout: "NCHW" });
    expect(session.info.selfTest).toBeUndefined();
  });

  it("may be given as bytes or a response, with its files", async () => {
    const bytes = new TextEncoder().encode(JSON.stringify(made.manifest));
    const session = await loadMade({ externalData: made.files }, bytes).loading;
    expect(session.manifest!.name).toBe("double");
    expect(requests).toEqual([]);
    expect((await loadMade({}, await fetch(`${base}/manifest.json`)).loading).manifest!.name).toBe("double");
    const lacking = await rejectionOf(loadMade({}, bytes).loading);
    expect(lacking).toMatchObject({ kind: "missing_external_data", message: expect.stringMatching(/graph\.onnx.*options\.externalData/) });
    const other = { ...made.files, "graph.onnx": Uint8Array.of(1) };
    expect(await rejectionOf(loadMade({ externalData: other }, bytes).loading)).toMatchObject({ kind: "integrity", message: expect.stringContaining("expected 60000 bytes, got 1 bytes") });
  });

  it("in a folder is read by its path", async () => {
    const folder = await mkdtemp(join(tmpdir(), "firebrand-package-"));
    for (const [name, bytes] of Object.entries(made.files)) await writeFile(join(folder, name), bytes);
    await writeFile(join(folder, "manifest.json"), JSON.stringify(made.manifest));
    expect((await loadMade({}, join(folder, "manifest.json")).loading).info.selfTest?.passed).toBe(true);
    await writeFile(join(folder, made.weights[1]!), "changed");
    const error = await rejectionOf(loadMade({}, join(folder, "manifest.json")).loading);
    expect(error).toMatchObject({ kind: "integrity", file: join(folder, made.weights[1]!) });
    await rm(folder, { recursive: true });
  });

  it("has the files of its task, verified, with what they hold", async () => {
    const terms = new TextEncoder().encode('["a"]');
    const entry = { file: `terms-${sha256(terms)}.json`, bytes: terms.byteLength, sha256: sha256(terms) };
    made.files[entry.file] = terms;
    made.manifest.task = { name: "tea-leaf-reading", parameters: { threshold: 0.5 }, files: { terms: entry } };
    const session = await loadMade().loading;
    expect(session.manifest!.task).toEqual({ name: "tea-leaf-reading", parameters: { threshold: 0.5 }, files: { terms: { ...entry, data: terms } } });
    made.files[entry.file] = new TextEncoder().encode('["b"]');
    expect(await rejectionOf(loadMade().loading)).toMatchObject({ kind: "integrity", message: expect.stringContaining(entry.file) });
    requests.length = 0;
    runtimeIs(fakeGlue());
    await inspect(`${base}/manifest.json`, { worker: false });
    expect(requests.map(({ name }) => name)).toEqual(["manifest.json", "graph.onnx"]);
  });

  it("is inspected by its graph alone", async () => {
    runtimeIs(fakeGlue());
    expect((await inspect(`${base}/manifest.json`, { worker: false })).operators[0]!.name).toBe("Mul");
    expect(requests.map(({ name }) => name)).toEqual(["manifest.json", "graph.onnx"]);
  });

  it("of one file needs no weights, no sample and no labels", async () => {
    made.manifest.weights = [];
    delete made.manifest.golden;
    delete made.manifest.outputs[0].labels;
    runtimeIs(fakeGlue());
    const session = await load(`${base}/manifest.json?v=2`, { worker: false });
    expect(session.info.selfTest).toBeUndefined();
    expect(requests.map(({ name }) => name)).toEqual(["manifest.json", "graph.onnx"]);
  });

  it("fetches at most four files at once, and ends the others when one fails", async () => {
    const many = Array.from({ length: 12 }, (_, at) => Uint8Array.from({ length: 1000 }, (_, byte) => (byte * at) % 255));
    made.manifest.weights = many.map((bytes) => ({ file: `weights-${sha256(bytes)}.bin`, bytes: 1000, sha256: sha256(bytes) }));
    for (const [at, { file }] of made.manifest.weights.entries()) made.files[file] = many[at]!;
    let open = 0;
    let most = 0;
    const waiting: (() => void)[] = [];
    misbehave = (name) =>
      name === "manifest.json"
        ? undefined
        : (_, response) => {
            most = Math.max(most, ++open);
            const answer = () => (open--, response.writeHead(name === "graph.onnx" ? 403 : 200).end(made.files[name]));
            if (name === "graph.onnx") setTimeout(answer, 60);
            else waiting.push(answer);
          };
    const error = await rejectionOf(loadMade().loading);
    expect(error).toMatchObject({ kind: "network", message: expect.stringMatching(/graph\.onnx: the server answered 403/) });
    expect(most).toBe(4);
    expect(requests).toHaveLength(5);
    waiting.forEach((answer) => answer());
  });
});

describe("a host that misbehaves", () => {
  const graph = () => made.files["graph.onnx"]!;

  it("and drops the connection is asked for the rest", async () => {
    misbehave = (name, _, count) => (name === "graph.onnx" && count === 1 ? dropAfter(graph(), 20_000, { ETag: '"x"' }) : undefined);
    const told: number[] = [];
    // Another ETag now: the whole file comes again, and is right.
    await loadMade({ onProgress: ({ phase, loaded }) => phase === "model" && told.push(loaded) }).loading;
    const again = requests.filter(({ name }) => name === "graph.onnx");
    expect(again).toEqual([{ name: "graph.onnx", range: undefined, ifRange: undefined }, { name: "graph.onnx", range: "bytes=20000-", ifRange: '"x"' }]);
    expect(told.at(-1)).toBe(made.total);

    requests.length = 0;
    const etag = `"${sha256(graph()).slice(0, 8)}"`;
    misbehave = (name, _, count) => (name === "graph.onnx" && count === 1 ? dropAfter(graph(), 20_000, { ETag: etag }) : undefined);
    const { glue, loading } = loadMade();
    await loading;
    expect(requests.filter(({ name }) => name === "graph.onnx")[1]).toEqual({ name: "graph.onnx", range: "bytes=20000-", ifRange: etag });
    expect(glue.load.mock.calls[0]![0]).toEqual(graph());
  });

  it("and knows no ranges is asked from the beginning", async () => {
    misbehave = (name, _, count) => (name !== "graph.onnx" ? undefined : count === 1 ? dropAfter(graph(), 20_000) : (_, response) => void response.writeHead(200).end(graph()));
    const { glue, loading } = loadMade();
    await loading;
    expect(glue.load.mock.calls[0]![0]).toEqual(graph());
  });

  it("and answers with another part, or none, is asked from the beginning", async () => {
    for (const answer of [
      ((_, response) => void response.writeHead(206, { "Content-Range": `bytes 5-${graph().length - 1}/${graph().length}` }).end(graph().subarray(5))) as RequestListener,
      ((_, response) => void response.writeHead(416).end()) as RequestListener,
    ]) {
      requests.length = 0;
      misbehave = (name, _, count) => (name !== "graph.onnx" ? undefined : count === 1 ? dropAfter(graph(), 20_000) : count === 2 ? answer : undefined);
      const { glue, loading } = loadMade();
      await loading;
      expect(glue.load.mock.calls[0]![0]).toEqual(graph());
      expect(requests.filter(({ name }) => name === "graph.onnx").at(-1)!.range).toBeUndefined();
    }
  });

  it("and compresses is not asked for a part of that", async () => {
    const zipped = gzipSync(draw({ dtype: "uint8", shape: [60_000] }, { seed: 3, low: 0, high: 255 }));
    misbehave = (name, _, count) => (name === "graph.onnx" && count === 1 ? dropAfter(zipped, 20_000, { "Content-Encoding": "gzip" }) : undefined);
    const { glue, loading } = loadMade();
    await loading;
    expect(glue.load.mock.calls[0]![0]).toEqual(graph());
    expect(requests.filter(({ name }) => name === "graph.onnx").map(({ range }) => range)).toEqual([undefined, undefined]);
  });

  it("and compresses well gives the same bytes and the same total", async () => {
    misbehave = (name) => {
      const body = made.files[name];
      return body && ((_, response) => void response.writeHead(200, { "Content-Encoding": "gzip" }).end(gzipSync(body)));
    };
    const told: Progress[] = [];
    const { glue, loading } = loadMade({ onProgress: (progress) => progress.phase === "model" && told.push(progress) });
    await loading;
    expect(glue.load.mock.calls[0]![0]).toEqual(graph());
    expect(told.at(-1)).toEqual({ phase: "model", loaded: made.total, total: made.total });
  });

  it("and is overloaded is asked again", async () => {
    misbehave = (name, _, count) => (name === made.weights[0] && count <= 2 ? (_, response) => void response.writeHead(count === 1 ? 503 : 429).end() : undefined);
    await loadMade().loading;
    expect(requests.filter(({ name }) => name === made.weights[0])).toHaveLength(3);
  });

  it("and never gets well is given up, by name", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"], shouldAdvanceTime: true, advanceTimeDelta: 200 });
    misbehave = (name) => (name === made.weights[0] ? (_, response) => void response.writeHead(503).end() : undefined);
    const error = await rejectionOf(loadMade().loading);
    vi.useRealTimers();
    expect(error).toMatchObject({ kind: "network", file: `${base}/${made.weights[0]}` });
    expect(error.message).toMatch(/the server answered 503 .*after 0 of 90001 bytes and 4 tries in vain/);
  });

  it.each<[what: string, (body: Uint8Array) => Uint8Array, RegExp]>([
    ["a bit that is other", (body) => body.map((byte, at) => (at === 777 ? byte ^ 1 : byte)), /expected SHA-256 [0-9a-f]{64}, got SHA-256 [0-9a-f]{64}/],
    ["a byte too few", (body) => body.subarray(0, -1), /expected 90001 bytes, got 90000 bytes/],
    ["a byte too many", (body) => Uint8Array.from([...body, 0]), /expected 90001 bytes, got more than 90001 bytes/],
    ["nothing", () => new Uint8Array(), /expected 90001 bytes, got 0 bytes/],
  ])("with %s is not believed", async (_, change, message) => {
    const name = made.weights[0]!;
    made.files[name] = change(made.files[name]!);
    const { glue, loading } = loadMade();
    const error = await rejectionOf(loading);
    expect(error).toMatchObject({ kind: "integrity", file: `${base}/${name}`, message: expect.stringMatching(message) });
    expect(error.message).toMatch(/publish the package's folder as a whole/);
    expect(glue.load).not.toHaveBeenCalled();
    // Once more past all caches, then no more.
    expect(requests.filter((one) => one.name === name)).toHaveLength(2);
  });

  it("with an old file in a cache before it is asked past that", async () => {
    misbehave = (name, _, count) => (name === "graph.onnx" && count === 1 ? (_, response) => void response.writeHead(200).end(graph().map((byte) => byte ^ 1)) : undefined);
    const { glue, loading } = loadMade();
    await loading;
    expect(glue.load.mock.calls[0]![0]).toEqual(graph());
  });

  it("that lacks a file, or has a web page for it, is told by name", async () => {
    const name = made.weights[1]!;
    const body = made.files[name]!;
    delete made.files[name];
    expect(await rejectionOf(loadMade().loading)).toMatchObject({ kind: "missing_external_data", file: `${base}/${name}`, message: expect.stringMatching(/answered 404.*whole folder/) });
    made.files[name] = body;
    misbehave = (asked) => (asked === name ? (_, response) => void response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><html></html>") : undefined);
    expect(await rejectionOf(loadMade().loading)).toMatchObject({ kind: "missing_external_data", message: expect.stringMatching(/got a web page \(status 200, text\/html\)/) });
  });

  it("without a manifest is told so", async () => {
    const answerWith = (listener: RequestListener) => (misbehave = (name) => (name === "manifest.json" ? listener : undefined));
    answerWith((_, response) => void response.writeHead(404).end());
    expect(await rejectionOf(loadMade().loading)).toMatchObject({ kind: "network", message: expect.stringMatching(/manifest\.json: the server answered 404/) });
    expect(requests.filter(({ name }) => name === "manifest.json")).toHaveLength(1);
    answerWith((_, response) => void response.writeHead(200, { "Content-Type": "text/html" }).end("<!DOCTYPE html>"));
    expect(await rejectionOf(loadMade().loading)).toMatchObject({ kind: "invalid_manifest", message: expect.stringMatching(/got a web page \(status 200/) });
    answerWith((_, response) => void response.writeHead(200).end('{"schema": 1'));
    expect(await rejectionOf(loadMade().loading)).toMatchObject({ kind: "invalid_manifest", message: expect.stringMatching(/which is JSON/) });
    answerWith((_, response) => void response.writeHead(200).end('{"modelTopology": {}}'));
    expect(await rejectionOf(loadMade().loading)).toMatchObject({ kind: "invalid_manifest", message: expect.stringMatching(/got other JSON/) });
  });

  it("does not hold up an abort, not even while waiting for the next try", async () => {
    misbehave = (name) => (name === "graph.onnx" ? (_, response) => void response.writeHead(503).end() : undefined);
    const control = new AbortController();
    const began = performance.now();
    setTimeout(() => control.abort("enough"), 100);
    const error = await rejectionOf(loadMade({ signal: control.signal }).loading);
    expect(error).toMatchObject({ kind: "aborted", cause: "enough" });
    expect(performance.now() - began).toBeLessThan(1000);
    await new Promise((done) => setTimeout(done, 400));
    expect(requests.filter(({ name }) => name === "graph.onnx").length).toBeLessThanOrEqual(2);
  });
});

describe("the cache", () => {
  /** As the browser's, in memory. */
  function stubCaches(put: (key: string) => void = () => {}) {
    const kept = new Map<string, Uint8Array<ArrayBuffer>>();
    const cache = {
      match: async (key: string) => (kept.has(key) ? new Response(kept.get(key)!.slice()) : undefined),
      put: async (key: string, response: Response) => {
        put(key);
        kept.set(key, new Uint8Array(await response.arrayBuffer()));
      },
      delete: async (key: string) => kept.delete(key),
      keys: async () => [...kept.keys()].map((url) => ({ url })),
    };
    vi.stubGlobal("caches", { open: async () => cache });
    return kept;
  }
  const settled = () => new Promise((done) => setTimeout(done, 50));
  const hashes = (kept: Map<string, unknown>) => [...kept.keys()].flatMap((key) => /sha256\/(\w+)/.exec(key)?.[1] ?? []).sort();

  it("has every file by its hash, and the next load fetches the manifest alone", async () => {
    const kept = stubCaches();
    await loadMade().loading;
    await settled();
    expect(hashes(kept)).toEqual(Object.values(made.files).map(sha256).sort());
    requests.length = 0;
    const told: Progress[] = [];
    const { glue, loading } = loadMade({ onProgress: (progress) => progress.phase === "model" && told.push(progress) });
    await loading;
    expect(requests.map(({ name }) => name)).toEqual(["manifest.json"]);
    expect(glue.load.mock.calls[0]![0]).toEqual(made.files["graph.onnx"]);
    expect(told.at(-1)).toEqual({ phase: "model", loaded: made.total, total: made.total });
  });

  it("gives a new version what did not change, and forgets what no package uses", async () => {
    const kept = stubCaches();
    const old = sha256(made.files["graph.onnx"]!);
    await loadMade().loading;
    await settled();
    const graph = made.files["graph.onnx"]!.map((byte) => byte ^ 3);
    made.files["graph.onnx"] = graph;
    made.manifest.model = { file: "graph.onnx", bytes: graph.length, sha256: sha256(graph) };
    requests.length = 0;
    await loadMade().loading;
    await settled();
    expect(requests.map(({ name }) => name)).toEqual(["manifest.json", "graph.onnx"]);
    expect(hashes(kept)).toEqual(Object.values(made.files).map(sha256).sort());
    expect(hashes(kept)).not.toContain(old);
  });

  it("is not believed: what was damaged in it is fetched afresh", async () => {
    const kept = stubCaches();
    await loadMade().loading;
    await settled();
    const [first, second, third] = [...kept.keys()].filter((key) => key.includes("sha256"));
    kept.get(first!)![10]! ^= 1;
    kept.set(second!, kept.get(second!)!.slice(0, -1));
    kept.set(third!, Uint8Array.from([...kept.get(third!)!, 0]));
    requests.length = 0;
    await loadMade().loading;
    expect(requests).toHaveLength(4);
    await settled();
    expect([...kept.entries()].filter(([key]) => key.includes("sha256")).every(([key, bytes]) => key.endsWith(sha256(bytes)))).toBe(true);
  });

  it("has nothing that was not verified", async () => {
    const kept = stubCaches();
    made.files[made.weights[0]!] = made.files[made.weights[0]!]!.map((byte) => byte ^ 1);
    await rejectionOf(loadMade().loading);
    await settled();
    for (const [key, bytes] of kept) expect(key).toContain(sha256(bytes));
    expect(hashes(kept)).not.toContain(made.manifest.weights[0].sha256);
  });

  it("may be full, absent, forbidden or switched off", async () => {
    stubCaches(() => {
      throw new DOMException("full", "QuotaExceededError");
    });
    await loadMade().loading;
    vi.stubGlobal("caches", { open: () => Promise.reject(new DOMException("no", "SecurityError")) });
    await loadMade().loading;
    vi.stubGlobal("caches", undefined);
    await loadMade().loading;
    const kept = stubCaches();
    await loadMade({ cache: "none" }).loading;
    await settled();
    expect(kept.size).toBe(0);
    expect((await rejectionOf(load(`${base}/manifest.json`, { cache: "always" as "auto" }))).kind).toBe("invalid_argument");
    expect((await rejectionOf(load(`${base}/manifest.json`, { selfTest: 1 as unknown as boolean }))).kind).toBe("invalid_argument");
  });
});

describe("the self-test", () => {
  /** Gives back what goes in, half of what is right. */
  const half: Parameters<typeof fakeGlue>[0] = {
    run: async (inputs) => ({ outputs: [{ name: "y", dtype: "float32", shape: [3], data: (inputs[0] as { data: Uint8Array }).data }], memoryBytes: 0, peakBytes: 0 }),
  };

  it("refuses a GPU that computes wrongly: the session stays on the CPU, and every file was fetched once", async () => {
    vi.spyOn(device, "surroundings").mockReturnValue({ gpu: { requestAdapter: async () => ({ info: { vendor: "acme" } }) }, isSecure: true });
    const [gpu, cpu] = [fakeGlue({ ...half, external: made.weights, device: "webgpu" }), fakeGlue({ external: made.weights })];
    runtimeIs(cpu, gpu);
    const session = await load(`${base}/manifest.json`, { worker: false, cache: "none" });
    await session.warmup({ x: new Tensor("float32", Float32Array.of(1), [1]) }, { awaitDevice: true });
    expect(session.info).toMatchObject({ device: "cpu", selfTest: { passed: true, device: "cpu", maxDifference: 0 } });
    expect(session.info.deviceReason).toMatch(/WebGPU could not be used .*golden sample wrongly: output "y", element 0: expected 2 within 0\.0600, got 1/);
    expect(gpu.free).toHaveBeenCalledOnce();
    const names = requests.map(({ name }) => name);
    expect(names.sort()).toEqual(["manifest.json", ...Object.keys(made.files)].sort());
  });

  it("rejects where the GPU alone was asked for, and where the CPU fails too", async () => {
    vi.spyOn(device, "chooseDevice").mockResolvedValueOnce({ device: "webgpu", reason: "WebGPU was asked for" });
    runtimeIs(fakeGlue({ ...half, external: made.weights, device: "webgpu" }));
    expect(await rejectionOf(load(`${base}/manifest.json`, { worker: false, device: "webgpu" }))).toMatchObject({ kind: "self_test_failed", message: expect.stringMatching(/WebGPU computes/) });
    runtimeIs(fakeGlue({ ...half, external: made.weights }));
    expect(await rejectionOf(load(`${base}/manifest.json`, { worker: false, device: "cpu" }))).toMatchObject({ kind: "self_test_failed", message: expect.stringMatching(/CPU computes/) });
  });

  it("may be left out, and then needs no golden file", async () => {
    runtimeIs(fakeGlue({ ...half, external: made.weights }));
    const session = await load(`${base}/manifest.json`, { worker: false, selfTest: false });
    expect(session.info.selfTest).toBeUndefined();
    expect(requests.filter(({ name }) => name.startsWith("golden"))).toEqual([]);
  });
});

describe("golden samples", () => {
  const tensor = (dtype: string, shape: number[], more: object = {}) => ({ dtype, shape, ...more }) as GoldenTensor;

  it("are drawn as Rust draws them", () => {
    // Of seed 1, mulberry32 gives 2693262067, 11749833, 2265367787.
    const bits = [2693262067, 11749833, 2265367787];
    const floats = new Float32Array(draw(tensor("float32", [3]), { seed: 1, low: -2, high: 2 }).buffer);
    expect([...floats]).toEqual(bits.map((n) => Math.fround(-2 + (4 * n) / 2 ** 32)));
    const bytes = new Int8Array(draw(tensor("int8", [1, 3]), { seed: 1, low: -128, high: 127 }).buffer);
    expect([...bytes]).toEqual(bits.map((n) => -128 + Math.floor((256 * n) / 2 ** 32)));
    const longs = new BigInt64Array(draw(tensor("int64", [3]), { seed: 1, low: 0, high: 999 }).buffer);
    expect([...longs]).toEqual(bits.map((n) => BigInt(Math.floor((1000 * n) / 2 ** 32))));
    expect([...draw(tensor("bool", [3]), { seed: 1, low: 0, high: 1 })]).toEqual([1, 0, 1]);
    expect(draw(tensor("float64", []), { seed: 4294967295, low: 0, high: 1 })).toHaveLength(8);
  });

  it("are compared by every stored element, within the tolerance", () => {
    const data = new Uint8Array(Float32Array.of(1, -4, Infinity).buffer);
    const sample: GoldenSample = { inputs: {}, outputs: { y: tensor("float32", [5], { stride: 2, offset: 0, bytes: 12 }) }, tolerance: { absolute: 0, relative: 0.01 } };
    const outputs = (...values: number[]): WireValue[] => [{ name: "y", dtype: "float32", shape: [values.length], data: new Uint8Array(Float32Array.from(values).buffer) }];
    expect(compare(sample, outputs(1.03, 99, -4, 99, Infinity), data)).toEqual({ maxDifference: expect.closeTo(0.03, 5) });
    expect(compare(sample, outputs(1, 0, -4.1, 0, Infinity), data)).toEqual({ wrong: expect.stringMatching(/element 2: expected -4 within 0\.0400/) });
    expect(compare(sample, outputs(NaN, 0, -4, 0, Infinity), data)).toEqual({ wrong: expect.stringMatching(/got NaN/) });
    expect(compare(sample, outputs(1, 0, -4, 0, 9), data)).toEqual({ wrong: expect.stringMatching(/element 4/) });
    expect(compare(sample, outputs(1, 2, 3), data)).toEqual({ wrong: expect.stringMatching(/expected float32 \[5\], got float32 \[3\]/) });
    expect(compare(sample, [], data)).toEqual({ wrong: expect.stringMatching(/expected a tensor/) });
  });

  it("of halves and integers are read as what they are; integers must be the same", () => {
    const sample = (dtype: string, bytes: number): GoldenSample => ({ inputs: {}, outputs: { y: tensor(dtype, [2], { offset: 0, bytes }) }, tolerance: { absolute: 0.2, relative: 0 } });
    const outputs = (dtype: "float16" | "bfloat16" | "int64", data: Uint8Array): WireValue[] => [{ name: "y", dtype, shape: [2], data }];
    const bytes = (array: Uint16Array | BigInt64Array) => new Uint8Array(array.buffer as ArrayBuffer);
    // 1 and -2, against 1.125 and -2.
    expect(compare(sample("float16", 4), outputs("float16", bytes(Uint16Array.of(0x3c80, 0xc000))), bytes(Uint16Array.of(0x3c00, 0xc000)))).toEqual({ maxDifference: 0.125 });
    expect(compare(sample("bfloat16", 4), outputs("bfloat16", bytes(Uint16Array.of(0x3f90, 0xc000))), bytes(Uint16Array.of(0x3f80, 0xc000)))).toEqual({ maxDifference: 0.125 });
    expect(compare(sample("int64", 16), outputs("int64", bytes(BigInt64Array.of(5n, 6n))), bytes(BigInt64Array.of(5n, 6n)))).toEqual({ maxDifference: 0 });
    expect(compare(sample("int64", 16), outputs("int64", bytes(BigInt64Array.of(5n, 7n))), bytes(BigInt64Array.of(5n, 6n)))).toHaveProperty("wrong");
  });

  it("give stored inputs as they lie in the file", () => {
    const data = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 2);
    const sample: GoldenSample = { inputs: { a: tensor("uint8", [2], { offset: 8, bytes: 2 }) }, outputs: {}, tolerance: { absolute: 0, relative: 0 } };
    expect(inputsOf(sample, data)).toEqual([{ name: "a", dtype: "uint8", shape: [2], data: Uint8Array.of(1, 2) }]);
  });
});

describe("a manifest that makes no sense is refused by what is wrong", () => {
  const edited = (edit: (manifest: any) => void) => {
    const { manifest } = makePackage();
    edit(manifest);
    return thrownBy(() => parseManifest(JSON.stringify(manifest), fail));
  };

  it.each<[string, (manifest: any) => void]>([
    ["schema 2", (m) => (m.schema = 2)],
    ["other JSON", (m) => delete m.schema],
    ["name: expected a text", (m) => delete m.name],
    ["weights: expected an array", (m) => delete m.weights],
    ["is no name of a package's file", (m) => (m.weights[0].file = "../w.bin")],
    ["is no name of a package's file", (m) => (m.model.file = "https://other.example/g.onnx")],
    ["bytes: expected a whole number", (m) => (m.model.bytes = -1)],
    ["bytes: expected a whole number", (m) => (m.model.bytes = 2 ** 60)],
    ["64 lower-case hexadecimal digits", (m) => (m.model.sha256 = m.model.sha256.toUpperCase().replace(/./, "A"))],
    ["named twice", (m) => (m.weights[1].file = m.weights[0].file)],
    ["inputs[0]: expected a name", (m) => (m.inputs[0] = 1)],
    ["labels: expected texts", (m) => (m.outputs[0].labels = [1])],
    ["outputs[0].labels: expected a file", (m) => (m.outputs[0].labels = "labels.json")],
    ["task: expected an object", (m) => (m.task = "image-classification")],
    ["task.parameters: expected an object", (m) => (m.task = { name: "a", parameters: [] })],
    ["task.files.terms: expected a file", (m) => (m.task = { name: "a", files: { terms: "terms.json" } })],
    ["is no name of a package's file", (m) => (m.task = { name: "a", files: { terms: { ...m.model, file: "../terms.json" } } })],
    ["golden: expected an object", (m) => (m.golden = [])],
    ["expected inputs, outputs and a tolerance", (m) => delete m.golden.samples[0].tolerance],
    ["tolerance: expected numbers", (m) => (m.golden.samples[0].tolerance.relative = -1)],
    ["outputs.y: expected \"random\"", (m) => (m.golden.samples[0].outputs.y.offset = 1e9)],
    ["inputs.x: expected \"random\"", (m) => (m.golden.samples[0].inputs.x = { dtype: "float32", shape: [3] })],
    ["is too large", (m) => (m.golden.samples[0].inputs.x.shape = [2 ** 40, 0, 2 ** 40])],
    ["inputs.x: expected a dtype", (m) => (m.golden.samples[0].inputs.x.dtype = "float8e5m2")],
    ["inputs.x.shape: expected an array", (m) => delete m.golden.samples[0].inputs.x.shape],
  ])("%s", (message, edit) => {
    const error = edited(edit);
    expect(error.kind).toBe("invalid_manifest");
    expect(error.message).toContain(message);
  });

  it("and weights that the graph has, but the manifest does not name", async () => {
    made.manifest.weights.pop();
    const error = await rejectionOf(loadMade().loading);
    expect(error).toMatchObject({ kind: "invalid_manifest", message: expect.stringMatching(/which the manifest does not name/) });
  });
});
