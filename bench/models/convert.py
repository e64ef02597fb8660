"""Writes the TensorFlow Lite and TensorFlow.js forms of ONNX models, with the same float32 weights.

    python convert.py MODEL.onnx IMAGE.f32 OUT_FOLDER

OUT_FOLDER gets model.tflite, and model.json with weights.bin (a TensorFlow.js graph model as its converter
writes it after fusing: convolution, bias and activation in one node). The model is rebuilt node by node in NHWC,
which is what both runtimes are made for. Before anything is kept, TensorFlow's and TensorFlow Lite's answers for
IMAGE.f32 (the input of the ONNX model, NCHW, raw float32) are compared with ONNX Runtime's: 1e-4 at most.

Handles the operators of SqueezeNet 1.1 and EfficientNet-Lite0 with folded batch normalisation, no others.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from onnx import numpy_helper

TOLERANCE = 1e-4


def read(path):
    """The model as layers in file order, each a dict with NHWC weights; the activation is part of its convolution."""
    graph = onnx.load(path).graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    consumers = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    inputs = [i for i in graph.input if i.name not in weights]
    assert len(inputs) == 1 and len(graph.output) == 1, "expected one input and one output"
    channels, height, width = (d.dim_value for d in inputs[0].type.tensor_type.shape.dim[1:])
    extents = {inputs[0].name: (height, width)}
    renamed = {}
    layers = []

    def padding(node, at, extent, kernel, strides):
        pads = at.get("pads", [0, 0, 0, 0])
        if not any(pads):
            return "VALID", tuple((e - k) // s + 1 for e, k, s in zip(extent, kernel, strides))
        out = tuple(-(-e // s) for e, s in zip(extent, strides))
        totals = [max((o - 1) * s + k - e, 0) for o, s, k, e in zip(out, strides, kernel, extent)]
        same = [t // 2 for t in totals] + [t - t // 2 for t in totals]
        assert list(pads) == same, f"{node.name}: pads {pads} are neither VALID nor SAME ({same})"
        return "SAME", out

    for node in graph.node:
        at = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        source = [renamed.get(name, name) for name in node.input if name not in weights]
        output = node.output[0]
        # A letter first: TensorFlow wants that of a name.
        layer = {"name": "n" + node.name.replace(".", "_").replace("/", "_"), "inputs": source, "output": output}
        if node.op_type == "Conv":
            kernel = weights[node.input[1]]
            group = at.get("group", 1)
            strides = tuple(at.get("strides", [1, 1]))
            pad, extents[output] = padding(node, at, extents[source[0]], kernel.shape[2:], strides)
            depthwise = group > 1
            assert not depthwise or kernel.shape[:2] == (group, 1), f"{node.name}: grouped, but not depthwise"
            layer |= {
                "op": "depthwise" if depthwise else "convolution",
                "kernel": kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0),
                "bias": weights[node.input[2]],
                "strides": strides,
                "padding": pad,
                "activation": None,
            }
        elif node.op_type in ("Relu", "Clip"):
            before = next(l for l in layers if l["output"] == source[0])
            assert before["op"] in ("convolution", "depthwise") and len(consumers[node.input[0]]) == 1, f"{node.name}: activation of {before['op']}"
            if node.op_type == "Clip":
                assert [float(weights[n]) for n in node.input[1:]] == [0, 6], f"{node.name}: expected a clip to 0 … 6"
            before["activation"] = "Relu" if node.op_type == "Relu" else "Relu6"
            renamed[output] = source[0]
            continue
        elif node.op_type == "MaxPool":
            pad, extents[output] = padding(node, at, extents[source[0]], at["kernel_shape"], at["strides"])
            layer |= {"op": "max_pool", "size": tuple(at["kernel_shape"]), "strides": tuple(at["strides"]), "padding": pad}
        elif node.op_type == "Concat":
            assert at["axis"] == 1
            layer |= {"op": "concat"}
            extents[output] = extents[source[0]]
        elif node.op_type == "Add":
            layer |= {"op": "add"}
            extents[output] = extents[source[0]]
        elif node.op_type == "GlobalAveragePool":
            layer |= {"op": "mean"}
        elif node.op_type == "Flatten":
            renamed[output] = source[0]  # the mean already dropped both axes
            continue
        elif node.op_type == "Gemm":
            assert at.get("transB", 0) == 1 and at.get("alpha", 1) == 1 and at.get("beta", 1) == 1
            layer |= {"op": "dense", "kernel": weights[node.input[1]].T, "bias": weights[node.input[2]]}
        elif node.op_type == "Softmax":
            layer |= {"op": "softmax"}
        else:
            raise SystemExit(f"{path}: {node.op_type} ({node.name}) is none of the operators convert.py knows")
        layers.append(layer)
    return inputs[0].name, (1, height, width, channels), layers, graph.output[0].name


def in_tensorflow(shape, layers):
    """The model as one function; its weights are constants in it."""

    activations = {None: lambda x: x, "Relu": tf.nn.relu, "Relu6": tf.nn.relu6}

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
    def model(image):
        values = {layers[0]["inputs"][0]: image}
        for layer in layers:
            x = values[layer["inputs"][0]]
            match layer["op"]:
                case "convolution":
                    y = tf.nn.bias_add(tf.nn.conv2d(x, layer["kernel"], layer["strides"], layer["padding"]), layer["bias"])
                    y = activations[layer["activation"]](y)
                case "depthwise":
                    y = tf.nn.depthwise_conv2d(x, layer["kernel"], (1, *layer["strides"], 1), layer["padding"])
                    y = activations[layer["activation"]](tf.nn.bias_add(y, layer["bias"]))
                case "max_pool":
                    y = tf.nn.max_pool2d(x, layer["size"], layer["strides"], layer["padding"])
                case "concat":
                    y = tf.concat([values[name] for name in layer["inputs"]], axis=3)
                case "add":
                    y = x + values[layer["inputs"][1]]
                case "mean":
                    y = tf.reduce_mean(x, axis=[1, 2])
                case "dense":
                    y = tf.nn.bias_add(tf.matmul(x, layer["kernel"]), layer["bias"])
                case "softmax":
                    y = tf.nn.softmax(x)
            values[layer["output"]] = y
        return y

    return model


def for_tfjs(shape, layers, output):
    """The two parts of a TensorFlow.js graph model: the description and the weights' bytes."""

    text = lambda value: {"s": base64.b64encode(value.encode()).decode()}
    texts = lambda values: {"list": {"s": [text(value)["s"] for value in values]}}
    numbers = lambda values: {"list": {"i": [str(value) for value in values]}}
    dims = lambda sizes: {"dim": [{"size": str(size)} for size in sizes]}
    kinds = {"float32": "DT_FLOAT", "int32": "DT_INT32"}
    nodes, entries, data = [], [], []

    def constant(name, value):
        kind = kinds[str(value.dtype)]
        nodes.append({"name": name, "op": "Const", "attr": {"dtype": {"type": kind}, "value": {"tensor": {"dtype": kind, "tensorShape": dims(value.shape)}}}})
        entries.append({"name": name, "shape": list(value.shape), "dtype": str(value.dtype)})
        data.append(np.ascontiguousarray(value).tobytes())
        return name

    def node(layer, op, inputs, **attr):
        nodes.append({"name": layer["name"], "op": op, "input": inputs, "attr": {"T": {"type": "DT_FLOAT"}, **attr}})

    image = {"name": "image", "op": "Placeholder", "attr": {"dtype": {"type": "DT_FLOAT"}, "shape": {"shape": dims(shape)}}}
    nodes.append(image)
    names = {layers[0]["inputs"][0]: "image"}
    for layer in layers:
        inputs = [names[name] for name in layer["inputs"]]
        window = lambda: {"strides": numbers((1, *layer["strides"], 1)), "padding": text(layer["padding"]), "data_format": text("NHWC")}
        match layer["op"]:
            case "convolution" | "depthwise":
                inputs += [constant(f"{layer['name']}/kernel", layer["kernel"]), constant(f"{layer['name']}/bias", layer["bias"])]
                fused = ["BiasAdd"] + ([layer["activation"]] if layer["activation"] else [])
                op = "_FusedConv2D" if layer["op"] == "convolution" else "FusedDepthwiseConv2dNative"
                node(layer, op, inputs, **window(), dilations=numbers((1, 1, 1, 1)), explicit_paddings={"list": {}}, fused_ops=texts(fused), num_args={"i": "1"}, epsilon={"f": 0})
            case "max_pool":
                node(layer, "MaxPool", inputs, **window(), ksize=numbers((1, *layer["size"], 1)), explicit_paddings={"list": {}})
            case "concat":
                axis = constant(f"{layer['name']}/axis", np.array(3, np.int32))
                node(layer, "ConcatV2", [*inputs, axis], N={"i": str(len(inputs))}, Tidx={"type": "DT_INT32"})
            case "add":
                node(layer, "AddV2", inputs)
            case "mean":
                axes = constant(f"{layer['name']}/axes", np.array([1, 2], np.int32))
                node(layer, "Mean", [*inputs, axes], keep_dims={"b": False}, Tidx={"type": "DT_INT32"})
            case "dense":
                inputs += [constant(f"{layer['name']}/kernel", layer["kernel"]), constant(f"{layer['name']}/bias", layer["bias"])]
                node(layer, "_FusedMatMul", inputs, transpose_a={"b": False}, transpose_b={"b": False}, fused_ops=texts(["BiasAdd"]), num_args={"i": "1"}, epsilon={"f": 0})
            case "softmax":
                node(layer, "Softmax", inputs)
        names[layer["output"]] = layer["name"]
    description = {
        "format": "graph-model",
        "generatedBy": tf.__version__,
        "convertedBy": "convert.py",
        "signature": {
            "inputs": {"image": {"name": "image:0", "dtype": "DT_FLOAT", "tensorShape": dims(shape)}},
            "outputs": {"probabilities": {"name": f"{names[output]}:0", "dtype": "DT_FLOAT", "tensorShape": dims((1, 1000))}},
        },
        "modelTopology": {"node": nodes, "library": {}, "versions": {"producer": 1882}},
        "weightsManifest": [{"paths": ["weights.bin"], "weights": entries}],
    }
    return json.dumps(description, separators=(",", ":")), b"".join(data)


def main(model_file, image_file, out):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model_file, options, providers=["CPUExecutionProvider"])
    name, shape, layers, output = read(model_file)
    image = np.fromfile(image_file, np.float32).reshape(1, shape[3], *shape[1:3])
    expected = session.run(None, {name: image})[0]

    def check(what, got):
        difference = float(np.abs(got - expected).max())
        print(f"{Path(model_file).stem}, {what}: differs from ONNX Runtime by {difference:.1e}")
        assert got.argmax() == expected.argmax() and difference <= TOLERANCE, f"{what} gives another answer than ONNX Runtime"

    nhwc = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    model = in_tensorflow(shape, layers)
    check("TensorFlow", model(tf.constant(nhwc)).numpy())
    tflite = tf.lite.TFLiteConverter.from_concrete_functions([model.get_concrete_function()]).convert()
    lite = tf.lite.Interpreter(model_content=tflite, num_threads=1)
    lite.allocate_tensors()
    lite.set_tensor(lite.get_input_details()[0]["index"], nhwc)
    lite.invoke()
    check("TensorFlow Lite", lite.get_tensor(lite.get_output_details()[0]["index"]))

    description, weights = for_tfjs(shape, layers, output)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.tflite").write_bytes(tflite)
    (out / "model.json").write_text(description)
    (out / "weights.bin").write_bytes(weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
