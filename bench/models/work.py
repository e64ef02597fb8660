"""How much a model computes."""

import math

import onnx
from onnx import helper

import oracle


def shapes(model, feeds):
    """The shapes of all values for these inputs, found by running it."""
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    del open_model.graph.output[:]
    names = [name for node in model.graph.node for name in node.output if name]
    open_model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    known = {name: list(value.shape) for name, value in zip(names, oracle.in_float(open_model, feeds))}
    known |= {t.name: list(t.dims) for t in model.graph.initializer}
    return known | {name: list(value.shape) for name, value in feeds.items()}


def multiply_adds(model, feeds):
    """Those of convolutions and matrix products, which are nearly all; none for a model that computes in a branch."""
    if any(node.op_type == "If" for node in model.graph.node):
        return None
    known = shapes(model, feeds)
    total = 0
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weight, answer = known[node.input[1]], known[node.output[0]]
        if node.op_type == "MatMul":
            each = known[node.input[0]][-1]
        else:
            each = math.prod(weight[1:])  # of one output: both kinds keep the weights of an output together
        total += math.prod(answer) * each
    return total


def convolutions(model, feeds):
    """Every convolution's shapes. Padding is that of the end, which is the larger where the two differ."""
    known = shapes(model, feeds)
    found = []
    for node in model.graph.node:
        if node.op_type == "Conv":
            at = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            found.append(
                {
                    "input": known[node.input[0]],
                    "weight": known[node.input[1]],
                    "stride": at.get("strides", [1, 1])[0],
                    "padding": at.get("pads", [0, 0, 0, 0])[3],
                    "groups": at.get("group", 1),
                }
            )
    return found
