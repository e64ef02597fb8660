/** What is to be done to the model, and how much it may cost. */
import type { BuildOptions, Precision } from "firebrand/convert";
import { element, show } from "../page";

const notes: Record<Precision, string> = {
  float32: "Weights stay as they are: converted, simplified and packed.",
  float16: "Weights in half the bytes, with nearly the same answers. No samples needed.",
  "weight-only": "Weights in 8 bits, computed with in float32: a quarter of the bytes, the speed of float32. No samples needed.",
  int8: "Weights and activations in 8 bits: a quarter of the bytes, and faster on the CPU. It needs samples.",
  dynamic: "Weights of MatMul and Gemm in 8 bits, activations as they come. For language models; no samples needed.",
  int4: "Weights of MatMul and Gemm in 4 bits, a scale for every 32. For large language models.",
};

export class Passes {
  readonly #precision = element("precision", HTMLElement);
  readonly #note = element("precision-note", HTMLElement);
  readonly #prune = element("prune", HTMLInputElement);
  readonly #pruneTold = element("prune-told", HTMLOutputElement);
  readonly #agreement = element("agreement", HTMLInputElement);
  readonly #drop = element("drop", HTMLInputElement);
  readonly #keepField = element("keep-field", HTMLElement);
  readonly #keep = element("keep", HTMLInputElement);

  constructor(readonly onChange: () => void) {
    this.#precision.addEventListener("change", () => {
      this.#show();
      this.onChange();
    });
    this.#prune.addEventListener("input", () => this.#show());
    this.#show();
  }

  get precision(): Precision {
    return (this.#precision.querySelector<HTMLInputElement>("input:checked")?.value ?? "float32") as Precision;
  }

  get value(): Pick<BuildOptions, "quantize" | "prune" | "minAgreement" | "maxDrop" | "strict"> {
    const prune = this.#prune.valueAsNumber / 100;
    return {
      quantize: this.precision,
      ...(prune > 0 && { prune }),
      minAgreement: shareIn(this.#agreement),
      maxDrop: shareIn(this.#drop),
      strict: !this.#keep.checked,
    };
  }

  /** Puts the keyboard where the choice begins. */
  focus(): void {
    this.#precision.querySelector<HTMLInputElement>("input:checked")?.focus();
  }

  #show(): void {
    const { precision } = this;
    this.#note.textContent = notes[precision] ?? "";
    const share = this.#prune.value;
    this.#pruneTold.textContent = share === "0" ? "nothing" : `${share} % of the weights become zero`;
    this.#prune.setAttribute("aria-valuetext", this.#pruneTold.textContent);
    show(this.#keepField, precision === "int8");
  }
}

/** Percent as a share of 1, without what division leaves behind. */
function shareIn(field: HTMLInputElement): number {
  return Number((field.valueAsNumber / 100).toFixed(6));
}
