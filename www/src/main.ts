import "./shell";
import { AnswerPanel, title } from "./answer-panel";
import { Classifier, type Look, type Precision } from "./classifier";
import { Comparison } from "./comparison";
import { savesData } from "./connection";
import { DeviceSwitch } from "./device-switch";
import { element } from "./page";
import type { Photo } from "./photo";
import { LoadProgress } from "./progress";
import { showSnippet } from "./snippet";
import { SpeedPanel } from "./speed-panel";
import { Stage } from "./stage";
import { milliseconds, percent, sentence } from "./words";

/** A measurement stops at whichever comes first. */
const MEASURE_RUNS = 20;
const MEASURE_MS = 4000;

const panel = new AnswerPanel();
const speed = new SpeedPanel();
const stage = new Stage(() => void look());
const comparison = new Comparison();
const measure = element("measure", HTMLButtonElement);
const compare = element("compare", HTMLButtonElement);
const devices = new DeviceSwitch(element("devices", HTMLElement), element("device-note", HTMLElement), () => void start());
const precisions = element("precisions", HTMLElement);
const precision = () => (precisions.querySelector<HTMLInputElement>("input:checked")?.value ?? "float32") as Precision;

let loading: AbortController | undefined;
let classifier: Classifier | undefined;
/** Looks happen one at a time; only the newest photo waits. */
let looking = false;

/** Loads the model as chosen, instead of any that is loaded or loading. */
async function start(): Promise<void> {
  devices.onlyCpu(precision() === "int8" ? "WebGPU computes float32 only." : "");
  const device = devices.value;
  loading?.abort();
  const mine = new AbortController();
  loading = mine;
  classifier?.dispose();
  classifier = undefined;
  allowMeasuring(false);
  stage.caption("", "Loading the model …");
  devices.running("", "");

  const progress = new LoadProgress();
  panel.loading(progress);
  try {
    const loaded = await Classifier.load({
      precision: precision(),
      device,
      signal: mine.signal,
      onProgress(report) {
        if (loading !== mine) return;
        progress.report(report);
        panel.loading(progress);
      },
    });
    if (loading !== mine) {
      loaded.dispose();
      return;
    }
    classifier = loaded;
  } catch (error) {
    if (loading !== mine) return;
    loading = undefined;
    stage.caption("");
    if (mine.signal.aborted) panel.idle("Loading was cancelled.");
    else panel.failed(error, device);
    return;
  }
  loading = undefined;
  speed.loaded(classifier, progress);
  tellDevice(classifier);
  if (stage.photo) await look();
  else panel.ready(`Ready after ${milliseconds(classifier.loadMs)}`, "Give it a photo.");
}

/** Looks at the photo shown; without a model yet, the end of loading does. */
async function look(): Promise<void> {
  if (looking) return;
  looking = true;
  let seen: Photo | undefined;
  if (loading) stage.caption("", "Loading the model …");
  while (classifier && stage.photo && stage.photo !== seen) {
    const by: Classifier = classifier;
    const photo = stage.photo;
    panel.busy();
    stage.caption("", "Looking …");
    try {
      const result = await by.look(photo.bitmap);
      if (by !== classifier) continue;
      speed.add(result);
      tellDevice(by);
      if (photo === stage.photo) answer(result, photo);
    } catch (error) {
      // A session that is replaced in the middle fails its last look; the next one answers.
      if (by !== classifier) continue;
      stage.caption("");
      panel.failed(error, devices.value);
    }
    seen = photo;
  }
  looking = false;
  allowMeasuring();
}

function allowMeasuring(allowed = Boolean(classifier && stage.photo)): void {
  measure.disabled = !allowed;
  compare.disabled = !allowed;
}

/** Said again after each answer: a session may move to another device while it lives. */
function tellDevice(by: Classifier): void {
  speed.device(by);
  const { device, deviceReason } = by.session.info;
  devices.running(`Running on ${device === "webgpu" ? "WebGPU" : "the CPU"}.`, sentence(deviceReason));
}

function answer(result: Look, photo: Photo): void {
  panel.answered(result, photo.name);
  const [first] = result.answers;
  if (first) stage.caption(title(first.name), percent(first.probability));
}

/** Does work that takes a while, on the photo shown, for as long as `still` says that neither it nor the model was changed. */
async function measuring(work: (by: Classifier, photo: Photo, still: () => boolean) => Promise<void>): Promise<void> {
  const by = classifier;
  const photo = stage.photo;
  if (!by || !photo || looking) return;
  const still = () => by === classifier && photo === stage.photo;
  looking = true;
  allowMeasuring(false);
  try {
    await work(by, photo, still);
  } catch (error) {
    if (by === classifier) panel.failed(error, devices.value);
  } finally {
    looking = false;
    allowMeasuring();
  }
  if (!still()) await look();
}

async function measureAgain(by: Classifier, photo: Photo, still: () => boolean): Promise<void> {
  const end = performance.now() + MEASURE_MS;
  for (let run = 0; run < MEASURE_RUNS && performance.now() < end && still(); run++) {
    speed.add(await by.look(photo.bitmap));
  }
}

showSnippet(element("snippet", HTMLElement), element("copy", HTMLButtonElement));
measure.addEventListener("click", () => void measuring(measureAgain));
compare.addEventListener("click", () => void measuring((_, photo, still) => comparison.run(photo.bitmap, still)));
precisions.addEventListener("change", () => void start());
element("cancel", HTMLButtonElement).addEventListener("click", () => loading?.abort());
element("start", HTMLButtonElement).addEventListener("click", () => void start());
element("retry", HTMLButtonElement).addEventListener("click", () => void start());
element("use-cpu", HTMLButtonElement).addEventListener("click", () => {
  devices.value = "cpu";
  void start();
});

void devices.probe();
if (savesData()) {
  panel.idle("Your browser asks to save data; the model is 5 MB, in int8 1.3 MB.");
} else {
  void start();
}
