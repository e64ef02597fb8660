"""The TensorFlow Lite forms: float32, and int8 as its own converter quantises."""

import numpy as np
import tensorflow as tf

ACTIVATIONS = {None: lambda x: x, "Relu": tf.nn.relu, "Relu6": tf.nn.relu6}


def function(layers):
    """Layers as one function of TensorFlow's; their weights are constants in it."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(layers.shape, tf.float32, name=layers.input)])
    def model(image):
        values = {layers.input: image}
        for layer in layers.each:
            x = values[layer["inputs"][0]]
            match layer["op"]:
                case "convolution":
                    y = tf.nn.bias_add(tf.nn.conv2d(x, layer["kernel"], layer["strides"], layer["padding"]), layer["bias"])
                case "depthwise":
                    y = tf.nn.bias_add(tf.nn.depthwise_conv2d(x, layer["kernel"], (1, *layer["strides"], 1), layer["padding"]), layer["bias"])
                case "max_pool":
                    y = tf.nn.max_pool2d(x, layer["size"], layer["strides"], layer["padding"])
                case "concat":
                    y = tf.concat([values[name] for name in layer["inputs"]], axis=3)
                case "add":
                    y = x + values[layer["inputs"][1]]
                case "mean":
                    y = tf.reduce_mean(x, axis=[1, 2])
                case "flatten":
                    y = tf.reshape(x, [1, -1])
                case "dense":
                    y = tf.nn.bias_add(tf.matmul(x, layer["kernel"]), layer["bias"])
                case "softmax":
                    y = tf.nn.softmax(x)
            values[layer["output"]] = ACTIVATIONS[layer["activation"]](y)
        return values[layers.output]

    return model


def convert(model, quantise=None, calibration=None):
    """`quantise`: none, "static" (all of it int8, ranges from `calibration`: [n, …]) or "dynamic" (weights int8, ranges found as it runs)."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.get_concrete_function()])
    if quantise:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantise == "static":
        converter.representative_dataset = lambda: ([sample[None]] for sample in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def run(content, feeds):
    """The answer of TensorFlow Lite's plain reference kernels. Inputs by name."""
    lite = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF)
    runner = lite.get_signature_runner() if lite.get_signature_list() else None
    if runner:
        (answer,) = runner(**feeds).values()
        return answer
    lite.allocate_tensors()
    for detail in lite.get_input_details():
        (value,) = [value for name, value in feeds.items() if name in detail["name"]]
        lite.set_tensor(detail["index"], np.asarray(value, detail["dtype"]))
    lite.invoke()
    return lite.get_tensor(lite.get_output_details()[0]["index"])
