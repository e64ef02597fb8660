/** The stage: where a photo comes in, by choice, drop, paste or camera, and is shown. */
import { Camera } from "./camera";
import { element, show } from "./page";
import { imageIn, photoFromBlob, photoFromUrl, PhotoError, type Photo } from "./photo";
import { creditsOf, samples } from "./samples";

export class Stage {
  readonly #stage = element("stage", HTMLElement);
  readonly #drop = element("drop", HTMLButtonElement);
  readonly #shown = element("shown", HTMLElement);
  readonly #image = element("photo", HTMLImageElement);
  readonly #caption = element("caption", HTMLElement);
  readonly #note = element("note", HTMLElement);
  readonly #file = element("file", HTMLInputElement);
  readonly #choose = element("choose", HTMLButtonElement);
  readonly #open = element("camera", HTMLButtonElement);
  readonly #hint = element("hint", HTMLElement);
  readonly #take = element("take", HTMLButtonElement);
  readonly #close = element("close-camera", HTMLButtonElement);
  readonly #camera = new Camera(element("video", HTMLVideoElement));
  readonly #samples: HTMLButtonElement[] = [];
  #photo: Photo | undefined;
  /** Counts what was asked for, so that a slow photo does not overtake a later one. */
  #asked = 0;

  constructor(readonly onPhoto: (photo: Photo) => void) {
    this.#choose.addEventListener("click", () => this.#file.click());
    this.#drop.addEventListener("click", () => this.#file.click());
    this.#file.addEventListener("change", () => {
      const file = this.#file.files?.[0];
      if (file) void this.#accept(() => photoFromBlob(file, file.name));
      // So that choosing the same file again is a change again.
      this.#file.value = "";
    });
    this.#listenForDrops();
    this.#listenForPastes();
    this.#wireCamera();
    this.#listSamples();
  }

  /** The photo shown, if any. */
  get photo(): Photo | undefined {
    return this.#photo;
  }

  /** Writes the best answer over the photo, or what it waits for; nothing when both are empty. */
  caption(name: string, detail = ""): void {
    const strong = document.createElement("strong");
    strong.textContent = name;
    this.#caption.replaceChildren(...(name ? [strong, " "] : []), detail);
    show(this.#caption, name !== "" || detail !== "");
  }

  async #accept(decode: () => Promise<Photo>, sample?: HTMLButtonElement): Promise<void> {
    const asked = ++this.#asked;
    this.#say("");
    let photo: Photo;
    try {
      photo = await decode();
    } catch (error) {
      if (asked === this.#asked) this.#say(error instanceof PhotoError ? error.message : String(error));
      return;
    }
    if (asked !== this.#asked) {
      photo.close();
      return;
    }
    this.#camera.close();
    const previous = this.#photo;
    this.#photo = photo;
    this.#image.src = photo.url;
    this.#image.alt = sample ? `Sample photo: ${photo.name}` : `Your photo: ${photo.name}`;
    this.caption("");
    this.#showing("photo");
    for (const button of this.#samples) button.setAttribute("aria-pressed", String(button === sample));
    this.onPhoto(photo);
    previous?.close();
  }

  #showing(state: "empty" | "photo" | "camera"): void {
    const hadFocus = this.#stage.parentElement?.contains(document.activeElement) ? document.activeElement : null;
    this.#stage.dataset.state = state;
    show(this.#drop, state === "empty");
    show(this.#shown, state === "photo");
    show(this.#camera.video, state === "camera");
    show(this.#choose, state !== "camera");
    show(this.#open, state !== "camera");
    show(this.#hint, state !== "camera");
    show(this.#take, state === "camera");
    show(this.#close, state === "camera");
    // Focus must not fall off the page with the button that had it.
    if (hadFocus instanceof HTMLElement && hadFocus.hidden) {
      (state === "camera" ? this.#take : hadFocus === this.#drop ? this.#choose : this.#open).focus();
    }
  }

  #say(text: string): void {
    this.#note.textContent = text;
    show(this.#note, text !== "");
  }

  #listenForDrops(): void {
    // Anywhere on the page: a photo that misses the stage must not make the browser leave.
    let depth = 0;
    const reflect = () => this.#stage.classList.toggle("over", depth > 0);
    addEventListener("dragenter", (event) => {
      event.preventDefault();
      depth++;
      reflect();
    });
    addEventListener("dragleave", () => {
      depth = Math.max(0, depth - 1);
      reflect();
    });
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      reflect();
      const file = imageIn(event.dataTransfer);
      if (file) void this.#accept(() => photoFromBlob(file, file.name));
      else this.#say("That was no file. Save the picture first, then drop it here.");
    });
  }

  #listenForPastes(): void {
    addEventListener("paste", (event) => {
      const file = imageIn(event.clipboardData);
      if (file) void this.#accept(() => photoFromBlob(file, file.name || "Pasted photo"));
      else this.#say("There is no picture in the clipboard. Copy one, then paste again.");
    });
  }

  #wireCamera(): void {
    this.#open.addEventListener("click", async () => {
      this.#say("");
      this.#open.disabled = true;
      try {
        await this.#camera.open();
        this.#showing("camera");
      } catch (error) {
        this.#say(error instanceof Error ? error.message : String(error));
      } finally {
        this.#open.disabled = false;
      }
      if (this.#stage.dataset.state === "camera") this.#take.focus();
      else this.#open.focus();
    });
    this.#take.addEventListener("click", () => {
      void this.#accept(() => this.#camera.take());
    });
    const close = () => {
      this.#camera.close();
      this.#showing(this.#photo ? "photo" : "empty");
    };
    this.#close.addEventListener("click", close);
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#stage.dataset.state === "camera") close();
    });
    addEventListener("pagehide", () => this.#camera.close());
  }

  #listSamples(): void {
    const list = element("samples", HTMLElement);
    for (const sample of samples) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "false");
      const image = document.createElement("img");
      image.src = sample.file;
      image.alt = "";
      image.decoding = "async";
      const name = document.createElement("span");
      name.textContent = sample.name;
      button.append(image, name);
      button.addEventListener("click", () => {
        void this.#accept(() => photoFromUrl(sample.file, sample.name), button);
      });
      this.#samples.push(button);
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
    }
    element("credits", HTMLElement).append(
      ` ${creditsOf(samples)}`,
    );
  }
}
