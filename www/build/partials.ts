/** What the pages have in common, filled in when they are built. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

const folder = fileURLToPath(new URL("../partials", import.meta.url));
const include = /^([ \t]*)<!-- include ([a-z-]+)((?: [a-z-]+="[^"]*")*) -->$/gm;

/**
 * Replaces `<!-- include NAME key="value" -->`, alone on its line, by `partials/NAME.html`, in which `{{key}}` is the value; a key
 * without a value fails the build. The link to the page itself, by its `data-page`, is marked as the current one;
 * `within="demos"` on the include marks another.
 */
export function partials(): Plugin {
  return {
    name: "partials",
    configureServer(server) {
      server.watcher.add(folder);
      server.watcher.on("change", (file) => {
        if (file.startsWith(folder)) server.ws.send({ type: "full-reload" });
      });
    },
    transformIndexHtml: {
      order: "pre",
      handler(html, { filename }) {
        return html.replace(include, (_, indent: string, name: string, given: string) => {
          const values = new Map([...given.matchAll(/([a-z-]+)="([^"]*)"/g)].map(([, key = "", value = ""]) => [key, value]));
          const current = values.get("within") ?? basename(filename, ".html");
          return readFileSync(`${folder}/${name}.html`, "utf8")
            .trimEnd()
            .replace(/\{\{([a-z-]+)\}\}/g, (_, key: string) => {
              const value = values.get(key);
              if (value === undefined) throw new Error(`${filename}: <!-- include ${name} --> lacks ${key}="…"`);
              return value;
            })
            .replace(/ data-page="([a-z-]+)"/g, (_, page: string) => (page === current ? ` aria-current="${values.has("within") ? "true" : "page"}"` : ""))
            .replace(/^(?=.)/gm, indent);
        });
      },
    },
  };
}
