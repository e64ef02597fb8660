// The packed tarball in Node, installed as a user would install it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { readNpy } from "./pages/cases.js";
import { addBias, addExternalBias, biasBytes, identity, unsupported } from "./pages/tiny-model.js";
import { cases, installed, models, packages, root } from "./places.mjs";

const exec = promisify(execFile);
const folder = installed();
const { FirebrandError, Tensor, inspect, load, runtimeVersion } = await import(pathToFileURL(join(folder, "node_modules/firebrand/dist/index.js")).href);
const pixels = (...values) => new Tensor("float32", Float32Array.from(values), [values.length / 3, 3]);
const answers = async (session) => [...(await session.run({ pixels: pixels(10, 20, 30) })).sum.data];
const isKind = (kind) => (error) => error instanceof FirebrandError && error.kind === kind;
const npy = async (path) => readNpy(new Uint8Array(await readFile(path)).buffer);

async function squeezenetInput(name) {
  const { shape: [height, width], data: rgb } = await npy(join(cases, `images/${name}-227.npy`));
  const data = new Uint8ClampedArray(height * width * 4);
  for (let pixel = 0; pixel < height * width; pixel++) data.set([rgb[pixel * 3], rgb[pixel * 3 + 1], rgb[pixel * 3 + 2], 255], pixel * 4);
  return Tensor.fromImage({ width, height, data }, { color: "BGR", mean: [103.939, 116.779, 123.68], scale: 1 });
}

describe("Node", () => {
  let session;
  before(async () => void (session = await load(join(models, "squeezenet1.1.onnx"))));

  for (const [name, index, label] of [["coffee", 967, "espresso"], ["chelsea", 285, "Egyptian cat"]]) {
    test(`SqueezeNet: ${name} is ${label}, as ONNX Runtime says`, async () => {
      const { probabilities } = await session.run({ data: await squeezenetInput(name) });
      const { data: expected } = await npy(join(cases, `squeezenet1.1/${name}/output_0.npy`));
      const worst = Math.max(...expected.map((value, at) => Math.abs(value - probabilities.data[at])));
      assert.ok(worst <= 1e-5, `${worst} off`);
      assert.equal(probabilities.data.indexOf(Math.max(...probabilities.data)), index);
    });
  }

  test("tells what it runs on", () => {
    const { info } = session;
    assert.equal(info.device, "cpu");
    assert.match(info.deviceReason, /no WebGPU/);
    assert.equal(info.runtimeVersion, runtimeVersion);
    assert.equal(info.threads, 1);
  });

  for (const worker of [false, true]) {
    test(`a package, from its folder, tested on this machine (worker: ${worker})`, async () => {
      const path = join(packages, "tiny/manifest.json");
      for (const source of [path, pathToFileURL(path)]) {
        const packaged = await load(source, { worker });
        assert.ok(packaged.info.selfTest.passed && packaged.info.selfTest.maxDifference < 1e-5);
        assert.equal(packaged.manifest.outputs[0].labels[7], "thing 7");
        await packaged.dispose();
      }
    });
  }

  test("a path, a file URL, bytes", async () => {
    const place = await mkdtemp(join(tmpdir(), "firebrand-node-"));
    const file = join(place, "add.onnx");
    await writeFile(file, addBias());
    for (const source of [file, pathToFileURL(file), addBias(), new Blob([addBias()])]) assert.deepEqual(await answers(await load(source)), [11, 22, 33]);
    await writeFile(join(place, "external.onnx"), addExternalBias("bias.bin"));
    await writeFile(join(place, "bias.bin"), biasBytes());
    assert.deepEqual(await answers(await load(join(place, "external.onnx"))), [11, 22, 33]);
    await rm(place, { recursive: true });
  });

  test("a worker thread, where it is asked for", async () => {
    const threaded = await load(addBias(), { worker: true });
    assert.deepEqual(await answers(threaded), [11, 22, 33]);
    const control = new AbortController();
    const running = threaded.run({ pixels: pixels(1, 2, 3) }, { signal: control.signal });
    control.abort();
    await assert.rejects(running, isKind("aborted"));
    assert.deepEqual(await answers(threaded), [11, 22, 33]);
    await threaded.dispose();
    await assert.rejects(threaded.run({ pixels: pixels(1, 2, 3) }), isKind("disposed"));
  });

  test("errors have kinds, and the session answers the next good call", async () => {
    await assert.rejects(load(join(models, "none.onnx")), isKind("io"));
    await assert.rejects(load(new Uint8Array()), isKind("empty_file"));
    await assert.rejects(load(addBias().subarray(0, 40)), isKind("truncated"));
    await assert.rejects(load(unsupported()), (error) => isKind("unsupported_operator")(error) && /Defenestrate \(1 node: "third"\), .*Frobnicate \(2 nodes: "first", "second"\)/.test(error.message));
    await assert.rejects(load(addExternalBias("bias.bin")), isKind("missing_external_data"));
    await assert.rejects(load(addBias(), { device: "webgpu" }), isKind("device_unavailable"));
    const add = await load(addBias());
    await assert.rejects(add.run({ pixel: pixels(1, 2, 3) }), isKind("unknown_input"));
    await assert.rejects(add.run({ pixels: new Tensor("float32", new Float32Array(4), [1, 4]) }), isKind("shape_mismatch"));
    assert.deepEqual(await answers(add), [11, 22, 33]);
    const { operators } = await inspect(unsupported());
    assert.deepEqual(operators.filter(({ supported }) => !supported).map(({ name }) => name).sort(), ["Defenestrate", "Frobnicate"]);
  });

  for (const worker of [false, true]) {
    test(`sequences and optionals go in and come out (worker: ${worker})`, async () => {
      const sequence = await load(identity("bfloat16", { kind: "sequence" }), { worker });
      assert.deepEqual(sequence.inputs, [{ name: "x", kind: "sequence", dtype: "bfloat16", shape: ["length"] }]);
      const parts = [new Tensor("bfloat16", Uint16Array.of(0x3f80, 0), [2]), new Tensor("bfloat16", new Uint16Array(0), [0])];
      assert.deepEqual((await sequence.run({ x: parts })).y, parts);
      assert.deepEqual((await sequence.run({ x: [] })).y, []);
      await sequence.dispose();
      const optional = await load(identity("uint4", { optional: true }), { worker });
      const four = new Tensor("uint4", Uint8Array.of(15), [1]);
      assert.deepEqual((await optional.run({ x: four })).y, four);
      assert.equal((await optional.run({ x: null })).y, null);
      await optional.dispose();
    });
  }

  for (const worker of [false, true]) {
    test(`a process that is done ends, disposed of or not (worker: ${worker})`, async () => {
      const script = `import { load } from "firebrand"; await load(${JSON.stringify(join(models, "squeezenet1.1.onnx"))}, { worker: ${worker} }); console.log("loaded");`;
      const { stdout, stderr } = await exec(process.execPath, ["--input-type=module", "--eval", script], { cwd: folder, timeout: 30_000 });
      assert.equal(stdout, "loaded\n");
      assert.equal(stderr, "");
    });
  }
});

describe("types", () => {
  const program = `
    import { load, inspect, Tensor, FirebrandError, toChromeTrace, type AnyTensor, type ErrorKind, type InputValue, type LoadOptions, type Profile, type Session, type SessionInfo } from "firebrand";
    import { build, convert, FirebrandError as SameError, type BuildReport, type BuiltFile, type ConvertOptions } from "firebrand/convert";
    import { audioDetector, faceDetector, fileTyper, imageClassifier, imageSegmenter, noteTranscriber, objectDetector, tabularPredictor, textEmbedder, watchVideo, type Detection, type ImageClassifier, type Note, type TaskOptions, type WatchSummary } from "firebrand/tasks";
    const options: LoadOptions = { device: "auto", threads: "auto", onProgress: ({ phase, loaded, total }) => void [phase, loaded, total?.toFixed()] };
    const session: Session = await load(new URL("https://x.test/m.onnx"), options);
    const results: Record<string, AnyTensor> = await session.run({ x: new Tensor("float32", new Float32Array(1), [1]) }, { outputs: ["y"] });
    const y = results["y"];
    if (y?.dtype === "float32") { const data: Float32Array = y.data; void data; }
    if (y?.dtype === "int64") { const data: BigInt64Array = y.data; void data; }
    const mixed = await session.run<{ parts: AnyTensor[]; maybe: AnyTensor | null; scores: Map<string, number>[] }>({ list: [new Tensor("int4", new Int8Array(1), [1])], maybe: null });
    const size: number | undefined = mixed.parts[0]?.shape[0] ?? mixed.scores[0]?.get("cat");
    const profiled = await session.run({ x: null }, { profile: true, outputs: ["y"] });
    const profile: Profile = profiled.profile;
    const traced: [AnyTensor | undefined, string, number | undefined] = [profiled.outputs["y"], toChromeTrace(profile), profile.nodes[0]?.outputs[0]?.shape[0]];
    // @ts-expect-error outputs alone have no profile
    (await session.run({ x: null }, { profile: false })).profile.nodes;
    const given = session.inputs.map((input): InputValue => (input.optional ? null : input.kind === "sequence" ? [] : new Tensor(input.dtype, [] as never, [0])));
    const info: SessionInfo = session.info;
    const kind: ErrorKind = new FirebrandError("aborted", "x").kind;
    // @ts-expect-error the array must fit the dtype
    new Tensor("float32", new Int32Array(1), [1]);
    // @ts-expect-error no such device
    await load("m.onnx", { device: "gpu" });
    await session[Symbol.asyncDispose]();
    // @ts-expect-error a list of numbers is no sequence
    await session.run({ list: [1, 2] });
    const converting: ConvertOptions = { worker: false, onProgress: ({ step, done, total }) => void [step, done / total] };
    const model: Uint8Array = (await convert("m.tflite", converting)).model;
    const built = await build(model, { quantize: "int8", data: { "a.png": new Blob() }, pictures: { size: [8, 9], mean: 1 } });
    const [file, report]: [BuiltFile | undefined, BuildReport] = [built.files[0], built.report];
    const same: FirebrandError = new SameError("over_budget", "x");
    // @ts-expect-error no such precision
    await build(model, { quantize: "int3" });
    const asked: TaskOptions = options;
    await using classifier: ImageClassifier = await imageClassifier("m/manifest.json", asked);
    const label: string | undefined = (await classifier.classify({ width: 1, height: 1, data: new Uint8Array(4) }, { topK: 1 }))[0]?.label;
    const faces = await faceDetector("m/manifest.json");
    const found: Detection[] = await faces.detect(new ImageData(1, 1), { minScore: 0.5, maxResults: 2 });
    const summary: WatchSummary = await watchVideo(document.createElement("video"), faces, (now, { time }) => void [now[0]?.box.x, time.toFixed()]);
    await watchVideo(document.createElement("video"), async (frame) => frame.width, (width) => void width.toFixed());
    // @ts-expect-error what hears speech sees nothing
    await watchVideo(document.createElement("video"), await audioDetector("m/manifest.json"), () => {});
    const notes: Note[] = await (await noteTranscriber("m/manifest.json")).transcribe({ samples: new Float32Array(1), sampleRate: 8000 });
    const vectors: Float32Array[] = await (await textEmbedder("m/manifest.json")).embed(["a", "b"]);
    const mime: string = (await (await fileTyper("m/manifest.json")).identify(new Blob())).mime;
    const probability: number | undefined = (await (await tabularPredictor("m/manifest.json")).predict({ age: 3 })).probabilities["old"];
    const mask: Float32Array = (await (await imageSegmenter("m/manifest.json")).segment(new ImageData(1, 1))).mask;
    // @ts-expect-error texts are no pictures
    await (await objectDetector("m/manifest.json")).detect("a.png");
    export { found, label, mask, mime, notes, probability, summary, vectors };
    export { file, report, same };
    export { info, kind, inspect, size, given, traced };
  `;
  for (const [moduleResolution, module] of [["bundler", "esnext"], ["node16", "node16"], ["nodenext", "nodenext"]]) {
    test(`of the tarball hold under strict TypeScript, moduleResolution ${moduleResolution}`, async () => {
      const file = join(folder, `types-${moduleResolution}.ts`);
      await writeFile(file, program);
      const tsc = join(root, "pkg/node_modules/typescript/bin/tsc");
      const options = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--skipLibCheck", "false", "--types", "", "--target", "es2022", "--lib", "es2023,dom", "--module", module, "--moduleResolution", moduleResolution];
      const { stdout } = await exec(process.execPath, [tsc, ...options, file], { cwd: folder }).catch((error) => error);
      assert.equal(stdout, "");
    });
  }
});
