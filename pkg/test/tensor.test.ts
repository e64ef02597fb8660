import { describe, expect, it } from "vitest";
import { FirebrandError } from "../src/error.js";
import { Tensor, copyElements, tensorFromElements, type DType } from "../src/tensor.js";
import { thrownBy } from "./thrown.js";

describe("Tensor", () => {
  it.each<[DType, object]>([
    ["float32", new Float32Array(6)],
    ["float16", new Uint16Array(6)],
    ["bfloat16", new Uint16Array(6)],
    ["float8e4m3fn", new Uint8Array(6).fill(255)],
    ["float8e4m3fnuz", new Uint8Array(6)],
    ["float8e5m2", new Uint8Array(6)],
    ["float8e5m2fnuz", new Uint8Array(6)],
    ["int4", Int8Array.of(-8, -1, 0, 1, 6, 7)],
    ["uint4", Uint8Array.of(0, 1, 2, 8, 14, 15)],
    ["float64", new Float64Array(6)],
    ["int8", new Int8Array(6)],
    ["uint8", new Uint8Array(6)],
    ["int16", new Int16Array(6)],
    ["uint16", new Uint16Array(6)],
    ["int32", new Int32Array(6)],
    ["uint32", new Uint32Array(6)],
    ["int64", new BigInt64Array(6)],
    ["uint64", new BigUint64Array(6)],
    ["bool", new Uint8Array(6)],
    ["string", ["a", "b", "c", "d", "e", "f"]],
  ])("holds %s and gives it back from bytes", (dtype, data) => {
    const tensor = new Tensor(dtype, data as never, [2, 3]);
    expect(tensor.shape).toEqual([2, 3]);
    expect(tensor.data).toEqual(data);
    expect(tensorFromElements(dtype, [2, 3], copyElements(tensor))).toEqual(tensor);
  });

  it("refers to the caller's array, and copies only to send", () => {
    const data = Float32Array.of(1, 2);
    const tensor = new Tensor("float32", data, [2]);
    const sent = copyElements(tensor);
    data[0] = 7;
    expect(tensor.data[0]).toBe(7);
    expect(new Float32Array((sent as Uint8Array<ArrayBuffer>).buffer)[0]).toBe(1);
  });

  it("sends just the part of a buffer that a view shows", () => {
    const view = new Float32Array(100).subarray(10, 12);
    expect(copyElements(new Tensor("float32", view, [2]))).toHaveLength(8);
  });

  it("reads bytes at any offset", () => {
    const bytes = new Uint8Array(9);
    bytes.set(new Uint8Array(Float32Array.of(1.5, -2).buffer), 1);
    expect(tensorFromElements("float32", [2], bytes.subarray(1)).data).toEqual(Float32Array.of(1.5, -2));
  });

  it("tells a dtype that JavaScript has no array for", () => {
    const error = thrownBy(() => tensorFromElements("complex64" as never, [1], new Uint8Array(8)));
    expect(error).toMatchObject({ kind: "unsupported" });
    expect(error.message).toMatch(/complex64/);
  });

  it("takes clamped bytes as uint8, without copying", () => {
    const pixels = new Uint8ClampedArray([1, 2]);
    const { data } = new Tensor("uint8", pixels as unknown as Uint8Array, [2]);
    expect(data).toBeInstanceOf(Uint8Array);
    expect(data.buffer).toBe(pixels.buffer);
  });

  it("takes a shape of [] for one element and a length of 0 for none", () => {
    expect(new Tensor("float32", Float32Array.of(1), []).shape).toEqual([]);
    expect(new Tensor("float32", new Float32Array(0), [0, 3]).data).toHaveLength(0);
  });

  it.each<[string, string, () => unknown, RegExp]>([
    ["another array type", "dtype_mismatch", () => new Tensor("float32", new Float64Array(2) as never, [2]), /float32 expects Float32Array, got Float64Array/],
    ["a plain array", "dtype_mismatch", () => new Tensor("float32", [1, 2] as never, [2]), /got a plain array/],
    ["numbers as strings", "dtype_mismatch", () => new Tensor("string", [1] as never, [1]), /an array of strings/],
    ["no data", "dtype_mismatch", () => new Tensor("float32", null as never, [1]), /got null/],
    ["a length that does not fit", "data_length_mismatch", () => new Tensor("float32", new Float32Array(5), [2, 3]), /\[2, 3\] has 6 elements, the data has 5/],
    ["what four bits do not hold", "invalid_argument", () => new Tensor("int4", Int8Array.of(7, 8), [2]), /int4 holds -8 to 7, element 1 is 8/],
    ["what four bits without a sign do not hold", "invalid_argument", () => new Tensor("uint4", Uint8Array.of(16), [1]), /uint4 holds 0 to 15, element 0 is 16/],
    ["bits of another width", "dtype_mismatch", () => new Tensor("float8e5m2", new Uint16Array(1) as never, [1]), /float8e5m2 expects Uint8Array, got Uint16Array/],
    ["an unknown dtype", "invalid_argument", () => new Tensor("f32" as never, new Float32Array(1) as never, [1]), /"f32" is not a dtype; use one of float32/],
    ["an inherited name", "invalid_argument", () => new Tensor("toString" as never, new Float32Array(1) as never, [1]), /is not a dtype/],
    ["a negative axis", "invalid_argument", () => new Tensor("float32", new Float32Array(1), [-1]), /\[-1\]/],
    ["a fractional axis", "invalid_argument", () => new Tensor("float32", new Float32Array(1), [1.5]), /whole numbers/],
    ["no shape", "invalid_argument", () => new Tensor("float32", new Float32Array(1), undefined as never), /a shape is/],
  ])("refuses %s", (_what, kind, make, message) => {
    const error = thrownBy(make);
    expect(error).toBeInstanceOf(FirebrandError);
    expect(error).toMatchObject({ name: "FirebrandError", kind });
    expect(error.message).toMatch(message);
  });
});
