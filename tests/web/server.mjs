// A small static server for the browser tests, with switches for hosts that misbehave.
//
//   /pkg/…      the package, from the installed tarball        /models/…  prepared models
//   /cases/…    stored inputs and outputs (tests/models)        /data/…    prepared pictures and labels
//   /pages/…    pages of these tests (tests/web/pages)          /site/…    the built demo page
//   /own/…      our stored cases (tests/conformance/cases)
//   /made/…     small models that pages/tiny-model.js writes; /made/many/… one in 40 files, as a model and as a package
//   /packages/… stored packages (tests/package)
//   /tasks/…    packages of the tasks (scripts/packages.mjs)   /answers/… what other programs say of them (tests/tasks)
//
// Switches are path segments in front of any of these, so that relative URLs keep them:
//
//   ~isolated        COOP and COEP headers, for cross-origin isolation
//   ~cors            Access-Control-Allow-Origin: *
//   ~csp             script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; no eval, no blob
//   ~html            answers every file with an HTML page and 200, as a single-page host does
//   ~html-wasm       the same for .wasm files alone; ~html-data for .bin; and for one script each: ~html-worker for worker.js,
//                    ~html-thread for thread.js, ~html-host for host.js, ~html-glue for the script beside the .wasm
//   ~wasm-as-text    serves .wasm as text/plain; ~worker-as-text serves worker.js so
//   ~missing-data    has no .bin; ~empty-data has them empty
//   ~status-503      answers every file with that status (any number)
//   ~cut-1000        sends 1000 bytes and the Content-Length of 1000
//   ~cut-data-100    the same of every .bin alone
//   ~drop-1000       promises the whole Content-Length, sends 1000 bytes, then drops the connection; not of a manifest
//   ~resume-1000     the same, but gives the rest to who asks for it by a range
//   ~trickle-1000    the same, but each such part is dropped after 1000 bytes, too
//   ~once-1000       drops the first answer of each file after 1000 bytes; then it gives all of it, whatever range is asked for
//   ~flip            changes one bit of every .bin
//   ~gzip            Content-Encoding: gzip, with the encoded Content-Length; ~br the same with Brotli
//   ~chunked         no Content-Length
//   ~slow-100000     sends that many bytes a second; ~slow-data-100 of every .bin alone
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { addBias, addExternalBias, addMany, biasBytes, unsupported } from "./pages/tiny-model.js";
import { cases, data, installed, models, ownCases, packages, site, taskAnswers, taskPackages } from "./places.mjs";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".wav": "audio/wav",
  ".webmanifest": "application/manifest+json",
};

const scripts = { worker: "/worker.js", thread: "/thread.js", host: "/host.js", glue: "/firebrand.js" };

const fallbackPage = '<!doctype html>\n<html lang="en"><head><title>Shop</title></head><body><div id="root"></div></body></html>\n';

const pages = fileURLToPath(new URL("./pages", import.meta.url));
let packageFolder;
const mounts = {
  pkg: () => (packageFolder ??= join(installed(), "node_modules/firebrand")),
  models: () => models,
  cases: () => cases,
  own: () => ownCases,
  data: () => data,
  pages: () => pages,
  site: () => site,
  packages: () => packages,
  tasks: () => taskPackages,
  answers: () => taskAnswers,
};

const made = {
  "/made/add.onnx": addBias,
  "/made/external.onnx": () => addExternalBias("weights/bias.bin"),
  "/made/lost.onnx": () => addExternalBias("lost.bin"),
  "/made/escaping.onnx": () => addExternalBias("../made/weights/bias.bin"),
  "/made/weights/bias.bin": biasBytes,
  "/made/unsupported.onnx": unsupported,
  "/made/empty.onnx": () => new Uint8Array(),
};

/** How many files the weights of /made/many/ are in. */
export const many = 40;
const manyWeights = Array.from({ length: many }, (_, at) => Buffer.from(new Uint8Array(Float32Array.of(at, 2 * at, 3 * at).buffer)));
const fileEntry = (file, bytes) => ({ file, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
for (const [at, bytes] of manyWeights.entries()) made[`/made/many/w${at}.bin`] = () => bytes;
made["/made/many/graph.onnx"] = () => addMany(many);
made["/made/many/manifest.json"] = () => {
  const graph = Buffer.from(addMany(many));
  const value = (name) => ({ name, dtype: "float32", shape: ["batch", 3] });
  const manifest = {
    schema: 1,
    name: "many",
    version: "1.0.0",
    source: { ...fileEntry("many.onnx", graph), format: "onnx" },
    tool: { name: "firebrand", version: "0.1.0", options: {} },
    model: fileEntry("graph.onnx", graph),
    weights: manyWeights.map((bytes, at) => fileEntry(`w${at}.bin`, bytes)),
    inputs: [value("pixels")],
    outputs: [value("sum")],
    precision: "float32",
    opsets: { "": 17 },
    sizes: { raw: graph.length },
  };
  return Buffer.from(JSON.stringify(manifest));
};

function locate(path) {
  const [, mount, ...rest] = path.split("/");
  const base = mounts[mount]?.();
  if (!base) return undefined;
  const file = normalize(join(base, ...rest));
  if (file !== base && !file.startsWith(base + sep)) return undefined;
  if (existsSync(file) && statSync(file).isDirectory()) return join(file, "index.html");
  return file;
}

function switchesOf(path) {
  const switches = new Map();
  const segments = path.split("/").filter((segment, index) => {
    if (index === 0 || !segment.startsWith("~")) return true;
    const [, name, value] = /^~([a-z-]*[a-z])(?:-(\d+))?$/.exec(segment) ?? [];
    if (name) switches.set(name, value === undefined ? true : Number(value));
    return false;
  });
  return { switches, path: segments.join("/") };
}

/** Addresses that were answered before, for ~once. */
const seen = new Set();

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function answer(request, response) {
  const url = new URL(request.url, "http://localhost");
  const { switches, path } = switchesOf(decodeURIComponent(url.pathname));
  const headers = { "Cache-Control": "no-store" };
  if (switches.has("isolated")) {
    headers["Cross-Origin-Opener-Policy"] = "same-origin";
    headers["Cross-Origin-Embedder-Policy"] = "require-corp";
  }
  if (switches.has("cors")) headers["Access-Control-Allow-Origin"] = "*";
  if (switches.has("csp")) {
    headers["Content-Security-Policy"] =
      "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src 'self' data:";
  }

  const extension = extname(path);
  const isPage = path.startsWith("/pages/");
  const html =
    (switches.has("html") && !isPage) ||
    (switches.has("html-wasm") && extension === ".wasm") ||
    (switches.has("html-data") && extension === ".bin") ||
    Object.entries(scripts).some(([name, script]) => switches.has(`html-${name}`) && path.endsWith(script));
  if (html) {
    response.writeHead(200, { ...headers, "Content-Type": "text/html; charset=utf-8" });
    return response.end(fallbackPage);
  }
  if (switches.has("status") && !isPage) {
    response.writeHead(switches.get("status"), { ...headers, "Content-Type": "text/plain" });
    return response.end("not now\n");
  }

  const file = switches.has("missing-data") && extension === ".bin" ? undefined : locate(path);
  if ((!made[path] || (switches.has("missing-data") && extension === ".bin")) && (!file || !existsSync(file))) {
    response.writeHead(404, { ...headers, "Content-Type": "text/plain" });
    return response.end(`no ${path}\n`);
  }
  const asText = (switches.has("wasm-as-text") && extension === ".wasm") || (switches.has("worker-as-text") && path.endsWith("/worker.js"));
  headers["Content-Type"] =
    asText ? "text/plain" : (types[extension || extname(file)] ?? "application/octet-stream");

  const hostile = ["cut", "cut-data", "empty-data", "drop", "resume", "trickle", "once", "flip", "gzip", "br", "chunked", "slow", "slow-data"].some((name) => switches.has(name)) && !isPage && extension !== ".js";
  if (!hostile && !made[path]) {
    response.writeHead(200, { ...headers, "Content-Length": statSync(file).size });
    return createReadStream(file).pipe(response);
  }

  let body = made[path] ? Buffer.from(made[path]()) : readFileSync(file);
  if (switches.has("flip") && extension === ".bin") body[body.length >> 1] ^= 1;
  if (switches.has("empty-data") && extension === ".bin") body = Buffer.alloc(0);
  if (path.endsWith("/manifest.json")) for (const name of ["drop", "resume", "trickle", "once"]) switches.delete(name);
  const piece = switches.get("resume") ?? switches.get("trickle");
  let status = 200;
  if (piece !== undefined && body.length > piece) {
    headers.ETag = `"${body.length}"`;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (from > 0) {
      status = 206;
      headers["Content-Range"] = `bytes ${from}-${body.length - 1}/${body.length}`;
      body = body.subarray(from);
    }
    if (from === 0 || (switches.has("trickle") && body.length > piece)) switches.set("drop", piece);
  }
  if (switches.has("once") && body.length > switches.get("once") && !seen.has(request.url)) {
    seen.add(request.url);
    switches.set("drop", switches.get("once"));
  }
  if (switches.has("gzip")) {
    body = gzipSync(body);
    headers["Content-Encoding"] = "gzip";
  }
  if (switches.has("br")) {
    body = brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } });
    headers["Content-Encoding"] = "br";
  }
  if (switches.has("cut")) body = body.subarray(0, switches.get("cut"));
  if (switches.has("cut-data") && extension === ".bin") body = body.subarray(0, switches.get("cut-data"));
  if (!switches.has("chunked")) headers["Content-Length"] = body.length;
  response.writeHead(status, headers);
  if (switches.has("drop")) {
    response.write(body.subarray(0, switches.get("drop")));
    await wait(50);
    return response.destroy();
  }
  const perSecond = switches.get("slow") ?? (extension === ".bin" ? switches.get("slow-data") : undefined);
  if (!perSecond) return response.end(body);
  const step = Math.max(1, Math.ceil(perSecond / 20));
  let at = 0;
  for (; at + step < body.length && !response.destroyed; at += step) {
    response.write(body.subarray(at, at + step));
    await wait(50);
  }
  // The last piece ends it: a browser that has all it was promised asks for the next file on the same connection.
  return response.end(body.subarray(at));
}

/**
 * Starts the server; port 0 takes any free one. `root` serves that folder under /site/. `unfinished` gives the addresses
 * whose answers somebody is still reading.
 */
export function serve({ port = 0, root } = {}) {
  if (root) mounts.site = () => normalize(root);
  const answering = new Map();
  const server = createServer((request, response) => {
    answering.set(response, request.url);
    response.once("close", () => answering.delete(response));
    answer(request, response).catch((error) => {
      process.stderr.write(`${request.url}: ${error.stack}\n`);
      if (!response.headersSent) response.writeHead(500, { "Content-Type": "text/plain" });
      response.end(`${error.message}\n`);
    });
  });
  return new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(port, "127.0.0.1", () => {
      const address = `http://127.0.0.1:${server.address().port}`;
      done({ address, unfinished: () => [...answering.values()], close: () => new Promise((closed) => (server.closeAllConnections(), server.close(closed))) });
    });
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { address } = await serve({ port: Number(process.env.PORT ?? 8123) });
  process.stdout.write(`serving on ${address}\n`);
}
