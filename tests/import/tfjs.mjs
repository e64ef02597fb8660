// Writes tfjs.json beside this file: what TensorFlow.js computes with @upscalerjs/esrgan-slim, and with small models of
// layers that it computes otherwise than Keras; and holds its answers for the models of keras.br against TensorFlow's.
//   npm install @tensorflow/tfjs@4.22.0 (in any folder); make models; node tests/import/tfjs.mjs FOLDER
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { brotliDecompressSync } from "node:zlib";

const tf = createRequire(join(resolve(process.argv[2] ?? "."), "package.json"))("@tensorflow/tfjs");
await tf.setBackend("cpu");

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "firebrand");

function weightsOf(manifest, shards) {
  const data = Buffer.concat(shards);
  return {
    weightSpecs: manifest.flatMap((group) => group.weights),
    weightData: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength),
  };
}

const load = (json, shards) =>
  tf.loadLayersModel(tf.io.fromMemory({ modelTopology: json.modelTopology, format: "layers-model", ...weightsOf(json.weightsManifest, shards) }));

/** The largest difference, as a part of the largest element. */
function difference(got, expected) {
  let largest = 0;
  let size = 0.1;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(got[i] - expected[i]));
    size = Math.max(size, Math.abs(expected[i]));
  }
  return got.length === expected.length ? largest / size : Infinity;
}

async function checkKeras() {
  const raw = brotliDecompressSync(await readFile(new URL("keras.br", import.meta.url)));
  const length = raw.readUInt32LE(0);
  const head = JSON.parse(raw.subarray(4, 4 + length).toString());
  const file = (name) => {
    const [at, size] = head.files[name];
    return raw.subarray(4 + length + at, 4 + length + at + size);
  };
  for (const entry of head.cases) {
    const name = entry.forms["keras2-tfjs"];
    if (!name) continue;
    const floats = ({ file: f, dtype }) => {
      const bytes = Uint8Array.from(file(f)).buffer;
      return dtype === "int32" ? new Int32Array(bytes) : dtype === "int64" ? [...new BigInt64Array(bytes)].map(Number) : new Float32Array(bytes);
    };
    try {
      const model = await load(JSON.parse(file(name).toString()), [file(`${name}.bin`)]);
      const inputs = entry.inputs.map((input) => tf.tensor([...floats(input)], input.shape, input.dtype === "int32" ? "int32" : "float32"));
      const answer = model.predict(inputs.length === 1 ? inputs[0] : inputs);
      const outputs = Array.isArray(answer) ? answer : [answer];
      const worst = outputs.map((output, i) => difference(output.dataSync(), floats(entry.outputs[i])));
      console.log(`${entry.name}: ${outputs.length} outputs, ${Math.max(...worst).toExponential(1)}`);
    } catch (error) {
      console.log(`${entry.name}: ${error.message.slice(0, 160)}`);
    }
  }
}

const list = (tensor) => ({ shape: tensor.shape, values: [...tensor.dataSync()].map((v) => Number(v.toPrecision(9))) });

/** Numbers from a seed, the same at every run. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.round((state / 2 ** 32) * 64 - 32) / 32;
  };
}

async function own(name, model, shape, quantization) {
  const next = random(name.length);
  const number = (name) => (name.includes("variance") ? Math.abs(next()) + 0.5 : next());
  model.setWeights(model.weights.map((w) => tf.tensor(Array.from({ length: w.read().size }, () => number(w.name)), w.shape)));
  let artifacts;
  await model.save(tf.io.withSaveHandler(async (given) => {
    artifacts = given;
    return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
  }));
  let data = Buffer.from(artifacts.weightData);
  let specs = artifacts.weightSpecs;
  if (quantization) {
    const parts = [];
    let at = 0;
    specs = specs.map((spec) => {
      const count = spec.shape.reduce((a, b) => a * b, 1);
      const values = new Float32Array(Uint8Array.from(data.subarray(at, at + 4 * count)).buffer);
      at += 4 * count;
      if (quantization === "float16") {
        // These numbers are whole in float16.
        const half = Uint16Array.from(values, (v) => {
          if (v === 0) return 0;
          const exponent = Math.floor(Math.log2(Math.abs(v)));
          return ((v < 0 ? 1 : 0) << 15) | ((exponent + 15) << 10) | Math.round((Math.abs(v) / 2 ** exponent - 1) * 1024);
        });
        parts.push(Buffer.from(half.buffer));
        return { ...spec, quantization: { dtype: "float16", original_dtype: "float32" } };
      }
      const min = Math.min(...values);
      const most = quantization === "uint8" ? 255 : 65535;
      const scale = (Math.max(...values) - min) / most || 1;
      const codes = [...values].map((v) => Math.round((v - min) / scale));
      parts.push(Buffer.from(quantization === "uint8" ? Uint8Array.from(codes) : Uint16Array.from(codes).buffer));
      return { ...spec, quantization: { dtype: quantization, min, scale, original_dtype: "float32" } };
    });
    data = Buffer.concat(parts);
  }
  const half = Math.floor(data.length / 3);
  const json = {
    format: "layers-model",
    modelTopology: artifacts.modelTopology,
    weightsManifest: [{ paths: ["a.bin", "b.bin"], weights: specs }],
  };
  const shards = [data.subarray(0, half), data.subarray(half)];
  const loaded = await load(json, shards);
  const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next);
  const output = loaded.predict(tf.tensor(values, shape));
  return { name, model: JSON.stringify(json), shards: shards.map((s) => s.toString("base64")), input: { shape, values }, output: list(output) };
}

const L = tf.layers;
const sequential = (...layers) => tf.sequential({ layers });
const cases = [
  await own("upsampling", sequential(L.upSampling2d({ size: [2, 3], interpolation: "bilinear", inputShape: [3, 4, 2] }), L.conv2d({ filters: 2, kernelSize: 3, activation: "hardSigmoid" })), [1, 3, 4, 2]),
  await own("recurrent", sequential(L.lstm({ units: 3, returnSequences: true, inputShape: [4, 2] }), L.bidirectional({ layer: L.gru({ units: 2, recurrentActivation: "sigmoid" }), mergeMode: "concat" }), L.dense({ units: 2 })), [2, 4, 2]),
  await own("convolutions", sequential(L.separableConv2d({ filters: 4, kernelSize: 3, padding: "same", inputShape: [5, 6, 2] }), L.batchNormalization(), L.leakyReLU(), L.depthwiseConv2d({ kernelSize: 2, depthMultiplier: 2 }), L.conv2dTranspose({ filters: 2, kernelSize: 3, strides: 2, padding: "same" })), [2, 5, 6, 2]),
];
for (const quantization of ["uint8", "uint16", "float16"]) {
  cases.push(await own(quantization, sequential(L.conv2d({ filters: 3, kernelSize: 3, activation: "relu", inputShape: [5, 6, 2] }), L.flatten(), L.dense({ units: 3, activation: "softmax" })), [2, 5, 6, 2], quantization));
}

const folder = join(cache, "models/esrgan-slim");
const json = JSON.parse(await readFile(join(folder, "model.json"), "utf8"));
const shards = await Promise.all(json.weightsManifest.flatMap((group) => group.paths).map((path) => readFile(join(folder, path))));
const model = await load(json, shards);
const next = random(3);
const values = Array.from({ length: 12 * 10 * 3 }, () => Math.round((next() + 1) * 127));
const esrgan = { input: { shape: [1, 12, 10, 3], values }, output: list(model.predict(tf.tensor(values, [1, 12, 10, 3]))) };
await writeFile(new URL("tfjs.json", import.meta.url), `${JSON.stringify({ cases, esrgan })}\n`);
await checkKeras();
