//! What `Tensor` is when it runs: elements on the CPU, checked as onnxruntime-common checks them.
import { FirebrandError } from "../index.js";
import { pictureOf, toDataURL, toImageData, type PictureSource } from "./picture.js";
import type { Tensor, TensorFromUrlOptions, TensorToDataUrlOptions, TensorToImageDataOptions } from "./tensor.js";

type TypedArray = Exclude<Tensor.DataType, string[]>;
interface ArrayConstructor {
  readonly name: string;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArray;
  from(elements: ArrayLike<unknown>): TypedArray;
}

const float16 = (globalThis as { Float16Array?: ArrayConstructor }).Float16Array;

/** The array of each type but strings. 4-bit numbers are packed. */
const arrays: Readonly<Record<string, ArrayConstructor>> = Object.assign(Object.create(null), {
  float32: Float32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
  float16: float16 ?? Uint16Array,
  float64: Float64Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  uint4: Uint8Array,
  int4: Uint8Array,
});

/** The type of each array, where nothing else is said. */
const typesOfArrays: Readonly<Record<string, Tensor.Type>> = Object.assign(Object.create(null), {
  Float32Array: "float32",
  Uint8Array: "uint8",
  Uint8ClampedArray: "uint8",
  Int8Array: "int8",
  Uint16Array: "uint16",
  Int16Array: "int16",
  Int32Array: "int32",
  BigInt64Array: "int64",
  Float16Array: "float16",
  Float64Array: "float64",
  Uint32Array: "uint32",
  BigUint64Array: "uint64",
} satisfies Record<string, Tensor.Type>);

const elsewhere: Readonly<Record<string, string>> = {
  texture: "WebGL textures",
  "gpu-buffer": "WebGPU buffers",
  "ml-tensor": "WebNN tensors",
};

export class CpuTensor {
  // Programs assign these three, as onnxruntime-common's plain fields let them.
  dims: readonly number[];
  type: Tensor.Type;
  size: number;
  declare readonly data: Tensor.DataType;
  #data: Tensor.DataType | undefined;
  #location: "none" | "cpu" | "cpu-pinned";

  constructor(first: unknown, second?: unknown, third?: unknown) {
    const { type, data, dims, location } = partsOf(first, second, third);
    this.type = type;
    this.dims = dims;
    this.size = sizeOf(dims);
    this.#data = data;
    this.#location = location;
    // A property of its own, for programs of the time of ONNX Runtime 1.16 and before, which copy tensors with Object.assign.
    Object.defineProperty(this, "data", { enumerable: true, configurable: true, get: () => this.#elements() });
    const length = isPacked(type) ? Math.ceil(this.size / 2) : this.size;
    if (data.length === length) return;
    const advice = isPacked(type) ? `; ${type} has two elements to a byte, which are ${length} bytes` : "";
    throw new FirebrandError("data_length_mismatch", `Tensor's size(${this.size}) does not match data length(${data.length})${advice}.`);
  }

  #elements(): Tensor.DataType {
    if (this.#data === undefined) throw new FirebrandError("disposed", "The tensor is disposed.");
    return this.#data;
  }

  get location(): Tensor.DataLocation {
    return this.#location;
  }

  get texture(): never {
    throw notElsewhere("texture", "The data is not stored as a WebGL texture");
  }

  get gpuBuffer(): never {
    throw notElsewhere("gpu-buffer", "The data is not stored as a WebGPU buffer");
  }

  get mlTensor(): never {
    throw notElsewhere("ml-tensor", "The data is not stored as a WebNN MLTensor");
  }

  async getData(_releaseData?: boolean): Promise<Tensor.DataType> {
    return this.data;
  }

  dispose(): void {
    this.#data = undefined;
    this.#location = "none";
  }

  reshape(dims: readonly number[]): CpuTensor {
    const { type, data } = this;
    return this.#location === "cpu-pinned" ? new CpuTensor({ location: "cpu-pinned", type, data, dims }) : new CpuTensor(type, data, dims);
  }

  toDataURL(options?: TensorToDataUrlOptions): string {
    return toDataURL(this, options);
  }

  toImageData(options?: TensorToImageDataOptions): ImageData {
    return toImageData(this, options);
  }

  static async fromImage(image: PictureSource, options?: TensorFromUrlOptions): Promise<CpuTensor> {
    const { data, dims } = await pictureOf(image, options);
    return new CpuTensor("float32", data, dims);
  }

  static fromTexture(): never {
    throw notElsewhere("texture", "Tensor.fromTexture");
  }

  static fromGpuBuffer(): never {
    throw notElsewhere("gpu-buffer", "Tensor.fromGpuBuffer");
  }

  static fromMLTensor(): never {
    throw notElsewhere("ml-tensor", "Tensor.fromMLTensor");
  }

  static fromPinnedBuffer(type: unknown, data: { readonly length: number }, dims: unknown = [data.length]): CpuTensor {
    return new CpuTensor({ location: "cpu-pinned", type, data, dims });
  }
}

/** Whether elements share bytes. */
export function isPacked(type: string): type is "int4" | "uint4" {
  return type === "int4" || type === "uint4";
}

/** A tensor `[1]` of zero, or of an empty string. */
export function zero(type: Tensor.Type): CpuTensor {
  const array = arrays[type];
  return new CpuTensor(type, array ? new array(new ArrayBuffer(8), 0, 1) : [""]);
}

/** What a value is, in words. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a plain array";
  return typeof value === "object" || typeof value === "function" ? Object.prototype.toString.call(value).slice(8, -1) : typeof value;
}

interface Parts {
  type: Tensor.Type;
  data: Tensor.DataType;
  dims: readonly number[];
  location: "cpu" | "cpu-pinned";
}

function partsOf(first: unknown, second: unknown, third: unknown): Parts {
  if (typeof first === "string") {
    const { type, data } = typedElements(first, second);
    return { type, data, dims: dimsOf(third, data), location: "cpu" };
  }
  if (typeof first === "object" && first !== null && "location" in first) return pinnedParts(first);
  const { type, data } = elementsAlone(first);
  return { type, data, dims: dimsOf(second, data), location: "cpu" };
}

function pinnedParts(given: { readonly location: unknown; readonly type?: unknown; readonly data?: unknown; readonly dims?: unknown }): Parts {
  if (given.location !== "cpu-pinned") throw notElsewhere(given.location, "Tensor constructor");
  const { type, data } = given;
  if (!isType(type) || type === "string") throw invalid(`unsupported type "${String(type)}" to create tensor from pinned buffer`);
  if (!isArray(data, type)) throw mismatch(`buffer should be of type ${arrays[type]?.name}, got ${typeName(data)}`);
  return { type, data, dims: dimsOf(given.dims, data), location: "cpu-pinned" };
}

function typedElements(type: string, given: unknown): { type: Tensor.Type; data: Tensor.DataType } {
  if (!isType(type)) throw invalid(`Unsupported tensor type: ${type}; expected one of ${[...Object.keys(arrays), "string"].join(", ")}.`);
  if (type === "string") {
    if (!isStrings(given)) throw mismatch(`A string tensor's data must be a string array, got ${typeName(given)}.`);
    return { type, data: given };
  }
  const array = arrays[type];
  if (array === undefined) throw invalid(`Unsupported tensor type: ${type}.`);
  if (isArray(given, type)) return { type, data: given };
  if (Array.isArray(given)) return { type, data: fromNumbers(type, array, given) };
  if (ArrayBuffer.isView(given)) {
    const name = typeName(given);
    const { buffer, byteOffset } = given;
    // The same bits under another name, in the same memory.
    if ((type === "float16" && name === "Uint16Array") || (type === "int4" && name === "Int8Array")) {
      return { type, data: new array(buffer, byteOffset, given.byteLength / (type === "float16" ? 2 : 1)) };
    }
    if (type === "uint8" && given instanceof Uint8ClampedArray) return { type, data: Uint8Array.from(given) };
  }
  throw mismatch(`A ${type} tensor's data must be type of ${array.name}, got ${typeName(given)}.`);
}

function fromNumbers(type: Tensor.Type, array: ArrayConstructor, given: readonly unknown[]): TypedArray {
  if (type === "float16" ? float16 === undefined : isPacked(type)) {
    throw mismatch(`Creating a ${type} tensor from number array is not supported. Please use ${array.name} as data.`);
  }
  try {
    return array.from(type === "int64" || type === "uint64" ? given.map(toBigInt) : given);
  } catch (error) {
    throw new FirebrandError("dtype_mismatch", `A ${type} tensor's data must be numbers: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function toBigInt(element: unknown): bigint {
  return typeof element === "bigint" ? element : BigInt(Number(element));
}

function elementsAlone(given: unknown): { type: Tensor.Type; data: Tensor.DataType } {
  if (Array.isArray(given)) {
    if (given.length === 0) throw invalid("Tensor type cannot be inferred from an empty array.");
    const kind = typeof given[0];
    if (kind === "string") return typedElements("string", given);
    if (kind === "boolean") return typedElements("bool", given);
    throw invalid(`Invalid element type of data array: ${kind}; give the tensor's type first, as in new Tensor("float32", data, dims).`);
  }
  const type = ArrayBuffer.isView(given) ? typesOfArrays[typeName(given)] : undefined;
  if (type === undefined) throw invalid(`Unsupported type for tensor data: ${typeName(given)}.`);
  return typedElements(type, given);
}

function dimsOf(given: unknown, data: { readonly length: number }): readonly number[] {
  if (given === undefined) return [data.length];
  if (!Array.isArray(given)) throw invalid(`A tensor's dims must be a number array, got ${typeName(given)}`);
  return given;
}

function sizeOf(dims: readonly unknown[]): number {
  let size = 1;
  for (const [at, dim] of dims.entries()) {
    if (typeof dim !== "number" || !Number.isSafeInteger(dim)) throw invalid(`dims[${at}] must be an integer, got: ${String(dim)}`);
    if (dim < 0) throw invalid(`dims[${at}] must be a non-negative integer, got: ${dim}`);
    size *= dim;
  }
  return size;
}

function isType(type: unknown): type is Tensor.Type {
  return type === "string" || (typeof type === "string" && arrays[type] !== undefined);
}

/** Whether this is the very array for a type, of whichever page or frame. */
function isArray(data: unknown, type: Tensor.Type): data is TypedArray {
  return ArrayBuffer.isView(data) && typeName(data) === arrays[type]?.name;
}

function isStrings(data: unknown): data is string[] {
  return Array.isArray(data) && data.every((element) => typeof element === "string");
}

function notElsewhere(location: unknown, where: string): FirebrandError {
  const what = typeof location === "string" ? elsewhere[location] : undefined;
  if (what === undefined) return invalid(`${where}: unsupported location '${String(location)}'`);
  return new FirebrandError("unsupported", `${where}: tensors in ${what} are not supported; give and take their elements on the CPU, with new Tensor(type, data, dims) and tensor.data`);
}

function invalid(message: string): FirebrandError {
  return new FirebrandError("invalid_argument", message);
}

function mismatch(message: string): FirebrandError {
  return new FirebrandError("dtype_mismatch", message);
}
