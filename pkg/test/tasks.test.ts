import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { draw } from "../src/golden.js";
import { samplesOf } from "../src/tasks/audio.js";
import { createNotes } from "../src/tasks/note-creation.js";
import { Resampler, resampled } from "../src/tasks/resampler.js";
import { readTokenizer } from "../src/tasks/tokenizer.js";
import { rejectionOf } from "./thrown.js";

interface Answers {
  createdNotes: { seed: number; notes: [start: number, end: number, pitch: number, amplitude: number][] }[];
  tokens: { text: string; ids: number[] }[];
}
const answers: Answers = JSON.parse(readFileSync(new URL("../../tests/tasks/answers.json", import.meta.url), "utf8"));

describe("note creation", () => {
  for (const { seed, notes: expected } of answers.createdNotes) {
    test(`makes of seeded activations ${seed} what basic_pitch makes of them`, () => {
      const [frames, pitches] = [80, 88];
      const numbers = new Float32Array(draw({ dtype: "float32", shape: [2 * frames * pitches] }, { seed, low: 0, high: 1 }).buffer);
      const notes = numbers.slice(0, frames * pitches).map(Math.sqrt);
      const onsets = numbers.slice(frames * pitches).map((value) => value * value);
      const created = createNotes({ frames, pitches, notes, onsets }, { onset: 0.8, frame: 0.6, minLength: 5 });
      expect(created.map(({ start, end, pitch }) => [start, end, pitch])).toEqual(expected.map(([start, end, pitch]) => [start, end, pitch]));
      for (const [at, { amplitude }] of created.entries()) expect(amplitude).toBeCloseTo(expected[at]![3], 4);
    });
  }

  test("makes nothing of silence", () => {
    const silence = new Float32Array(80 * 88);
    expect(createNotes({ frames: 80, pitches: 88, notes: silence, onsets: silence }, { onset: 0.5, frame: 0.3, minLength: 11 })).toEqual([]);
  });
});

const sine = (frequency: number, rate: number, seconds: number) => Float32Array.from({ length: rate * seconds }, (_, at) => Math.sin((2 * Math.PI * frequency * at) / rate));

/** The largest difference but for the edges, where the sine ends and silence begins. */
function worst(got: Float32Array, expected: Float32Array): number {
  const edge = 400;
  return got.reduce((most, value, at) => (at < edge || at >= got.length - edge ? most : Math.max(most, Math.abs(value - expected[at]!))), 0);
}

describe("the resampler", () => {
  for (const [from, to] of [[44100, 16000], [48000, 16000], [44100, 22050], [8000, 16000], [22050, 48000], [16000, 22050]] as const) {
    test(`keeps a tone from ${from} to ${to} samples a second`, () => {
      const got = resampled(sine(1000, from, 1), from, to);
      expect(got.length).toBe(to);
      expect(worst(got, sine(1000, to, 1))).toBeLessThan(1e-4);
    });
  }

  test("leaves out what the lower rate cannot hold", () => {
    expect(worst(resampled(sine(10_000, 48000, 1), 48000, 16000), new Float32Array(16000))).toBeLessThan(1e-4);
  });

  test("gives the same piece by piece, and holds no more than the window", () => {
    const samples = sine(440, 44100, 1);
    const resampler = new Resampler(44100, 16000);
    const pieces: number[] = [];
    for (let at = 0, step = 1; at < samples.length; at += step, step = (step * 7) % 1009) pieces.push(...resampler.push(samples.subarray(at, at + step)));
    pieces.push(...resampler.end());
    expect(Float32Array.from(pieces)).toEqual(resampled(samples, 44100, 16000));
  });

  test("copies where the rates are the same", () => {
    const samples = Float32Array.of(1, 2, 3);
    const pushed = new Resampler(16000, 16000).push(samples);
    expect(pushed).toEqual(samples);
    expect(pushed).not.toBe(samples);
  });
});

describe("sound", () => {
  const buffer = (...channels: Float32Array[]): AudioBuffer => {
    const like: Pick<AudioBuffer, "sampleRate" | "length" | "numberOfChannels" | "getChannelData"> = { sampleRate: 16000, length: channels[0]!.length, numberOfChannels: channels.length, getChannelData: (at) => channels[at]! as Float32Array<ArrayBuffer> };
    return like as AudioBuffer;
  };

  test("of several channels is their mean", async () => {
    expect(await samplesOf(buffer(Float32Array.of(1, 0, 0.5), Float32Array.of(0, 1, 0.5)), 16000)).toEqual(Float32Array.of(0.5, 0.5, 0.5));
  });

  const wrong: [what: string, given: unknown, kind: string, message: RegExp][] = [
    ["nothing", undefined, "invalid_argument", /got undefined/],
    ["a text", "speech.wav", "invalid_argument", /got string/],
    ["no rate", { samples: new Float32Array(3) }, "invalid_argument", /sampleRate .* got undefined/],
    ["a rate that is no whole number", { samples: new Float32Array(3), sampleRate: 0.5 }, "invalid_argument", /got 0.5/],
    ["samples of another kind", { samples: [1, 2], sampleRate: 16000 }, "invalid_argument", /Float32Array, got a plain array/],
    ["samples that are no number", { samples: Float32Array.of(0, NaN), sampleRate: 16000 }, "invalid_argument", /no number, or infinite/],
    ["an object without samples", { sampleRate: 16000 }, "invalid_argument", /without samples/],
    ["a file, in Node", new Blob(["RIFF"]), "unsupported", /give \{ samples, sampleRate \}/],
  ];
  for (const [what, given, kind, message] of wrong) {
    test(`refuses ${what}`, async () => {
      const error = await rejectionOf(samplesOf(given as never, 16000));
      expect(error.kind).toBe(kind);
      expect(error.message).toMatch(message);
    });
  }
});

test("texts become the tokens that Hugging Face's tokenizers make of them", async ({ skip }) => {
  const cache = process.env.XDG_CACHE_HOME ?? `${process.env.HOME}/.cache`;
  let json: object;
  try {
    json = JSON.parse(readFileSync(`${cache}/firebrand/models/minilm/tokenizer.json`, "utf8"));
  } catch {
    return skip("needs node scripts/models.mjs minilm");
  }
  const tokenize = readTokenizer({ ...json, truncation: null, padding: null });
  for (const { text, ids } of answers.tokens) expect(tokenize(text), text).toEqual(ids);
});
