"""Attention, normalizations and fused operators of Microsoft's domain; recurrent layers and transforms beyond ONNX's cases."""

import numpy as np

from case import case, floats

M = "com.microsoft"
i32 = lambda *v: np.array(v, np.int32)



# Activations and fused products.
x = floats(2, 3, 4) * 4
for name in ("Gelu", "QuickGelu", "FastGelu"):
    case(f"ms_{name.lower()}", name, {"x": x}, domain=M)
case("ms_quickgelu_alpha", "QuickGelu", {"x": x}, domain=M, alpha=0.5)
case("ms_fastgelu_bias", "FastGelu", {"x": x, "b": floats(4)}, domain=M)
case("ms_biasgelu", "BiasGelu", {"x": x, "b": floats(4)}, domain=M)
case("ms_fusedmatmul", "FusedMatMul", {"a": floats(2, 3, 4), "b": floats(2, 4, 5)}, domain=M, alpha=0.5)
case("ms_fusedmatmul_trans", "FusedMatMul", {"a": floats(2, 4, 3), "b": floats(5, 4)}, domain=M, transA=1, transB=1)
case("ms_fusedmatmul_batch", "FusedMatMul", {"a": floats(3, 2, 4), "b": floats(2, 4, 5)}, domain=M, transBatchA=1)
case("ms_fusedmatmul_both", "FusedMatMul", {"a": floats(4, 2, 3), "b": floats(5, 2, 4)}, domain=M, transA=1, transBatchA=1, transB=1, transBatchB=1)
for activation, more in (("Relu", {}), ("Sigmoid", {}), ("Tanh", {}), ("LeakyRelu", {"activation_alpha": 0.3}), ("HardSigmoid", {"activation_alpha": 0.4, "activation_beta": 0.1}), ("Elu", {"activation_alpha": 0.7}), ("Softplus", {}), ("Softsign", {})):
    case(f"ms_fusedgemm_{activation.lower()}", "FusedGemm", {"a": floats(3, 4), "b": floats(5, 4), "c": floats(5)}, domain=M, transB=1, alpha=0.5, beta=2.0, activation=activation, **more)
for activation, more in (("Relu", {}), ("LeakyRelu", {"activation_params": [0.2]}), ("Clip", {"activation_params": [-0.2, 0.4]}), ("HardSigmoid", {"activation_params": [0.3, 0.6]}), ("Tanh", {}), ("Sigmoid", {})):
    case(f"ms_fusedconv_{activation.lower()}", "FusedConv", {"x": floats(1, 2, 5, 5), "w": floats(3, 2, 3, 3), "b": floats(3)}, domain=M, pads=[1, 1, 1, 1], activation=activation, **more)
case("ms_fusedconv_sum", "FusedConv", {"x": floats(1, 2, 4, 4), "w": floats(3, 2, 3, 3), "b": floats(3), "z": floats(1, 3, 2, 2)}, domain=M, activation="Relu")

# Normalizations.
x, skip, gamma, beta, bias = floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8), floats(8)
case("ms_skiplayernorm", "SkipLayerNormalization", {"x": x, "s": skip, "g": gamma, "b": beta, "bias": bias}, domain=M, epsilon=1e-5)
case("ms_skiplayernorm_no_beta", "SkipLayerNormalization", {"x": x, "s": skip, "g": gamma}, domain=M)
case("ms_skiplayernorm_broadcast", "SkipLayerNormalization", {"x": x, "s": skip[:1], "g": gamma, "b": beta}, domain=M)
case("ms_skiplayernorm_flat_skip", "SkipLayerNormalization", {"x": x, "s": skip[0], "g": gamma, "b": None, "bias": bias}, domain=M)
case("ms_skipsimplified", "SkipSimplifiedLayerNormalization", {"x": x, "s": skip, "g": gamma, "bias": bias}, domain=M, epsilon=1e-5)
case("ms_skipsimplified_2d", "SkipSimplifiedLayerNormalization", {"x": x[0], "s": skip[0], "g": gamma}, domain=M, epsilon=1e-5)
case("ms_simplified", "SimplifiedLayerNormalization", {"x": x, "g": gamma}, outputs=2, epsilon=1e-5, axis=-1)
case("ms_simplified_axis", "SimplifiedLayerNormalization", {"x": x, "g": floats(3, 8)}, epsilon=1e-5, axis=1)
ids, segments = np.array([[1, 3, 2], [0, 4, 4]], np.int32), np.array([[0, 1, 0], [1, 1, 0]], np.int32)
embed = {"ids": ids, "seg": segments, "w": floats(5, 8), "p": floats(4, 8), "s": floats(2, 8), "g": gamma, "b": beta}
types = [np.float32, np.int32, np.float32]
case("ms_embedlayernorm", "EmbedLayerNormalization", {**embed, "m": np.array([[1, 1, 0], [1, 1, 1]], np.int32)}, outputs=3, output_types=types, domain=M)
case("ms_embedlayernorm_no_segment", "EmbedLayerNormalization", {**embed, "seg": None, "s": None}, outputs=2, output_types=types[:2], domain=M)
case("ms_embedlayernorm_positions", "EmbedLayerNormalization", {**embed, "m": None, "pos": np.array([[2, 0, 3]], np.int32)}, outputs=2, output_types=types[:2], domain=M, epsilon=1e-5)

# Rotary embeddings.
cos, sin = floats(10, 2), floats(10, 2)
pos = np.array([[1, 2, 3], [4, 0, 9]], np.int64)
case("ms_rotary", "RotaryEmbedding", {"x": floats(2, 3, 8), "p": pos, "c": cos, "s": sin}, domain=M)
case("ms_rotary_interleaved", "RotaryEmbedding", {"x": floats(2, 3, 8), "p": pos, "c": cos, "s": sin}, domain=M, interleaved=1)
case("ms_rotary_offset", "RotaryEmbedding", {"x": floats(2, 3, 8), "p": np.array([5], np.int64), "c": cos, "s": sin}, domain=M)
case("ms_rotary_4d", "RotaryEmbedding", {"x": floats(2, 2, 3, 4), "p": pos, "c": cos, "s": sin}, domain=M)
case("ms_rotary_partial", "RotaryEmbedding", {"x": floats(2, 3, 12), "p": pos, "c": cos, "s": sin}, domain=M, num_heads=2, rotary_embedding_dim=4)
case("rotary_partial", "RotaryEmbedding", {"x": floats(2, 2, 3, 6), "c": cos, "s": sin, "p": pos}, opset=23, rotary_embedding_dim=4, interleaved=1)

# Attention of Microsoft's domain: 2 heads of 4.
x, w, b = floats(2, 3, 6), floats(6, 24), floats(24)
A = lambda name, inputs, outputs=1, **attributes: case(f"ms_attention_{name}", "Attention", inputs, outputs=outputs, domain=M, num_heads=2, **attributes)
A("plain", {"x": x, "w": w, "b": b})
A("no_bias", {"x": x, "w": w, "b": None})
A("causal", {"x": x, "w": w, "b": b}, unidirectional=1)
A("scale", {"x": x, "w": w, "b": b}, scale=0.9)
A("mask_2d", {"x": x, "w": w, "b": b, "m": np.array([[1, 1, 0], [1, 0, 0]], np.int32)})
A("mask_2d_filter", {"x": x, "w": w, "b": b, "m": np.array([[1, 1, 0], [1, 0, 0]], np.int32)}, mask_filter_value=-2.0)
A("mask_3d", {"x": x, "w": w, "b": b, "m": (floats(2, 3, 3) > 0).astype(np.int32)})
A("mask_end", {"x": x, "w": w, "b": b, "m": i32(2, 3)})
A("mask_end_start", {"x": x, "w": w, "b": b, "m": i32(2, 3, 1, 0)})
A("past", {"x": x, "w": w, "b": b, "m": None, "past": floats(2, 2, 2, 2, 4)}, outputs=2)
A("past_causal_mask", {"x": x, "w": w, "b": b, "m": np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]], np.int32), "past": floats(2, 2, 2, 2, 4)}, outputs=2, unidirectional=1)
A("present", {"x": x, "w": w, "b": b}, outputs=2)
A("bias", {"x": x, "w": w, "b": b, "m": None, "past": None, "a": floats(1, 2, 3, 3)})
A("sizes", {"x": x, "w": floats(6, 20), "b": floats(20)}, qkv_hidden_sizes=[8, 8, 4])

# MultiHeadAttention.
H = lambda name, inputs, outputs=1, **attributes: case(f"ms_mha_{name}", "MultiHeadAttention", inputs, outputs=outputs, domain=M, num_heads=2, **attributes)
q, k, v = floats(2, 3, 8), floats(2, 5, 8), floats(2, 5, 6)
H("plain", {"q": q, "k": k, "v": v})
H("bias", {"q": q, "k": k, "v": v, "b": floats(22)})
H("scale_causal", {"q": q, "k": q, "v": q}, scale=0.3, unidirectional=1)
H("mask_ends", {"q": q, "k": k, "v": v, "b": None, "m": i32(4, 2)})
H("mask_2d", {"q": q, "k": k, "v": v, "b": None, "m": (floats(2, 5) > 0).astype(np.int32)})
H("mask_3d", {"q": q, "k": k, "v": v, "b": None, "m": (floats(2, 3, 5) > 0).astype(np.int32)})
H("attention_bias", {"q": q, "k": k, "v": v, "b": None, "m": None, "a": floats(1, 2, 3, 5)})
H("past", {"q": q, "k": floats(2, 3, 8), "v": floats(2, 3, 8), "b": None, "m": None, "a": None, "pk": floats(2, 2, 2, 4), "pv": floats(2, 2, 2, 4)}, outputs=3)
H("past_causal", {"q": q, "k": floats(2, 3, 8), "v": floats(2, 3, 8), "b": None, "m": None, "a": None, "pk": floats(2, 2, 2, 4), "pv": floats(2, 2, 2, 4)}, outputs=3, unidirectional=1)
H("cross", {"q": q, "k": floats(2, 2, 5, 4), "v": floats(2, 2, 5, 4)})
H("qk_mask", {"q": q, "k": k, "v": k, "b": None, "m": (floats(2, 5) > 0).astype(np.int32), "a": floats(2, 1, 3, 5)}, outputs=4)
H("qk", {"q": q, "k": k, "v": k}, outputs=4)

# GroupQueryAttention: 4 heads of queries and 2 of keys, each of 16.
def G(name, *, past=0, new=3, lengths=None, capacity=None, packed=False, outputs=3, cache=False, positions=None, bias=None, sink=None, **attributes):
    total = past + new
    batch = 1 if past and new > 1 else 2
    lengths = lengths or [total - 1] * batch
    inputs = {"q": floats(batch, new, 128 if packed else 64), "k": None if packed else floats(batch, new, 32), "v": None if packed else floats(batch, new, 32)}
    room = capacity or past
    inputs["pk"], inputs["pv"] = (floats(batch, 2, room, 16), floats(batch, 2, room, 16)) if room else (None, None)
    inputs["l"], inputs["t"] = i32(*lengths), np.array(max(lengths) + 1, np.int32)
    inputs["cos"], inputs["sin"] = (floats(12, 8), floats(12, 8)) if cache else (None, None)
    for key, value in (("pos", positions), ("bias", bias), ("sink", sink)):
        inputs[key] = value
    while inputs[list(inputs)[-1]] is None:
        inputs.popitem()
    case(f"ms_gqa_{name}", "GroupQueryAttention", inputs, outputs=outputs, domain=M, num_heads=4, kv_num_heads=2, **attributes)


G("prompt")
G("packed", packed=True)
G("past", past=4, new=1)
G("past_two", past=4, new=2)
G("ragged", past=4, new=1, lengths=[2, 4])
G("rotary_prompt", cache=True, do_rotary=1)
G("rotary_past", past=4, new=1, lengths=[2, 4], cache=True, do_rotary=1)
G("rotary_interleaved_packed", packed=True, past=4, new=1, cache=True, do_rotary=1, rotary_interleaved=1)
G("window", past=5, new=1, local_window_size=3)
G("window_prompt", new=6, local_window_size=2)
G("softcap_scale", softcap=0.5, scale=0.7)
G("smooth", smooth_softmax=1)
G("sink", sink=floats(4))
G("softcap_bias", past=2, new=1, bias=floats(1, 4, 1, 3) * 2, softcap=0.5)
G("scores", past=2, new=1, bias=floats(1, 4, 1, 3), outputs=4, qk_output=1)
G("weights", past=2, new=1, outputs=4, qk_output=2)
G("bias", past=2, new=2, bias=floats(1, 4, 2, 4))

# Attention of ONNX's own domain: what ONNX 1.19's stored cases and ONNX Runtime disagree on.
q, k, v = floats(1, 4, 3, 4), floats(1, 2, 3, 4), floats(1, 2, 3, 5)
mask = floats(3, 5)
T = lambda name, inputs, outputs=1, **attributes: case(f"attention_{name}", "Attention", inputs, outputs=outputs, opset=23, **attributes)
T("groups", {"q": q, "k": k, "v": v})
T("groups_3d", {"q": floats(1, 3, 16), "k": floats(1, 2, 8), "v": floats(1, 2, 10)}, q_num_heads=4, kv_num_heads=2)
T("past_causal", {"q": q, "k": k, "v": v, "m": None, "pk": floats(1, 2, 2, 4), "pv": floats(1, 2, 2, 5)}, outputs=4, is_causal=1, qk_matmul_output_mode=3)
for mode in range(4):
    T(f"stage_{mode}", {"q": q, "k": k, "v": v, "m": mask, "pk": floats(1, 2, 2, 4), "pv": floats(1, 2, 2, 5)}, outputs=4, softcap=0.6, qk_matmul_output_mode=mode)
nothing = np.array([[True, False, True], [False] * 3, [True] * 3])
T("masked_out", {"q": q, "k": k, "v": v, "m": nothing}, outputs=4, qk_matmul_output_mode=3)
T("scale", {"q": q, "k": k, "v": v}, scale=0.25)
case("rms", "RMSNormalization", {"x": floats(2, 3, 4), "g": floats(3, 4)}, opset=23, axis=1, epsilon=1e-3)

# Recurrent layers: what ONNX's cases leave out.
S, B, I, N = 4, 2, 3, 5


def R(name, op, directions=1, gates=1, lengths=None, outputs=2, bias=True, state=True, peepholes=False, **attributes):
    inputs = {"x": floats(S, B, I), "w": floats(directions, gates * N, I), "r": floats(directions, gates * N, N)}
    inputs["b"] = floats(directions, 2 * gates * N) if bias else None
    inputs["l"] = i32(*lengths) if lengths else None
    inputs["h"] = floats(directions, B, N) if state else None
    if op == "LSTM":
        inputs["c"] = floats(directions, B, N) if state else None
        inputs["p"] = floats(directions, 3 * N) if peepholes else None
    while inputs[list(inputs)[-1]] is None:
        inputs.popitem()
    case(f"{op.lower()}_{name}", op, inputs, outputs=outputs, hidden_size=N, **attributes)


for op, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
    outputs = 3 if op == "LSTM" else 2
    R("reverse", op, gates=gates, outputs=outputs, direction="reverse")
    R("bidirectional", op, 2, gates, outputs=outputs, direction="bidirectional")
    R("lengths", op, 2, gates, lengths=[2, 4], outputs=outputs, direction="bidirectional")
    R("no_steps", op, 1, gates, lengths=[0, 3], outputs=outputs)
    R("clip", op, 1, gates, outputs=outputs, clip=0.3)
R("linear", "GRU", gates=3, linear_before_reset=1)
R("linear_bidirectional", "GRU", 2, gates=3, linear_before_reset=1, direction="bidirectional", lengths=[3, 4])
R("peepholes", "LSTM", 2, 4, outputs=3, peepholes=True, direction="bidirectional")
R("input_forget", "LSTM", 1, 4, outputs=3, input_forget=1)
R("activations", "LSTM", 1, 4, outputs=3, activations=["HardSigmoid", "Softsign", "Elu"], activation_alpha=[0.3, 0.8], activation_beta=[0.4])
R("activations", "GRU", 2, 3, activations=["Sigmoid", "Relu", "HardSigmoid", "LeakyRelu"], activation_alpha=[0.3, 0.1], activation_beta=[0.6], direction="bidirectional")
for index, (activation, alpha, beta) in enumerate((("Affine", [0.5], [0.2]), ("ScaledTanh", [0.7], [1.5]), ("ThresholdedRelu", [0.2], None), ("Softplus", None, None), ("Softsign", None, None))):
    more = {k: v for k, v in (("activation_alpha", alpha), ("activation_beta", beta)) if v}
    R(f"{activation.lower()}", "RNN", activations=[activation], **more)

# Transforms.
case("dft_onesided", "DFT", {"x": floats(2, 10, 1, dtype=np.float64)}, opset=20, onesided=1)
case("dft_padded", "DFT", {"x": floats(2, 6, 2), "n": np.int64(9)}, opset=20)
case("dft_cut", "DFT", {"x": floats(2, 6, 2), "n": np.int64(4)}, opset=17)
case("dft_inverse_onesided", "DFT", {"x": floats(2, 5, 2)}, opset=20, onesided=1, inverse=1)
case("dft_inverse_onesided_odd", "DFT", {"x": floats(2, 5, 2), "n": np.int64(9)}, opset=20, onesided=1, inverse=1)
case("dft_double", "DFT", {"x": floats(1, 37, 2, dtype=np.float64)}, opset=20, inverse=1)
case("stft_window", "STFT", {"x": floats(1, 20, 1), "s": np.int64(3), "w": floats(8)})
case("stft_complex", "STFT", {"x": floats(1, 12, 2), "s": np.int64(2), "w": None, "l": np.int64(6)}, onesided=0)
case("mel_int", "MelWeightMatrix", {"b": np.int64(4), "n": np.int64(16), "r": np.int64(8000), "l": np.float32(0), "u": np.float32(3500)}, output_types=[np.float32])
case("lpnorm_zero", "LpNormalization", {"x": np.array([[0, 0], [3, -4]], np.float32)}, p=1)
case("layernorm_two_axes", "LayerNormalization", {"x": floats(2, 3, 4), "g": floats(3, 4), "b": floats(3, 4)}, outputs=3, axis=1)

# ONNX Runtime keeps this one in ONNX's own domain; files have it in both.
x, scale = floats(2, 3, 4), floats(4)
root = np.sqrt(np.mean(x.astype(np.float64) ** 2, axis=-1, keepdims=True) + 1e-5)
case("microsoft_simplified_layer_normalization", "SimplifiedLayerNormalization", {"x": x, "scale": scale}, domain="com.microsoft", expected=[(x / root * scale).astype(np.float32)], epsilon=1e-5)
