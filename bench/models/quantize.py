"""Writes the int8 form of ONNX models with ONNX Runtime's own quantiser, as its users do."""

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static


class Samples(CalibrationDataReader):
    def __init__(self, name, samples):
        self.each = iter([{name: sample[None]} for sample in samples])

    def get_next(self):
        return next(self.each, None)


def static(model, samples):
    """QDQ: int8 weights, symmetric and per channel; uint8 activations, whose ranges are those of the samples (NCHW)."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, before)
        quantize_static(
            before,
            after,
            Samples(model.graph.input[0].name, samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            # Probabilities would become multiples of 1/256.
            nodes_to_exclude=[node.name for node in model.graph.node if node.op_type == "Softmax"],
        )
        return onnx.load(after)


def dynamic(model):
    """Matrix products of integers, the ranges of activations found as it runs; int8 weights, per channel."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, before)
        quantize_dynamic(before, after, per_channel=True, weight_type=QuantType.QInt8)
        return onnx.load(after)
