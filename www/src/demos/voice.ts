import "../shell";
import "./demos.css";
import "./snippets";
import { audioDetector, type AudioSegment } from "firebrand/tasks";
import { element, made } from "../page";
import { milliseconds, percent } from "../words";
import { Loading } from "./loading";
import { secondsOf, soundFromUrl, type Sound } from "./sound";
import { SoundStage } from "./sound-stage";
import { drawWave } from "./wave";

const wave = element("wave", HTMLElement);
const headline = element("headline", HTMLElement);
const list = element("segments", HTMLElement);
const figures = element("figures", HTMLElement);

/** So many seconds of live sound are in sight. */
const LIVE_SECONDS = 8;

let sound: Sound | undefined;
let looked: Sound | undefined;

const stage = new SoundStage({
  async supply() {
    return withNoise(await soundFromUrl("sounds/speech.wav", "The supplied sound"));
  },
  onSound(given) {
    sound = given;
    show([]);
    void look();
  },
  listen,
});

const loading = new Loading({
  open: (options) => audioDetector("models/voice-activity-detection/manifest.json", options),
  onReady: () => void (sound ? look() : stage.supplied()),
});

async function look(): Promise<void> {
  const { task } = loading;
  const given = sound;
  if (!task || !given || looked === given) return;
  looked = given;
  try {
    const began = performance.now();
    const segments = await task.detect(given);
    if (given !== sound) return;
    const ms = performance.now() - began;
    show(segments);
    const spoken = segments.reduce((sum, { start, end }) => sum + end - start, 0);
    headline.textContent = segments.length === 0 ? "No speech in it" : `${spoken.toFixed(1)} of ${secondsOf(given).toFixed(1)} s are speech`;
    figures.textContent = `${secondsOf(given).toFixed(1)} s of sound in ${milliseconds(ms)}: ${Math.round((secondsOf(given) * 1000) / ms)} times as fast as it plays.`;
    loading.say(`${given.name}: ${headline.textContent}, in ${segments.length} ${segments.length === 1 ? "part" : "parts"}.`);
  } catch (error) {
    loading.failed(error);
  }
}

function show(segments: readonly AudioSegment[]): void {
  if (!sound) return;
  drawWave(wave, sound.samples, secondsOf(sound), segments, `Outline of ${sound.name}, with ${segments.length} parts of speech marked`);
  element("ruler", HTMLElement).replaceChildren(made("span", "0 s"), made("span", `${(secondsOf(sound) / 2).toFixed(1)} s`), made("span", `${secondsOf(sound).toFixed(1)} s`));
  list.replaceChildren(
    ...segments.map(({ start, end, score }) => {
      const line = made("li", `${start.toFixed(2)} – ${end.toFixed(2)} s`);
      line.append(made("small", `score ${percent(score)}`));
      return line;
    }),
  );
}

/** A voice, a tone, the voice again, and noise: what is heard should be the voice alone. */
function withNoise(voice: Sound): Sound {
  const { sampleRate } = voice;
  const gap = (seconds: number) => new Float32Array(Math.round(seconds * sampleRate));
  const make = (seconds: number, value: (time: number) => number) => gap(seconds).map((_, at) => value(at / sampleRate) * Math.min(1, (at / sampleRate) * 8, (seconds - at / sampleRate) * 8));
  const parts = [
    gap(0.5),
    voice.samples,
    gap(0.5),
    make(1.2, (time) => 0.25 * Math.sin(2 * Math.PI * 440 * time)),
    gap(0.5),
    voice.samples,
    gap(0.4),
    make(1.2, noise),
    gap(0.4),
  ];
  const samples = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    samples.set(part, at);
    at += part.length;
  }
  return { ...voice, samples };
}

let seed = 1;

/** The same noise each time. */
function noise(): number {
  seed = (seed * 48_271) % 2_147_483_647;
  return (seed / 2_147_483_647 - 0.5) * 0.3;
}

/** Bars of the score, newest at the right, until it is stopped. */
async function listen(stream: MediaStream, signal: AbortSignal): Promise<undefined> {
  const { task } = loading;
  if (!task) throw new Error("The model is not there yet: try again in a moment.");
  sound = undefined;
  looked = undefined;
  list.replaceChildren();
  element("ruler", HTMLElement).replaceChildren(made("span", `${LIVE_SECONDS} s ago`), made("span", "now"));
  const canvas = made("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Score of the last seconds");
  wave.querySelector("svg, canvas")?.remove();
  wave.prepend(canvas);
  const scores: { score: number; isActive: boolean }[] = [];
  let wasActive = false;
  const listening = await task.stream(
    stream,
    ({ score, isActive, start, end }) => {
      const most = Math.round(LIVE_SECONDS / (end - start));
      scores.push({ score, isActive });
      if (scores.length > most) scores.shift();
      drawScores(canvas, scores, most);
      headline.textContent = isActive ? "Somebody speaks" : "Quiet";
      if (isActive !== wasActive) loading.say(headline.textContent);
      wasActive = isActive;
    },
    { signal, onError: (error) => loading.failed(error) },
  );
  headline.textContent = "Listening";
  figures.textContent = "Each bar is 32 ms. Nothing is recorded.";
  await new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true })));
  await listening.stop();
  headline.textContent = "Stopped";
  return undefined;
}

function drawScores(canvas: HTMLCanvasElement, scores: readonly { score: number; isActive: boolean }[], most: number): void {
  const { clientWidth, clientHeight } = canvas;
  const sharp = devicePixelRatio;
  canvas.width = clientWidth * sharp;
  canvas.height = clientHeight * sharp;
  const pen = canvas.getContext("2d");
  if (!pen) return;
  // The theme's colours, as the style sheet gives them to the canvas.
  const { color: active, borderTopColor: quiet } = getComputedStyle(canvas);
  const each = canvas.width / most;
  scores.forEach(({ score, isActive }, at) => {
    const height = Math.max(2, score * canvas.height * 0.92);
    pen.fillStyle = isActive ? active : quiet;
    pen.fillRect((most - scores.length + at) * each, canvas.height - height, Math.max(1, each * 0.8), height);
  });
}
