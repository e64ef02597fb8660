/** The medians as bars on one scale, with the middle half of the runs as a whisker; the table beside it has the numbers. */
import { median } from "../speed-panel";
import { milliseconds } from "../words";
import { quartiles } from "./side";

const SVG = "http://www.w3.org/2000/svg";
const ROW = 46;
const LABEL = 22;

export interface Bar {
  readonly label: string;
  readonly times: readonly number[];
  readonly isOurs: boolean;
}

export function drawChart(into: HTMLElement, bars: readonly Bar[]): void {
  const shown = bars.filter(({ times }) => times.length > 0);
  const longest = Math.max(...shown.map(({ times }) => Math.max(median(times), quartiles(times)[1])));
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "chart");
  svg.setAttribute("height", String(ROW * shown.length));
  svg.setAttribute("width", "100%");
  svg.setAttribute("aria-hidden", "true");
  const add = (name: string, attributes: Record<string, string | number>, text = "") => {
    const shape = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, String(value));
    shape.textContent = text;
    svg.append(shape);
  };
  // Room at the right for the last whisker's number.
  const across = (time: number) => `${(time / longest) * 98}%`;
  shown.forEach(({ label, times, isOurs }, row) => {
    const top = row * ROW;
    const middle = top + LABEL + 8;
    const [lower, upper] = quartiles(times);
    add("text", { x: 0, y: top + 14, class: "chart-label" }, label);
    add("text", { x: "100%", y: top + 14, class: "chart-value", "text-anchor": "end" }, milliseconds(median(times)));
    add("rect", { x: 0, y: top + LABEL, width: "100%", height: 16, rx: 8, class: "chart-ground" });
    add("rect", { x: 0, y: top + LABEL, width: across(median(times)), height: 16, rx: 8, class: isOurs ? "chart-bar ours" : "chart-bar" });
    add("line", { x1: across(lower), x2: across(upper), y1: middle, y2: middle, class: "chart-spread" });
    for (const end of [lower, upper]) add("line", { x1: across(end), x2: across(end), y1: middle - 4, y2: middle + 4, class: "chart-spread" });
  });
  into.replaceChildren(svg);
}
