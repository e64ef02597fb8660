/** A sound's outline, with parts of it marked and the place where it plays. */

const SVG = "http://www.w3.org/2000/svg";
/** As many columns as the outline has, whatever its width. */
const COLUMNS = 480;
const HEIGHT = 100;

export interface Span {
  readonly start: number;
  readonly end: number;
}

export function drawWave(into: HTMLElement, samples: Float32Array, seconds: number, spans: readonly Span[], label: string): void {
  const svg = frame(label);
  const add = (name: string, attributes: Record<string, string | number>) => {
    const shape = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, String(value));
    svg.append(shape);
  };
  const across = (time: number) => (time / Math.max(seconds, 1e-9)) * COLUMNS;
  for (const { start, end } of spans) {
    add("rect", { x: across(start), y: 0, width: across(end) - across(start), height: HEIGHT, class: "segment" });
    add("rect", { x: across(start), y: HEIGHT - 4, width: across(end) - across(start), height: 4, class: "segment-edge" });
  }
  const loudest = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-4);
  const each = samples.length / COLUMNS;
  for (let column = 0; column < COLUMNS; column++) {
    const part = samples.subarray(Math.floor(column * each), Math.max(Math.floor((column + 1) * each), Math.floor(column * each) + 1));
    const peak = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / loudest;
    const half = Math.max(0.4, peak * 44);
    add("rect", { x: column + 0.15, y: HEIGHT / 2 - half, width: 0.7, height: half * 2, class: "line" });
  }
  const head = into.querySelector(".head");
  into.replaceChildren(svg, ...(head ? [head] : []));
}

function frame(label: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${COLUMNS} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  return svg;
}
