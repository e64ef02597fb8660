// Turns what was measured into tables, a chart and verdicts.
import { models } from "./places.mjs";
import { peers } from "./peers.mjs";

const kib = (bytes) => (bytes / 1024).toLocaleString("en-US", { maximumFractionDigits: 0 });
const ms = (value) => (value === undefined ? "–" : value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const small = (value) => (value === 0 ? "0" : value.toExponential(1));
const devices = { cpu: "CPU, one thread", webgpu: "WebGPU" };

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, column) => (column === 0 ? "---" : "---:"));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

/** The project's own limits, each with what was measured for it; "not measured" where nothing was. */
export function verdicts({ measurements }) {
  const found = (device, pick) =>
    measurements.filter((one) => one.device === device).map(({ model, results }) => ({ model, result: results.firebrand })).filter(({ result }) => result && !result.failed).map(({ model, result }) => ({ model, value: pick(result) }));
  const limit = (what, values, most, show) => {
    if (values.length === 0) return { what, verdict: "not measured", measured: "–" };
    const worst = values.reduce((a, b) => (b.value > a.value ? b : a));
    return { what, verdict: worst.value <= most ? "PASS" : "FAIL", measured: `${show(worst.value)} (${models[worst.model].title})` };
  };
  const size = (value) => `${kib(value)} KiB`;
  const time = (value) => `${ms(value)} ms`;
  return [
    limit("CPU runtime, all its files: at most 350 KiB brotli", found("cpu", ({ download }) => download.brotli), 350 * 1024, size),
    limit("WebGPU runtime, all its files: at most 2000 KiB brotli", found("webgpu", ({ download }) => download.brotli), 2000 * 1024, size),
    limit("WebGPU runtime, all its files: at most 12 MiB raw", found("webgpu", ({ download }) => download.raw), 12 * 1024 * 1024, size),
    limit("longest task of the page on the CPU, loading and running: at most 50 ms", found("cpu", ({ stall }) => stall.taskCpuMs), 50, time),
    limit("longest task of the page on WebGPU, loading and running: at most 50 ms", found("webgpu", ({ stall }) => stall.taskCpuMs), 50, time),
    limit("first WebGPU answer on SwiftShader: at most 10 s", found("webgpu", ({ cold }) => cold.totalMs), 10_000, time),
    limit("CPU results: within 1e-5 of ONNX Runtime", found("cpu", ({ difference }) => difference), 1e-5, small),
    limit("WebGPU results: within 1e-3 of ONNX Runtime", found("webgpu", ({ difference }) => difference), 1e-3, small),
  ];
}

function failures(results) {
  return Object.entries(results).filter(([, result]) => result.failed).map(([peer, result]) => `${peers[peer].title} could not be measured: ${result.failed}`);
}

const measuredOf = (results) => Object.keys(peers).filter((peer) => results[peer] && !results[peer].failed).map((peer) => [peer, results[peer]]);

function downloads(measurements, device) {
  const one = measurements.find((candidate) => candidate.device === device);
  if (!one) return [];
  const rows = measuredOf(one.results).map(([peer, { download, modelBytes }]) => [peers[peer].title, download.files.length, kib(download.raw), kib(download.brotli), kib(modelBytes)]);
  if (!rows.length) return [];
  return [`### Download, ${devices[device]}\n\nThe runtime is every file that the page fetched for it; the model (${models[one.model].title}) is apart.`, table(["", "files", "runtime, KiB raw", "KiB brotli 11", "model, KiB"], rows)];
}

function onCpu({ model, results }) {
  const measured = measuredOf(results);
  const steady = measured.map(([peer, { steady, difference }]) => [
    peers[peer].title,
    ms(steady.medianMs),
    ms(steady.p95Ms),
    peer === "firebrand" ? "1" : steady.ratio ? `${steady.ratio.median.toFixed(2)} (${steady.ratio.least.toFixed(2)} – ${steady.ratio.most.toFixed(2)})` : "–",
    ms(steady.cpuMsPerRun),
    steady.runs,
    small(difference),
  ]);
  const start = measured.map(([peer, { cold, stall }]) => [peers[peer].title, ms(cold.runtimeMs), ms(cold.modelMs), ms(cold.firstRunMs), ms(cold.totalMs), ms(stall.taskCpuMs), ms(stall.coldMs), ms(stall.runMs)]);
  return [
    `### ${models[model].title}, ${devices.cpu}`,
    ...failures(results),
    ...(measured.length
      ? [
          table(["", "median, ms", "p95, ms", "times Firebrand's (least – most of the rounds)", "CPU ms a run", "runs", "largest difference"], steady),
          table(["", "runtime, ms", "model, ms", "first run, ms", "first answer after, ms", "longest task, ms of CPU", "longest stall starting, ms", "running, ms"], start),
        ]
      : []),
  ];
}

function onWebGpu({ model, results }) {
  const rows = measuredOf(results).map(([peer, { cold, steady, stall, difference }]) => [peers[peer].title, ms(cold.totalMs), ms(steady.medianMs), ms(stall.taskCpuMs), ms(Math.max(stall.coldMs, stall.runMs)), small(difference)]);
  return [
    `### ${models[model].title}, WebGPU on SwiftShader: results, not speed`,
    ...failures(results),
    ...(rows.length ? [table(["", "first answer after, ms", "later run, ms", "longest task, ms of CPU", "longest stall, ms", "largest difference"], rows)] : []),
  ];
}

/** The whole report, as Markdown. */
export function report({ date, machine, chromium, rounds, peers: taking, measurements, builds, targets }) {
  const parts = ["# Benchmark", `${date}, ${machine.cpu} (${machine.cores} cores, ${machine.system}), headless Chromium ${chromium}, load average before it began ${machine.loadBefore.toFixed(2)}${machine.loadBefore > 0.5 ? ": other work shared the machine, so trust the ratios, taken in turns, more than the milliseconds" : ""}.`];
  for (const [peer, { version, skipped }] of Object.entries(taking)) {
    if (skipped) parts.push(`- ${peers[peer].title}: left out. ${skipped}`);
    else parts.push(`- ${peers[peer].title} ${version}: ${peers[peer].note}`);
  }
  parts.push(
    "Everyone has the same float32 weights and the same photo, and one thread. A run goes from a typed array to a typed array. " +
      `Steady numbers come from ${rounds} rounds after a warm-up, everyone once a round in random order; a ratio compares medians of the same round, and above 1 Firebrand is quicker. ` +
      "Cold start is a fresh browser context each time, with files served uncompressed from this machine; Firebrand fetches runtime and model at the same time, so its runtime column holds both and its model column the preparing. " +
      "The longest task is that of the page's main thread, in its own CPU time, from loading through some runs; a stall is by the clock, the longest task the browser reports or the longest wait for a frame beyond the usual 16.7 ms, whichever is longer, and has in it what else wants the CPU. CPU milliseconds are those of the page's renderer process. " +
      "The difference is to the stored outputs of ONNX Runtime, the largest of all 1000 probabilities.",
  );
  for (const one of measurements.filter(({ device }) => device === "cpu")) parts.push(...onCpu(one));
  parts.push(...downloads(measurements, "cpu"));
  for (const one of measurements.filter(({ device }) => device === "webgpu")) parts.push(...onWebGpu(one));
  parts.push(...downloads(measurements, "webgpu"));
  if (builds.length) {
    parts.push("### Firebrand's WebAssembly, after each step of its build", table(["build", "after", "KiB raw", "KiB gzip 9", "KiB brotli 11"], builds.flatMap(({ name, steps }) => steps.map(({ step, raw, gzip, brotli }) => [name, step, kib(raw), kib(gzip), kib(brotli)]))));
  }
  parts.push("### Limits", table(["limit", "measured", "verdict"], targets.map(({ what, measured, verdict }) => [what, measured, verdict])));
  return `${parts.join("\n\n").replaceAll(/\n\n(?=- )/g, "\n").replace("\n- ", "\n\n- ")}\n`;
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** Bars of what matters most, as an SVG image for light and dark pages. */
export function chart({ measurements }) {
  const panels = [];
  const panel = (title, results, pick, show) => {
    const bars = measuredOf(results).map(([peer, result]) => ({ peer, value: pick(result) }));
    if (bars.length) panels.push({ title, bars, show });
  };
  const cpu = measurements.filter(({ device }) => device === "cpu");
  for (const { model, results } of cpu) panel(`${models[model].title}: one run, ms`, results, ({ steady }) => steady.medianMs, ms);
  for (const { model, results } of cpu) panel(`${models[model].title}: first answer after, ms`, results, ({ cold }) => cold.totalMs, ms);
  if (cpu[0]) {
    panel("Runtime to download, KiB brotli", cpu[0].results, ({ download }) => download.brotli, kib);
    panel(`${models[cpu[0].model].title}: longest task of the page, ms`, cpu[0].results, ({ stall }) => stall.taskCpuMs, ms);
  }

  const width = 820;
  const column = { width: 390, label: 128, bar: 200 };
  const row = 24;
  const rowsIn = Math.max(1, ...panels.map(({ bars }) => bars.length));
  const panelHeight = 44 + rowsIn * row;
  const height = Math.ceil(panels.length / 2) * panelHeight + 30;
  const draw = ({ title, bars, show }, index) => {
    const x = 15 + (index % 2) * (column.width + 20);
    const y = Math.floor(index / 2) * panelHeight + 26;
    const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
    const lines = bars.map(({ peer, value }, at) => {
      const top = y + 14 + at * row;
      const length = Math.max(1, (value / most) * column.bar);
      return [
        `<text class="label" x="${x + column.label - 8}" y="${top + 12}">${escaped(peers[peer].title)}</text>`,
        `<rect class="${peer === "firebrand" ? "ours" : "other"}" x="${x + column.label}" y="${top}" width="${length.toFixed(1)}" height="16" rx="3"/>`,
        `<text class="value" x="${(x + column.label + length + 6).toFixed(1)}" y="${top + 12}">${show(value)}</text>`,
      ].join("");
    });
    return `<text class="title" x="${x}" y="${y}">${escaped(title)}</text>\n${lines.join("\n")}`;
  };
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Firebrand beside other runtimes, on the CPU with one thread; shorter bars are better">
<style>
text { font: 12px system-ui, sans-serif; fill: #3d3d3a; }
.title { font-weight: 600; font-size: 13px; fill: #1a1a18; }
.label { text-anchor: end; }
.ours { fill: #d9480f; }
.other { fill: #a8a69e; }
@media (prefers-color-scheme: dark) {
text { fill: #c9c7be; }
.title { fill: #f2f0e8; }
.ours { fill: #ff8a4c; }
.other { fill: #6f6d66; }
}
</style>
${panels.map(draw).join("\n")}
<text x="15" y="${height - 8}">CPU, one thread, float32, in headless Chromium. Shorter is better.</text>
</svg>
`;
}
