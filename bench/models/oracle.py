"""What a model's answer should be, and how far another one is from it."""

import math

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(3)


def in_float(model, feeds):
    """The answers of ONNX Runtime without any optimisation: QDQ nodes dequantise, and what is between them is float32."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)


def with_exact_products(model):
    """The model with every MatMulInteger computed in float64, which holds its sums exactly; ONNX Runtime's own saturates on CPUs without VNNI."""
    exact = onnx.ModelProto()
    exact.CopyFrom(model)
    del exact.graph.node[:]
    for node in model.graph.node:
        if node.op_type != "MatMulInteger":
            exact.graph.node.append(node)
            continue
        sides = []
        for side, (value, zero) in enumerate(zip(node.input[:2], node.input[2:])):
            name = f"{node.name}/exact_{side}"
            exact.graph.node.append(helper.make_node("Cast", [value], [f"{name}_value"], to=TensorProto.DOUBLE))
            exact.graph.node.append(helper.make_node("Cast", [zero], [f"{name}_zero"], to=TensorProto.DOUBLE))
            exact.graph.node.append(helper.make_node("Sub", [f"{name}_value", f"{name}_zero"], [name]))
            sides.append(name)
        exact.graph.node.append(helper.make_node("MatMul", sides, [f"{node.name}/exact"]))
        exact.graph.node.append(helper.make_node("Cast", [f"{node.name}/exact"], node.output, to=TensorProto.INT32))
    return exact


def in_float64(model, feeds):
    """The answer of a QDQ graph whose nodes are computed in float64, so that no code hangs on how sums were rounded.

    Handles the operators of the networks that the benchmark quantises, no others.
    """
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    values = {key: value.astype(np.float64) for key, value in feeds.items()} | weights
    for node in model.graph.node:
        at = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = OPERATORS[node.op_type](at, *(values[name] for name in node.input))
    return values[model.graph.output[0].name].astype(np.float32)


def spread(at, x, scale, zero):
    """Scale and zero point as float64, one for all of x or one for each index of an axis."""
    shape = [-1 if i == at.get("axis", 1) else 1 for i in range(x.ndim)] if scale.ndim else []
    return scale.astype(np.float64).reshape(shape), zero.astype(np.float64).reshape(shape)


def dequantise(at, x, scale, zero):
    scale, offset = spread(at, x, scale, zero)
    return (x - offset) * scale


def quantise(at, x, scale, zero):
    scale, offset = spread(at, x, scale, zero)
    kind = np.iinfo(zero.dtype)
    # Halves go to the even neighbour, as ONNX asks and numpy does.
    return np.clip(np.rint(x / scale) + offset, kind.min, kind.max).astype(zero.dtype)


def windows(at, x, size, fill):
    """For each place of a kernel, the part of x that it meets, like the answer in height and width."""
    assert set(at) <= {"kernel_shape", "pads", "strides", "dilations", "group"} and set(at.get("dilations", [1])) == {1}, at
    top, left, bottom, right = at.get("pads", [0, 0, 0, 0])
    down, across = at.get("strides", [1, 1])
    x = np.pad(x, [(0, 0), (0, 0), (top, bottom), (left, right)], constant_values=fill)
    height, width = ((have - k) // s + 1 for have, k, s in zip(x.shape[2:], size, (down, across)))
    return [x[:, :, i : i + (height - 1) * down + 1 : down, j : j + (width - 1) * across + 1 : across] for i in range(size[0]) for j in range(size[1])]


def convolve(at, x, kernel, bias):
    group = at.get("group", 1)
    total = bias.reshape(1, -1, 1, 1)
    taps = kernel.reshape(*kernel.shape[:2], -1)
    for tap, under in enumerate(windows(at, x, kernel.shape[2:], 0)):
        if group == 1:
            total = total + np.tensordot(taps[:, :, tap], under, (1, 1)).swapaxes(0, 1)
        else:
            assert kernel.shape[:2] == (group, 1), "grouped, but not depthwise"
            total = total + taps[:, :, tap].reshape(1, -1, 1, 1) * under
    return total


def softmax(at, x):
    powers = np.exp(x - x.max(at["axis"], keepdims=True))
    return powers / powers.sum(at["axis"], keepdims=True)


def gemm(at, a, b, c):
    assert at == {"transB": 1}, at
    return a @ b.T + c


OPERATORS = {
    "DequantizeLinear": dequantise,
    "QuantizeLinear": quantise,
    "Conv": convolve,
    "Gemm": gemm,
    "Add": lambda at, a, b: a + b,
    "MaxPool": lambda at, x: np.max(windows(at, x, at["kernel_shape"], -np.inf), 0),
    "GlobalAveragePool": lambda at, x: x.mean((2, 3), keepdims=True),
    "Concat": lambda at, *each: np.concatenate(each, at["axis"]),
    "Flatten": lambda at, x: x.reshape(math.prod(x.shape[: at["axis"]]), -1),
    "Softmax": softmax,
}


def compare(what, got, expected, most=None, cosine=None):
    """Tells how far `got` is from `expected`; an error where that is more than `most`, or their cosine less than `cosine`."""
    assert got.shape == expected.shape, f"{what}: expected shape {expected.shape}, got {got.shape}"
    difference = float(np.abs(got - expected).max())
    a, b = got.ravel().astype(np.float64), expected.ravel().astype(np.float64)
    alike = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    print(f"{what}: largest difference {difference:.1e} in {expected.min():.2f} … {expected.max():.2f}, cosine {alike:.6f}")
    assert most is None or difference <= most, f"{what}: expected a difference of {most} at most, got {difference}"
    assert cosine is None or alike >= cosine, f"{what}: expected a cosine of {cosine} at least, got {alike}"
