//! The line between a session and its host: one request at a time, an end to every one of them.
import { adviceForFiles, adviceForWorkerScripts, adviceForWorkers, checkAddress, diagnose, workerFromElsewhere } from "./deployment.js";
import { FirebrandError, abortedError, describe } from "./error.js";
import type { Host } from "./host.js";
import { partOf } from "./parts.js";
import { nodeProcess, nodeThreads } from "./platform.js";
import { fromFailure, toFailure, type Progress, type Reply, type Request } from "./protocol.js";
import { tell } from "./progress.js";

/** Carries messages to a host. */
export interface Port {
  /** Whether the host can be ended in the middle of its work. */
  readonly isSeparate: boolean;
  send(request: Request, transfer: Transferable[]): void;
  close(): void;
}

/** What a port tells. */
export interface PortEvents {
  reply(reply: Reply): void;
  /** The host is gone. */
  failed(error: FirebrandError): void;
}

export type OpenPort = (events: PortEvents) => Port;

export interface ExchangeOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

type Answer = Exclude<Reply, { type: "progress" } | { type: "failed" }>;
type AnswerTo = { load: "loaded"; run: "ran"; inspect: "inspected" };

interface Pending {
  resolve(reply: Answer): void;
  reject(error: FirebrandError): void;
  onProgress: ((progress: Progress) => void) | undefined;
}

export class Link {
  readonly #port: Port;
  #pending: Pending | undefined;
  #drained: Promise<void> = Promise.resolve();
  #isOpen = true;

  constructor(open: OpenPort) {
    this.#port = open({
      reply: (reply) => this.#receive(reply),
      failed: (error) => this.close(error),
    });
  }

  /** Whether the host can take another request. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends a request and waits for its answer. A request must not be sent while another is answered. */
  async exchange<R extends Request>(request: R, transfer: Transferable[], { signal, onProgress }: ExchangeOptions = {}): Promise<Extract<Answer, { type: AnswerTo[R["type"]] }>> {
    await this.#drained;
    if (signal?.aborted) throw abortedError(signal);
    if (!this.#isOpen) throw new FirebrandError("internal", "the session's host is gone");
    let settle = () => {};
    this.#drained = new Promise((resolve) => (settle = resolve));
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.#pending = {
          resolve: (reply) => (settle(), resolve(reply as Extract<Answer, { type: AnswerTo[R["type"]] }>)),
          reject: (error) => (settle(), reject(error)),
          onProgress,
        };
        onAbort = () => {
          reject(abortedError(signal!));
          // In place, a run cannot be interrupted: its answer is waited for, and dropped.
          if (this.#port.isSeparate || request.type !== "run") this.close();
        };
        signal?.addEventListener("abort", onAbort, { once: true });
        try {
          this.#port.send(request, transfer);
        } catch (error) {
          this.close(fromFailure(toFailure(error)));
        }
      });
    } finally {
      if (onAbort) signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Ends the host; what is pending is rejected with `error`. */
  close(error = new FirebrandError("disposed", "the session was disposed of before the call was answered")): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#port.close();
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(error);
  }

  #receive(reply: Reply): void {
    if (!this.#isOpen) return;
    if (reply.type === "progress") {
      tell(this.#pending?.onProgress, reply.progress);
      return;
    }
    if (reply.type === "failed" && reply.failure.fatal) {
      this.close(fromFailure(reply.failure));
      return;
    }
    const pending = this.#pending;
    this.#pending = undefined;
    if (reply.type === "failed") pending?.reject(fromFailure(reply.failure));
    else pending?.resolve(reply);
  }
}

/** Opens a worker of its own, from this package's file. */
export const openWorker: OpenPort = (events) => {
  checkAddress(import.meta.url);
  const threads = nodeThreads();
  if (threads) return openNodeWorker(threads, events);
  let worker: Worker;
  try {
    worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "firebrand" });
  } catch (error) {
    const other = isBundled() ? undefined : workerFromElsewhere(unbundledWorker(), "firebrand");
    if (!other) throw new FirebrandError("network", `the worker could not be started ${adviceForWorkers(error)}`, { cause: error });
    worker = other;
  }
  let hasAnswered = false;
  worker.onmessage = ({ data }: MessageEvent<Reply>) => {
    hasAnswered = true;
    events.reply(data);
  };
  worker.onmessageerror = () => events.failed(new FirebrandError("internal", "a message from the worker could not be read"));
  worker.onerror = (event) => {
    event.preventDefault();
    if (hasAnswered || event.message) {
      events.failed(fromFailure(toFailure(new Error(event.message || "the worker failed"))));
      return;
    }
    void whyNoWorker().then((why) => events.failed(new FirebrandError("network", `the worker could not be started: ${why}`)));
  };
  return {
    isSeparate: true,
    send: (request, transfer) => worker.postMessage(request, transfer),
    close: () => worker.terminate(),
  };
};

/** The worker's file, in an expression that bundlers leave alone: the one they know is rewritten to theirs. */
function unbundledWorker(): URL {
  const here = import.meta.url;
  return new URL("./worker.js", here);
}

/** Browsers say nothing about a worker whose script they did not take, so its host is asked. */
async function whyNoWorker(): Promise<string> {
  if (new URL(import.meta.url).pathname.includes("/.vite/deps/")) {
    return 'Vite 7 and older move the package while developing, but not its worker; add optimizeDeps: { exclude: ["firebrand"] } to vite.config, or use Vite 8';
  }
  if (isBundled()) return `its script was not found, or not allowed; ${adviceForWorkerScripts}`;
  return `${await diagnose(unbundledWorker().href)}; expected JavaScript (text/javascript): ${adviceForWorkerScripts}`;
}

/** Whether this is no longer the package's own file. */
function isBundled(): boolean {
  return !/\/(index|session)\.js$/.test(new URL(import.meta.url).pathname);
}

function openNodeWorker(threads: typeof import("node:worker_threads"), events: PortEvents): Port {
  const worker = new threads.Worker(unbundledWorker(), { execArgv: [] });
  // A thread without work must not keep the process alive.
  worker.unref();
  worker.on("message", (reply: Reply) => {
    if (reply.type !== "progress") worker.unref();
    events.reply(reply);
  });
  worker.on("error", (error) => events.failed(fromFailure(toFailure(error))));
  worker.on("exit", (code) => events.failed(new FirebrandError("internal", `the worker thread ended with code ${code}`)));
  return {
    isSeparate: true,
    send: (request, transfer) => {
      worker.ref();
      worker.postMessage(request, transfer as ArrayBuffer[]);
    },
    close: () => void worker.terminate(),
  };
}

/** Opens a host in this very thread. */
export const openInPlace: OpenPort = (events) => {
  let isClosed = false;
  let stopWatching = () => {};
  const host = importHost().then(
    (Host) =>
      new Host((reply) => {
        if (reply.type !== "progress") stopWatching();
        queueMicrotask(() => events.reply(reply));
      }),
  );
  const failed = async (error: unknown) => {
    if (error instanceof FirebrandError) return events.failed(error);
    const reason = describe(error);
    // Browsers name the file; what its host answered is another question.
    const url = /https?:\S+/.exec(reason)?.[0];
    const answered = url ? await diagnose(url) : `a part of the package could not be loaded (${reason})`;
    events.failed(new FirebrandError("network", `${answered}: expected JavaScript (text/javascript); ${adviceForFiles()}`, { ...(url && { file: url }), cause: error }));
  };
  return {
    isSeparate: false,
    send: (request) => {
      stopWatching();
      stopWatching = watchTraps((error) => void host.then((opened) => opened.trap(error)));
      host.then((opened) => {
        if (!isClosed) opened.receive(request);
      }, failed);
    },
    close: () => {
      isClosed = true;
      stopWatching();
      host.then((opened) => opened.close(), () => {});
    },
  };
};

async function importHost(): Promise<typeof Host> {
  checkAddress(import.meta.url);
  return partOf<typeof Host>("host") ?? (await import("./host.js")).Host;
}

/** Catches WebAssembly traps that no promise carries; leaves all other errors as they are. */
function watchTraps(caught: (error: Error) => void): () => void {
  const isTrap = (error: unknown): error is Error => error instanceof WebAssembly.RuntimeError;
  if (typeof addEventListener === "function") {
    const listener = (event: Event) => {
      const { error, reason } = event as Event & { error?: unknown; reason?: unknown };
      const thrown = error ?? reason;
      if (!isTrap(thrown)) return;
      event.preventDefault();
      caught(thrown);
    };
    addEventListener("error", listener);
    addEventListener("unhandledrejection", listener);
    return () => {
      removeEventListener("error", listener);
      removeEventListener("unhandledrejection", listener);
    };
  }
  const listener = (error: unknown) => {
    if (!isTrap(error)) throw error;
    caught(error);
  };
  const node = nodeProcess();
  node?.on("uncaughtException", listener);
  return () => void node?.off("uncaughtException", listener);
}
