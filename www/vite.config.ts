import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

/**
 * Writes the page's Content-Security-Policy: nothing is fetched from, or sent to, another origin.
 * Only in the build: the development server injects inline styles and opens a web socket.
 */
function contentSecurityPolicy(): Plugin {
  return {
    name: "content-security-policy",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler(html) {
        const hashes = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
          ([, code]) => `'sha256-${createHash("sha256").update(code ?? "").digest("base64")}'`,
        );
        const content = [
          "default-src 'self'",
          ["script-src 'self' 'wasm-unsafe-eval'", ...hashes].join(" "),
          "img-src 'self' blob: data:",
          "object-src 'none'",
          "base-uri 'none'",
          "form-action 'none'",
        ].join("; ");
        return [
          {
            tag: "meta",
            attrs: { "http-equiv": "Content-Security-Policy", content },
            injectTo: "head-prepend",
          },
        ];
      },
    },
  };
}

/** What lets a page's workers share memory, and so the CPU use threads; a host that cannot send these headers gets one. */
const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

export default defineConfig({
  // Relative addresses, so that the folder works under any path of any static host.
  base: "./",
  build: {
    outDir: "../site",
    emptyOutDir: true,
    target: "es2022",
    rolldownOptions: { input: ["index.html", "optimise.html"] },
  },
  // `firebrand` is a link to ../pkg, outside this folder, which the development server must be told.
  server: { headers: isolated, fs: { allow: [fileURLToPath(new URL("..", import.meta.url))] } },
  preview: { headers: isolated },
  plugins: [contentSecurityPolicy()],
});
