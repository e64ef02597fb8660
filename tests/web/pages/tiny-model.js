// Writes small ONNX files byte by byte: just enough protobuf for the models that these tests need.
// Field numbers are those of onnx.proto.

const utf8 = new TextEncoder();
const dtypes = { float32: 1, uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, int64: 7, string: 8, bool: 9, float16: 10, float64: 11, uint32: 12, uint64: 13, bfloat16: 16, float8e4m3fn: 17, float8e4m3fnuz: 18, float8e5m2: 19, float8e5m2fnuz: 20, uint4: 21, int4: 22 };

function varint(value) {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    const low = Number(rest & 127n);
    if (rest < 128n) return [...bytes, low];
    bytes.push(low | 128);
  }
}
const number = (field, value) => [...varint(field << 3), ...varint(value)];
const bytes = (field, value) => [...varint((field << 3) | 2), ...varint(value.length), ...value];
const text = (field, value) => bytes(field, utf8.encode(value));

function valueInfo({ name, kind, optional, dtype = "float32", shape }) {
  const dims = shape.flatMap((axis) => bytes(1, typeof axis === "number" ? number(1, axis) : text(2, axis)));
  let type = bytes(1, [...number(1, dtypes[dtype]), ...bytes(2, dims)]);
  if (kind === "sequence") type = bytes(4, bytes(1, type));
  if (optional) type = bytes(9, bytes(1, type));
  return [...text(1, name), ...bytes(2, type)];
}

function node({ op, name, inputs, outputs, domain }) {
  return [
    ...inputs.flatMap((input) => text(1, input)),
    ...outputs.flatMap((output) => text(2, output)),
    ...text(3, name),
    ...text(4, op),
    ...(domain ? text(7, domain) : []),
  ];
}

function initializer({ name, shape, values, external }) {
  const data = external
    ? [
        ...bytes(13, [...text(1, "location"), ...text(2, external.location)]),
        ...bytes(13, [...text(1, "offset"), ...text(2, String(external.offset ?? 0))]),
        ...bytes(13, [...text(1, "length"), ...text(2, String(external.length))]),
        ...number(14, 1),
      ]
    : bytes(9, new Uint8Array(Float32Array.from(values).buffer));
  return [...shape.flatMap((axis) => number(1, axis)), ...number(2, 1), ...text(8, name), ...data];
}

/** Writes a model. Tensors are float32 unless their `dtype` says otherwise; `kind` and `optional` are as in ValueInfo. */
export function writeModel({ inputs, outputs, nodes, initializers = [], domains = [], opset = 17 }) {
  const graph = [
    ...nodes.flatMap((item) => bytes(1, node(item))),
    ...text(2, "tiny"),
    ...initializers.flatMap((item) => bytes(5, initializer(item))),
    ...inputs.flatMap((item) => bytes(11, valueInfo(item))),
    ...outputs.flatMap((item) => bytes(12, valueInfo(item))),
  ];
  return Uint8Array.from([
    ...number(1, 8),
    ...bytes(7, graph),
    ...bytes(8, [...text(1, ""), ...number(2, opset)]),
    ...domains.flatMap((domain) => bytes(8, [...text(1, domain), ...number(2, 1)])),
  ]);
}

/** sum = pixels + bias, with pixels [batch, 3] and bias [3] = 1, 2, 3. */
export const addBias = () =>
  writeModel({
    inputs: [{ name: "pixels", shape: ["batch", 3] }],
    outputs: [{ name: "sum", shape: ["batch", 3] }],
    nodes: [{ op: "Add", name: "add", inputs: ["pixels", "bias"], outputs: ["sum"] }],
    initializers: [{ name: "bias", shape: [3], values: [1, 2, 3] }],
  });

/** The same with the bias in a file of its own. */
export const addExternalBias = (location) =>
  writeModel({
    inputs: [{ name: "pixels", shape: ["batch", 3] }],
    outputs: [{ name: "sum", shape: ["batch", 3] }],
    nodes: [{ op: "Add", name: "add", inputs: ["pixels", "bias"], outputs: ["sum"] }],
    initializers: [{ name: "bias", shape: [3], external: { location, length: 12 } }],
  });

/** The bytes of that file. */
export const biasBytes = () => new Uint8Array(Float32Array.of(1, 2, 3).buffer);

/** sum = pixels + w0 + w1 + …, each of them [3] and in a file of its own. */
export const addMany = (count) =>
  writeModel({
    inputs: [{ name: "pixels", shape: ["batch", 3] }],
    outputs: [{ name: "sum", shape: ["batch", 3] }],
    nodes: Array.from({ length: count }, (_, at) => ({ op: "Add", name: `add${at}`, inputs: [at === 0 ? "pixels" : `s${at - 1}`, `w${at}`], outputs: [at === count - 1 ? "sum" : `s${at}`] })),
    initializers: Array.from({ length: count }, (_, at) => ({ name: `w${at}`, shape: [3], external: { location: `w${at}.bin`, length: 12 } })),
  });

/** As many zeros as the input says: a small file that may ask for more memory than there is. */
export const zeros = () =>
  writeModel({
    inputs: [{ name: "length", dtype: "int64", shape: [1] }],
    outputs: [{ name: "zeros", shape: ["length"] }],
    nodes: [{ op: "ConstantOfShape", name: "fill", inputs: ["length"], outputs: ["zeros"] }],
  });

/** Gives back what comes in, of any dtype and length; a sequence or an optional where `kind` says so. */
export const identity = (dtype, kind = {}) =>
  writeModel({
    inputs: [{ name: "x", ...kind, dtype, shape: ["length"] }],
    outputs: [{ name: "y", ...kind, dtype, shape: ["length"] }],
    nodes: [{ op: "Identity", name: "same", inputs: ["x"], outputs: ["y"] }],
    opset: 21,
  });

/** Whether the optional x, a tensor, is there. */
export const isThere = () =>
  writeModel({
    inputs: [{ name: "x", optional: true, shape: ["length"] }],
    outputs: [{ name: "there", dtype: "bool", shape: [] }],
    nodes: [{ op: "OptionalHasElement", name: "look", inputs: ["x"], outputs: ["there"] }],
    opset: 18,
  });

/** Two outputs: positive = relu(x), negative = -x. */
export const twoOutputs = () =>
  writeModel({
    inputs: [{ name: "x", shape: ["length"] }],
    outputs: ["positive", "negative"].map((name) => ({ name, shape: ["length"] })),
    nodes: [
      { op: "Relu", name: "relu", inputs: ["x"], outputs: ["positive"] },
      { op: "Neg", name: "neg", inputs: ["x"], outputs: ["negative"] },
    ],
  });

/** Two operators that no version has, three nodes in all, and one that each has. */
export const unsupported = () =>
  writeModel({
    inputs: [{ name: "x", shape: [3] }],
    outputs: [{ name: "y", shape: [3] }],
    nodes: [
      { op: "Frobnicate", name: "first", inputs: ["x"], outputs: ["a"], domain: "test.firebrand" },
      { op: "Relu", name: "known", inputs: ["a"], outputs: ["b"] },
      { op: "Frobnicate", name: "second", inputs: ["b"], outputs: ["c"], domain: "test.firebrand" },
      { op: "Defenestrate", name: "third", inputs: ["c"], outputs: ["y"], domain: "test.firebrand" },
    ],
    domains: ["test.firebrand"],
  });
