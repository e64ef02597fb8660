/** What a model says of itself, in figures and tables. */
import type { ModelReport } from "firebrand";
import { element, made, show } from "../page";
import { bytes } from "../words";
import type { GraphNode, ModelGraph } from "./model-graph";

/** What is known of the file beside the report. */
export interface Given {
  readonly name: string;
  readonly bytes: number;
  /** The format that it was converted from, where it is no ONNX. */
  readonly format: string;
  readonly notes: readonly string[];
  /** Of a package. */
  readonly manifest?: { readonly name: string; readonly version: string; readonly precision: string; readonly bytes: number };
  /** Files beside the model that were given. */
  readonly beside: ReadonlySet<string>;
}

/** More lines than this are cut off; the field above finds the others. */
const MOST_LINES = 400;

export function showReport(report: ModelReport, given: Given, graph: ModelGraph): void {
  const nodes = numberIn(report, "nodeCount") ?? report.operators.reduce((sum, { count }) => sum + count, 0);
  const parameters = numberIn(report, "parameterCount");
  const weightBytes = numberIn(report, "weightBytes");
  const { manifest } = given;
  element("figures", HTMLElement).replaceChildren(
    tile("Model", manifest ? manifest.name : given.name, [manifest ? `Version ${manifest.version}, ${manifest.precision}` : `From ${formats[given.format] ?? given.format}`, producerIn(report)]),
    tile("Size", bytes(manifest?.bytes ?? given.bytes), [weightBytes === undefined ? "" : `${bytes(weightBytes)} of weights`, manifest ? `Graph ${bytes(given.bytes)}` : ""]),
    tile("Parameters", parameters === undefined ? "–" : inShort(parameters), [parameters === undefined ? "" : `${parameters.toLocaleString("en")} numbers`]),
    tile("Nodes", nodes.toLocaleString("en"), [`${report.operators.length} kinds of operators`, opsetsIn(report)]),
  );
  showUnsupported(report);
  showNotes(report, given);
  element("values", HTMLElement).replaceChildren(...[...report.inputs.map((one) => ["Input", one] as const), ...report.outputs.map((one) => ["Output", one] as const)].map(([side, { name, kind, dtype, shape, optional }]) => {
    const line = made("tr");
    const label = made("th", name);
    label.setAttribute("scope", "row");
    label.append(made("small", side + (optional ? ", may be absent" : "")));
    const isOf = kind === undefined ? dtype : kind === "other" ? dtype : `${kind} of ${dtype}`;
    line.append(label, made("td", isOf), made("td", shape.length > 0 ? shape.join(" × ") : kind === undefined ? "one number" : "–"));
    return line;
  }));
  const most = Math.max(1, ...report.operators.map(({ count }) => count));
  element("operators", HTMLElement).replaceChildren(
    ...[...report.operators]
      .sort((a, b) => Number(a.supported) - Number(b.supported) || b.count - a.count)
      .map(({ name, domain, count, supported }) => {
        const line = made("tr");
        const label = made("th", name);
        label.setAttribute("scope", "row");
        if (domain) label.append(made("small", domain));
        const amount = made("td", "", "amount");
        const bar = made("i");
        bar.style.width = `${(count / most) * 100}%`;
        bar.setAttribute("aria-hidden", "true");
        amount.append(made("span", String(count)), bar);
        line.append(label, amount, made("td", supported ? "yes" : "no", supported ? "" : "no"));
        return line;
      }),
  );
  element("operators-count", HTMLElement).textContent = `${report.operators.length}`;
  element("nodes-count", HTMLElement).textContent = graph.nodes.length.toLocaleString("en");
}

/** All nodes as a list that can be searched; `go` is called with the one pressed. */
export class NodeList {
  readonly #body = element("nodes", HTMLElement);
  readonly #find = element("find", HTMLInputElement);
  readonly #note = element("nodes-note", HTMLElement);
  #nodes: readonly GraphNode[] = [];

  constructor(readonly go: (node: number) => void) {
    this.#find.addEventListener("input", () => this.#show());
  }

  list({ nodes }: ModelGraph): void {
    this.#nodes = nodes;
    this.#find.value = "";
    this.#show();
  }

  #show(): void {
    const wanted = this.#find.value.trim().toLowerCase();
    const found = this.#nodes.map((node, at) => ({ node, at })).filter(({ node }) => `${node.operator} ${node.name}`.toLowerCase().includes(wanted));
    this.#body.replaceChildren(
      ...found.slice(0, MOST_LINES).map(({ node, at }) => {
        const line = made("tr");
        const label = made("th");
        label.setAttribute("scope", "row");
        const button = made("button", node.name, "link");
        button.type = "button";
        button.addEventListener("click", () => this.go(at));
        label.append(button);
        line.append(label, made("td", node.operator), made("td", node.weights.map(({ shape }) => shape.join(" × ") || "1").join(", ") || "–"));
        return line;
      }),
    );
    this.#note.textContent = found.length > MOST_LINES ? `${found.length} found; the first ${MOST_LINES} are shown.` : wanted ? `${found.length} found.` : "";
  }
}

const formats: Record<string, string> = {
  onnx: "ONNX",
  tflite: "TensorFlow Lite",
  safetensors: "safetensors",
  pytorch: "PyTorch",
  numpy: "NumPy",
  "keras-h5": "Keras (HDF5)",
  keras: "Keras",
  "tfjs-layers": "TensorFlow.js layers",
  "tfjs-graph": "TensorFlow.js graph",
};

function showUnsupported({ operators }: ModelReport): void {
  const missing = operators.filter(({ supported }) => !supported);
  const alert = element("unsupported", HTMLElement);
  show(alert, missing.length > 0);
  const list = made("ul");
  for (const { name, domain, count, nodes = [] } of missing) {
    const line = made("li");
    const shown = nodes.filter(Boolean).slice(0, 4);
    line.append(made("code", domain ? `${domain}.${name}` : name), ` ${count} ${count === 1 ? "node" : "nodes"}${shown.length > 0 ? `: ${shown.join(", ")}${nodes.length > shown.length ? ", …" : ""}` : ""}`);
    list.append(line);
  }
  alert.replaceChildren(made("strong", missing.length === 1 ? "One operator is not supported, so this model does not run yet." : `${missing.length} operators are not supported, so this model does not run yet.`), list);
}

function showNotes({ externalFiles }: ModelReport, { notes, beside, manifest }: Given): void {
  const lacking = externalFiles.filter((file) => !beside.has(file));
  const said = [
    // A package's are named by their hashes, which tell nobody anything.
    ...(externalFiles.length > 0 && !manifest ? [`Weights lie in ${externalFiles.length} ${externalFiles.length === 1 ? "file" : "files"} beside it: ${externalFiles.join(", ")}.`] : []),
    ...(lacking.length > 0 ? [`Not given, but needed to run it: ${lacking.join(", ")}.`] : []),
    ...notes,
  ];
  const list = element("notes", HTMLElement);
  list.replaceChildren(...said.map((text) => made("li", text)));
  show(list, said.length > 0);
}

function tile(name: string, figure: string, details: readonly string[]): HTMLElement {
  const list = made("dl", "", "tile");
  list.append(made("dt", name), made("dd", figure, "figure"), made("dd", details.filter(Boolean).map((text) => `${text}.`).join(" "), "small"));
  return list;
}

/** The runtime tells more than the types promise; what is not there is left out. */
function numberIn(report: object, key: string): number | undefined {
  const value: unknown = Reflect.get(report, key);
  return typeof value === "number" ? value : typeof value === "bigint" ? Number(value) : undefined;
}

function producerIn(report: object): string {
  const value: unknown = Reflect.get(report, "producer");
  return typeof value === "string" && value ? `By ${value}` : "";
}

function opsetsIn(report: object): string {
  const value: unknown = Reflect.get(report, "opsets");
  if (typeof value !== "object" || value === null) return "";
  return Object.entries(value)
    .map(([domain, version]) => `${domain === "" || domain === "ai.onnx" ? "Opset" : domain} ${version}`)
    .join(", ");
}

/** `1235496` → `1.24 million` */
function inShort(count: number): string {
  if (count < 10_000) return count.toLocaleString("en");
  if (count < 1_000_000) return `${(count / 1000).toPrecision(3)} thousand`;
  return count < 1e9 ? `${(count / 1e6).toPrecision(3)} million` : `${(count / 1e9).toPrecision(3)} billion`;
}
