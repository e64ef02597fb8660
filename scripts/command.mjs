// Runs other programs: quietly with their output kept, or with their output shown.
import { spawn, spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { places } from "./places.mjs";

/** The environment with the project's own tools first on PATH. */
export const toolEnvironment = (extra = {}) => ({
  ...process.env,
  PATH: [join(places.tools, "bin"), process.env.PATH].join(delimiter),
  ...extra,
});

/** Standard output of a short command, trimmed; undefined when it is missing or fails. */
export function answer(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: "utf8", env: toolEnvironment(), stdio: ["ignore", "pipe", "ignore"], ...options });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/**
 * Runs a command to its end and resolves to { code, output } with both streams in `output`.
 * `show` also passes them on as they come.
 */
export function run(command, args, { cwd, env = toolEnvironment(), show = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const [stream, sink] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        output += text;
        if (show) sink.write(text);
      });
    }
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code: code ?? 1, signal, output }));
  });
}

const unreachable = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|[Cc]ould ?n[o']t resolve host|[Cc]ould not resolve|[Ff]ailed to connect|Temporary failure resolving|spurious network error|download of config\.json failed|dns error|error sending request/;

/** The error to show when fetching `what` failed: that there is no network, or the end of what the tool said. */
export function fetchFailure(what, output) {
  if (unreachable.test(output)) return new Error(`offline: ${what} is not in the cache and the registry cannot be reached; connect once and run again`);
  return new Error(`${what} could not be installed:\n${output.trimEnd().split("\n").slice(-15).join("\n")}`);
}
