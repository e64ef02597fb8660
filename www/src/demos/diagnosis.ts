import "../shell";
import "./demos.css";
import "../controls.css";
import "./snippets";
import { tabularPredictor, type Feature, type TabularPredictor } from "firebrand/tasks";
import { element, made } from "../page";
import { milliseconds, percent } from "../words";
import { Loading } from "./loading";

/** What each measurement is, in words; the data has each as a mean, as its standard error and as the mean of the three largest. */
const words: Record<string, string> = {
  radius: "Radius",
  texture: "Texture",
  perimeter: "Perimeter",
  area: "Area",
  smoothness: "Smoothness",
  compactness: "Compactness",
  concavity: "Depth of dents",
  "concave points": "Number of dents",
  symmetry: "Asymmetry",
  "fractal dimension": "Fractal dimension",
};

interface Measurements {
  readonly ranges: readonly (readonly [least: number, most: number])[];
  readonly classes: readonly string[];
  /** Rows of each class. */
  readonly cases: readonly (readonly (readonly number[])[])[];
}

let measurements: Measurements | undefined;
let values: number[] = [];
let sliders: { input: HTMLInputElement; output: HTMLOutputElement }[] = [];
let next = [0, 0];
let isBusy = false;
let isStale = false;

const loading = new Loading({
  async open(options) {
    const response = await fetch("models/measurements.json", { signal: options.signal });
    if (!response.ok) throw new Error(`models/measurements.json: the server answered ${response.status}`);
    measurements = checked(await response.json());
    return tabularPredictor("models/tabular-classification/manifest.json", options);
  },
  onReady(task) {
    build(task);
    take(1);
  },
});

function checked(given: unknown): Measurements {
  const at = (key: string): unknown => (typeof given === "object" && given !== null ? Reflect.get(given, key) : undefined);
  const [ranges, classes, cases] = [at("ranges"), at("classes"), at("cases")];
  if (!Array.isArray(ranges) || !Array.isArray(classes) || !Array.isArray(cases)) throw new Error("models/measurements.json is not what this page expects");
  return { ranges, classes, cases };
}

function build({ features }: TabularPredictor): void {
  for (const group of ["mean", "worst", "error"]) element(`sliders-${group}`, HTMLElement).replaceChildren();
  sliders = features.map((feature, at) => {
    const [least, most] = measurements?.ranges[at] ?? [0, 1];
    const label = made("label", "", "slider");
    const input = made("input");
    input.type = "range";
    input.min = String(least);
    input.max = String(most);
    input.step = String((most - least) / 200);
    const output = made("output");
    label.append(made("span", titleOf(feature)), output, input);
    input.addEventListener("input", () => {
      values[at] = input.valueAsNumber;
      output.textContent = inShort(input.valueAsNumber);
      void predict();
    });
    element(`sliders-${groupOf(feature)}`, HTMLElement).append(label);
    return { input, output };
  });
}

const groupOf = ({ name }: Feature): "mean" | "worst" | "error" => (name.startsWith("mean ") ? "mean" : name.startsWith("worst ") ? "worst" : "error");

function titleOf({ name, unit }: Feature): string {
  const bare = name.replace(/^(mean|worst) /, "").replace(/ error$/, "");
  return `${words[bare] ?? bare}${unit ? `, ${unit}` : ""}`;
}

const inShort = (value: number) => String(Number(value.toPrecision(3)));

/** Sets all sliders to the next row of a class. */
function take(of: number): void {
  const rows = measurements?.cases[of] ?? [];
  const row = rows[(next[of] ?? 0) % Math.max(1, rows.length)];
  next = next.map((at, one) => (one === of ? at + 1 : at));
  if (!row) return;
  values = [...row];
  sliders.forEach(({ input, output }, at) => {
    const value = row[at] ?? 0;
    input.value = String(value);
    output.textContent = inShort(value);
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
