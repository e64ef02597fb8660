"""Writes the TFLite cases beside this file: pip install tensorflow==2.21.0 numpy==2.4.6; make models; python tests/import/tflite.py

tflite/<case>.tflite with tflite/cases.json: case -> { "inputs", "outputs", "step", "loose" }, tensors in the order of the
model's, each { "dtype", "shape", "data" }; outputs are those of TensorFlow Lite's interpreter, for a random input, without
delegates. "step" is a scale where one quantisation step of it is allowed; "loose" is the largest difference allowed where
the interpreter quantises activations on the way (weights alone are int8).
tflite/models.json: model of the packages -> the same, with "input" the recipe of its input, and of each output every
"stride"-th element.
"""

import json
import os
import shutil
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import flatbuffers
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

assert tf.__version__ == "2.21.0", f"expected tensorflow 2.21.0, got {tf.__version__}"
tf.random.set_seed(1)
here = Path(__file__).parent
cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firebrand"
target = here / "tflite"
shutil.rmtree(target, ignore_errors=True)
target.mkdir()
rng = np.random.default_rng(1)
cases, used = {}, {}
builtin = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}


def short(value):
    """The shortest number that is read as this one."""
    return float(str(np.float32(value)))


def tensor(value):
    value = np.asarray(value)
    data = [short(v) if value.dtype.kind == "f" else int(v) for v in value.ravel()]
    return {"dtype": str(value.dtype), "shape": list(value.shape), "data": data}


def interpreter(content):
    kind = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    found = tf.lite.Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kind)
    return found


def answers(content, inputs):
    running = interpreter(content)
    for detail, value in zip(running.get_input_details(), inputs):
        if list(detail["shape"]) != list(np.shape(value)):
            running.resize_tensor_input(detail["index"], np.shape(value))
    running.allocate_tensors()
    for detail, value in zip(running.get_input_details(), inputs):
        running.set_tensor(detail["index"], value)
    running.invoke()
    return [running.get_tensor(d["index"]) for d in running.get_output_details()], running


def store(name, content, inputs, expected=None, **more):
    outputs, running = answers(content, inputs)
    outputs = outputs if expected is None else expected
    (target / f"{name}.tflite").write_bytes(content)
    details = running.get_output_details()
    step = max((float(d["quantization"][0]) for d in details if d["dtype"] in (np.int8, np.uint8, np.int16)), default=0)
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for graph in model.subgraphs:
        for op in graph.operators:
            code = model.operatorCodes[op.opcodeIndex]
            used.setdefault(builtin[max(code.builtinCode, code.deprecatedBuiltinCode)], []).append(name)
    cases[name] = {
        "inputs": [tensor(v) for v in inputs],
        "outputs": [tensor(v) for v in outputs],
        **({"step": step} if step else {}),
        **more,
    }


def convert(function, specs, settings=lambda converter: None):
    concrete = tf.function(function, input_signature=specs).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], function)
    settings(converter)
    return converter.convert()


def real(*shape):
    return rng.uniform(-2, 2, shape).round(2).astype(np.float32)


def positive(*shape):
    return rng.uniform(0.5, 3, shape).astype(np.float32)


def whole(*shape, low=-7, high=8, dtype=np.int32):
    return rng.integers(low, high, shape).astype(dtype)


def flags(*shape):
    return rng.integers(0, 2, shape).astype(bool)


def case(name, function, *inputs, **more):
    specs = [tf.TensorSpec(v.shape, tf.as_dtype(v.dtype)) for v in inputs]
    try:
        store(name, convert(function, specs), list(inputs), **more)
    except Exception as error:
        print(f"{name}: {str(error).splitlines()[0][:200]}")


image = real(1, 7, 9, 4)
kernel = tf.constant(real(3, 3, 4, 6))
bias = tf.constant(real(6))

# Convolutions and pools
case("conv-same", lambda x: tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME") + bias), image)
case("conv-valid-dilated", lambda x: tf.nn.relu6(tf.nn.conv2d(x, kernel, 1, "VALID", dilations=2) + bias), image)
case("conv-grouped", lambda x: tf.nn.conv2d(x, kernel[:, :, :2], 1, "SAME"), image)
case("depthwise", lambda x: tf.nn.depthwise_conv2d(x, tf.constant(real(3, 3, 4, 1)), [1, 2, 2, 1], "SAME"), image)
case("depthwise-multiplied", lambda x: tf.nn.depthwise_conv2d(x, tf.constant(real(3, 5, 4, 2)), [1, 1, 1, 1], "VALID"), image)
for padding, size in (("SAME", (14, 18)), ("SAME", (13, 17)), ("VALID", (15, 19)), ("VALID", (16, 20))):
    case(f"transpose-conv-{padding.lower()}-{size[0]}", lambda x: tf.nn.conv2d_transpose(x, tf.constant(real(3, 3, 6, 4)), [1, *size, 6], 2, padding), image)
case("conv-3d", lambda x: tf.nn.conv3d(x, tf.constant(real(2, 3, 3, 2, 3)), [1, 1, 2, 1, 1], "SAME"), real(1, 4, 5, 6, 2))
case("pools", lambda x: (tf.nn.max_pool2d(x, 3, 2, "SAME"), tf.nn.avg_pool2d(x, 3, 2, "SAME"), tf.nn.avg_pool2d(x, 2, 1, "VALID")), image)


def block(x):
    y = tf.nn.conv2d(x, kernel, 1, "SAME") + bias
    gate = tf.sigmoid(tf.reduce_mean(y, [1, 2], keepdims=True) @ tf.constant(real(6, 6)))
    y = tf.concat([y * gate, tf.nn.relu(y - tf.constant(real(7, 1, 1))), y[:, :, :, 1:3]], 3)
    y = tf.image.resize(y, [14, 18])
    return tf.nn.softmax(y), tf.reduce_mean(y, [1]), tf.reduce_max(y, [3]), tf.reduce_sum(y, [1, 2])


case("layout", block, image)
case("dense", lambda x: tf.nn.relu(x @ tf.constant(real(5, 3)) + tf.constant(real(3))), real(4, 5))
case("dense-rank-3", lambda x: tf.tensordot(x, tf.constant(real(5, 3)), 1) + tf.constant(real(3)), real(2, 4, 5))
case("matmul", lambda a, b: (a @ b, tf.matmul(a, a, transpose_b=True)), real(2, 3, 4), real(2, 4, 5))
case("l2-normalization", lambda x: tf.nn.l2_normalize(x, -1, epsilon=1e-12), real(2, 5))
case("local-response", lambda x: tf.nn.local_response_normalization(x, 1, 1.5, 0.3, 0.7), image)
case("softmax", lambda x: (tf.nn.softmax(x), tf.nn.log_softmax(x)), real(2, 3, 4))
case("prelu", tf.keras.Sequential([tf.keras.Input((7, 9, 4), batch_size=1), tf.keras.layers.Conv2D(3, 3), tf.keras.layers.PReLU(shared_axes=[1, 2], alpha_initializer="random_uniform")]).__call__, image)
for linear in ("bilinear", "nearest"):
    for align, half in ((False, False), (True, False), (False, True)):
        op = tf.raw_ops.ResizeBilinear if linear == "bilinear" else tf.raw_ops.ResizeNearestNeighbor
        case(f"resize-{linear}-{'align' if align else 'half' if half else 'plain'}", lambda x: op(images=x, size=[10, 5], align_corners=align, half_pixel_centers=half), image)
case("depth-space", lambda x: (tf.nn.depth_to_space(x, 2), tf.nn.space_to_depth(x[:, :6, :8], 2)), image)
case("space-batch", lambda x: tf.raw_ops.SpaceToBatchND(input=x, block_shape=[2, 3], paddings=[[0, 1], [1, 2]]), image)
case("batch-space", lambda x: tf.raw_ops.BatchToSpaceND(input=x, block_shape=[2, 3], crops=[[1, 0], [0, 2]]), real(6, 3, 2, 4))

# Elements
x = real(2, 3, 4)
case("unary", lambda x: (tf.floor(x), tf.sigmoid(x), tf.tanh(x), tf.exp(x), -x, tf.sin(x), tf.abs(x), tf.math.ceil(x), tf.cos(x), tf.nn.elu(x), tf.round(x), tf.sign(x), tf.square(x), tf.zeros_like(x)), x)
case("unary-positive", lambda x: (tf.math.log(x), tf.sqrt(x), tf.math.rsqrt(x)), positive(2, 3))
case("activations", lambda x: (tf.nn.relu(x), tf.nn.relu6(x * 4), tf.nn.leaky_relu(x, 0.3), x * tf.nn.relu6(x + 3) / 6, tf.clip_by_value(x, -1, 1), tf.clip_by_value(x, 0, 1)), x)
case("gelu", lambda x: 0.5 * x * (1 + tf.math.erf(x * 0.70710678)), x)
case("gelu-approximate", lambda x: tf.nn.gelu(x, approximate=True), x)
case("binary", lambda a, b: (a + b, a - b, a * b, a / b, tf.maximum(a, b), tf.minimum(a, b), tf.math.squared_difference(a, b)), x, real(3, 1))
case("power", lambda a, b: (a**b, tf.nn.relu(a - b)), positive(2, 3), real(2, 3))
case("floor-division", lambda a, b: (a // b, a % b), whole(3, 4), np.array([[3], [-2], [5]], np.int32))
case("floor-division-float", lambda a, b: (a // b, a % b), real(3, 4), np.array([[0.7], [-0.9], [1.3]], np.float32))
case("compare", lambda a, b: (a < b, a > b, a <= b, a >= b, tf.equal(a, b), tf.not_equal(a, b)), whole(3, 4), whole(4))
case("logic", lambda a, b: (a & b, a | b, ~a), flags(3, 4), flags(3, 4))
case("select", lambda c, a, b: tf.where(c, a, b), flags(2, 1, 4), x, real(3, 1))
case("select-rows", lambda c, a, b: tf.raw_ops.Select(condition=c, x=a, y=b), flags(2), real(2, 3), real(2, 3))
case("add-n", lambda a, b: tf.add_n([a, b, a]), x, real(2, 3, 4))
case("cast", lambda x, n: (tf.cast(x, tf.int32), tf.cast(n, tf.float32), tf.cast(x, tf.bool)), x, whole(3))
case("bitwise", lambda a, b: tf.bitwise.bitwise_xor(a, b), whole(5), whole(5))
case("fake-quant", lambda x: tf.quantization.fake_quant_with_min_max_args(x, -1.3, 1.7), positive(2, 3, 4) - 1.75)

# Shapes
case("reshape", lambda x: (tf.reshape(x, [4, -1]), tf.squeeze(x[:, :1], 1), tf.expand_dims(x, -1), tf.transpose(x, [2, 0, 1])), x)
case("pads", lambda x: (tf.pad(x, [[0, 1], [2, 0], [1, 1]]), tf.pad(x, [[0, 1], [2, 0], [1, 1]], constant_values=2.5)), x)
case("mirror-pads", lambda x: (tf.pad(x, [[0, 1], [2, 0], [1, 3]], "REFLECT"), tf.pad(x, [[1, 1], [1, 0], [0, 0]], "SYMMETRIC"), tf.pad(x, [[0, 2], [3, 1], [4, 0]], "SYMMETRIC")), x)
case("slices", lambda x: (x[1:, ::2, 1:-1], x[0], x[..., -1], x[:, tf.newaxis, 1:], x[:, ::-1], x[1, ..., tf.newaxis, 2], tf.slice(x, [0, 1, 2], [2, -1, 1])), x)
case("slice-at-run-time", lambda x, b, s: tf.slice(x, b, s), x, np.array([0, 1, 2], np.int32), np.array([2, -1, 1], np.int32))
case("strided-slice-at-run-time", lambda x, b, e: tf.strided_slice(x, b, e, [1, 1, 1], begin_mask=1, end_mask=2, shrink_axis_mask=4), x, np.array([1, 1, -1], np.int32), np.array([1, 1, 0], np.int32))
case("splits", lambda x: (*tf.split(x, 2, 2), *tf.split(x, [1, 2], 1)), x)
case("pack", lambda a, b: (tf.stack([a, b], 1), *tf.unstack(a, axis=1)), x, real(2, 3, 4))
case("gather", lambda x, i: (tf.gather(x, i, axis=1), tf.gather(x, i, axis=1, batch_dims=1), tf.gather_nd(x, i)), x, np.array([[1, 2], [0, 1]], np.int32))
case("scatter", lambda i, u: tf.scatter_nd(i, u, [6, 3]), np.array([[1], [4], [1]], np.int32), real(3, 3))
case("tile", lambda x: (tf.tile(x, [1, 2, 3]), tf.broadcast_to(x[:, :1], [2, 5, 4]), tf.reverse(x, [1, 2])), x)
case("ranges", lambda n: (tf.range(n), tf.fill([n, 2], 1.5), tf.one_hot(tf.range(n), 4, 2.0, -1.0)), np.array(3, np.int32))
case("cumsum", lambda x: (tf.cumsum(x, 1), tf.cumsum(x, 2, exclusive=True, reverse=True)), x)
case("places", lambda c: tf.where(c), flags(3, 4))
case("top-k", lambda x: tf.math.top_k(x, 2), x)
case("arg", lambda x: (tf.argmax(x, 1), tf.argmin(x, 2, tf.int32)), x)
case("reductions", lambda x: (tf.reduce_mean(x, [1]), tf.reduce_sum(x, [0, 2]), tf.reduce_prod(x, 1), tf.reduce_max(x, [2], keepdims=True), tf.reduce_min(x)), x)
case("reduced-flags", lambda c: (tf.reduce_any(c, 1), tf.reduce_all(c, 0)), flags(3, 4))
case("unique", lambda n: tf.unique(n), whole(8, low=0, high=3))
case("reverse-sequence", lambda x, n: tf.reverse_sequence(x, n, 1, 0), x, np.array([2, 3], np.int32))


# Sizes that the caller chooses
def flexible(name, function, spec, value):
    store(name, convert(function, [tf.TensorSpec(spec, tf.float32)]), [value])


def dynamic(x):
    shape = tf.shape(x)
    y = tf.nn.conv2d(x, kernel, 2, "SAME")
    return tf.reshape(y, [shape[0], -1, 6]), tf.rank(x), tf.zeros([shape[0], 2])


flexible("batch", dynamic, [None, 7, 9, 4], real(3, 7, 9, 4))
flexible("sizes", lambda x: tf.nn.max_pool2d(tf.nn.conv2d(x, kernel, 2, "SAME"), 2, 2, "SAME"), [1, None, None, 4], real(1, 10, 13, 4))

# Control flow
case("if", lambda c, x: tf.cond(c, lambda: tf.nn.relu(x) + 1, lambda: x * 2), np.array(True), x)
case("if-not", lambda c, x: tf.cond(c, lambda: tf.nn.relu(x) + 1, lambda: x * 2), np.array(False), x)
case("while", lambda n, x: tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y * 1.5 - tf.cast(i, tf.float32)), [0, x]), np.array(3, np.int32), x)

# Recurrent
for name, layer in (("lstm", tf.keras.layers.LSTM(3, return_sequences=True)), ("gru", tf.keras.layers.GRU(3))):
    model = tf.keras.Sequential([tf.keras.Input((5, 2), batch_size=1), layer])
    case(f"{name}-loop", model.__call__, real(1, 5, 2))


def by_hand(tensors, operators, outputs):
    """A model: tensors are (name, shape, constant or None), the first of them its input; operators are (code, inputs, outputs,
    options)."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [], [graph]
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [], [0], outputs, []
    for label, shape, constant in tensors:
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer = label.encode(), shape, schema.TensorType.FLOAT32, 0
        t.isVariable = label.startswith("state")
        if constant is not None:
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data, t.buffer = np.frombuffer(constant.tobytes(), np.uint8), len(model.buffers) - 1
        graph.tensors.append(t)
    for code, inputs, results, options in operators:
        entry, op = schema.OperatorCodeT(), schema.OperatorT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes), inputs, results
        if options is not None:
            op.builtinOptionsType, op.builtinOptions = getattr(schema.BuiltinOptions, type(options).__name__[:-1]), options
        model.operatorCodes.append(entry)
        graph.operators.append(op)
    return model


def packed(model):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def recurrent(name, time_major):
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction, options.timeMajor = schema.ActivationFunctionType.TANH, time_major
    shape = [5, 2, 2] if time_major else [2, 5, 2]
    weights = [(f"w{n}", [3, 2], real(3, 2)) for n in range(4)] + [(f"r{n}", [3, 3], real(3, 3)) for n in range(4)] + [(f"b{n}", [3], real(3)) for n in range(4)]
    tensors = [("x", shape, None), *weights, ("state-h", [2, 3], None), ("state-c", [2, 3], None), ("y", [*shape[:2], 3], None)]
    inputs = [*range(9), -1, -1, -1, *range(9, 13), -1, -1, 13, 14]
    store(name, packed(by_hand(tensors, [(44, inputs, [15], options)], [15])), [real(*shape)])


recurrent("lstm", False)
recurrent("lstm-time-major", True)
options = schema.SequenceRNNOptionsT()
options.fusedActivationFunction = schema.ActivationFunctionType.RELU
tensors = [("x", [2, 5, 2], None), ("w", [3, 2], real(3, 2)), ("r", [3, 3], real(3, 3) / 4), ("b", [3], real(3)), ("state", [2, 3], None), ("y", [2, 5, 3], None)]
store("rnn", packed(by_hand(tensors, [(35, [0, 1, 2, 3, 4], [5], options)], [5])), [real(2, 5, 2)])


# Weights that are not float32
def network(seed):
    r = np.random.default_rng(seed)
    weight = lambda *shape: tf.constant(r.uniform(-0.6, 0.6, shape).astype(np.float32))
    k1, b1, k2, k3, b3 = weight(3, 3, 3, 8), weight(8), weight(3, 3, 8, 1), weight(1, 1, 8, 8), weight(8)
    d, e = weight(8, 40), weight(40)

    def function(x):
        y = tf.nn.relu6(tf.nn.conv2d(x, k1, 2, "SAME") + b1)
        z = tf.nn.depthwise_conv2d(y, k2, [1, 1, 1, 1], "SAME") + b3
        z = tf.nn.conv2d(tf.nn.relu(z), k3, 1, "SAME") + b1
        y = tf.nn.max_pool2d(y + z, 2, 2, "SAME")
        y = tf.concat([y, tf.nn.avg_pool2d(y, 3, 1, "SAME")], 3)[..., 2:10]
        y = tf.reduce_mean(y, [1, 2])
        return tf.nn.softmax(y @ d + e)

    return function


shape = [1, 16, 16, 3]
samples = [rng.uniform(-1, 1, shape).round(2).astype(np.float32) for _ in range(32)]
spec = [tf.TensorSpec(shape, tf.float32)]


def integers(kind):
    def settings(converter):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([s] for s in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = kind

    return settings


def codes(content, value):
    scale, zero = interpreter(content).get_input_details()[0]["quantization"]
    kind = interpreter(content).get_input_details()[0]["dtype"]
    return np.clip(np.round(value / scale) + zero, np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)


for kind in (tf.int8, tf.uint8):
    content = convert(network(3), spec, integers(kind))
    store(kind.name, content, [codes(content, samples[0])])
content = convert(network(3), spec, integers(tf.float32))
store("int8-inside", content, [samples[0]], loose=2 / 256)


def dynamic_range(converter):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def float16(converter):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def sixteen(converter):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([s] for s in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]


wide = tf.constant(rng.uniform(-1, 1, (64, 32)).astype(np.float32))
store("hybrid", convert(lambda x: tf.nn.relu(x @ wide), [tf.TensorSpec([2, 64])], dynamic_range), [real(2, 64)], loose=0.12)
store("float16", convert(network(3), spec, float16), [samples[0]])
# The interpreter's 16-bit arithmetic is 0.04 away from the float network here, so that is the reference.
store("int16", convert(network(3), spec, sixteen), [samples[0]], [network(3)(samples[0]).numpy()], loose=1e-3)


# Sparse weights, written by hand: a DENSIFY before a FULLY_CONNECTED
def sparse(name, blocks):
    dense = np.zeros((4, 8), np.float32)
    dense[0, 1], dense[0, 4], dense[2, 7], dense[3, 0], dense[3, 5] = 1.5, -2, 3, 0.5, -1
    sparsity = schema.SparsityParametersT()

    def level(size=None, segments=None, indices=None):
        found = schema.DimensionMetadataT()
        if size is not None:
            found.format, found.denseSize = schema.DimensionType.DENSE, size
            return found
        found.format = schema.DimensionType.SPARSE_CSR
        found.arraySegmentsType, found.arraySegments = schema.SparseIndexVector.Int32Vector, schema.Int32VectorT()
        found.arraySegments.values = segments
        found.arrayIndicesType, found.arrayIndices = schema.SparseIndexVector.Uint8Vector, schema.Uint8VectorT()
        found.arrayIndices.values = indices
        return found

    if blocks:
        # Blocks of 1 row, 4 columns.
        sparsity.traversalOrder, sparsity.blockMap = [0, 1, 2], [1]
        segments, indices, values = [0], [], []
        for row in range(4):
            for column in range(2):
                if dense[row, 4 * column : 4 * column + 4].any():
                    indices.append(column)
                    values.extend(dense[row, 4 * column : 4 * column + 4])
            segments.append(len(indices))
        sparsity.dimMetadata = [level(4), level(segments=segments, indices=indices), level(4)]
    else:
        sparsity.traversalOrder = [0, 1]
        segments, indices, values = [0], [], []
        for row in range(4):
            indices.extend(np.flatnonzero(dense[row]).tolist())
            values.extend(dense[row][dense[row] != 0])
            segments.append(len(indices))
        sparsity.dimMetadata = [level(4), level(segments=segments, indices=indices)]
    tensors = [("x", [2, 8], None), ("sparse", [4, 8], np.array(values, np.float32)), ("dense", [4, 8], None), ("y", [2, 4], None)]
    model = by_hand(tensors, [(124, [1], [2], None), (9, [0, 2, -1], [3], schema.FullyConnectedOptionsT())], [3])
    model.subgraphs[0].tensors[1].sparsity = sparsity
    value = real(2, 8)
    store(name, packed(model), [value])
    assert np.allclose(cases[name]["outputs"][0]["data"], (value @ dense.T).ravel(), atol=1e-6), name


sparse("sparse", False)
sparse("sparse-blocks", True)

(target / "cases.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


# Models of the packages
def rewritten(content):
    """MediaPipe's transposed convolution with bias, which the interpreter lacks, as the built-in one, which has one too."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        if code.customCode != b"Convolution2DTransposeBias":
            continue
        buffer, shape = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(np.array(graph.tensors[op.outputs[0]].shape, np.int32).tobytes(), np.uint8)
        model.buffers.append(buffer)
        shape.shape, shape.type, shape.buffer, shape.name = [4], schema.TensorType.INT32, len(model.buffers) - 1, b"shape"
        graph.tensors.append(shape)
        padding, width, height = np.frombuffer(bytes(op.customOptions), np.int32)
        options = schema.TransposeConvOptionsT()
        options.padding = {1: schema.Padding.SAME, 2: schema.Padding.VALID}[int(padding)]
        options.strideW, options.strideH = int(width), int(height)
        op.inputs = [len(graph.tensors) - 1, op.inputs[1], op.inputs[0], op.inputs[2]]
        op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.TransposeConvOptions, options
        op.customOptions = None
        code.customCode, code.builtinCode, code.deprecatedBuiltinCode, code.version = None, 67, 67, 3
    return packed(model)


images = here.parent / "models/images"
models = {}
for name, file, crop, scale, shift in (
    ("blazeface-short-range", "astronaut-128.npy", [0, 128, 1], 1 / 127.5, -1),
    ("selfie-segmentation", "astronaut-256.npy", [0, 256, 1], 1 / 255, 0),
    ("hand-landmark-lite", "astronaut-256.npy", [16, 240, 1], 1 / 255, 0),
    ("palm-detection-lite", "astronaut-256.npy", [32, 224, 1], 1 / 255, 0),
    ("fer", "astronaut-256.npy", [0, 256, 4], 1 / 127.5, -1),
):
    content = (cache / "models" / f"{name}.tflite").read_bytes()
    content = rewritten(content) if b"Convolution2DTransposeBias" in content else content
    first, end, stride = crop
    value = np.load(images / file)[first:end:stride, first:end:stride].astype(np.float32)
    value = value * np.float32(scale) + np.float32(shift)
    if name == "fer":
        value = value[..., 1:2]
    outputs, running = answers(content, [value[None]])
    every = lambda v: max(1, v.size // 1500)
    models[name] = {
        "input": {"file": file, "crop": crop, "scale": scale, "shift": shift},
        "outputs": [{"shape": list(v.shape), "stride": every(v), "data": [short(e) for e in v.ravel()[:: every(v)]]} for v in outputs],
    }
(target / "models.json").write_text(json.dumps(models, separators=(",", ":")) + "\n")
print({name: len(found) for name, found in sorted(used.items())})
