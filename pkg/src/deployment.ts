//! Where the package's own files are, as far as it can tell, and what to do where they cannot be had from there.
import { FirebrandError, describe } from "./error.js";
import { mimeOf } from "./source.js";

const asWhole = "deploy the package's dist folder as a whole, or your bundler's output";

/**
 * Checks that this file knows its own address, from which it finds the others.
 *
 * @throws {@link FirebrandError} of kind `network`, with what to do
 */
export function checkAddress(address: string | undefined): void {
  if (isFilePage()) throw new FirebrandError("network", fromFile);
  if (address) return;
  throw new FirebrandError(
    "network",
    `the script that Firebrand was bundled into does not know its own address (import.meta.url is empty), so its WebAssembly cannot be found: bundle as an ES module (esbuild: --format=esm; Rollup: output.format "es"; for Node better leave firebrand out of the bundle: --external:firebrand), start it with <script type="module">, and copy node_modules/firebrand/dist beside it`,
  );
}

const fromFile = "this page was opened from a file (file:), and browsers let such pages neither start workers nor fetch files: serve its folder over HTTP, for instance with npx serve, and open that address";

function isFilePage(): boolean {
  return typeof document === "object" && typeof location === "object" && location.protocol === "file:" && !isElectron();
}

/** Its pages are files, and it is the program's own choice what they may do. */
function isElectron(): boolean {
  return / Electron\//.test(navigator.userAgent);
}

/** What to do where a file of the package was not there, or not taken. */
export function adviceForFiles(): string {
  const { ServiceWorkerGlobalScope } = globalThis as { ServiceWorkerGlobalScope?: new () => unknown };
  if (typeof ServiceWorkerGlobalScope === "function" && globalThis instanceof ServiceWorkerGlobalScope) {
    return 'service workers load no code while they run: add import "firebrand/service-worker" beside the import of firebrand';
  }
  return `${asWhole}; esbuild and Rollup leave these files behind: copy node_modules/firebrand/dist beside the bundle`;
}

/** Why a worker could not be made, and what to do. */
export function adviceForWorkers(error: unknown): string {
  return `(${describe(error)}): browsers start workers only from the page's own origin; serve the package (or your bundler's output) from there, or pass worker: false`;
}

/** What to do where a worker's script was not taken. */
export const adviceForWorkerScripts = `${asWhole}, and allow it in the Content-Security-Policy (worker-src 'self'); esbuild and Rollup leave it behind: copy node_modules/firebrand/dist beside the bundle`;

/** A worker whose script is another origin's, which has to allow it by CORS; none where `script` is this origin's. */
export function workerFromElsewhere(script: URL, name: string): Worker | undefined {
  if (!/^https?:$/.test(script.protocol) || script.origin === globalThis.origin) return undefined;
  const own = URL.createObjectURL(new Blob([`import ${JSON.stringify(script.href)};\nURL.revokeObjectURL(location.href);`], { type: "text/javascript" }));
  return new Worker(own, { type: "module", name });
}

/** What to do where files of two versions meet. */
export const oneVersion = "deploy the package's dist folder (or your bundler's output) as a whole, purge caches in front of it, and reload past the browser's";

/** What a host answers for a script that would not start. */
export async function diagnose(url: string): Promise<string> {
  try {
    const response = await fetch(url);
    void response.body?.cancel().catch(() => {});
    return `${url} answered ${response.status} ${response.statusText} (${mimeOf(response)})`;
  } catch (error) {
    return `${url} could not be fetched (${describe(error)})`;
  }
}
