// Turns what was measured into tables.
import { peers } from "./peers.mjs";
import { models, precisions } from "./places.mjs";
import { isShared } from "./targets.mjs";

const kib = (bytes) => (bytes / 1024).toLocaleString("en-US", { maximumFractionDigits: 0 });
const mib = (bytes) => (bytes === undefined ? "–" : (bytes / 2 ** 20).toFixed(1));
const ms = (value) => (value === undefined ? "–" : value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const small = (value) => (value === undefined ? "–" : value === 0 ? "0" : value.toExponential(1));
const percent = (share) => `${(100 * share).toFixed(0)} %`;
const rate = (value) => (value === undefined ? "–" : value.toFixed(1));
const part = (ratio) => (ratio === undefined ? "–" : ratio.least === undefined ? ratio.median.toFixed(2) : `${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} – ${ratio.most.toFixed(2)})`);
const devices = { cpu: "CPU, one thread", webgpu: "WebGPU" };

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, column) => (column === 0 ? "---" : "---:"));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

const named = ({ peer, precision }) => `${peers[peer].title}, ${precisions[precision]}`;

function absences({ results, leftOut }) {
  const failed = results.filter((one) => one.failed).map((one) => `${named(one)}, could not be measured: ${one.failed}`);
  const reasons = leftOut.map((one) => `${named(one)}, is left out: ${one.reason}`);
  return [...failed, ...reasons].length ? [[...failed, ...reasons].map((line) => `- ${line}`).join("\n")] : [];
}

const isMain = ({ peer }) => !peers[peer].isVariant;
const measuredOf = (results) => results.filter((one) => !one.failed);

function downloads(measurements, device) {
  const one = measurements.find((candidate) => candidate.device === device && measuredOf(candidate.results).length);
  if (!one) return [];
  const rows = measuredOf(one.results).filter(({ precision, peer }, at, all) => all.findIndex((other) => other.peer === peer) === at && precision === "f32" && peer !== "flex");
  if (!rows.length) return [];
  return [
    `### Download, ${device === "cpu" ? "CPU" : devices[device]}\n\nThe runtime is every file that the page fetched for it; the model (${models[one.model].title}, float32) is apart.`,
    table(["", "files", "runtime, KiB raw", "KiB brotli 11", "model, KiB"], rows.map(({ peer, download, modelBytes }) => [peers[peer].title, download.files.length, kib(download.raw), kib(download.brotli), kib(modelBytes)])),
  ];
}

function onCpu({ model, multiplyAdds, ...all }) {
  const [results, leftOut] = [all.results.filter(isMain), all.leftOut.filter(isMain)];
  const measured = measuredOf(results);
  const steady = measured.map((one) => [
    named(one),
    ms(one.steady.medianMs),
    ms(one.steady.p95Ms),
    one.peer === "firebrand" ? "1" : part(one.steady.ratio),
    one.peer === "firebrand" ? "1" : part(one.steady.ratio?.byCpu),
    ms(one.steady.cpuMsPerRun),
    rate(one.steady.gigaOpsPerSecond),
    one.steady.runs,
    mib(one.memoryBytes),
    small(one.difference),
  ]);
  const start = measured
    .filter(({ peer }) => peer !== "flex")
    .map((one) => [named(one), ms(one.cold.runtimeMs), ms(one.cold.modelMs), ms(one.cold.firstRunMs), ms(one.cold.totalMs), ms(one.stall.taskCpuMs), ms(one.stall.coldMs), ms(one.stall.runMs)]);
  const own = measured.find(({ steady }) => steady.ofFloat);
  return [
    `### ${models[model].title}, ${devices.cpu}`,
    ...(multiplyAdds ? [`${(multiplyAdds / 1e6).toFixed(1)} million multiply-adds.${own ? ` Firebrand's int8 takes ${part(own.steady.ofFloat)} of its float32's time, by CPU time ${part(own.steady.ofFloat.byCpu)}.` : ""}`] : []),
    ...absences({ results, leftOut }),
    ...(measured.length
      ? [
          table(["", "median, ms", "p95, ms", "Firebrand ÷ it (least – most of the rounds)", "by CPU time", "CPU ms a run", "GOP/s", "runs", "memory, MiB", "largest difference"], steady),
          table(["", "runtime, ms", "model, ms", "first run, ms", "first answer after, ms", "longest task, ms of CPU", "longest stall starting, ms", "running, ms"], start),
        ]
      : []),
    ...spent({ results }),
  ];
}

/** Where Firebrand's time goes: the operators that take most of it. */
function spent({ results }) {
  const profiled = measuredOf(results).filter(({ profile }) => profile);
  if (!profiled.length) return [];
  const rows = profiled.flatMap(({ precision, profile }) => {
    const operators = new Map();
    for (const { operator, ms, peakMs, multiplyAdds } of profile) {
      const { nodes, spent, least, products } = operators.get(operator) ?? { nodes: 0, spent: 0, least: 0, products: 0 };
      operators.set(operator, { nodes: nodes + 1, spent: spent + ms, least: least + peakMs, products: products + multiplyAdds });
    }
    const total = profile.reduce((sum, { ms }) => sum + ms, 0);
    return [...operators]
      .filter(([, { spent }]) => spent >= 0.02 * total)
      .sort(([, a], [, b]) => b.spent - a.spent)
      .map(([operator, { nodes, spent, least, products }]) => [`${precisions[precision]}, ${operator}`, nodes, ms(spent), percent(spent / total), products ? rate((2 * products) / (spent * 1e6)) : "–", products ? percent(least / spent) : "–"]);
  });
  return ["Where Firebrand's time goes, each node in its shortest of ten profiled runs:", table(["", "nodes", "ms", "share", "GOP/s", "of the machine's peak"], rows)];
}

/** What it costs Firebrand to start it in another way than the one that is compared with the others. */
function variants(measurements) {
  const found = measurements.flatMap(({ model, results }) => results.filter((one) => !isMain(one)).map((one) => ({ model, ...one })));
  const title = ({ model, precision }) => `${models[model].title}, ${precisions[precision]}`;
  return [...new Set(found.map(({ peer }) => peer))].flatMap((peer) => {
    const ofPeer = found.filter((one) => one.peer === peer);
    const rows = measuredOf(ofPeer).map((one) => [title(one), ms(one.steady.medianMs), part(one.steady.ratio), ms(one.steady.cpuMsPerRun), part(one.steady.ratio?.byCpu), ms(one.cold.totalMs), ms(one.stall.taskCpuMs), mib(one.memoryBytes), small(one.difference)]);
    const failed = ofPeer.filter((one) => one.failed).map((one) => `- ${title(one)}, could not be measured: ${one.failed}`);
    return [
      `### ${peers[peer].title}`,
      "Beside Firebrand as it is above, in a worker with one thread; no target against the others counts this.",
      ...(failed.length ? [failed.join("\n")] : []),
      ...(rows.length ? [table(["", "median, ms", "in a worker with one thread ÷ it (least – most of the rounds)", "CPU ms a run", "÷ it by CPU time", "first answer after, ms", "longest task, ms of CPU", "memory, MiB", "largest difference"], rows)] : []),
    ];
  });
}

function onWebGpu({ model, results, leftOut }) {
  const rows = measuredOf(results).map((one) => [peers[one.peer].title, ms(one.cold.totalMs), ms(one.steady.medianMs), ms(one.stall.taskCpuMs), ms(Math.max(one.stall.coldMs, one.stall.runMs)), small(one.difference)]);
  return [
    `### ${models[model].title}, WebGPU on SwiftShader: results, not speed`,
    ...absences({ results, leftOut }),
    ...(rows.length ? [table(["", "first answer after, ms", "later run, ms", "longest task, ms of CPU", "longest stall, ms", "largest difference"], rows)] : []),
  ];
}

function natively(native) {
  if (!native) return [];
  const rows = native.results.map(({ model, precision, firebrand, onnxruntime, ratio }) => [`${models[model].title}, ${precisions[precision]}`, ms(firebrand.medianMs), ms(firebrand.p95Ms), ms(onnxruntime.medianMs), ms(onnxruntime.p95Ms), part(ratio)]);
  return [
    `### Native, one thread`,
    native.failed ?? `\`firebrand bench\` beside onnxruntime ${native.onnxruntime} for Python (sequential, one thread, all optimisations), processes in turns.`,
    ...native.failures.map(({ model, precision, reason }) => `${models[model].title}, ${precisions[precision]}, could not be measured: ${reason}`),
    ...(rows.length ? [table(["", "Firebrand, median ms", "p95, ms", "onnxruntime, median ms", "p95, ms", "Firebrand ÷ it (least – most of the rounds)"], rows)] : []),
  ];
}

/** What fewer channels gain. */
function withFewerChannels(pruned) {
  if (!pruned) return [];
  const rows = pruned.results.map(({ model, wholeMs, prunedMs, ratio, multiplyAdds, weights }) => [models[model].title, ms(wholeMs), ms(prunedMs), part(ratio), percent(multiplyAdds), percent(weights)]);
  return [
    "### Half of the channels pruned",
    pruned.failed ?? "`firebrand bench` of the float32 model as it is and after `firebrand prune --channels 0.5`, natively, one thread, processes in turns.",
    ...pruned.failures.map(({ model, reason }) => `${models[model].title} could not be measured: ${reason}`),
    ...(rows.length ? [table(["", "whole, median ms", "pruned, median ms", "pruned ÷ whole (least – most of the rounds)", "multiply-adds left", "weights left"], rows)] : []),
  ];
}

/** The whole report, as Markdown. */
export function report({ date, machine, chromium, rounds, peers: taking, measurements, native, pruned, builds, limits, targets }) {
  const parts = ["# Benchmark", `${date}, ${machine.cpu} (${machine.cores} cores, ${machine.system}), headless Chromium ${chromium}, load average ${machine.loadBefore.toFixed(2)} before, ${machine.loadAfter.toFixed(2)} after${isShared(machine) ? ": other work shared the machine, so trust ratios by CPU time more than those by the clock, and milliseconds least" : ""}.`];
  parts.push(Object.entries(taking).filter(([peer]) => isMain({ peer })).map(([peer, { version, skipped }]) => (skipped ? `- ${peers[peer].title}: left out. ${skipped}` : `- ${peers[peer].title} ${version}: ${peers[peer].note}`)).join("\n"));
  parts.push(
    "All forms of a model come from the same weights; MobileNetV2 and ResNet-18 have seeded ones, the others their published ones. Everyone has the same input and one thread, but for the tables that say otherwise. A run goes from a typed array to a typed array, in int8 too. " +
      `Steady numbers come from ${rounds} rounds after a warm-up, everyone, in float32 and int8, once a round in random order. A ratio compares medians of the same round: below 1 Firebrand is quicker. ` +
      "Cold start is a fresh browser context each time, with files served uncompressed from this machine; Firebrand fetches runtime and model at the same time, so its runtime column holds both and its model column the preparing. " +
      "The longest task is that of the page's main thread, in its own CPU time, from loading through some runs; a stall is by the clock, the longest task the browser reports or the longest wait for a frame beyond the usual 16.7 ms, whichever is longer, and has in it what else wants the CPU. CPU milliseconds are those of the browser's renderer processes, by the scheduler's account: they stay true while other work delays a run. " +
      "GOP/s are of CPU time and count a multiply-add as two. Memory is the WebAssembly's, weights and all, which only grows. The difference is to what each form should give, the largest of all numbers: for ONNX, ONNX Runtime's answer without optimisations, in int8 that of the same graph in float64 (of MiniLM with exact integer products); for LiteRT.js in int8, that of TensorFlow Lite's plain kernels.",
  );
  parts.push("### Targets", `Parts of the other's time in the same run, and of two threads what one takes by what two take. ${isShared(machine) ? "Since other work shared the machine, CPU time decides where it is known." : "The clock decides."}`, table(["", "against", "wanted", "measured (least – most of the rounds)", "by CPU time", "verdict"], targets.map(({ what, against, wanted, measured, reason, verdict }) => [what, against, wanted, part(measured), part(measured?.byCpu), reason ? `${verdict}: ${reason}` : verdict])));
  parts.push("### Limits", table(["limit", "measured", "verdict"], limits.map(({ what, measured, verdict }) => [what, measured, verdict])));
  for (const one of measurements.filter(({ device }) => device === "cpu")) parts.push(...onCpu(one));
  parts.push(...variants(measurements.filter(({ device }) => device === "cpu")));
  parts.push(...downloads(measurements, "cpu"));
  parts.push(...natively(native));
  parts.push(...withFewerChannels(pruned));
  for (const one of measurements.filter(({ device }) => device === "webgpu")) parts.push(...onWebGpu(one));
  parts.push(...downloads(measurements, "webgpu"));
  if (builds.length) {
    parts.push("### Firebrand's WebAssembly, after each step of its build", table(["build", "after", "KiB raw", "KiB gzip 9", "KiB brotli 11"], builds.flatMap(({ name, steps }) => steps.map(({ step, raw, gzip, brotli }) => [name, step, kib(raw), kib(gzip), kib(brotli)]))));
  }
  return `${parts.join("\n\n")}\n`;
}
