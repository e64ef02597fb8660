import { InferenceSession, Tensor } from "onnxruntime-web";

const session = InferenceSession.create(new URL("../models/add.onnx", location.href).href);
session
  .then((loaded) => loaded.run({ pixels: new Tensor("float32", [10, 20, 30], [1, 3]) }))
  .then(({ sum }) => postMessage([...sum.data]))
  .catch((error) => postMessage(error.message));
