import "../shell";
import "./demos.css";
import "../controls.css";
import "./snippets";
import { noteTranscriber, type Note } from "firebrand/tasks";
import { element, made } from "../page";
import { milliseconds } from "../words";
import { Loading } from "./loading";
import { secondsOf, soundFromBlob, synthesise, type Played, type Sound } from "./sound";
import { SoundStage } from "./sound-stage";

const SVG = "http://www.w3.org/2000/svg";
const RECORD_SECONDS = 12;

const roll = element("wave", HTMLElement);
const headline = element("headline", HTMLElement);
const figures = element("figures", HTMLElement);
const playNotes = element("play-notes", HTMLButtonElement);

let sound: Sound | undefined;
let looked: Sound | undefined;
let notes: readonly Note[] = [];

/** The beginning of the Ode to Joy, by Beethoven, with a few notes below it. */
const ODE: readonly Played[] = (() => {
  const beat = 0.42;
  const melody: [pitch: number, beats: number][] = [[64, 1], [64, 1], [65, 1], [67, 1], [67, 1], [65, 1], [64, 1], [62, 1], [60, 1], [60, 1], [62, 1], [64, 1], [64, 1.5], [62, 0.5], [62, 2]];
  const bass: [pitch: number, beats: number][] = [[48, 4], [43, 4], [48, 4], [43, 3.5]];
  const line = (all: readonly [number, number][]) => {
    let start = 0.1;
    return all.map(([pitch, beats]) => {
      const note = { pitch, start, length: beats * beat * 0.92 };
      start += beats * beat;
      return note;
    });
  };
  return [...line(melody), ...line(bass)];
})();

const stage = new SoundStage({
  supply: async () => synthesise(ODE, "Ode to Joy"),
  onSound(given) {
    sound = given;
    notes = [];
    draw();
    void look();
  },
  listen: record,
});

const loading = new Loading({
  open: (options) => noteTranscriber("models/note-transcription/manifest.json", options),
  onReady: () => void (sound ? look() : stage.supplied()),
});

async function look(): Promise<void> {
  const { task } = loading;
  const given = sound;
  if (!task || !given || looked === given) return;
  looked = given;
  headline.textContent = "Listening …";
  try {
    const began = performance.now();
    const found = await task.transcribe(given, { onProgress: ({ done, total }) => (figures.textContent = `${done} of ${total} windows`) });
    if (given !== sound) return;
    const ms = performance.now() - began;
    notes = [...found].sort((a, b) => a.start - b.start);
    draw();
    headline.textContent = notes.length === 1 ? "One note" : `${notes.length} notes`;
    figures.textContent = `${secondsOf(given).toFixed(1)} s of sound in ${milliseconds(ms)}.`;
    loading.say(`${given.name}: ${headline.textContent}.`);
  } catch (error) {
    loading.failed(error);
  }
}

function draw(): void {
  const seconds = sound ? secondsOf(sound) : 1;
  const pitches = notes.map(({ pitch }) => pitch);
  const lowest = Math.min(57, ...pitches) - 2;
  const highest = Math.max(69, ...pitches) + 2;
  const [width, height] = [roll.clientWidth, roll.clientHeight];
  const rows = highest - lowest + 1;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", notes.length === 0 ? "Piano roll, empty yet" : `Piano roll of ${notes.length} notes; the list beside it has them all`);
  const add = (name: string, attributes: Record<string, string | number>, text = "") => {
    const shape = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, String(value));
    shape.textContent = text;
    svg.append(shape);
  };
  const top = (pitch: number) => ((highest - pitch) / rows) * height;
  for (let pitch = lowest; pitch <= highest; pitch++) {
    if ([1, 3, 6, 8, 10].includes(pitch % 12)) add("rect", { x: 0, y: top(pitch), width, height: height / rows, class: "key" });
    if (pitch % 12 === 0) add("text", { x: 6, y: top(pitch) + height / rows / 2 + 4 }, `C${pitch / 12 - 1}`);
  }
  for (const { start, end, pitch, velocity } of notes) {
    add("rect", {
      x: (start / seconds) * width,
      y: top(pitch) + 1,
      width: Math.max(3, ((end - start) / seconds) * width - 1),
      height: Math.max(3, height / rows - 2),
      rx: 3,
      class: "bar",
      opacity: 0.45 + (velocity / 127) * 0.55,
    });
  }
  roll.querySelector("svg")?.remove();
  roll.prepend(svg);
  playNotes.disabled = notes.length === 0;
  element("ruler", HTMLElement).replaceChildren(made("span", "0 s"), made("span", `${(seconds / 2).toFixed(1)} s`), made("span", `${seconds.toFixed(1)} s`));
  element("notes", HTMLElement).replaceChildren(
    ...notes.map(({ name, start, end, velocity }) => {
      const line = made("tr");
      const head = made("th", name);
      head.setAttribute("scope", "row");
      line.append(head, made("td", `${start.toFixed(2)} s`), made("td", `${(end - start).toFixed(2)} s`), made("td", String(velocity)));
      return line;
    }),
  );
}

/** Records until it is stopped, or long enough. */
async function record(stream: MediaStream, signal: AbortSignal): Promise<Sound | undefined> {
  const recorder = new MediaRecorder(stream);
  const parts: Blob[] = [];
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
  recorder.start();
  headline.textContent = "Recording";
  figures.textContent = `Up to ${RECORD_SECONDS} s; press Stop when you are done.`;
  const stop = () => recorder.state !== "inactive" && recorder.stop();
  const timer = setTimeout(stop, RECORD_SECONDS * 1000);
  signal.addEventListener("abort", stop, { once: true });
  await stopped;
  clearTimeout(timer);
  return soundFromBlob(new Blob(parts, { type: recorder.mimeType }), "Your recording");
}

playNotes.addEventListener("click", () => {
  const asPlayed = notes.map(({ pitch, start, end }) => ({ pitch, start, length: end - start }));
  stage.play(synthesise(asPlayed, "The notes"));
});
addEventListener("resize", draw);
draw();
