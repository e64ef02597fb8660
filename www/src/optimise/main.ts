import "../shell";
import "../controls.css";
import "./optimise.css";
import { build } from "firebrand/convert";
import { element, show } from "../page";
import { creditsOf, samples } from "../samples";
import { BuildProgress } from "./build-progress";
import { triesFor } from "./failures";
import { isPicture, onDrops } from "../given-files";
import { ModelChoice } from "../model-choice";
import { Passes } from "./passes";
import { Preparation } from "./preparation";
import { showResult } from "./result";
import { RunPanel } from "./run-panel";
import { SampleChoice } from "./sample-choice";
import { SideBySide } from "./side-by-side";

const panel = new RunPanel();
const preparation = new Preparation();
const beside = new SideBySide();
const form = element("form", HTMLFormElement);
const result = element("result", HTMLElement);
const samplesCard = element("samples-card", HTMLElement);
const modelCard = element("model", HTMLElement);

let working: AbortController | undefined;

const model = new ModelChoice((isSupplied) => {
  if (isSupplied) preparation.use("bgr", "fill");
  // What came of another model is not this one's.
  beside.close();
  show(result, false);
  changed(true);
});
const given = new SampleChoice(() => changed());
const passes = new Passes(() => changed());

/** Says what can be done with what is chosen; what was done before stays in sight, unless it was to another model. */
function changed(isOtherModel = false): void {
  show(element("preparation", HTMLElement), given.hasPictures);
  const lacking = passes.precision === "int8" && !given.value;
  const { value } = model;
  if (working || !(panel.isIdle || isOtherModel)) return;
  if (value && lacking) panel.idle(undefined, "int8 needs samples to find the ranges of activations with: give some, or take the demo’s photos.");
  else panel.idle(value && nameOf(value.name));
}

/** Builds as chosen. */
async function start(): Promise<void> {
  const chosen = model.value;
  if (!chosen || working) return;
  const mine = new AbortController();
  working = mine;
  const options = passes.value;
  const data = given.value;
  const pictures = given.pictures;
  const progress = new BuildProgress(options);
  beside.close();
  show(result, false);
  form.toggleAttribute("inert", true);
  panel.running(progress);
  try {
    const { name, source, externalData, arch } = chosen;
    const built = await build(source, {
      name,
      externalData,
      ...(arch !== undefined && { arch }),
      ...options,
      ...(data && { data }),
      ...(given.hasPictures && { pictures: preparation.value }),
      signal: mine.signal,
      onProgress(report) {
        progress.report(report);
        panel.running(progress);
      },
    });
    panel.done(built, nameOf(name));
    showResult(built.report);
    show(result, true);
    void beside.open(chosen, built, pictures);
  } catch (error) {
    if (mine.signal.aborted) panel.idle(nameOf(chosen.name), "It was cancelled. Nothing was kept.");
    else panel.failed(error, triesFor(passes.precision, { pruned: (options.prune ?? 0) > 0, kept: options.strict !== true, demo: given.from === "demo" }));
  } finally {
    working = undefined;
    form.toggleAttribute("inert", false);
  }
}

/** A file's name without its ending. */
function nameOf(file: string): string {
  return file.replace(/\.[^.]+$/, "") || file;
}

element("credits", HTMLElement).textContent = `Photos: ${creditsOf(samples)}`;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void start();
});
element("cancel", HTMLButtonElement).addEventListener("click", () => working?.abort());
element("change", HTMLButtonElement).addEventListener("click", () => passes.focus());
onDrops(
  (files, on) => {
    if (working) return;
    const forSamples = samplesCard.contains(on) || (!modelCard.contains(on) && files.length > 0 && files.every(isPicture));
    if (forSamples) void given.take(files);
    else model.take(files);
  },
  (on) => {
    samplesCard.classList.toggle("over", on !== undefined && samplesCard.contains(on));
    modelCard.classList.toggle("over", on !== undefined && !samplesCard.contains(on));
  },
);
changed();
