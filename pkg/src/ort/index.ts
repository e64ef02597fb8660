/**
 * onnxruntime-web's interface over Firebrand, for programs that were written for it: one alias in the bundler moves them.
 *
 * ```js
 * import * as ort from "firebrand/ort";
 *
 * const session = await ort.InferenceSession.create("/models/squeezenet.onnx", { executionProviders: ["webgpu", "wasm"] });
 * const { probs } = await session.run({ pixels: new ort.Tensor("float32", pixels, [1, 3, 224, 224]) });
 * ```
 *
 * New programs are better served by `load` of `firebrand`, which has progress, signals and packages.
 *
 * @packageDocumentation
 */
import { env } from "./env.js";
import { InferenceSession } from "./session.js";
import { Tensor } from "./tensor.js";

/** Without effect: there are no other backends. */
export function registerBackend(_name: string, _backend: unknown, _priority: number): void {}

export { env, InferenceSession, Tensor };
export default { env, InferenceSession, Tensor, registerBackend };

export type { Env } from "./env.js";
export type {
  ExternalDataFileDescription,
  ExternalDataFileType,
  FileBlob,
  FileData,
  FileType,
  FileUrlOrPath,
  InferenceSessionFactory,
  NonTensorType,
  OnnxModelOptions,
  OnnxValue,
  OnnxValueDataLocation,
} from "./session.js";
export type {
  ConversionUtils,
  CpuPinnedConstructorParameters,
  ImageFormat,
  ImageTensorLayout,
  OptionResizedDimensions,
  OptionsDimensions,
  OptionsFormat,
  OptionsNormalizationParameters,
  OptionsTensorDataType,
  OptionsTensorFormat,
  OptionsTensorLayout,
  TensorConstructor,
  TensorFactory,
  TensorFromImageBitmapOptions,
  TensorFromImageDataOptions,
  TensorFromImageElementOptions,
  TensorFromUrlOptions,
  TensorToDataUrlOptions,
  TensorToImageDataOptions,
  TypedTensor,
} from "./tensor.js";
