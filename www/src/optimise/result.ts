/** What a build gave, in figures: sizes, nearness, layers, decisions. */
import type { BuildReport, ReportLayer } from "firebrand/convert";
import { element, made } from "../page";
import { bytes, percent, sentence } from "../words";
import { percentOf } from "./run-panel";

export function showResult(report: BuildReport): void {
  const { sizeBefore, sizeAfter, accuracy, calibration, layers, decisions, notes = [] } = report;
  element("figures", HTMLElement).replaceChildren(
    sizeTile("File", sizeBefore.raw, sizeAfter.raw),
    sizeTile("Sent, with brotli", sizeBefore.brotli, sizeAfter.brotli),
    tile(
      accuracy.accuracy === undefined ? (accuracy.metric === "top1" ? "Same answer as the original" : "Agreement with the original") : "Right answers",
      percent(accuracy.accuracy ?? accuracy.agreement),
      [
        accuracy.originalAccuracy === undefined ? "" : `The original has ${percent(accuracy.originalAccuracy)}`,
        `On ${accuracy.samples} ${accuracy.samples === 1 ? "sample" : "samples"}`,
        calibration ? `Ranges by ${calibration.method}` : "",
      ],
      "agreement",
    ),
    tile("Cosine of the outputs", accuracy.cosine.toFixed(4), [`The worst sample ${accuracy.leastCosine.toFixed(4)}`, `Largest difference ${accuracy.maxDifference.toPrecision(2)}`], "cosine"),
  );
  const largest = Math.max(0, ...layers.map(({ outputError = 0 }) => outputError));
  element("layers", HTMLElement).replaceChildren(...layers.map((layer) => row(layer, largest)));
  element("decisions", HTMLElement).replaceChildren(
    ...[...notes, ...decisions].map((text) => {
      const item = document.createElement("li");
      item.textContent = sentence(text);
      return item;
    }),
  );
}

function tile(name: string, figure: string, details: readonly string[], what: string): HTMLElement {
  const list = document.createElement("dl");
  list.className = "tile";
  list.dataset.figure = what;
  const said = details.filter(Boolean).map(sentence).join(" ");
  list.append(made("dt", name), made("dd", figure, "figure"), made("dd", said, "small"));
  return list;
}

/** Before and after, as two bars on one scale. */
function sizeTile(name: string, before: number, after: number): HTMLElement {
  const list = tile(name, bytes(after), [`${percentOf(after, before)} of ${bytes(before)}`], "size");
  const bars = document.createElement("dd");
  bars.className = "before-after";
  bars.setAttribute("aria-hidden", "true");
  for (const size of [before, after]) {
    const bar = document.createElement("i");
    bar.style.width = `${(size / Math.max(before, after, 1)) * 100}%`;
    bars.append(bar);
  }
  list.lastElementChild?.before(bars);
  return list;
}

function row({ node, opType, weight, precision, outputError, signalToNoise, sparsity, reason, elements }: ReportLayer, largest: number): HTMLTableRowElement {
  const line = document.createElement("tr");
  const name = made("th", node || weight);
  name.setAttribute("scope", "row");
  name.append(made("small", `${opType}, ${elements.toLocaleString("en")} weights`));
  const kind = made("td", precision);
  if (reason) kind.append(made("small", reason));
  const error = document.createElement("td");
  if (outputError === undefined) error.append("–");
  else {
    const bar = document.createElement("div");
    bar.className = "error-bar";
    bar.setAttribute("aria-hidden", "true");
    const fill = document.createElement("i");
    fill.style.width = `${largest > 0 ? (outputError / largest) * 100 : 0}%`;
    bar.append(fill);
    error.append(bar, made("span", percent(outputError)));
  }
  line.append(name, kind, error, made("td", signalToNoise === undefined ? "–" : `${signalToNoise.toFixed(1)} dB`), made("td", percent(sparsity)));
  return line;
}
