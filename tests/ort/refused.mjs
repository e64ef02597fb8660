// What onnxruntime-common exports and firebrand/ort does not, by name; docs/onnxruntime-web.md tells why. Nothing else may be missing.

/** Exports, values and types. */
export const exports = {
  TRACE: "ONNX Runtime's own marks for tracing",
  TRACE_FUNC_BEGIN: "ONNX Runtime's own marks for tracing",
  TRACE_FUNC_END: "ONNX Runtime's own marks for tracing",
  TRACE_EVENT_BEGIN: "ONNX Runtime's own marks for tracing",
  TRACE_EVENT_END: "ONNX Runtime's own marks for tracing",
  Backend: "backends cannot be added; registerBackend takes anything and does nothing",
  SessionHandler: "backends cannot be added; registerBackend takes anything and does nothing",
  InferenceSessionHandler: "backends cannot be added; registerBackend takes anything and does nothing",
  TextureConstructorParameters: "tensors in textures",
  TensorFromTextureOptions: "tensors in textures",
  GpuBufferConstructorParameters: "tensors in GPU buffers",
  TensorFromGpuBufferOptions: "tensors in GPU buffers",
  MLTensorConstructorParameters: "WebNN",
  TensorFromMLTensorOptions: "WebNN",
};

/** Types inside of the namespaces `InferenceSession`, `Tensor` and `Env`. */
export const types = {
  "InferenceSession.ExecutionProviderOptionMap": "a provider's own options have no effect",
  "InferenceSession.CpuExecutionProviderOption": "a provider's own options have no effect",
  "InferenceSession.CudaExecutionProviderOption": "not a provider of browsers",
  "InferenceSession.DmlExecutionProviderOption": "not a provider of browsers",
  "InferenceSession.TensorRtExecutionProviderOption": "not a provider of browsers",
  "InferenceSession.WebAssemblyExecutionProviderOption": "a provider's own options have no effect",
  "InferenceSession.WebGLExecutionProviderOption": "WebGL",
  "InferenceSession.XnnpackExecutionProviderOption": "not a provider of browsers",
  "InferenceSession.WebGpuExecutionProviderOption": "a provider's own options have no effect",
  "InferenceSession.WebNNExecutionProviderName": "WebNN",
  "InferenceSession.WebNNContextOptions": "WebNN",
  "InferenceSession.WebNNOptionsWithoutMLContext": "WebNN",
  "InferenceSession.WebNNOptionsWithMLContext": "WebNN",
  "InferenceSession.WebNNOptionsWebGpu": "WebNN",
  "InferenceSession.WebNNExecutionProviderOption": "WebNN",
  "InferenceSession.QnnExecutionProviderOption": "not a provider of browsers",
  "InferenceSession.CoreMLExecutionProviderOption": "not a provider of browsers",
  "InferenceSession.NnapiExecutionProviderOption": "not a provider of browsers",
  "Tensor.GpuBufferTypeFallback": "tensors in GPU buffers",
  "Tensor.MLTensorTypeFallback": "WebNN",
  "Env.WebGpuProfilingDataV1TensorMetadata": "profiles of WebGPU's kernels",
  "Env.WebGpuProfilingDataV1": "profiles of WebGPU's kernels",
  "Env.WebGpuProfilingData": "profiles of WebGPU's kernels",
};

/** Members that their TypeScript calls private. */
export const privateMembers = ["ensureValid"];
