"""What a model's answer should be, and how far another one is from it."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

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


def compare(what, got, expected, most=None, cosine=None):
    """Tells how far `got` is from `expected`; an error where that is more than `most`, or their cosine less than `cosine`."""
    assert got.shape == expected.shape, f"{what}: expected shape {expected.shape}, got {got.shape}"
    difference = float(np.abs(got - expected).max())
    a, b = got.ravel().astype(np.float64), expected.ravel().astype(np.float64)
    alike = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    print(f"{what}: largest difference {difference:.1e} in {expected.min():.2f} … {expected.max():.2f}, cosine {alike:.6f}")
    assert most is None or difference <= most, f"{what}: expected a difference of {most} at most, got {difference}"
    assert cosine is None or alike >= cosine, f"{what}: expected a cosine of {cosine} at least, got {alike}"
