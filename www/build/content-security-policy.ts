import { createHash } from "node:crypto";
import type { Plugin } from "vite";

/**
 * Writes the page's Content-Security-Policy: nothing is fetched from, or sent to, another origin.
 * Only in the build: the development server injects inline styles and opens a web socket.
 */
export function contentSecurityPolicy(): Plugin {
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
          "media-src 'self' blob:",
          "object-src 'none'",
          "base-uri 'none'",
          "form-action 'none'",
        ].join("; ");
        return [{ tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content }, injectTo: "head-prepend" }];
      },
    },
  };
}
