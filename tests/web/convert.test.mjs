// The converter and the command line of the packed tarball in Node, against the native program: the same bytes.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { addBias, addExternalBias, biasBytes, unsupported } from "./pages/tiny-model.js";
import { data, installed, models, nativeProgram } from "./places.mjs";

const folder = installed();
const modules = join(folder, "node_modules");
const { FirebrandError, load, Tensor } = await import(pathToFileURL(join(modules, "firebrand/dist/index.js")).href);
const { FirebrandError: SameError, build, convert } = await import(pathToFileURL(join(modules, "firebrand/dist/convert.js")).href);
const npx = join(modules, ".bin/firebrand");
const squeezenet = join(models, "squeezenet1.1.onnx");
const photos = ["coffee.png", "chelsea.png"];
const isKind = (kind) => (error) => error instanceof FirebrandError && error.kind === kind;

let native, place;
before(async () => {
  native = nativeProgram();
  place = await mkdtemp(join(tmpdir(), "firebrand-convert-"));
  await mkdir(join(place, "photos"));
  for (const photo of photos) await writeFile(join(place, "photos", photo), await readFile(join(data, "photos", photo)));
  await writeFile(join(place, "add.onnx"), addBias());
  await writeFile(join(place, "unsupported.onnx"), unsupported());
});
after(() => rm(place, { recursive: true }));

/** What a program prints, and its exit code. */
const done = (program, args) => new Promise((resolve) => execFile(program, args, { cwd: place }, (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr })));

async function filesIn(name) {
  const names = (await readdir(join(place, name))).sort();
  return Object.fromEntries(await Promise.all(names.map(async (file) => [file, new Uint8Array(await readFile(join(place, name, file)))])));
}
const named = (files) => Object.fromEntries([...files].sort((a, b) => (a.name < b.name ? -1 : 1)).map(({ name, bytes }) => [name, bytes]));

const preparation = ["--image-color", "bgr", "--image-mean", "103.939,116.779,123.68", "--image-scale", "1"];
const builds = {
  "a tiny model": ["add.onnx", "--licence", "MIT"],
  "SqueezeNet in int8 with two photos": [squeezenet, "--quantize", "int8", "--data", "photos", "--min-agreement", "50%", ...preparation],
  "a network of TFLite's": [join(models, "hand-landmark-lite.tflite")],
  "SqueezeNet in float16, pruned": [squeezenet, "--quantize", "float16", "--prune", "50%", "--min-agreement", "0"],
};

describe("npx firebrand", () => {
  for (const [what, args] of Object.entries(builds)) {
    test(`builds the same package as the native program: ${what}`, async () => {
      for (const [program, name] of [[native, "native"], [npx, "npx"]]) {
        const { code, stderr } = await done(program, ["build", ...args, "-o", name, "--no-report", "--quiet"]);
        assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      }
      const [expected, got] = await Promise.all([filesIn("native"), filesIn("npx")]);
      assert.ok(Object.keys(expected).includes("manifest.json") && Object.keys(expected).length >= 2);
      assert.deepEqual(got, expected);
    });
  }

  for (const [what, code, args] of [
    ["the version", 0, ["--version"]],
    ["help", 0, ["build", "--help"]],
    ["a model", 0, ["inspect", "add.onnx"]],
    ["a conversion", 0, ["convert", "add.onnx", "-o", "again.onnx"]],
    ["no such command", 1, ["bild"]],
    ["no such file", 1, ["inspect", "none.onnx"]],
    ["a folder as a model", 1, ["inspect", "photos"]],
    ["int8 without samples", 1, ["build", "add.onnx", "--quantize", "int8"]],
    ["a folder that is no package", 1, ["build", "add.onnx", "-o", "photos"]],
    ["an unsupported model", 2, ["inspect", "unsupported.onnx"]],
    ["a result over the budget", 3, ["build", squeezenet, "--prune", "95%", "--no-report"]],
  ]) {
    test(`says what the native program says, exit code ${code}: ${what}`, async () => {
      const [expected, got] = [await done(native, args), await done(npx, args)];
      assert.equal(expected.code, code);
      assert.deepEqual(got, expected);
    });
  }

  test("runs, times and verifies", async () => {
    await done(npx, ["build", "add.onnx", "-o", "verified", "--no-report", "--quiet"]);
    assert.equal((await done(npx, ["verify", "verified"])).code, 0);
    const bench = await done(npx, ["bench", "add.onnx", "--runs", "3", "--json"]);
    assert.equal(bench.code, 0, bench.stderr);
    assert.equal(JSON.parse(bench.stdout).threads, 1);
  });
});

describe("firebrand/convert", () => {
  for (const worker of [false, true]) {
    test(`converts, tells how far it is, and gives a model that runs (worker: ${worker})`, async () => {
      const steps = [];
      const { model, format, notes } = await convert(join(place, "add.onnx"), { worker, onProgress: ({ step }) => steps.push(step) });
      assert.deepEqual([format, notes], ["onnx", []]);
      assert.ok(steps.includes("fetch") && steps.includes("read"));
      const session = await load(model);
      const { sum } = await session.run({ pixels: new Tensor("float32", Float32Array.of(10, 20, 30), [1, 3]) });
      assert.deepEqual([...sum.data], [11, 22, 33]);
    });
  }

  test("reads weight files that are given", async () => {
    await assert.rejects(convert(addExternalBias("bias.bin")), isKind("missing_external_data"));
    const { model } = await convert(addExternalBias("bias.bin"), { externalData: { "bias.bin": biasBytes() } });
    assert.ok(model.byteLength > 12);
  });

  test("builds what the native program builds", async () => {
    const { code } = await done(native, ["build", ...builds["SqueezeNet in int8 with two photos"], "-o", "by-program", "--no-report", "--quiet"]);
    assert.equal(code, 0);
    const samples = Object.fromEntries(photos.map((photo) => [photo, join(place, "photos", photo)]));
    const pictures = { color: "BGR", mean: [103.939, 116.779, 123.68], scale: 1 };
    const { files, report, html } = await build(squeezenet, { quantize: "int8", data: samples, minAgreement: 0.5, pictures, worker: true });
    assert.deepEqual(named(files), await filesIn("by-program"));
    assert.equal(files.at(-1).name, "manifest.json");
    assert.equal(report.precision, "int8");
    assert.equal(report.accuracy.samples, 2);
    assert.ok(report.sizeAfter.raw < report.sizeBefore.raw / 3);
    assert.match(html, /^<!doctype html>/);
  });

  test("errors have kinds", async () => {
    assert.equal(SameError, FirebrandError);
    await assert.rejects(convert(new Uint8Array()), isKind("empty_file"));
    await assert.rejects(convert(addBias().subarray(0, 40), { worker: true }), isKind("truncated"));
    await assert.rejects(build(unsupported()), isKind("unsupported_operator"));
    await assert.rejects(build(addBias(), { quantize: "int8" }), isKind("invalid_argument"));
    await assert.rejects(build(addBias(), { quantize: "int3" }), isKind("invalid_argument"));
    await assert.rejects(build(squeezenet, { prune: 0.95 }), isKind("over_budget"));
  });

  for (const worker of [false, true]) {
    test(`a signal ends a build (worker: ${worker})`, async () => {
      const control = new AbortController();
      let told = 0;
      const building = build(squeezenet, { worker, signal: control.signal, onProgress: ({ step }) => step === "measure original" && ++told === 1 && control.abort() });
      await assert.rejects(building, isKind("aborted"));
      assert.equal(told, 1);
    });
  }
});
