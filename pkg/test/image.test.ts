import { describe, expect, it } from "vitest";
import { resample, type PixelSource } from "../src/image.js";
import { Tensor } from "../src/tensor.js";
import { thrownBy } from "./thrown.js";

/** A picture whose pixel at (x, y) is `[r, g, b]`. */
function picture(width: number, height: number, pixel: (x: number, y: number) => [number, number, number]): PixelSource {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set([...pixel(x, y), 255], (y * width + x) * 4);
  }
  return { width, height, data };
}

const whole = ({ width, height }: PixelSource) => ({ x: 0, y: 0, width, height });
const red = (rgb: Float32Array) => [...rgb].filter((_, index) => index % 3 === 0);

describe("resample", () => {
  it("leaves a picture of the right size as it is", () => {
    const source = picture(5, 4, (x, y) => [x * 50, y * 60, x + y]);
    const rgb = resample(source, whole(source), 4, 5);
    expect([...rgb]).toEqual([...source.data].filter((_, index) => index % 4 !== 3));
  });

  it("enlarges bilinearly at half-pixel centres", () => {
    const source = picture(2, 1, (x) => [x * 100, 0, 0]);
    expect(red(resample(source, whole(source), 1, 4))).toEqual([0, 25, 75, 100]);
  });

  it("weighs every source pixel when it shrinks, as Pillow's BILINEAR does", () => {
    // Pillow 12: Image.fromarray(np.arange(0, 240, 30, dtype="f4").reshape(1, 8)).resize((2, 1), BILINEAR) → 56.785713, 153.21428
    const source = picture(8, 1, (x) => [x * 30, 0, 0]);
    const [left, right] = red(resample(source, whole(source), 1, 2));
    expect(left).toBeCloseTo(56.785713, 4);
    expect(right).toBeCloseTo(153.21428, 4);
  });

  it("shrinks a picture of one colour to that colour", () => {
    const source = picture(97, 61, () => [10, 200, 33]);
    const rgb = resample(source, { x: 3.25, y: 1.5, width: 80.5, height: 50 }, 7, 11);
    for (let at = 0; at < rgb.length; at += 3) {
      expect(rgb[at]).toBeCloseTo(10, 4);
      expect(rgb[at + 1]).toBeCloseTo(200, 4);
      expect(rgb[at + 2]).toBeCloseTo(33, 4);
    }
  });

  it("mirrors with its picture", () => {
    const value = (x: number, y: number) => (x * 37 + y * 91) % 256;
    const source = picture(13, 9, (x, y) => [value(x, y), 0, 0]);
    const mirrored = picture(13, 9, (x, y) => [value(12 - x, y), 0, 0]);
    const straight = red(resample(source, whole(source), 4, 5));
    const turned = red(resample(mirrored, whole(mirrored), 4, 5));
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 5; x++) expect(turned[y * 5 + 4 - x]).toBeCloseTo(straight[y * 5 + x]!, 4);
    }
  });
});

describe("Tensor.fromImage", () => {
  const source = picture(2, 2, (x, y) => [10 * x, 100 + 10 * y, 200]);

  it("gives NCHW RGB in 0…1 unless told otherwise", () => {
    const { dtype, shape, data } = Tensor.fromImage(source);
    expect(dtype).toBe("float32");
    expect(shape).toEqual([1, 3, 2, 2]);
    expect([...data].map((value) => Math.round(value * 255))).toEqual([0, 10, 0, 10, 100, 100, 110, 110, 200, 200, 200, 200]);
  });

  it("gives NHWC BGR", () => {
    const { shape, data } = Tensor.fromImage(source, { layout: "NHWC", color: "BGR", scale: 1 });
    expect(shape).toEqual([1, 2, 2, 3]);
    expect([...data]).toEqual([200, 100, 0, 200, 100, 10, 200, 110, 0, 200, 110, 10]);
  });

  it("gives one channel of grey, as Pillow's L", () => {
    // Pillow 13.0: Image.new("RGB", (1, 1), rgb).convert("L").getpixel((0, 0))
    const colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [1, 2, 3], [10, 200, 30], [254, 1, 127], [128, 64, 200], [255, 255, 255]] as const;
    const row = picture(8, 1, (x) => [...colours[x]!]);
    const { shape, data } = Tensor.fromImage(row, { color: "GRAY", scale: 1 });
    expect(shape).toEqual([1, 1, 1, 8]);
    expect([...data]).toEqual([76, 150, 29, 2, 124, 91, 99, 255]);
    const last = Tensor.fromImage(row, { color: "GRAY", layout: "NHWC", mean: [76], scale: [0.5] });
    expect(last.shape).toEqual([1, 1, 8, 1]);
    expect(last.data[1]).toBe(37);
  });

  it("applies mean and scale by channel, in the order of the result", () => {
    const { data } = Tensor.fromImage(source, { color: "BGR", mean: [200, 100, 0], scale: [1, 0.5, 2] });
    expect([...data]).toEqual([0, 0, 0, 0, 0, 0, 5, 5, 0, 20, 0, 20]);
  });

  it("cuts off evenly to cover", () => {
    const wide = picture(8, 4, (x) => [x, 0, 0]);
    const { shape, data } = Tensor.fromImage(wide, { size: 4, scale: 1 });
    expect(shape).toEqual([1, 3, 4, 4]);
    expect([...data.subarray(0, 4)]).toEqual([2, 3, 4, 5]);
  });

  it("takes size as height, then width", () => {
    expect(Tensor.fromImage(source, { size: [3, 5] }).shape).toEqual([1, 3, 3, 5]);
  });

  it("shows all of it on black to contain", () => {
    const wide = picture(4, 2, () => [255, 255, 255]);
    const { data } = Tensor.fromImage(wide, { size: 4, fit: "contain", mean: 55, scale: 1, layout: "NHWC" });
    const rows = [0, 1, 2, 3].map((row) => data[row * 12]);
    expect(rows).toEqual([-55, 200, 200, -55]);
  });

  it("stretches to fill", () => {
    const wide = picture(4, 2, (x) => [x * 10, 0, 0]);
    const { data } = Tensor.fromImage(wide, { size: [2, 2], fit: "fill", scale: 1 });
    expect(data[0]! + data[1]!).toBeCloseTo(30, 4);
    expect(data[0]).toBeCloseTo(data[2]!, 6);
  });

  it("works for pictures much longer than wide", () => {
    const { shape } = Tensor.fromImage(picture(3000, 1, () => [1, 1, 1]), { size: 4, fit: "contain" });
    expect(shape).toEqual([1, 3, 4, 4]);
  });

  it.each<[string, () => unknown, RegExp]>([
    ["no picture", () => Tensor.fromImage(null as never), /a picture is an ImageBitmap/],
    ["an unloaded picture", () => Tensor.fromImage({ naturalWidth: 0, naturalHeight: 0 } as never), /await image.decode/],
    ["a size of 0", () => Tensor.fromImage(source, { size: 0 }), /size is \[height, width\]/],
    ["a fractional size", () => Tensor.fromImage(source, { size: [2, 2.5] }), /whole pixels/],
    ["an unknown layout", () => Tensor.fromImage(source, { layout: "CHW" as never }), /layout is one of NCHW, NHWC; got "CHW"/],
    ["three means of grey", () => Tensor.fromImage(source, { color: "GRAY", mean: [1, 2, 3] }), /mean is one number for the one channel of grey; got \[1,2,3\]/],
    ["two means", () => Tensor.fromImage(source, { mean: [1, 2] as never }), /mean is one number/],
    ["a scale that is no number", () => Tensor.fromImage(source, { scale: Number.NaN }), /scale is one number/],
  ])("refuses %s", (_what, call, message) => {
    const error = thrownBy(call);
    expect(error).toMatchObject({ kind: "invalid_argument" });
    expect(error.message).toMatch(message);
  });

  it("refuses pixels whose number does not fit", () => {
    expect(thrownBy(() => Tensor.fromImage({ width: 2, height: 2, data: new Uint8Array(12) }))).toMatchObject({ kind: "data_length_mismatch" });
  });
});
