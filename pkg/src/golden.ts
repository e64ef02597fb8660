//! Golden samples: their inputs, and whether a device's outputs are right. `src/package/golden.rs` has the same arithmetic.
import type { GoldenSample, GoldenTensor } from "./manifest.js";
import type { WireTensor, WireValue } from "./protocol.js";

type Numbers = ArrayLike<number | bigint>;
type ArrayType = { new (buffer: ArrayBuffer, byteOffset: number, length: number): Numbers & ArrayBufferView; readonly BYTES_PER_ELEMENT: number };

const arrays: Record<string, ArrayType> = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int4: Int8Array,
  uint4: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

function arrayOf(dtype: string): ArrayType {
  const array = Object.hasOwn(arrays, dtype) ? arrays[dtype] : undefined;
  if (!array) throw new Error(`a golden tensor has no dtype ${dtype}`);
  return array;
}

/** What a sample gives a model, with what its data file holds. */
export function inputsOf(sample: GoldenSample, data: Uint8Array): WireValue[] {
  return Object.entries(sample.inputs).map(([name, tensor]) => ({ name, dtype: tensor.dtype, shape: tensor.shape, data: tensor.random ? draw(tensor, tensor.random) : stored(tensor, data) }));
}

function stored({ offset = 0, bytes = 0 }: GoldenTensor, data: Uint8Array): Uint8Array<ArrayBuffer> {
  return data.slice(offset, offset + bytes);
}

/**
 * A tensor of a seed: mulberry32 numbers `n`, one an element in row-major order. A float is
 * `low + (high − low) × n / 2^32` in double precision, rounded once; an integer
 * `low + floor((high − low + 1) × n / 2^32)`; a bool whether `n` is 2^31 or more.
 */
export function draw({ dtype, shape }: GoldenTensor, { seed, low, high }: { seed: number; low: number; high: number }): Uint8Array<ArrayBuffer> {
  const array = arrayOf(dtype);
  const count = shape.reduce((product, size) => product * size, 1);
  const buffer = new ArrayBuffer(count * array.BYTES_PER_ELEMENT);
  const elements = new array(buffer, 0, count) as Numbers & Record<number, number | bigint>;
  const isFloat = dtype.startsWith("float");
  let state = seed | 0;
  for (let at = 0; at < count; at++) {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    const share = ((bits ^ (bits >>> 14)) >>> 0) / 4294967296;
    const value = dtype === "bool" ? Number(share >= 0.5) : isFloat ? low + (high - low) * share : low + Math.floor((high - low + 1) * share);
    elements[at] = array.BYTES_PER_ELEMENT === 8 && !isFloat ? BigInt(value) : value;
  }
  return new Uint8Array(buffer);
}

function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  const size = exponent === 31 ? (fraction ? NaN : Infinity) : exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction;
  return bits >> 15 ? -size : size;
}

const word = new DataView(new ArrayBuffer(4));

function numbers(dtype: string, bytes: Uint8Array): (at: number) => number {
  const array = arrayOf(dtype);
  const own = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 && bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice();
  const elements = new array(own.buffer as ArrayBuffer, own.byteOffset, own.byteLength / array.BYTES_PER_ELEMENT);
  if (dtype === "float16") return (at) => half(elements[at] as number);
  if (dtype === "bfloat16") return (at) => (word.setUint32(0, (elements[at] as number) << 16), word.getFloat32(0));
  return (at) => Number(elements[at]);
}

/** What came of comparing: the largest difference of any element, or why a device is not to be trusted. */
export type Compared = { maxDifference: number } | { wrong: string };

/** Compares what a model gave with what a sample says. */
export function compare(sample: GoldenSample, outputs: readonly WireValue[], data: Uint8Array): Compared {
  let maxDifference = 0;
  for (const [name, expected] of Object.entries(sample.outputs)) {
    const where = `output ${JSON.stringify(name)}`;
    const got = outputs.find((value) => value.name === name);
    if (!got || !("dtype" in got)) return { wrong: `${where}: expected a tensor` };
    const { dtype, shape, stride = 1 } = expected;
    const { absolute, relative } = sample.tolerance;
    if (got.dtype !== dtype || String(got.shape) !== String(shape) || !((got as WireTensor).data instanceof Uint8Array)) {
      return { wrong: `${where}: expected ${dtype} [${shape.join(", ")}], got ${got.dtype} [${got.shape.join(", ")}]` };
    }
    const should = numbers(dtype, stored(expected, data));
    const is = numbers(dtype, got.data as Uint8Array);
    const count = Math.ceil(shape.reduce((product, size) => product * size, 1) / stride);
    let largest = 0;
    for (let at = 0; at < count; at++) if (Number.isFinite(should(at))) largest = Math.max(largest, Math.abs(should(at)));
    const allowed = /float/.test(dtype) ? absolute + relative * largest : 0;
    for (let at = 0; at < count; at++) {
      const [a, b] = [is(at * stride), should(at)];
      if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
      const difference = Math.abs(a - b);
      // A NaN is as far away as can be.
      if (!(difference <= allowed)) return { wrong: `${where}, element ${at * stride}: expected ${b} within ${allowed.toPrecision(3)}, got ${a}` };
      maxDifference = Math.max(maxDifference, difference);
    }
  }
  return { maxDifference };
}
