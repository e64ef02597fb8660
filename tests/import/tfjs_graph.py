"""Writes the cases of TensorFlow.js graph models beside this file: pip install tensorflow==2.21.0 numpy==2.4.6; python
tests/import/tfjs_graph.py

tfjs-graph/<case>.json is a model.json, its shards <case>.bin…; tfjs-graph/cases.json: case -> { "inputs", "outputs" }, by
the names of nodes, each { "dtype", "shape", "data" }. Outputs are TensorFlow's for the same graph, its weights read back
from the shards. As the converter of TensorFlow.js does, 64-bit integers are stored in 32 bits.
"""

import json
import os
import shutil
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

assert tf.__version__ == "2.21.0", f"expected tensorflow 2.21.0, got {tf.__version__}"
here = Path(__file__).parent
target = here / "tfjs-graph"
shutil.rmtree(target, ignore_errors=True)
target.mkdir()
rng = np.random.default_rng(1)
cases, used = {}, set()


def short(value):
    """The shortest number that is read as this one."""
    return float(str(np.float32(value)))


def tensor(value):
    value = np.asarray(value)
    value = value.astype(np.int32) if value.dtype == np.int64 else value
    data = [short(v) if value.dtype.kind == "f" else int(v) for v in value.ravel()]
    return {"dtype": str(value.dtype), "shape": list(value.shape), "data": data}


def coded(value, kind):
    """The bytes of a weight, what the manifest says of them, and the weight that is read back."""
    if kind is None or value.dtype != np.float32 or value.size < 2:
        return value.tobytes(), {}, value
    if kind == "float16":
        half = value.astype(np.float16)
        return half.tobytes(), {"quantization": {"dtype": "float16", "original_dtype": "float32"}}, half.astype(np.float32)
    low, high = float(value.min()), float(value.max())
    scale = (high - low) / np.iinfo(kind).max
    codes = np.round((value - low) / scale).astype(kind)
    said = {"quantization": {"dtype": kind, "scale": scale, "min": low, "original_dtype": "float32"}}
    return codes.tobytes(), said, (codes * scale + low).astype(np.float32)


def store(name, graph, inputs, outputs, kind=None, shards=1):
    weights, said = b"", []
    for node in graph.node:
        used.add(node.op)
        for key in [key for key in node.attr if key.startswith("_")]:
            del node.attr[key]
        if node.op != "Const":
            continue
        value = tf.make_ndarray(node.attr["value"].tensor)
        if value.dtype == object:
            raise ValueError(f"{name}: a constant of strings")
        stored = value.astype(np.int32) if value.dtype == np.int64 else value
        data, more, read = coded(stored, kind)
        weights += data
        said.append({"name": node.name, "shape": list(value.shape), "dtype": str(stored.dtype), **more})
        if read.dtype == value.dtype:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(read, shape=value.shape))
    with tf.Graph().as_default() as loaded:
        tf.import_graph_def(graph, name="")
        with tf.compat.v1.Session(graph=loaded) as session:
            expected = session.run(outputs, {f"{key}:0": value for key, value in inputs.items()})
    topology = MessageToDict(graph)
    for node in topology["node"]:
        if node["op"] == "Const":
            node["attr"]["value"] = {"tensor": {"dtype": node["attr"]["dtype"]["type"]}}
    topology.pop("library", None)
    paths = [f"{name}.bin" if shards == 1 else f"{name}-{n}.bin" for n in range(shards)]
    cut = [len(weights) * n // shards for n in range(shards + 1)]
    for n, path in enumerate(paths):
        (target / path).write_bytes(weights[cut[n] : cut[n + 1]])
    model = {
        "format": "graph-model",
        "generatedBy": tf.__version__,
        "signature": {"inputs": {key: {"name": f"{key}:0"} for key in inputs}, "outputs": {f"output_{n}": {"name": name} for n, name in enumerate(outputs)}},
        "modelTopology": topology,
        "weightsManifest": [{"paths": paths, "weights": said}],
    }
    (target / f"{name}.json").write_text(json.dumps(model, separators=(",", ":")) + "\n")
    label = lambda output: output.removesuffix(":0")
    cases[name] = {
        "inputs": {key: tensor(value) for key, value in inputs.items()},
        "outputs": {label(output): tensor(value) for output, value in zip(outputs, expected)},
    }


def case(name, function, *inputs, shapes=None, **more):
    shapes = shapes or [v.shape for v in inputs]
    specs = [tf.TensorSpec(s, tf.as_dtype(v.dtype), name=f"input_{n}") for n, (v, s) in enumerate(zip(inputs, shapes))]
    concrete = tf.function(function, input_signature=specs).get_concrete_function()
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    graph = frozen.graph.as_graph_def()
    feeds = {t.name.split(":")[0]: v for t, v in zip(frozen.inputs, inputs)}
    store(name, graph, feeds, [t.name for t in frozen.outputs], **more)


def real(*shape):
    return rng.uniform(-2, 2, shape).round(2).astype(np.float32)


def constant(*shape):
    return tf.constant(real(*shape))


image, x = real(1, 7, 9, 4), real(2, 3, 4)
kernel, bias = constant(3, 3, 4, 6), constant(6)


def network(x):
    y = tf.nn.relu6(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 2, "SAME"), bias))
    y = tf.nn.depthwise_conv2d(y, constant(3, 3, 6, 2), [1, 1, 1, 1], "SAME")
    y = tf.raw_ops.FusedBatchNormV3(x=y, scale=constant(12), offset=constant(12), mean=constant(12), variance=tf.abs(constant(12)) + 0.5, epsilon=1e-3, is_training=False)[0]
    y = tf.concat([tf.nn.max_pool2d(y, 3, 2, "SAME"), tf.nn.avg_pool2d(y, 3, 2, "SAME")], -1)
    y = tf.image.resize(y, [5, 7])
    z = tf.reduce_mean(tf.nn.leaky_relu(y, 0.3), [1, 2]) @ constant(24, 5)
    return tf.nn.softmax(z + constant(5)), tf.sigmoid(y)


case("network", network, image)
case("batch", network, real(2, 7, 9, 4), shapes=[[None, 7, 9, 4]], shards=3)
case("sizes", lambda x: tf.nn.max_pool2d(tf.nn.conv2d(x, kernel, 2, "SAME"), 2, 2, "SAME"), real(1, 10, 13, 4), shapes=[[None, None, None, 4]])
for kind in ("uint8", "uint16", "float16"):
    case(kind, lambda x: tf.nn.tanh(tf.nn.conv2d(x, kernel, 1, "VALID") + bias), image, kind=kind)
case("conv-explicit", lambda x: tf.nn.conv2d(x, kernel, 2, [[0, 0], [1, 2], [0, 1], [0, 0]], dilations=1), image)
case("conv-transpose", lambda x: tf.nn.conv2d_transpose(x, constant(3, 3, 6, 4), [1, 13, 18, 6], 2, "SAME"), image)
case("elements", lambda x: (tf.abs(x), -x, tf.exp(x), tf.sqrt(tf.abs(x)), tf.math.rsqrt(tf.abs(x) + 1), tf.square(x), tf.sin(x), tf.floor(x), tf.round(x), tf.nn.elu(x), tf.nn.selu(x), tf.nn.softplus(x), tf.math.erf(x), tf.math.log1p(tf.abs(x)), tf.clip_by_value(x, -1.0, 0.5), tf.zeros_like(x), tf.ones_like(x)), x)
case("pairs", lambda a, b: (a + b, a - b, a * b, a / (b + 3), tf.maximum(a, b), tf.minimum(a, b), tf.math.squared_difference(a, b), a // (b + 3), tf.math.divide_no_nan(a, tf.nn.relu(b)), tf.where(a > b, a, b), tf.cast(tf.equal(a, b) | (a < b), tf.float32)), x, real(3, 1))
case("integers", lambda n: (tf.cast(n, tf.float32), n // 2, n % 3, tf.argmax(n, 1), tf.one_hot(n, 4)), rng.integers(-5, 5, (3, 4)).astype(np.int32))
case("shapes", lambda x: (tf.reshape(x, [4, -1]), tf.transpose(x, [2, 0, 1]), tf.expand_dims(x, 1), tf.squeeze(x[:1], 0), x[:, ::2, 1:-1], x[..., -1], tf.slice(x, [0, 1, 2], [2, -1, 1]), tf.pad(x, [[0, 1], [2, 0], [1, 1]]), tf.pad(x, [[0, 1], [2, 0], [1, 1]], "REFLECT"), tf.stack([x, x], 1), *tf.unstack(x, axis=1), *tf.split(x, 2, 2), *tf.split(x, [1, 2], 1), tf.tile(x, [1, 2, 1]), tf.gather(x, [2, 0], axis=1), tf.reverse(x, [1]), tf.cumsum(x, 1)), x)
case("reductions", lambda x: (tf.reduce_mean(x, [1]), tf.reduce_sum(x, [0, 2]), tf.reduce_max(x, [2], keepdims=True), tf.reduce_min(x, 0), tf.reduce_prod(x, 1), tf.nn.log_softmax(x), tf.math.top_k(x, 2).values), x)
case("products", lambda a, b: (a @ b, tf.matmul(a, a, transpose_b=True), tf.einsum("bij,bjk->bki", a, b)), x, real(2, 4, 5))
case("run-time-shapes", lambda x: (tf.reshape(x, [tf.shape(x)[0], -1]), tf.fill([tf.shape(x)[0], 2], 1.5), tf.cast(tf.range(tf.shape(x)[0]), tf.float32)), x, shapes=[[None, 3, 4]])


# What Grappler fuses before the converter writes it
def fused(name, op, weights, value, ops, attributes):
    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = 1882
    node = graph.node.add(name="x", op="Placeholder")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    result = tf.compat.v1.NodeDef(name="y", op=op, input=["x"])
    for n, weight in enumerate(weights):
        node = graph.node.add(name=f"w{n}", op="Const")
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weight))
        result.input.append(f"w{n}")
    result.attr["T"].type = tf.float32.as_datatype_enum
    result.attr["num_args"].i = len(weights) - 1
    result.attr["fused_ops"].list.s.extend(o.encode() for o in ops)
    for key, value_of in attributes.items():
        if isinstance(value_of, bytes):
            result.attr[key].s = value_of
        elif isinstance(value_of, list):
            result.attr[key].list.i.extend(value_of)
        elif isinstance(value_of, bool):
            result.attr[key].b = value_of
        elif isinstance(value_of, float):
            result.attr[key].f = value_of
    if op == "_FusedConv2D":
        result.attr["TArgs"].list.type.extend([tf.float32.as_datatype_enum] * (len(weights) - 1))
    graph.node.append(result)
    store(name, graph, {"x": value}, ["y:0"])


window = {"strides": [1, 2, 2, 1], "padding": b"SAME"}
fused("fused-conv", "_FusedConv2D", [real(3, 3, 4, 6), real(6)], image, ["BiasAdd", "Relu6"], window)
fused("fused-conv-normalised", "_FusedConv2D", [real(3, 3, 4, 6), real(6), real(6), real(6), np.abs(real(6)) + 1], image, ["FusedBatchNorm", "Relu"], {**window, "epsilon": 0.001})
fused("fused-conv-leaky", "_FusedConv2D", [real(3, 3, 4, 6), real(6)], image, ["BiasAdd", "LeakyRelu"], {**window, "leakyrelu_alpha": 0.3})
fused("fused-product", "_FusedMatMul", [real(4, 5), real(5)], real(3, 4), ["BiasAdd", "Relu"], {"transpose_a": False, "transpose_b": False})
(target / "cases.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
print(sorted(used))
