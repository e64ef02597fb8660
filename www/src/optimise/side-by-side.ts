/** The original beside the optimised: what both say to one picture, and how soon. */
import type { BuiltPackage } from "firebrand/convert";
import { row, title } from "../answer-panel";
import { best, imagenetLabels } from "../imagenet";
import { element, show } from "../page";
import { photoFromBlob, photoFromUrl } from "../photo";
import { bytes, explain, milliseconds } from "../words";
import { Both, type Compared, type Side } from "./both";
import { explanations } from "./failures";
import type { GivenModel } from "../model-choice";
import { thumbnail, type Picture } from "./thumbnails";

const ANSWERS = 5;

/** As many classes as ImageNet has; with one more, the first is the background. */
const IMAGENET = 1000;

export class SideBySide {
  readonly #photos = element("compare-photos", HTMLElement);
  readonly #choose = element("compare-choose", HTMLButtonElement);
  readonly #again = element("compare-again", HTMLButtonElement);
  readonly #said = element("beside-said", HTMLElement);
  readonly #file = element("compare-file", HTMLInputElement);
  #both: Both | undefined;
  #picture: Picture | undefined;
  #urls: string[] = [];
  /** Counts what was asked for: only the newest is shown. */
  #asked = 0;
  /** Ends with what it is about. */
  #opened = new AbortController();

  constructor() {
    this.#again.addEventListener("click", () => void this.#compare(this.#picture));
    this.#choose.addEventListener("click", () => this.#file.click());
    this.#file.addEventListener("change", () => {
      const file = this.#file.files?.[0];
      if (file) this.#add({ name: file.name, source: file });
      this.#file.value = "";
    });
  }

  /** Loads both, and compares them on the first picture. */
  async open(model: GivenModel, built: BuiltPackage, pictures: readonly Picture[]): Promise<void> {
    this.close();
    const opened = new AbortController();
    this.#opened = opened;
    element("optimised-title", HTMLElement).textContent = `Optimised, ${built.report.precision}`;
    this.#said.textContent = "Loading both …";
    try {
      const both = await Both.load(model, built, opened.signal);
      if (opened.signal.aborted) return both.dispose();
      this.#both = both;
    } catch (error) {
      if (!opened.signal.aborted) this.#fail(error);
      return;
    }
    const withPictures = this.#both.takesPicture;
    show(element("compare-photos", HTMLElement), withPictures);
    show(this.#choose, withPictures);
    this.#photos.replaceChildren(...(withPictures ? pictures.map((picture) => this.#button(picture)) : []));
    this.#again.disabled = false;
    await this.#compare(withPictures ? pictures[0] : undefined);
  }

  /** Frees both. */
  close(): void {
    this.#opened.abort();
    this.#asked++;
    this.#both?.dispose();
    this.#both = undefined;
    this.#picture = undefined;
    for (const url of this.#urls) URL.revokeObjectURL(url);
    this.#urls = [];
    this.#photos.replaceChildren();
    this.#again.disabled = true;
    for (const side of ["original", "optimised"] as const) this.#draw(side, undefined, 0, undefined);
  }

  #add(picture: Picture): void {
    this.#photos.prepend(this.#button(picture));
    void this.#compare(picture);
  }

  #button(picture: Picture): HTMLLIElement {
    const { image, url } = thumbnail(picture);
    if (url) this.#urls.push(url);
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", picture.name);
    button.setAttribute("aria-pressed", "false");
    button.append(image);
    button.addEventListener("click", () => void this.#compare(picture));
    pictureOf.set(button, picture);
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  async #compare(picture: Picture | undefined): Promise<void> {
    const both = this.#both;
    if (!both) return;
    const asked = ++this.#asked;
    const still = () => asked === this.#asked;
    this.#picture = picture;
    for (const button of this.#photos.querySelectorAll("button")) button.setAttribute("aria-pressed", String(pictureOf.get(button) === picture));
    this.#said.textContent = "Both answer in turns …";
    let photo: Awaited<ReturnType<typeof photoFromBlob>> | undefined;
    try {
      if (picture) photo = typeof picture.source === "string" ? await photoFromUrl(picture.source, picture.name) : await photoFromBlob(picture.source, picture.name);
      const compared = await both.compare(photo?.bitmap, still);
      const labels = await this.#labels(compared);
      if (!still()) return;
      const longest = Math.max(compared.original.runMs, compared.optimised.runMs);
      for (const side of ["original", "optimised"] as const) this.#draw(side, compared[side], longest, labels);
      this.#said.textContent = verdict(compared, picture, labels);
    } catch (error) {
      if (still()) this.#fail(error);
    } finally {
      photo?.close();
    }
  }

  /** The package's own, or ImageNet's where the output has as many places. */
  async #labels({ labels, original: { numbers } }: Compared): Promise<readonly string[] | undefined> {
    const count = numbers?.length ?? 0;
    if (labels && labels.length === count) return labels;
    if (count !== IMAGENET && count !== IMAGENET + 1) return undefined;
    const names = await imagenetLabels(this.#opened.signal);
    return count === IMAGENET ? names : ["background", ...names];
  }

  #draw(name: "original" | "optimised", side: Side | undefined, longest: number, labels: readonly string[] | undefined): void {
    const tile = element("beside", HTMLElement).querySelector<HTMLElement>(`[data-side="${name}"]`);
    const set = (selector: string, text: string) => {
      const target = tile?.querySelector(selector);
      if (target) target.textContent = text;
    };
    set(".figure", side ? milliseconds(side.runMs) : "–");
    set(".small", side ? `The median. ${bytes(side.memoryBytes)} of memory.` : "");
    tile?.style.setProperty("--time", side && longest > 0 ? String(side.runMs / longest) : "0");
    tile?.querySelector(".answers")?.replaceChildren(...(side?.numbers && labels ? rows(side.numbers, labels) : side ? [summary(side.numbers)] : []));
  }

  #fail(error: unknown): void {
    const { title, message } = explain(error, explanations);
    this.#said.textContent = `${title} ${message}`;
  }
}

const pictureOf = new WeakMap<HTMLButtonElement, Picture>();

function rows(numbers: readonly number[], labels: readonly string[]): HTMLLIElement[] {
  const shares = asShares(numbers);
  return best(shares, ANSWERS).map((index) => row({ name: labels[index] ?? `class ${index}`, probability: shares[index] ?? 0 }));
}

/** Scores as shares of 1: as they are where they sum to that, else by softmax. */
function asShares(numbers: readonly number[]): readonly number[] {
  const sum = numbers.reduce((sum, value) => sum + value, 0);
  if (numbers.every((value) => value >= 0) && Math.abs(sum - 1) < 0.02) return numbers;
  const highest = numbers.reduce((highest, value) => Math.max(highest, value), Number.NEGATIVE_INFINITY);
  const powers = numbers.map((value) => Math.exp(value - highest));
  const whole = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / whole);
}

/** What can be said of numbers that stand for nothing known. */
function summary(numbers: readonly number[] | undefined): HTMLLIElement {
  const item = document.createElement("li");
  item.className = "summary";
  if (!numbers || numbers.length === 0) {
    item.textContent = "An output that cannot be shown here.";
    return item;
  }
  const short = (value: number) => String(Number(value.toPrecision(4)));
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const [least, most] = numbers.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  item.textContent = `${numbers.length.toLocaleString("en")} numbers from ${short(least)} to ${short(most)}, ${short(mean)} in the mean: ${numbers.slice(0, 4).map(short).join(", ")}${numbers.length > 4 ? ", …" : ""}`;
  return item;
}

/** `Coffee: the same first answer. Optimised takes 45 % of the time. …` */
function verdict({ original, optimised, rounds, largestDifference }: Compared, picture: Picture | undefined, labels: readonly string[] | undefined): string {
  const first = ({ numbers }: Side) => (numbers && labels ? labels[best(numbers, 1)[0] ?? -1] : undefined);
  const [a, b] = [first(original), first(optimised)];
  const same = a === undefined || b === undefined ? "" : a === b ? "the same first answer. " : `${title(b)} instead of ${title(a)}. `;
  const on = picture ? `${picture.name}: ` : "Random numbers: ";
  const far = largestDifference === undefined ? "" : `The outputs differ by ${Number(largestDifference.toPrecision(2))} at most. `;
  const time = `Optimised takes ${Math.round((optimised.runMs / Math.max(original.runMs, 1e-6)) * 100)} % of the time; both on the CPU, ${rounds} ${rounds === 1 ? "answer" : "answers"} each, in turns.`;
  return `${on}${same}${far}${time}`;
}
