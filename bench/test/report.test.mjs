import assert from "node:assert/strict";
import { test } from "node:test";
import { chart } from "../chart.mjs";
import { report } from "../report.mjs";
import { limits, targets } from "../targets.mjs";

const steady = (ratio) => ({ medianMs: 2, p95Ms: 3, runs: 4, ratio: { median: ratio, least: ratio, most: ratio } });
const result = (peer, ratio) => ({ peer, precision: "f32", steady: steady(ratio), cold: { totalMs: 100 }, download: { raw: 2048, brotli: 1024, files: [] }, modelBytes: 1024, stall: { taskCpuMs: 1, coldMs: 1, runMs: 1 }, difference: 0 });
const outcome = (results) => {
  const measured = {
    date: "2026-01-01",
    machine: { cpu: "a CPU", cores: 2, system: "linux x64", loadBefore: 0.1, loadAfter: 1 },
    chromium: "1",
    rounds: 2,
    peers: Object.fromEntries(results.map(({ peer }) => [peer, { version: "1.0.0" }])),
    measurements: [{ model: "resnet18", device: "cpu", multiplyAdds: 1e6, range: 10, results, leftOut: [] }],
    builds: [],
  };
  return { ...measured, limits: limits(measured), targets: targets(measured) };
};
const section = (text, title) => text.split("\n### ").find((part) => part.startsWith(title));

test("other ways to start Firebrand have tables of their own and are in no other but that of downloads", () => {
  const one = { peer: "firebrand-threads", precision: "f32", failed: "it has 1 of 2 threads: there is one core" };
  const measured = outcome([result("firebrand", 1), result("ort", 0.5), result("firebrand-page", 1.02), one]);
  const text = report(measured);
  const main = section(text, "ResNet-18, CPU");
  assert.match(main, /onnxruntime-web, float32 \| 2\.00/);
  assert.doesNotMatch(main, /on the page|2 threads/);
  assert.match(section(text, "Firebrand, on the page as the others"), /\| ResNet-18, float32 \| 2\.00 \| 1\.02 /);
  assert.match(section(text, "Firebrand, 2 threads"), /could not be measured: it has 1 of 2 threads/);
  assert.match(section(text, "Targets"), /two threads, ResNet-18 float32 .*not measured: it has 1 of 2 threads: there is one core/);
  assert.doesNotMatch(chart(measured), /on the page|2 threads/);
});

test("what fewer channels gain has a table, and what failed its reason", () => {
  const one = { model: "resnet18", wholeMs: 20, prunedMs: 6, ratio: { median: 0.3, least: 0.29, most: 0.31 }, multiplyAdds: 0.27, weights: 0.26 };
  const measured = { ...outcome([result("firebrand", 1)]), pruned: { results: [one], failures: [{ model: "mobilenetv2", reason: "it is broken" }] } };
  const text = section(report(measured), "Half of the channels pruned");
  assert.match(text, /\| ResNet-18 \| 20\.0 \| 6\.00 \| 0\.30 \(0\.29 – 0\.31\) \| 27 % \| 26 % \|/);
  assert.match(text, /MobileNetV2 could not be measured: it is broken/);
});
