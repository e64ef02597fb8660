/** How pictures become the model's input: a preset, or numbers of one's own. */
import type { PictureOptions } from "firebrand/convert";
import { element } from "../page";

export type Preset = "unit" | "signed" | "imagenet" | "bgr";

/** As the fields have them; a mean and a scale are of 255. */
const presets: Record<Preset, { color: "RGB" | "BGR"; mean: string; scale: string }> = {
  unit: { color: "RGB", mean: "0", scale: "1/255" },
  signed: { color: "RGB", mean: "127.5", scale: "1/127.5" },
  imagenet: { color: "RGB", mean: "123.675, 116.28, 103.53", scale: "1/58.395, 1/57.12, 1/57.375" },
  bgr: { color: "BGR", mean: "103.939, 116.779, 123.68", scale: "1" },
};

export class Preparation {
  readonly #preset = element("preset", HTMLSelectElement);
  readonly #size = element("size", HTMLInputElement);
  readonly #fit = element("fit", HTMLSelectElement);
  readonly #layout = element("layout", HTMLSelectElement);
  readonly #color = element("color", HTMLSelectElement);
  readonly #mean = element("mean", HTMLInputElement);
  readonly #scale = element("scale", HTMLInputElement);
  readonly #numbers = element("numbers", HTMLDetailsElement);

  constructor() {
    this.#preset.addEventListener("change", () => {
      if (this.#preset.value === "custom") this.#numbers.open = true;
      else this.use(this.#preset.value as Preset);
    });
    for (const field of [this.#color, this.#mean, this.#scale]) {
      field.addEventListener("input", () => {
        this.#preset.value = "custom";
      });
    }
    for (const field of [this.#mean, this.#scale, this.#size]) field.addEventListener("input", () => this.#check());
    // A field that is to be corrected must be seen.
    this.#numbers.addEventListener("invalid", () => (this.#numbers.open = true), true);
    this.use("unit");
  }

  /** Sets the numbers of a preset. */
  use(preset: Preset, fit?: "cover" | "contain" | "fill"): void {
    const { color, mean, scale } = presets[preset];
    this.#preset.value = preset;
    this.#color.value = color;
    this.#mean.value = mean;
    this.#scale.value = scale;
    if (fit) this.#fit.value = fit;
    this.#check();
  }

  /** What the fields say; they are checked by the form. */
  get value(): PictureOptions {
    const size = sizeIn(this.#size.value);
    const layout = this.#layout.value as "" | "NCHW" | "NHWC";
    return {
      color: this.#color.value as "RGB" | "BGR",
      fit: this.#fit.value as "cover" | "contain" | "fill",
      mean: channelsIn(this.#mean.value) ?? 0,
      scale: channelsIn(this.#scale.value) ?? 1 / 255,
      ...(size && { size }),
      ...(layout && { layout }),
    };
  }

  #check(): void {
    const three = "One number, or three with commas between them.";
    for (const field of [this.#mean, this.#scale]) field.setCustomValidity(channelsIn(field.value) === undefined ? three : "");
    const size = this.#size.value.trim();
    this.#size.setCustomValidity(size === "" || sizeIn(size) ? "" : "A number of pixels, or two: height × width.");
  }
}

function channelsIn(text: string): number | [number, number, number] | undefined {
  const numbers = text.split(",").map(numberIn);
  if (!numbers.every(Number.isFinite)) return undefined;
  const [first, second, third] = numbers;
  if (first !== undefined && numbers.length === 1) return first;
  return first !== undefined && second !== undefined && third !== undefined && numbers.length === 3 ? [first, second, third] : undefined;
}

/** `"0.5"`, `"1/255"` */
function numberIn(text: string): number {
  const [above, below = "1", ...rest] = text.split("/");
  if (rest.length > 0 || !above?.trim() || !below.trim()) return Number.NaN;
  return Number(above) / Number(below);
}

/** `"224"`, `"224 × 320"` */
function sizeIn(text: string): number | [number, number] | undefined {
  const [, height, , width] = /^\s*(\d{1,5})\s*([×x,]\s*(\d{1,5}))?\s*$/.exec(text) ?? [];
  if (height === undefined || Number(height) === 0 || Number(width ?? 1) === 0) return undefined;
  return width === undefined ? Number(height) : [Number(height), Number(width)];
}
