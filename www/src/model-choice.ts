/** The model: which file it is, and what lies beside it. */
import type { DataSource } from "firebrand/convert";
import { element, show } from "./page";
import { bytes } from "./words";
import { chosenIn, type GivenFile } from "./given-files";

/** A model as the converter takes it. */
export interface GivenModel {
  readonly name: string;
  readonly source: File | string;
  readonly externalData: Record<string, DataSource>;
  readonly arch?: string;
}

/** The model that the site brings along, and how pictures become its input. */
export const SUPPLIED = { name: "squeezenet1.1.onnx", url: "models/squeezenet1.1.onnx", title: "SqueezeNet 1.1" } as const;

/** What a model's main file is called, the surest first. */
const MAIN = [/\.onnx$/i, /\.tflite$/i, /\.keras$/i, /\.(h5|hdf5)$/i, /(^|\/)model\.json$/i, /\.safetensors$/i, /\.(pt|pth)$/i, /\.npz$/i, /\.json$/i, /\.bin$/i];

/** Files of weights alone, whose architecture is asked for. */
const WEIGHTS = /\.(safetensors|pt|pth|bin|npz)$/i;

export class ModelChoice {
  readonly #drop = element("model-drop", HTMLButtonElement);
  readonly #given = element("model-given", HTMLElement);
  readonly #name = element("model-name", HTMLElement);
  readonly #detail = element("model-detail", HTMLElement);
  readonly #which = element("model-which", HTMLElement);
  readonly #main = element("model-main", HTMLSelectElement);
  readonly #archField = element("arch-field", HTMLElement);
  readonly #arch = element("arch", HTMLInputElement);
  readonly #note = element("model-note", HTMLElement);
  readonly #supplied = element("supplied", HTMLButtonElement);
  #files: GivenFile[] = [];
  #isSupplied = false;

  constructor(readonly onChange: (isSupplied: boolean) => void) {
    const files = element("model-files", HTMLInputElement);
    const folder = element("model-folder-files", HTMLInputElement);
    this.#drop.addEventListener("click", () => files.click());
    element("model-choose", HTMLButtonElement).addEventListener("click", () => files.click());
    element("model-folder", HTMLButtonElement).addEventListener("click", () => folder.click());
    for (const input of [files, folder]) input.addEventListener("change", () => this.take(chosenIn(input)));
    this.#supplied.addEventListener("click", () => this.#takeSupplied());
    this.#main.addEventListener("change", () => {
      this.#show();
      this.onChange(false);
    });
  }

  /** The model given, if any. */
  get value(): GivenModel | undefined {
    if (this.#isSupplied) return { name: SUPPLIED.name, source: SUPPLIED.url, externalData: {} };
    const main = this.#mainFile();
    if (!main) return undefined;
    const arch = WEIGHTS.test(main.path) ? this.#arch.value.trim() : "";
    const folder = main.path.slice(0, main.path.lastIndexOf("/") + 1);
    const beside = this.#files.filter((file) => file !== main && file.path.startsWith(folder));
    return {
      name: main.file.name,
      source: main.file,
      externalData: Object.fromEntries(beside.map(({ path, file }) => [path.slice(folder.length), file])),
      ...(arch && { arch }),
    };
  }

  /** Takes files instead of what was there. */
  take(files: GivenFile[]): void {
    if (files.length === 0) {
      this.#say("That was no file. Save the model first, then drop it here.");
      return;
    }
    this.#files = files;
    this.#isSupplied = false;
    const ranked = files.map((file) => ({ file, rank: rankOf(file.path) })).sort((a, b) => a.rank - b.rank);
    this.#main.replaceChildren(
      ...ranked.map(({ file: { path } }) => {
        const option = document.createElement("option");
        option.textContent = path;
        return option;
      }),
    );
    this.#say("");
    this.#show();
    this.onChange(false);
  }

  #takeSupplied(): void {
    this.#files = [];
    this.#isSupplied = true;
    this.#say("");
    this.#show();
    this.onChange(true);
  }

  #mainFile(): GivenFile | undefined {
    return this.#files.find(({ path }) => path === this.#main.value);
  }

  #show(): void {
    const main = this.#mainFile();
    const others = this.#files.filter((file) => file !== main);
    this.#name.textContent = main?.path ?? SUPPLIED.title;
    const size = main ? bytes(main.file.size) : "5.0 MB, trained on ImageNet";
    const beside = others.length > 0 ? `, ${others.length} ${others.length === 1 ? "file" : "files"} beside it (${bytes(others.reduce((sum, { file }) => sum + file.size, 0))})` : "";
    this.#detail.textContent = `${size}${beside}`;
    const ranks = this.#files.map(({ path }) => rankOf(path)).sort((a, b) => a - b);
    const isDoubtful = ranks[0] === ranks[1] || ranks[0] === MAIN.length;
    show(this.#which, ranks.length > 1 && isDoubtful);
    show(this.#archField, main !== undefined && WEIGHTS.test(main.path));
    show(this.#given, true);
    this.#supplied.setAttribute("aria-pressed", String(this.#isSupplied));
    this.#drop.classList.add("small-drop");
  }

  #say(text: string): void {
    this.#note.textContent = text;
    show(this.#note, text !== "");
  }
}

function rankOf(path: string): number {
  const rank = MAIN.findIndex((pattern) => pattern.test(path));
  return rank < 0 ? MAIN.length : rank;
}
