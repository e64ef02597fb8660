// Sessions of firebrand/ort beside those of onnxruntime-web, on models of a few numbers.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { writeModel } from "../web/pages/tiny-model.js";
import { root } from "../web/places.mjs";
import { FirebrandError, ours, outcomeOf, plain, theirs } from "./modules.mjs";

/** outputs = Op(inputs), all of one shape unless they say otherwise. */
const single = (op, inputs, outputs, more = {}) =>
  writeModel({ inputs, outputs, nodes: [{ op, name: "node", inputs: inputs.map(({ name }) => name), outputs: outputs.map(({ name }) => name) }], ...more });
const value = (name, shape, dtype = "float32") => ({ name, shape, dtype });
const add = single("Add", [value("a", ["N", 2]), value("b", ["N", 2])], [value("sum", ["N", 2])]);
const two = writeModel({
  inputs: [value("x", [2])],
  outputs: [value("negative", [2]), value("absolute", [2])],
  nodes: [
    { op: "Neg", name: "neg", inputs: ["x"], outputs: ["negative"] },
    { op: "Abs", name: "abs", inputs: ["x"], outputs: ["absolute"] },
  ],
});
const identity = (dtype, shape = ["N"]) => single("Identity", [value("x", shape, dtype)], [value("y", shape, dtype)], { opset: 21 });

/** Runs the same on both, and gives both outcomes. */
async function onBoth(model, use, options) {
  const outcomes = [];
  for (const ort of [theirs, ours]) {
    outcomes.push(
      await outcomeOf(async () => {
        const session = await ort.InferenceSession.create(model, typeof options === "object" ? { ...options } : options);
        try {
          return await use(session, ort);
        } finally {
          await session.release();
        }
      }),
    );
  }
  return outcomes;
}

async function same(model, use, options) {
  const [expected, got] = await onBoth(model, use, options);
  if (expected.error) throw expected.error;
  if (got.error) throw got.error;
  assert.deepEqual(got.value, expected.value);
  return got.value;
}

/** Both refuse; ours is a FirebrandError of a kind, with the words that theirs opens with. */
async function refused(model, use, kind, words, options) {
  const [expected, got] = await onBoth(model, use, options);
  assert.ok(expected.error, "onnxruntime-web refuses it");
  assert.ok(expected.error.message.includes(words), expected.error.message);
  assert.ok(got.error instanceof FirebrandError, String(got.error ?? "nothing was refused"));
  assert.equal(got.error.kind, kind);
  assert.ok(got.error.message.includes(words), got.error.message);
}

const x = (ort, ...numbers) => new ort.Tensor("float32", Float32Array.from(numbers), [numbers.length]);
const pair = (ort, ...numbers) => new ort.Tensor("float32", Float32Array.from(numbers), [numbers.length / 2, 2]);
const plainAll = (results) => Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, plain(tensor)]));

test("names and metadata are the same", async () => {
  const describe = ({ inputNames, outputNames, inputMetadata, outputMetadata }) => ({ inputNames, outputNames, inputMetadata, outputMetadata });
  await same(add, describe);
  await same(two, describe);
  for (const dtype of ["float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool", "string"]) await same(identity(dtype), describe);
  await same(identity("int64", []), describe);
  await same(single("SequenceConstruct", [value("a", [2])], [{ ...value("list", [2]), kind: "sequence" }]), describe);
});

test("an axis without a length or a name has an empty one", async () => {
  const session = await ours.InferenceSession.create(identity("float32", [2, "", 3]));
  // onnxruntime-web says 4294967295.
  assert.deepEqual(session.inputMetadata[0].shape, [2, "", 3]);
  await session.release();
});

test("free dimensions are overridden in the metadata, and other lengths refused", async () => {
  const options = { freeDimensionOverrides: { N: 1 } };
  await same(add, (session) => session.inputMetadata, options);
  await same(add, async (session, ort) => plainAll(await session.run({ a: pair(ort, 1, 2), b: pair(ort, 3, 4) })), options);
  await refused(add, (session, ort) => session.run({ a: pair(ort, 1, 2, 3, 4), b: pair(ort, 1, 2, 3, 4) }), "shape_mismatch", "Got invalid dimensions for input: a", options);
});

test("axes of one name must have one length, which onnxruntime-web does not ask for", async () => {
  const [expected, got] = await onBoth(add, (session, ort) => session.run({ a: pair(ort, 1, 2), b: pair(ort, 1, 2, 3, 4) }));
  assert.deepEqual([...expected.value.sum.data], [2, 4, 4, 6]);
  assert.equal(got.error.kind, "shape_mismatch");
});

test("every way to ask for outputs gives the same", async () => {
  const ways = [
    [],
    [{}],
    [{ tag: "first" }],
    [["absolute"]],
    [["absolute", "negative"], {}],
    [{ negative: null }],
    [{ negative: null, absolute: null }, { tag: "second" }],
    [undefined, undefined],
  ];
  for (const way of ways) await same(two, async (session, ort) => plainAll(await session.run({ x: x(ort, -1, 2) }, ...way)));
});

test("an output is written to the tensor that is given for it", async () => {
  const session = await ours.InferenceSession.create(two);
  const absolute = x(ours, 0, 0);
  const array = absolute.data;
  const results = await session.run({ x: x(ours, -1, 2) }, { absolute });
  assert.equal(results.absolute, absolute);
  assert.deepEqual([...array], [1, 2]);
  for (const [other, kind] of [
    [x(ours, 0), "shape_mismatch"],
    [new ours.Tensor("int32", [0, 0]), "dtype_mismatch"],
  ]) {
    await assert.rejects(session.run({ x: x(ours, -1, 2) }, { absolute: other }), { name: "FirebrandError", kind });
  }
  await session.release();
});

test("values of every type go in and come out", async () => {
  const made = {
    float32: (ort) => new ort.Tensor("float32", [1.5, -2], [2]),
    float64: (ort) => new ort.Tensor(Float64Array.of(1.5, -2)),
    float16: (ort) => new ort.Tensor("float16", Uint16Array.of(0x3e00, 0xc000), [2]),
    int8: (ort) => new ort.Tensor("int8", [-3, 4], [2]),
    uint8: (ort) => new ort.Tensor(Uint8ClampedArray.of(3, 250)),
    int16: (ort) => new ort.Tensor("int16", [-300, 400], [2]),
    uint16: (ort) => new ort.Tensor(Uint16Array.of(3, 65000)),
    int32: (ort) => new ort.Tensor("int32", [-3, 2 ** 31 - 1], [2]),
    uint32: (ort) => new ort.Tensor("uint32", [3, 2 ** 32 - 1], [2]),
    int64: (ort) => new ort.Tensor("int64", [-3n, 2n ** 62n], [2]),
    uint64: (ort) => new ort.Tensor("uint64", [3, 4], [2]),
    bool: (ort) => new ort.Tensor([true, false]),
    string: (ort) => new ort.Tensor(["ein", "zwei"]),
  };
  for (const [dtype, make] of Object.entries(made)) await same(identity(dtype), async (session, ort) => plainAll(await session.run({ x: make(ort) })));
});

test("tensors without elements go in and come out, as an empty past of a decoder does", async () => {
  await same(identity("float32", ["N", 4]), async (session, ort) => plainAll(await session.run({ x: new ort.Tensor("float32", [], [0, 4]) })));
  await same(identity("string"), async (session, ort) => plainAll(await session.run({ x: new ort.Tensor("string", []) })));
});

test("4-bit numbers are packed, two to a byte", async () => {
  for (const [dtype, bytes, float] of [
    ["int4", [0x78, 0x0f], [-8, 7, -1]],
    ["uint4", [0x78, 0x0f], [8, 7, 15]],
  ]) {
    const cast = single("DequantizeLinear", [value("x", [3], dtype), value("scale", [])], [value("y", [3])], { opset: 21 });
    const run = async (session, ort) => [...(await session.run({ x: new ort.Tensor(dtype, Uint8Array.from(bytes), [3]), scale: new ort.Tensor("float32", [1], []) })).y.data];
    assert.deepEqual(await same(cast, run), float);
  }
  const session = await ours.InferenceSession.create(identity("int4", [3]));
  const { y } = await session.run({ x: new ours.Tensor("int4", Int8Array.of(0x78, 0x0f), [3]) });
  assert.deepEqual(plain(y), { type: "int4", dims: [3], size: 3, location: "cpu", array: "Uint8Array", data: [0x78, 0x0f] });
  await session.release();
});

test("an input that is declared as a single number takes [1], as programs give it", async () => {
  const scaled = single("Mul", [value("x", [2]), value("factor", [])], [value("y", [2])]);
  for (const dims of [[], [1], [1, 1]]) await same(scaled, async (session, ort) => [...(await session.run({ x: x(ort, 1, 2), factor: new ort.Tensor("float32", [3], dims) })).y.data]);
});

test("what does not fit is refused in words that are known", async () => {
  const good = (ort) => ({ x: x(ort, 1, 2) });
  await refused(two, (session) => session.run({}), "missing_input", "input 'x' is missing in 'feeds'.");
  await refused(two, (session, ort) => session.run({ ...good(ort), other: x(ort, 1) }), "unknown_input", "invalid input 'other'");
  await refused(two, (session, ort) => session.run({ x: x(ort, 1, 2, 3) }), "shape_mismatch", "Got invalid dimensions for input");
  await refused(two, (session, ort) => session.run({ x: new ort.Tensor(Float64Array.of(1, 2)) }), "dtype_mismatch", "Unexpected input data type");
  await refused(two, (session, ort) => session.run(x(ort, 1)), "invalid_argument", "'feeds' must be an object");
  await refused(two, (session) => session.run(null), "invalid_argument", "'feeds' must be an object");
  await refused(two, (session, ort) => session.run(good(ort), null), "invalid_argument", "Unexpected argument[1]: cannot be null.");
  await refused(two, (session, ort) => session.run(good(ort), []), "invalid_argument", "'fetches' cannot be an empty array.");
  await refused(two, (session, ort) => session.run(good(ort), ["sum"]), "unknown_output", "'fetches' contains invalid output name: sum.");
  await refused(two, (session, ort) => session.run(good(ort), [1]), "invalid_argument", "'fetches' must be a string array or an object.");
  await refused(two, (session, ort) => session.run(good(ort), x(ort, 1)), "invalid_argument", "'fetches' cannot be a Tensor");
  await refused(two, (session, ort) => session.run(good(ort), 3), "invalid_argument", "Unexpected argument[1]: must be 'fetches' or 'options'.");
  await refused(two, (session, ort) => session.run(good(ort), ["negative"], 3), "invalid_argument", "'options' must be an object.");
  await refused(two, async (session, ort) => (await session.release(), session.run(good(ort))), "disposed", "invalid session id");
  const disposed = async (session, ort) => {
    const tensor = x(ort, 1, 2);
    tensor.dispose();
    return session.run({ x: tensor });
  };
  // onnxruntime-web has other words here.
  await refused(two, disposed, "disposed", "");
  await refused(two, (session) => session.run({ x: [1, 2] }), "invalid_argument", "");
});

test("what is no model is refused in words that are known", async () => {
  await refused(Uint8Array.of(1, 2, 3), () => {}, "not_a_model", "Can't create a session.");
  await refused(new Uint8Array(), () => {}, "empty_file", "Can't create a session.");
  await refused(writeModel({ inputs: [value("x", [1])], outputs: [value("y", [1])], nodes: [{ op: "Unheard", name: "n", inputs: ["x"], outputs: ["y"] }] }), () => {}, "unsupported_operator", "No Op registered");
  for (const given of [undefined, null, 3, {}, [1]]) await refused(given, () => {}, "invalid_argument", "Unexpected argument[0]: must be 'path' or 'buffer'.");
  await refused(two, () => {}, "invalid_argument", "'options' must be an object.", 3);
});

test("ONNX Runtime's own format is refused by name", async () => {
  const bytes = Uint8Array.of(0, 0, 0, 0, ...new TextEncoder().encode("ORTM"), 0);
  for (const source of [bytes, "model.ort"]) await assert.rejects(ours.InferenceSession.create(source), { kind: "unsupported", message: /ONNX Runtime's own format/ });
});

test("a part of a buffer is a model", async () => {
  const buffer = new Uint8Array(two.length + 7);
  buffer.set(two, 5);
  for (const ort of [theirs, ours]) {
    const session = await ort.InferenceSession.create(buffer.buffer, 5, two.length, { graphOptimizationLevel: "disabled" });
    assert.deepEqual(session.outputNames, ["negative", "absolute"]);
    await session.release();
    for (const [at, length, words] of [
      [1.5, undefined, "'byteOffset' must be an integer."],
      [-1, undefined, "'byteOffset' is out of range"],
      [5, 1.5, "'byteLength' must be an integer."],
      [5, 10 ** 6, "'byteLength' is out of range"],
      [5, "all", "'byteLength' must be a number."],
    ]) {
      await assert.rejects(ort.InferenceSession.create(buffer.buffer, at, length), (error) => error.message.includes(words));
    }
  }
});

test("sequences and maps are refused where ONNX Runtime's JavaScript has no value for them", async () => {
  const sequence = single("SequenceConstruct", [value("a", [2])], [{ ...value("list", [2]), kind: "sequence" }]);
  await refused(sequence, (session, ort) => session.run({ a: x(ort, 1, 2) }), "unsupported", "Reading data from non-tensor typed value is not supported");
});

test("arrays stay the caller's, and calls that do not wait are answered in order", async () => {
  const session = await ours.InferenceSession.create(two);
  const data = Float32Array.of(1, 2);
  const feeds = { x: new ours.Tensor("float32", data, [2]) };
  const runs = [1, 2, 3].map((factor) => {
    data.set([factor, -factor]);
    return session.run(feeds);
  });
  assert.deepEqual((await Promise.all(runs)).map(({ negative }) => [...negative.data]), [[-1, 1], [-2, 2], [-3, 3]]);
  assert.deepEqual([...data], [3, -3]);
  await session.release();
  await session.release();
});

test("tensors of another copy of onnxruntime-common are taken", async () => {
  const session = await ours.InferenceSession.create(two);
  const { absolute } = await session.run({ x: x(theirs, -5, 6) });
  assert.deepEqual([...absolute.data], [5, 6]);
  await session.release();
});

test("a package's manifest is loaded as a model is", async () => {
  const manifest = join(root, "tests/package/tiny/manifest.json");
  const session = await ours.InferenceSession.create(manifest);
  const [{ name, shape, type }] = session.inputMetadata;
  const dims = shape.map((axis) => (typeof axis === "number" ? axis : 1));
  const size = dims.reduce((count, axis) => count * axis, 1);
  const results = await session.run({ [name]: new ours.Tensor(type, Array.from({ length: size }, () => 0), dims) });
  assert.deepEqual(Object.keys(results), [...session.outputNames]);
  await session.release();
});

test("weights beside a model are given by name", async () => {
  const { addExternalBias, biasBytes } = await import("../web/pages/tiny-model.js");
  const model = addExternalBias("bias.bin");
  const folder = mkdtempSync(join(tmpdir(), "firebrand-ort-"));
  after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "bias.bin"), biasBytes());
  const run = async (session, ort) => plainAll(await session.run({ pixels: new ort.Tensor("float32", [10, 20, 30], [1, 3]) }));
  await same(model, run, { externalData: [{ path: "bias.bin", data: biasBytes() }] });
  await same(model, run, { externalData: [{ path: "./bias.bin", data: new Blob([biasBytes()]) }] });
  const session = await ours.InferenceSession.create(model, { externalData: [join(folder, "bias.bin")] });
  assert.deepEqual([...(await session.run({ pixels: new ours.Tensor("float32", [10, 20, 30], [1, 3]) })).sum.data], [11, 22, 33]);
  await session.release();
  await refused(model, run, "missing_external_data", "Can't create a session.");
});
