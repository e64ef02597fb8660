//! Tensors, their types and options, under the names that onnxruntime-common has for them.
import { CpuTensor } from "./cpu-tensor.js";

export declare namespace Tensor {
  /** The array that holds a tensor's elements, by type. */
  interface DataTypeMap {
    float32: Float32Array;
    uint8: Uint8Array;
    int8: Int8Array;
    uint16: Uint16Array;
    int16: Int16Array;
    int32: Int32Array;
    int64: BigInt64Array;
    string: string[];
    /** 0 is false, all else is true. */
    bool: Uint8Array;
    /** A `Float16Array` where the browser has that; else a `Uint16Array` of the bits. */
    float16: Uint16Array;
    float64: Float64Array;
    uint32: Uint32Array;
    uint64: BigUint64Array;
    /** Two elements to a byte, the first in the lower half. */
    uint4: Uint8Array;
    /** As `uint4`, in two's complement; a `Uint8Array` from sessions. */
    int4: Int8Array;
  }

  interface ElementTypeMap {
    float32: number;
    uint8: number;
    int8: number;
    uint16: number;
    int16: number;
    int32: number;
    int64: bigint;
    string: string;
    bool: boolean;
    float16: number;
    float64: number;
    uint32: number;
    uint64: bigint;
    uint4: number;
    int4: number;
  }

  type Type = keyof DataTypeMap;
  type DataType = DataTypeMap[Type];
  type ElementType = ElementTypeMap[Type];
  type CpuPinnedDataTypes = Exclude<Type, "string">;
  /** `"none"` after {@link Tensor.dispose}. There are no tensors elsewhere than on the CPU. */
  type DataLocation = "none" | "cpu" | "cpu-pinned" | "texture" | "gpu-buffer" | "ml-tensor";
  type TextureType = WebGLTexture;
  type TextureDataTypes = "float32";
  type GpuBufferType = unknown;
  type GpuBufferDataTypes = "float32" | "float16" | "int32" | "int64" | "uint32" | "uint8" | "bool";
  type MLTensorType = unknown;
  type MLTensorDataTypes = "float32" | "float16" | "int8" | "uint8" | "int32" | "uint32" | "int64" | "uint64" | "bool" | "uint4" | "int4";
}

/** A tensor of a known type: elements in row-major order, the last axis varying fastest. */
export interface TypedTensor<T extends Tensor.Type> extends TypedTensorUtils<T> {
  readonly type: T;
  /** The length of each axis; `[]` for a single number. */
  readonly dims: readonly number[];
  /** The elements: the very array that the tensor was made with. Throws after {@link TypedTensor.dispose}. */
  readonly data: Tensor.DataTypeMap[T];
  readonly location: Tensor.DataLocation;
  /** Throws a FirebrandError of kind `unsupported`: there are no tensors in textures. */
  readonly texture: Tensor.TextureType;
  /** Throws a FirebrandError of kind `unsupported`: there are no tensors in GPU buffers. */
  readonly gpuBuffer: Tensor.GpuBufferType;
  /** Throws a FirebrandError of kind `unsupported`: there are no tensors of WebNN. */
  readonly mlTensor: Tensor.MLTensorType;
  /** The elements, as {@link TypedTensor.data}. */
  getData(releaseData?: boolean): Promise<Tensor.DataTypeMap[T]>;
  /** Lets go of the elements. */
  dispose(): void;
}

/** A tensor: elements in row-major order, the last axis varying fastest. */
export interface Tensor extends TypedTensor<Tensor.Type> {}

/** What pictures are made of a tensor by. */
export interface ConversionUtils {
  /**
   * A picture of the tensor, `[1, channels, height, width]`, as a PNG in a data URL. Each channel is `(element − bias) × mean`.
   *
   * @throws FirebrandError of kind `shape_mismatch` where it is no picture, `unsupported` without a document
   */
  toDataURL(options?: TensorToDataUrlOptions): string;
  /** The same picture as `ImageData`. */
  toImageData(options?: TensorToImageDataOptions): ImageData;
}

export interface TensorUtils extends ConversionUtils {
  /** The number of elements. */
  readonly size: number;
}

export interface TypedTensorUtils<T extends Tensor.Type> extends TensorUtils {
  /**
   * The same elements with other axes.
   *
   * @throws FirebrandError of kind `data_length_mismatch` where they have another number of elements
   */
  reshape(dims: readonly number[]): TypedTensor<T>;
}

/** Makes tensors. Each throws a FirebrandError where the parts do not fit together; arrays are kept, not copied. */
export interface TensorConstructor extends TensorFactory {
  new (type: "string", data: Tensor.DataTypeMap["string"] | readonly string[], dims?: readonly number[]): TypedTensor<"string">;
  new (type: "bool", data: Tensor.DataTypeMap["bool"] | readonly boolean[], dims?: readonly number[]): TypedTensor<"bool">;
  new (type: "uint8", data: Uint8ClampedArray, dims?: readonly number[]): TypedTensor<"uint8">;
  new <T extends "uint64" | "int64">(type: T, data: Tensor.DataTypeMap[T] | readonly bigint[] | readonly number[], dims?: readonly number[]): TypedTensor<T>;
  new <T extends Exclude<Tensor.Type, "string" | "bool" | "uint64" | "int64">>(type: T, data: Tensor.DataTypeMap[T] | readonly number[], dims?: readonly number[]): TypedTensor<T>;
  new (data: Float32Array, dims?: readonly number[]): TypedTensor<"float32">;
  new (data: Int8Array, dims?: readonly number[]): TypedTensor<"int8">;
  new (data: Uint8Array, dims?: readonly number[]): TypedTensor<"uint8">;
  new (data: Uint8ClampedArray, dims?: readonly number[]): TypedTensor<"uint8">;
  new (data: Uint16Array, dims?: readonly number[]): TypedTensor<"uint16">;
  new (data: Int16Array, dims?: readonly number[]): TypedTensor<"int16">;
  new (data: Int32Array, dims?: readonly number[]): TypedTensor<"int32">;
  new (data: BigInt64Array, dims?: readonly number[]): TypedTensor<"int64">;
  new (data: readonly string[], dims?: readonly number[]): TypedTensor<"string">;
  new (data: readonly boolean[], dims?: readonly number[]): TypedTensor<"bool">;
  new (data: Float64Array, dims?: readonly number[]): TypedTensor<"float64">;
  new (data: Uint32Array, dims?: readonly number[]): TypedTensor<"uint32">;
  new (data: BigUint64Array, dims?: readonly number[]): TypedTensor<"uint64">;
  new (type: Tensor.Type, data: Tensor.DataType | readonly number[] | readonly string[] | readonly bigint[] | readonly boolean[], dims?: readonly number[]): Tensor;
  new (data: Tensor.DataType, dims?: readonly number[]): Tensor;
}

export type ImageFormat = "RGB" | "RGBA" | "BGR" | "RBG";
export type ImageTensorLayout = "NHWC" | "NCHW";

export interface OptionsFormat {
  /** The order of the channels in the tensor. Default: `"RGB"`. */
  format?: ImageFormat;
}

export interface OptionsTensorFormat {
  /** The order of the channels in the tensor. Default: `"RGB"`, and `"RGBA"` for an `HTMLImageElement`. */
  tensorFormat?: ImageFormat;
}

export interface OptionsTensorDataType {
  /** Tensors of pictures are float32; `"uint8"` is not heeded, as in onnxruntime-common, and the console tells so once. */
  dataType?: "float32" | "uint8";
}

export interface OptionsTensorLayout {
  /** The order of the axes. Default: `"NCHW"`. */
  tensorLayout?: ImageTensorLayout;
}

export interface OptionsDimensions {
  height?: number;
  width?: number;
}

export interface OptionResizedDimensions {
  /**
   * The tensor's height in pixels, for an `ImageData` or an `HTMLImageElement` and with `resizedWidth` alone. As
   * onnxruntime-common does, the picture is cut off, or black and transparent is added; it is not resampled.
   */
  resizedHeight?: number;
  /** The tensor's width in pixels, as `resizedHeight`. */
  resizedWidth?: number;
}

export interface OptionsNormalizationParameters {
  /** What becomes of pixels of 0…255; one number, or one for each channel in the order red, green, blue, alpha. */
  norm?: {
    /** Default: 0. */
    bias?: number | [number, number, number] | [number, number, number, number];
    /** Default: 255. */
    mean?: number | [number, number, number] | [number, number, number, number];
  };
}

export interface TensorFromImageDataOptions extends OptionResizedDimensions, OptionsTensorFormat, OptionsTensorLayout, OptionsTensorDataType, OptionsNormalizationParameters {}
export interface TensorFromImageElementOptions extends TensorFromImageDataOptions {}
export interface TensorFromImageBitmapOptions extends TensorFromImageDataOptions {}
export interface TensorFromUrlOptions extends OptionsDimensions, TensorFromImageDataOptions {}
export interface TensorToDataUrlOptions extends OptionsTensorLayout, OptionsFormat, OptionsNormalizationParameters {}
export interface TensorToImageDataOptions extends OptionsTensorLayout, OptionsFormat, OptionsNormalizationParameters {}

/** A tensor that is made of an array in place; Firebrand treats it as any other. */
export interface CpuPinnedConstructorParameters<T extends Tensor.CpuPinnedDataTypes = Tensor.CpuPinnedDataTypes> {
  readonly location: "cpu-pinned";
  readonly type: T;
  readonly dims: readonly number[];
  readonly data: Tensor.DataTypeMap[T];
}

export interface TensorFactory {
  /**
   * A float32 tensor of a picture: `[1, channels, height, width]`, or `[1, height, width, channels]` with `"NHWC"`. Each
   * element is `(pixel + bias) / mean`, with pixels of 0…255; a string is the picture's URL, a data URL too.
   *
   * @throws FirebrandError of kind `invalid_argument` for anything else, `network` for a URL without a picture
   */
  fromImage(image: ImageData, options?: TensorFromImageDataOptions): Promise<TypedTensor<"float32"> | TypedTensor<"uint8">>;
  fromImage(image: HTMLImageElement, options?: TensorFromImageElementOptions): Promise<TypedTensor<"float32"> | TypedTensor<"uint8">>;
  fromImage(url: string, options?: TensorFromUrlOptions): Promise<TypedTensor<"float32"> | TypedTensor<"uint8">>;
  fromImage(bitmap: ImageBitmap, options: TensorFromImageBitmapOptions): Promise<TypedTensor<"float32"> | TypedTensor<"uint8">>;
  /** Throws a FirebrandError of kind `unsupported`: there is no WebGL. */
  fromTexture(texture: Tensor.TextureType, options: unknown): TypedTensor<"float32">;
  /** Throws a FirebrandError of kind `unsupported`: tensors cross between page and session on the CPU. */
  fromGpuBuffer<T extends Tensor.GpuBufferDataTypes>(buffer: Tensor.GpuBufferType, options: { dataType?: T }): TypedTensor<T>;
  /** Throws a FirebrandError of kind `unsupported`: there is no WebNN. */
  fromMLTensor<T extends Tensor.MLTensorDataTypes>(tensor: Tensor.MLTensorType, options: { dataType?: T }): TypedTensor<T>;
  /** A tensor of an array that is used in place. */
  fromPinnedBuffer<T extends Exclude<Tensor.Type, "string">>(type: T, buffer: Tensor.DataTypeMap[T], dims?: readonly number[]): TypedTensor<T>;
}

// What it makes depends on the arguments' types, which a class cannot say.
export const Tensor = CpuTensor as unknown as TensorConstructor;
