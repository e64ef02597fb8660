// Fits a logistic regression to the breast cancer data of scikit-learn, and writes it as ONNX beside this file.
//   node scripts/models.mjs breast-cancer && node train/breast-cancer/train.mjs
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ModelWriter } from "../../scripts/onnx-writer.mjs";
import { places } from "../../scripts/places.mjs";

/** Every so many-th row, from the last of each such group on, is held out. */
const heldOut = 4;
/** The weight of the data beside half of the squared length of the weights: scikit-learn's C. */
const strength = 1;

const [header, ...lines] = (await readFile(join(places.data, "breast-cancer.csv"), "utf8")).trim().split(/\r?\n/);
const [, width, ...classes] = header.split(",");
const features = Number(width);
const rows = lines.map((line) => line.split(",").map(Number));
const known = rows.filter((_, at) => at % heldOut !== heldOut - 1);
const unknown = rows.filter((_, at) => at % heldOut === heldOut - 1);

const columns = Array.from({ length: features }, (_, at) => known.map((row) => row[at]));
const mean = columns.map((column) => column.reduce((sum, value) => sum + value, 0) / column.length);
const deviation = columns.map((column, at) => Math.sqrt(column.reduce((sum, value) => sum + (value - mean[at]) ** 2, 0) / column.length));
// The last of each is what the bias is multiplied by.
const points = known.map((row) => [...mean.map((value, at) => (row[at] - value) / deviation[at]), 1]);
const targets = known.map((row) => row[features]);

/** Solves `matrix · x = vector` by elimination with pivots; both are changed. */
function solve(matrix, vector) {
  const size = vector.length;
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let row = column; row < size; row++) if (Math.abs(matrix[row][column]) > Math.abs(matrix[pivot][column])) pivot = row;
    [matrix[column], matrix[pivot]] = [matrix[pivot], matrix[column]];
    [vector[column], vector[pivot]] = [vector[pivot], vector[column]];
    for (let row = column + 1; row < size; row++) {
      const factor = matrix[row][column] / matrix[column][column];
      for (let at = column; at < size; at++) matrix[row][at] -= factor * matrix[column][at];
      vector[row] -= factor * vector[column];
    }
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let at = row + 1; at < size; at++) vector[row] -= matrix[row][at] * vector[at];
    vector[row] /= matrix[row][row];
  }
  return vector;
}

// Newton's method, until nothing moves: the objective is convex, so there is one end, which rounding hardly touches.
const weights = new Array(features + 1).fill(0);
for (let step = 0, moved = Infinity; moved > 1e-12 && step < 100; step++) {
  const gradient = weights.map((weight, at) => (at < features ? weight : 0));
  const hessian = weights.map((_, row) => weights.map((_, column) => (row === column && row < features ? 1 : 0)));
  for (const [index, point] of points.entries()) {
    const share = 1 / (1 + Math.exp(-point.reduce((sum, value, at) => sum + value * weights[at], 0)));
    for (let row = 0; row < point.length; row++) {
      gradient[row] += strength * (share - targets[index]) * point[row];
      for (let column = 0; column < point.length; column++) hessian[row][column] += strength * share * (1 - share) * point[row] * point[column];
    }
  }
  const change = solve(hessian, gradient);
  for (let at = 0; at < weights.length; at++) weights[at] -= change[at];
  moved = Math.max(...change.map(Math.abs));
}

// The standardisation goes into the weights: the model takes the numbers as they are measured.
const slopes = mean.map((_, at) => weights[at] / deviation[at]);
const bias = weights[features] - slopes.reduce((sum, slope, at) => sum + slope * mean[at], 0);
const right = (given) => given.filter((row) => (slopes.reduce((sum, slope, at) => sum + slope * row[at], bias) > 0 ? 1 : 0) === row[features]).length;

const writer = new ModelWriter();
writer.weight("slopes", [features, 2], Float32Array.from(slopes.flatMap((slope) => [0, slope])));
writer.weight("bias", [2], Float32Array.of(0, bias));
writer.node("Gemm", "scores", ["measurements", "slopes", "bias"]);
writer.node("Softmax", "softmax", ["scores"], { axis: -1 }, "probabilities");
const model = writer.encode({
  name: "breast-cancer",
  description: `A logistic regression of ${features} measurements of cell nuclei, fitted to ${known.length} rows`,
  opset: 21,
  inputs: { measurements: ["batch", features] },
  outputs: { probabilities: ["batch", classes.length] },
});
await writeFile(new URL("breast-cancer.onnx", import.meta.url), model);
console.log(`breast-cancer.onnx: ${model.length} bytes; right: ${right(known)} of ${known.length} rows, ${right(unknown)} of ${unknown.length} held out`);
