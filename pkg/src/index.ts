/**
 * Runs ONNX models in browsers and in Node, on WebGPU or on the CPU.
 *
 * ```js
 * import { load, Tensor } from "firebrand";
 *
 * const session = await load("/models/squeezenet.onnx");
 * const pixels = Tensor.fromImage(image, { size: 224 });
 * const { probs } = await session.run({ pixels });
 * await session.dispose();
 * ```
 *
 * @packageDocumentation
 */
export { FirebrandError, type ErrorDetails, type ErrorKind } from "./error.js";
export type { ImageOptions, ImageSource, PixelSource } from "./image.js";
export type { AudioPreprocessing, GoldenSample, GoldenTensor, ImagePreprocessing, Manifest, ManifestInput, ManifestOutput, ManifestTask, ManifestValue, PackageFile, TaskFile } from "./manifest.js";
export type { Device, GraphOptimizationLevel, MapsInfo, ModelReport, OperatorUse, OtherInfo, Progress, SequenceInfo, SessionInfo, TensorInfo, ValueInfo } from "./protocol.js";
export { toChromeTrace, type NodeProfile, type Profile } from "./profile.js";
export { inspect, load, Session, type InputValue, type InspectOptions, type LoadOptions, type OutputValue, type ProfiledRun, type ProfiledRunOptions, type RunOptions, type WarmupOptions } from "./session.js";
export type { DataSource, ModelSource } from "./source.js";
export { Tensor, type AnyTensor, type DType, type TensorData } from "./tensor.js";
export { runtimeVersion } from "./version.js";
