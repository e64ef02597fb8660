"""com.microsoft's operators on quantised tensors, and MatMulNBits."""

import numpy as np
from case import case, floats, random, save
from onnx import TensorProto, helper, numpy_helper

MS = "com.microsoft"
U8, I8, F = np.uint8, np.int8, np.float32


def codes(*shape, dtype=U8, low=None, high=None):
    info = np.iinfo(dtype)
    return random.integers(info.min if low is None else low, (info.max if high is None else high) + 1, shape).astype(dtype)


def weights(*shape, dtype=I8):
    """In 7 bits, where processors without wide sums saturate in none of ONNX Runtime's kernels."""
    return codes(*shape, dtype=dtype, low=-63 if dtype == I8 else 0, high=63 if dtype == I8 else 127)


def node(name, op, inputs, attributes, dtype):
    """A node with an attribute that case() takes for its own."""
    info = lambda n, a: helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
    given = {n: np.asarray(a) for n, a in inputs.items()}
    graph = helper.make_graph(
        [helper.make_node(op, list(given), ["y0"], name=op, domain=MS, **attributes)],
        name,
        [info(n, a) for n, a in given.items()],
        [helper.make_tensor_value_info("y0", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)],
    )
    save(name, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)], ir_version=10), given)


# QuantizeLinear, DequantizeLinear: 16 and 4 bits, float16, a whole tensor and an axis.
for dtype in (U8, I8, np.uint16, np.int16):
    kind, n = np.dtype(dtype).name, np.iinfo(dtype)
    edges = np.array([0, 0.5, 1.5, -0.5, 2.5, 1e9, -1e9, np.inf, -np.inf, 7.3, -3.7, 200], F)
    case(f"microsoft_quantizelinear_{kind}", "QuantizeLinear", {"x": edges, "s": F(0.5), "z": dtype(n.max // 3)}, domain=MS, output_types=[dtype])
    case(f"microsoft_quantizelinear_{kind}_axis", "QuantizeLinear",
         {"x": floats(2, 3, 4) * 9, "s": np.array([0.1, 0.25, 0.013], F), "z": codes(3, dtype=dtype)}, domain=MS, output_types=[dtype], axis=-2)
    case(f"microsoft_dequantizelinear_{kind}", "DequantizeLinear", {"x": codes(3, 5, dtype=dtype), "s": F(0.031), "z": dtype(n.max // 2)},
         domain=MS, output_types=[F])
    case(f"microsoft_dequantizelinear_{kind}_axis", "DequantizeLinear",
         {"x": codes(2, 3, 4, dtype=dtype), "s": np.array([0.1, 0.25, 0.013], np.float16), "z": codes(3, dtype=dtype)}, domain=MS, output_types=[np.float16], axis=1)
case("microsoft_quantizelinear_float16", "QuantizeLinear", {"x": floats(40, dtype=np.float16), "s": np.float16(0.011), "z": U8(99)}, domain=MS, output_types=[U8])
case("microsoft_quantizelinear_no_zero_point", "QuantizeLinear", {"x": floats(9) * 300, "s": F(0.7)}, domain=MS, output_types=[U8])
case("microsoft_dequantizelinear_int32", "DequantizeLinear", {"x": codes(9, dtype=np.int32), "s": F(0.031)}, domain=MS, output_types=[F])
for kind, low in ((TensorProto.INT4, -8), (TensorProto.UINT4, 0)):
    name = f"microsoft_quantizelinear_{'int4' if low else 'uint4'}_and_back"
    zeros = helper.make_tensor("z", kind, [3], [low + 1, low + 8, low + 15])
    x, s = floats(4, 3) * 9, np.array([0.5, 0.7, 1], F)
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], domain=MS, axis=1),
         helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], domain=MS, axis=1)],
        name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(s, "s"), zeros])
    save(name, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)], ir_version=10), {"x": x})

# Elementwise.
for dtype in (U8, I8):
    kind, zero = np.dtype(dtype).name, dtype(100 if dtype == U8 else -3)
    for op in ("QLinearAdd", "QLinearMul"):
        lower = op.lower()
        pair = lambda a, b: {"a": codes(*a, dtype=dtype), "as": F(0.031), "az": zero, "b": codes(*b, dtype=dtype), "bs": F(0.017), "bz": dtype(7), "cs": F(0.043), "cz": dtype(11)}
        case(f"{lower}_{kind}", op, pair((3, 17), (3, 17)), domain=MS)
        case(f"{lower}_{kind}_broadcast", op, pair((2, 1, 5), (3, 1)), domain=MS)
        case(f"{lower}_{kind}_scalar", op, pair((2, 3), ()), domain=MS)
        case(f"{lower}_{kind}_saturating", op, {**pair((4, 8), (8,)), "cs": F(0.002)}, domain=MS)
    one = lambda z=True: {"x": codes(3, 40, dtype=dtype), "xs": F(0.037), "xz": zero if z else None, "ys": F(1 / 256 if op == "QLinearSigmoid" else 0.021), "yz": dtype(13) if z else None}
    for op, attributes in (("QLinearLeakyRelu", {"alpha": 0.21}), ("QLinearSigmoid", {})):
        case(f"{op.lower()}_{kind}", op, one(), domain=MS, **attributes)
        case(f"{op.lower()}_{kind}_no_zero_point", op, {**one(False), "yz": dtype(13)}, domain=MS)
    for opset, axis in ((11, 1), (13, -1), (13, 1)):
        node(f"qlinearsoftmax_{kind}_opset{opset}_axis{axis % 3}", "QLinearSoftmax",
             {"x": codes(2, 3, 4, dtype=dtype), "xs": F(0.037), "xz": zero, "ys": F(1 / 256), "yz": dtype(0 if dtype == U8 else -128)}, {"axis": axis, "opset": opset}, dtype)
    triple = lambda s, *shape: [codes(*shape, dtype=dtype), F(s), dtype(random.integers(0, 99))]
    named = lambda *values: {f"i{i}": v for i, v in enumerate(values)}
    for axis, shapes in ((1, ((2, 3, 2), (2, 1, 2), (2, 2, 2))), (-1, ((4, 2), (4, 3))), (0, ((3,), (1,)))):
        given = named(F(0.05), zero, *(v for i, s in enumerate(shapes) for v in triple(0.05 if i == 1 else 0.02 + i / 50, *s)))
        case(f"qlinearconcat_{kind}_axis{axis % len(shapes[0])}_of_{len(shapes[0])}", "QLinearConcat", given, domain=MS, output_types=[dtype], axis=axis)
    case(f"qlinearwhere_{kind}", "QLinearWhere", {
        "c": random.integers(0, 2, (2, 3, 1)).astype(bool), "x": codes(3, 4, dtype=dtype), "xs": F(0.02), "xz": zero,
        "y": codes(2, 1, 4, dtype=dtype), "ys": F(0.03), "yz": dtype(5), "zs": F(0.025), "zz": dtype(9)}, domain=MS, output_types=[dtype])

    # Pools.
    for last in (0, 1):
        shape = lambda *s: (s[0], *s[2:], s[1]) if last else s
        tail = "_channels_last" if last else ""
        pool = lambda *s: {"x": codes(*shape(*s), dtype=dtype), "xs": F(0.037), "xz": zero, "ys": F(0.021), "yz": dtype(13)}
        case(f"qlinearglobalaveragepool_{kind}{tail}", "QLinearGlobalAveragePool", pool(2, 3, 5, 4), domain=MS, channels_last=last)
        case(f"qlinearaveragepool_{kind}{tail}", "QLinearAveragePool", pool(1, 3, 6, 5), domain=MS, channels_last=last, kernel_shape=[3, 2], strides=[2, 1])
        case(f"qlinearaveragepool_{kind}{tail}_pads", "QLinearAveragePool", pool(1, 2, 5, 5), domain=MS, channels_last=last, kernel_shape=[3, 3], pads=[1, 0, 1, 2])
        case(f"qlinearaveragepool_{kind}{tail}_include_pad", "QLinearAveragePool", pool(1, 2, 5, 5), domain=MS, channels_last=last, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    case(f"qlinearaveragepool_{kind}_1d", "QLinearAveragePool", pool(2, 3, 9)if not last else {**pool(2, 3, 9), "x": codes(2, 3, 9, dtype=dtype)}, domain=MS, kernel_shape=[3], strides=[2])

# Products.
for a, b in ((U8, U8), (U8, I8), (I8, I8)):
    kind = f"{np.dtype(a).name}_{np.dtype(b).name}"
    left = lambda *s: codes(*s, dtype=a)
    az, bz = a(100 if a == U8 else -3), b(7)
    per = lambda n: (np.linspace(0.01, 0.05, n, dtype=F), weights(n, dtype=b) // b(8))
    case(f"matmulintegertofloat_{kind}", "MatMulIntegerToFloat", {"a": left(3, 9), "b": weights(9, 4, dtype=b), "as": F(0.03), "bs": F(0.02), "az": az, "bz": bz},
         domain=MS, output_types=[F])
    s, z = per(4)
    case(f"matmulintegertofloat_{kind}_columns", "MatMulIntegerToFloat",
         {"a": left(2, 3, 9), "b": weights(9, 4, dtype=b), "as": F(0.03), "bs": s, "az": None, "bz": z, "bias": floats(4)}, domain=MS, output_types=[F])
    g = {"a": left(3, 9), "as": F(0.03), "az": az, "b": weights(9, 4, dtype=b), "bs": F(0.02), "bz": bz}
    case(f"qgemm_{kind}", "QGemm", {**g, "c": codes(4, dtype=np.int32, low=-900, high=900), "ys": F(0.6), "yz": a(9)}, domain=MS, output_types=[a])
    case(f"qgemm_{kind}_to_float", "QGemm", {**g, "a": left(9, 3), "b": weights(4, 9, dtype=b), "c": codes(3, 1, dtype=np.int32, low=-900, high=900)},
         domain=MS, output_types=[F], alpha=0.5, transA=1, transB=1)
    case(f"qgemm_{kind}_columns", "QGemm", {**g, "bs": s, "bz": z, "c": None, "ys": F(0.9), "yz": a(3)}, domain=MS, output_types=[a], alpha=1.5)
for b in (U8, I8):
    kind = np.dtype(b).name
    s, z = per(4)[0], weights(4, dtype=b) // b(8)
    case(f"dynamicquantizematmul_{kind}", "DynamicQuantizeMatMul", {"a": floats(3, 9) * 5, "b": weights(9, 4, dtype=b), "bs": F(0.02), "bz": b(7)}, domain=MS)
    case(f"dynamicquantizematmul_{kind}_columns", "DynamicQuantizeMatMul", {"a": floats(2, 3, 9), "b": weights(9, 4, dtype=b), "bs": s, "bz": z, "bias": floats(4)}, domain=MS)
    case(f"dynamicquantizematmul_{kind}_no_zero_point", "DynamicQuantizeMatMul", {"a": abs(floats(1, 9)), "b": weights(9, 4, dtype=b), "bs": F(0.02)}, domain=MS)

for bits in (2, 4, 8):
    for k, n, block in ((32, 4, 16), (40, 3, 32)):
        blocks = -(-k // block)
        base = {"a": floats(2, 3, k), "b": codes(n, blocks, block * bits // 8), "s": floats(n, blocks) / 8}
        zeros = codes(n, -(-blocks * bits // 8))
        run = lambda tail, given, **more: case(f"matmulnbits_{bits}_k{k}_{tail}", "MatMulNBits", given, domain=MS, K=k, N=n, bits=bits, block_size=block, **more)
        run("symmetric", base)
        run("zero_points", {**base, "z": zeros}, accuracy_level=1)
        run("bias", {**base, "z": None, "g": None, "bias": floats(n)})
        if bits == 4:
            run("float_zero_points", {**base, "z": abs(floats(n, blocks)) * 7})
            # ONNX Runtime passes over packed zero points beside g_idx; its documentation does not.
            run("g_idx", {**base, "z": None, "g": random.integers(0, blocks, k).astype(np.int32)})
            run("g_idx_float_zero_points", {**base, "z": abs(floats(n, blocks)) * 7, "g": random.integers(0, blocks, k).astype(np.int32)})
            run("float16", {n: a.astype(np.float16) if n != "b" else a for n, a in base.items()})

# A batch of one: ONNX Runtime's threads quantise the states of their part of a larger one.
for b in (U8, I8):
    for direction, steps in (("forward", 4), ("reverse", 3), ("bidirectional", 3)):
        d, size, hidden = 2 if direction == "bidirectional" else 1, 5, 3
        more = {"b": floats(d, 8 * hidden), "l": None, "h": floats(d, 1, hidden), "c": floats(d, 1, hidden), "p": floats(d, 3 * hidden)} if steps == 3 else dict.fromkeys("blhcp")
        per = (d, 4 * hidden) if direction == "reverse" else (d,)
        case(f"dynamicquantizelstm_{np.dtype(b).name}_{direction}", "DynamicQuantizeLSTM", {
            "x": floats(steps, 1, size), "w": weights(d, size, 4 * hidden, dtype=b), "r": weights(d, hidden, 4 * hidden, dtype=b), **more,
            "ws": abs(floats(*per)) / 50, "wz": np.full(per, 3 if b == U8 else 0, b), "rs": abs(floats(*per)) / 50, "rz": np.full(per, 5 if b == U8 else 0, b)},
            outputs=3, domain=MS, constants=("w", "r", "ws", "wz", "rs", "rz"), hidden_size=hidden, direction=direction)
