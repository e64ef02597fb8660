// A network of convolutions as TensorFlow.js loads it: a graph model with bias and activation fused, as its converter writes it.
import { decode } from "../../scripts/onnx-writer.mjs";
import { transpose } from "../../scripts/weights.mjs";

const text = (value) => ({ s: Buffer.from(value).toString("base64") });
const texts = (values) => ({ list: { s: values.map((value) => text(value).s) } });
const numbers = (values) => ({ list: { i: values.map(String) } });
const dims = (sizes) => ({ dim: sizes.map((size) => ({ size: String(size) })) });
const kinds = { float32: "DT_FLOAT", int32: "DT_INT32" };

/** `{ json, weights }` of the ONNX model; throws where it has an operator that is not in here. */
export function tfjsModel(onnx) {
  const { graph } = decode(onnx);
  const constants = new Map(graph.initializer.map(({ name, dims, raw_data }) => [name, { shape: dims, data: new Float32Array(new Uint8Array(raw_data).buffer) }]));
  const nodes = [];
  const entries = [];
  const data = [];
  const constant = (name, shape, values) => {
    const dtype = values instanceof Int32Array ? "int32" : "float32";
    nodes.push({ name, op: "Const", attr: { dtype: { type: kinds[dtype] }, value: { tensor: { dtype: kinds[dtype], tensorShape: dims(shape) } } } });
    entries.push({ name, shape, dtype });
    data.push(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    return name;
  };
  const add = (name, op, input, attr = {}) => {
    nodes.push({ name, op, input, attr: { T: { type: "DT_FLOAT" }, ...attr } });
    return name;
  };

  // What computes each value, and what a later activation becomes part of.
  const named = new Map();
  const users = new Map();
  for (const { input } of graph.node) for (const value of input) users.set(value, (users.get(value) ?? 0) + 1);
  const activationOf = (value) => {
    const next = graph.node.find(({ input, op_type }) => input[0] === value && ["Relu", "Clip"].includes(op_type));
    return next && users.get(value) === 1 ? { value: next.output[0], name: next.op_type === "Clip" ? "Relu6" : "Relu" } : { value };
  };

  const [{ name: inputName, type }] = graph.input;
  const [, channels, height, width] = type.tensor_type.shape.dim.map(({ dim_value }) => dim_value ?? 1);
  const shape = [1, height, width, channels];
  nodes.push({ name: "input", op: "Placeholder", attr: { dtype: { type: "DT_FLOAT" }, shape: { shape: dims(shape) } } });
  named.set(inputName, "input");

  graph.node.forEach(({ op_type, input, output, attribute }, at) => {
    if (named.has(output[0])) return;
    const name = `node${at}`;
    const attributes = Object.fromEntries(attribute.map((one) => [one.name, one.type === 7 ? one.ints : one.i]));
    const from = () => named.get(input[0]);
    const strides = numbers([1, ...(attributes.strides ?? [1, 1]), 1]);
    const window = { strides, padding: text(attributes.pads?.some(Boolean) ? "SAME" : "VALID"), data_format: text("NHWC"), explicit_paddings: { list: {} } };
    const fused = (operator, inputs, attr) => {
      const activation = activationOf(output[0]);
      add(name, operator, inputs, { ...attr, fused_ops: texts(["BiasAdd", ...(activation.name ? [activation.name] : [])]), num_args: { i: "1" }, epsilon: { f: 0 } });
      named.set(activation.value, name);
    };
    switch (op_type) {
      case "Conv": {
        const kernel = constants.get(input[1]);
        const isDepthwise = (attributes.group ?? 1) > 1;
        const turned = transpose(kernel, isDepthwise ? [2, 3, 0, 1] : [2, 3, 1, 0]);
        const bias = constants.get(input[2]);
        fused(isDepthwise ? "FusedDepthwiseConv2dNative" : "_FusedConv2D", [from(), constant(`${name}/kernel`, turned.shape, turned.data), constant(`${name}/bias`, bias.shape, bias.data)], { ...window, dilations: numbers([1, 1, 1, 1]) });
        return;
      }
      case "Gemm": {
        const kernel = transpose(constants.get(input[1]), [1, 0]);
        const bias = constants.get(input[2]);
        fused("_FusedMatMul", [from(), constant(`${name}/kernel`, kernel.shape, kernel.data), constant(`${name}/bias`, bias.shape, bias.data)], { transpose_a: { b: false }, transpose_b: { b: false } });
        return;
      }
      case "MaxPool":
        named.set(output[0], add(name, "MaxPool", [from()], { ...window, ksize: numbers([1, ...attributes.kernel_shape, 1]) }));
        return;
      case "Concat":
        named.set(output[0], add(name, "ConcatV2", [...input.map((value) => named.get(value)), constant(`${name}/axis`, [], Int32Array.of(3))], { N: { i: String(input.length) }, Tidx: { type: "DT_INT32" } }));
        return;
      case "Add":
        named.set(output[0], add(name, "AddV2", input.map((value) => named.get(value))));
        return;
      case "GlobalAveragePool":
        // It gives rows at once, which a Flatten behind it leaves as they are.
        named.set(output[0], add(name, "Mean", [from(), constant(`${name}/axes`, [2], Int32Array.of(1, 2))], { keep_dims: { b: false }, Tidx: { type: "DT_INT32" } }));
        return;
      case "Flatten":
        named.set(output[0], from());
        return;
      case "Softmax":
        named.set(output[0], add(name, "Softmax", [from()]));
        return;
      default:
        throw new Error(`${op_type} is not known here`);
    }
  });

  const signature = {
    inputs: { input: { name: "input:0", dtype: "DT_FLOAT", tensorShape: dims(shape) } },
    outputs: { output: { name: `${named.get(graph.output[0].name)}:0`, dtype: "DT_FLOAT", tensorShape: dims([1, -1]) } },
  };
  const model = { format: "graph-model", generatedBy: "firebrand", convertedBy: "tfjs-model.mjs", signature, modelTopology: { node: nodes, library: {}, versions: { producer: 1882 } }, weightsManifest: [{ paths: ["weights.bin"], weights: entries }] };
  return { json: JSON.stringify(model), weights: Buffer.concat(data) };
}
