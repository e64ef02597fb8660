// SqueezeNet 1.1 as ONNX, from the layers and weights of the ndf package.
import { ModelWriter } from "./onnx-writer.mjs";
import { readNumpyWeights, transpose } from "./weights.mjs";

/** The encoded model for the bytes of `squeezenet_weights.pkl`. */
export function squeezenet(pickle) {
  const weights = readNumpyWeights(pickle);
  const model = new ModelWriter();

  const convolution = (name, input, attributes) => {
    const [kernel, bias] = weights.get(name);
    const { shape, data } = transpose(kernel, [3, 2, 0, 1]);
    return model.node("Conv", name, [
      input,
      model.weight(`${name}/weight`, shape, data),
      model.weight(`${name}/bias`, bias.shape, bias.data),
    ], { kernel_shape: shape.slice(2), ...attributes });
  };
  const relu = (input) => model.node("Relu", `${input}/relu`, [input]);
  const pool = (name, input) => model.node("MaxPool", name, [input], { kernel_shape: [3, 3], strides: [2, 2] });
  const fire = (name, input) => {
    const squeezed = relu(convolution(`${name}/squeeze1x1`, input));
    const narrow = relu(convolution(`${name}/expand1x1`, squeezed));
    const wide = relu(convolution(`${name}/expand3x3`, squeezed, { pads: [1, 1, 1, 1] }));
    return model.node("Concat", `${name}/concat`, [narrow, wide], { axis: 1 });
  };

  // "SAME" in TensorFlow's sense: for 227 pixels and stride 2, one row on each side.
  let x = relu(convolution("conv1", "data", { pads: [1, 1, 1, 1], strides: [2, 2] }));
  x = pool("pool1", x);
  x = fire("fire3", fire("fire2", x));
  x = pool("pool3", x);
  x = fire("fire5", fire("fire4", x));
  x = pool("pool5", x);
  x = fire("fire9", fire("fire8", fire("fire7", fire("fire6", x))));
  x = convolution("conv10", x);
  x = model.node("GlobalAveragePool", "pool10", [x]);
  x = model.node("Flatten", "flatten", [x], { axis: 1 });
  model.node("Softmax", "softmax", [x], { axis: 1 }, "probabilities");

  return model.encode({
    name: "squeezenet1.1",
    description: "SqueezeNet 1.1, ImageNet. data: BGR, 0 to 255, minus (103.939, 116.779, 123.68). Weights: ndf 0.1.4, MIT.",
    opset: 13,
    inputs: { data: [1, 3, 227, 227] },
    outputs: { probabilities: [1, 1000] },
  });
}
