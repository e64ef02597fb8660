// firebrand/tasks of the packed tarball in Node: what needs no browser, from paths.
import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { readNpy } from "./pages/cases.js";
import { cases, data, installed, taskAnswers, taskPackages } from "./places.mjs";

const dist = join(installed(), "node_modules/firebrand/dist");
const { FirebrandError } = await import(pathToFileURL(join(dist, "index.js")).href);
const tasks = await import(pathToFileURL(join(dist, "tasks.js")).href);
const answers = JSON.parse(await readFile(join(taskAnswers, "answers.json"), "utf8"));
const open = (factory, name) => tasks[factory](join(taskPackages, name, "manifest.json"));
const isKind = (kind, message) => (error) => error instanceof FirebrandError && error.kind === kind && message.test(error.message);

async function speech() {
  const bytes = await readFile(join(data, "speech.wav"));
  const at = bytes.indexOf("data");
  return Float32Array.from({ length: bytes.readUInt32LE(at + 4) / 2 }, (_, sample) => bytes.readInt16LE(at + 8 + 2 * sample) / 32768);
}

describe("tasks in Node", () => {
  test("pixels are classified", async () => {
    const { shape: [height, width], data: rgb } = readNpy(new Uint8Array(await readFile(join(cases, "images/coffee-227.npy"))).buffer);
    const pixels = new Uint8ClampedArray(height * width * 4);
    for (let pixel = 0; pixel < height * width; pixel++) pixels.set([rgb[pixel * 3], rgb[pixel * 3 + 1], rgb[pixel * 3 + 2], 255], pixel * 4);
    const classifier = await open("imageClassifier", "image-classification");
    const [best] = await classifier.classify({ width, height, data: pixels });
    assert.equal(best.label, "espresso");
    await classifier.dispose();
    await assert.rejects(classifier.classify({ width, height, data: pixels }), isKind("disposed", /./));
  });

  test("samples at any rate are heard", async () => {
    const detector = await open("audioDetector", "voice-activity-detection");
    const spoken = await speech();
    const twice = Float32Array.from({ length: 2 * spoken.length }, (_, at) => spoken[at >> 1]);
    for (const [samples, sampleRate] of [[spoken, 16000], [twice, 32000]]) {
      const [segment, ...others] = await detector.detect({ samples, sampleRate });
      assert.equal(others.length, 0);
      assert.ok(segment.start < 0.12 && segment.end > 0.45 && segment.score > 0.8, JSON.stringify(segment));
    }
    await assert.rejects(detector.detect(new Blob(["RIFF"])), isKind("unsupported", /give \{ samples, sampleRate \}/));
    await assert.rejects(detector.stream({}, () => {}), isKind("unsupported", /no Web Audio/));
    await detector.dispose();
  });

  test("a tone is a note", async () => {
    const transcriber = await open("noteTranscriber", "note-transcription");
    const samples = Float32Array.from({ length: 32000 }, (_, at) => 0.5 * Math.sin((2 * Math.PI * 261.6256 * at) / 16000));
    const notes = await transcriber.transcribe({ samples, sampleRate: 16000 });
    assert.deepEqual(notes.map(({ name }) => name), ["C4"]);
    assert.deepEqual(await transcriber.transcribe({ samples: new Float32Array(0), sampleRate: 16000 }), []);
    await transcriber.dispose();
  });

  test("texts, files and rows", async () => {
    const embedder = await open("textEmbedder", "text-embedding");
    assert.ok(Math.abs((await embedder.similarity("A man is eating food.", "A man is eating a piece of bread.")) - 0.755) < 0.01);
    assert.equal((await embedder.embed([])).length, 0);
    await embedder.dispose();
    const typer = await open("fileTyper", "file-typing");
    for (const name of ["python", "json", "html"]) {
      const { text, label, score } = answers.kinds[name];
      for (const file of [new TextEncoder().encode(text), new Blob([text]), new TextEncoder().encode(text).buffer]) {
        const found = await typer.identify(file);
        assert.equal(found.label, label);
        assert.ok(Math.abs(found.score - score) < 1e-3, `${name}: ${found.score}`);
      }
    }
    await typer.dispose();
    const predictor = await open("tabularPredictor", "tabular-classification");
    await assert.rejects(predictor.predict({}), isKind("invalid_argument", /missing: mean radius, .*worst fractal dimension/));
    await predictor.dispose();
  });

  test("video is a page's", async () => {
    await assert.rejects(tasks.watchVideo({}, () => {}, () => {}), isKind("invalid_argument", /takes a video element/));
  });
});

describe("packages that lack something", () => {
  const set = (name, value) => (manifest) => void (manifest.task.parameters[name] = value);
  const wrong = [
    ["imageClassifier", "image-classification", (m) => delete m.outputs[0].labels, /has no output with labels/],
    ["imageClassifier", "image-classification", (m) => delete m.inputs[0].preprocessing, /has no input with preprocessing of pictures/],
    ["imageClassifier", "image-classification", (m) => (m.inputs[0].preprocessing.size = [0, 1]), /a size of pictures that is none: \[0,1\]/],
    ["faceDetector", "face-detection", (m) => delete m.task.parameters, /task.parameters.labels: nothing, expected a list of texts/],
    ["faceDetector", "face-detection", set("labels", []), /an empty list of task.parameters.labels/],
    ["faceDetector", "face-detection", set("anchors", [{ stride: 8 }]), /anchors: .*expected a list of objects with the numbers stride, perCell/],
    ["faceDetector", "face-detection", set("anchors", [{ stride: 1, perCell: 1e9 }]), /too many anchors/],
    ["faceDetector", "face-detection", set("anchors", [{ stride: 8, perCell: -1 }]), /whole number/],
    ["faceDetector", "face-detection", set("overlapThreshold", "0.3"), /overlapThreshold: "0.3", expected a number from 0 to 1/],
    ["imageSegmenter", "image-segmentation", set("labels", ["person", "dog"]), /several outputs or labels/],
    ["imageSegmenter", "image-segmentation", (m) => (m.inputs[0].preprocessing.fit = "cover"), /cuts pictures/],
    ["audioDetector", "voice-activity-detection", (m) => delete m.inputs[0].preprocessing, /no input with preprocessing of sound/],
    ["audioDetector", "voice-activity-detection", (m) => (m.inputs[0].preprocessing.sampleRate = 1), /a sample rate that is none: 1/],
    ["audioDetector", "voice-activity-detection", set("frame", 0.5), /frame: 0.5, expected/],
    ["noteTranscriber", "note-transcription", (m) => (m.inputs[0].shape = ["batch", "samples", 1]), /no windows of a fixed length/],
    ["noteTranscriber", "note-transcription", set("overlap", 31), /an overlap of 31 frames/],
    ["noteTranscriber", "note-transcription", set("notes", 1), /notes: 1, expected a text/],
    ["textEmbedder", "text-embedding", (m) => delete m.task.files, /no file "tokenizer" among those of its task/],
    ["textEmbedder", "text-embedding", set("maxTokens", 0), /maxTokens: 0/],
    ["fileTyper", "file-typing", (m) => (m.task.files.config = m.task.files["content-types"]), /"config" no configuration of Magika's models/],
    ["fileTyper", "file-typing", (m) => (m.task.files["content-types"] = m.task.files.config), /nothing in its file "content-types" of/],
    ["tabularPredictor", "tabular-classification", set("features", ["a", "a"]), /no names, or one twice/],
  ];
  for (const [factory, name, edit, message] of wrong) {
    test(`${factory}: ${message.source}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), "firebrand-task-"));
      try {
        for (const file of await readdir(join(taskPackages, name))) if (!file.startsWith("manifest")) await symlink(join(taskPackages, name, file), join(folder, file));
        const manifest = JSON.parse(await readFile(join(taskPackages, name, "manifest.json"), "utf8"));
        edit(manifest);
        await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest));
        await assert.rejects(tasks[factory](join(folder, "manifest.json"), { selfTest: false }), isKind("invalid_manifest", message));
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }
});
