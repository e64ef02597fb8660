// A static host as plain as can be: one folder, under a prefix of the path, which remembers what it was asked for.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";

const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".json": "application/json", ".wasm": "application/wasm" };

/**
 * Serves `root` under `prefix`; `cors` lets other origins read it, `isolated` makes its pages cross-origin isolated.
 *
 * @returns its address with the prefix, the files that were asked for with their sizes, and how to end it
 */
export function serve(root, { prefix = "/", cors = false, isolated = false } = {}) {
  const requested = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    let file = path.startsWith(prefix) ? normalize(join(root, path.slice(prefix.length))) : "";
    if (file.startsWith(root) && existsSync(file) && statSync(file).isDirectory()) file = join(file, "index.html");
    if (!file.startsWith(normalize(root + sep)) || !existsSync(file)) {
      requested.push({ path, bytes: undefined });
      response.writeHead(404, { "Content-Type": "text/plain" });
      return response.end(`no ${path}\n`);
    }
    const { size } = statSync(file);
    requested.push({ path, bytes: size });
    response.writeHead(200, { "Content-Type": types[extname(file)] ?? "application/octet-stream", "Content-Length": size, "Cache-Control": "no-store", ...(cors && { "Access-Control-Allow-Origin": "*" }), ...(isolated && { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" }) });
    return createReadStream(file).pipe(response);
  });
  return new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address = `http://127.0.0.1:${server.address().port}${prefix}`;
      done({ address, requested, close: () => new Promise((closed) => (server.closeAllConnections(), server.close(closed))) });
    });
  });
}
