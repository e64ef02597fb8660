import "../shell";
import "../controls.css";
import "./inspect.css";
import { inspect } from "firebrand";
import { onDrops } from "../given-files";
import { ModelChoice, type GivenModel } from "../model-choice";
import { explanations } from "../optimise/failures";
import { element, made, show } from "../page";
import { explain } from "../words";
import { GraphView } from "./graph-view";
import { readGraph } from "./model-graph";
import { NodeList, showReport, type Given } from "./report";

const status = element("status", HTMLElement);
const failure = element("failure", HTMLElement);
const result = element("result", HTMLElement);
const graph = new GraphView();
const list = new NodeList((node) => graph.reveal(node));

let working: AbortController | undefined;

const choice = new ModelChoice(() => void look());

/** Reads the model given; a later one takes its place. */
async function look(): Promise<void> {
  working?.abort();
  const { value } = choice;
  if (!value) return;
  const mine = new AbortController();
  working = mine;
  show(failure, false);
  status.textContent = `Reading ${value.name} …`;
  try {
    const { model, given } = await onnxOf(value, mine.signal);
    const report = await inspect(model, { signal: mine.signal });
    if (working !== mine) return;
    const drawn = readGraph(model);
    show(result, true);
    showReport(report, given, drawn);
    graph.draw(drawn, new Set(report.operators.filter(({ supported }) => !supported).map(({ name }) => name)));
    list.list(drawn);
    status.textContent = `${value.name} is read.`;
    element("result-title", HTMLElement).scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (working !== mine) return;
    show(result, false);
    status.textContent = "";
    const told = explain(error, explanations);
    const detail = made("p", "", "failure-detail");
    detail.append(made("code", told.kind), ` ${told.message}`);
    failure.replaceChildren(made("p", told.title, "failure-title"), made("p", told.advice), detail);
    show(failure, true);
  }
}

/** The model as ONNX: itself, a package's graph, or what the converter makes of another format. */
async function onnxOf({ name, source, externalData, arch }: GivenModel, signal: AbortSignal): Promise<{ model: Uint8Array; given: Given }> {
  const beside = new Set(Object.keys(externalData));
  const manifest = await manifestAmong(name, source, externalData);
  if (manifest) {
    const file = externalData[manifest.graph];
    const blob = file instanceof Blob ? file : source instanceof Blob ? source : undefined;
    if (!blob) throw new Error(`${manifest.graph} is missing: give the package's files together, or its folder`);
    const model = new Uint8Array(await blob.arrayBuffer());
    return { model, given: { name, bytes: model.length, format: "onnx", notes: [], manifest, beside } };
  }
  if (/\.onnx$/i.test(name)) {
    const model = typeof source === "string" ? await fetched(source, signal) : new Uint8Array(await source.arrayBuffer());
    return { model, given: { name, bytes: model.length, format: "onnx", notes: [], beside } };
  }
  status.textContent = `Converting ${name} …`;
  const { convert } = await import("firebrand/convert");
  const converted = await convert(source, { name, externalData, ...(arch !== undefined && { arch }), signal });
  const bytes = source instanceof Blob ? source.size : converted.model.length;
  return { model: converted.model, given: { name, bytes, format: converted.format, notes: converted.notes, beside } };
}

async function fetched(url: string, signal: AbortSignal): Promise<Uint8Array> {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** What a package among the files says of itself. */
async function manifestAmong(name: string, source: File | string, externalData: GivenModel["externalData"]): Promise<(NonNullable<Given["manifest"]> & { graph: string }) | undefined> {
  const file = name === "manifest.json" && source instanceof Blob ? source : externalData["manifest.json"];
  if (!(file instanceof Blob)) return undefined;
  const said: unknown = await file.text().then(JSON.parse, () => undefined);
  const at = (value: unknown, key: string): unknown => (typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined);
  const graph = at(at(said, "model"), "file");
  const raw = at(at(said, "sizes"), "raw");
  if (typeof graph !== "string" || typeof raw !== "number") return undefined;
  return { graph, bytes: raw, name: String(at(said, "name")), version: String(at(said, "version")), precision: String(at(said, "precision")) };
}

element("arch", HTMLInputElement).addEventListener("change", () => void look());
const card = element("model", HTMLElement);
onDrops(
  (files) => choice.take(files),
  (on) => card.classList.toggle("over", on !== undefined),
);
