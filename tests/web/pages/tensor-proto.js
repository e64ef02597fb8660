// Reads the tensors that ONNX stores beside its test cases. Field numbers are those of onnx.proto.

const dtypes = { 1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64" };
const arrays = {
  float32: Float32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
  float16: Uint16Array,
  float64: Float64Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
};

function* fields(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = view.getUint8(at++);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const field = key >> 3;
    if ((key & 7) === 0) yield { field, value: varint() };
    else if ((key & 7) === 1) yield { field, bytes: bytes.subarray(at, (at += 8)) };
    else if ((key & 7) === 5) yield { field, bytes: bytes.subarray(at, (at += 4)) };
    else {
      const length = Number(varint());
      yield { field, bytes: bytes.subarray(at, (at += length)) };
    }
  }
}

function* varints(bytes) {
  let value = 0n;
  let shift = 0n;
  for (const byte of bytes) {
    value |= BigInt(byte & 127) << shift;
    shift += 7n;
    if (byte >= 128) continue;
    yield value;
    value = shift = 0n;
  }
}

/** Reads a TensorProto: { dtype, shape, data }, or undefined where JavaScript has no array for its dtype. */
export function readTensorProto(bytes) {
  const shape = [];
  const integers = [];
  const strings = [];
  const raw = [];
  let dtype;
  for (const { field, value, bytes: content } of fields(bytes)) {
    const numbers = () => (content ? varints(content) : [value]);
    if (field === 1) shape.push(...[...numbers()].map(Number));
    else if (field === 2) dtype = dtypes[Number(value)];
    else if (field === 5 || field === 7 || field === 11) for (const number of numbers()) integers.push(number);
    else if (field === 6) strings.push(new TextDecoder().decode(content));
    else if (field === 4 || field === 9 || field === 10) raw.push(content);
  }
  if (dtype === undefined) return undefined;
  const count = shape.reduce((product, axis) => product * axis, 1);
  let data;
  if (dtype === "string") data = strings;
  else if (integers.length > 0) {
    const bits = BigUint64Array.from(integers, (number) => BigInt.asUintN(64, number));
    data = /64$/.test(dtype) ? new arrays[dtype](bits.buffer) : arrays[dtype].from(bits, (number) => Number(BigInt.asIntN(64, number)));
  } else {
    const whole = new Uint8Array(raw.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of raw) (whole.set(part, at), (at += part.length));
    data = new arrays[dtype](whole.buffer);
  }
  if (data.length !== count) throw new Error(`a stored ${dtype} tensor of shape [${shape}] has ${data.length} elements`);
  return { dtype, shape, data };
}
