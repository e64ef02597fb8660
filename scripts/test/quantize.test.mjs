import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, ModelWriter } from "../onnx-writer.mjs";
import { quantize, withCodedValues } from "../quantize.mjs";

// x → Conv → Relu → left; x → Conv → right; Concat(left, right) → GlobalAveragePool → Softmax
const kernel = Float32Array.from([0.5, -1.27, 0.01, 0, 0, 0, 3, -2, 1]);
const bytes = (() => {
  const model = new ModelWriter();
  const conv = (name) => model.node("Conv", name, ["x", model.weight(`${name}/weight`, [3, 3, 1, 1], kernel), model.weight(`${name}/bias`, [3], Float32Array.from([1, -2, 0]))], { kernel_shape: [1, 1] });
  const left = model.node("Relu", "left", [conv("one")]);
  const both = model.node("Concat", "both", [left, conv("two")], { axis: 1 });
  model.node("Softmax", "softmax", [model.node("GlobalAveragePool", "mean", [both])], { axis: 1 }, "y");
  return model.encode({ name: "small", description: "Small.", opset: 13, inputs: { x: [1, 3, 2, 2] }, outputs: { y: [1, 6, 1, 1] } });
})();
const ranges = { x: [-1, 1.55], left: [0, 4], two: [-3, 1], both: [-3, 4] };
const positive = { ...ranges, two: [0, 1], both: [0, 4] };

const graphOf = (given = ranges) => decode(quantize(bytes, given)).graph;
const arrays = { 1: Float32Array, 2: Uint8Array, 3: Int8Array, 6: Int32Array };
const dataOf = (graph, name) => {
  const { data_type, raw_data } = graph.initializer.find((tensor) => tensor.name === name);
  return new arrays[data_type](new Uint8Array(raw_data).buffer);
};

test("a value becomes codes where what computes on codes reads it, and nowhere else", () => {
  assert.deepEqual(withCodedValues(bytes).names.toSorted(), Object.keys(ranges).toSorted());
  const read = graphOf().node.filter(({ op_type }) => op_type === "QuantizeLinear").map(({ input }) => input[0]);
  assert.deepEqual(read.toSorted(), Object.keys(ranges).toSorted());
});

test("a Relu goes where codes begin at zero, and stays where they do not", () => {
  const operators = (given) => graphOf(given).node.map(({ op_type }) => op_type).filter((name) => !/Linear$/.test(name));
  assert.deepEqual(operators(positive), ["Conv", "Conv", "Concat", "GlobalAveragePool", "Softmax"]);
  // It shares its codes with values below zero.
  assert.deepEqual(operators(ranges), ["Conv", "Relu", "Conv", "Concat", "GlobalAveragePool", "Softmax"]);
});

test("every node reads what a node before it gives, an initializer or the input", () => {
  for (const given of [ranges, positive]) {
    const { node, initializer, input, output } = graphOf(given);
    const known = new Set([...input, ...initializer].map(({ name }) => name));
    for (const { input: reads, output: [gives] } of node) {
      for (const name of reads) assert.ok(known.has(name), name);
      assert.ok(!known.has(gives), gives);
      known.add(gives);
    }
    assert.ok(known.has(output[0].name));
  }
});

test("weights lie within half a step of what they were, channel by channel, and zero is zero", () => {
  const graph = graphOf();
  const codes = dataOf(graph, "one/weight_quantized");
  const scales = dataOf(graph, "one/weight_scale");
  assert.ok(codes instanceof Int8Array);
  kernel.forEach((value, i) => {
    const scale = scales[Math.floor(i / 3)];
    assert.ok(Math.abs(codes[i] * scale - value) <= (scale / 2) * 1.0001, `${i}: ${codes[i]} × ${scale} for ${value}`);
  });
  assert.deepEqual([...codes.subarray(3, 6)], [0, 0, 0]);
  assert.equal(codes[1], -127);
  assert.equal(codes[6], 127);
});

test("biases are in steps of the products", () => {
  const graph = graphOf();
  const codes = dataOf(graph, "one/bias_quantized");
  const steps = dataOf(graph, "one/bias_scale");
  const [scale] = dataOf(graph, "x_scale");
  assert.ok(codes instanceof Int32Array);
  assert.deepEqual([...steps], [...dataOf(graph, "one/weight_scale").map((s) => s * scale)]);
  assert.ok(Math.abs(codes[0] * steps[0] - 1) <= steps[0]);
});

test("the range is cut into 255 steps with a code for zero", () => {
  const graph = graphOf();
  assert.ok(Math.abs(dataOf(graph, "x_scale")[0] - 0.01) < 1e-8);
  assert.deepEqual([...dataOf(graph, "x_zero_point")], [100]);
});

test("what Concat joins shares one scale", () => {
  const graph = graphOf();
  for (const name of ["left", "two", "both"]) {
    assert.deepEqual(dataOf(graph, `${name}_scale`), new Float32Array([7 / 255]), name);
    assert.deepEqual([...dataOf(graph, `${name}_zero_point`)], [Math.round((3 * 255) / 7)], name);
  }
});

test("a value without a range is named", () => {
  const { both, ...others } = ranges;
  assert.ok(both);
  assert.throws(() => graphOf(others), /no range of "both"/);
});

