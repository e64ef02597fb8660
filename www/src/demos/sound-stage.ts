/** Where a sound comes in, from the site, a file or the microphone, and where it is played. */
import { element, made, show } from "../page";
import { openMicrophone, Player, secondsOf, soundFromBlob, SoundError, type Sound } from "./sound";

export interface SoundTask {
  /** The site's own sound. */
  supply(): Promise<Sound>;
  /** A sound was given; what is shown of another is over. */
  onSound(sound: Sound): void;
  /** Listens to the microphone until the signal aborts, or until it has heard enough and gives a sound. */
  listen(stream: MediaStream, signal: AbortSignal): Promise<Sound | undefined>;
}

export class SoundStage {
  readonly #task: SoundTask;
  readonly #wave = element("wave", HTMLElement);
  readonly #head = made("div", "", "head");
  readonly #note = element("note", HTMLElement);
  readonly #play = element("play", HTMLButtonElement);
  readonly #stop = element("stop", HTMLButtonElement);
  readonly #player = new Player();
  #sound: Sound | undefined;
  #listening: AbortController | undefined;
  #asked = 0;

  constructor(task: SoundTask) {
    this.#task = task;
    show(this.#head, false);
    this.#wave.append(this.#head);
    const file = element("file", HTMLInputElement);
    element("choose", HTMLButtonElement).addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      const [chosen] = file.files ?? [];
      if (chosen) void this.#accept(() => soundFromBlob(chosen, chosen.name));
      file.value = "";
    });
    element("supplied", HTMLButtonElement).addEventListener("click", () => void this.supplied());
    element("microphone", HTMLButtonElement).addEventListener("click", () => void this.#listen());
    this.#stop.addEventListener("click", () => this.#listening?.abort());
    this.#play.addEventListener("click", () => (this.#player.isPlaying ? this.#player.stop() : this.#sound && this.play(this.#sound)));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      const [dropped] = event.dataTransfer?.files ?? [];
      if (dropped) void this.#accept(() => soundFromBlob(dropped, dropped.name));
    });
    addEventListener("pagehide", () => this.#listening?.abort());
  }

  /** Takes the site's own sound. */
  supplied(): Promise<void> {
    return this.#accept(() => this.#task.supply());
  }

  /** Plays a sound, with its place shown on the stage. */
  play(sound: Sound): void {
    const label = this.#play.querySelector("span");
    show(this.#head, true);
    if (label) label.textContent = "Stop";
    this.#player.play(
      sound,
      (seconds) => {
        const share = Math.min(1, seconds / Math.max(secondsOf(sound), 1e-9));
        this.#head.style.left = `${share * 100}%`;
      },
      () => {
        if (this.#player.isPlaying) return;
        show(this.#head, false);
        if (label) label.textContent = "Play";
      },
    );
  }

  async #accept(get: () => Promise<Sound>): Promise<void> {
    const asked = ++this.#asked;
    this.#listening?.abort();
    this.#player.stop();
    this.#say("");
    try {
      const sound = await get();
      if (asked !== this.#asked) return;
      this.#sound = sound;
      this.#play.disabled = false;
      this.#task.onSound(sound);
    } catch (error) {
      if (asked === this.#asked) this.#say(error instanceof Error ? error.message : String(error));
    }
  }

  async #listen(): Promise<void> {
    const asked = ++this.#asked;
    this.#listening?.abort();
    this.#player.stop();
    this.#say("");
    let stream: MediaStream;
    try {
      stream = await openMicrophone();
    } catch (error) {
      this.#say(error instanceof SoundError ? error.message : String(error));
      return;
    }
    const mine = new AbortController();
    this.#listening = mine;
    this.#isListening(true);
    this.#stop.focus();
    try {
      const sound = await this.#task.listen(stream, mine.signal);
      if (sound && asked === this.#asked) await this.#accept(() => Promise.resolve(sound));
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
    } finally {
      for (const track of stream.getTracks()) track.stop();
      if (this.#listening === mine) this.#listening = undefined;
      const hadFocus = document.activeElement === this.#stop;
      this.#isListening(this.#listening !== undefined);
      if (hadFocus && this.#stop.hidden) element("microphone", HTMLButtonElement).focus();
    }
  }

  /** The supplied sound's button gives its place to the one that ends listening. */
  #isListening(isListening: boolean): void {
    show(this.#stop, isListening);
    show(element("supplied", HTMLButtonElement), !isListening);
  }

  #say(text: string): void {
    this.#note.textContent = text;
    show(this.#note, text !== "");
  }
}
