//! How many threads a session may use, why not more, and starting them.
import { describe } from "./error.js";
import { builtin, nodeThreads } from "./platform.js";

/** Beyond these, sharing a node's work brings less than it costs. */
const most = 4;

/** The little of a machine that choosing needs. */
export interface ThreadSurroundings {
  /** Logical ones. */
  readonly cores: number;
  /** Whether memory may be shared among workers. */
  readonly isIsolated: boolean;
  /** Whether this is a worker of the session's own, which may wait. */
  readonly isOwnWorker: boolean;
}

export interface ThreadChoice {
  threads: number;
  reason: string;
}

export function threadSurroundings(isOwnWorker: boolean): ThreadSurroundings {
  const scope = globalThis as { crossOriginIsolated?: boolean; navigator?: { hardwareConcurrency?: number } };
  return {
    cores: scope.navigator?.hardwareConcurrency ?? builtin("node:os")?.availableParallelism() ?? 1,
    isIsolated: typeof SharedArrayBuffer === "function" && (scope.crossOriginIsolated ?? builtin("node:os") !== undefined),
    isOwnWorker,
  };
}

/**
 * Chooses how many threads to use. `"auto"` takes half of the logical cores, since two of them are often one core, but
 * two where there are two, and four at most.
 */
export function chooseThreads(asked: number | "auto", around: ThreadSurroundings): ThreadChoice {
  const one = (reason: string) => ({ threads: 1, reason });
  if (asked === 1) return one("one thread was asked for");
  if (!around.isOwnWorker) return one("threads need a worker of the session's own");
  if (!around.isIsolated) return one("the page is not cross-origin isolated, so its workers cannot share memory");
  if (around.cores < 2) return one("there is one core");
  const cores = `${around.cores} cores`;
  if (asked === "auto") return { threads: Math.min(most, Math.max(2, Math.ceil(around.cores / 2))), reason: `there are ${cores}` };
  return asked > around.cores ? { threads: around.cores, reason: `there are ${cores}` } : { threads: asked, reason: `${asked} threads were asked for` };
}

/** What a helper is started with; see thread.ts. */
export interface HelperStart {
  /** The address of the runtime's JavaScript. */
  glue: string;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
}

/** What a helper answers, once. */
export type HelperReply = { type: "ready" } | { type: "failed"; reason: string };

/** A helper that has not answered for so long is done without; should it come later, it helps all the same. */
const patienceMs = 5000;

/** Starts helpers; gives how many are there, and why the first of those that are not is not. */
export async function startHelpers(count: number, start: HelperStart): Promise<{ ready: number; problem?: string }> {
  const answers = await Promise.all(Array.from({ length: count }, (_, at) => startHelper(`firebrand-${at + 1}`, start)));
  const failed = answers.find((answer) => answer.type === "failed");
  return { ready: answers.filter(({ type }) => type === "ready").length, ...(failed?.type === "failed" && { problem: failed.reason }) };
}

function startHelper(name: string, start: HelperStart): Promise<HelperReply> {
  return new Promise((resolve) => {
    const answered = (reply: HelperReply) => {
      clearTimeout(timer);
      resolve(reply);
    };
    const failed = (reason: string) => answered({ type: "failed", reason });
    const timer = setTimeout(() => failed(`a worker gave no sign for ${patienceMs / 1000} s`), patienceMs);
    try {
      const threads = nodeThreads();
      if (threads) {
        const here = import.meta.url;
        const worker = new threads.Worker(new URL("./thread.js", here), { execArgv: [] });
        worker.on("message", answered);
        worker.on("error", (error) => failed(describe(error)));
        worker.unref();
        worker.postMessage(start);
        return;
      }
      const worker = new Worker(new URL("./thread.js", import.meta.url), { type: "module", name });
      worker.onmessage = ({ data }: MessageEvent<HelperReply>) => answered(data);
      worker.onerror = (event) => {
        event.preventDefault();
        failed(event.message || "a worker could not be started");
      };
      worker.postMessage(start);
    } catch (error) {
      failed(describe(error));
    }
  });
}
