import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { largestTensor } from "../src/weights.js";

const nothing = { inputs: [], outputs: [] };
/** A field with bytes, shorter than 128 of them. */
const bytes = (field: number, value: readonly number[]) => [(field << 3) | 2, value.length, ...value];
const text = (field: number, value: string) => bytes(field, [...new TextEncoder().encode(value)]);
const model = (...tensors: number[][]) => Uint8Array.from(bytes(7, [...text(2, "g"), ...tensors.flatMap((tensor) => bytes(5, tensor))]));
const dims = (...values: number[]) => values.flatMap((value) => [8, ...(value < 128 ? [value] : [(value & 127) | 128, value >> 7])]);

describe("largestTensor", () => {
  it("finds the largest float32 weight, whether its sizes are packed or not", () => {
    const small = [...dims(3), 16, 1, ...text(8, "small")];
    const large = [...dims(300, 2), 16, 1, ...text(8, "large")];
    const packed = [...bytes(1, [0xac, 0x02, 3]), 16, 1, ...text(8, "packed")];
    const integers = [...dims(1000), 16, 7, ...text(8, "integers")];
    expect(largestTensor(model(small, large, integers), nothing)).toEqual({ what: 'the weight "large"', bytes: 2400 });
    expect(largestTensor(model(small, large, packed), nothing)).toEqual({ what: 'the weight "packed"', bytes: 3600 });
    expect(largestTensor(model(integers), nothing)).toBeUndefined();
  });

  it("counts inputs and outputs too, and an axis that may vary as 1", () => {
    const report = { inputs: [{ name: "x", dtype: "float32" as const, shape: ["N", 3, 10] }], outputs: [{ name: "y", dtype: "int64" as const, shape: [1000] }] };
    expect(largestTensor(model(), report)).toEqual({ what: 'the input "x"', bytes: 120 });
  });

  it("reads a model that exporters wrote, without its weights", () => {
    const graph = readFileSync(new URL("../../tests/package/tiny/graph.onnx", import.meta.url));
    const found = largestTensor(graph, nothing)!;
    expect(found.what).toMatch(/^the weight "/);
    expect(found.bytes % 4).toBe(0);
  });

  it("leaves what is malformed to the runtime", () => {
    const whole = model([...dims(300, 2), 16, 1, ...text(8, "w")]);
    for (let length = 0; length < whole.length; length++) expect(() => largestTensor(whole.subarray(0, length), nothing)).not.toThrow();
    for (let at = 0; at < whole.length; at++) for (const value of [0, 127, 255]) expect(() => largestTensor(whole.with(at, value), nothing)).not.toThrow();
  });
});
