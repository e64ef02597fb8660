"""Writes stored cases like ONNX's own, with ONNX Runtime's answers: ../cases/<name>/model.onnx and test_data_set_0/*.pb.

pip install onnxruntime==1.32.0 onnx==1.17.0 numpy==2.4.6; python tests/conformance/oracle/<group>.py
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

assert onnxruntime.__version__ == "1.32.0", f"expected onnxruntime 1.32.0, got {onnxruntime.__version__}"

folder = Path(__file__).parent.parent / "cases"
random = np.random.default_rng(20)


def floats(*shape, dtype=np.float32):
    """Seeded numbers in [-1, 1)."""
    return random.uniform(-1, 1, shape).astype(dtype)


def case(name, op_type, inputs, outputs=1, domain="", opset=21, output_types=None, constants=(), expected=None, domain_opset=None, **attributes):
    """One node. `inputs`: name -> array, or None for one left out; those in `constants` become initializers.

    `output_types`: a dtype of NumPy's for each output, by default that of the first input. `expected`: the answers
    where ONNX Runtime has none, from a formula of the caller's.
    """
    names = [n if a is not None else "" for n, a in inputs.items()]
    given = {n: np.asarray(a) for n, a in inputs.items() if a is not None and n not in constants}
    results = [f"y{i}" for i in range(outputs)]
    kind = lambda dtype: helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    info = lambda n, a: helper.make_tensor_value_info(n, kind(a.dtype), a.shape)
    first = next(iter(a for a in inputs.values() if a is not None))
    types = output_types or [np.asarray(first).dtype] * outputs
    node = helper.make_node(op_type, names, results, name=op_type, domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        name,
        [info(n, a) for n, a in given.items()],
        [helper.make_tensor_value_info(n, kind(t), None) for n, t in zip(results, types)],
        [numpy_helper.from_array(np.asarray(inputs[n]), n) for n in constants],
    )
    opsets = {"": opset, **({domain: domain_opset or {"ai.onnx.ml": 3}.get(domain, 1)} if domain else {})}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(d, v) for d, v in opsets.items()], ir_version=10)
    save(name, model, given, expected)


def save(name, model, given, expected=None):
    """Runs `model` on `given` and stores it, its inputs and its answers."""
    if expected is None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        expected = session.run(None, given)
    target = folder / f"test_{name}"
    shutil.rmtree(target, ignore_errors=True)
    data = target / "test_data_set_0"
    data.mkdir(parents=True)
    (target / "model.onnx").write_bytes(model.SerializeToString())
    for prefix, values in (("input", [given[i.name] for i in model.graph.input]), ("output", expected)):
        for index, value in enumerate(values):
            stored = numpy_helper.from_list(value) if isinstance(value, list) else numpy_helper.from_array(np.asarray(value))
            (data / f"{prefix}_{index}.pb").write_bytes(stored.SerializeToString())
