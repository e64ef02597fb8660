// Tensors of firebrand/ort beside those of onnxruntime-common: the same calls, the same fields or a refusal.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FirebrandError, ours, outcomeOf, plain, theirs } from "./modules.mjs";

const made = [
  ["float32", [1, 2, 3, 4], [2, 2]],
  ["float32", Float32Array.of(1, 2), [2]],
  ["float32", Float32Array.of(1, 2)],
  ["float32", Float32Array.of(7), []],
  ["float32", new Float32Array(), [0, 3]],
  ["float64", [0.1]],
  ["int8", [-1, 2]],
  ["uint8", [1, 255]],
  ["uint8", Uint8ClampedArray.of(1, 255)],
  ["int16", [-1, 2]],
  ["uint16", Uint16Array.of(1, 2)],
  ["int32", [-1, 2], [1, 2]],
  ["uint32", [1, 2]],
  ["int64", [1, 2]],
  ["int64", [1n, -2n]],
  ["int64", BigInt64Array.of(5n)],
  ["uint64", [1n, 2]],
  ["bool", [true, false, true]],
  ["bool", Uint8Array.of(1, 0)],
  ["string", ["a", "b"], [2, 1]],
  ["string", []],
  ["float16", Uint16Array.of(0x3c00, 0xc000)],
  ["int4", Uint8Array.of(0x21, 0x03), [3]],
  ["uint4", Uint8Array.of(0x21, 0x43), [2, 2]],
  [Float32Array.of(1, 2), [1, 2]],
  [Int8Array.of(-1)],
  [Uint8Array.of(1)],
  [Uint8ClampedArray.of(1)],
  [Uint16Array.of(1)],
  [Int16Array.of(1)],
  [Int32Array.of(1)],
  [Uint32Array.of(1)],
  [Float64Array.of(1)],
  [BigInt64Array.of(1n)],
  [BigUint64Array.of(1n)],
  [["a", "b"]],
  [[true, false], [2, 1]],
  [{ location: "cpu-pinned", type: "float32", data: Float32Array.of(1, 2), dims: [2] }],
];
if (typeof Float16Array === "function") made.push(["float16", Float16Array.of(1, -2)], ["float16", [1, -2]], [Float16Array.of(1, -2)]);

const refused = [
  [["float33", [1]], "invalid_argument"],
  [["float32", [1, 2], [3]], "data_length_mismatch"],
  [["float32", [1, 2], [1.5]], "invalid_argument"],
  [["float32", [1, 2], [-2]], "invalid_argument"],
  [["float32", [1, 2], ["2"]], "invalid_argument"],
  [["float32", [1, 2], 2], "invalid_argument"],
  [["float32", Float64Array.of(1)], "dtype_mismatch"],
  [["int8", Uint8ClampedArray.of(1)], "dtype_mismatch"],
  [["float32", "1"], "dtype_mismatch"],
  [["float32", undefined], "dtype_mismatch"],
  [["string", Float32Array.of(1)], "dtype_mismatch"],
  [["int64", [1.5]], "dtype_mismatch"],
  [["int4", [1, 2]], "dtype_mismatch"],
  [["uint4", [1, 2]], "dtype_mismatch"],
  [[[]], "invalid_argument"],
  [[[1, 2]], "invalid_argument"],
  [[new DataView(new ArrayBuffer(4))], "invalid_argument"],
  [[{}], "invalid_argument"],
  [[undefined], "invalid_argument"],
  [[{ location: "cpu-pinned", type: "string", data: ["a"], dims: [1] }], "invalid_argument"],
  [[{ location: "cpu-pinned", type: "float32", data: Float64Array.of(1), dims: [1] }], "dtype_mismatch"],
  [[{ location: "elsewhere", type: "float32", dims: [1] }], "invalid_argument"],
];

const shown = (args) => args.map((arg) => (ArrayBuffer.isView(arg) ? arg.constructor.name : JSON.stringify(arg, (_, value) => (typeof value === "bigint" ? `${value}n` : value)))).join(", ");

for (const args of made) {
  test(`new Tensor(${shown(args)}) is the same`, () => {
    assert.deepEqual(plain(new ours.Tensor(...args)), plain(new theirs.Tensor(...args)));
  });
}

for (const [args, kind] of refused) {
  test(`new Tensor(${shown(args)}) is refused`, async () => {
    const [expected, got] = await Promise.all([theirs, ours].map((ort) => outcomeOf(() => new ort.Tensor(...args))));
    assert.ok(expected.error, "onnxruntime-common refuses it");
    assert.ok(got.error instanceof FirebrandError, String(got.error));
    assert.equal(got.error.kind, kind);
  });
}

test("an array is kept, not copied, and its floats of 16 bits lie in the same memory", () => {
  const data = Float32Array.of(1, 2);
  assert.equal(new ours.Tensor("float32", data).data, data);
  const bits = Uint16Array.of(0x3c00);
  assert.equal(new ours.Tensor("float16", bits).data.buffer, bits.buffer);
});

test("4-bit numbers that are not packed are refused, which onnxruntime-common reads as if they were", () => {
  assert.throws(() => new ours.Tensor("uint4", Uint8Array.of(1, 2, 3, 4), [4]), { kind: "data_length_mismatch", message: /two elements to a byte, which are 2 bytes/ });
});

test("reshape shares the elements, and refuses another number of them", () => {
  const tensor = new ours.Tensor("float32", [1, 2, 3, 4], [4]);
  const square = tensor.reshape([2, 2]);
  assert.deepEqual(square.dims, [2, 2]);
  assert.equal(square.data, tensor.data);
  assert.throws(() => tensor.reshape([3]), { name: "FirebrandError", kind: "data_length_mismatch" });
  assert.equal(ours.Tensor.fromPinnedBuffer("float32", Float32Array.of(1, 2)).reshape([2, 1]).location, "cpu-pinned");
});

test("a tensor that is disposed of has no elements", async () => {
  for (const ort of [theirs, ours]) {
    const tensor = new ort.Tensor("float32", [1], [1]);
    assert.deepEqual(await tensor.getData(), Float32Array.of(1));
    tensor.dispose();
    tensor.dispose();
    assert.equal(tensor.location, "none");
    for (const use of [() => tensor.data, () => tensor.getData(), () => tensor.reshape([1])]) {
      await assert.rejects(async () => use(), (error) => error.message.includes("The tensor is disposed."));
    }
  }
});

test("tensors elsewhere than on the CPU are refused by name", () => {
  const tensor = new ours.Tensor("float32", [1], [1]);
  for (const [use, what] of [
    [() => ours.Tensor.fromGpuBuffer({}, { dataType: "float32", dims: [1] }), "WebGPU buffers"],
    [() => ours.Tensor.fromTexture({}, { width: 1, height: 1 }), "WebGL textures"],
    [() => ours.Tensor.fromMLTensor({}, { dims: [1] }), "WebNN tensors"],
    [() => new ours.Tensor({ location: "gpu-buffer", type: "float32", gpuBuffer: {}, dims: [1] }), "WebGPU buffers"],
    [() => tensor.gpuBuffer, "WebGPU buffers"],
    [() => tensor.texture, "WebGL textures"],
    [() => tensor.mlTensor, "WebNN tensors"],
  ]) {
    assert.throws(use, (error) => error instanceof FirebrandError && error.kind === "unsupported" && error.message.includes(what));
  }
});

test("programs may assign to a tensor's dims, as transformers.js does", async () => {
  const tensor = new ours.Tensor("float32", [1, 2], [2]);
  tensor.dims = [1, 2];
  assert.deepEqual(tensor.dims, [1, 2]);
});

test("programs may copy a tensor with Object.assign, as transformers.js did up to version 2", () => {
  const { type, dims, data, size } = Object.assign({}, new ours.Tensor("int64", [1n, 2n], [1, 2]));
  assert.deepEqual({ type, dims, data, size }, { type: "int64", dims: [1, 2], data: BigInt64Array.of(1n, 2n), size: 2 });
});

test("a picture in Node comes of its pixels", async () => {
  const image = { width: 2, height: 1, data: Uint8ClampedArray.of(255, 0, 51, 255, 0, 102, 255, 0) };
  const of = async (options) => plain(await ours.Tensor.fromImage(image, options));
  const near = (got, dims, data) => (assert.deepEqual(got.dims, dims), got.data.forEach((value, at) => assert.ok(Math.abs(value - data[at]) < 1e-6)));
  near(await of(), [1, 3, 1, 2], [1, 0, 0, 0.4, 0.2, 1]);
  near(await of({ tensorFormat: "BGR" }), [1, 3, 1, 2], [0.2, 1, 0, 0.4, 1, 0]);
  near(await of({ tensorFormat: "RGBA", norm: { mean: 1, bias: [1, 2, 3, 4] } }), [1, 4, 1, 2], [256, 1, 2, 104, 54, 258, 259, 4]);
  near(await of({ tensorLayout: "NHWC" }), [1, 1, 2, 3], [1, 0, 0.2, 0, 0.4, 1]);
  for (const options of [{ tensorFormat: "HSV" }, { tensorLayout: "CHW" }, { norm: { mean: [1, 2] } }, { resizedWidth: 0, resizedHeight: 1 }]) {
    await assert.rejects(of(options), { name: "FirebrandError", kind: "invalid_argument" });
  }
  for (const given of [null, 3, {}, new Float32Array(4)]) await assert.rejects(ours.Tensor.fromImage(given), { name: "FirebrandError", kind: "invalid_argument" });
  await assert.rejects(ours.Tensor.fromImage("photo.png"), { kind: "unsupported" });
  assert.throws(() => new ours.Tensor("float32", [1, 1, 1], [1, 3, 1, 1]).toImageData(), { kind: "unsupported" });
});
