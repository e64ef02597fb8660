//! Notes in recordings with Basic Pitch: overlapping windows as basic_pitch/inference.py cuts them, and notes out of
//! what the model says of them.
import { FirebrandError } from "../error.js";
import type { Session } from "../session.js";
import type { ModelSource } from "../source.js";
import { Tensor } from "../tensor.js";
import { samplesOf, type AudioSource } from "./audio.js";
import { createNotes, type NoteThresholds } from "./note-creation.js";
import { Task, floats, openTask, type CallOptions, type Description, type TaskOptions } from "./task.js";

/** How a recording is transcribed. */
export interface TranscribeOptions extends CallOptions {
  /** Told how many of the recording's windows (of some 1.6 seconds) are done. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

/** A note that was played or sung. */
export interface Note {
  /** In seconds from the recording's start. */
  start: number;
  /** In seconds from there. */
  end: number;
  /** The MIDI number: 69 is A4, 440 Hz. */
  pitch: number;
  /** Such as `"A4"` or `"C#5"`. */
  name: string;
  /** How loud, as MIDI has it: a whole number from 0 to 127. */
  velocity: number;
}

const names = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];

/** By how much basic_pitch/note_creation.py moves each window, in seconds, so that times fit. */
const windowShift = 0.0018;

/** Hears notes. Made by {@link noteTranscriber}. */
export class NoteTranscriber extends Task {
  readonly #input: string;
  readonly #sampleRate: number;
  /** Samples of a window. */
  readonly #window: number;
  readonly #hop: number;
  readonly #overlap: number;
  readonly #framesPerSecond: number;
  readonly #lowestPitch: number;
  readonly #notes: string;
  readonly #onsets: string;
  readonly #thresholds: NoteThresholds;

  /** @internal */
  constructor(session: Session, description: Description) {
    super(session);
    const { name, sampleRate } = description.sound;
    const shape = description.manifest.inputs.find((input) => input.name === name)?.shape;
    const window = shape?.[1];
    if (typeof window !== "number" || shape?.length !== 3) throw description.lacks(`takes no windows of a fixed length: expected an input [batch, samples, 1], got [${String(shape)}]`);
    this.#input = name;
    this.#sampleRate = sampleRate;
    this.#window = window;
    this.#hop = description.count("hop");
    this.#overlap = description.count("overlap");
    this.#framesPerSecond = description.count("framesPerSecond");
    this.#lowestPitch = description.number("lowestPitch", 0, 127);
    this.#notes = description.text("notes");
    this.#onsets = description.text("onsets");
    const onset = description.number("onsetThreshold", 0, 1);
    const frame = description.number("frameThreshold", 0, 1);
    const minLength = Math.round((description.number("minNoteLength", 0, 10) * sampleRate) / this.#hop);
    this.#thresholds = { onset, frame, minLength };
    if (this.#overlap % 2 !== 0 || this.#step < 1) throw description.lacks(`has an overlap of ${this.#overlap} frames of ${this.#hop} samples, which is odd or no less than a window of ${window}`);
  }

  /** Samples from the start of one window to that of the next. */
  get #step(): number {
    return this.#window - this.#overlap * this.#hop;
  }

  /**
   * The notes of a recording, by their start.
   *
   * @throws {@link FirebrandError}: `invalid_argument` for sound that is none or cannot be decoded; `unsupported` for a
   *   `Blob` where nothing decodes it (Node); what `session.run` throws
   */
  async transcribe(audio: AudioSource, options: TranscribeOptions = {}): Promise<Note[]> {
    const { signal, onProgress } = options;
    const samples = await samplesOf(audio, this.#sampleRate, signal);
    const lead = (this.#overlap / 2) * this.#hop;
    const padded = new Float32Array(lead + samples.length);
    padded.set(samples, lead);
    const total = Math.ceil(padded.length / this.#step);
    const run = { outputs: [this.#notes, this.#onsets], ...(signal && { signal }) };
    const [notes, onsets]: [Float32Array[], Float32Array[]] = [[], []];
    let [windowFrames, pitches] = [0, 0];
    for (let done = 0; done < total; done++) {
      const window = new Float32Array(this.#window);
      window.set(padded.subarray(done * this.#step, done * this.#step + this.#window));
      const outputs = await this.session.run({ [this.#input]: new Tensor("float32", window, [1, window.length, 1]) }, run);
      for (const [name, parts] of [[this.#notes, notes], [this.#onsets, onsets]] as const) {
        const { data, shape } = floats(outputs[name], name);
        [, windowFrames = 0, pitches = 0] = shape;
        if (shape.length !== 3 || windowFrames <= this.#overlap) throw new FirebrandError("invalid_manifest", `noteTranscriber: output "${name}" is [1, frames, pitches] with more than ${this.#overlap} frames, got [${shape.join(", ")}]`);
        // Half of the overlap belongs to the window before, half to the one after.
        parts.push(data.subarray((this.#overlap / 2) * pitches, (windowFrames - this.#overlap / 2) * pitches));
      }
      onProgress?.({ done: done + 1, total });
    }
    const frames = Math.min(Math.floor(samples.length * (this.#framesPerSecond / this.#sampleRate)), notes.length * (windowFrames - this.#overlap));
    const joined = (parts: Float32Array[]) => {
      const all = new Float32Array(frames * pitches);
      let at = 0;
      for (const part of parts) {
        all.set(part.subarray(0, all.length - at), at);
        at += Math.min(part.length, all.length - at);
      }
      return all;
    };
    const created = createNotes({ frames, pitches, notes: joined(notes), onsets: joined(onsets) }, this.#thresholds);
    const period = this.#hop / this.#sampleRate;
    const offset = period * (windowFrames - this.#window / this.#hop) + windowShift;
    const seconds = (frame: number) => Math.max(0, frame * period - offset * Math.floor(frame / windowFrames));
    return created.map(({ start, end, pitch, amplitude }) => {
      const midi = this.#lowestPitch + pitch;
      return { start: seconds(start), end: seconds(end), pitch: midi, name: `${names[midi % 12]}${Math.floor(midi / 12) - 1}`, velocity: Math.round(127 * amplitude) };
    });
  }
}

/**
 * Makes a transcriber of music.
 *
 * ```js
 * const transcriber = await noteTranscriber("/models/note-transcription/manifest.json");
 * for (const { start, end, name } of await transcriber.transcribe(recording)) console.log(start, end, name);
 * ```
 *
 * @param source a package of the task `note-transcription`
 * @throws {@link FirebrandError}: what `load` throws; `invalid_argument` for a package of another task;
 *   `invalid_manifest` for one that lacks a parameter
 */
export function noteTranscriber(source: ModelSource, options: TaskOptions = {}): Promise<NoteTranscriber> {
  return openTask(source, options, ["note-transcription"], (session, description) => new NoteTranscriber(session, description));
}
