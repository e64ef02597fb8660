// The picture of a measurement: each peer's time as a multiple of Firebrand's, an SVG image for light and dark pages.
import { peers } from "./peers.mjs";
import { models, precisions } from "./places.mjs";
import { deciding, isShared } from "./targets.mjs";

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const shortTitles = { tfjs: "TensorFlow.js", flex: "burn-flex" };

const width = 820;
const column = { width: 390, label: 118, bar: 200 };
const row = 20;

function panel({ title, bars }, x, y) {
  const most = Math.max(...bars.map(({ value }) => value));
  const scale = column.bar / most;
  const lines = bars.map(({ name, value, text, isOurs }, at) => {
    const top = y + 10 + at * row;
    const length = Math.max(1, value * scale);
    return [
      `<text class="label" x="${x + column.label - 8}" y="${top + 11}">${escaped(name)}</text>`,
      `<rect class="${isOurs ? "ours" : "other"}" x="${x + column.label}" y="${top}" width="${length.toFixed(1)}" height="14" rx="3"/>`,
      `<text class="value" x="${(x + column.label + length + 6).toFixed(1)}" y="${top + 11}">${escaped(text)}</text>`,
    ].join("");
  });
  // Where Firebrand ends: bars that pass it are slower.
  const edge = (x + column.label + scale).toFixed(1);
  return `<text class="title" x="${x}" y="${y}">${escaped(title)}</text>\n${lines.join("\n")}\n<line x1="${edge}" x2="${edge}" y1="${y + 6}" y2="${y + 8 + bars.length * row}"/>`;
}

export function chart({ machine, measurements }) {
  const byCpu = isShared(machine);
  const rows = [];
  for (const { model, results } of measurements.filter(({ device }) => device === "cpu")) {
    const panels = Object.keys(precisions).map((precision) => {
      const measured = results.filter((one) => one.precision === precision && !one.failed && one.steady.ratio && one.peer !== "flex" && !peers[one.peer].isVariant);
      const bars = measured.map(({ peer, steady }) => {
        const value = 1 / deciding(machine, steady.ratio);
        const ms = byCpu ? (steady.cpuMsPerRun ?? steady.medianMs) : steady.medianMs;
        return { name: shortTitles[peer] ?? peers[peer].title, value, text: peer === "firebrand" ? `${ms.toPrecision(3)} ms` : `${value.toFixed(2)}×`, isOurs: peer === "firebrand" };
      });
      return bars.length ? { title: `${models[model].title}, ${precisions[precision]}`, bars } : undefined;
    });
    if (panels.some(Boolean)) rows.push(panels);
  }
  let y = 26;
  const drawn = [];
  for (const panels of rows) {
    panels.forEach((one, index) => one && drawn.push(panel(one, 15 + index * (column.width + 20), y)));
    y += 36 + Math.max(...panels.map((one) => one?.bars.length ?? 0)) * row;
  }
  const height = y + 12;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Each runtime's time as a multiple of Firebrand's, on the CPU with one thread; bars that pass the line are slower">
<style>
text { font: 12px system-ui, sans-serif; fill: #3d3d3a; }
.title { font-weight: 600; font-size: 13px; fill: #1a1a18; }
.label { text-anchor: end; }
.ours { fill: #d9480f; }
.other { fill: #a8a69e; }
line { stroke: #d9480f; stroke-dasharray: 2 3; }
@media (prefers-color-scheme: dark) {
text { fill: #c9c7be; }
.title { fill: #f2f0e8; }
.ours { fill: #ff8a4c; }
.other { fill: #6f6d66; }
line { stroke: #ff8a4c; }
}
</style>
${drawn.join("\n")}
<text x="15" y="${height - 10}">${byCpu ? "CPU" : "Median"} time of one run, as a multiple of Firebrand's. CPU, one thread, in headless Chromium. Shorter is better.</text>
</svg>
`;
}
