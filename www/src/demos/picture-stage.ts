/** Where pictures come in, one by one or as they move, and where what a task makes of them is painted. */
import { watchVideo } from "firebrand/tasks";
import { Camera } from "../camera";
import { element, made, show } from "../page";
import { imageIn, photoFromBlob, photoFromUrl, PhotoError, type Photo } from "../photo";
import type { Sample } from "../samples";
import { movingPhotos, type Move } from "./moving-photos";

export interface PictureTask<Result> {
  readonly samples: readonly Sample[];
  readonly clip: readonly Move[];
  run(image: ImageBitmap): Promise<Result>;
  /** Paints a picture, as large as the canvas; the result is missing until there is one. */
  paint(pen: CanvasRenderingContext2D, image: ImageBitmap, result: Result | undefined): void;
  /** Shows a result beside the picture, and says it in one sentence. */
  tell(result: Result, ms: number): string;
  failed(error: unknown): void;
  say(text: string): void;
}

/** A live picture is told of to screen readers this often. */
const SAY_EVERY_MS = 4000;

export class PictureStage<Result> {
  readonly #task: PictureTask<Result>;
  readonly #stage = element("stage", HTMLElement);
  readonly #canvas = element("canvas", HTMLCanvasElement);
  readonly #pen: CanvasRenderingContext2D;
  readonly #caption = element("caption", HTMLElement);
  readonly #note = element("note", HTMLElement);
  readonly #video = element("video", HTMLVideoElement);
  readonly #camera = new Camera(this.#video, "user");
  readonly #stop = element("stop", HTMLButtonElement);
  readonly #sampleButtons: HTMLButtonElement[] = [];
  #photo: Photo | undefined;
  #result: Result | undefined;
  #isReady = false;
  #live: AbortController | undefined;
  #asked = 0;

  constructor(task: PictureTask<Result>) {
    this.#task = task;
    const pen = this.#canvas.getContext("2d");
    if (!pen) throw new Error("this browser draws no pictures");
    this.#pen = pen;
    const file = element("file", HTMLInputElement);
    element("choose", HTMLButtonElement).addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      const [chosen] = file.files ?? [];
      if (chosen) void this.#accept(() => photoFromBlob(chosen, chosen.name));
      file.value = "";
    });
    element("camera", HTMLButtonElement).addEventListener("click", () => void this.#watch(() => this.#camera.open()));
    element("clip", HTMLButtonElement).addEventListener("click", () => void this.#watch(() => this.#playClip()));
    this.#stop.addEventListener("click", () => this.#endLive());
    addEventListener("pagehide", () => this.#endLive());
    this.#takeDropsAndPastes();
    this.#listSamples();
    const [first] = task.samples;
    if (first) void this.#accept(() => photoFromUrl(first.file, first.name), this.#sampleButtons[0]);
  }

  /** The task can run from now on; the picture that is there is looked at first. */
  ready(): void {
    this.#isReady = true;
    void this.#look();
  }

  /** Paints the same picture again, where how it is painted changed. */
  repaint(): void {
    if (this.#photo && !this.#live) this.#task.paint(this.#pen, this.#photo.bitmap, this.#result);
  }

  get canvas(): HTMLCanvasElement {
    return this.#canvas;
  }

  async #accept(decode: () => Promise<Photo>, sample?: HTMLButtonElement): Promise<void> {
    const asked = ++this.#asked;
    this.#endLive();
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
    this.#photo?.close();
    this.#photo = photo;
    this.#result = undefined;
    this.#resize(photo.bitmap);
    this.#task.paint(this.#pen, photo.bitmap, undefined);
    this.#canvas.setAttribute("aria-label", photo.name);
    for (const button of this.#sampleButtons) button.setAttribute("aria-pressed", String(button === sample));
    await this.#look();
  }

  async #look(): Promise<void> {
    const photo = this.#photo;
    if (!this.#isReady || !photo || this.#live) return;
    try {
      const began = performance.now();
      const result = await this.#task.run(photo.bitmap);
      if (photo !== this.#photo || this.#live) return;
      const ms = performance.now() - began;
      this.#result = result;
      this.#task.paint(this.#pen, photo.bitmap, result);
      const said = this.#task.tell(result, ms);
      this.#canvas.setAttribute("aria-label", `${photo.name}: ${said}`);
      this.#task.say(`${photo.name}: ${said}`);
    } catch (error) {
      // A picture that was replaced has no pixels any more.
      if (photo === this.#photo) this.#task.failed(error);
    }
  }

  /** Opens something that moves and looks at it until it is stopped. */
  async #watch(open: () => Promise<void>): Promise<void> {
    this.#endLive();
    this.#say("");
    const asked = ++this.#asked;
    const live = new AbortController();
    try {
      await open();
    } catch (error) {
      if (asked === this.#asked) this.#say(error instanceof Error ? error.message : String(error));
      return;
    }
    if (asked !== this.#asked) return;
    this.#live = live;
    for (const button of this.#sampleButtons) button.setAttribute("aria-pressed", "false");
    this.#isLive(true);
    this.#stop.focus();
    const times: number[] = [];
    let saidAt = 0;
    // Until the model is there, the picture moves without an answer.
    const run = async (frame: ImageBitmap): Promise<{ result: Result | undefined; ms: number }> => {
      if (!this.#isReady) return { result: undefined, ms: 0 };
      const began = performance.now();
      return { result: await this.#task.run(frame), ms: performance.now() - began };
    };
    try {
      await watchVideo(
        this.#video,
        run,
        ({ result, ms }, { bitmap }) => {
          if (this.#live !== live) return;
          this.#resize(bitmap);
          this.#task.paint(this.#pen, bitmap, result);
          if (result === undefined) return;
          const said = this.#task.tell(result, ms);
          const now = performance.now();
          times.push(now);
          while ((times[0] ?? now) < now - 2000) times.shift();
          const rate = times.length > 1 ? ((times.length - 1) * 1000) / (now - (times[0] ?? now)) : 0;
          this.#captionIs(rate > 0 ? `${Math.round(rate)} a second` : "");
          if (now - saidAt > SAY_EVERY_MS) {
            saidAt = now;
            this.#canvas.setAttribute("aria-label", said);
            this.#task.say(said);
          }
        },
        { signal: live.signal },
      );
    } catch (error) {
      this.#endLive();
      this.#task.failed(error);
    }
  }

  async #playClip(): Promise<void> {
    this.#video.srcObject = await movingPhotos(this.#task.clip);
    await this.#video.play();
  }

  #endLive(): void {
    const hadFocus = document.activeElement === this.#stop;
    this.#live?.abort();
    this.#live = undefined;
    this.#captionIs("");
    this.#isLive(false);
    const stream = this.#video.srcObject;
    if (stream instanceof MediaStream) for (const track of stream.getTracks()) track.stop();
    this.#camera.close();
    if (hadFocus) element("clip", HTMLButtonElement).focus();
  }

  /** The clip's button gives its place to the one that ends it. */
  #isLive(isLive: boolean): void {
    show(this.#stop, isLive);
    show(element("clip", HTMLButtonElement), !isLive);
  }

  #resize({ width, height }: ImageBitmap): void {
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
  }

  #captionIs(text: string): void {
    this.#caption.textContent = text;
    show(this.#caption, text !== "");
  }

  #say(text: string): void {
    this.#note.textContent = text;
    show(this.#note, text !== "");
  }

  #takeDropsAndPastes(): void {
    // Anywhere on the page: a photo that misses the stage must not make the browser leave.
    const over = (isOver: boolean) => this.#stage.classList.toggle("over", isOver);
    addEventListener("dragover", (event) => {
      event.preventDefault();
      over(true);
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) over(false);
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      const file = imageIn(event.dataTransfer);
      if (file) void this.#accept(() => photoFromBlob(file, file.name));
      else this.#say("That was no file. Save the picture first, then drop it here.");
    });
    addEventListener("paste", (event) => {
      const file = imageIn(event.clipboardData);
      if (file) void this.#accept(() => photoFromBlob(file, file.name || "Pasted photo"));
    });
  }

  #listSamples(): void {
    element("samples", HTMLElement).replaceChildren(
      ...this.#task.samples.map((sample) => {
        const button = made("button");
        button.type = "button";
        button.setAttribute("aria-pressed", "false");
        const image = made("img");
        image.src = sample.file;
        image.alt = "";
        image.decoding = "async";
        button.append(image, made("span", sample.name));
        button.addEventListener("click", () => void this.#accept(() => photoFromUrl(sample.file, sample.name), button));
        this.#sampleButtons.push(button);
        const item = made("li");
        item.append(button);
        return item;
      }),
    );
  }
}
