// Compiled, not run: options and members that onnxruntime-common declares and firebrand/ort does not.
import * as theirs from "onnxruntime-common";
import * as ours from "firebrand/ort";

type Missing<Theirs, Ours> = Exclude<keyof Theirs, keyof Ours>;
/** An error names what is missing. */
type None<Names extends never> = Names;

export type Checked = [
  None<Missing<theirs.InferenceSession, ours.InferenceSession>>,
  None<Missing<typeof theirs.InferenceSession, typeof ours.InferenceSession>>,
  None<Missing<theirs.InferenceSession.SessionOptions, ours.InferenceSession.SessionOptions>>,
  None<Missing<theirs.InferenceSession.RunOptions, ours.InferenceSession.RunOptions>>,
  None<Missing<theirs.Tensor, ours.Tensor>>,
  None<Missing<theirs.Tensor.DataTypeMap, ours.Tensor.DataTypeMap>>,
  None<Missing<theirs.TensorFactory, ours.TensorFactory>>,
  None<Missing<theirs.TensorFromUrlOptions, ours.TensorFromUrlOptions>>,
  None<Missing<theirs.TensorToImageDataOptions, ours.TensorToImageDataOptions>>,
  None<Missing<theirs.Env, ours.Env>>,
  None<Missing<theirs.Env.WebAssemblyFlags, ours.Env.WebAssemblyFlags>>,
  None<Missing<theirs.Env.WebGLFlags, ours.Env.WebGLFlags>>,
  None<Missing<theirs.Env.WebGpuFlags, ours.Env.WebGpuFlags>>,
];
