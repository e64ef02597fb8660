/** How far a build is: its steps as the converter tells them, those to come as far as they are known. */
import type { BuildOptions, ConvertProgress } from "firebrand/convert";

export interface Step {
  readonly step: string;
  state: "waiting" | "busy" | "done";
  done: number;
  total: number;
}

const words: Record<string, string> = {
  fetch: "Get the file",
  read: "Read and convert",
  simplify: "Simplify",
  "remove channels": "Remove channels",
  prune: "Prune weights",
  "measure original": "Run the original",
  calibrate: "Watch activations",
  "choose ranges": "Choose ranges",
  measure: "Measure the result",
  "measure each layer": "Find what costs most",
  "compare layers": "Compare layers",
  pack: "Pack",
};

/** A step in words; one of a later version says its own name. */
export function inWords(step: string): string {
  return words[step] ?? `${step.charAt(0).toUpperCase()}${step.slice(1)}`;
}

export class BuildProgress {
  readonly steps: Step[];
  #current: Step | undefined;
  #highest = 0;

  constructor({ quantize, prune }: Pick<BuildOptions, "quantize" | "prune">) {
    const names = ["fetch", "read", "simplify", ...(prune ? ["prune"] : []), "measure original", ...(quantize === "int8" ? ["calibrate", "choose ranges"] : []), "measure", "compare layers", "pack"];
    this.steps = names.map((step) => ({ step, state: "waiting", done: 0, total: 0 }));
  }

  /** The step that is worked on. */
  get current(): Step | undefined {
    return this.#current;
  }

  report({ step, done, total }: ConvertProgress): void {
    let told = this.steps.find((known) => known.step === step);
    if (!told) {
      told = { step, state: "waiting", done: 0, total: 0 };
      const next = this.steps.findIndex(({ state }) => state === "waiting");
      this.steps.splice(next < 0 ? this.steps.length : next, 0, told);
    }
    if (this.#current && this.#current !== told) {
      this.#current.state = "done";
      this.#current.done = this.#current.total;
    }
    // What was expected before it did not come.
    for (const passed of this.steps.slice(0, this.steps.indexOf(told))) if (passed.state === "waiting") passed.state = "done";
    told.state = "busy";
    told.done = done;
    told.total = total;
    this.#current = told;
  }

  /** From 0 to 1, never falling: each step an equal part. */
  get fraction(): number {
    const sum = this.steps.reduce((sum, { state, done, total }) => sum + (state === "done" ? 1 : state === "busy" && total > 0 ? Math.min(1, done / total) : 0), 0);
    this.#highest = Math.max(this.#highest, sum / this.steps.length);
    return this.#highest;
  }
}
