"""Reads a convolutional ONNX model as layers with the channels last, which TensorFlow's runtimes are made for.

Handles the operators of the networks that the benchmark measures, no others.
"""

import numpy as np
import onnx
from onnx import numpy_helper


class Layers:
    """`input`: its name; `shape`: [1, height, width, channels]; `each`: dicts in file order; `output`: its name."""

    def __init__(self, model):
        graph = model.graph
        weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        uses = [name for node in graph.node for name in node.input]
        (given,) = [i for i in graph.input if i.name not in weights]
        channels, height, width = (d.dim_value for d in given.type.tensor_type.shape.dim[1:])
        self.input, self.output, self.shape = given.name, graph.output[0].name, (1, height, width, channels)
        self.each = []
        extents = {self.input: (height, width, channels)}
        renamed = {}

        for node in graph.node:
            at = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            source = [renamed.get(name, name) for name in node.input if name not in weights]
            output = node.output[0]
            extent = extents[source[0]]
            # A letter first: TensorFlow wants that of a name.
            layer = {"name": "n" + node.name.replace(".", "_").replace("/", "_"), "inputs": source, "output": output, "activation": None}
            match node.op_type:
                case "Conv":
                    kernel = weights[node.input[1]]
                    depthwise = at.get("group", 1) > 1
                    assert not depthwise or kernel.shape[:2] == (at["group"], 1), f"{node.name}: grouped, but not depthwise"
                    layer |= {
                        "op": "depthwise" if depthwise else "convolution",
                        "kernel": kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0),
                        "bias": weights[node.input[2]],
                        **window(node.name, at, extent, kernel.shape[2:]),
                    }
                    extents[output] = (*layer.pop("extent"), kernel.shape[0])
                case "Relu" | "Clip":
                    before = next(one for one in self.each if one["output"] == source[0])
                    assert before["op"] in ("convolution", "depthwise", "add", "dense") and uses.count(node.input[0]) == 1, f"{node.name}: activation of {before['op']}"
                    if node.op_type == "Clip":
                        assert [float(weights[n]) for n in node.input[1:]] == [0, 6], f"{node.name}: expected a clip to 0 … 6"
                    before["activation"] = "Relu" if node.op_type == "Relu" else "Relu6"
                    renamed[output] = source[0]
                    continue
                case "MaxPool":
                    layer |= {"op": "max_pool", "size": tuple(at["kernel_shape"]), **window(node.name, at, extent, at["kernel_shape"])}
                    extents[output] = (*layer.pop("extent"), extent[2])
                case "Concat":
                    assert at["axis"] == 1
                    layer |= {"op": "concat"}
                    extents[output] = (*extent[:2], sum(extents[one][2] for one in source))
                case "Add":
                    layer |= {"op": "add"}
                    extents[output] = extent
                case "GlobalAveragePool":
                    layer |= {"op": "mean"}
                    extents[output] = (1, 1, extent[2])
                case "Flatten" if extent[:2] == (1, 1):
                    renamed[output] = source[0]  # the mean already dropped both axes
                    continue
                case "Flatten":
                    layer |= {"op": "flatten"}
                    extents[output] = extent
                case "Gemm":
                    assert at.get("transB", 0) == 1 and at.get("alpha", 1) == 1 and at.get("beta", 1) == 1
                    kernel, (height, width, channels) = weights[node.input[1]], extent
                    # What came before the flattening had its channels first.
                    kernel = kernel.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, len(kernel))
                    layer |= {"op": "dense", "kernel": kernel, "bias": weights[node.input[2]]}
                    extents[output] = (1, 1, kernel.shape[1])
                case "Softmax":
                    layer |= {"op": "softmax"}
                    extents[output] = extent
                case other:
                    raise SystemExit(f"{node.name}: {other} is none of the operators that layers.py knows")
            self.each.append(layer)
        self.output = renamed.get(self.output, self.output)
        self.classes = extents[self.output][2]


def window(name, at, extent, kernel):
    """Strides and padding in TensorFlow's words, and the extent that comes out."""
    strides, given = tuple(at.get("strides", [1, 1])), list(at.get("pads", [0, 0, 0, 0]))
    if not any(given):
        return {"strides": strides, "padding": "VALID", "extent": tuple((e - k) // s + 1 for e, k, s in zip(extent, kernel, strides))}
    out = tuple(-(-e // s) for e, s in zip(extent, strides))
    totals = [max((o - 1) * s + k - e, 0) for o, s, k, e in zip(out, strides, kernel, extent)]
    same = [t // 2 for t in totals] + [t - t // 2 for t in totals]
    assert given == same, f"{name}: pads {given} are neither VALID nor SAME ({same})"
    return {"strides": strides, "padding": "SAME", "extent": out}
