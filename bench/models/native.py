"""Times onnxruntime natively, one thread: python native.py MODEL.onnx CASE_FOLDER RUNS. Prints JSON."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

onnxruntime.set_default_logger_severity(3)


def main(model, folder, runs):
    folder = Path(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {one["name"]: np.load(folder / one["file"]) for one in json.loads((folder / "case.json").read_text())["inputs"]}
    for _ in range(3):
        session.run(None, feeds)
    samples = []
    for _ in range(int(runs)):
        begin = time.perf_counter()
        session.run(None, feeds)
        samples.append(1000 * (time.perf_counter() - begin))
    print(json.dumps({"median_ms": float(np.median(samples)), "p95_ms": float(np.quantile(samples, 0.95))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
