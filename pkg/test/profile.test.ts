import { expect, it } from "vitest";
import { toChromeTrace } from "../src/profile.js";
import { profile } from "./fake-runtime.js";

it("makes a trace of complete events in microseconds", () => {
  const { traceEvents } = JSON.parse(toChromeTrace(profile)) as { traceEvents: Record<string, unknown>[] };
  const [run, node] = traceEvents.filter(({ ph }) => ph === "X");
  expect(run).toMatchObject({ name: "run", ts: 0, dur: 1500, pid: 1, tid: 1 });
  expect(node).toEqual({
    name: "double",
    cat: "Mul",
    ph: "X",
    pid: 1,
    tid: 1,
    ts: 250,
    dur: 1000,
    args: { operator: "Mul", device: "cpu", multiplyAdds: 6, shareOfPeak: 0.5, bytesRead: 12, bytesWritten: 8, outputs: "float32 [1, 2], " },
  });
});
