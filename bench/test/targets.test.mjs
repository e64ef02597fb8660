import assert from "node:assert/strict";
import { test } from "node:test";
import { limits, targets } from "../targets.mjs";

const quiet = { loadBefore: 0.1, loadAfter: 1.1 };
const shared = { loadBefore: 6, loadAfter: 6 };

const result = (peer, precision, ratio, more = {}) => ({ peer, precision, steady: { ratio }, cold: { totalMs: 100, cpuMs: 100 }, download: { brotli: 1, files: [] }, stall: { taskCpuMs: 1 }, ...more });
const measured = (model, results) => ({ model, device: "cpu", range: 10, results });
const find = (rows, what, against) => rows.find((one) => one.what === what && one.against.startsWith(against));

test("the best peer is the one against which the ratio is worst, and burn-flex is none", () => {
  const results = [result("firebrand", "f32", { median: 1 }), result("ort", "f32", { median: 0.5 }), result("litert", "f32", { median: 0.9 }), result("flex", "f32", { median: 2 })];
  const row = find(targets({ machine: quiet, measurements: [measured("resnet18", results)] }), "ResNet-18 float32", "best peer");
  assert.equal(row.against, "best peer: LiteRT.js");
  assert.equal(row.measured.median, 0.9);
  assert.equal(row.verdict, "FAIL");
});

test("CPU time decides on a shared machine only", () => {
  const measurements = [measured("mobilenetv2", [result("firebrand", "f32", { median: 1 }), result("litert", "f32", { median: 1.5, byCpu: { median: 0.7 } })])];
  assert.equal(find(targets({ machine: quiet, measurements }), "MobileNetV2 float32", "LiteRT").verdict, "FAIL");
  assert.equal(find(targets({ machine: shared, measurements }), "MobileNetV2 float32", "LiteRT").verdict, "PASS");
});

test("what was not measured is neither met nor missed", () => {
  const failed = { peer: "litert", precision: "int8", failed: "it crashed" };
  const rows = targets({ machine: quiet, measurements: [measured("mobilenetv2", [result("firebrand", "int8", { median: 1 }), failed])] });
  assert.ok(rows.every(({ verdict }) => verdict === "not measured"));
});

test("the size limit is that of the runtime for common operators", () => {
  const large = { brotli: 900 * 1024, files: [{ path: "/firebrand/wasm/cpu-all/firebrand_bg.wasm" }] };
  const small = { brotli: 390 * 1024, files: [{ path: "/firebrand/wasm/cpu-relaxed/firebrand_bg.wasm" }] };
  const results = [result("firebrand", "f32", { median: 1 }, { download: small, difference: 1e-6 })];
  const rare = [result("firebrand", "f32", { median: 1 }, { download: large, difference: 1e-6 })];
  const [size] = limits({ measurements: [measured("mobilenetv2", results), measured("silero", rare)] });
  assert.equal(size.verdict, "PASS");
  assert.match(size.measured, /^390 KiB \(MobileNetV2/);
});

test("a difference counts as a part of the answer's range", () => {
  const results = [result("firebrand", "int8", { median: 1 }, { difference: 0.6 }), result("firebrand", "f32", { median: 1 }, { difference: 5e-5 })];
  const rows = limits({ measurements: [measured("mobilenetv2", results)] });
  assert.equal(rows.find(({ what }) => what.startsWith("int8")).verdict, "FAIL");
  assert.equal(rows.find(({ what }) => what.startsWith("float32 on the CPU")).verdict, "PASS");
});

test("Firebrand started in another way is no peer", () => {
  const results = ["firebrand", "firebrand-page", "firebrand-threads"].map((peer) => result(peer, "f32", { median: 1 }, { difference: 1 }));
  const measurements = [measured("resnet18", results)];
  assert.equal(find(targets({ machine: quiet, measurements }), "ResNet-18 float32", "best peer").verdict, "not measured");
  const correct = limits({ measurements: [measured("resnet18", [{ ...results[0], difference: 0 }, ...results.slice(1)])] });
  assert.equal(correct.find(({ what }) => what.startsWith("float32 on the CPU")).verdict, "PASS");
});

test("two threads are to be 1.7 times as quick as one, by the clock, which tells nothing on a shared machine", () => {
  const verdict = (median, machine = quiet) => {
    const measurements = [measured("minilm", [result("firebrand-threads", "int8", { median, byCpu: { median: 0.9 } })])];
    return find(targets({ machine, measurements }), "two threads, MiniLM-L6 int8", "itself");
  };
  assert.equal(verdict(1.75).verdict, "PASS");
  assert.equal(verdict(1.65).verdict, "FAIL");
  assert.equal(verdict(1.75).measured.byCpu, undefined);
  assert.deepEqual([verdict(1.2, shared).verdict, verdict(1.2, shared).measured.median], ["not measured", 1.2]);
});

test("without a second thread the target is not measured, and says why", () => {
  const one = { peer: "firebrand-threads", precision: "f32", failed: "it has 1 of 2 threads: there is one core" };
  const row = find(targets({ machine: quiet, measurements: [measured("resnet18", [one])] }), "two threads, ResNet-18 float32", "itself");
  assert.equal(row.verdict, "not measured");
  assert.equal(row.reason, one.failed);
});
