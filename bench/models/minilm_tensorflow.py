"""MiniLM for TensorFlow's runtimes: the same computation as in minilm.py, with shapes fixed, indices in int32,
and two-dimensional matrix products, which these runtimes multiply fastest."""

import numpy as np
import tensorflow as tf

from minilm import EPSILON, HEAD, HEADS, INPUTS, LAYERS, LOWEST, TOKENS, WIDTH
from tfjs import FLAG, GraphModel

SEQUENCE = len(TOKENS)
WORDS = "embeddings.word_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
PLACES = "embeddings.position_embeddings.weight"


def as_int32(feeds):
    return {name: value.astype(np.int32) for name, value in feeds.items()}


def function(weights):
    def dense(x, name):
        return tf.nn.bias_add(tf.matmul(x, weights[f"{name}.weight"].T), weights[f"{name}.bias"])

    def normalise(x, name):
        mean = tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(x, mean), -1, keepdims=True)
        return (x - mean) * tf.math.rsqrt(variance + EPSILON) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((1, SEQUENCE), tf.int32, name=name) for name in INPUTS])
    def model(input_ids, attention_mask, token_type_ids):
        x = tf.gather(weights[WORDS], input_ids[0]) + tf.gather(weights[TYPES], token_type_ids[0]) + weights[PLACES][:SEQUENCE]
        x = normalise(x, "embeddings.LayerNorm")
        mask = (1 - tf.cast(attention_mask, tf.float32)) * LOWEST
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            query, key, value = (tf.transpose(tf.reshape(dense(x, f"{name}.attention.self.{part}"), (SEQUENCE, HEADS, HEAD)), (1, 0, 2)) for part in ("query", "key", "value"))
            scores = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * np.float32(1 / np.sqrt(HEAD)) + mask)
            y = tf.reshape(tf.transpose(tf.matmul(scores, value), (1, 0, 2)), (SEQUENCE, WIDTH))
            x = normalise(dense(y, f"{name}.attention.output.dense") + x, f"{name}.attention.output.LayerNorm")
            y = tf.nn.gelu(dense(x, f"{name}.intermediate.dense"), approximate=False)
            x = normalise(dense(y, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
        return {"last_hidden_state": tf.reshape(x, (1, SEQUENCE, WIDTH))}

    return model


def write_tfjs(weights, folder):
    g = GraphModel()
    f32, i32 = np.float32, np.int32

    def dense(x, name):
        return g.dense(name, x, weights[f"{name}.weight"].T, weights[f"{name}.bias"])

    def mean(name, x):
        return g.node(name, "Mean", [x, i32([-1])], keep_dims=FLAG[True], Tidx={"type": "DT_INT32"})

    def normalise(x, name):
        average = mean(f"{name}/mean", x)
        variance = mean(f"{name}/variance", g.node(f"{name}/square", "SquaredDifference", [x, average]))
        factor = g.node(f"{name}/rsqrt", "Rsqrt", [g.node(f"{name}/epsilon", "AddV2", [variance, f32(EPSILON)])])
        y = g.node(f"{name}/scaled", "Mul", [g.node(f"{name}/centred", "Sub", [x, average]), factor])
        return g.node(f"{name}/shifted", "AddV2", [g.node(f"{name}/weighted", "Mul", [y, weights[f"{name}.weight"]]), weights[f"{name}.bias"]])

    def reshape(name, x, shape, kind="DT_FLOAT"):
        return g.node(name, "Reshape", [x, i32(shape)], kind, Tshape={"type": "DT_INT32"})

    def transpose(name, x):
        return g.node(name, "Transpose", [x, i32([1, 0, 2])], Tperm={"type": "DT_INT32"})

    def gather(name, table, index):
        indices = {"Taxis": {"type": "DT_INT32"}, "Tindices": {"type": "DT_INT32"}, "Tparams": {"type": "DT_FLOAT"}, "batch_dims": {"i": "0"}}
        return g.node(name, "GatherV2", [table, reshape(f"{name}/index", index, [SEQUENCE], "DT_INT32"), i32(0)], **indices)

    ids, mask, types = (g.placeholder(name, (1, SEQUENCE), "int32") for name in INPUTS)
    x = g.node("embeddings/sum", "AddV2", [gather("embeddings/words", weights[WORDS], ids), gather("embeddings/types", weights[TYPES], types)])
    x = normalise(g.node("embeddings/all", "AddV2", [x, weights[PLACES][:SEQUENCE]]), "embeddings.LayerNorm")
    mask = g.node("mask/float", "Cast", [mask], SrcT={"type": "DT_INT32"}, DstT={"type": "DT_FLOAT"}, Truncate=FLAG[False])
    mask = g.node("mask", "Mul", [g.node("mask/inverse", "Sub", [f32(1), mask]), f32(LOWEST)])
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        own = f"{name}.attention.self"
        query, key, value = (transpose(f"{own}.{part}/heads", reshape(f"{own}.{part}/split", dense(x, f"{own}.{part}"), [SEQUENCE, HEADS, HEAD])) for part in ("query", "key", "value"))
        scores = g.node(f"{own}/scores", "BatchMatMulV2", [query, key], adj_x=FLAG[False], adj_y=FLAG[True])
        scores = g.node(f"{own}/masked", "AddV2", [g.node(f"{own}/scaled", "Mul", [scores, f32(1 / np.sqrt(HEAD))]), mask])
        scores = g.node(f"{own}/softmax", "Softmax", [scores])
        y = g.node(f"{own}/mixed", "BatchMatMulV2", [scores, value], adj_x=FLAG[False], adj_y=FLAG[False])
        y = reshape(f"{own}/joined", transpose(f"{own}/places", y), [SEQUENCE, WIDTH])
        y = dense(y, f"{name}.attention.output.dense")
        x = normalise(g.node(f"{name}.attention.output/sum", "AddV2", [y, x]), f"{name}.attention.output.LayerNorm")
        y = dense(x, f"{name}.intermediate.dense")
        half = g.node(f"{name}.gelu/erf", "Erf", [g.node(f"{name}.gelu/scaled", "Mul", [y, f32(1 / np.sqrt(2))])])
        half = g.node(f"{name}.gelu/half", "Mul", [g.node(f"{name}.gelu/one", "AddV2", [half, f32(1)]), f32(0.5)])
        y = dense(g.node(f"{name}.gelu", "Mul", [y, half]), f"{name}.output.dense")
        x = normalise(g.node(f"{name}.output/sum", "AddV2", [y, x]), f"{name}.output.LayerNorm")
    g.write(folder, reshape("last_hidden_state", x, [1, SEQUENCE, WIDTH]), (1, SEQUENCE, WIDTH))
