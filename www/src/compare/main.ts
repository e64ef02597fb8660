import "../shell";
import "../controls.css";
import "./compare.css";
import { Tensor, type ImageOptions } from "firebrand";
import { title } from "../answer-panel";
import { best, imagenetLabels } from "../imagenet";
import { element, made, show } from "../page";
import { photoFromUrl } from "../photo";
import { samples } from "../samples";
import { median } from "../speed-panel";
import { bytes, milliseconds, percent } from "../words";
import { drawChart } from "./chart";
import type { RuntimeName } from "./messages";
import { quartiles, Side, type Measured } from "./side";

type Precision = "float32" | "int8";

interface Model {
  readonly title: string;
  readonly files: Record<Precision | "tfjs", string>;
  readonly size: number;
  readonly image: ImageOptions;
}

/** Rounds in which all answer in turns; what is slow ends sooner, but answers in three at least. */
const ROUNDS = 12;
const LEAST_ROUNDS = 3;
const MEASURE_MS = 30_000;
/** As many answers in each round: quick ones more, so that the clock's steps do not count. */
const ROUND_MS = 40;

const models = {
  squeezenet: {
    title: "SqueezeNet 1.1",
    files: {
      float32: "models/squeezenet1.1.onnx",
      int8: "models/squeezenet1.1-int8.onnx",
      tfjs: "models/tfjs/squeezenet1.1/model.json",
    },
    size: 227,
    image: { size: [227, 227], color: "BGR", mean: [103.939, 116.779, 123.68], scale: 1, fit: "fill" },
  },
  efficientnet: {
    title: "EfficientNet-Lite0",
    files: {
      float32: "models/efficientnet-lite0-folded.onnx",
      int8: "models/efficientnet-lite0-int8.onnx",
      tfjs: "models/tfjs/efficientnet-lite0-folded/model.json",
    },
    size: 224,
    image: { size: [224, 224], mean: 127, scale: 1 / 128, fit: "cover" },
  },
} as const satisfies Record<string, Model>;

const runtimes: Record<RuntimeName, { readonly title: string; readonly precisions: readonly Precision[] }> = {
  firebrand: { title: "Firebrand", precisions: ["float32", "int8"] },
  ort: { title: "onnxruntime-web", precisions: ["float32", "int8"] },
  // It stores weights in 8 bits, but computes in float32.
  tfjs: { title: "TensorFlow.js", precisions: ["float32"] },
};

interface Entry {
  readonly runtime: RuntimeName;
  readonly precision: Precision;
  side?: Side;
  measured?: Measured;
  failure?: string;
}

const go = element("go", HTMLButtonElement);
const stop = element("stop", HTMLButtonElement);
const cost = element("cost", HTMLElement);
const said = element("said", HTMLElement);
const bar = element("progress", HTMLElement);
const form = element("form", HTMLFormElement);

/** The bytes of the models by their addresses, and the runtimes' with their versions. */
const known = { models: new Map<string, number>(), runtimes: new Map<string, { version: string; bytes: number }>() };
let working: AbortController | undefined;

const chosen = (name: string) => [...form.querySelectorAll<HTMLInputElement>(`input[name="${name}"]:checked`)].map(({ value }) => value);
const model = (): Model => (chosen("model")[0] === "efficientnet" ? models.efficientnet : models.squeezenet);

function entries(): Entry[] {
  const [wantedRuntimes, wantedPrecisions] = [chosen("runtime"), chosen("precision")];
  return Object.entries(runtimes).flatMap(([runtime, { precisions }]) =>
    isRuntime(runtime) && wantedRuntimes.includes(runtime) ? precisions.filter((precision) => wantedPrecisions.includes(precision)).map((precision) => ({ runtime, precision })) : [],
  );
}

function isRuntime(name: string): name is RuntimeName {
  return name in runtimes;
}

/** Says what will be fetched before anything is. */
function tellCost(): void {
  const all = entries();
  const { files } = model();
  const ofRuntimes = [...new Set(all.map(({ runtime }) => runtime))].reduce((sum, runtime) => sum + (known.runtimes.get(runtime)?.bytes ?? 0), 0);
  const ofModels = [...new Set(all.map(({ runtime, precision }) => (runtime === "tfjs" ? "tfjs" : precision)))].reduce((sum, file) => sum + (known.models.get(files[file]) ?? 0), 0);
  go.disabled = all.length === 0;
  cost.textContent =
    all.length === 0
      ? "Choose at least one runtime and one precision that it has."
      : known.models.size === 0
        ? "Nothing is fetched before you press."
        : `Fetches up to ${bytes(ofRuntimes + ofModels)} from this site, before compression: ${bytes(ofRuntimes)} of runtimes, ${bytes(ofModels)} of models. Nothing is fetched before you press.`;
  for (const [name, told] of known.runtimes) if (isRuntime(name)) element(`about-${name}`, HTMLElement).textContent = `${told.version}, ${bytes(told.bytes)}`;
}

async function compare(): Promise<void> {
  if (working) return;
  const mine = new AbortController();
  working = mine;
  const { signal } = mine;
  const all = entries();
  const { files, image, size, title: name } = model();
  const fieldset = element("choices", HTMLFieldSetElement);
  fieldset.disabled = true;
  show(go, false);
  show(stop, true);
  show(bar, true);
  stop.focus();
  try {
    progress(0, "Preparing the photo …");
    const labels = await imagenetLabels(signal);
    const sample = samples.find((one) => one.name === chosen("photo")[0]);
    if (!sample) throw new Error("choose a photo");
    const photo = await photoFromUrl(sample.file, sample.name);
    const pixels = { NCHW: floatsOf(Tensor.fromImage(photo.bitmap, { ...image, layout: "NCHW" })), NHWC: floatsOf(Tensor.fromImage(photo.bitmap, { ...image, layout: "NHWC" })) };
    photo.close();
    draw(all, labels);
    for (const [at, entry] of all.entries()) {
      signal.throwIfAborted();
      progress((at / all.length) * 0.4, `Loading ${titleOf(entry)} …`);
      const isTfjs = entry.runtime === "tfjs";
      const side = new Side();
      entry.side = side;
      signal.addEventListener("abort", () => side.close());
      await attempt(entry, signal, async () => {
        await side.open({
          runtime: entry.runtime,
          model: new URL(files[isTfjs ? "tfjs" : entry.precision], document.baseURI).href,
          files: new URL("peers/", document.baseURI).href,
          input: isTfjs ? pixels.NHWC : pixels.NCHW,
          shape: isTfjs ? [1, size, size, 3] : [1, 3, size, size],
        });
        await side.run(2, false);
      });
      draw(all, labels);
    }
    const end = performance.now() + MEASURE_MS;
    for (let round = 0; round < ROUNDS && (round < LEAST_ROUNDS || performance.now() < end); round++) {
      progress(0.4 + (round / ROUNDS) * 0.6, `Round ${round + 1} of ${ROUNDS}: all answer in turns …`);
      // Each round begins with another, so that none is always behind the same.
      for (const at of all.keys()) {
        const entry = all[(at + round) % all.length];
        if (!entry?.side || entry.failure) continue;
        signal.throwIfAborted();
        const times = entry.measured?.times ?? [];
        const side = entry.side;
        await attempt(entry, signal, () => side.run(times.length > 0 ? Math.max(1, Math.min(8, Math.round(ROUND_MS / median(times)))) : 1));
      }
      draw(all, labels);
    }
    progress(1, verdict(all, name, sample.name));
  } catch (error) {
    progress(0, signal.aborted ? "Stopped. What was measured until then is kept." : `That did not work: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    for (const { side } of all) side?.close();
    working = undefined;
    fieldset.disabled = false;
    const hadFocus = document.activeElement === stop;
    show(stop, false);
    show(bar, false);
    show(go, true);
    go.textContent = "Measure again";
    if (hadFocus || document.activeElement === document.body) go.focus();
  }
}

/** What fails for one leaves the others their turn. */
async function attempt(entry: Entry, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  const stopped = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  try {
    await Promise.race([work(), stopped]);
  } catch (error) {
    signal.throwIfAborted();
    entry.failure = error instanceof Error ? error.message : String(error);
    entry.side?.close();
  }
  const measured = entry.side?.measured;
  if (measured) entry.measured = measured;
}

function progress(fraction: number, text: string): void {
  const done = Math.round(fraction * 100);
  bar.setAttribute("aria-valuenow", String(done));
  bar.setAttribute("aria-valuetext", text);
  const [burnt] = bar.children;
  if (burnt instanceof HTMLElement) burnt.style.width = `${done}%`;
  said.textContent = text;
}

const titleOf = ({ runtime, precision }: Entry) => `${runtimes[runtime].title}, ${precision}`;

function draw(all: readonly Entry[], labels: readonly string[]): void {
  show(element("result", HTMLElement), true);
  drawChart(
    element("chart", HTMLElement),
    all.map((entry) => ({ label: titleOf(entry), times: entry.measured?.times ?? [], isOurs: entry.runtime === "firebrand" })),
  );
  const reference = (precision: Precision) => all.find((entry) => entry.runtime === "ort" && entry.precision === precision)?.measured?.answer;
  element("rows", HTMLElement).replaceChildren(
    ...all.map((entry) => {
      const { measured, failure, precision, runtime } = entry;
      const line = made("tr");
      const head = made("th", runtimes[runtime].title);
      head.setAttribute("scope", "row");
      head.append(made("small", measured ? `${precision}, ${measured.about}` : precision));
      const cells = measured && !failure ? cellsOf(measured, runtime === "ort" ? undefined : reference(precision), labels) : [];
      line.append(head, ...cells);
      if (cells.length === 0) {
        const cell = made("td", failure ? `It failed: ${failure}` : "waits");
        cell.colSpan = 5;
        line.append(cell);
      }
      return line;
    }),
  );
}

function cellsOf({ times, readyMs, bytes: fetched, answer }: Measured, reference: Float32Array | undefined, labels: readonly string[]): HTMLElement[] {
  const [lower, upper] = quartiles(times);
  const [first] = best(answer, 1);
  const seen = first === undefined ? "–" : `${title(labels[first] ?? `class ${first}`)}, ${percent(answer[first] ?? 0)}`;
  const last = made("td", seen);
  if (reference && reference.length === answer.length && answer.length > 0) {
    const difference = answer.reduce((most, value, at) => Math.max(most, Math.abs(value - (reference[at] ?? 0))), 0);
    last.append(made("small", `${best(reference, 1)[0] === first ? "Same" : "Another"} first answer as onnxruntime-web, differs by ${difference < 1e-6 ? "under 0.000001" : difference.toPrecision(1)} at most`));
  }
  const shown = (time: number) => (times.length > 0 ? milliseconds(time) : "–");
  return [made("td", shown(median(times))), made("td", times.length > 0 ? `${milliseconds(lower)} – ${milliseconds(upper)}` : "–"), made("td", milliseconds(readyMs)), made("td", bytes(fetched)), last];
}

function verdict(all: readonly Entry[], model: string, photo: string): string {
  const measured = all.flatMap((entry) => (entry.measured && !entry.failure && entry.measured.times.length > 0 ? [{ entry, time: median(entry.measured.times) }] : []));
  const sorted = [...measured].sort((a, b) => a.time - b.time);
  const [first] = sorted;
  if (!first) return "None of them could be measured.";
  const rounds = first.entry.measured?.times.length ?? 0;
  return `${model} on ${photo}: quickest here is ${titleOf(first.entry)}, with a median of ${milliseconds(first.time)} over ${rounds} answers.`;
}

function floatsOf(tensor: Tensor): Float32Array {
  if (!(tensor.data instanceof Float32Array)) throw new Error("the photo gave no float32 tensor");
  return tensor.data;
}

/** What things weigh, as `scripts/assets.mjs` found it. */
async function readSizes(): Promise<void> {
  const response = await fetch("peers/sizes.json");
  if (!response.ok) return;
  const told: unknown = await response.json();
  for (const [name, about] of membersOf(told, "runtimes")) {
    const [version, size] = [memberOf(about, "version"), memberOf(about, "bytes")];
    if (typeof version === "string" && typeof size === "number") known.runtimes.set(name, { version, bytes: size });
  }
  for (const [name, size] of membersOf(told, "models")) if (typeof size === "number") known.models.set(name, size);
  tellCost();
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

function membersOf(value: unknown, key: string): [name: string, value: unknown][] {
  const member = memberOf(value, key);
  return typeof member === "object" && member !== null ? Object.entries(member) : [];
}

/** How the page is served decides how fine the clock is. */
function tellClock(): void {
  element("clock", HTMLElement).textContent = crossOriginIsolated
    ? "This page is cross-origin isolated, so its clock has steps of 5 µs or so."
    : "This page is not cross-origin isolated, so its clock has steps of 0.1 ms or more.";
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void compare();
});
form.addEventListener("change", tellCost);
stop.addEventListener("click", () => working?.abort());
tellClock();
tellCost();
// Without the sizes, the page works all the same.
void readSizes().catch(() => {});
