import { FirebrandError } from "./error.js";
import { tensorFromImage, type ImageOptions, type ImageSource } from "./image.js";

/** The array that holds a tensor's elements, by dtype. */
export interface TensorData {
  float32: Float32Array;
  /** The bits of IEEE 754 half-precision numbers, on every platform. */
  float16: Uint16Array;
  /** The bits: the upper half of those of a `float32`. */
  bfloat16: Uint16Array;
  float64: Float64Array;
  /** The bits, as those of all four 8-bit floats. */
  float8e4m3fn: Uint8Array;
  float8e4m3fnuz: Uint8Array;
  float8e5m2: Uint8Array;
  float8e5m2fnuz: Uint8Array;
  /** The numbers, -8 to 7, each in an element of its own. */
  int4: Int8Array;
  /** The numbers, 0 to 15, each in an element of its own. */
  uint4: Uint8Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  /** 0 is false, all else is true. */
  bool: Uint8Array;
  string: readonly string[];
}

/** An element type. */
export type DType = keyof TensorData;

type ArrayConstructor = { readonly name: string; new (buffer: ArrayBufferLike, byteOffset: number, length: number): ArrayBufferView; readonly BYTES_PER_ELEMENT: number };

const arrays: Record<Exclude<DType, "string">, ArrayConstructor> = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float64: Float64Array,
  float8e4m3fn: Uint8Array,
  float8e4m3fnuz: Uint8Array,
  float8e5m2: Uint8Array,
  float8e5m2fnuz: Uint8Array,
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

/**
 * An n-dimensional array: elements in row-major order, the last axis varying fastest.
 *
 * ```js
 * new Tensor("float32", new Float32Array(1 * 3 * 224 * 224), [1, 3, 224, 224]);
 * ```
 */
export class Tensor<D extends DType = DType> {
  /** The element type. */
  readonly dtype: D;
  /** The length of each axis; `[]` for a single number. */
  readonly shape: readonly number[];
  /** The elements. The tensor does not copy them: it refers to the array it was made with. */
  readonly data: TensorData[D];

  /**
   * @param dtype the element type
   * @param data the elements, in the array type that {@link TensorData} gives for `dtype`
   * @param shape the length of each axis; their product is the number of elements
   * @throws {@link FirebrandError} of kind `dtype_mismatch` where `data` is another kind of array,
   *   `data_length_mismatch` where it has another length than `shape` asks for, `invalid_argument`
   *   where `dtype` or `shape` make no sense, or where an element is no 4-bit number.
   */
  constructor(dtype: D, data: TensorData[D], shape: readonly number[]) {
    checkTensor(dtype, data, shape, "tensor");
    this.dtype = dtype;
    this.shape = Object.freeze([...shape]);
    this.data = asDeclared(dtype, data);
  }

  /**
   * Makes a `float32` tensor of shape `[1, 3, height, width]` (or `[1, height, width, 3]`) from a
   * picture. Each element is `(pixel − mean[c]) × scale[c]`, with `pixel` in 0…255.
   *
   * The work is done in place, in time proportional to the picture's pixels; shrink large photos
   * first with `createImageBitmap(file, { resizeWidth })`, which browsers do off the main thread.
   *
   * @throws {@link FirebrandError} of kind `invalid_argument` where the source has no pixels yet or
   *   may not be read (a picture from another origin without CORS), or an option makes no sense.
   */
  static fromImage(source: ImageSource, options: ImageOptions = {}): Tensor<"float32"> {
    const { data, shape } = tensorFromImage(source, options);
    return new Tensor("float32", data, shape);
  }
}

/** A tensor of any dtype, such that checking `dtype` tells the type of `data`. */
export type AnyTensor = { [D in DType]: Tensor<D> }[DType];

/** The elements as little-endian bytes in a buffer of their own, or as strings. */
export function copyElements(tensor: Tensor): Uint8Array<ArrayBuffer> | string[] {
  const { data } = tensor;
  if (!ArrayBuffer.isView(data)) return [...data];
  const copy = new Uint8Array(data.byteLength);
  copy.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return copy;
}

/** Makes a tensor from little-endian bytes, without copying where they are aligned. */
export function tensorFromElements(dtype: DType, shape: readonly number[], elements: Uint8Array | string[]): AnyTensor {
  if (!(elements instanceof Uint8Array)) return new Tensor("string", elements, shape);
  if (dtype === "string" || !Object.hasOwn(arrays, dtype)) {
    throw new FirebrandError("unsupported", `a tensor of dtype ${dtype} cannot reach JavaScript, which has no array for it; cast it in the model`);
  }
  const array = arrays[dtype];
  const aligned = elements.byteOffset % array.BYTES_PER_ELEMENT === 0 ? elements : elements.slice();
  const data = new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / array.BYTES_PER_ELEMENT);
  return new Tensor(dtype, data as TensorData[typeof dtype], shape) as AnyTensor;
}

/** The number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, axis) => count * axis, 1);
}

/** An array of `count` zeros, or of empty strings. */
export function zeros<D extends DType>(dtype: D, count: number): TensorData[D] {
  if (dtype === "string") return Array.from({ length: count }, () => "") as readonly string[] as TensorData[D];
  const array = arrays[dtype as Exclude<DType, "string">];
  return new array(new ArrayBuffer(count * array.BYTES_PER_ELEMENT), 0, count) as TensorData[D];
}

/** Throws unless the three fit together; `where` opens the message. */
export function checkTensor(dtype: unknown, data: unknown, shape: unknown, where: string): void {
  if (typeof dtype !== "string" || !(dtype === "string" || Object.hasOwn(arrays, dtype))) {
    const names = [...Object.keys(arrays), "string"].join(", ");
    throw new FirebrandError("invalid_argument", `${where}: ${quote(dtype)} is not a dtype; use one of ${names}`);
  }
  if (!Array.isArray(shape) || !shape.every((axis) => Number.isSafeInteger(axis) && axis >= 0)) {
    throw new FirebrandError(
      "invalid_argument",
      `${where}: a shape is an array of whole numbers, 0 or more, such as [1, 3, 224, 224]; got ${quote(shape)}`,
    );
  }
  if (!isDeclared(dtype as DType, data)) {
    const expected = dtype === "string" ? "an array of strings" : arrays[dtype as Exclude<DType, "string">].name;
    throw new FirebrandError("dtype_mismatch", `${where}: dtype ${dtype} expects ${expected}, got ${typeName(data)}`);
  }
  const { length } = data as { length: number };
  const count = elementCount(shape);
  if (length !== count) {
    throw new FirebrandError(
      "data_length_mismatch",
      `${where}: shape [${shape.join(", ")}] has ${count} elements, the data has ${length}`,
    );
  }
  const range = dtype === "int4" ? [-8, 7] : dtype === "uint4" ? [0, 15] : undefined;
  if (!range) return;
  const [least, most] = range as [number, number];
  const at = (data as Int8Array).findIndex((element) => element < least || element > most);
  if (at >= 0) {
    throw new FirebrandError("invalid_argument", `${where}: ${dtype} holds ${least} to ${most}, element ${at} is ${(data as Int8Array)[at]}`);
  }
}

function isDeclared(dtype: DType, data: unknown): boolean {
  if (dtype === "string") return Array.isArray(data) && data.every((element) => typeof element === "string");
  const name = ArrayBuffer.isView(data) ? typeName(data) : undefined;
  if (name === arrays[dtype].name) return true;
  return (dtype === "float16" && name === "Float16Array") || (dtype === "uint8" && name === "Uint8ClampedArray");
}

/** Views close relatives (`Float16Array`, `Uint8ClampedArray`) as the array type that is declared. */
function asDeclared<D extends DType>(dtype: D, data: TensorData[D]): TensorData[D] {
  if (!ArrayBuffer.isView(data)) return Object.freeze([...(data as readonly string[])]) as TensorData[D];
  const array = arrays[dtype as Exclude<DType, "string">];
  if (typeName(data) === array.name) return data;
  return new array(data.buffer, data.byteOffset, data.byteLength / array.BYTES_PER_ELEMENT) as TensorData[D];
}

/** What a value is, in words. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object" && typeof value !== "function") return typeof value;
  const tag = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  if (typeof tag === "string") return tag;
  return Array.isArray(value) ? "a plain array" : "an object";
}

function quote(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeName(value);
  }
}
