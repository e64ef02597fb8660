/** Gives the service worker the list of what belongs to this version of the site. */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Plugin, Rolldown } from "vite";

/** What the first page needs to answer without a network, beside its own code. */
const FIRST_DEMO = ["models/squeezenet1.1.onnx", "models/imagenet-labels.json", "photos/coffee.png", "photos/chelsea.png", "photos/camera.png", "photos/rocket.jpg"];
/** The runtime's builds that it runs on: which one, the browser decides. */
const FIRST_RUNTIMES = /\/wasm\/cpu-(relaxed|threads)\//;

export function serviceWorker(): Plugin {
  let publicFolder = "";
  return {
    name: "service-worker",
    apply: "build",
    enforce: "post",
    configResolved({ publicDir }) {
      publicFolder = publicDir;
    },
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        const chunk = Object.values(bundle).find((file): file is Rolldown.OutputChunk => file.type === "chunk" && file.fileName === "service-worker.js");
        if (!chunk) throw new Error("the build has no service-worker.js");
        if (chunk.imports.length > 0) throw new Error(`service-worker.js imports ${chunk.imports.join(", ")}: it has to stand alone`);
        const files = Object.values(bundle).filter((file) => file !== chunk && !file.fileName.endsWith(".map"));
        const isRuntime = ({ fileName }: { fileName: string }) => /\.wasm$|\/firebrand-[^/]+\.js$/.test(fileName);
        const own = files.filter((file) => !isRuntime(file)).map(({ fileName }) => fileName);
        const runtimes = files.filter((file) => file.type === "asset" && isRuntime(file) && file.originalFileNames.some((name) => FIRST_RUNTIMES.test(name))).map(({ fileName }) => fileName);
        const others = readdirSync(publicFolder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name).slice(publicFolder.length + 1))
          .sort();
        const hash = createHash("sha256");
        for (const file of [...files].sort((a, b) => (a.fileName < b.fileName ? -1 : 1))) hash.update(file.fileName).update(file.type === "chunk" ? file.code : file.source);
        for (const file of others) hash.update(file).update(readFileSync(join(publicFolder, file)));
        const pages = ["./", ...own, ...others.filter((file) => /^icons\/|\.webmanifest$/.test(file))];
        const told = { VERSION: hash.digest("hex").slice(0, 16), PAGES: pages, FIRST_DEMO: [...runtimes, ...FIRST_DEMO] };
        for (const [name, value] of Object.entries(told)) chunk.code = chunk.code.replaceAll(`__${name}__`, () => JSON.stringify(value));
      },
    },
  };
}
