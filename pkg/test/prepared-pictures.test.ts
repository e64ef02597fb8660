import { expect, it } from "vitest";
import type { ImageOptions } from "../src/image.js";
import { Tensor } from "../src/tensor.js";

/** Red, green and blue are the next bytes of a linear congruential generator. */
function picture(width: number, height: number) {
  const data = new Uint8ClampedArray(width * height * 4);
  let state = 1;
  for (let at = 0; at < data.length; at++) {
    if (at % 4 === 3) data[at] = 255;
    else data[at] = (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  }
  return { width, height, data };
}

const plain = {
  layout: "NCHW",
  color: "RGB",
  mean: [0, 0, 0] as const,
  scale: [1 / 255, 1 / 255, 1 / 255] as const,
  fit: "cover",
} satisfies ImageOptions;

type Case = { name: string; width: number; height: number; size: [number, number] | null } & Omit<ImageOptions, "size">;

const cases: Case[] = [
  { name: "as it is", width: 5, height: 4, size: null },
  { name: "smaller, cut at the sides", width: 23, height: 11, size: [4, 5] },
  { name: "smaller, cut above and below", width: 9, height: 31, size: [5, 6], layout: "NHWC" },
  { name: "larger", width: 3, height: 4, size: [7, 6], color: "BGR" },
  { name: "larger one way and smaller the other", width: 17, height: 3, size: [6, 6], fit: "fill" },
  { name: "contained in the middle", width: 13, height: 6, size: [6, 7], fit: "contain", mean: [0.5, 1, 2] },
  { name: "contained, upright", width: 4, height: 19, size: [8, 7], fit: "contain", layout: "NHWC", color: "BGR" },
  { name: "one line", width: 200, height: 1, size: [3, 3], fit: "contain" },
  { name: "one pixel", width: 1, height: 1, size: [2, 3] },
  {
    name: "a mean and a scale for each channel",
    width: 12,
    height: 12,
    size: [5, 5],
    color: "BGR",
    mean: [103.939, 116.779, 123.68],
    scale: [1 / 57, 1 / 58, 1 / 59],
  },
  { name: "grey", width: 11, height: 7, size: [4, 4], color: "GRAY", mean: [12], scale: [1 / 64] },
  { name: "grey, contained", width: 6, height: 9, size: [7, 7], color: "GRAY", layout: "NHWC", fit: "contain", mean: [0.5], scale: [1] },
];

it("prepares pictures as the command line does, whose tests read the same file", async () => {
  const prepared = cases.map((some) => {
    const { name, width, height, size, ...options } = { ...plain, ...some };
    const { shape, data } = Tensor.fromImage(picture(width, height), { ...options, ...(size && { size }) });
    return JSON.stringify({ name, width, height, size, ...options, shape: [...shape], data: [...data] });
  });
  // After a deliberate change of src/image.ts: npx vitest run -u, then mend src/cli/picture.rs.
  await expect(`[\n${prepared.join(",\n")}\n]\n`).toMatchFileSnapshot("../../tests/pictures/prepared.json");
});
