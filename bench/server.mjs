// Serves the page, the peers and the models, cross-origin isolated, and tells what a page fetched.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/**
 * Starts the server on a free port. `mounts`: path prefix → folder. Files are kept in memory and sent
 * uncompressed, so that neither disk nor compression is measured.
 */
export async function serve(mounts) {
  const files = new Map();
  const fetched = new Map();

  const read = async (path) => {
    if (files.has(path)) return files.get(path);
    const prefix = Object.keys(mounts).filter((mount) => path.startsWith(mount)).sort((a, b) => b.length - a.length)[0];
    if (!prefix) return undefined;
    const file = normalize(join(mounts[prefix], path.slice(prefix.length)));
    if (!file.startsWith(mounts[prefix] + sep)) return undefined;
    const bytes = await readFile(file).catch(() => undefined);
    if (bytes) files.set(path, bytes);
    return bytes;
  };

  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const path = decodeURIComponent(pathname);
    const bytes = await read(path);
    const headers = {
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
      "Cross-Origin-Resource-Policy": "same-origin",
      "Cache-Control": "no-store",
    };
    if (!bytes) {
      response.writeHead(404, headers).end();
      return;
    }
    fetched.get(path) ?? fetched.set(path, bytes);
    response.writeHead(200, { ...headers, "Content-Type": types[extname(path)] ?? "application/octet-stream", "Content-Length": bytes.length }).end(bytes);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));

  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** What was fetched since the last call: path → bytes. */
    takeFetched() {
      const taken = new Map(fetched);
      fetched.clear();
      return taken;
    },
    close: () => new Promise((done) => server.close(done)),
  };
}
