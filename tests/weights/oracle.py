"""Writes the files beside this one: pip install numpy==2.4.6 tensorflow-cpu==2.21.0 ml_dtypes; python tests/weights/oracle.py

Weights in the formats of PyTorch, NumPy and safetensors, and what networks with them answer, by NumPy and TensorFlow.
PyTorch itself is not needed: its checkpoints are pickles by reference, made here with Python's own pickler and stand-ins
under PyTorch's names.
"""

import io
import json
import math
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import tensorflow as tf

here = Path(__file__).parent
random = np.random.default_rng(11)


# PyTorch's checkpoints


def module(name):
    made = types.ModuleType(name)
    sys.modules[name] = made
    return made


torch, utils = module("torch"), module("torch._utils")
torch._utils = utils
CLASSES = {"f8": "Double", "f4": "Float", "f2": "Half", "bf16": "BFloat16", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char", "u1": "Byte", "b1": "Bool"}
for one in CLASSES.values():
    setattr(torch, f"{one}Storage", type(f"{one}Storage", (), {"__module__": "torch", "__qualname__": f"{one}Storage"}))


def named(name):
    def function(*_):
        raise AssertionError("is only named")

    function.__module__, function.__name__, function.__qualname__ = "torch._utils", name, name
    setattr(utils, name, function)
    return function


rebuild_tensor, rebuild_parameter = named("_rebuild_tensor_v2"), named("_rebuild_parameter")


class Storage:
    def __init__(self, values):
        self.values = values
        kind = "bf16" if values.dtype == ml_dtypes.bfloat16 else values.dtype.str[1:]
        self.kind = getattr(torch, f"{CLASSES[kind]}Storage")


class Tensor:
    """A view of a storage; strides in elements."""

    def __init__(self, storage, offset, shape, strides):
        self.parts = (storage, offset, tuple(shape), tuple(strides))

    def __reduce__(self):
        return rebuild_tensor, (*self.parts, False, OrderedDict())

    def values(self):
        storage, offset, shape, strides = self.parts
        size = storage.values.itemsize
        return np.lib.stride_tricks.as_strided(storage.values[offset:], shape, [s * size for s in strides]).copy()


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, OrderedDict())

    def values(self):
        return self.tensor.values()


def whole(values):
    strides = [s // values.itemsize for s in np.empty(values.shape, values.dtype).strides]
    return Tensor(Storage(np.ascontiguousarray(values).reshape(-1)), 0, values.shape, strides)


class Pickler(pickle.Pickler):
    def __init__(self, file, legacy):
        super().__init__(file, protocol=2)
        self.legacy, self.keys = legacy, {}

    def persistent_id(self, found):
        if not isinstance(found, Storage):
            return None
        key, _ = self.keys.setdefault(id(found), (str(len(self.keys)), found))
        return ("storage", found.kind, key, "cpu", len(found.values), *([None] if self.legacy else []))


def save_zip(path, value):
    data = io.BytesIO()
    pickler = Pickler(data, legacy=False)
    pickler.dump(value)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def write(name, content):
            archive.writestr(zipfile.ZipInfo(f"state/{name}", (1980, 1, 1, 0, 0, 0)), content)

        write("data.pkl", data.getvalue())
        write("byteorder", b"little")
        for key, storage in pickler.keys.values():
            write(f"data/{key}", storage.values.tobytes())
        write("version", b"3\n")


def save_legacy(path, value):
    file = io.BytesIO()
    pickle.dump(0x1950A86A20F9469CFC6C, file, protocol=2)
    pickle.dump(1001, file, protocol=2)
    pickle.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, file, protocol=2)
    pickler = Pickler(file, legacy=True)
    pickler.dump(value)
    pickle.dump(sorted(key for key, _ in pickler.keys.values()), file, protocol=2)
    for _, storage in sorted(pickler.keys.values(), key=lambda pair: pair[0]):
        file.write(struct.pack("<q", len(storage.values)) + storage.values.tobytes())
    path.write_bytes(file.getvalue())


def checkpoint():
    shared = Storage(random.normal(size=60).astype(np.float32))
    state = OrderedDict()
    state["plain.weight"] = Parameter(whole(random.normal(size=(3, 4)).astype(np.float32)))
    state["plain.scalar"] = whole(np.array(7, np.int64))
    state["plain.empty"] = whole(np.zeros((0, 3), np.float32))
    state["views.transposed"] = Tensor(shared, 6, (4, 5), (1, 4))
    state["views.every_second"] = Tensor(shared, 1, (5,), (2,))
    state["views.same"] = Tensor(shared, 6, (5, 4), (4, 1))
    state["views.expanded"] = Tensor(shared, 3, (2, 3), (0, 1))
    for kind in CLASSES:
        dtype = ml_dtypes.bfloat16 if kind == "bf16" else np.dtype(kind)
        values = random.integers(0, 2, (2, 3)) if kind in ("b1",) else random.integers(0, 100, (2, 3)) * (0.37 if kind[0] in "fb" else 1)
        state[f"types.{kind}"] = whole(values.astype(dtype))
    state["tied.weight"] = state["plain.weight"]
    value = {"epoch": 3, "loss": 0.25, "name": "test", "state_dict": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}}
    save_zip(here / "state.pth", value)
    save_legacy(here / "state-legacy.pth", value)
    answers = {name: tensor.values() for name, tensor in state.items()}
    # NumPy's files have no bfloat16.
    return {name: values.astype(np.float32) if name == "types.bf16" else values for name, values in answers.items()}


# NumPy's arrays


def arrays():
    made = {
        "plain": random.normal(size=(2, 3)).astype(np.float32),
        "fortran": np.asfortranarray(random.normal(size=(3, 4, 2))),
        "big": random.integers(-1000, 1000, 5).astype(">i4"),
        "half": random.normal(size=4).astype(np.float16),
        "truth": np.array([True, False, True]),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 2), np.float32),
    }
    nested = {"layers": [made["plain"], {"b": made["fortran"]}], "big": made["big"], "half": made["half"], "truth": made["truth"], "scalar": made["scalar"], "empty": made["empty"], "note": "text"}
    for protocol in range(2, 6):
        (here / f"arrays-{protocol}.pkl").write_bytes(pickle.dumps(nested, protocol))
    np.savez_compressed(here / "arrays.npz", **made)
    names = {"plain": "layers.0", "fortran": "layers.1.b"}
    return {names.get(name, name): values for name, values in made.items()}


# safetensors


def save_safetensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, values in tensors.items():
        kind = "BF16" if values.dtype == ml_dtypes.bfloat16 else {"f": "F", "i": "I"}[values.dtype.kind] + str(8 * values.itemsize)
        header[name] = {"dtype": kind, "shape": values.shape, "data_offsets": [len(data), len(data) + values.nbytes]}
        data += np.ascontiguousarray(values).tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def bert(vocabulary=40, hidden=24, wide=56, layers=2, positions=16):
    """A small BERT, with half of its weights in bfloat16, computed in float64. Three heads."""
    heads = 3

    def normal(*shape):
        return random.normal(0, 0.5 / math.sqrt(shape[-1]) * 2, shape).astype(np.float32)

    weights = {f"bert.embeddings.{kind}_embeddings.weight": normal(size, hidden) * 4 for kind, size in [("word", vocabulary), ("position", positions), ("token_type", 2)]}

    def dense(name, outputs, inputs):
        weights[f"{name}.weight"] = normal(outputs, inputs)
        weights[f"{name}.bias"] = normal(outputs) * 2

    def norm(name):
        weights[f"{name}.weight"] = (1 + normal(hidden)).astype(np.float32)
        weights[f"{name}.bias"] = normal(hidden)

    norm("bert.embeddings.LayerNorm")
    for layer in range(layers):
        at = f"bert.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            dense(f"{at}.attention.self.{part}", hidden, hidden)
        dense(f"{at}.attention.output.dense", hidden, hidden)
        norm(f"{at}.attention.output.LayerNorm")
        dense(f"{at}.intermediate.dense", wide, hidden)
        dense(f"{at}.output.dense", hidden, wide)
        norm(f"{at}.output.LayerNorm")
    dense("bert.pooler.dense", hidden, hidden)
    for name in list(weights)[::2]:
        weights[name] = weights[name].astype(ml_dtypes.bfloat16)
    weights["bert.embeddings.position_ids"] = np.arange(positions)[None]
    save_safetensors(here / "bert.safetensors", weights)

    w = {name: values.astype(np.float64) for name, values in weights.items()}
    ids = random.integers(0, vocabulary, (2, 9))
    mask = np.ones_like(ids)
    mask[1, 6:] = 0
    segments = (np.arange(9) > 4).astype(np.int64)[None].repeat(2, 0)
    linear = lambda name, x: x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def normalise(name, x):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["bert.embeddings.word_embeddings.weight"][ids] + w["bert.embeddings.token_type_embeddings.weight"][segments] + w["bert.embeddings.position_embeddings.weight"][:9]
    x = normalise("bert.embeddings.LayerNorm", x)
    for layer in range(layers):
        at = f"bert.encoder.layer.{layer}"
        query, key, value = (linear(f"{at}.attention.self.{part}", x).reshape(2, 9, heads, -1).transpose(0, 2, 1, 3) for part in ("query", "key", "value"))
        scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(hidden // heads)
        scores = np.where(mask[:, None, None] == 1, scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        y = (scores @ value).transpose(0, 2, 1, 3).reshape(2, 9, hidden)
        x = normalise(f"{at}.attention.output.LayerNorm", linear(f"{at}.attention.output.dense", y) + x)
        y = linear(f"{at}.intermediate.dense", x)
        y = y * 0.5 * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))
        x = normalise(f"{at}.output.LayerNorm", linear(f"{at}.output.dense", y) + x)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments, "last_hidden_state": x.astype(np.float32)}


# Networks of layers, channels first


def conv(x, kernel, stride=1, pad=0, group=1, bias=None):
    x = tf.pad(tf.constant(x.transpose(0, 2, 3, 1)), [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    kernel = kernel.transpose(2, 3, 1, 0)
    if group > 1:
        y = tf.concat([tf.nn.conv2d(one, k, stride, "VALID") for one, k in zip(tf.split(x, group, 3), tf.split(kernel, group, 3))], 3) if group < 8 else tf.nn.depthwise_conv2d(x, kernel.transpose(0, 1, 3, 2), [1, stride, stride, 1], "VALID")
    else:
        y = tf.nn.conv2d(x, kernel, stride, "VALID")
    y = y.numpy().transpose(0, 3, 1, 2)
    return y if bias is None else y + bias[None, :, None, None]


def batch_norm(x, w, name, epsilon):
    scale, shift, mean, variance = (w[f"{name}.{part}"][None, :, None, None] for part in ("weight", "bias", "running_mean", "running_var"))
    return (x - mean) / np.sqrt(variance + np.float32(epsilon)) * scale + shift


def max_pool(x, kernel, stride, pad):
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)], constant_values=-np.inf)
    return tf.nn.max_pool2d(x.transpose(0, 2, 3, 1), kernel, stride, "VALID").numpy().transpose(0, 3, 1, 2)


def avg_pool(x, kernel, stride, pad):
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    return tf.nn.avg_pool2d(x.transpose(0, 2, 3, 1), kernel, stride, "VALID").numpy().transpose(0, 3, 1, 2)


relu = lambda x: np.maximum(x, 0)
relu6 = lambda x: np.clip(x, 0, 6)
sigmoid = lambda x: 1 / (1 + np.exp(-x))


def described():
    """Weights for description.json, beside this file, and what a network of its layers answers."""
    w = {}

    def normal(name, *shape):
        w[name] = random.normal(0, 1 / math.sqrt(np.prod(shape[1:]) or 1), shape).astype(np.float32)

    def norm(name, channels):
        for part in ("weight", "bias", "running_mean"):
            normal(f"{name}.{part}", channels)
        w[f"{name}.running_var"] = random.uniform(0.5, 2, channels).astype(np.float32)
        w[f"{name}.num_batches_tracked"] = np.array(5)

    normal("features.0.weight", 8, 3, 3, 3), normal("features.0.bias", 8)
    norm("features.1", 8)
    normal("block.0.weight", 8, 4, 3, 3), norm("block.1", 8)
    normal("fc1.weight", 10, 8 * 3 * 3), normal("fc1.bias", 10)
    normal("fc2.weight", 4, 10)
    np.savez(here / "described.npz", **w)
    x = random.normal(size=(2, 3, 12, 12)).astype(np.float32)
    y = relu(batch_norm(conv(x, w["features.0.weight"], 2, 1, bias=w["features.0.bias"]), w, "features.1", 1e-3))
    z = batch_norm(conv(y, w["block.0.weight"], 1, 1, 2), w, "block.1", 1e-5)
    z = z * sigmoid(z)
    y = max_pool(y + z, 2, 2, 0)
    y = avg_pool(y, 3, 1, 1)
    y = y.reshape(2, -1) @ w["fc1.weight"].T + w["fc1.bias"]
    y = np.where(y > 0, y, np.float32(0.2) * y) @ w["fc2.weight"].T
    y = np.exp(y - y.max(-1, keepdims=True))
    return {"input": x, "output": y / y.sum(-1, keepdims=True)}


# Networks whose weights are a formula's, since they are too large to be stored


def noise(name, count):
    """Numbers between -0.5 and 0.5 that follow from a name; tests/weights.rs has the same formula."""
    seed = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in name.encode():
            seed = (seed ^ np.uint32(byte)) * np.uint32(16777619)
        x = seed + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
        for shift, factor in [(16, 0x85EBCA6B), (13, 0xC2B2AE35)]:
            x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
        x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float64) / 2**24 - 0.5


class Formula(dict):
    """Weights by name, as they are asked for. Their shapes are noted, for the test to make the same."""

    def make(self, name, *shape):
        u = noise(name, math.prod(shape)).reshape(shape)
        if name.endswith("running_var") or len(shape) == 1 and name.endswith("weight"):
            u = 1 + 0.5 * u
        elif len(shape) > 1:
            u = u * math.sqrt(24 / math.prod(shape[1:]))
        self[name] = u.astype(np.float32)
        return self[name]

    def norm(self, name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.make(f"{name}.{part}", channels)

    def unit(self, x, conv_name, norm_name, outputs, kernel, stride=1, depthwise=False):
        inputs = 1 if depthwise else x.shape[1]
        x = conv(x, self.make(f"{conv_name}.weight", outputs, inputs, kernel, kernel), stride, kernel // 2, outputs if depthwise else 1)
        self.norm(norm_name, outputs)
        return batch_norm(x, self, norm_name, 1e-5)

    def classify(self, x, name):
        x = x.mean((2, 3))
        return x @ self.make(f"{name}.weight", 10, x.shape[1]).T + self.make(f"{name}.bias", 10)


def resnet(x, blocks, bottleneck):
    w = Formula()
    x = max_pool(relu(w.unit(x, "conv1", "bn1", 64, 7, 2)), 3, 2, 1)
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for block in range(count):
            at, stride = f"layer{stage + 1}.{block}", 2 if stage and not block else 1
            if bottleneck:
                y = relu(w.unit(x, f"{at}.conv1", f"{at}.bn1", width, 1))
                y = relu(w.unit(y, f"{at}.conv2", f"{at}.bn2", width, 3, stride))
                y = w.unit(y, f"{at}.conv3", f"{at}.bn3", 4 * width, 1)
            else:
                y = relu(w.unit(x, f"{at}.conv1", f"{at}.bn1", width, 3, stride))
                y = w.unit(y, f"{at}.conv2", f"{at}.bn2", width, 3)
            if x.shape != y.shape:
                x = w.unit(x, f"{at}.downsample.0", f"{at}.downsample.1", y.shape[1], 1, stride)
            x = relu(x + y)
    return w.classify(x, "fc"), w


def mobilenet(x):
    w = Formula()
    x = relu6(w.unit(x, "features.0.0", "features.0.1", 32, 3, 2))
    index = 1
    for t, c, n, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for repeat in range(n):
            at, y = f"features.{index}.conv", x
            parts = iter(range(3))
            if t != 1:
                part = next(parts)
                y = relu6(w.unit(y, f"{at}.{part}.0", f"{at}.{part}.1", t * x.shape[1], 1))
            part = next(parts)
            y = relu6(w.unit(y, f"{at}.{part}.0", f"{at}.{part}.1", y.shape[1], 3, s if repeat == 0 else 1, True))
            part = next(parts)
            y = w.unit(y, f"{at}.{part}", f"{at}.{part + 1}", c, 1)
            x = x + y if x.shape == y.shape else y
            index += 1
    x = relu6(w.unit(x, "features.18.0", "features.18.1", 1280, 1))
    return w.classify(x, "classifier.1"), w


def networks():
    x = noise("input", 3 * 224 * 224).reshape(1, 3, 224, 224).astype(np.float32)
    made = {"resnet18": resnet(x, [2, 2, 2, 2], False), "resnet34": resnet(x, [3, 4, 6, 3], False), "resnet50": resnet(x, [3, 4, 6, 3], True), "mobilenetv2": mobilenet(x)}
    shapes = {name: {key: value.shape for key, value in weights.items()} for name, (_, weights) in made.items()}
    (here / "networks.json").write_text(json.dumps(shapes, separators=(",", ":")) + "\n")
    return {name: answer.astype(np.float32) for name, (answer, _) in made.items()}


def main():
    answers = {"state": checkpoint(), "arrays": arrays(), "bert": bert(), "described": described(), "networks": networks()}
    np.savez_compressed(here / "answers.npz", **{f"{test}/{name}": value for test, one in answers.items() for name, value in one.items()})


if __name__ == "__main__":
    main()
