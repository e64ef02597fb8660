"""Checks a package's graph with ONNX's checker, runs it in ONNX Runtime, and compares with firebrand's answer.

    python check.py PROGRAM PACKAGE TOLERANCE

Nodes are run as they are written: ONNX Runtime's own 8-bit kernels saturate on some machines. TOLERANCE is a part of
the largest magnitude of an output.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime


def sample(random, info):
    shape = [size if isinstance(size, int) and size > 0 else 1 for size in info.shape]
    if info.type == "tensor(float)":
        return random.uniform(-1, 1, shape).astype(np.float32)
    dtype = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8}[info.type]
    return random.integers(0, 2, shape).astype(dtype)


def main(program, package, tolerance):
    graph = str(pathlib.Path(package, "graph.onnx"))
    onnx.checker.check_model(graph, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    # As everyone opens it.
    onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    inputs = {info.name: sample(random, info) for info in session.get_inputs()}
    expected = dict(zip([info.name for info in session.get_outputs()], session.run(None, inputs)))
    with tempfile.TemporaryDirectory() as folder:
        arguments = []
        for index, (name, value) in enumerate(inputs.items()):
            path = pathlib.Path(folder, f"{index}.npy")
            np.save(path, value)
            arguments += ["--input", f"{name}={path}"]
        out = subprocess.run(
            [program, "run", package, *arguments, "--output-dir", folder, "--json"], capture_output=True, text=True
        )
        if out.returncode:
            sys.exit(out.stderr)
        for output in json.loads(out.stdout)["outputs"]:
            ours, theirs = np.load(output["file"]), expected[output["name"]]
            if ours.shape != theirs.shape:
                sys.exit(f"{output['name']}: {ours.shape}, ONNX Runtime {theirs.shape}")
            off = np.abs(ours.astype(np.float64) - theirs).max() / max(np.abs(theirs).max(), 1e-9)
            print(f"{output['name']}: {off:.1e} of the largest")
            if not off <= tolerance:
                sys.exit(f"{output['name']}: {off} of the largest is more than {tolerance}")


main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
