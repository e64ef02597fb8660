import { FirebrandError, abortedError } from "../error.js";
import type { Session } from "../session.js";
import type { ModelSource } from "../source.js";
import { Tensor, typeName } from "../tensor.js";
import { Task, floats, isObject, openTask, type CallOptions, type Description, type TaskOptions } from "./task.js";

/** A row of a table: a value for each feature by its name, or all of them in order. Texts are read as numbers. */
export type TabularRow = Readonly<Record<string, number | string>> | readonly number[];

/** A feature that a row has. */
export interface Feature {
  readonly name: string;
  /** What the number is measured in. */
  readonly unit?: string;
}

/** What a row is. */
export interface Prediction {
  /** The likeliest class's name. */
  label: string;
  /** Its place among the classes. */
  index: number;
  /** How likely each class is, by name. */
  probabilities: Record<string, number>;
}

/** Classifies rows of a table. Made by {@link tabularPredictor}. */
export class TabularPredictor extends Task {
  /** What a row has, in order. */
  readonly features: readonly Feature[];
  /** The classes' names, in order. */
  readonly labels: readonly string[];
  readonly #input: string;
  readonly #output: string;

  /** @internal */
  constructor(session: Session, description: Description) {
    super(session);
    const [input] = session.inputs;
    const output = description.manifest.outputs.find(({ labels }) => labels !== undefined);
    if (!input || !output?.labels) throw description.lacks("has no output with labels");
    this.#input = input.name;
    this.#output = output.name;
    this.labels = output.labels;
    this.features = readFeatures(description);
  }

  /**
   * What a row is.
   *
   * @throws {@link FirebrandError} of kind `invalid_argument` that names all features that are missing, unknown or no
   *   numbers; what `session.run` throws
   */
  async predict(row: TabularRow, options: CallOptions = {}): Promise<Prediction> {
    const { signal } = options;
    if (signal?.aborted) throw abortedError(signal);
    const values = Float32Array.from(this.#numbers(row));
    const outputs = await this.session.run({ [this.#input]: new Tensor("float32", values, [1, values.length]) }, { outputs: [this.#output], ...(signal && { signal }) });
    const { data } = floats(outputs[this.#output], this.#output);
    if (data.length !== this.labels.length) throw new FirebrandError("invalid_manifest", `tabularPredictor: the model gives ${data.length} probabilities, the package has ${this.labels.length} labels`);
    let index = 0;
    for (let at = 1; at < data.length; at++) if (data[at]! > data[index]!) index = at;
    return { label: this.labels[index]!, index, probabilities: Object.fromEntries(this.labels.map((label, at) => [label, data[at]!])) };
  }

  #numbers(row: TabularRow): number[] {
    const names = this.features.map(({ name }) => name);
    const fail = (message: string): never => {
      throw new FirebrandError("invalid_argument", `row: ${message}`);
    };
    const isList = (given: TabularRow): given is readonly number[] => Array.isArray(given);
    if (isList(row)) {
      if (row.length !== names.length) return fail(`expected ${names.length} numbers (${names[0]}, … ${names.at(-1)}), got ${row.length}`);
      const wrong = names.filter((_, at) => !Number.isFinite(row[at]));
      return wrong.length > 0 ? fail(`expected numbers, there are none for ${wrong.join(", ")}`) : [...row];
    }
    if (!isObject(row)) return fail(`expected an object with a number for each feature, or an array of numbers, got ${typeName(row)}`);
    const problems: string[] = [];
    const missing = names.filter((name) => !Object.hasOwn(row, name));
    const unknown = Object.keys(row).filter((name) => !names.includes(name));
    const wrong = names.filter((name) => Object.hasOwn(row, name) && !Number.isFinite(numberOf(row[name])));
    if (missing.length > 0) problems.push(`missing: ${missing.join(", ")}`);
    if (unknown.length > 0) problems.push(`not a feature of this model: ${unknown.join(", ")}`);
    if (wrong.length > 0) problems.push(`no numbers: ${wrong.join(", ")}`);
    return problems.length > 0 ? fail(problems.join("; ")) : names.map((name) => numberOf(row[name]));
  }
}

function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" ? Number(value) : NaN;
}

function readFeatures(description: Description): Feature[] {
  const names = description.texts("features");
  const units = description.has("units") ? description.texts("units") : [];
  if (names.length === 0 || new Set(names).size < names.length) throw description.lacks("has in its task.parameters.features no names, or one twice");
  return names.map((name, at) => (units[at] ? { name, unit: units[at] } : { name }));
}

/**
 * Makes a classifier of rows of a table.
 *
 * ```js
 * const predictor = await tabularPredictor("/models/tabular-classification/manifest.json");
 * console.log(predictor.features);
 * const { label, probabilities } = await predictor.predict(row);
 * ```
 *
 * @param source a package of the task `tabular-classification`
 * @throws {@link FirebrandError}: what `load` throws; `invalid_argument` for a package of another task;
 *   `invalid_manifest` for one without features or labels
 */
export function tabularPredictor(source: ModelSource, options: TaskOptions = {}): Promise<TabularPredictor> {
  return openTask(source, options, ["tabular-classification"], (session, description) => new TabularPredictor(session, description));
}
