// Builds a float32 ONNX model node by node and encodes it; the same calls give the same bytes.
import { readFileSync } from "node:fs";
import protobuf from "protobufjs";

const float32 = 1;
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
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#initializers.push({ dims: shape, data_type: float32, name, raw_data: raw });
    return name;
  }

  /** Adds a node with one output, named as the node unless `output` says otherwise, and returns that name. */
  node(operator, name, inputs, attributes = {}, output = name) {
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.#nodes.push({ input: inputs, output: [output], name, op_type: operator, attribute });
    return output;
  }

  /** The encoded model. `inputs` and `outputs`: { name: shape }, a string in a shape being a free dimension. */
  encode({ name, description, opset, inputs, outputs }) {
    const values = (list) => Object.entries(list).map(([key, shape]) => ({
      name: key,
      type: typeOf(shape),
    }));
    return ModelProto.encode(ModelProto.fromObject({
      ir_version: 8,
      producer_name: "firebrand",
      doc_string: description,
      graph: { node: this.#nodes, name, initializer: this.#initializers, input: values(inputs), output: values(outputs) },
      opset_import: [{ domain: "", version: opset }],
    })).finish();
  }
}
