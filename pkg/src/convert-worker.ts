//! The converter's worker: one piece of work, one answer.
import type { Work, WorkReply } from "./convert.js";
import { work } from "./converter.js";
import { builtin } from "./platform.js";
import { toFailure } from "./protocol.js";

async function answer(given: Work, reply: (reply: WorkReply) => void): Promise<void> {
  try {
    const result = await work(given, (progress) => {
      reply({ type: "progress", progress });
      return true;
    });
    reply({ type: "done", result });
  } catch (error) {
    reply({ type: "failed", failure: toFailure(error) });
  }
}

const port = builtin("node:worker_threads")?.parentPort;
if (port) {
  port.once("message", (given: Work) => void answer(given, (reply) => port.postMessage(reply)));
} else {
  const scope = globalThis as unknown as {
    postMessage(reply: WorkReply): void;
    addEventListener(type: "message", listener: (event: { data: Work }) => void, options: { once: true }): void;
  };
  scope.addEventListener("message", ({ data }) => void answer(data, (reply) => scope.postMessage(reply)), { once: true });
}
