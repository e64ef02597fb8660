//! A helper's entry: another instance of the runtime over the same memory, which takes parts of the work.
import { describe } from "./error.js";
import { importPart } from "./parts.js";
import { builtin } from "./platform.js";
import type { HelperReply, HelperStart } from "./threads.js";

interface Helping {
  default(options: { module_or_path: WebAssembly.Module; memory: WebAssembly.Memory }): Promise<unknown>;
  help(): never;
  helpFailed(): void;
}

async function help({ glue: url, module, memory }: HelperStart, reply: (reply: HelperReply) => void): Promise<void> {
  let glue: Helping;
  try {
    const instantiate = await importPart<() => Helping>("cpu-threads", url);
    if (!instantiate) throw new Error(`${url} is another version's`);
    glue = instantiate();
    await glue.default({ module_or_path: module, memory });
  } catch (error) {
    return reply({ type: "failed", reason: describe(error) });
  }
  reply({ type: "ready" });
  try {
    glue.help();
  } catch (error) {
    // Whoever waits for this thread's part must not wait for good.
    glue.helpFailed();
    throw error;
  }
}

const port = builtin("node:worker_threads")?.parentPort;
if (port) {
  port.once("message", (start: HelperStart) => void help(start, (reply) => port.postMessage(reply)));
} else {
  const scope = globalThis as unknown as {
    postMessage(reply: HelperReply): void;
    addEventListener(type: "message", listener: (event: { data: HelperStart }) => void, options: { once: true }): void;
  };
  scope.addEventListener("message", ({ data }) => void help(data, (reply) => scope.postMessage(reply)), { once: true });
}
