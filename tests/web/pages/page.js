// The package as a plain page sees it: by a relative URL, so that the page's switches apply to it.
import * as firebrand from "../pkg/dist/index.js";
import { readCase, readImage } from "./cases.js";
import { readOptionalProto, readSequenceProto, readTensorProto } from "./tensor-proto.js";
import * as tiny from "./tiny-model.js";

const { FirebrandError, Tensor, load } = firebrand;

/** What an error tells, in a form that crosses to the test. */
function told(error) {
  if (!(error instanceof FirebrandError)) return { kind: `not a FirebrandError: ${error?.stack ?? error}` };
  const { kind, message, node, operator, file, cause } = error;
  return { kind, message, node, operator, file, cause: cause === undefined ? undefined : String(cause) };
}

/** The error of a promise that must reject. */
async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return told(error);
  }
  return { kind: "nothing was thrown" };
}

/** Runs a stored case; how far the outputs are from ONNX Runtime's, and where the largest value is. */
async function runCase(session, folder) {
  const { inputs, outputs, expect } = await readCase(`../cases/${folder}`, Tensor, readImage);
  const results = await session.run(inputs);
  let worst = 0;
  for (const [name, { data, shape }] of Object.entries(outputs)) {
    const got = results[name];
    if (String(got?.shape) !== String(shape)) throw new Error(`${name}: shape ${got?.shape}, expected ${shape}`);
    for (let at = 0; at < data.length; at++) {
      const difference = Math.abs(got.data[at] - data[at]);
      // A NaN is as far away as can be.
      if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
    }
  }
  const scores = results[expect.output].data;
  return { worst, top: scores.indexOf(Math.max(...scores)), expected: expect };
}

const half = (bits) => {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent === 31 ? (fraction ? NaN : Infinity) : exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
  return bits >> 15 ? -size : size;
};

const bfloat = new DataView(new ArrayBuffer(4));
const numbers = { float16: half, bfloat16: (bits) => (bfloat.setUint32(0, bits << 16), bfloat.getFloat32(0)) };

const inWords = (value) => (value === null ? "nothing" : Array.isArray(value) ? `a sequence of ${value.length}` : `${value?.dtype} [${value?.shape}]`);

/** Where a result is not what is stored: nothing, or one line. */
function differences(name, got, expected, { relative, absolute }) {
  if (Array.isArray(got) && Array.isArray(expected) && got.length === expected.length) {
    return expected.flatMap((element, at) => differences(`${name}[${at}]`, got[at], element, { relative, absolute })).slice(0, 1);
  }
  if (got === null && expected === null) return [];
  if (inWords(got) !== inWords(expected) || Array.isArray(got)) return [`${name}: expected ${inWords(expected)}, got ${inWords(got)}`];
  // 8-bit floats are compared by their bits.
  const isFloat = /^b?float(16|32|64)/.test(expected.dtype);
  const value = numbers[expected.dtype] ?? ((element) => element);
  for (let at = 0; at < expected.data.length; at++) {
    const [is, should] = [value(got.data[at]), value(expected.data[at])];
    if (Object.is(is, should) || is === should) continue;
    if (isFloat && Math.abs(is - should) <= absolute + relative * Math.abs(should)) continue;
    return [`${name} at ${at}: expected ${should}, got ${is}`];
  }
  return [];
}

async function fetchBytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** A stored value of the kind that `info` tells. */
function readStored({ kind, optional, dtype }, bytes) {
  if (optional) return readOptionalProto(bytes);
  if (kind === "sequence") return readSequenceProto(bytes);
  const tensor = readTensorProto(bytes);
  // Some cases have their bfloat16 numbers stored as the bits, in uint16.
  return dtype === "bfloat16" && tensor.dtype === "uint16" ? { ...tensor, dtype } : tensor;
}

/** A stored value as a run takes it. */
function asInput(value) {
  if (value === null) return null;
  if (Array.isArray(value)) return value.map(asInput);
  return new Tensor(value.dtype, value.data, value.shape);
}

/** Runs the stored cases in the folder `suite`. `outside` are those with maps, which no file stores. */
async function runStored(suite, cases, { device, ...tolerance }) {
  const outcome = { passed: [], outside: [], failed: [] };
  for (const { name, sets } of cases) {
    const folder = `${suite}/${name}`;
    try {
      const session = await load(`${folder}/model.onnx`, { device, worker: false });
      try {
        if ([...session.inputs, ...session.outputs].some(({ kind }) => kind === "maps")) {
          outcome.outside.push(name);
          continue;
        }
        const wrong = [];
        for (const [set, { outputs }] of sets.entries()) {
          const stored = async (file, info) => readStored(info, await fetchBytes(`${folder}/test_data_set_${set}/${file}.pb`));
          const given = {};
          for (const [at, input] of session.inputs.entries()) given[input.name] = asInput(await stored(`input_${at}`, input));
          const results = await session.run(given);
          for (const [at, output] of session.outputs.slice(0, outputs).entries()) {
            wrong.push(...differences(output.name, results[output.name], await stored(`output_${at}`, output), tolerance));
          }
        }
        if (sets.length === 0) wrong.push("no stored data");
        if (wrong.length > 0) outcome.failed.push(`${name}: ${wrong.join("; ")}`);
        else outcome.passed.push(name);
      } finally {
        await session.dispose();
      }
    } catch (error) {
      outcome.failed.push(`${name}: ${error?.kind ?? error?.name}: ${error?.message ?? error}`);
    }
  }
  return outcome;
}

/** Runs a model whose weights are all alike, on the input that ONNX's runner makes: `i / count` at position `i`. */
async function runLight(name, { device, ...tolerance }) {
  const session = await load(`../data/onnx/light/light_${name}.onnx`, { device });
  const given = {};
  for (const input of session.inputs) {
    const shape = input.shape.map((axis) => (typeof axis === "number" ? axis : 1));
    const count = shape.reduce((product, axis) => product * axis, 1);
    given[input.name] = new Tensor("float32", Float32Array.from({ length: count }, (_, at) => at / count), shape);
  }
  const results = await session.run(given);
  const [output] = session.outputs;
  const wrong = differences(output.name, results[output.name], readTensorProto(await fetchBytes(`../data/onnx/light/light_${name}_output_0.pb`)), tolerance);
  await session.dispose();
  return wrong;
}

/** Runs the stored cases of a real model; where a result is not ONNX Runtime's. Each may be off by `limit` of its largest element. */
async function runModel(model, cases, { device, limit }) {
  const session = await load(`../models/${model}.onnx`, { device });
  const wrong = [];
  for (const name of cases) {
    const folder = `../cases/${model}/${name}`;
    const { inputs, outputs } = await readCase(folder, Tensor);
    const described = await (await fetch(`${folder}/case.json`)).json();
    const results = await session.run(inputs);
    for (const [output, { data, shape }] of Object.entries(outputs)) {
      const got = results[output];
      if (String(got?.shape) !== String(shape)) wrong.push(`${name} ${output}: expected [${shape}], got [${got?.shape}]`);
      else {
        const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
        // Twice what ONNX Runtime's own answers differ by rounding: a third way may lie on either side.
        const allowed = Math.max(limit * largest, 2 * described.outputs[output].noise);
        const at = data.findIndex((value, i) => !(Math.abs(got.data[i] - value) <= allowed));
        if (at >= 0) wrong.push(`${name} ${output} at ${at}: expected ${data[at]}, got ${got.data[at]}`);
      }
    }
  }
  await session.dispose();
  return wrong;
}

const pixels = (...values) => new Tensor("float32", Float32Array.from(values), [values.length / 3, 3]);

/** Whether a session still answers rightly. */
async function answers(session) {
  const { sum } = await session.run({ pixels: pixels(10, 20, 30) });
  return [...sum.data];
}

/** The longest time, in milliseconds, that the page was not free while `work` went on. */
async function longestStall(work) {
  let longest = 0;
  let last = performance.now();
  let isOver = false;
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    // A timer lets the work's own messages in; the channel alone would come first each time.
    if (!isOver) setTimeout(() => channel.port2.postMessage(0), 0);
  };
  channel.port2.postMessage(0);
  const result = await work();
  isOver = true;
  longest = Math.max(longest, performance.now() - last);
  channel.port1.close();
  return { longest, result };
}

Object.assign(globalThis, { firebrand, load, Tensor, tiny, told, rejection, runCase, runStored, runLight, runModel, pixels, answers, longestStall });
