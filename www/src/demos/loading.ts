/** A task's model: fetched, shown while it comes, and told of in words when it does not. */
import type { Progress, Session } from "firebrand";
import { savesData } from "../connection";
import { element, made, show } from "../page";
import { LoadProgress } from "../progress";
import { cpuDetail } from "../speed-panel";
import { bytes, explain, milliseconds } from "../words";

interface Loaded {
  readonly session: Session;
  dispose(): Promise<void>;
}

export interface LoadingOptions<Task extends Loaded> {
  open(options: { onProgress(progress: Progress): void }): Promise<Task>;
  /** Whether the visitor is asked first, as where the model is large. */
  asks?: boolean;
  onReady(task: Task): void;
}

const doing: Record<Progress["phase"], string> = { runtime: "Fetching the runtime", model: "Fetching the model", prepare: "Preparing the model" };

export class Loading<Task extends Loaded> {
  readonly #options: LoadingOptions<Task>;
  readonly #bar = element("progress", HTMLElement);
  readonly #text = element("loading-text", HTMLElement);
  readonly #spoken = element("spoken", HTMLElement);
  #task: Task | undefined;

  constructor(options: LoadingOptions<Task>) {
    this.#options = options;
    element("start", HTMLButtonElement).addEventListener("click", () => void this.#load());
    if (options.asks || savesData()) this.#show("idle");
    else void this.#load();
  }

  /** The task, once it is there. */
  get task(): Task | undefined {
    return this.#task;
  }

  /** Says what went wrong, and lets the visitor try again. */
  failed(error: unknown): void {
    const { title, advice, kind, message } = explain(error);
    const detail = made("p", "", "failure-detail");
    detail.append(made("code", kind), ` ${message}`);
    const again = made("button", "Try again", "button primary");
    again.type = "button";
    again.addEventListener("click", () => void this.#load());
    const actions = made("div", "", "actions");
    actions.append(again);
    element("failure", HTMLElement).replaceChildren(made("p", title, "failure-title"), made("p", advice), detail, actions);
    this.#show("failure");
  }

  /** For screen readers. */
  say(text: string): void {
    if (this.#spoken.textContent !== text) this.#spoken.textContent = text;
  }

  async #load(): Promise<void> {
    const before = this.#task;
    this.#task = undefined;
    await before?.dispose();
    this.#show("loading");
    const progress = new LoadProgress();
    const began = performance.now();
    try {
      const task = await this.#options.open({
        onProgress: (report) => {
          progress.report(report);
          this.#draw(progress);
        },
      });
      this.#task = task;
      const { info } = task.session;
      const on = info.device === "webgpu" ? "WebGPU" : `the CPU, ${cpuDetail(info).toLowerCase().replace("simd", "SIMD")}`;
      element("ready", HTMLElement).textContent = `Ready after ${milliseconds(performance.now() - began)}: ${bytes(progress.bytes("model"))} of model, on ${on}.`;
      this.#show("ready");
      this.#options.onReady(task);
    } catch (error) {
      this.failed(error);
    }
  }

  #draw({ current, fraction }: LoadProgress): void {
    const done = Math.round(fraction * 100);
    this.#bar.setAttribute("aria-valuenow", String(done));
    this.#bar.setAttribute("aria-valuetext", `${doing[current]}, ${done} %`);
    const [burnt] = this.#bar.children;
    if (burnt instanceof HTMLElement) burnt.style.width = `${done}%`;
    this.#text.textContent = doing[current];
  }

  #show(view: "loading" | "idle" | "ready" | "failure"): void {
    const hadFocus = document.activeElement;
    for (const name of ["loading", "idle", "ready", "failure"]) show(element(name, HTMLElement), name === view);
    // Focus must not fall off the page with the button that had it.
    if (hadFocus instanceof HTMLElement && hadFocus.closest("[hidden]")) {
      const next = document.querySelector<HTMLElement>(".load .button:not([hidden] *), main [tabindex='-1']");
      next?.focus({ preventScroll: true });
    }
  }
}
