//! The converter's worker: one piece of work, one answer.
import type { Work, WorkReply } from "./convert.js";
import { work } from "./converter.js";
import { builtin } from "./platform.js";
import { toFailure } from "./protocol.js";

async function answer(given: Work, reply: (reply: WorkReply, transfer?: ArrayBuffer[]) => void): Promise<void> {
  try {
    const result = await work(given, (progress) => {
      reply({ type: "progress", progress });
      return true;
    });
    const made = "files" in result ? result.files.map(({ bytes }) => bytes) : [result.model];
    reply({ type: "done", result }, [...new Set(made.map(({ buffer }) => buffer as ArrayBuffer))]);
  } catch (error) {
    reply({ type: "failed", failure: toFailure(error) });
  }
}

const port = builtin("node:worker_threads")?.parentPort;
if (port) {
  port.once("message", (given: Work) => void answer(given, (reply, transfer = []) => port.postMessage(reply, transfer)));
} else {
  const scope = globalThis as unknown as {
    postMessage(reply: WorkReply, transfer: ArrayBuffer[]): void;
    addEventListener(type: "message", listener: (event: { data: Work }) => void, options: { once: true }): void;
  };
  scope.addEventListener("message", ({ data }) => void answer(data, (reply, transfer = []) => scope.postMessage(reply, transfer)), { once: true });
}
