import { Worker as NodeWorker } from "node:worker_threads";
import { afterEach, expect, it, vi } from "vitest";
import { nodeThreads, prefersWorker } from "../src/platform.js";

afterEach(() => vi.unstubAllGlobals());

it("works in place in Node, which has threads", () => {
  expect(nodeThreads()?.Worker).toBe(NodeWorker);
  expect(prefersWorker()).toBe(false);
});

it("knows Node's threads where a library has put them in the place of the browsers' Worker", () => {
  vi.stubGlobal("Worker", NodeWorker);
  expect(nodeThreads()?.Worker).toBe(NodeWorker);
  expect(prefersWorker()).toBe(false);
});

it("takes a Worker as the browsers have it", () => {
  vi.stubGlobal("Worker", class {});
  expect(nodeThreads()).toBeUndefined();
  expect(prefersWorker()).toBe(true);
});
