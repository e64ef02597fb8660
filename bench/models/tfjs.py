"""The TensorFlow.js form: a graph model as its converter writes it after fusing, that is convolution, bias and
activation in one node. Only float32: TensorFlow.js stores weights in eight bits but does not compute with them."""

import base64
import json

import numpy as np
import tensorflow as tf

KINDS = {"float32": "DT_FLOAT", "int32": "DT_INT32"}


def text(value):
    return {"s": base64.b64encode(value.encode()).decode()}


def texts(values):
    return {"list": {"s": [text(value)["s"] for value in values]}}


def numbers(values):
    return {"list": {"i": [str(value) for value in values]}}


def dims(sizes):
    return {"dim": [{"size": str(size)} for size in sizes]}


FLAG = {True: {"b": True}, False: {"b": False}}


class GraphModel:
    def __init__(self):
        self.nodes, self.entries, self.data, self.inputs = [], [], [], {}

    def placeholder(self, name, shape, dtype="float32"):
        self.nodes.append({"name": name, "op": "Placeholder", "attr": {"dtype": {"type": KINDS[dtype]}, "shape": {"shape": dims(shape)}}})
        self.inputs[name] = {"name": f"{name}:0", "dtype": KINDS[dtype], "tensorShape": dims(shape)}
        return name

    def constant(self, name, value):
        value = np.asarray(value, order="C")
        kind = KINDS[str(value.dtype)]
        self.nodes.append({"name": name, "op": "Const", "attr": {"dtype": {"type": kind}, "value": {"tensor": {"dtype": kind, "tensorShape": dims(value.shape)}}}})
        self.entries.append({"name": name, "shape": list(value.shape), "dtype": str(value.dtype)})
        self.data.append(value.tobytes())
        return name

    def node(self, name, operator, inputs, kind="DT_FLOAT", **attributes):
        # Constants that are given as arrays become weights of their own.
        inputs = [one if isinstance(one, str) else self.constant(f"{name}/constant_{at}", one) for at, one in enumerate(inputs)]
        self.nodes.append({"name": name, "op": operator, "input": inputs, "attr": {"T": {"type": kind}, **attributes}})
        return name

    def dense(self, name, x, kernel, bias, activation=None):
        fused = ["BiasAdd"] + ([activation] if activation else [])
        return self.node(name, "_FusedMatMul", [x, kernel, bias], transpose_a=FLAG[False], transpose_b=FLAG[False], fused_ops=texts(fused), num_args={"i": "1"}, epsilon={"f": 0})

    def write(self, folder, output, shape):
        description = {
            "format": "graph-model",
            "generatedBy": tf.__version__,
            "convertedBy": "tfjs.py",
            "signature": {"inputs": self.inputs, "outputs": {"output": {"name": f"{output}:0", "dtype": "DT_FLOAT", "tensorShape": dims(shape)}}},
            "modelTopology": {"node": self.nodes, "library": {}, "versions": {"producer": 1882}},
            "weightsManifest": [{"paths": ["weights.bin"], "weights": self.entries}],
        }
        folder.mkdir(exist_ok=True)
        (folder / "model.json").write_text(json.dumps(description, separators=(",", ":")))
        (folder / "weights.bin").write_bytes(b"".join(self.data))


def write(layers, folder):
    g = GraphModel()
    names = {layers.input: g.placeholder(layers.input, layers.shape)}
    for layer in layers.each:
        name, inputs = layer["name"], [names[one] for one in layer["inputs"]]
        window = {"strides": numbers((1, *layer["strides"], 1)), "padding": text(layer["padding"]), "data_format": text("NHWC")} if "strides" in layer else {}
        match layer["op"]:
            case "convolution" | "depthwise":
                fused = ["BiasAdd"] + ([layer["activation"]] if layer["activation"] else [])
                operator = "_FusedConv2D" if layer["op"] == "convolution" else "FusedDepthwiseConv2dNative"
                g.node(name, operator, [*inputs, layer["kernel"], layer["bias"]], **window, dilations=numbers((1, 1, 1, 1)), explicit_paddings={"list": {}}, fused_ops=texts(fused), num_args={"i": "1"}, epsilon={"f": 0})
            case "max_pool":
                g.node(name, "MaxPool", inputs, **window, ksize=numbers((1, *layer["size"], 1)), explicit_paddings={"list": {}})
            case "concat":
                g.node(name, "ConcatV2", [*inputs, np.int32(3)], N={"i": str(len(inputs))}, Tidx={"type": "DT_INT32"})
            case "add":
                g.node(name, "AddV2", inputs)
                if layer["activation"]:
                    name = g.node(f"{name}/activation", layer["activation"], [name])
            case "mean":
                g.node(name, "Mean", [*inputs, np.array([1, 2], np.int32)], keep_dims=FLAG[False], Tidx={"type": "DT_INT32"})
            case "flatten":
                g.node(name, "Reshape", [*inputs, np.array([1, -1], np.int32)], Tshape={"type": "DT_INT32"})
            case "dense":
                g.dense(name, inputs[0], layer["kernel"], layer["bias"], layer["activation"])
            case "softmax":
                g.node(name, "Softmax", inputs)
        names[layer["output"]] = name
    g.write(folder, names[layers.output], (1, layers.classes))
