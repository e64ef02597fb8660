/** The samples: the site's photos, the visitor's own files, or none. */
import type { Samples } from "firebrand/convert";
import { element, show } from "../page";
import { samples as photos } from "../samples";
import { chosenIn, isPicture, type GivenFile } from "../given-files";
import { thumbnail, type Picture } from "./thumbnails";

type From = "demo" | "own" | "none";

/** As many pictures as are shown small. */
const SHOWN = 8;

const notes: Record<From, string> = {
  demo: "Four photos: enough to try it. A model that is deployed deserves a hundred of what it will see.",
  own: "Pictures, at will in a folder for each class, or one .npz, .npy or .csv file.",
  none: "Agreement is measured on random numbers, which says little.",
};

export class SampleChoice {
  readonly #from = element("samples-from", HTMLElement);
  readonly #note = element("samples-note", HTMLElement);
  readonly #shown = element("samples-shown", HTMLElement);
  readonly #ways = element("samples-ways", HTMLElement);
  readonly #foldersField = element("folders-field", HTMLElement);
  readonly #folders = element("folders", HTMLInputElement);
  readonly #problem = element("samples-problem", HTMLElement);
  #own: GivenFile[] = [];
  #urls: string[] = [];

  constructor(readonly onChange: () => void) {
    const files = element("samples-files", HTMLInputElement);
    const folder = element("samples-folder-files", HTMLInputElement);
    element("samples-choose", HTMLButtonElement).addEventListener("click", () => files.click());
    element("samples-folder", HTMLButtonElement).addEventListener("click", () => folder.click());
    for (const input of [files, folder]) input.addEventListener("change", () => void this.take(chosenIn(input)));
    this.#from.addEventListener("change", () => {
      this.#show();
      this.onChange();
    });
    this.#show();
  }

  get from(): From {
    return (this.#from.querySelector<HTMLInputElement>("input:checked")?.value ?? "demo") as From;
  }

  /** The samples by name, or why there are none. */
  get value(): Samples | undefined {
    if (this.from === "demo") return Object.fromEntries(photos.map(({ file }) => [file.split("/").at(-1) ?? file, file]));
    if (this.from === "own" && this.#own.length > 0) {
      // Folders are labels to the converter; without leave they are part of the name.
      const asClasses = this.#hasFolders && this.#folders.checked;
      return Object.fromEntries(this.#own.map(({ path, file }) => [asClasses ? path : path.replaceAll("/", "_"), file]));
    }
    return undefined;
  }

  /** Pictures to compare with: the visitor's own, else the site's. */
  get pictures(): Picture[] {
    const own = this.from === "own" ? this.#own.filter(isPicture).slice(0, SHOWN) : [];
    if (own.length > 0) return own.map(({ path, file }) => ({ name: path, source: file }));
    return photos.map(({ name, file }) => ({ name, source: file }));
  }

  /** Whether pictures are among the samples. */
  get hasPictures(): boolean {
    return this.from === "demo" || (this.from === "own" && (this.#own.length === 0 || this.#own.some(isPicture)));
  }

  /** Whether all pictures lie in folders, in more than one. */
  get #hasFolders(): boolean {
    const folders = this.#own.filter(isPicture).map(({ path }) => path.slice(0, path.lastIndexOf("/") + 1));
    return folders.every((folder) => folder !== "") && new Set(folders).size > 1;
  }

  /** Takes files instead of what was there. */
  async take(files: GivenFile[]): Promise<void> {
    const refused: string[] = [];
    const taken = await Promise.all(
      files.map(async (given) => {
        if (/\.(png|jpe?g|npz|npy|csv)$/i.test(given.path)) return given;
        const converted = isPicture(given) ? await asPng(given) : undefined;
        if (!converted) refused.push(given.path);
        return converted;
      }),
    );
    const kept = taken.filter((given) => given !== undefined);
    if (kept.length > 0) this.#own = kept;
    this.#problem.textContent =
      kept.length === 0
        ? "There was no sample among them: pictures, .npz, .npy and .csv are."
        : refused.length > 0
          ? `Left out, for they are no samples: ${refused.slice(0, 3).join(", ")}${refused.length > 3 ? ` and ${refused.length - 3} more` : ""}.`
          : "";
    show(this.#problem, this.#problem.textContent !== "");
    const own = this.#from.querySelector<HTMLInputElement>("input[value=own]");
    if (own) own.checked = true;
    this.#show();
    this.onChange();
  }

  #show(): void {
    for (const url of this.#urls) URL.revokeObjectURL(url);
    this.#urls = [];
    const { from } = this;
    show(this.#ways, from === "own");
    show(this.#foldersField, from === "own" && this.#hasFolders);
    const count = this.#own.length;
    this.#note.textContent = from === "own" && count > 0 ? `${count} ${count === 1 ? "file" : "files"}. ${notes.own}` : notes[from];
    const pictures = from === "none" || (from === "own" && count === 0) ? [] : from === "own" ? this.#own.filter(isPicture).map(({ path, file }) => ({ name: path, source: file })) : this.pictures;
    this.#shown.replaceChildren(
      ...pictures.slice(0, SHOWN).map((picture) => {
        const { image, url } = thumbnail(picture);
        if (url) this.#urls.push(url);
        image.alt = picture.name;
        const item = document.createElement("li");
        item.append(image);
        return item;
      }),
    );
    if (pictures.length > SHOWN) {
      const more = document.createElement("li");
      more.className = "more";
      more.textContent = `+ ${pictures.length - SHOWN}`;
      this.#shown.append(more);
    }
    show(this.#shown, pictures.length > 0);
  }
}

/** A picture of a kind that the converter does not read, as one that it does. */
async function asPng({ path, file }: GivenFile): Promise<GivenFile | undefined> {
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    bitmap.close();
    const name = `${path}.png`;
    return { path: name, file: new File([await canvas.convertToBlob({ type: "image/png" })], name.split("/").at(-1) ?? name, { type: "image/png" }) };
  } catch {
    return undefined;
  }
}
