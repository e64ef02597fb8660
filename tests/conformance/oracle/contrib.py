"""Operators of com.microsoft that are like ONNX's own."""

import numpy as np

from case import case, floats


def contrib(name, op_type, inputs, **kwargs):
    case(f"contrib_{name}", op_type, inputs, domain="com.microsoft", **kwargs)


contrib("trilu_upper", "Trilu", {"x": floats(2, 3, 4), "k": np.array(1)}, upper=1, constants=("k",))
contrib("trilu_lower", "Trilu", {"x": floats(3, 4), "k": np.array(-1)}, upper=0)
contrib("gather_nd", "GatherND", {"x": floats(2, 3, 4), "i": np.array([[0, 1], [1, -1]])})
contrib("range", "Range", {"a": np.float32(1), "b": np.float32(3), "c": np.float32(0.75)})
contrib("expand_dims", "ExpandDims", {"x": floats(3, 4), "axis": np.array(-2, np.int32)})
contrib("inverse", "Inverse", {"x": floats(2, 3, 3)})
contrib("inverse_double", "Inverse", {"x": floats(5, 5, dtype=np.float64)})
contrib("cdist_euclidean", "CDist", {"a": floats(2, 3), "b": floats(4, 3)}, metric="euclidean")
contrib("cdist_squared", "CDist", {"a": floats(2, 3, dtype=np.float64), "b": floats(4, 3, dtype=np.float64)}, metric="sqeuclidean")
