/** What failed, as a visitor of this page meets it: the file is theirs, not the server's. */
import type { Precision } from "firebrand/convert";
import type { Explanations } from "../words";

export const explanations: Explanations = {
  empty_file: ["The file is empty.", "Was it saved to its end? Take another copy."],
  not_a_model: ["That is not a model.", "ONNX, TFLite, Keras, TensorFlow.js, and weights of PyTorch, safetensors and NumPy are."],
  truncated: ["The file is not complete.", "It ends too soon: take another copy of it."],
  invalid_model: ["The model is damaged, or says what cannot be.", "The message below says where."],
  unsupported_operator: ["The model needs operators that Firebrand does not have yet.", "The message below names every one."],
  unsupported: ["The model has, or you ask for, what Firebrand does not have.", "The message below says what."],
  missing_external_data: ["A file that the model refers to is missing.", "Give the model and the files beside it together, or their folder."],
  invalid_argument: ["What was asked for does not fit the model.", "The message below says what, by the command line's names: --arch is the field “Architecture” here. Change it, then try again."],
  shape_mismatch: ["The model cannot take these samples.", "Give it some of the right shape: an .npz file with an array for each input, by its name."],
  dtype_mismatch: ["The model cannot take these samples.", "Give it some of the right type: an .npz file with an array for each input, by its name."],
  network: ["Something could not be fetched.", "Is the network there, and does the server answer? Then try again."],
  io: ["A file could not be read.", "Was it moved or changed since it was chosen? Choose it again."],
  limit_exceeded: ["The model needs more than a browser allows.", "The command line has more room: npx firebrand build."],
  out_of_memory: ["There is not enough memory.", "Close some tabs, then try again; or use the command line: npx firebrand build."],
};

/** What may help where a result was refused. */
export function triesFor(precision: Precision, { pruned, kept, demo }: { pruned: boolean; kept: boolean; demo: boolean }): string[] {
  return [
    ...(pruned ? ["Prune less: without training afterwards, every zero costs."] : []),
    ...(precision === "int8" && !kept ? ["Compute layers in float32 where int8 would cost too much."] : []),
    ...(precision === "int8" || precision === "int4" ? ["Choose float16, or dynamic where the model is of MatMul and Gemm."] : []),
    "Check how pictures become numbers: a wrong preset makes every answer a guess.",
    ...(demo ? ["Give samples of your own, a hundred or so of what the model will see."] : []),
    "Ask for less agreement, if you can do with less.",
  ];
}
