//! Speech in sound with Silero VAD: frames one after the other, with the model's state and the samples before the frame,
//! and segments of what it says of them as silero_vad/utils_vad.py makes them.
import { FirebrandError, describe } from "../error.js";
import type { Session } from "../session.js";
import type { ModelSource } from "../source.js";
import { Tensor } from "../tensor.js";
import { samplesOf, type AudioSource } from "./audio.js";
import { capture, type LiveAudio } from "./capture.js";
import { Resampler } from "./resampler.js";
import { Task, checkOption, floats, openTask, type CallOptions, type Description, type TaskOptions } from "./task.js";

/** How a recording is searched. */
export interface AudioDetectOptions extends CallOptions {
  /** From which score on a frame is speech. Default: the package's, 0.5 for Silero VAD. */
  threshold?: number;
}

/** A part of a recording with speech. */
export interface AudioSegment {
  /** In seconds from the start. */
  start: number;
  /** In seconds from the start. */
  end: number;
  /** The mean of what the model says of its frames, from 0 to 1. */
  score: number;
}

/** What was heard in one frame of live sound. */
export interface AudioFrame extends AudioSegment {
  /** Whether somebody speaks: from the first frame over the threshold until it is quiet for a while. */
  isActive: boolean;
}

/** How live sound is listened to. */
export interface StreamOptions {
  /** As of {@link AudioDetectOptions}. */
  threshold?: number;
  /** Ends the listening when it aborts. */
  signal?: AbortSignal;
  /** Told what ended the listening, where that was an error. Default: it is written to the console. */
  onError?: (error: FirebrandError) => void;
}

/** Listening that goes on. */
export interface AudioStream {
  /** Ends it, and frees the sound's resources; the stream's tracks stay the caller's. Stopping again does nothing. */
  stop(): Promise<void>;
}

/** Live sound that waits longer than this many seconds is dropped: the machine is too slow for it. */
const longestWait = 4;

/** Hears speech. Made by {@link audioDetector}. */
export class AudioDetector extends Task {
  readonly #input: string;
  readonly #sampleRate: number;
  readonly #frame: number;
  readonly #context: number;
  readonly #threshold: number;
  readonly #minSpeech: number;
  readonly #minSilence: number;
  readonly #padding: number;

  /** @internal */
  constructor(session: Session, description: Description) {
    super(session);
    const { name, sampleRate } = description.sound;
    this.#input = name;
    this.#sampleRate = sampleRate;
    this.#frame = description.count("frame", 2 ** 16);
    this.#context = description.number("context", 0, this.#frame);
    this.#threshold = description.number("threshold", 0, 1);
    this.#minSpeech = description.number("minSpeech", 0, 60);
    this.#minSilence = description.number("minSilence", 0, 60);
    this.#padding = description.number("padding", 0, 60);
    const has = (side: readonly { name: string }[], ...names: string[]) => names.every((one) => side.some((value) => value.name === one));
    if (!has(session.inputs, "state", "sr") || !has(session.outputs, "output", "stateN")) {
      throw description.lacks('is no Silero VAD of version 5 or later: expected inputs "state" and "sr", outputs "output" and "stateN"');
    }
  }

  /**
   * The parts of a recording with speech, in order.
   *
   * @throws {@link FirebrandError}: `invalid_argument` for sound that is none or cannot be decoded; `unsupported` for a
   *   `Blob` where nothing decodes it (Node); what `session.run` throws
   */
  async detect(audio: AudioSource, options: AudioDetectOptions = {}): Promise<AudioSegment[]> {
    const { threshold = this.#threshold, signal } = options;
    checkOption("threshold", threshold, 0, 1);
    const samples = await samplesOf(audio, this.#sampleRate, signal);
    const model = this.#start(signal);
    const scores: number[] = [];
    for (let at = 0; at < samples.length; at += this.#frame) {
      const frame = new Float32Array(this.#frame);
      frame.set(samples.subarray(at, at + this.#frame));
      scores.push(await model.score(frame));
    }
    return this.#segments(scores, samples.length, threshold);
  }

  /**
   * Listens to live sound, and tells of each frame (32 ms) what was heard. Needs a page that the user has clicked in, as
   * all live sound does.
   *
   * @param source a `MediaStream`, as `getUserMedia` gives it, or an `AudioNode`, which stays connected to what it is
   * @param onResult called for each frame, in order; `start` and `end` count from the first sample
   * @throws {@link FirebrandError}: `unsupported` where there is no Web Audio; `invalid_argument` for a stream without sound
   */
  async stream(source: LiveAudio, onResult: (frame: AudioFrame) => void, options: StreamOptions = {}): Promise<AudioStream> {
    const { threshold = this.#threshold, signal, onError = (error) => console.error(error) } = options;
    checkOption("threshold", threshold, 0, 1);
    const seconds = (frames: number) => (frames * this.#frame) / this.#sampleRate;
    const ending = new AbortController();
    let resampler: Resampler | undefined;
    let waiting: { index: number; samples: Float32Array }[] = [];
    let isBusy = false;
    let held = new Float32Array(0);
    let count = 0;
    let isActive = false;
    let quiet = 0;
    let model = this.#start(ending.signal);

    const listen = async () => {
      if (isBusy) return;
      isBusy = true;
      try {
        for (let frame = waiting.shift(); frame && !ending.signal.aborted; frame = waiting.shift()) {
          const score = await model.score(frame.samples);
          if (ending.signal.aborted) return;
          if (score >= threshold) [isActive, quiet] = [true, 0];
          else if (isActive && score < exitThreshold(threshold)) isActive = ++quiet * this.#frame < this.#minSilence * this.#sampleRate;
          onResult({ start: seconds(frame.index), end: seconds(frame.index + 1), score, isActive });
        }
      } catch (error) {
        if (ending.signal.aborted) return;
        await stop();
        onError(error instanceof FirebrandError ? error : new FirebrandError("invalid_argument", `onResult failed: ${describe(error)}`, { cause: error }));
      } finally {
        isBusy = false;
      }
    };
    const captured = await capture(source, (samples, sampleRate) => {
      resampler ??= new Resampler(sampleRate, this.#sampleRate);
      const more = resampler.push(samples);
      const joined = new Float32Array(held.length + more.length);
      joined.set(held);
      joined.set(more, held.length);
      let at = 0;
      for (; at + this.#frame <= joined.length; at += this.#frame) waiting.push({ index: count++, samples: joined.slice(at, at + this.#frame) });
      held = joined.slice(at);
      if (seconds(waiting.length) > longestWait) {
        waiting = [];
        model = this.#start(ending.signal);
      }
      void listen();
    });
    const stop = async () => {
      ending.abort();
      signal?.removeEventListener("abort", stop);
      await captured.stop();
    };
    if (signal?.aborted) await stop();
    else signal?.addEventListener("abort", stop, { once: true });
    return { stop };
  }

  /** The model at the start of a sound. */
  #start(signal: AbortSignal | undefined): { score(frame: Float32Array): Promise<number> } {
    const sr = new Tensor("int64", BigInt64Array.of(BigInt(this.#sampleRate)), []);
    let state: Tensor = new Tensor("float32", new Float32Array(2 * 128), [2, 1, 128]);
    let context = new Float32Array(this.#context);
    return {
      score: async (frame) => {
        const whole = new Float32Array(context.length + frame.length);
        whole.set(context);
        whole.set(frame, context.length);
        const { output, stateN } = await this.session.run({ [this.#input]: new Tensor("float32", whole, [1, whole.length]), state, sr }, signal ? { signal } : {});
        state = floats(stateN, "stateN");
        context = whole.slice(frame.length);
        return floats(output, "output").data[0]!;
      },
    };
  }

  /** Frames' scores as segments: short pauses are bridged, short sounds dropped, and all padded. */
  #segments(scores: readonly number[], length: number, threshold: number): AudioSegment[] {
    const rate = this.#sampleRate;
    const frame = this.#frame;
    const found: { start: number; end: number }[] = [];
    let start: number | undefined;
    let quietFrom: number | undefined;
    for (const [index, score] of scores.entries()) {
      const at = index * frame;
      if (score >= threshold) {
        quietFrom = undefined;
        start ??= at;
      } else if (start !== undefined && score < exitThreshold(threshold)) {
        quietFrom ??= at;
        if (at - quietFrom < this.#minSilence * rate) continue;
        if (quietFrom - start > this.#minSpeech * rate) found.push({ start, end: quietFrom });
        start = quietFrom = undefined;
      }
    }
    if (start !== undefined && length - start > this.#minSpeech * rate) found.push({ start, end: length });

    const padding = this.#padding * rate;
    const spoken = found.map(({ start, end }) => scores.slice(start / frame, Math.ceil(end / frame)));
    for (const [at, segment] of found.entries()) {
      const next = found[at + 1];
      if (at === 0) segment.start = Math.max(0, segment.start - padding);
      const silence = next && next.start - segment.end;
      const share = silence !== undefined && silence < 2 * padding ? Math.floor(silence / 2) : padding;
      segment.end = Math.min(length, segment.end + share);
      if (next) next.start = Math.max(0, next.start - share);
    }
    return found.map(({ start, end }, at) => {
      const all = spoken[at]!;
      return { start: start / rate, end: end / rate, score: all.reduce((sum, score) => sum + score, 0) / all.length };
    });
  }
}

/** Speech goes on until a frame is below this. */
function exitThreshold(threshold: number): number {
  return Math.max(threshold - 0.15, 0.01);
}

/**
 * Makes a detector of speech.
 *
 * ```js
 * const detector = await audioDetector("/models/voice-activity-detection/manifest.json");
 * for (const { start, end } of await detector.detect(recording)) console.log(start, end);
 * ```
 *
 * @param source a package of the task `voice-activity-detection`
 * @throws {@link FirebrandError}: what `load` throws; `invalid_argument` for a package of another task;
 *   `invalid_manifest` for one that lacks a parameter
 */
export function audioDetector(source: ModelSource, options: TaskOptions = {}): Promise<AudioDetector> {
  return openTask(source, options, ["voice-activity-detection"], (session, description) => new AudioDetector(session, description));
}
