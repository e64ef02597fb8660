/** The drawing of a model's graph: boxes that can be opened, zoomed and walked by keyboard. */
import { element, made, show } from "../page";
import { around, boxes, firstOf, groupsOf, MOST_BOXES, openAtFirst, type Group } from "./folding";
import { layOut, type Edge, type Layout } from "./layout";
import type { GraphNode, ModelGraph } from "./model-graph";

const SVG = "http://www.w3.org/2000/svg";
const ZOOM = { least: 0.15, most: 2.5, step: 1.25 };
const LONGEST_LABEL = 26;

/** What is drawn as one box. */
type Item = { kind: "node"; at: number } | { kind: "group"; group: Group } | { kind: "input" | "output"; name: string };

const kinds: readonly (readonly [kind: string, operators: RegExp])[] = [
  ["product", /Conv|MatMul|Gemm|Attention|LSTM|GRU|RNN|Einsum/],
  ["function", /Relu|Sigmoid|Tanh|Elu|Selu|Gelu|Swish|Softmax|Softplus|Erf|Clip|Exp|Log|Sqrt|Pow|Add|Sub|Mul|Div|Sum$/],
  ["reduction", /Pool|Reduce|Norm|ArgM|TopK|Mean/],
];

const kindOf = (operator: string) => kinds.find(([, operators]) => operators.test(operator))?.[0] ?? "other";

export class GraphView {
  readonly #scroll = element("graph", HTMLElement);
  readonly #bar = element("graph-bar", HTMLElement);
  readonly #note = element("graph-note", HTMLElement);
  readonly #details = element("details", HTMLElement);
  readonly #spoken = element("spoken", HTMLElement);
  #graph: ModelGraph = { nodes: [], inputs: [], outputs: [], constantNodes: 0 };
  #unsupported: ReadonlySet<string> = new Set();
  #root: Group = { name: "", children: [], nodes: [] };
  #open = new Set<Group>();
  #items: Item[] = [];
  #edges: Edge[] = [];
  #drawn: SVGGElement[] = [];
  #layout: Layout | undefined;
  #svg: SVGSVGElement | undefined;
  #zoom = 1;
  #selected: number | undefined;

  constructor() {
    const on = (id: string, act: () => void) => element(id, HTMLButtonElement).addEventListener("click", act);
    on("zoom-in", () => this.#zoomTo(this.#zoom * ZOOM.step));
    on("zoom-out", () => this.#zoomTo(this.#zoom / ZOOM.step));
    on("zoom-fit", () => this.#fit());
    on("fold", () => this.#unfold(new Set([this.#root])));
    on("unfold", () => this.#unfold(new Set(allGroups(this.#root))));
    this.#scroll.addEventListener("keydown", (event) => this.#press(event));
    this.#scroll.addEventListener(
      "wheel",
      (event) => {
        // A plain wheel scrolls, as anywhere; a pinch on a touchpad comes with Ctrl.
        if (!event.ctrlKey) return;
        event.preventDefault();
        this.#zoomTo(this.#zoom * Math.exp(-event.deltaY / 300), event);
      },
      { passive: false },
    );
    this.#dragToScroll();
  }

  /** Draws a graph instead of the one before; operators that are not supported are marked. */
  draw(graph: ModelGraph, unsupported: ReadonlySet<string>): void {
    this.#graph = graph;
    this.#unsupported = unsupported;
    this.#root = groupsOf(graph);
    this.#selected = undefined;
    this.#unfold(openAtFirst(this.#root));
    this.#fit();
  }

  /** Opens what a node lies in, and goes to it. */
  reveal(node: number): void {
    for (const group of around(this.#root, node)) this.#open.add(group);
    this.#unfold(this.#open);
    const at = this.#items.findIndex((item) => item.kind === "node" && item.at === node);
    if (at >= 0) this.#select(at, true);
  }

  #unfold(open: Set<Group>): void {
    const wanted = boxes(this.#root, open);
    const tooMany = wanted.length > MOST_BOXES;
    const groups = allGroups(this.#root).length;
    element("fold", HTMLButtonElement).disabled = open.size <= 1 || groups <= 1;
    element("unfold", HTMLButtonElement).disabled = open.size >= groups;
    show(this.#bar, !tooMany || this.#svg !== undefined);
    if (tooMany) {
      const said = `${wanted.length} boxes at once are too many to draw; `;
      this.#say(this.#items.length > 0 ? `${said}open the parts that you want to see.` : `${said}all nodes are in the list below.`);
      show(this.#scroll, this.#items.length > 0);
      return;
    }
    this.#open = open;
    this.#collect(wanted);
    this.#layout = layOut(this.#items.map((item) => this.#sizeOf(item)), this.#edges);
    this.#render();
    show(this.#scroll, true);
    const { nodes, constantNodes } = this.#graph;
    const folded = this.#items.filter(({ kind }) => kind === "group").length;
    this.#say(
      [
        `${nodes.length} ${nodes.length === 1 ? "node" : "nodes"}`,
        folded > 0 ? `${folded} ${folded === 1 ? "part is" : "parts are"} folded: press one to open it` : "",
        constantNodes > 0 ? `${constantNodes} that depend on weights alone are not drawn` : "",
        nodes.some(({ hasBody }) => hasBody) ? "nor is what lies in bodies of If, Loop and Scan" : "",
      ]
        .filter(Boolean)
        .join("; ") + ".",
    );
  }

  #collect(wanted: readonly (Group | number)[]): void {
    const { nodes, inputs, outputs } = this.#graph;
    const makers = new Map<string, number>();
    this.#items = inputs.map((name) => ({ kind: "input", name }) as const);
    inputs.forEach((name, at) => makers.set(name, at));
    const place = new Map<number, number>();
    for (const one of wanted) {
      const at = this.#items.push(typeof one === "number" ? { kind: "node", at: one } : { kind: "group", group: one }) - 1;
      for (const node of typeof one === "number" ? [one] : one.nodes) {
        place.set(node, at);
        for (const value of nodes[node]?.outputs ?? []) makers.set(value, at);
      }
    }
    const seen = new Set<string>();
    this.#edges = [];
    const join = (value: string, to: number) => {
      const from = makers.get(value);
      const key = `${from} ${to}`;
      if (from === undefined || from === to || seen.has(key)) return;
      seen.add(key);
      this.#edges.push({ from, to });
    };
    nodes.forEach((node, at) => {
      const to = place.get(at);
      if (to !== undefined) for (const value of node.inputs) join(value, to);
    });
    for (const name of outputs) join(name, this.#items.push({ kind: "output", name }) - 1);
  }

  #sizeOf(item: Item): { width: number; height: number } {
    const [title, detail] = this.#labels(item);
    return { width: Math.max(64, widthOf(title, 600), widthOf(detail, 400) * 0.85) + 28, height: detail ? 44 : 30 };
  }

  #labels(item: Item): [title: string, detail: string] {
    switch (item.kind) {
      case "node": {
        const node = this.#graph.nodes[item.at];
        const shape = node?.weights.find(({ shape }) => shape.length > 1)?.shape;
        return [short(node?.operator ?? ""), shape ? shape.join(" × ") : ""];
      }
      case "group":
        return [short(item.group.name), `${item.group.nodes.length} nodes`];
      default:
        return [short(item.name), ""];
    }
  }

  #render(): void {
    const layout = this.#layout;
    if (!layout) return;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${layout.width} ${layout.height}`);
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", "Graph of the model: arrow keys go along the connections, Enter opens and folds");
    const lines = document.createElementNS(SVG, "g");
    lines.setAttribute("class", "edges");
    for (const route of layout.routes) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", curve(route));
      lines.append(path);
    }
    this.#drawn = this.#items.map((item, at) => this.#box(item, at, layout));
    svg.append(lines, ...this.#drawn);
    this.#svg = svg;
    this.#scroll.replaceChildren(svg);
    this.#zoomTo(this.#zoom);
    const first = this.#selected ?? 0;
    this.#selected = undefined;
    this.#select(Math.min(first, this.#items.length - 1), false);
  }

  #box(item: Item, at: number, layout: Layout): SVGGElement {
    const { x, y } = layout.centres[at] ?? { x: 0, y: 0 };
    const { width, height } = this.#sizeOf(item);
    const [title, detail] = this.#labels(item);
    const box = document.createElementNS(SVG, "g");
    const operators = this.#nodesOf(item).map(({ operator }) => operator);
    const isMissing = operators.some((operator) => this.#unsupported.has(operator));
    box.setAttribute("class", `box ${item.kind === "node" ? kindOf(operators[0] ?? "") : item.kind}${isMissing ? " missing" : ""}`);
    box.setAttribute("transform", `translate(${x - width / 2} ${y - height / 2})`);
    box.setAttribute("role", "button");
    box.setAttribute("tabindex", "-1");
    box.setAttribute("aria-label", this.#inWords(item, isMissing));
    if (item.kind === "group") box.setAttribute("aria-expanded", "false");
    const frame = document.createElementNS(SVG, "rect");
    const round = item.kind === "input" || item.kind === "output" ? height / 2 : 9;
    for (const [name, value] of Object.entries({ width, height, rx: round })) frame.setAttribute(name, String(value));
    if (item.kind === "group") {
      const behind = document.createElementNS(SVG, "rect");
      for (const [name, value] of Object.entries({ x: 4, y: 4, width, height, rx: round })) behind.setAttribute(name, String(value));
      box.append(behind);
    }
    box.append(frame, text(title, width / 2, detail ? 19 : height / 2 + 4.5, "title"));
    if (detail) box.append(" ", text(detail, width / 2, 35, "detail"));
    box.addEventListener("click", () => {
      if (item.kind === "group") this.#toggle(item.group);
      else this.#select(at, true);
    });
    box.addEventListener("focus", () => this.#select(at, false));
    return box;
  }

  #nodesOf(item: Item): GraphNode[] {
    const at = item.kind === "node" ? [item.at] : item.kind === "group" ? item.group.nodes : [];
    return at.flatMap((one) => this.#graph.nodes[one] ?? []);
  }

  /** What is written in the box, then what else there is to say. */
  #inWords(item: Item, isMissing: boolean): string {
    const written = this.#labels(item).filter(Boolean).join(" ");
    const more = item.kind === "node" ? this.#graph.nodes[item.at]?.name : item.kind === "group" ? "" : item.kind;
    return [written, isMissing ? "not supported" : "", more].filter(Boolean).join(", ");
  }

  #toggle(group: Group): void {
    const open = new Set(this.#open);
    open.add(group);
    const first = firstOf(group);
    this.#unfold(open);
    const at = this.#items.findIndex((item) => (item.kind === "node" && item.at === first) || (item.kind === "group" && item.group.nodes[0] === first));
    if (at >= 0) this.#select(at, true);
  }

  /** Folds the innermost open group that the selected box lies in. */
  #foldAround(): void {
    const item = this.#selected === undefined ? undefined : this.#items[this.#selected];
    const node = item?.kind === "node" ? item.at : item?.kind === "group" ? item.group.nodes[0] : undefined;
    if (node === undefined) return;
    const inner = around(this.#root, node).filter((group) => this.#open.has(group)).at(-1);
    if (!inner) return;
    const open = new Set(this.#open);
    open.delete(inner);
    this.#unfold(open);
    const at = this.#items.findIndex((item) => item.kind === "group" && item.group === inner);
    if (at >= 0) this.#select(at, true);
  }

  #select(at: number, andFocus: boolean): void {
    const box = this.#drawn[at];
    const item = this.#items[at];
    if (!box || !item) return;
    if (this.#selected !== at) {
      const before = this.#selected === undefined ? undefined : this.#drawn[this.#selected];
      before?.classList.remove("selected");
      before?.setAttribute("tabindex", "-1");
      box.classList.add("selected");
      box.setAttribute("tabindex", "0");
      this.#selected = at;
      this.#tell(item);
    }
    if (andFocus && document.activeElement !== box) {
      box.focus({ preventScroll: true });
      this.#bringIntoSight(at);
    }
  }

  #bringIntoSight(at: number): void {
    const centre = this.#layout?.centres[at];
    if (!centre) return;
    const { clientWidth, clientHeight } = this.#scroll;
    this.#scroll.scrollTo({ left: centre.x * this.#zoom - clientWidth / 2, top: centre.y * this.#zoom - clientHeight / 2 });
  }

  #tell(item: Item): void {
    const list = made("dl");
    const entry = (name: string, ...values: (string | HTMLElement)[]) => {
      if (values.length === 0) return;
      list.append(made("dt", name));
      for (const value of values) {
        const line = made("dd");
        line.append(value);
        list.append(line);
      }
    };
    let title: string;
    if (item.kind === "node") {
      const node = this.#graph.nodes[item.at];
      if (!node) return;
      title = node.operator;
      entry("Name", node.name);
      if (node.domain) entry("Domain", node.domain);
      if (this.#unsupported.has(node.operator)) entry("Support", "This version does not have it.");
      entry("Takes", ...node.inputs);
      entry("Weights", ...node.weights.map(({ name, shape }) => `${name} [${shape.join(", ")}]`));
      entry("Gives", ...node.outputs);
      entry("Attributes", ...node.attributes.map(([name, value]) => `${name}: ${value}`));
    } else if (item.kind === "group") {
      title = item.group.name;
      const counts = new Map<string, number>();
      for (const { operator } of this.#nodesOf(item)) counts.set(operator, (counts.get(operator) ?? 0) + 1);
      entry("Folded", ...[...counts].sort((a, b) => b[1] - a[1]).map(([operator, count]) => `${count} × ${operator}`));
    } else {
      title = item.name;
      entry("Is", item.kind === "input" ? "an input of the model" : "an output of the model");
    }
    this.#details.replaceChildren(made("h3", title), list);
  }

  #press(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = this.#selected;
    const item = at === undefined ? undefined : this.#items[at];
    if (at === undefined || !item) return;
    const along = (mine: "from" | "to", other: "from" | "to") => this.#edges.filter((edge) => edge[mine] === at).map((edge) => edge[other]);
    const x = (one: number) => this.#layout?.centres[one]?.x ?? 0;
    const y = (one: number) => this.#layout?.centres[one]?.y ?? 0;
    const nearest = (ones: number[]) => ones.sort((a, b) => Math.abs(x(a) - x(at)) - Math.abs(x(b) - x(at)))[0];
    const beside = (side: 1 | -1) => nearest(this.#items.flatMap((_, one) => (Math.abs(y(one) - y(at)) < 1 && (x(one) - x(at)) * side > 0 ? [one] : [])));
    const act: Record<string, () => void> = {
      ArrowDown: () => this.#select(nearest(along("from", "to")) ?? at, true),
      ArrowUp: () => this.#select(nearest(along("to", "from")) ?? at, true),
      ArrowLeft: () => this.#select(beside(-1) ?? at, true),
      ArrowRight: () => this.#select(beside(1) ?? at, true),
      Home: () => this.#select(0, true),
      End: () => this.#select(this.#items.length - 1, true),
      Enter: () => (item.kind === "group" ? this.#toggle(item.group) : undefined),
      " ": () => (item.kind === "group" ? this.#toggle(item.group) : undefined),
      Backspace: () => this.#foldAround(),
      "+": () => this.#zoomTo(this.#zoom * ZOOM.step),
      "=": () => this.#zoomTo(this.#zoom * ZOOM.step),
      "-": () => this.#zoomTo(this.#zoom / ZOOM.step),
      "0": () => this.#fit(),
    };
    const does = act[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  /** So that all is in sight across; a long graph is read downwards. */
  #fit(): void {
    const layout = this.#layout;
    if (!layout) return;
    const { clientWidth, clientHeight } = this.#scroll;
    const whole = Math.min(clientWidth / layout.width, clientHeight / layout.height);
    this.#zoomTo(Math.min(1, Math.max(whole, Math.min(0.85, clientWidth / layout.width))));
    this.#scroll.scrollTo({ left: ((this.#layout?.centres[0]?.x ?? 0) * this.#zoom) - clientWidth / 2, top: 0 });
  }

  #zoomTo(zoom: number, about?: { clientX: number; clientY: number }): void {
    const layout = this.#layout;
    const svg = this.#svg;
    if (!layout || !svg) return;
    const scroll = this.#scroll;
    const frame = scroll.getBoundingClientRect();
    const held = about ? { x: about.clientX - frame.left, y: about.clientY - frame.top } : { x: scroll.clientWidth / 2, y: scroll.clientHeight / 2 };
    const before = this.#zoom;
    const at = { x: (scroll.scrollLeft + held.x) / before, y: (scroll.scrollTop + held.y) / before };
    this.#zoom = Math.min(ZOOM.most, Math.max(ZOOM.least, zoom));
    svg.setAttribute("width", String(layout.width * this.#zoom));
    svg.setAttribute("height", String(layout.height * this.#zoom));
    element("zoom-level", HTMLElement).textContent = `${Math.round(this.#zoom * 100)} %`;
    if (this.#zoom !== before) scroll.scrollTo({ left: at.x * this.#zoom - held.x, top: at.y * this.#zoom - held.y });
  }

  #dragToScroll(): void {
    let from: { x: number; y: number; left: number; top: number } | undefined;
    let hasMoved = false;
    const scroll = this.#scroll;
    scroll.addEventListener("pointerdown", (event) => {
      // Fingers scroll by themselves.
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = { x: event.clientX, y: event.clientY, left: scroll.scrollLeft, top: scroll.scrollTop };
      hasMoved = false;
    });
    addEventListener("pointermove", (event) => {
      if (!from) return;
      const [x, y] = [event.clientX - from.x, event.clientY - from.y];
      hasMoved ||= Math.hypot(x, y) > 4;
      if (hasMoved) scroll.scrollTo({ left: from.left - x, top: from.top - y, behavior: "instant" });
      scroll.classList.toggle("dragging", hasMoved);
    });
    const end = () => {
      from = undefined;
      scroll.classList.remove("dragging");
    };
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
    scroll.addEventListener(
      "click",
      (event) => {
        if (hasMoved) event.stopPropagation();
        hasMoved = false;
      },
      { capture: true },
    );
  }

  #say(said: string): void {
    this.#note.textContent = said;
    this.#spoken.textContent = said;
  }
}

function allGroups(root: Group): Group[] {
  return [root, ...root.children.flatMap((child) => (typeof child === "number" ? [] : allGroups(child)))];
}

function short(label: string): string {
  return label.length > LONGEST_LABEL ? `${label.slice(0, 12)}…${label.slice(-12)}` : label;
}

let pen: CanvasRenderingContext2D | null | undefined;

function widthOf(label: string, weight: number): number {
  pen ??= document.createElement("canvas").getContext("2d");
  if (!pen) return label.length * 8;
  pen.font = `${weight} 13px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(label).width;
}

function text(content: string, x: number, y: number, className: string): SVGTextElement {
  const made = document.createElementNS(SVG, "text");
  made.textContent = content;
  made.setAttribute("class", className);
  made.setAttribute("x", String(x));
  made.setAttribute("y", String(y));
  made.setAttribute("text-anchor", "middle");
  return made;
}

/** Through all points, leaving and reaching each downwards. */
function curve(points: Layout["routes"][number]): string {
  const round = (value: number) => Math.round(value * 10) / 10;
  return points
    .map(({ x, y }, at) => {
      const before = points[at - 1];
      if (!before) return `M${round(x)} ${round(y)}`;
      const half = (y - before.y) / 2;
      return `C${round(before.x)} ${round(before.y + half)} ${round(x)} ${round(y - half)} ${round(x)} ${round(y)}`;
    })
    .join("");
}
