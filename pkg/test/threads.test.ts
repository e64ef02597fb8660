import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Host } from "../src/host.js";
import type { Reply } from "../src/protocol.js";
import * as runtime from "../src/runtime.js";
import * as threads from "../src/threads.js";
import { fakeGlue } from "./fake-runtime.js";

vi.mock("../src/runtime.js", async (original) => ({ ...(await original<typeof runtime>()), openRuntime: vi.fn(), chooseBuild: vi.fn() }));
vi.mock("../src/threads.js", async (original) => ({ ...(await original<typeof threads>()), startHelpers: vi.fn(), threadSurroundings: vi.fn() }));

const around = { cores: 8, isIsolated: true, isOwnWorker: true };

describe("chooseThreads", () => {
  it("takes half of the cores, from two to four", () => {
    const auto = (cores: number) => threads.chooseThreads("auto", { ...around, cores }).threads;
    expect([1, 2, 3, 4, 6, 8, 64].map(auto)).toEqual([1, 2, 2, 2, 3, 4, 4]);
  });

  it("takes as many as are asked for, but no more than there are cores", () => {
    expect(threads.chooseThreads(3, around)).toEqual({ threads: 3, reason: "3 threads were asked for" });
    expect(threads.chooseThreads(100, around)).toEqual({ threads: 8, reason: "there are 8 cores" });
  });

  it.each([
    ["one was asked for", 1, around, /asked for/],
    ["the page is not isolated", "auto", { ...around, isIsolated: false }, /isolated/],
    ["the session has no worker of its own", 4, { ...around, isOwnWorker: false }, /worker/],
    ["there is one core", 4, { ...around, cores: 1 }, /one core/],
  ] as const)("takes one where %s, and says so", (_where, asked, surroundings, reason) => {
    expect(threads.chooseThreads(asked, surroundings)).toEqual({ threads: 1, reason: expect.stringMatching(reason) });
  });
});

describe("a host in a worker of its own", () => {
  const load = async (wanted: number | "auto" = "auto") => {
    const replies: Reply[] = [];
    const host = new Host((reply) => replies.push(reply), { isOwnWorker: true });
    host.receive({ type: "load", source: { from: "blob", blob: new Blob([Uint8Array.of(8, 7)]) }, externalData: {}, device: "cpu", threads: wanted, cache: "none", selfTest: true });
    await vi.waitFor(() => expect(replies.at(-1)?.type).toMatch(/loaded|failed/));
    return replies.at(-1) as Extract<Reply, { type: "loaded" }>;
  };

  beforeEach(() => {
    vi.mocked(threads.threadSurroundings).mockReturnValue(around);
    vi.mocked(runtime.chooseBuild).mockImplementation((_device, count = 1) => (count > 1 ? "cpu-threads" : "cpu-relaxed"));
    vi.mocked(threads.startHelpers).mockResolvedValue({ ready: 3 });
  });
  afterEach(() => vi.resetAllMocks());

  it("starts helpers over the memory of its runtime", async () => {
    const { runtime: opened, load: loading } = fakeGlue();
    vi.mocked(runtime.openRuntime).mockResolvedValue(opened);
    expect((await load()).info).toMatchObject({ threads: 4, threadsReason: "there are 8 cores" });
    expect(threads.startHelpers).toHaveBeenCalledWith(3, { glue: opened.url, module: opened.module, memory: opened.memory });
    expect(loading).toHaveBeenCalledWith(expect.anything(), expect.anything(), { device: "cpu", intraOpNumThreads: 4 });
  });

  it("counts those that came, and tells why others did not", async () => {
    vi.mocked(runtime.openRuntime).mockResolvedValue(fakeGlue().runtime);
    vi.mocked(threads.startHelpers).mockResolvedValue({ ready: 1, problem: "blocked by a policy" });
    expect((await load(4)).info).toMatchObject({ threads: 2, threadsReason: expect.stringContaining("blocked by a policy") });
  });

  it("does with one thread where the build with threads cannot be started", async () => {
    vi.mocked(runtime.openRuntime).mockRejectedValueOnce(new RangeError("could not allocate memory")).mockResolvedValueOnce(fakeGlue().runtime);
    expect((await load()).info).toMatchObject({ threads: 1, threadsReason: expect.stringContaining("could not allocate memory") });
    expect(vi.mocked(runtime.openRuntime).mock.calls.map(([build]) => build)).toEqual(["cpu-threads", "cpu-relaxed"]);
  });

  it("says that a machine without relaxed SIMD has one", async () => {
    vi.mocked(runtime.chooseBuild).mockReturnValue("cpu-simd128");
    vi.mocked(runtime.openRuntime).mockResolvedValue(fakeGlue().runtime);
    expect((await load()).info).toMatchObject({ threads: 1, threadsReason: expect.stringContaining("relaxed SIMD") });
    expect(threads.startHelpers).not.toHaveBeenCalled();
  });

  it("gives the model that needs all operators the build that has them, with one thread", async () => {
    const small = fakeGlue();
    small.load.mockRejectedValue({ kind: "unsupported_operator", message: "unsupported operators: Acosh" });
    vi.mocked(runtime.openRuntime).mockResolvedValueOnce(small.runtime).mockResolvedValueOnce(fakeGlue().runtime);
    expect((await load()).info).toMatchObject({ threads: 1, threadsReason: expect.stringContaining("all operators") });
  });
});
