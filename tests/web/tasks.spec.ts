// firebrand/tasks in a plain page, against what MediaPipe, ONNX Runtime and the models' own packages say (../tasks/oracle.py).
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, type Page } from "@playwright/test";
import { Ajv2020 } from "ajv/dist/2020.js";
import esbuild from "esbuild";
import * as vite from "vite";
import webpack from "webpack";
import { data, installed, root, taskAnswers, taskPackages } from "./places.mjs";
import { serve } from "./server.mjs";

/* The page's own names; see pages/tasks.js. */
declare const tasks: any, open: any, rejection: any, blob: any, picture: any, wav: any, clip: any, countBitmaps: any;

const answers = JSON.parse(readFileSync(join(taskAnswers, "answers.json"), "utf8"));

let server: { address: string; close(): Promise<void> };
test.beforeAll(async () => void (server = await serve()));
test.afterAll(() => server.close());

let complaints: string[];
test.beforeEach(async ({ page }) => {
  complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
});
test.afterEach(() => expect(complaints).toEqual([]));

async function start(page: Page, switches = ""): Promise<void> {
  await page.goto(`${server.address}/${switches}pages/tasks.html`);
  await page.waitForFunction(() => "tasks" in globalThis);
}

test.describe("pictures", () => {
  test("a cup of coffee is espresso, and the best classes come first", async ({ page }) => {
    await start(page);
    const { five, one, hasSession, afterwards } = await page.evaluate(async () => {
      const classifier = await open("imageClassifier", "image-classification");
      const coffee = await picture("coffee.png");
      const five = await classifier.classify(coffee);
      const one = await classifier.classify(coffee, { topK: 1 });
      const hasSession = classifier.session.info.device;
      await classifier[Symbol.asyncDispose]();
      return { five, one, hasSession, afterwards: (await rejection(classifier.classify(coffee))).kind };
    });
    expect(five).toHaveLength(5);
    expect(five[0]).toMatchObject({ label: "espresso", index: 967 });
    expect(five[0].score).toBeGreaterThan(0.8);
    expect(five.map(({ score }: any) => score)).toEqual(five.map(({ score }: any) => score).sort((a: number, b: number) => b - a));
    expect(one).toEqual([five[0]]);
    expect(hasSession).toBe("cpu");
    expect(afterwards).toBe("disposed");
  });

  const parts: Record<string, number[][]> = { astronaut: [], wide: [[0, 0, 512, 300]], twice: [[130, 50, 200, 200], [130, 50, 200, 200]] };
  for (const [name, given] of Object.entries(parts)) {
    test(`faces lie where MediaPipe finds them: ${name}`, async ({ page }) => {
      await start(page);
      const found = await page.evaluate(async (given) => {
        const detector = await open("faceDetector", "face-detection");
        return detector.detect(await picture("astronaut.png", ...given));
      }, given);
      // MediaPipe shrinks pictures without looking at every pixel, and so sees another; given the same pixels, it is near.
      for (const [expected, parts] of [[answers.faces[name].whole, 0.08], [answers.faces[name].prepared, 0.01]]) {
        expect(found).toHaveLength(expected.length);
        for (const { score, box, keypoints } of expected) {
          const near = box[2] * parts;
          const same = found.find((one: any) => Math.abs(one.box.x - box[0]) < near);
          expect(same, `a face at ${box}`).toBeTruthy();
          expect(Math.abs(same.score - score)).toBeLessThan(parts / 3);
          expect(same.label).toBe("face");
          for (const [at, side] of ["x", "y", "width", "height"].entries()) expect(Math.abs(same.box[side] - box[at]), side).toBeLessThan(near);
          expect(same.keypoints.map(({ name }: any) => name)).toEqual(["right-eye", "left-eye", "nose-tip", "mouth-center", "right-ear-tragion", "left-ear-tragion"]);
          for (const [at, { x, y }] of same.keypoints.entries()) expect(Math.hypot(x - keypoints[at][0], y - keypoints[at][1])).toBeLessThan(near);
        }
      }
    });
  }

  test("no face where there is none, and no more than are asked for", async ({ page }) => {
    await start(page);
    const { none, one, sure, asObject } = await page.evaluate(async () => {
      const detector = await open("faceDetector", "face-detection");
      const twice = await picture("astronaut.png", [130, 50, 200, 200], [130, 50, 200, 200]);
      const objects = await open("objectDetector", "face-detection");
      return { none: await detector.detect(await picture("coffee.png")), one: await detector.detect(twice, { maxResults: 1 }), sure: await detector.detect(twice, { minScore: 0.99 }), asObject: (await objects.detect(twice)).length };
    });
    expect(none).toEqual(answers.faces.nobody.whole);
    expect(one).toHaveLength(1);
    expect(sure).toEqual([]);
    expect(asObject).toBe(2);
  });

  test("the mask of a person is MediaPipe's", async ({ page }) => {
    await start(page);
    const { size, labels, mean, values } = await page.evaluate(async (step) => {
      const segmenter = await open("imageSegmenter", "image-segmentation");
      const { width, height, labels, mask } = await segmenter.segment(await picture("astronaut.png"));
      const values: number[] = [];
      for (let y = step / 2; y < height; y += step) for (let x = step / 2; x < width; x += step) values.push(mask[y * width + x]);
      return { size: [width, height, mask.length], labels, mean: mask.reduce((sum: number, value: number) => sum + value, 0) / mask.length, values };
    }, answers.mask.step);
    expect(size).toEqual([512, 512, 512 * 512]);
    expect(labels).toEqual(["person"]);
    // As with faces, MediaPipe sees the same picture only where it was shrunk before.
    for (const [expected, near] of [[answers.mask.whole, 0.03], [answers.mask.prepared, 0.003]]) {
      expect(Math.abs(mean - expected.mean)).toBeLessThan(near);
      expect(values.reduce((sum, value, at) => sum + Math.abs(value - expected.values[at]), 0) / values.length).toBeLessThan(near);
    }
  });

  test("wrong pictures and options are refused by name", async ({ page }) => {
    await start(page);
    const told = await page.evaluate(async () => {
      const classifier = await open("imageClassifier", "image-classification");
      const detector = await open("faceDetector", "face-detection");
      const coffee = await picture("coffee.png");
      const aborted = AbortSignal.abort();
      return Promise.all([
        rejection(classifier.classify("coffee.png")),
        rejection(classifier.classify(new Image())),
        rejection(classifier.classify(coffee, { topK: 0 })),
        rejection(detector.detect(coffee, { minScore: 2 })),
        rejection(detector.detect(coffee, { maxResults: NaN })),
        rejection(detector.detect(coffee, { signal: aborted })),
      ]);
    });
    expect(told).toEqual([
      { kind: "invalid_argument", message: expect.stringContaining("got string") },
      { kind: "invalid_argument", message: expect.stringContaining("no pixels yet") },
      { kind: "invalid_argument", message: expect.stringContaining("topK is a number from 1") },
      { kind: "invalid_argument", message: "minScore is a number from 0 to 1, got 2" },
      { kind: "invalid_argument", message: expect.stringContaining("maxResults") },
      { kind: "aborted", message: expect.any(String) },
    ]);
  });
});

test.describe("sound", () => {
  test("speech is where Silero's own package says, and not in silence", async ({ page }) => {
    await start(page);
    const { segments, silence, nothing, decoded, deaf } = await page.evaluate(async () => {
      const detector = await open("audioDetector", "voice-activity-detection");
      const { samples } = await wav("../data/speech.wav");
      const all = new Float32Array(3 * 16000 + 2 * samples.length);
      all.set(samples, 16000);
      all.set(samples.map((value: number) => value / 2), 2 * 16000 + samples.length);
      return {
        segments: await detector.detect({ samples: all, sampleRate: 16000 }),
        silence: await detector.detect({ samples: new Float32Array(44100), sampleRate: 44100 }),
        nothing: await detector.detect({ samples: new Float32Array(0), sampleRate: 16000 }),
        decoded: await detector.detect(await blob("../data/speech.wav")),
        deaf: await detector.detect({ samples: all, sampleRate: 16000 }, { threshold: 1 }),
      };
    });
    expect(segments.map(({ start, end }: any) => [start, end])).toEqual(answers.speech.segments.map(([start, end]: number[]) => [expect.closeTo(start, 3), expect.closeTo(end, 3)]));
    for (const { score } of segments) expect(score).toBeGreaterThan(0.8);
    expect([silence, nothing, deaf]).toEqual([[], [], []]);
    expect(decoded).toHaveLength(1);
  });

  test("live sound is heard frame by frame, and stops", async ({ page }) => {
    await start(page);
    // Sound needs a click.
    await page.mouse.click(5, 5);
    const { frames, after, wrong } = await page.evaluate(async () => {
      const detector = await open("audioDetector", "voice-activity-detection");
      const context = new AudioContext();
      const buffer = await context.decodeAudioData(await (await blob("../data/speech.wav")).arrayBuffer());
      const source = new AudioBufferSourceNode(context, { buffer, loop: true });
      const output = new MediaStreamAudioDestinationNode(context);
      source.connect(output);
      source.start();
      const frames: any[] = [];
      const heard = new Promise<void>((done) => {
        void detector.stream(output.stream, (frame: any) => frames.push(frame) >= 60 && done()).then((stream: any) => ((globalThis as any).stream = stream));
      });
      await heard;
      await (globalThis as any).stream.stop();
      const count = frames.length;
      const nodes: any[] = [];
      const second = await detector.stream(source, (frame: any) => nodes.push(frame));
      while (nodes.length < 5) await new Promise((done) => setTimeout(done, 20));
      await second.stop();
      await second.stop();
      return { frames, after: frames.length - count, wrong: await rejection(detector.stream({}, () => {})) };
    });
    expect(after).toBe(0);
    for (const [at, { start, end }] of frames.entries()) {
      expect(start).toBeCloseTo(at * 0.032, 6);
      expect(end).toBeCloseTo((at + 1) * 0.032, 6);
    }
    expect(frames.some(({ isActive, score }: any) => isActive && score > 0.9)).toBe(true);
    expect(wrong).toEqual({ kind: "invalid_argument", message: expect.stringContaining("MediaStream or an AudioNode") });
  });

  test("live sound ends with its signal, with its session, and where onResult fails, which is told", async ({ page }) => {
    await start(page);
    await page.mouse.click(5, 5);
    const { afterAbort, failed, disposed, silent } = await page.evaluate(async () => {
      const detector = await open("audioDetector", "voice-activity-detection");
      const context = new AudioContext();
      const source = new OscillatorNode(context);
      source.start();
      const wait = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));
      const ending = new AbortController();
      let heard = 0;
      await new Promise((done) => void detector.stream(source, () => (heard++, done(0)), { signal: ending.signal }));
      ending.abort();
      const before = heard;
      await wait(200);
      const aborted = await detector.stream(source, () => heard++, { signal: ending.signal });
      await wait(100);
      await aborted.stop();
      const failure = (onResult: () => void, then = () => {}) =>
        new Promise<any>((done) => void detector.stream(source, onResult, { onError: ({ kind, message }: any) => done({ kind, message }) }).then(then));
      const failed = await failure(() => {
        throw new Error("a slip");
      });
      const disposed = await failure(() => {}, () => void detector.dispose());
      const silent = await rejection(tasks.audioDetector("../tasks/voice-activity-detection/manifest.json", { device: "cpu" }).then((other: any) => other.stream(new MediaStream(), () => {})));
      return { afterAbort: heard - before, failed, disposed, silent };
    });
    expect(afterAbort).toBe(0);
    expect(failed).toEqual({ kind: "invalid_argument", message: "onResult failed: a slip" });
    expect(disposed.kind).toBe("disposed");
    expect(silent).toEqual({ kind: "invalid_argument", message: expect.stringContaining("no audio track") });
  });

  test("live sound that a slow machine cannot follow is dropped, not kept", async ({ page }) => {
    await start(page);
    await page.mouse.click(5, 5);
    const starts = await page.evaluate(async () => {
      const detector = await open("audioDetector", "voice-activity-detection");
      const run = detector.session.run.bind(detector.session);
      detector.session.run = async (...given: unknown[]) => {
        await new Promise((done) => setTimeout(done, 400));
        return run(...given);
      };
      const source = new OscillatorNode(new AudioContext());
      source.start();
      const starts: number[] = [];
      await new Promise((done) => void detector.stream(source, ({ start, end }: any) => (starts.push(start, end), start > 3 && done(0))));
      return starts;
    });
    const gaps = starts.slice(1).map((at, index) => at - starts[index]!);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0);
    expect(gaps.filter((gap) => gap > 3)).toHaveLength(1);
  });

  test("a tune's notes are Basic Pitch's, and a tone of 440 Hz is A4", async ({ page }) => {
    await start(page);
    const { notes, progress, tone, decoded, aborted } = await page.evaluate(async (melody: number[][]) => {
      const transcriber = await open("noteTranscriber", "note-transcription");
      const rate = 22050;
      const sum = new Float64Array(5 * rate);
      for (const [start, length, pitch, loudness] of melody as [number, number, number, number][]) {
        for (let at = 0; at < Math.round(length * rate); at++) {
          const time = at / rate;
          for (let harmonic = 1; harmonic < 5; harmonic++) sum[Math.round(start * rate) + at]! += (loudness / harmonic / 2) * Math.exp(-2 * time) * Math.sin(2 * Math.PI * 440 * 2 ** ((pitch - 69) / 12) * harmonic * time);
        }
      }
      const samples = Float32Array.from(sum);
      const progress: any[] = [];
      const notes = await transcriber.transcribe({ samples, sampleRate: rate }, { onProgress: (one: any) => progress.push(one) });
      const sine = Float32Array.from({ length: 2 * 48000 }, (_, at) => 0.5 * Math.sin((2 * Math.PI * 440 * at) / 48000));
      const tone = await transcriber.transcribe({ samples: sine, sampleRate: 48000 });
      const stop = new AbortController();
      const aborted = rejection(transcriber.transcribe({ samples, sampleRate: rate }, { signal: stop.signal, onProgress: () => stop.abort() }));
      const context = new OfflineAudioContext(1, 48000, 48000);
      const node = new OscillatorNode(context, { frequency: 440 });
      node.connect(context.destination);
      node.start();
      return { notes, progress, tone, decoded: await transcriber.transcribe(await context.startRendering()), aborted: await aborted };
    }, answers.tune.melody);
    expect(notes.map(({ pitch }: any) => pitch)).toEqual(answers.tune.notes.map(([, , pitch]: number[]) => pitch));
    for (const [at, { start, end, velocity }] of notes.entries()) {
      const [from, to, , loudness] = answers.tune.notes[at];
      // A frame is 12 ms.
      expect(Math.abs(start - from)).toBeLessThan(0.0125);
      expect(Math.abs(end - to)).toBeLessThan(0.0125);
      expect(Math.abs(velocity - loudness)).toBeLessThan(3);
    }
    expect(progress.at(-1)).toEqual({ done: 4, total: 4 });
    expect(tone).toEqual([expect.objectContaining({ pitch: 69, name: "A4" })]);
    expect(tone[0].start).toBeLessThan(0.1);
    expect(tone[0].end).toBeGreaterThan(1.8);
    expect(decoded).toEqual([expect.objectContaining({ name: "A4" })]);
    expect(aborted.kind).toBe("aborted");
  });

  test("what is no sound is refused", async ({ page }) => {
    await start(page);
    const told = await page.evaluate(async () => {
      const detector = await open("audioDetector", "voice-activity-detection");
      return [await rejection(detector.detect(new Blob(["not a sound"], { type: "text/plain" }))), await rejection(detector.detect(new Blob([]))), await rejection(detector.detect({ samples: new Float32Array(9), sampleRate: 0 }))];
    });
    expect(told).toEqual([
      { kind: "invalid_argument", message: expect.stringContaining("does not decode this file of 11 bytes (text/plain)") },
      { kind: "empty_file", message: expect.any(String) },
      { kind: "invalid_argument", message: expect.stringContaining("sampleRate") },
    ]);
  });
});

test.describe("texts, files, rows", () => {
  test("texts that mean the same are near each other", async ({ page }) => {
    await start(page);
    const { lengths, norms, near, far, same, long, wrong } = await page.evaluate(async () => {
      const embedder = await open("textEmbedder", "text-embedding");
      const many = Array.from({ length: 20 }, (_, at) => (at % 2 ? "A man is eating food." : "word ".repeat(at + 1)));
      const vectors = await embedder.embed(many);
      const [alone] = await embedder.embed("A man is eating food.");
      return {
        lengths: vectors.map((vector: Float32Array) => vector.length),
        norms: vectors.map((vector: Float32Array) => Math.hypot(...vector)),
        near: await embedder.similarity("A man is eating food.", "A man is eating a piece of bread."),
        far: await embedder.similarity("A man is eating food.", "The stock market fell sharply today."),
        same: vectors[1].reduce((sum: number, value: number, at: number) => sum + value * alone[at], 0),
        long: (await embedder.embed("word ".repeat(5000)))[0].length,
        wrong: [await rejection(embedder.embed(3)), await rejection(embedder.embed(["a", null]))],
      };
    });
    expect(lengths).toEqual(Array(20).fill(384));
    for (const norm of norms) expect(norm).toBeCloseTo(1, 5);
    expect(Math.abs(near - 0.755)).toBeLessThan(0.01);
    expect(far).toBeLessThan(0.1);
    expect(same).toBeGreaterThan(0.999999);
    expect(long).toBe(384);
    expect(wrong.map(({ kind }) => kind)).toEqual(["invalid_argument", "invalid_argument"]);
  });

  test("files are what Magika says", async ({ page }) => {
    await start(page);
    const read = await page.evaluate(async (kinds: any) => {
      const typer = await open("fileTyper", "file-typing");
      const texts: Record<string, string> = { spaces: `${" \n".repeat(3000)}abc`, prose: "It was a bright cold day in April, and the clocks were striking thirteen. ".repeat(4), long: `${"line of words\n".repeat(700)}  \n\t ` };
      const read: Record<string, any> = {};
      for (const [name, { text, bytes }] of Object.entries<any>(kinds)) {
        if (name === "png" || name === "wav") read[name] = await typer.identify(await blob(name === "png" ? "../data/photos/coffee.png" : "../data/speech.wav"));
        else read[name] = await typer.identify(bytes ? Uint8Array.from(bytes) : new File([text ?? texts[name]!], "file"));
      }
      return { ...read, wrong: await rejection(typer.identify("file.py")) };
    }, answers.kinds);
    const { wrong, ...kinds } = read as any;
    for (const [name, { label, mime, score }] of Object.entries<any>(answers.kinds)) expect(kinds[name], name).toMatchObject({ label, mime, score: expect.closeTo(score, 3) });
    expect(kinds.python.description).toBe("Python source");
    expect(wrong).toEqual({ kind: "invalid_argument", message: expect.stringContaining("got string") });
  });

  test("rows are classified as scikit-learn does", async ({ page }) => {
    await start(page);
    const rows = readFileSync(join(data, "breast-cancer.csv"), "utf8").trim().split("\n").slice(1).map((line) => line.split(",").map(Number)).filter((_, at) => at % 4 === 3);
    const { predictions, named, features, wrong } = await page.evaluate(async (rows) => {
      const predictor = await open("tabularPredictor", "tabular-classification");
      const predictions = [];
      for (const row of rows) predictions.push(await predictor.predict(row.slice(0, 30)));
      const features = predictor.features.map(({ name }: any) => name);
      const object = Object.fromEntries(features.map((name: string, at: number) => [name, String(rows[0]![at])]));
      const { "mean radius": _, ...lacking } = object;
      return { predictions, named: await predictor.predict(object), features, wrong: await Promise.all([rejection(predictor.predict([1, 2])), rejection(predictor.predict({ ...lacking, "mean radios": 1, "worst area": "large" }))]) };
    }, rows);
    expect(features).toHaveLength(30);
    const right = predictions.filter(({ index }, at) => index === rows[at]![30]).length;
    expect(right / rows.length).toBeGreaterThanOrEqual(0.95);
    expect(right / rows.length).toBeCloseTo(answers.rows.accuracy, 5);
    for (const [at, { label, probabilities }] of predictions.entries()) {
      expect(Math.abs(probabilities.malignant - answers.rows.malignant[at])).toBeLessThan(1e-3);
      expect(label).toBe(probabilities.malignant > 0.5 ? "malignant" : "benign");
    }
    expect(named).toEqual(predictions[0]);
    expect(wrong).toEqual([
      { kind: "invalid_argument", message: expect.stringContaining("expected 30 numbers") },
      { kind: "invalid_argument", message: "row: missing: mean radius; not a feature of this model: mean radios; no numbers: worst area" },
    ]);
  });
});

test.describe("video", () => {
  test("frames are dropped rather than queued, and each is freed", async ({ page }) => {
    await start(page);
    const { summary, count, results, closed } = await page.evaluate(async () => {
      const video = await clip(200);
      const detector = await open("faceDetector", "face-detection");
      const count = countBitmaps();
      let results = 0;
      let last: ImageBitmap | undefined;
      const watched = tasks.watchVideo(video, detector, (_: unknown, { bitmap, time }: any) => {
        if (bitmap.width !== 64 || !(time >= 0)) throw new Error(`not the frame: ${bitmap.width} at ${time}`);
        last = bitmap;
        results++;
      });
      await video.play();
      const summary = await watched;
      return { summary, count, results, closed: last?.width };
    });
    expect(summary.results).toBe(results);
    expect(results).toBeGreaterThan(5);
    expect(summary.frames).toBeGreaterThanOrEqual(results);
    expect(count.most).toBe(1);
    expect(count.open).toBe(0);
    expect(count.made).toBeGreaterThanOrEqual(results);
    expect(closed).toBe(0);
  });

  test("a slow task gets the newest frame, a signal ends it, hidden pages wait, and what it throws is thrown", async ({ page }) => {
    await start(page);
    const { slow, times, hidden, thrown, wrong, count } = await page.evaluate(async () => {
      const video = await clip(60);
      video.loop = true;
      await video.play();
      const count = countBitmaps();
      const times: number[] = [];
      const stop = new AbortController();
      const wait = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));
      setTimeout(() => stop.abort(), 1200);
      const slow = await tasks.watchVideo(video, () => wait(200), (_: unknown, { time }: any) => times.push(time), { signal: stop.signal });
      Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
      const hiding = new AbortController();
      setTimeout(() => hiding.abort(), 500);
      const hidden = await tasks.watchVideo(video, () => wait(1), () => {}, { signal: hiding.signal });
      Reflect.deleteProperty(document, "hidden");
      const thrown = await tasks.watchVideo(video, () => Promise.reject(new Error("a slip")), () => {}).catch((error: Error) => error.message);
      const wrong = [await rejection(tasks.watchVideo({}, () => {}, () => {})), await rejection(tasks.watchVideo(video, {}, () => {}))];
      return { slow, times, hidden, thrown, wrong, count };
    });
    expect(slow.results).toBe(times.length);
    expect(slow.results).toBeLessThanOrEqual(6);
    expect(slow.frames).toBeGreaterThan(slow.results);
    expect(hidden.results).toBe(0);
    expect(hidden.frames).toBeGreaterThan(0);
    expect(thrown).toBe("a slip");
    expect(wrong.map(({ kind }) => kind)).toEqual(["invalid_argument", "invalid_argument"]);
    expect(count).toMatchObject({ open: 0, most: 1 });
  });
});

test.describe("packages", () => {
  test("are what the JSON Schema says", () => {
    const schema = JSON.parse(readFileSync(join(installed(), "node_modules/firebrand/schema/manifest-1.json"), "utf8"));
    const validate = new Ajv2020({ allErrors: true, strict: true, strictRequired: false, strictTypes: false }).compile(schema);
    const names = readdirSync(join(root, "www/models"));
    expect(names).toHaveLength(8);
    for (const name of names) {
      const manifest = JSON.parse(readFileSync(join(taskPackages, name, "manifest.json"), "utf8"));
      expect(validate(manifest), `${name}: ${JSON.stringify(validate.errors)}`).toBe(true);
      expect(manifest.task.name).toBe(name);
    }
  });

  test("of another task, of none and bare models are refused, and leave no worker", async ({ page }) => {
    await start(page);
    const told = await page.evaluate(async () => [
      await rejection(open("faceDetector", "file-typing")),
      await rejection(tasks.fileTyper("../packages/tiny/manifest.json", { device: "cpu" })),
      await rejection(tasks.imageClassifier("../models/squeezenet1.1.onnx", { device: "cpu" })),
      await rejection(tasks.imageClassifier("../tasks/nothing/manifest.json", { device: "cpu" })),
    ]);
    expect(told).toEqual([
      { kind: "invalid_argument", message: 'faceDetector: expected a package of the task "face-detection", "magika" is of "file-typing": give it to fileTyper' },
      { kind: "invalid_argument", message: 'fileTyper: expected a package of the task "file-typing", "tiny" is of none: build it with --task file-typing' },
      { kind: "invalid_argument", message: expect.stringContaining("imageClassifier: expected a package (its manifest.json)") },
      { kind: "network", message: expect.stringContaining("404") },
    ]);
    await expect.poll(() => page.workers().length).toBe(0);
  });

  test("a package without a task is enough for a classifier, where it has pictures and labels", async ({ page }) => {
    await start(page);
    const classes = await page.evaluate(async () => (await tasks.imageClassifier("../packages/tiny/manifest.json", { device: "cpu" })).classify(await picture("coffee.png"), { topK: 2 }));
    expect(classes).toHaveLength(2);
    expect(classes[0].label).toMatch(/^thing \d+$/);
  });

  test("a file of the task that is damaged is found", async ({ page }) => {
    await page.route(/content-types-/, async (route) => route.fulfill({ body: "{}" }));
    await start(page);
    const told = await page.evaluate(() => rejection(open("fileTyper", "file-typing", { cache: "none" })));
    expect(told).toEqual({ kind: "integrity", message: expect.stringContaining("content-types-") });
  });

  test("a strict Content-Security-Policy is enough, live sound included", async ({ page }) => {
    await start(page, "~csp/");
    await page.mouse.click(5, 5);
    const heard = await page.evaluate(async () => {
      const detector = await open("audioDetector", "voice-activity-detection");
      const context = new AudioContext();
      const source = new OscillatorNode(context);
      source.start();
      let heard = 0;
      const stream = await detector.stream(source, () => heard++);
      while (heard < 3) await new Promise((done) => setTimeout(done, 20));
      await stream.stop();
      return heard;
    });
    expect(heard).toBeGreaterThanOrEqual(3);
  });
});

test.describe("what is fetched", () => {
  const dist = join(installed(), "node_modules/firebrand/dist");

  test("a page that only runs models fetches nothing of the tasks, and only texts fetch the tokeniser", async ({ page }) => {
    const fetched: string[] = [];
    page.context().on("request", (request) => void (request.url().includes("/pkg/") && fetched.push(request.url().split("/").at(-1)!)));
    await page.goto(`${server.address}/pages/blank.html`);
    await page.waitForFunction(() => "firebrand" in globalThis);
    expect(fetched).toContain("index.js");
    expect(fetched.filter((name) => /task|token|capture/.test(name))).toEqual([]);
    await start(page);
    await page.evaluate(() => open("tabularPredictor", "tabular-classification"));
    expect(fetched.filter((name) => /token|capture/.test(name))).toEqual([]);
    await page.evaluate(() => open("textEmbedder", "text-embedding"));
    expect(fetched.filter((name) => /token|capture/.test(name))).toEqual(["tokenizer.js"]);
  });

  for (const [factory, without] of [["fileTyper", /melody|minNoteLength|overlapThreshold|target_labels_space.*input_ids/], ["noteTranscriber", /target_labels_space|overlapThreshold|input_ids/]] as const) {
    test(`a bundle with ${factory} alone has no other task`, async () => {
      const bundled = await esbuild.build({ stdin: { contents: `export { ${factory} } from "firebrand/tasks";`, resolveDir: installed() }, bundle: true, format: "esm", minify: true, splitting: true, outdir: "out", write: false, external: ["node:*"] });
      const whole = readFileSync(join(dist, "tasks.js"), "utf8");
      expect(whole).toMatch(without);
      const [entry] = bundled.outputFiles;
      expect(entry!.text).not.toMatch(without);
    });
  }
});

test("the examples of docs/tasks.md say what stands beside them", async ({ page }) => {
  test.setTimeout(120_000);
  const text = readFileSync(join(root, "docs/tasks.md"), "utf8");
  const examples = [...text.matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code!);
  expect(examples).toHaveLength(9);
  const printed: string[] = [];
  page.on("console", (message) => printed.push(message.text()));
  for (const example of examples) {
    await start(page);
    if (example.includes("video")) await page.evaluate(async () => void (await clip(60)));
    const code = example.replaceAll('"firebrand/tasks"', '"../pkg/dist/tasks.js"').replaceAll('"/models/', '"../tasks/').replaceAll('"/photos/', '"../data/photos/').replaceAll('"/speech.wav"', '"../data/speech.wav"');
    const name = /\/\/ (.+)$/m.exec(code)?.[1] ?? "";
    printed.length = 0;
    await page.addScriptTag({ type: "module", content: `${code}\nglobalThis.isDone = true;` });
    if (example.includes("video")) await page.evaluate(() => void setTimeout(() => document.querySelector("video")!.play(), 500));
    await page.waitForFunction(() => "isDone" in globalThis, undefined, { timeout: 15_000 });
    for (const word of name.split(" ").filter((word) => !["…", "seconds", "0.76"].includes(word))) expect(printed.join(" "), example).toContain(word);
    expect(printed.length, example).toBeGreaterThan(0);
  }
});

test.describe("bundled without configuration; what is built runs under a strict policy", () => {
  const html = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>Bundled</title><script type="module" src="./main.js"></script></head></html>\n';
  const program = `
    import { audioDetector, textEmbedder } from "firebrand/tasks";
    globalThis.listen = async () => {
      const embedder = await textEmbedder("/tasks/text-embedding/manifest.json", { device: "cpu" });
      const [vector] = await embedder.embed("A text.");
      const detector = await audioDetector("/tasks/voice-activity-detection/manifest.json", { device: "cpu" });
      const source = new OscillatorNode(new AudioContext());
      source.start();
      await new Promise((done, fail) => void detector.stream(source, done).catch(fail));
      return vector.length;
    };
  `;
  let folder: string;
  test.beforeAll(() => {
    folder = mkdtempSync(join(installed(), "bundled-tasks-"));
    writeFileSync(join(folder, "index.html"), html);
    writeFileSync(join(folder, "main.js"), program);
  });
  test.afterAll(() => rmSync(folder, { recursive: true }));

  const bundle: Record<string, (output: string) => Promise<void>> = {
    Vite: async (output) => void (await vite.build({ root: folder, base: "./", logLevel: "warn", build: { outDir: output } })),
    webpack: async (output) => {
      const stats = await new Promise<webpack.Stats>((resolve, reject) =>
        webpack({ mode: "production", performance: { hints: false }, context: folder, entry: "./main.js", output: { path: output, filename: "main.js" } }, (error, stats) => (stats ? resolve(stats) : reject(error))),
      );
      expect(stats.toJson({ errors: true, warnings: true })).toMatchObject({ errors: [], warnings: [] });
      writeFileSync(join(output, "index.html"), html);
    },
    "esbuild, with the package's files beside the bundle": async (output) => {
      mkdirSync(output);
      cpSync(join(installed(), "node_modules/firebrand/dist"), output, { recursive: true });
      const { warnings } = await esbuild.build({ absWorkingDir: folder, entryPoints: ["main.js"], bundle: true, format: "esm", outdir: output, logLevel: "silent" });
      expect(warnings).toEqual([]);
      writeFileSync(join(output, "index.html"), html);
    },
  };
  test("Vite, while developing", async ({ page }) => {
    const development = await vite.createServer({ root: folder, logLevel: "error", cacheDir: join(folder, ".vite"), server: { host: "127.0.0.1", port: 0, proxy: { "/tasks": server.address } } });
    try {
      await development.listen();
      await page.goto(development.resolvedUrls!.local[0]!);
      await page.waitForFunction(() => "listen" in globalThis);
      await page.mouse.click(5, 5);
      expect(await page.evaluate(() => (globalThis as any).listen())).toBe(384);
    } finally {
      await development.close();
    }
  });

  for (const [name, make] of Object.entries(bundle)) {
    test(name, async ({ page }) => {
      const output = join(folder, name.slice(0, 7));
      await make(output);
      const { address, close } = await serve({ root: output });
      try {
        await page.goto(`${address}/~csp/site/`);
        await page.waitForFunction(() => "listen" in globalThis);
        await page.mouse.click(5, 5);
        expect(await page.evaluate(() => (globalThis as any).listen())).toBe(384);
      } finally {
        await close();
      }
    });
  }
});
