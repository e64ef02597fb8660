"""Writes keras.br beside this file: small models of every layer that is imported, in every form that they are saved
in, with inputs and what TensorFlow computes from them.

pip install tensorflow-cpu==2.21.0 keras==3.15.1 tf_keras==2.21.0 brotli==1.2.1 pillow==12.0.0; make models; python tests/import/keras.py [NAME…]

Unpacked (brotli), keras.br is a line of JSON and the bytes that it speaks of, one after another:
  files     name -> [offset, length]
  cases     name, forms (form -> file; keras2-tfjs has its shard under the name "<file>.bin"), inputs and outputs, each
            { dtype, shape, file }
  emotions  the model in the cache, pixels (uint8 [3, 64, 64, 1]; the input is (pixels / 255 - 0.5) * 2), output
Forms: keras3 and keras2 are who saved it (Keras 2 is tf_keras), -h5, -keras and -tfjs in what.
"""

import io
import json
import os
import sys
import tempfile
from pathlib import Path

# This file is called as what it imports.
sys.path.pop(0)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import brotli
import h5py
import keras as keras3
import numpy as np
import tensorflow as tf
import tf_keras as keras2

here = Path(__file__).parent
random = np.random.default_rng(7)
asked = set(sys.argv[1:])
files = {}
cases = []


def store(name, data):
    files[name] = bytes(data)
    return name


def coarse(shape, scale=1.0):
    """Numbers that compress, and sum without much rounding."""
    return (np.round(random.standard_normal(shape) * 16 * scale) / 16).astype(np.float32)


def fill(model):
    values = []
    for variable in model.weights:
        name = getattr(variable, "path", variable.name)
        value = coarse(variable.shape, 0.5)
        if "variance" in name:
            value = np.abs(value) + 0.5
        if "count" in name:
            value = np.ones(variable.shape)
        if "gamma" in name:
            value = value * 0.5 + 1
        values.append(value.astype(np.asarray(variable).dtype))
    model.set_weights(values)
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def input_of(tensor):
    shape = [2 if i == 0 else d if d is not None else 5 + i for i, d in enumerate(tensor.shape)]
    dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
    if dtype.startswith("int") or dtype.startswith("uint"):
        return random.integers(0, 5, shape).astype(dtype)
    return coarse(shape).astype(dtype)


def tfjs(model, file):
    """model.json and its shard, as tensorflowjs' converter writes them from the HDF5 file."""
    with h5py.File(file) as h5:
        config = json.loads(h5.attrs["model_config"])
        weights, data = [], b""
        for layer in h5["model_weights"].attrs["layer_names"]:
            group = h5["model_weights"][layer]
            for weight in group.attrs["weight_names"]:
                array = np.asarray(group[weight])
                entry = {"name": weight.split(":")[0], "shape": list(array.shape), "dtype": "float32"}
                weights.append((entry, array.astype(np.float32)))
    entries = []
    for entry, array in weights:
        entries.append(entry)
        data += array.tobytes()
    topology = {"keras_version": "2.21.0", "backend": "tensorflow", "model_config": config}
    manifest = [{"paths": ["shard.bin"], "weights": entries}]
    text = {"format": "layers-model", "generatedBy": "keras v2", "convertedBy": None, "modelTopology": topology, "weightsManifest": manifest}
    return json.dumps(text).encode(), data


def case(name, build, only=(3, 2), js=True, numbers=None):
    if asked and name not in asked:
        return
    try:
        make(name, build, only, js, numbers)
    except Exception as error:
        print(f"CASE {name}: {type(error).__name__} {str(error)[:300]}")


def make(name, build, only, js, numbers):
    forms = {}
    for version, keras in ((3, keras3), (2, keras2)):
        if version not in only:
            continue
        keras.backend.clear_session()
        keras.utils.set_random_seed(1)
        model = build(keras, keras.layers)
        fill(model)
        with tempfile.TemporaryDirectory() as folder:
            for form in ("h5", "keras"):
                file = os.path.join(folder, f"model.{form}")
                try:
                    model.save(file)
                except Exception as error:
                    print(f"{name}: keras{version} does not save {form}: {str(error)[:100]}")
                    continue
                forms[f"keras{version}-{form}"] = store(f"{name}.{version}.{form}", Path(file).read_bytes())
            if version == 2 and js and f"keras2-h5" in forms:
                text, shard = tfjs(model, os.path.join(folder, "model.h5"))
                forms["keras2-tfjs"] = store(f"{name}.json", text)
                store(f"{name}.json.bin", shard)
        inputs = numbers or [input_of(tensor) for tensor in model.inputs]
        given = inputs[0] if len(inputs) == 1 else inputs
        if isinstance(getattr(model, "_inputs_struct", None), dict):
            given = {tensor.name: value for tensor, value in zip(model.inputs, inputs)}
        outputs = model(given, training=False)
        outputs = [np.asarray(o) for o in tf.nest.flatten(outputs)]
        tensors = lambda kind, arrays: [
            {"dtype": a.dtype.name, "shape": list(a.shape), "file": store(f"{name}.{version}.{kind}{i}", a.tobytes())}
            for i, a in enumerate(arrays)
        ]
        entry = {"name": f"{name}", "version": version, "forms": {k: v for k, v in forms.items() if k.startswith(f"keras{version}")}}
        entry["inputs"] = tensors("in", [np.ascontiguousarray(a) for a in inputs])
        entry["outputs"] = tensors("out", [np.ascontiguousarray(a) for a in outputs])
        cases.append(entry)


def chain(shape, *make, dtype=None):
    """A Sequential model of the layers that each of `make` gives."""
    def build(keras, L):
        layers = [m(L) for m in make]
        given = {"dtype": dtype} if dtype else {}
        return keras.Sequential([L.Input(shape, **given), *layers])
    return build


def functional(build):
    return build


# Convolutions.
case("conv1d", chain((9, 3), lambda L: L.Conv1D(4, 3, strides=2, padding="same", activation="relu"), lambda L: L.Conv1D(3, 2, padding="causal", dilation_rate=2), lambda L: L.Conv1D(2, 3, use_bias=False)))
case("conv2d", chain((8, 7, 3), lambda L: L.Conv2D(4, 3, strides=2, padding="same", activation="relu"), lambda L: L.Conv2D(4, (2, 3), padding="same", activation="softmax"), lambda L: L.Conv2D(4, 1, groups=2), lambda L: L.Conv2D(2, 2, dilation_rate=2)), js=False)
case("conv2d-any", chain((None, None, 2), lambda L: L.Conv2D(3, 3, strides=2, padding="same"), lambda L: L.Conv2D(2, 4, padding="same", activation="tanh"), lambda L: L.GlobalMaxPooling2D()))
case("conv3d", chain((4, 5, 4, 2), lambda L: L.Conv3D(2, 2, strides=(1, 2, 1), padding="same"), lambda L: L.MaxPooling3D(2, padding="same"), lambda L: L.AveragePooling3D((1, 2, 2)), lambda L: L.GlobalAveragePooling3D()))
case("depthwise", chain((7, 6, 3), lambda L: L.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same", activation="relu6"), lambda L: L.SeparableConv2D(4, 3, depth_multiplier=2, padding="same"), lambda L: L.DepthwiseConv2D(2, use_bias=False)), js=False)
case("depthwise-js", chain((7, 6, 3), lambda L: L.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same", activation="relu6"), lambda L: L.SeparableConv2D(4, 3, padding="same")), only=(2,))
case("separable1d", chain((9, 3), lambda L: L.SeparableConv1D(4, 3, depth_multiplier=2, padding="same"), lambda L: L.DepthwiseConv1D(3, depth_multiplier=2, strides=2)), js=False)
case("transposed2d", chain((4, 3, 2), lambda L: L.Conv2DTranspose(3, 3, strides=2, padding="same"), lambda L: L.Conv2DTranspose(2, 2, strides=3), lambda L: L.Conv2DTranspose(2, (4, 1), strides=(1, 2), padding="valid", activation="sigmoid")))
case("transposed-padding", chain((4, 3, 2), lambda L: L.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=1), lambda L: L.Conv2DTranspose(2, 3, strides=2, padding="valid", output_padding=1), lambda L: L.Conv2DTranspose(1, 2, strides=3, padding="same", use_bias=False)), js=False)
case("transposed-1d-3d", lambda keras, L: (lambda a, b: keras.Model([a, b], [L.Conv1DTranspose(3, 3, strides=2, padding="same")(a), L.Conv3DTranspose(2, 2, strides=2)(b)]))(L.Input((5, 2)), L.Input((2, 3, 2, 2))), js=False)
case("channels-first", chain((3, 6, 6), lambda L: L.ZeroPadding2D(1, data_format="channels_first"), lambda L: L.MaxPooling2D(2, data_format="channels_first"), lambda L: L.Permute((2, 3, 1)), lambda L: L.Conv2D(2, 3)), only=(3,))

# Pools and sizes.
case("pools", chain((9, 8, 2), lambda L: L.MaxPooling2D(3, strides=2, padding="same"), lambda L: L.AveragePooling2D(2, strides=1, padding="same"), lambda L: L.AveragePooling2D((2, 1)), lambda L: L.GlobalAveragePooling2D(keepdims=True)))
case("pools1d", chain((9, 3), lambda L: L.MaxPooling1D(2, strides=1, padding="same"), lambda L: L.AveragePooling1D(3, padding="same"), lambda L: L.GlobalAveragePooling1D()))
case("pools-last", chain((9, 3), lambda L: L.GlobalMaxPooling1D()))
case("resizes", chain((3, 4, 2), lambda L: L.UpSampling2D(2), lambda L: L.UpSampling2D((2, 1), interpolation="bilinear"), lambda L: L.Resizing(5, 7), lambda L: L.Resizing(6, 6, interpolation="nearest")), js=False)
case("resizes-bicubic", chain((5, 4, 2), lambda L: L.UpSampling2D(2, interpolation="bicubic")), js=False)
case("upsample-1d-3d", lambda keras, L: (lambda a, b: keras.Model([a, b], [L.UpSampling1D(3)(a), L.UpSampling3D((1, 2, 2))(b)]))(L.Input((3, 2)), L.Input((2, 2, 2, 2))), js=False)
case("padding", lambda keras, L: (lambda a, b: keras.Model([a, b], [L.Cropping2D(((1, 0), (0, 2)))(L.ZeroPadding2D(((1, 2), (0, 3)))(a)), L.Cropping1D(1)(L.ZeroPadding1D((2, 1))(b))]))(L.Input((4, 5, 2)), L.Input((4, 2))))
case("padding3d", chain((2, 3, 2, 2), lambda L: L.ZeroPadding3D((1, 0, 2)), lambda L: L.Conv3D(2, 1), lambda L: L.Cropping3D(((0, 1), (1, 0), (1, 1)))))
case("center-crop", chain((8, 7, 2), lambda L: L.CenterCrop(4, 4), lambda L: L.Rescaling(0.5, offset=1.0)), js=False)

# Norms.
case("batchnorm", chain((5, 4, 3), lambda L: L.BatchNormalization(), lambda L: L.Conv2D(3, 2, use_bias=False), lambda L: L.BatchNormalization(scale=False, epsilon=1e-2), lambda L: L.ReLU(), lambda L: L.BatchNormalization(center=False, axis=1), lambda L: L.Flatten(), lambda L: L.Dense(3), lambda L: L.BatchNormalization()))
case("layernorm", chain((5, 4), lambda L: L.LayerNormalization(), lambda L: L.LayerNormalization(axis=[1, 2], epsilon=1e-5), lambda L: L.LayerNormalization(axis=1), lambda L: L.LayerNormalization(center=False, scale=False)), js=False)
case("groupnorm", chain((4, 3, 4), lambda L: L.GroupNormalization(2), lambda L: L.Conv2D(4, 1), lambda L: L.GroupNormalization(-1, epsilon=1e-5), lambda L: L.UnitNormalization(), lambda L: L.UnitNormalization(axis=[1, 2])), js=False)
case("rmsnorm", chain((4, 3), lambda L: L.RMSNormalization(), lambda L: L.Dense(2)), only=(3,))

# Activations.
names = ["relu", "sigmoid", "tanh", "softplus", "softsign", "exponential", "elu", "selu", "softmax", "hard_sigmoid", "linear", "gelu", "swish"]
case("activations", lambda keras, L: (lambda x: keras.Model(x, [L.Activation(n)(x) for n in names]))(L.Input((4, 3))), js=False)
case("activations-3", lambda keras, L: (lambda x: keras.Model(x, [L.Activation(n)(x) for n in ["silu", "mish", "relu6", "leaky_relu", "log_softmax", "hard_silu", "celu", "hard_tanh", "tanh_shrink", "hard_shrink", "soft_shrink", "log_sigmoid", "squareplus"]] + [L.Activation("glu")(L.Dense(4)(x))]))(L.Input((4, 3))), only=(3,))
case("activation-layers", lambda keras, L: (lambda x: (lambda c: keras.Model(x, [
    L.ReLU(6.0)(c), L.ReLU(max_value=2.0, negative_slope=0.1)(c), L.ReLU(negative_slope=0.1, threshold=0.5)(x), L.ReLU(threshold=0.25, max_value=1.5)(x), L.LeakyReLU()(c), L.ELU(0.5)(c),
    L.PReLU()(c), L.PReLU(shared_axes=[1, 2])(c), L.PReLU()(x), L.Softmax()(c), L.Softmax(axis=1)(c)]))(L.Conv2D(3, 2)(x)))(L.Input((4, 3, 2))), js=False)
case("thresholded", chain((4, 3), lambda L: L.ThresholdedReLU(0.5), lambda L: L.LeakyReLU(0.2)), only=(2,))

# Merges.
case("merges", lambda keras, L: (lambda a, b, c: keras.Model([a, b, c], [
    L.Add()([a, b, L.Conv2D(2, 1)(a)]), L.Subtract()([a, b]), L.Multiply()([a, b]), L.Average()([a, b, a]), L.Maximum()([a, b]), L.Minimum()([L.Conv2D(2, 1)(b), a]),
    L.Concatenate()([a, L.Conv2D(1, 1)(b), b]), L.Concatenate(axis=1)([L.Conv2D(2, 1)(a), L.Conv2D(2, 1)(b)]), L.Add()([c, a]), L.Add()([a, L.GlobalAveragePooling2D(keepdims=True)(L.Conv2D(2, 1)(b))])]))(L.Input((4, 3, 2), name="a"), L.Input((4, 3, 2), name="b"), L.Input((2,), name="c")))
case("dots", lambda keras, L: (lambda a, b, c, d: keras.Model([a, b, c, d], [L.Dot(axes=1)([a, b]), L.Dot(axes=1, normalize=True)([a, b]), L.Dot(axes=(2, 1))([c, d]), L.Dot(axes=(1, 2))([c, L.Permute((2, 1))(c)]), L.Dot(axes=(2, 1))([d, b])]))(L.Input((3,)), L.Input((3,)), L.Input((4, 2)), L.Input((2, 3))))

# Shapes.
case("shapes", lambda keras, L: (lambda a: (lambda c: keras.Model(a, [L.Flatten()(c), L.Reshape((6, -1))(c), L.Permute((3, 1, 2))(c), L.Permute((2, 1, 3))(a), L.RepeatVector(3)(L.GlobalMaxPooling2D()(c)), L.Flatten()(L.GlobalAveragePooling2D(keepdims=True)(c)), L.Dense(3)(c), L.Dropout(0.5)(L.Dense(2, activation="relu")(a))]))(L.Conv2D(4, 2)(a)))(L.Input((4, 3, 2))))
case("passed", chain((4, 3, 2), lambda L: L.GaussianNoise(0.1), lambda L: L.SpatialDropout2D(0.5), lambda L: L.GaussianDropout(0.2), lambda L: L.Dropout(0.2), lambda L: L.Dense(2)))
case("augmented", chain((4, 3, 3), lambda L: L.RandomFlip(), lambda L: L.RandomRotation(0.1), lambda L: L.Rescaling(1 / 127.5, offset=-1), lambda L: L.Rescaling([0.5, 1.0, 2.0], offset=[0.0, 1.0, 2.0]), lambda L: L.Conv2D(2, 2)), js=False)

# What stands in front.
case("embedding", chain((6,), lambda L: L.Embedding(5, 3), lambda L: L.Conv1D(2, 3, activation="relu"), lambda L: L.GlobalMaxPooling1D(), lambda L: L.Dense(1, activation="sigmoid")), numbers=[random.integers(0, 5, (2, 6)).astype(np.float32)])
case("embedding-int", chain((6,), lambda L: L.Embedding(5, 3), lambda L: L.Flatten(), dtype="int32"))
case("normalization", lambda keras, L: (lambda a, b: keras.Model([a, b], [L.Normalization(axis=-1)(a), L.Normalization(axis=-1, mean=[1.0, 2.0], variance=[4.0, 9.0])(b), L.Normalization(axis=None, mean=0.5, variance=2.0)(a)]))(L.Input((4, 3)), L.Input((3, 3, 2))), js=False)
case("encoding", lambda keras, L: (lambda a, b, c: keras.Model([a, b, c], [L.CategoryEncoding(5, output_mode="multi_hot")(a), L.CategoryEncoding(5, output_mode="one_hot")(b), L.CategoryEncoding(5, output_mode="count")(a), L.Discretization([-1.0, 0.0, 0.5])(c)]))(L.Input((3,), dtype="int32"), L.Input((1,), dtype="int32"), L.Input((4,))), js=False)
case("masking", chain((4, 3), lambda L: L.Masking(0.0), lambda L: L.Dense(2)), numbers=[np.array([[[0, 0, 0], [1, 2, 3], [0, 0, 1], [0, 0, 0]]], np.float32)])

# Recurrent layers.
case("lstm", chain((5, 3), lambda L: L.LSTM(4, return_sequences=True), lambda L: L.LSTM(3, return_sequences=True, go_backwards=True, recurrent_activation="hard_sigmoid"), lambda L: L.LSTM(2, activation="relu", use_bias=False)), js=False)
case("lstm-js", chain((5, 3), lambda L: L.LSTM(4, return_sequences=True), lambda L: L.LSTM(2)), only=(2,))
case("gru", chain((5, 3), lambda L: L.GRU(4, return_sequences=True), lambda L: L.GRU(3, reset_after=False, return_sequences=True, recurrent_activation="hard_sigmoid"), lambda L: L.GRU(2, go_backwards=True, use_bias=False)), js=False)
case("simple-rnn", chain((None, 3), lambda L: L.SimpleRNN(4, return_sequences=True), lambda L: L.SimpleRNN(3, activation="relu"), lambda L: L.Dense(2)))
case("states", lambda keras, L: (lambda x, h, c: (lambda a, b: keras.Model([x, h, c], [*a, *b, *L.LSTM(2, return_state=True)(a[0], initial_state=[h, c])]))(L.LSTM(2, return_sequences=True, return_state=True)(x), L.GRU(2, return_state=True)(x)))(L.Input((4, 3)), L.Input((2,)), L.Input((2,))), js=False)
case("bidirectional", lambda keras, L: (lambda x: keras.Model(x, [L.Bidirectional(L.LSTM(2, return_sequences=True))(x), L.Bidirectional(L.GRU(2), merge_mode="sum")(x), L.Bidirectional(L.LSTM(2), merge_mode="mul")(x), L.Bidirectional(L.SimpleRNN(2, return_sequences=True), merge_mode="ave")(x), *L.Bidirectional(L.LSTM(2), merge_mode=None)(x), *L.Bidirectional(L.GRU(2, return_state=True))(x), L.Bidirectional(L.LSTM(2), backward_layer=L.LSTM(3, go_backwards=True))(x)]))(L.Input((4, 3))), js=False)
case("bidirectional-js", chain((4, 3), lambda L: L.Bidirectional(L.LSTM(2, return_sequences=True)), lambda L: L.Bidirectional(L.GRU(2, reset_after=False), merge_mode="sum")), only=(2,))
case("time-distributed", lambda keras, L: (lambda x, y: keras.Model([x, y], [L.TimeDistributed(L.Dense(2))(x), L.TimeDistributed(L.Conv2D(2, 2))(y), L.TimeDistributed(keras.Sequential([L.Input((3, 3, 2)), L.Conv2D(2, 2), L.BatchNormalization(), L.Flatten()]))(y), L.TimeDistributed(L.GlobalAveragePooling2D())(y)]))(L.Input((None, 3)), L.Input((3, 3, 3, 2))), js=False)

# Attention.
case("multi-head", lambda keras, L: (lambda x, y: keras.Model([x, y], [L.MultiHeadAttention(2, 3)(x, x), L.MultiHeadAttention(2, 3, value_dim=2, output_shape=5)(x, y), L.MultiHeadAttention(1, 2, use_bias=False)(x, y, key=y), L.MultiHeadAttention(2, 2)(x, x, use_causal_mask=True), *L.MultiHeadAttention(2, 2)(x, y, return_attention_scores=True)]))(L.Input((4, 3)), L.Input((5, 3))), js=False)
case("attention", lambda keras, L: (lambda x, y: keras.Model([x, y], [L.Attention()([x, y]), L.Attention(use_scale=True)([x, y, y]), L.Attention(score_mode="concat", use_scale=True)([x, y]), L.AdditiveAttention()([x, y]), L.AdditiveAttention(use_scale=False)([x, y]), L.Attention()([x, x], use_causal_mask=True)]))(L.Input((4, 3)), L.Input((5, 3))), js=False)
case("einsum-dense", lambda keras, L: (lambda x: keras.Model(x, [L.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d", activation="relu")(x), L.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de")(x), L.EinsumDense("...x,xy->...y", output_shape=4)(x)]))(L.Input((4, 3))), js=False)

# Models in models.
def nested(keras, L):
    inner = keras.Sequential([L.Input((6, 6, 2)), L.Conv2D(2, 3, padding="same", name="c1"), L.BatchNormalization(), L.Conv2D(2, 3, padding="same", name="c2")], name="inner")
    i = L.Input((6, 6, 2)); j = L.Input((6, 6, 2))
    shared = L.Conv2D(2, 1, name="shared")
    a, b = inner(i), inner(shared(j))
    t = L.Input((6, 6, 2)); two = keras.Model(t, [L.MaxPooling2D()(t), L.Conv2D(2, 1, name="shared")(t)], name="two")
    p, q = two(L.Add()([a, b]))
    return keras.Model([i, j], [q, L.Dense(2, name="c1")(L.Flatten()(p)), a])
case("nested", nested)
def deep(keras, L):
    def block(name, depth):
        x = L.Input((4,))
        y = L.Dense(4, name="d")(x)
        if depth:
            y = block(name + "i", depth - 1)(y)
        return keras.Model(x, L.BatchNormalization(name="n")(y), name=name)
    x = L.Input((4,))
    a, b = block("a", 1), block("b", 1)
    b.trainable = False
    return keras.Model(x, b(a(x)))
case("deep", deep, only=(3,))
def residual(keras, L):
    x = i = L.Input((8, 8, 3))
    for n in range(2):
        y = L.Activation("relu")(L.BatchNormalization()(L.Conv2D(3, 3, padding="same", use_bias=False)(x)))
        y = L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(y))
        x = L.Add()([x, y])
    return keras.Model(i, L.Dense(4, activation="softmax")(L.GlobalAveragePooling2D()(x)))
case("residual", residual, js=False)

def named(keras, L):
    i = L.Input((3,), name="second"); j = L.Input((2,), name="first")
    return keras.Model({"second": i, "first": j}, {"z": L.Dense(2)(i), "y": L.Dense(3)(L.Concatenate()([i, j]))})
case("named", named, only=(3,))
def plain(keras, L):
    # The first layer says what the input is.
    return keras.Sequential([L.Conv2D(2, 3, input_shape=(5, 5, 1)), L.Flatten(), L.Dense(2)])
case("without-input", plain, only=(2,))
def half(keras, L):
    model = keras.Sequential([L.Input((4, 3)), L.Conv1D(2, 2, dtype="mixed_float16"), L.Flatten(dtype="float32"), L.Dense(2, dtype="float32")])
    return model
case("half", half, js=False)

# Functions.
def operations(keras, L):
    o = keras.ops
    x = L.Input((4, 6), name="x"); y = L.Input((4, 6), name="y")
    c = L.Conv1D(6, 1)(x)
    return keras.Model([x, y], [
        x * 2.0 + 1.0, 1.0 - c, x / (o.abs(y) + 1.0), o.maximum(c, y), o.minimum(x, 0.5), o.power(o.abs(x) + 0.5, 2.0), o.square(x) - o.exp(y), o.sqrt(o.abs(x)), o.rsqrt(o.abs(x) + 1.0), o.log(o.abs(x) + 1.0),
        o.relu(c), o.sigmoid(x), o.tanh(c), o.softmax(c), o.softmax(c, axis=1), o.gelu(x), o.silu(x), o.leaky_relu(x, 0.1), o.elu(x), o.relu6(x), o.log_softmax(x),
        o.mean(c, axis=1), o.mean(c, axis=-1, keepdims=True), o.sum(x, axis=[1, 2]), o.max(c, axis=2), o.min(x, axis=1), o.argmax(c, axis=-1),
        o.clip(x, -0.5, 0.5), o.concatenate([c, y], axis=1), o.stack([x, y], axis=1), *o.split(c, 2, axis=-1), *o.split(x, [1, 4], axis=2), o.reshape(c, (-1, 24)), o.transpose(c, (0, 2, 1)), o.expand_dims(c, 1), o.squeeze(o.expand_dims(x, 2), 2), o.cast(x > 0.0, "float32"), o.matmul(x, o.transpose(y, (0, 2, 1))), o.where(x > y, x, c), x[:, 1:3], c[:, -1], x[..., ::2], c[:, None, :, 1:], o.repeat(c, 2, axis=1), o.flip(x, axis=1), o.tile(x, (1, 2, 1)), o.sign(x), -x, o.floor(x), o.sin(x), o.logical_and(x > 0.0, y > 0.0)])
case("operations", operations, only=(3,))
def lambdas(keras, L):
    x = L.Input((4, 6), name="x"); y = L.Input((4, 6), name="y"); z = L.Input((4, 4, 4), name="z")
    c = L.Conv1D(6, 1)(x)
    return keras.Model([x, y, z], [
        x * 2.0 + 1.0, 1.0 - c, x / (tf.abs(y) + 1.0), tf.maximum(c, y), tf.minimum(x, 0.5), tf.pow(tf.abs(x) + 0.5, 2.0), tf.square(x) - tf.exp(y), tf.sqrt(tf.abs(x)), tf.math.rsqrt(tf.abs(x) + 1.0), tf.math.log(tf.abs(x) + 1.0),
        tf.nn.relu(c), tf.sigmoid(x), tf.tanh(c), tf.nn.softmax(c), tf.nn.softmax(c, axis=1), tf.nn.gelu(x), tf.nn.silu(x), tf.nn.leaky_relu(x, 0.1), tf.nn.relu6(x),
        tf.reduce_mean(c, axis=1), tf.reduce_mean(c, axis=-1, keepdims=True), tf.reduce_sum(x, [1, 2]), tf.reduce_max(c, axis=2), tf.argmax(c, axis=-1),
        tf.clip_by_value(x, -0.5, 0.5), tf.concat([c, y], 1), tf.stack([x, y], axis=1), *tf.split(c, 2, axis=-1), *tf.split(x, [1, 5], axis=2), tf.reshape(c, (-1, 24)), tf.transpose(c, (0, 2, 1)), tf.expand_dims(c, 1), tf.squeeze(tf.expand_dims(x, 2), 2), tf.cast(x > 0.0, tf.float32), tf.matmul(x, y, transpose_b=True), x[:, 1:3], c[:, -1], x[..., ::2], tf.math.l2_normalize(x, axis=-1), tf.nn.depth_to_space(L.Conv2D(4, 1)(z), 2), tf.image.resize(z, (6, 5)), tf.pad(x, [[0, 0], [1, 2], [0, 0]]), -x])
case("lambdas", lambdas, only=(2,), js=False)

# A real model, of Keras 2.0: emotions of faces, cut out of photos.
def emotions():
    from PIL import Image

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firebrand"
    model = keras2.models.load_model(cache / "models/emotion_model.hdf5", compile=False)
    boxes = [("astronaut.png", (165, 55, 285, 175)), ("astronaut.png", (120, 30, 330, 240)), ("camera.png", (180, 60, 280, 160))]
    faces = []
    for photo, box in boxes:
        face = Image.open(cache / "data/photos" / photo).convert("L").crop(box).resize((64, 64), Image.BILINEAR)
        faces.append(np.asarray(face)[..., None])
    faces = np.stack(faces)
    output = np.asarray(model((faces.astype(np.float32) / 255 - 0.5) * 2, training=False))
    print("emotions", output.round(3).tolist())
    return {
        "model": "emotion_model.hdf5",
        "pixels": store("emotions.in", faces.tobytes()),
        "output": {"dtype": "float32", "shape": list(output.shape), "file": store("emotions.out", output.tobytes())},
    }


real = {} if asked else emotions()

blob = io.BytesIO()
index = {}
for name, data in files.items():
    index[name] = [blob.tell(), len(data)]
    blob.write(data)
head = json.dumps({"files": index, "cases": cases, "emotions": real}).encode()
raw = len(head).to_bytes(4, "little") + head + blob.getvalue()
packed = brotli.compress(raw, quality=11, lgwin=24)
if not asked:
    (here / "keras.br").write_bytes(packed)
else:
    Path("/tmp/keras-asked.br").write_bytes(packed)
print(f"{len(cases)} cases, {len(raw):,} bytes, packed {len(packed):,}")
