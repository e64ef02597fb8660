/** The work: waiting, running, done, refused or failed. */
import type { BuildReport, BuiltPackage } from "firebrand/convert";
import { element, show } from "../page";
import { bytes, explain, percent } from "../words";
import { inWords, type BuildProgress } from "./build-progress";
import { explanations } from "./failures";
import { packageInZip, saveBy } from "./package-download";

type View = "idle" | "running" | "failure" | "done";

export class RunPanel {
  readonly #views: Record<View, HTMLElement> = {
    idle: element("idle", HTMLElement),
    running: element("running", HTMLElement),
    failure: element("failure", HTMLElement),
    done: element("done", HTMLElement),
  };
  readonly #heading = element("run-title", HTMLElement);
  readonly #start = element("start", HTMLButtonElement);
  readonly #idleText = element("idle-text", HTMLElement);
  readonly #bar = element("progress", HTMLElement);
  readonly #burnt = this.#bar.firstElementChild as HTMLElement;
  readonly #text = element("running-text", HTMLElement);
  readonly #steps = element("steps", HTMLElement);
  readonly #download = element("download", HTMLAnchorElement);
  readonly #report = element("download-report", HTMLAnchorElement);
  readonly #spoken = element("spoken", HTMLElement);
  #told: string | undefined;

  get isIdle(): boolean {
    return !this.#views.idle.hidden;
  }

  /** Nothing is going on; `name` is the model's that is there. */
  idle(name: string | undefined, text = name ? `${name} is there. Optimise it as chosen.` : "Give it a model, or take SqueezeNet."): void {
    this.#show("idle", name ? "Ready" : "Waiting for a model");
    this.#idleText.textContent = text;
    this.#start.disabled = name === undefined;
    this.#say(text);
  }

  running(progress: BuildProgress): void {
    if (this.#views.running.hidden) {
      this.#show("running", "At work");
      this.#told = undefined;
      // On a phone it is below the form.
      this.#views.running.parentElement?.scrollIntoView({ block: "nearest" });
    }
    const { current, steps, fraction } = progress;
    const done = Math.round(fraction * 100);
    this.#burnt.style.width = `${done}%`;
    const doing = current ? inWords(current.step) : "Start the converter";
    this.#bar.setAttribute("aria-valuenow", String(done));
    this.#bar.setAttribute("aria-valuetext", `${doing}, ${done} %`);
    this.#text.textContent = doing;
    this.#steps.replaceChildren(
      ...steps.map(({ step, state, done, total }) => {
        const item = document.createElement("li");
        item.dataset.state = state;
        item.dataset.step = step;
        const name = document.createElement("span");
        name.textContent = inWords(step);
        const count = document.createElement("span");
        count.className = "bytes";
        count.textContent = counted(step, done, total);
        item.append(name, " ", count);
        return item;
      }),
    );
    // Said once for each step: a screen reader that hears every sample hears nothing else.
    if (current && current.step !== this.#told) {
      this.#told = current.step;
      this.#say(doing);
    }
  }

  /** What was built, to be saved. */
  done({ files, report, html }: BuiltPackage, name: string): void {
    const archive = packageInZip(name, files);
    saveBy(this.#download, `${name}.zip`, archive);
    saveBy(this.#report, `${name}-report.html`, new Blob([html], { type: "text/html" }));
    const label = this.#download.querySelector("span");
    if (label) label.textContent = `Package, ${bytes(archive.size)}`;
    const { sizeBefore, sizeAfter } = report;
    const share = percentOf(sizeAfter.brotli, sizeBefore.brotli);
    element("done-share", HTMLElement).textContent = share;
    element("done-share-of", HTMLElement).textContent = "of the bytes to fetch";
    const kept = keptIn(report);
    element("done-kept", HTMLElement).textContent = kept;
    element("done-code", HTMLElement).textContent = `load("${name}/manifest.json")`;
    this.#show("done", "Done");
    this.#say(`Done. ${share} of the bytes. ${kept}`);
  }

  /** `tries` are said where the result was refused. */
  failed(error: unknown, tries: readonly string[]): void {
    const failure = explain(error, explanations);
    const refused = failure.kind === "over_budget";
    element("failure-title", HTMLElement).textContent = failure.title;
    element("failure-advice", HTMLElement).textContent = refused ? `${failure.advice} What may help:` : failure.advice;
    element("failure-kind", HTMLElement).textContent = failure.kind;
    element("failure-message", HTMLElement).textContent = failure.message;
    const list = element("failure-tries", HTMLElement);
    list.replaceChildren(
      ...tries.map((text) => {
        const item = document.createElement("li");
        item.textContent = text;
        return item;
      }),
    );
    show(list, refused);
    this.#views.failure.dataset.kind = failure.kind;
    this.#show("failure", refused ? "Refused" : "No package");
    this.#views.failure.scrollIntoView({ block: "nearest" });
  }

  #show(view: View, heading: string): void {
    const focused = document.activeElement;
    for (const [name, target] of Object.entries(this.#views)) show(target, name === view);
    this.#heading.textContent = heading;
    // Focus must not fall off the page with the button that had it.
    if (focused && Object.values(this.#views).some((hidden) => hidden.hidden && hidden.contains(focused))) {
      (this.#views[view].querySelector<HTMLElement>("button:not(:disabled), a[href]") ?? this.#heading).focus();
    }
  }

  #say(text: string): void {
    this.#spoken.textContent = text;
  }
}

/** How near the result is, in a sentence. */
function keptIn({ accuracy: { metric, samples, agreement, accuracy, originalAccuracy }, precision }: BuildReport): string {
  const of = `${samples} ${samples === 1 ? "sample" : "samples"}, in ${precision}`;
  if (accuracy !== undefined) return `${percent(accuracy)} right, ${percent(originalAccuracy ?? 0)} before, on ${of}.`;
  return metric === "top1" ? `The same answer on ${percent(agreement)} of ${of}.` : `A mean cosine of ${agreement.toFixed(4)} with the original, on ${of}.`;
}

function counted(step: string, done: number, total: number): string {
  if (step === "fetch") return total > 0 ? (done < total ? `${bytes(done)} of ${bytes(total)}` : bytes(total)) : done > 0 ? bytes(done) : "";
  return total > 1 ? `${done} of ${total}` : "";
}

/** `27 %`; what is little, with a decimal. */
export function percentOf(part: number, whole: number): string {
  const share = part / Math.max(1, whole);
  return share < 0.1 ? percent(share) : `${Math.round(share * 100)} %`;
}
