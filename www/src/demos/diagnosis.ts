import "../shell";
import "./demos.css";
import "../controls.css";
import "./snippets";
import { tabularPredictor, type TabularPredictor } from "firebrand/tasks";
import { element } from "../page";
import { milliseconds, percent } from "../words";
import { Loading } from "./loading";

interface Measurements {
  readonly ranges: readonly (readonly [least: number, most: number])[];
  readonly classes: readonly string[];
  /** Rows of each class. */
  readonly cases: readonly (readonly (readonly number[])[])[];
}

let measurements: Measurements | undefined;
let values: number[] = [];
/** The page's sliders, by the data's names of what they move. */
const sliders = new Map(
  [...document.querySelectorAll<HTMLInputElement>(".slider input")].map((input) => [input.dataset.feature ?? "", { input, output: input.parentElement?.querySelector(".told") }]),
);
let next = [0, 0];
let isBusy = false;
let isStale = false;

const loading = new Loading({
  async open(options) {
    const response = await fetch("models/measurements.json");
    if (!response.ok) throw new Error(`models/measurements.json: the server answered ${response.status}`);
    measurements = checked(await response.json());
    return tabularPredictor("models/tabular-classification/manifest.json", options);
  },
  onReady(task) {
    connect(task);
    take(1);
  },
});

function checked(given: unknown): Measurements {
  const at = (key: string): unknown => (typeof given === "object" && given !== null ? Reflect.get(given, key) : undefined);
  const [ranges, classes, cases] = [at("ranges"), at("classes"), at("cases")];
  if (!Array.isArray(ranges) || !Array.isArray(classes) || !Array.isArray(cases)) throw new Error("models/measurements.json is not what this page expects");
  return { ranges, classes, cases };
}

/** Gives the sliders the model's features, in its order. */
function connect({ features }: TabularPredictor): void {
  const unknown = features.filter(({ name }) => !sliders.has(name));
  if (unknown.length > 0) throw new Error(`this page has no slider for ${unknown.map(({ name }) => name).join(", ")}`);
  features.forEach(({ name }, at) => {
    const slider = sliders.get(name);
    if (!slider) return;
    const { input, output } = slider;
    const [least, most] = measurements?.ranges[at] ?? [0, 1];
    input.min = String(least);
    input.max = String(most);
    input.step = String((most - least) / 200);
    input.disabled = false;
    input.oninput = () => {
      values[at] = input.valueAsNumber;
      if (output) output.textContent = inShort(input.valueAsNumber);
      void predict();
    };
  });
}

const inShort = (value: number) => String(Number(value.toPrecision(3)));

/** Sets all sliders to the next row of a class. */
function take(of: number): void {
  const rows = measurements?.cases[of] ?? [];
  const row = rows[(next[of] ?? 0) % Math.max(1, rows.length)];
  next = next.map((at, one) => (one === of ? at + 1 : at));
  if (!row) return;
  values = [...row];
  loading.task?.features.forEach(({ name }, at) => {
    const slider = sliders.get(name);
    const value = row[at] ?? 0;
    if (!slider) return;
    slider.input.value = String(value);
    if (slider.output) slider.output.textContent = inShort(value);
  });
  void predict();
}

async function predict(): Promise<void> {
  const { task } = loading;
  if (!task || values.length === 0) return;
  if (isBusy) {
    isStale = true;
    return;
  }
  isBusy = true;
  try {
    do {
      isStale = false;
      const began = performance.now();
      const { label, probabilities } = await task.predict(values);
      const ms = performance.now() - began;
      const share = probabilities.malignant ?? 0;
      const sure = probabilities[label] ?? 0;
      element("headline", HTMLElement).textContent = sure < 0.8 ? `Rather ${label}` : label.charAt(0).toUpperCase() + label.slice(1);
      element("share", HTMLElement).style.width = `${Math.max(0.5, share * 100)}%`;
      element("share-told", HTMLElement).textContent = `malignant ${percent(share)}, benign ${percent(1 - share)}`;
      element("figures", HTMLElement).textContent = `Answered in ${milliseconds(ms)}.`;
      loading.say(`${label}, ${percent(sure)}`);
    } while (isStale);
  } catch (error) {
    loading.failed(error);
  } finally {
    isBusy = false;
  }
}

element("case-benign", HTMLButtonElement).addEventListener("click", () => take(1));
element("case-malignant", HTMLButtonElement).addEventListener("click", () => take(0));
