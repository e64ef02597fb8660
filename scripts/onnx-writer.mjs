// Builds an ONNX model node by node and encodes it, or takes an encoded one apart; the same calls give the same bytes.
import { readFileSync } from "node:fs";
import protobuf from "protobufjs";

const float32 = 1;
/** ONNX's numbers of the types that weights are given in. */
const elementTypes = new Map([[Float32Array, float32], [Uint8Array, 2], [Int8Array, 3], [Int32Array, 6]]);
const schema = protobuf.parse(readFileSync(new URL("onnx.proto", import.meta.url), "utf8"), { keepCase: true });
const ModelProto = schema.root.resolveAll().lookupType("onnx.ModelProto");

const attributeOf = (name, value) => {
  if (value instanceof Float) return { name, f: value.value, type: 1 };
  if (Array.isArray(value)) return { name, ints: value, type: 7 };
  return { name, i: value, type: 2 };
};

class Float {
  constructor(value) {
    this.value = value;
  }
}

/** A float attribute; plain numbers are integer attributes. */
export const float = (value) => new Float(value);

const typeOf = (shape) => ({ tensor_type: { elem_type: float32, shape: { dim: shape.map((d) => (typeof d === "string" ? { dim_param: d } : { dim_value: d })) } } });

/** A node with one output, as the schema has it. */
export const nodeOf = (operator, name, inputs, attributes = {}, output = name) => ({
  input: inputs,
  output: [output],
  name,
  op_type: operator,
  attribute: Object.entries(attributes).map(([key, value]) => attributeOf(key, value)),
});

/** An initializer, as the schema has it; its type is that of the array. */
export const initializerOf = (name, shape, data) => ({
  dims: shape,
  data_type: elementTypes.get(data.constructor),
  name,
  raw_data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

/** An output that is declared without a shape. */
export const outputOf = (name) => ({ name, type: { tensor_type: { elem_type: float32 } } });

/** The model as a plain object of the schema's fields, to be changed and given to `encode`. */
export const decode = (bytes) => ModelProto.toObject(ModelProto.decode(bytes), { longs: Number, arrays: true });

export const encode = (model) => ModelProto.encode(ModelProto.fromObject(model)).finish();

/** The encoded model with other declared shapes, `{ name: shape }`, of its inputs and outputs. */
export function freeDimensions(bytes, shapes) {
  const model = ModelProto.decode(bytes);
  for (const value of [...model.graph.input, ...model.graph.output]) {
    if (shapes[value.name]) value.type = ModelProto.root.lookupType("onnx.TypeProto").fromObject(typeOf(shapes[value.name]));
  }
  return ModelProto.encode(model).finish();
}

export class ModelWriter {
  #nodes = [];
  #initializers = [];

  /** Adds a weight and returns its name. */
  weight(name, shape, data) {
    this.#initializers.push(initializerOf(name, shape, data));
    return name;
  }

  /** Adds a node with one output, named as the node unless `output` says otherwise, and returns that name. */
  node(operator, name, inputs, attributes = {}, output = name) {
    this.#nodes.push(nodeOf(operator, name, inputs, attributes, output));
    return output;
  }

  /** The encoded model. `inputs` and `outputs`: { name: shape }, a string in a shape being a free dimension. */
  encode({ name, description, opset, inputs, outputs }) {
    const values = (list) => Object.entries(list).map(([key, shape]) => ({
      name: key,
      type: typeOf(shape),
    }));
    return encode({
      ir_version: 8,
      producer_name: "firebrand",
      doc_string: description,
      graph: { node: this.#nodes, name, initializer: this.#initializers, input: values(inputs), output: values(outputs) },
      opset_import: [{ domain: "", version: opset }],
    });
  }
}
