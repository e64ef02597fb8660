import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { contentSecurityPolicy } from "./build/content-security-policy.ts";
import { partials } from "./build/partials.ts";
import { protobuf } from "./build/protobuf.ts";
import { serviceWorker } from "./build/service-worker.ts";

/** What lets a page's workers share memory, and so the CPU use threads; a host that cannot send these headers gets one. */
const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const here = fileURLToPath(new URL(".", import.meta.url));

export default defineConfig({
  // Relative addresses, so that the folder works under any path of any static host.
  base: "./",
  build: {
    outDir: "../site",
    emptyOutDir: true,
    target: "es2022",
    // The policy allows no code out of data: addresses, and the sound worklet is small.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: [...readdirSync(here).filter((file) => file.endsWith(".html")), "service-worker/service-worker.ts"],
      // A service worker is for what lies below it, and is looked for under the same name again.
      output: { entryFileNames: ({ name }) => (name === "service-worker" ? "service-worker.js" : "assets/[name]-[hash].js") },
    },
  },
  worker: { format: "es" },
  // `firebrand` is a link to ../pkg, outside this folder, which the development server must be told.
  server: { headers: isolated, fs: { allow: [fileURLToPath(new URL("..", import.meta.url))] } },
  preview: { headers: isolated },
  plugins: [partials(), protobuf(), contentSecurityPolicy(), serviceWorker()],
});
