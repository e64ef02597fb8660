// Writes the int8 form of a float32 model as ONNX Runtime's quantize_static does (QDQ): QuantizeLinear and
// DequantizeLinear stand around what is to compute on codes, and the graph, run as it is, says what is to come out.
//   weights      int8, symmetric, one scale for each output channel
//   biases       int32, in steps of the activation's scale times the weight's
//   activations  uint8, one scale and zero point for each value, from ranges measured by calibrate.mjs
// Models are those that ModelWriter writes: every weight an initializer of its own, one output for each node.
import { decode, encode, initializerOf, nodeOf, outputOf } from "./onnx-writer.mjs";

/** Compute on codes. */
const coded = new Set(["Conv", "Gemm", "Add", "Concat", "MaxPool", "GlobalAveragePool"]);
/** Move codes without computing: they do so for whoever reads what they give. */
const moving = new Set(["Flatten"]);
/** Give some of the values they are given, and so keep scale and zero point. */
const keeping = new Set(["Concat", "MaxPool", "Flatten"]);
/** Multiply with weights. */
const weighted = new Set(["Conv", "Gemm"]);

/** The values that become codes: those that are read by what computes on codes. */
function codedValues(graph) {
  const weights = new Set(graph.initializer.map(({ name }) => name));
  const values = new Set();
  for (const { op_type, input, output } of graph.node.toReversed()) {
    if (coded.has(op_type) || (moving.has(op_type) && values.has(output[0]))) {
      for (const name of input) if (!weights.has(name)) values.add(name);
    }
  }
  return values;
}

/** The model with every value that needs a range as an output besides its own, and the names of those values. */
export function withCodedValues(bytes) {
  const model = decode(bytes);
  const names = [...codedValues(model.graph)].reverse();
  const inputs = model.graph.input.map(({ name }) => name);
  model.graph.output.push(...names.filter((name) => !inputs.includes(name)).map(outputOf));
  return { bytes: encode(model), names };
}

/** Ranges in which values that share codes have one range, the union of theirs, and zero is in each. */
function sharedRanges(graph, values, ranges) {
  const groups = new Map();
  for (const name of values) {
    if (!ranges[name]) throw new Error(`no range of "${name}": run scripts/calibrate.mjs`);
    const [low, high] = ranges[name];
    groups.set(name, { low: Math.min(low, 0), high: Math.max(high, 0), names: [name] });
  }
  for (const { op_type, input, output } of graph.node) {
    if (!keeping.has(op_type) || !groups.has(output[0])) continue;
    for (const name of input) {
      const [one, other] = [groups.get(output[0]), groups.get(name)];
      if (one === other) continue;
      const union = { low: Math.min(one.low, other.low), high: Math.max(one.high, other.high), names: [...one.names, ...other.names] };
      for (const member of union.names) groups.set(member, union);
    }
  }
  return groups;
}

/** The encoded int8 form of an encoded float32 model; `ranges`: { value: [smallest, largest] }. */
export function quantize(bytes, ranges) {
  const model = decode(bytes);
  const { graph } = model;
  const values = codedValues(graph);
  const shared = sharedRanges(graph, values, ranges);
  const weights = new Map(graph.initializer.map(({ name, dims, raw_data }) => [name, { shape: dims, data: new Float32Array(new Uint8Array(raw_data).buffer) }]));
  const readers = (name) => graph.node.filter(({ input }) => input.includes(name)).length;

  const nodes = [];
  const initializers = new Map();
  const initializer = (name, shape, data) => {
    initializers.set(name, initializerOf(name, shape, data));
    return name;
  };
  const dequantized = (name) => `${name}_DequantizeLinear_Output`;
  const dequantize = (name, codes, attributes) => {
    nodes.push(nodeOf("DequantizeLinear", `${name}_DequantizeLinear`, [codes, `${name}_scale`, `${name}_zero_point`], attributes, dequantized(name)));
    return dequantized(name);
  };

  const scales = new Map();
  const activation = (name) => {
    const { low, high } = shared.get(name);
    const scale = Math.fround((high - low) / 255 || 1);
    scales.set(name, scale);
    initializer(`${name}_scale`, [], new Float32Array([scale]));
    initializer(`${name}_zero_point`, [], new Uint8Array([Math.round(-low / scale)]));
    nodes.push(nodeOf("QuantizeLinear", `${name}_QuantizeLinear`, [name, `${name}_scale`, `${name}_zero_point`], {}, `${name}_QuantizeLinear_Output`));
    dequantize(name, `${name}_QuantizeLinear_Output`);
  };

  /** Output channels are the first axis, in Conv and, with transB, in Gemm. */
  const weight = (name) => {
    const { shape, data } = weights.get(name);
    const channels = shape[0];
    const each = data.length / channels;
    const perChannel = new Float32Array(channels);
    const codes = new Int8Array(data.length);
    for (let channel = 0; channel < channels; channel++) {
      const row = data.subarray(channel * each, (channel + 1) * each);
      const scale = Math.fround(row.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127 || 1);
      perChannel[channel] = scale;
      row.forEach((value, i) => { codes[channel * each + i] = Math.max(-127, Math.min(127, Math.round(value / scale))); });
    }
    scales.set(name, perChannel);
    initializer(`${name}_scale`, [channels], perChannel);
    initializer(`${name}_zero_point`, [channels], new Int8Array(channels));
    return dequantize(name, initializer(`${name}_quantized`, shape, codes), { axis: 0 });
  };

  const bias = (name, input, kernel) => {
    const { shape, data } = weights.get(name);
    const step = scales.get(kernel).map((scale) => scale * scales.get(input));
    const limit = 2 ** 31 - 1;
    initializer(`${name}_scale`, shape, step);
    initializer(`${name}_zero_point`, shape, new Int32Array(data.length));
    const codes = Int32Array.from(data, (value, i) => Math.max(-limit, Math.min(limit, Math.round(value / step[i]))));
    return dequantize(name, initializer(`${name}_quantized`, shape, codes), { axis: 0 });
  };

  for (const { name } of graph.input) if (values.has(name)) activation(name);
  /** Whether an operator only cuts off what lies beyond the range of its output, as codes do by themselves. */
  const onlyCuts = ({ op_type, input, output }) => {
    const limit = (name, otherwise) => weights.get(name)?.data[0] ?? otherwise;
    const ends = { Relu: [0, Infinity], Clip: [limit(input[1], -Infinity), limit(input[2], Infinity)] }[op_type];
    if (!ends || !values.has(output[0])) return false;
    const { low, high } = shared.get(output[0]);
    return ends[0] <= low && high <= ends[1];
  };
  /** Convolutions by an output that one node reads. */
  const convolutions = new Map();
  for (const node of graph.node) {
    const { op_type, input, output: [output] } = node;
    if (onlyCuts(node) && convolutions.has(input[0])) {
      convolutions.get(input[0]).output = [output];
      activation(output);
      continue;
    }
    if (coded.has(op_type) || values.has(output)) {
      if (op_type === "Gemm" && !node.attribute.some(({ name, i }) => name === "transB" && i === 1)) throw new Error(`${node.name}: a Gemm needs transB = 1`);
      const [first, kernel, added] = input;
      node.input = input.map((name) => (values.has(name) ? dequantized(name) : name));
      if (weighted.has(op_type)) node.input = [dequantized(first), weight(kernel), ...(added === undefined ? [] : [bias(added, first, kernel)])];
    }
    nodes.push(node);
    if (values.has(output)) activation(output);
    else if (op_type === "Conv" && readers(output) === 1) convolutions.set(output, node);
  }

  const read = new Set(nodes.flatMap(({ input }) => input));
  graph.initializer = [...graph.initializer.filter(({ name }) => read.has(name)), ...initializers.values()];
  graph.node = nodes;
  graph.name = `${graph.name}-int8`;
  model.doc_string = `${model.doc_string} Quantised: int8 weights, uint8 activations.`;
  return encode(model);
}
