/** The answer: loading, ready, the five best, or what went wrong. */
import type { Answer, DeviceChoice, Look } from "./classifier";
import { element, show } from "./page";
import type { LoadProgress, Phase } from "./progress";
import { bytes, explain, milliseconds, percent } from "./words";

const doing: Record<Phase, string> = {
  runtime: "Fetching the runtime",
  model: "Fetching the model",
  prepare: "Preparing the model",
};

/** Below this the best answer is a guess, and is called one. */
const UNSURE = 0.3;

type View = "loading" | "idle" | "failure" | "ready" | "answers";

const headings: Record<View, string> = {
  loading: "One moment",
  idle: "Not loaded",
  failure: "No answer",
  ready: "Ready",
  answers: "It sees",
};

export class AnswerPanel {
  readonly #views: Record<View, HTMLElement> = {
    loading: element("loading", HTMLElement),
    idle: element("idle", HTMLElement),
    failure: element("failure", HTMLElement),
    ready: element("ready", HTMLElement),
    answers: element("answers", HTMLElement),
  };
  readonly #heading = element("answer-title", HTMLElement);
  readonly #bar = element("progress", HTMLElement);
  readonly #burnt = this.#bar.firstElementChild as HTMLElement;
  readonly #text = element("loading-text", HTMLElement);
  readonly #steps = [...element("steps", HTMLElement).children] as HTMLElement[];
  readonly #timing = element("timing", HTMLElement);
  readonly #spoken = element("spoken", HTMLElement);
  #phase: Phase | undefined;

  loading(progress: LoadProgress): void {
    if (this.#views.loading.hidden) {
      this.#show("loading");
      this.#phase = undefined;
    }
    const { current, phases, fraction } = progress;
    const done = Math.round(fraction * 100);
    this.#burnt.style.width = `${done}%`;
    this.#bar.setAttribute("aria-valuenow", String(done));
    this.#bar.setAttribute("aria-valuetext", `${doing[current]}, ${done} %`);
    this.#text.textContent = doing[current];
    for (const step of this.#steps) {
      const phase = step.dataset.phase as Phase;
      const state = phases[phase];
      const finished = state?.total !== undefined && state.loaded >= state.total;
      step.dataset.state = finished ? "done" : state ? "busy" : "waiting";
      const counter = step.querySelector<HTMLElement>(".bytes");
      if (counter) counter.textContent = counted(phase, state);
    }
    // Said once for each phase: a screen reader that hears every kilobyte hears nothing else.
    if (current !== this.#phase) {
      this.#phase = current;
      this.#say(doing[current]);
    }
  }

  idle(text: string): void {
    this.#show("idle");
    element("idle-text", HTMLElement).textContent = text;
    this.#say(text);
  }

  ready(heading: string, text: string): void {
    this.#show("ready");
    this.#heading.textContent = heading;
    element("ready-text", HTMLElement).textContent = text;
    this.#say(`${heading}. ${text}`);
  }

  failed(error: unknown, device: DeviceChoice): void {
    const failure = explain(error);
    element("failure-title", HTMLElement).textContent = failure.title;
    element("failure-advice", HTMLElement).textContent = failure.advice;
    element("failure-kind", HTMLElement).textContent = failure.kind;
    element("failure-message", HTMLElement).textContent = failure.message;
    show(element("use-cpu", HTMLElement), device !== "cpu" && failure.ofDevice);
    this.#show("failure");
    // On a phone it is below the photo.
    this.#views.failure.scrollIntoView({ block: "nearest" });
  }

  /** The photo changed: what is shown, if anything, is about the one before. */
  busy(): void {
    if (this.#views.answers.hidden) this.ready("One moment", "Looking …");
    this.#views.answers.classList.add("stale");
    this.#views.answers.setAttribute("aria-busy", "true");
  }

  answered(look: Look, photoName: string): void {
    const list = this.#views.answers;
    list.replaceChildren(...look.answers.map(row));
    list.classList.remove("stale");
    list.removeAttribute("aria-busy");
    this.#timing.textContent = `Answered in ${milliseconds(look.runMs)}, after ${milliseconds(look.tensorMs)} to scale the photo.`;
    this.#show("answers");
    const [first, ...others] = look.answers;
    if (first) {
      if (first.probability < UNSURE) this.#heading.textContent = "It is not sure. Perhaps";
      this.#say(
        `${photoName}: ${title(first.name)}, ${percent(first.probability)}. Then ` +
          others.map(({ name, probability }) => `${title(name)}, ${percent(probability)}`).join("; "),
      );
    }
  }

  #show(view: View): void {
    const focused = document.activeElement;
    for (const [name, target] of Object.entries(this.#views)) show(target, name === view);
    show(this.#timing, view === "answers");
    this.#heading.textContent = headings[view];
    // Focus must not fall off the page with the button that had it.
    if (focused && Object.values(this.#views).some((hidden) => hidden.hidden && hidden.contains(focused))) {
      (this.#views[view].querySelector("button") ?? this.#heading).focus();
    }
  }

  #say(text: string): void {
    this.#spoken.textContent = text;
  }
}

/** ImageNet gives all names of a thing, `"tench, Tinca tinca"`: the first one, as a title. */
export function title(name: string): string {
  const first = name.split(",")[0]?.trim() ?? name;
  return first.charAt(0).toUpperCase() + first.slice(1);
}

/** An answer as an entry of a list. */
export function row({ name, probability }: Answer): HTMLLIElement {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.className = "name";
  label.textContent = title(name);
  const value = document.createElement("span");
  value.className = "percent";
  value.textContent = percent(probability);
  const bar = document.createElement("div");
  bar.className = "ember-bar";
  bar.setAttribute("aria-hidden", "true");
  const fill = document.createElement("div");
  fill.style.width = `${Math.max(0.4, probability * 100)}%`;
  bar.append(fill);
  item.append(label, value, bar);
  return item;
}

function counted(phase: Phase, state: { loaded: number; total: number | undefined } | undefined): string {
  if (!state) return "";
  if (phase === "prepare") return "";
  return state.total === undefined || state.loaded >= state.total
    ? bytes(state.loaded)
    : `${bytes(state.loaded)} of ${bytes(state.total)}`;
}
