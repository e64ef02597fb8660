"""Cases of pooling, resampling and convolution that ONNX's suites leave out."""

import numpy as np
from case import case, floats

f = np.float32
scales = lambda *v: np.array(v, f)


def transpose(name, x, w, bias=True, **attributes):
    inputs = {"x": floats(*x), "w": floats(*w), "b": floats(w[1] * attributes.get("group", 1)) if bias else None}
    case(f"convtranspose_{name}", "ConvTranspose", inputs, **attributes)


transpose("grouped_dilated", (2, 4, 3, 4), (4, 3, 2, 3), group=2, dilations=[2, 1], strides=[2, 3], pads=[1, 0, 0, 2])
transpose("depthwise_1d", (1, 3, 5), (3, 1, 4), group=3, strides=[2], pads=[1, 1], output_padding=[1])
transpose("3d", (1, 2, 2, 3, 2), (2, 2, 2, 2, 3), strides=[2, 1, 2], output_padding=[1, 0, 1], pads=[0, 1, 0, 1, 0, 1])
transpose("wide_strides_same_upper", (1, 1, 3), (1, 1, 2), False, strides=[4], auto_pad="SAME_UPPER")
transpose("same_lower", (1, 2, 4, 3), (2, 1, 3, 4), strides=[2, 2], auto_pad="SAME_LOWER")
transpose("valid", (1, 2, 4), (2, 1, 3), strides=[2], auto_pad="VALID", output_padding=[1])
transpose("larger_output_shape", (1, 1, 3), (1, 2, 2), strides=[4], output_shape=[13])
transpose("smaller_output_shape", (1, 1, 3, 3), (1, 2, 3, 3), strides=[2, 2], output_shape=[5, 6], auto_pad="SAME_UPPER")
case("convtranspose_empty", "ConvTranspose", {"x": floats(1, 1, 0), "w": floats(1, 1, 2)})


def resize(name, x, opset=19, roi=None, scale=None, sizes=None, **attributes):
    inputs = {"x": x, "roi": None if roi is None else np.array(roi, f)}
    inputs |= {"scales": None if scale is None else scales(*scale)}
    if sizes is not None:
        inputs["sizes"] = np.array(sizes)
    case(f"resize_{name}", "Resize", inputs, opset=opset, **attributes)


image = floats(1, 2, 5, 6)
for mode in ("nearest", "linear", "cubic"):
    for way in ("half_pixel", "pytorch_half_pixel", "asymmetric", "half_pixel_symmetric"):
        resize(f"{mode}_{way}_sizes", image, sizes=[1, 2, 7, 4], mode=mode, coordinate_transformation_mode=way)
        resize(f"{mode}_{way}_scales", image, scale=[1, 1, 0.7, 1.3], mode=mode, coordinate_transformation_mode=way)
    resize(f"{mode}_align_corners_sizes", image, sizes=[1, 2, 7, 4], mode=mode, coordinate_transformation_mode="align_corners")
    resize(f"{mode}_to_one", image, sizes=[1, 2, 1, 1], mode=mode, coordinate_transformation_mode="pytorch_half_pixel")
    resize(f"{mode}_crop", image, roi=[0, 0, -0.2, 0.3, 1, 1, 0.9, 1.1], sizes=[1, 2, 7, 4], mode=mode,
           coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=9.0)
for rule in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
    for way in ("half_pixel", "asymmetric", "align_corners"):
        resize(f"nearest_{rule}_{way}", image, sizes=[1, 2, 9, 3], nearest_mode=rule, coordinate_transformation_mode=way)
for mode in ("linear", "cubic"):
    resize(f"{mode}_antialias_both_ways", image, sizes=[1, 2, 2, 9], mode=mode, antialias=1)
    resize(f"{mode}_antialias_excluding", image, sizes=[1, 2, 2, 3], mode=mode, antialias=1, exclude_outside=1)
resize("cubic_excluding", image, scale=[1, 1, 0.6, 1.7], mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5)
resize("linear_not_larger", image, sizes=[9, 4], axes=[2, 3], mode="linear", keep_aspect_ratio_policy="not_larger")
resize("nearest_not_smaller", image, sizes=[9, 4], axes=[3, 2], keep_aspect_ratio_policy="not_smaller")
resize("trilinear", floats(1, 1, 3, 4, 2), scale=[1, 1, 2, 0.5, 1.5], mode="linear")
resize("linear_int32", np.arange(-12, 13, dtype=np.int32).reshape(1, 1, 5, 5) * 7, sizes=[1, 1, 3, 8], mode="linear")
resize("linear_uint8", np.arange(25, dtype=np.uint8).reshape(1, 1, 5, 5) * 10, sizes=[1, 1, 3, 8], mode="linear")
resize("rounded_size", floats(10), scale=[0.7], opset=13)
resize("nearest_opset_11", image, opset=11, roi=[], scale=[1, 1, 0.6, 2.3], coordinate_transformation_mode="tf_half_pixel_for_nn")
for mode in ("nearest", "linear"):
    for factors in ((1, 1, 2, 2), (1, 1, 0.6, 0.4), (1, 1, 1.7, 0.8)):
        name = f"resize_opset_10_{mode}_{'_'.join(map(str, factors[2:]))}".replace(".", "p")
        case(name, "Resize", {"x": image, "scales": scales(*factors)}, opset=10, mode=mode)
    case(f"upsample_7_{mode}", "Upsample", {"x": image}, opset=7, mode=mode, scales=[1.0, 1.0, 1.7, 2.0])
    case(f"upsample_9_{mode}", "Upsample", {"x": image, "scales": scales(1, 1, 3, 1.5)}, opset=9, mode=mode)

grid = floats(1, 3, 4, 2) * 1.6
volume = floats(1, 2, 3, 4, 2)
for padding in ("zeros", "border", "reflection"):
    for align in (0, 1):
        for mode in ("bilinear", "nearest", "bicubic"):
            case(f"gridsample_{mode}_{padding}_{align}", "GridSample", {"x": image, "grid": grid}, opset=16,
                 mode=mode, padding_mode=padding, align_corners=align)
        for mode in ("linear", "nearest"):
            case(f"gridsample_3d_{mode}_{padding}_{align}", "GridSample", {"x": volume, "grid": floats(1, 2, 2, 3, 3) * 2},
                 opset=20, mode=mode, padding_mode=padding, align_corners=align)

regions = np.array([[0.3, 0.7, 3.2, 4.4], [1, 1, 1.2, 1.1], [-2, -1, 9, 8], [4, 3, 2, 1]], f)
features = floats(2, 2, 5, 6)
which = np.array([0, 1, 0, 1])
for opset in (10, 16):
    for mode in ("avg", "max"):
        for ratio in (0, 2):
            case(f"roialign_{opset}_{mode}_{ratio}", "RoiAlign", {"x": features, "rois": regions, "batch_indices": which},
                 opset=opset, mode=mode, sampling_ratio=ratio, output_height=2, output_width=3, spatial_scale=0.8)
case("roialign_output_half_pixel", "RoiAlign", {"x": features, "rois": regions, "batch_indices": which},
     opset=16, coordinate_transformation_mode="output_half_pixel", output_height=3, output_width=2)
case("maxroipool", "MaxRoiPool", {"x": features, "rois": np.concatenate([which[:, None].astype(f), regions], 1)},
     pooled_shape=[2, 3], spatial_scale=0.7)
case("maxroipool_small_regions", "MaxRoiPool", {"x": features, "rois": np.array([[1, 5, 4, 9, 9], [0, 2, 2, 2, 2]], f)},
     pooled_shape=[3, 2])

for p in (1, 2, 3):
    case(f"globallppool_{p}", "GlobalLpPool", {"x": floats(2, 3, 3, 4)}, p=p)
    case(f"lppool_{p}", "LpPool", {"x": floats(1, 2, 6, 5)}, p=p, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1])
case("lppool_ceil_dilations", "LpPool", {"x": floats(1, 2, 8, 7)}, kernel_shape=[2, 3], strides=[2, 3], dilations=[2, 1], ceil_mode=1)
case("lppool_1d_same", "LpPool", {"x": floats(1, 2, 7)}, opset=11, kernel_shape=[3], strides=[2], auto_pad="SAME_LOWER")
case("lppool_3d", "LpPool", {"x": floats(1, 1, 3, 4, 3)}, kernel_shape=[2, 2, 2], pads=[1, 0, 1, 0, 1, 0])

for align in (0, 1):
    case(f"affinegrid_one_element_{align}", "AffineGrid", {"theta": floats(1, 2, 3), "size": np.array([1, 1, 2, 1])}, align_corners=align)

case("maxunpool_1d", "MaxUnpool", {"x": floats(1, 2, 3), "i": np.array([[[0, 3, 4], [6, 8, 11]]])}, kernel_shape=[2], strides=[2])
case("maxunpool_pads", "MaxUnpool", {"x": floats(1, 1, 2, 2), "i": np.array([[[[0, 4], [6, 8]]]])},
     kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])

case("deformconv_groups", "DeformConv", {"x": floats(1, 4, 5, 4), "w": floats(2, 2, 3, 2), "o": floats(1, 24, 3, 2) * 2,
     "b": floats(2), "m": floats(1, 12, 3, 2)}, group=2, offset_group=2, strides=[2, 2], pads=[1, 0, 1, 1])

for op, extra in (("AveragePool", {"count_include_pad": 0}), ("AveragePool", {"count_include_pad": 1}), ("MaxPool", {})):
    name = op.lower() + "".join(f"_include_{v}" for v in extra.values())
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        case(f"{name}_{auto.lower()}_ceil", op, {"x": image}, auto_pad=auto, kernel_shape=[3, 4], strides=[2, 3], ceil_mode=1, **extra)
    case(f"{name}_ceil_pads", op, {"x": image}, kernel_shape=[3, 2], strides=[2, 3], pads=[1, 1, 1, 0], ceil_mode=1, **extra)
    case(f"{name}_ceil_dilations", op, {"x": image}, kernel_shape=[2, 2], strides=[2, 3], dilations=[3, 2], pads=[1, 0, 1, 1],
         ceil_mode=1, **extra)
    case(f"{name}_3d_ceil", op, {"x": volume}, kernel_shape=[2, 2, 2], strides=[2, 3, 1], pads=[1, 0, 0, 0, 1, 1], ceil_mode=1, **extra)
    case(f"{name}_1d", op, {"x": floats(2, 2, 7)}, kernel_shape=[3], strides=[3], pads=[1, 1], ceil_mode=1, **extra)
for order in (0, 1):
    case(f"maxpool_indices_{order}", "MaxPool", {"x": features}, 2, output_types=[f, np.int64], storage_order=order,
         kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1], dilations=[1, 2])
case("maxpool_int8", "MaxPool", {"x": np.arange(-12, 13, dtype=np.int8).reshape(1, 1, 5, 5)}, kernel_shape=[2, 2], pads=[1, 1, 1, 1])


def conv(name, x, w, bias=True, **attributes):
    case(f"conv_{name}", "Conv", {"x": floats(*x), "w": floats(*w), "b": floats(w[0]) if bias else None}, **attributes)


conv("grouped_asymmetric", (1, 4, 5, 6), (6, 2, 2, 3), group=2, pads=[1, 0, 0, 2], strides=[1, 2])
conv("depthwise_dilated", (1, 3, 6, 5), (6, 1, 2, 2), False, group=3, dilations=[2, 3])
conv("1d_same_lower", (2, 2, 6), (3, 2, 4), auto_pad="SAME_LOWER", strides=[2])
conv("3d", (1, 2, 3, 4, 3), (2, 1, 2, 2, 3), group=2, pads=[1, 0, 1, 0, 1, 1], dilations=[1, 2, 1])
