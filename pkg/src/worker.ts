//! The worker's entry: a host that speaks through the worker's message port.
import { Host } from "./host.js";
import { builtin, nodeProcess } from "./platform.js";
import type { Reply, Request } from "./protocol.js";

const port = builtin("node:worker_threads")?.parentPort;
if (port) {
  const host = new Host((reply: Reply, transfer: Transferable[] = []) => port.postMessage(reply, transfer as ArrayBuffer[]), { isOwnWorker: true });
  port.on("message", (request: Request) => host.receive(request));
  nodeProcess()?.on("uncaughtException", (error) => host.trap(error));
} else {
  const scope = globalThis as unknown as {
    postMessage(reply: Reply, transfer: Transferable[]): void;
    addEventListener(type: string, listener: (event: { data: Request; error?: unknown; message?: string; reason?: unknown; preventDefault(): void }) => void): void;
  };
  const host = new Host((reply, transfer = []) => scope.postMessage(reply, transfer), { isOwnWorker: true });
  scope.addEventListener("message", (event) => host.receive(event.data));
  scope.addEventListener("error", (event) => {
    event.preventDefault();
    host.trap(event.error ?? new Error(event.message));
  });
  scope.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    host.trap(event.reason);
  });
}
