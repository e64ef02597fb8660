//! Sound as tasks take it: one channel, at the rate of the model.
import { FirebrandError, abortedError, describe } from "../error.js";
import { typeName } from "../tensor.js";
import { isSampleRate, resampled } from "./resampler.js";

/** Samples from −1 to 1 of one channel, which work in Node too. */
export interface AudioSamples {
  /** Of one channel, from -1 to 1. */
  readonly samples: Float32Array;
  /** Samples a second, a whole number. */
  readonly sampleRate: number;
}

/**
 * What sound may come from: a decoded `AudioBuffer`, whose channels are averaged; samples; or a `Blob` or `File` of a
 * format that the browser decodes.
 */
export type AudioSource = AudioBuffer | AudioSamples | Blob;

/** The sound as one channel of that rate. */
export async function samplesOf(audio: AudioSource, sampleRate: number, signal?: AbortSignal): Promise<Float32Array> {
  if (signal?.aborted) throw abortedError(signal);
  if (typeof audio !== "object" || audio === null) fail(`sound is an AudioBuffer, { samples, sampleRate } or a Blob, got ${typeName(audio)}`);
  if (audio instanceof Blob) {
    const decoded = await decode(audio, sampleRate);
    if (signal?.aborted) throw abortedError(signal);
    return samplesOf(decoded, sampleRate, signal);
  }
  const { sampleRate: from } = audio;
  if (!isSampleRate(from)) fail(`sampleRate is a whole number of samples a second, from 1000 to 768000, got ${String(from)}`);
  const samples = "samples" in audio ? audio.samples : mixed(audio);
  if (!(samples instanceof Float32Array)) fail(`samples are a Float32Array, got ${typeName(samples)}`);
  if (!samples.every(Number.isFinite)) fail("samples are numbers from −1 to 1; some are no number, or infinite");
  return resampled(samples, from, sampleRate);
}

function mixed(audio: AudioBuffer): Float32Array {
  if (typeof audio.getChannelData !== "function" || !(audio.numberOfChannels > 0)) fail("sound is an AudioBuffer, { samples, sampleRate } or a Blob; got an object without samples");
  const { numberOfChannels: channels, length } = audio;
  if (channels === 1) return audio.getChannelData(0);
  const mean = new Float32Array(length);
  for (let channel = 0; channel < channels; channel++) {
    const data = audio.getChannelData(channel);
    for (let at = 0; at < length; at++) mean[at]! += data[at]! / channels;
  }
  return mean;
}

async function decode(file: Blob, sampleRate: number): Promise<AudioBuffer> {
  if (typeof OfflineAudioContext !== "function") {
    throw new FirebrandError("unsupported", "sound: only a page decodes audio files, Node and workers do not: decode it there, and give { samples, sampleRate }");
  }
  if (file.size === 0) throw new FirebrandError("empty_file", "sound: the file is empty (0 bytes)");
  // Decoding resamples to the context's rate; browsers know those from 8000 on.
  const context = new OfflineAudioContext(1, 1, Math.max(8000, sampleRate));
  try {
    return await context.decodeAudioData(await file.arrayBuffer());
  } catch (error) {
    throw new FirebrandError("invalid_argument", `sound: the browser does not decode this file of ${file.size} bytes (${file.type || "no type"}): ${describe(error)}; give WAV, MP3, AAC, Ogg or WebM`, { cause: error });
  }
}

function fail(message: string): never {
  throw new FirebrandError("invalid_argument", `sound: ${message}`);
}
