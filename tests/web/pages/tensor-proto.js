// Reads the tensors, sequences and optionals that ONNX stores beside its test cases. Field numbers are those of onnx.proto.

const dtypes = { 1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16", 17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4" };
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
  bfloat16: Uint16Array,
  float8e4m3fn: Uint8Array,
  float8e4m3fnuz: Uint8Array,
  float8e5m2: Uint8Array,
  float8e5m2fnuz: Uint8Array,
  uint4: Uint8Array,
  int4: Int8Array,
};

/** Takes apart bytes of two 4-bit integers each, the first in the low bits. */
function unpacked(dtype, bytes, count) {
  const element = (_, at) => {
    const bits = (bytes[at >> 1] >> (at & 1 ? 4 : 0)) & 15;
    return dtype === "int4" && bits > 7 ? bits - 16 : bits;
  };
  return arrays[dtype].from({ length: Math.min(count, bytes.length * 2) }, element);
}

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

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) (whole.set(part, at), (at += part.length));
  return whole;
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

/** Reads a TensorProto: { dtype, shape, data }. */
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
  if (dtype === undefined) throw new Error("a stored tensor of unknown dtype");
  const count = shape.reduce((product, axis) => product * axis, 1);
  let data;
  if (dtype === "string") data = strings;
  else if (/^u?int4$/.test(dtype)) data = unpacked(dtype, integers.length > 0 ? Uint8Array.from(integers, Number) : joined(raw), count);
  else if (integers.length > 0) {
    const bits = BigUint64Array.from(integers, (number) => BigInt.asUintN(64, number));
    data = /64$/.test(dtype) ? new arrays[dtype](bits.buffer) : arrays[dtype].from(bits, (number) => Number(BigInt.asIntN(64, number)));
  } else {
    data = new arrays[dtype](joined(raw).buffer);
  }
  if (data.length !== count) throw new Error(`a stored ${dtype} tensor of shape [${shape}] has ${data.length} elements`);
  return { dtype, shape, data };
}

/** Reads a SequenceProto of tensors: an array of them. */
export function readSequenceProto(bytes) {
  const tensors = [];
  for (const { field, value, bytes: content } of fields(bytes)) {
    if (field === 2 && value > 1n) throw new Error("a stored sequence of something else than tensors");
    if (field === 3) tensors.push(readTensorProto(content));
  }
  return tensors;
}

/** Reads an OptionalProto: a tensor, an array of tensors, or null where it is absent. */
export function readOptionalProto(bytes) {
  for (const { field, value, bytes: content } of fields(bytes)) {
    if (field === 2 && ![0n, 1n, 3n].includes(value)) throw new Error("a stored optional of something else than tensors");
    if (field === 3) return readTensorProto(content);
    if (field === 5) return readSequenceProto(content);
  }
  return null;
}
