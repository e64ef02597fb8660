"""ai.onnx.ml, as ONNX Runtime has it."""

import itertools

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from case import case, floats, random

texts = lambda *v: np.array(v, dtype=object)
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def ml(name, op_type, x, version=3, **kwargs):
    case(f"ml_{name}", op_type, x if isinstance(x, dict) else {"x": x}, domain="ai.onnx.ml", domain_opset=version, **kwargs)


# Elements

for dtype in (np.float32, np.float64, np.int32, np.int64):
    ml(f"array_feature_extractor_{dtype.__name__}", "ArrayFeatureExtractor", {"x": np.arange(24).reshape(2, 3, 4).astype(dtype), "i": np.array([3, 0, 3])})
ml("array_feature_extractor_string", "ArrayFeatureExtractor", {"x": texts("a", "b", "c"), "i": np.array([[2], [0]])})
ml("binarizer", "Binarizer", np.array([[-1, 0.5, 0.50001], [3, np.inf, -np.inf]], np.float32), threshold=0.5)
ml("category_mapper_string", "CategoryMapper", texts("b", "?", "a"), output_types=[np.int64], cats_strings=["a", "b"], cats_int64s=[7, -8], default_int64=3)
ml("category_mapper_int", "CategoryMapper", np.array([[7, 0], [-8, 7]]), output_types=[object], cats_strings=["a", "b"], cats_int64s=[7, -8], default_string="none")
ml("label_encoder_1_string", "LabelEncoder", texts("b", "?", "a"), 1, output_types=[np.int64], classes_strings=["a", "b"], default_int64=5)
ml("label_encoder_1_int", "LabelEncoder", np.array([1, 2, -1, 0]), 1, output_types=[object], classes_strings=["a", "b"], default_string="none")
for (key, keys, x), (value, values) in itertools.product(
    [("strings", ["a", "b"], texts("b", "?", "a")), ("int64s", [3, -4], np.array([[-4], [0], [3]])), ("floats", [0.5, 0.0], np.array([-0.0, 0.5, np.nan], np.float32))],
    [("strings", ["x", "y"]), ("int64s", [5, 6]), ("floats", [1.5, 2.5])],
):
    kind = {"strings": object, "int64s": np.int64, "floats": np.float32}[value]
    ml(f"label_encoder_2_{key}_{value}", "LabelEncoder", x, 2, output_types=[kind], **{f"keys_{key}": keys, f"values_{value}": values})
tensor = lambda v, dtype: numpy_helper.from_array(np.array(v, dtype), "t")
ml("label_encoder_4_nan", "LabelEncoder", np.array([np.nan, 1, 2], np.float32), 4, output_types=[np.int64], keys_floats=[np.nan, 1.0], values_int64s=[9, 8])
ml("label_encoder_4_double_string", "LabelEncoder", np.array([0.1, 0.3]), 4, output_types=[object], keys_tensor=tensor([0.1, 0.2], np.float64), values_strings=["a", "b"], default_string="c")
ml("label_encoder_4_int16", "LabelEncoder", np.array([4, 5], np.int16), 4, keys_tensor=tensor([4], np.int16), values_tensor=tensor([-6], np.int16), default_tensor=tensor([2], np.int16), expected=[np.array([-6, 2], np.int16)])
ml("feature_vectorizer", "FeatureVectorizer", {"a": floats(3, 2), "b": floats(3, 4), "c": floats(3, 1)}, inputdimensions=[2, 3, 2])
ml("feature_vectorizer_int64", "FeatureVectorizer", {"a": np.array([1, 2]), "b": np.array([3])}, output_types=[np.float32], inputdimensions=[2, 1])
ml("imputer_nan", "Imputer", np.array([[np.nan, 1], [2, np.nan]], np.float32), imputed_value_floats=[-1.0, -2.0], replaced_value_float=np.nan)
ml("imputer_one", "Imputer", np.array([[0, 1, -0.0]], np.float32), imputed_value_floats=[5.0], replaced_value_float=0.0)
ml("imputer_int64", "Imputer", np.array([[-1, 1], [2, -1]]), imputed_value_int64s=[10, 20], replaced_value_int64=-1)
for norm, dtype in itertools.product(["MAX", "L1", "L2"], [np.float32, np.int64]):
    x = np.array([[3, -4, 0], [-1, -2, -2], [0, 0, 0]], dtype)
    ml(f"normalizer_{norm.lower()}_{dtype.__name__}", "Normalizer", x, output_types=[np.float32], norm=norm)
ml("normalizer_row", "Normalizer", floats(5, dtype=np.float64), output_types=[np.float32], norm="L2")
ml("one_hot_string", "OneHotEncoder", texts("b", "?", "a", "b").reshape(2, 2), output_types=[np.float32], cats_strings=["a", "b", "c"])
ml("one_hot_float", "OneHotEncoder", np.array([1.9, -1.9, 2, 4], np.float32), cats_int64s=[1, 2, -1], zeros=1)
ml("one_hot_int64", "OneHotEncoder", np.array([[2], [1]]), output_types=[np.float32], cats_int64s=[1, 2], zeros=0)
for dtype in (np.float32, np.float64, np.int32, np.int64):
    ml(f"scaler_{dtype.__name__}", "Scaler", np.array([[3, -4], [7, 0]], dtype), output_types=[np.float32], offset=[0.5, 1.0], scale=[2.0, 0.1])
ml("scaler_one", "Scaler", floats(2, 3), offset=[0.5], scale=[-2.0])

# Linear models

for transform, classes in itertools.product(TRANSFORMS, (2, 4)):
    labels = {"classlabels_strings": list("abcd"[:classes])} if classes == 4 else {"classlabels_ints": [10, 20]}
    kind = object if classes == 4 else np.int64
    x = floats(5, 3) if transform != "PROBIT" else np.abs(floats(5, 3)) / 3
    ml(f"linear_classifier_{classes}_{transform.lower()}", "LinearClassifier", x, outputs=2, output_types=[kind, np.float32],
       coefficients=np.abs(floats(classes * 3)) if transform == "PROBIT" else floats(classes * 3), intercepts=[0.1] * classes, post_transform=transform, multi_class=1, **labels)
for transform in TRANSFORMS[:4]:
    ml(f"linear_classifier_1_{transform.lower()}", "LinearClassifier", floats(4, 2, dtype=np.float64), outputs=2, output_types=[object, np.float32], coefficients=[1.0, -0.5], intercepts=[0.2], classlabels_strings=["no", "yes"], post_transform=transform)
ml("linear_classifier_row", "LinearClassifier", np.array([2, -1, 3], np.int32), outputs=2, output_types=[np.int64, np.float32], coefficients=floats(6), intercepts=[0.1, 0.2], classlabels_ints=[5, 6])
for transform, targets in itertools.product(TRANSFORMS, (1, 3)):
    ml(f"linear_regressor_{targets}_{transform.lower()}", "LinearRegressor", np.abs(floats(4, 2)) / 2, coefficients=np.abs(floats(2 * targets)), intercepts=[0.01] * targets, targets=targets, post_transform=transform)
ml("linear_regressor_bare", "LinearRegressor", floats(4, 2), coefficients=[0.5, -1.5], targets=1)

# Support vectors

KERNELS = {"LINEAR": [0.0, 0.0, 0.0], "POLY": [0.5, 0.3, 3.0], "RBF": [0.7, 0.0, 0.0], "SIGMOID": [0.4, -0.2, 0.0]}


def svc(name, classes, features, proba, kernel="RBF", transform="NONE", labels=None, version=1, rows=6, params=None, x=None):
    per = [2 + c % 2 for c in range(classes)]
    pairs = classes * (classes - 1) // 2
    given = {"prob_a": -1 - np.abs(floats(pairs)), "prob_b": floats(pairs)} if proba else {}
    labels = labels or list(range(10, 10 + classes))
    strings = isinstance(labels[0], str)
    x = floats(rows, features) if x is None else x
    ml(f"svm_classifier_{name}", "SVMClassifier", x, version, outputs=2, output_types=[object if strings else np.int64, np.float32],
       kernel_type=kernel, kernel_params=params or KERNELS[kernel], coefficients=floats((classes - 1) * sum(per)), support_vectors=floats(sum(per) * features),
       vectors_per_class=per, rho=floats(pairs), post_transform=transform, **given, **{"classlabels_strings" if strings else "classlabels_ints": labels})


for kernel, classes in itertools.product(KERNELS, (2, 4)):
    svc(f"{kernel.lower()}_{classes}", classes, 3, False, kernel)
    svc(f"{kernel.lower()}_{classes}_proba", classes, 3, True, kernel)
svc("poly_square", 3, 2, False, "POLY", params=[0.5, 1.0, 2.0])
svc("poly_root", 3, 2, False, "POLY", params=[0.1, 2.0, 0.5])
for transform in TRANSFORMS:
    svc(f"{transform.lower()}_3", 3, 2, False, transform=transform)
    svc(f"{transform.lower()}_3_proba", 3, 2, True, transform=transform)
    svc(f"{transform.lower()}_2_proba", 2, 2, True, transform=transform, labels=["no", "yes"])
for transform in TRANSFORMS[:4]:
    svc(f"{transform.lower()}_2", 2, 2, False, transform=transform)
svc("strings", 4, 2, False, labels=list("abcd"))
svc("double", 3, 2, True, x=floats(4, 2, dtype=np.float64))
svc("row", 3, 2, True, x=floats(2))
for classes, sign, transform in itertools.product((2, 3), ("mixed", "positive"), ("NONE", "LOGISTIC", "SOFTMAX")):
    coefficients = floats(classes * 2) if sign == "mixed" else np.abs(floats(classes * 2))
    ml(f"svm_classifier_linear_mode_{classes}_{sign}_{transform.lower()}", "SVMClassifier", floats(6, 2), 1, outputs=2, output_types=[np.int64, np.float32],
       kernel_type="RBF", kernel_params=[0.5, 0.0, 0.0], coefficients=coefficients, rho=[0.05], classlabels_ints=list(range(3, 3 + classes)), post_transform=transform)
for kernel, one in itertools.product(KERNELS, (0, 1)):
    ml(f"svm_regressor_{kernel.lower()}_{one}", "SVMRegressor", floats(6, 3), 1, kernel_type=kernel, kernel_params=KERNELS[kernel], coefficients=floats(4),
       support_vectors=floats(12), n_supports=4, rho=[0.1], one_class=one)
ml("svm_regressor_linear_mode", "SVMRegressor", floats(3, 4), 1, kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0], coefficients=floats(4), n_supports=0, rho=[-0.2])

# Trees

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def forest(trees, features, modes, votes, missing=False, values=(-0.5, 0.0, 0.5)):
    """Random trees of depth 2; `votes`: a leaf's list of (target, weight)."""
    nodes = {k: [] for k in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")}
    cast = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    tracks = []
    for tree in range(trees):
        for node in range(7):
            leaf = node > 2
            row = (tree, node, int(random.integers(features)), "LEAF" if leaf else modes[int(random.integers(len(modes)))], float(random.choice(values)), 0 if leaf else 2 * node + 1, 0 if leaf else 2 * node + 2)
            for key, value in zip(nodes, row):
                nodes[key].append(value)
            tracks.append(int(not leaf and random.integers(2)))
            for target, weight in votes() if leaf else []:
                for key, value in zip(cast, (tree, node, target, weight)):
                    cast[key].append(value)
    attributes = {f"nodes_{k}": v for k, v in nodes.items()}
    if missing:
        attributes["nodes_missing_value_tracks_true"] = tracks
    return attributes, cast


def number(low=-1.0, high=1.0):
    return float(np.float32(random.uniform(low, high)))


def inputs(rows, features, dtype=np.float32):
    x = random.choice([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0], (rows, features)).astype(dtype)
    return x


def regressor(name, targets=1, trees=3, modes=MODES[:1], aggregate="SUM", transform="NONE", base=None, missing=False, x=None, votes=None, double=False, version=1):
    votes = votes or (lambda: [(t, number(0.0, 0.1) if transform == "PROBIT" else number()) for t in range(targets)])
    attributes, cast = forest(trees, 3, modes, votes, missing)
    cast = {f"target_{k}": v for k, v in cast.items()}
    if double:
        version = 3
        attributes["nodes_values_as_tensor"] = tensor(attributes.pop("nodes_values"), np.float64)
        cast["target_weights_as_tensor"] = tensor(cast.pop("target_weights"), np.float64)
    if base:
        cast["base_values_as_tensor" if double else "base_values"] = tensor(base, np.float64) if double else base
    x = inputs(6, 3) if x is None else x
    ml(f"tree_regressor_{name}", "TreeEnsembleRegressor", x, version, output_types=[np.float32], n_targets=targets, aggregate_function=aggregate, post_transform=transform, **attributes, **cast)


def classifier(name, labels, votes, modes=MODES[:1], transform="NONE", base=None, missing=False, x=None, double=False, version=1, trees=3):
    attributes, cast = forest(trees, 3, modes, votes, missing)
    cast = {f"class_{k}": v for k, v in cast.items()}
    if double:
        version = 3
        attributes["nodes_values_as_tensor"] = tensor(attributes.pop("nodes_values"), np.float64)
        cast["class_weights_as_tensor"] = tensor(cast.pop("class_weights"), np.float64)
    if base:
        cast["base_values_as_tensor" if double else "base_values"] = tensor(base, np.float64) if double else base
    strings = isinstance(labels[0], str)
    ml(f"tree_classifier_{name}", "TreeEnsembleClassifier", inputs(6, 3) if x is None else x, version, outputs=2, output_types=[object if strings else np.int64, np.float32],
       post_transform=transform, **attributes, **cast, **{"classlabels_strings" if strings else "classlabels_int64s": labels})


holes = np.array([[np.nan, 0.5, -1], [0, np.nan, np.nan], [np.nan] * 3, [np.inf, -np.inf, 0]], np.float32)
for mode in MODES:
    regressor(mode.lower(), modes=[mode])
    regressor(f"{mode.lower()}_nan", modes=[mode], x=holes)
    regressor(f"{mode.lower()}_missing", modes=[mode], x=holes, missing=True)
regressor("mixed_modes", modes=MODES, trees=6)
regressor("mixed_modes_missing", modes=MODES, trees=6, x=holes, missing=True)
for aggregate, targets in itertools.product(["SUM", "AVERAGE", "MIN", "MAX"], (1, 3)):
    regressor(f"{aggregate.lower()}_{targets}", targets, aggregate=aggregate)
    regressor(f"{aggregate.lower()}_{targets}_base", targets, aggregate=aggregate, base=[0.5, -0.25, 0.125][:targets])
    regressor(f"{aggregate.lower()}_{targets}_sparse", targets, 2, aggregate=aggregate, base=[0.5, -0.25, 0.125][:targets], votes=lambda: [(int(random.integers(targets)), number())])
for transform, targets in itertools.product(TRANSFORMS, (1, 3)):
    regressor(f"{transform.lower()}_{targets}", targets, transform=transform)
regressor("double", x=inputs(5, 3, np.float64), double=True)
regressor("double_base", 2, x=inputs(5, 3, np.float64), double=True, base=[0.1, 0.2])
regressor("double_floats", x=inputs(5, 3, np.float64), votes=lambda: [(0, 1e-8 + number())])

multi = lambda classes: lambda: [(c, number()) for c in range(classes)]
one = lambda c, low: lambda: [(c, number(low))]
for transform in TRANSFORMS:
    votes = (lambda: [(c, number(0.01, 0.1)) for c in range(4)]) if transform == "PROBIT" else multi(4)
    classifier(f"4_{transform.lower()}", list("abcd"), votes, transform=transform)
    classifier(f"4_{transform.lower()}_base", [7, 6, 5, 4], votes, transform=transform, base=[0.1, 0.2, 0.05, 0.15])
    positive = lambda: [(1, number(0.0, 0.33))]
    classifier(f"2_second_{transform.lower()}", [10, 20], positive, transform=transform)
    if transform != "PROBIT":
        classifier(f"2_positive_{transform.lower()}", [10, 20], one(0, 0.0), transform=transform, trees=1)
        classifier(f"2_mixed_{transform.lower()}", ["no", "yes"], one(0, -1.0), transform=transform)
        classifier(f"2_base_1_{transform.lower()}", [10, 20], one(0, -1.0), transform=transform, base=[0.25])
        classifier(f"2_base_2_{transform.lower()}", [10, 20], one(0, -1.0), transform=transform, base=[0.25, 0.5])
classifier("2_second_mixed", [10, 20], one(1, -1.0))
classifier("2_second_base_1", [10, 20], one(1, -1.0), base=[0.25])
classifier("4_sparse", list("abcd"), lambda: [(int(random.integers(1, 4)), number(-1, 0))])
classifier("4_sparse_base", list("abcd"), lambda: [(int(random.integers(1, 4)), number(-1, 0))], base=[-0.5, 0.1, -0.3, 0.0])
classifier("missing", list("abc"), multi(3), modes=MODES, missing=True, x=holes)
classifier("double", list("abc"), multi(3), x=inputs(5, 3, np.float64), double=True, transform="SOFTMAX")
classifier("int64", [1, 2, 3], multi(3), x=random.integers(-2, 3, (5, 3)))

for aggregate, transform, targets in [(0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 0, 1), (0, 0, 3), (1, 0, 3), (2, 0, 3), (3, 0, 3), (3, 3, 3), (1, 3, 3), (1, 2, 1)]:
    for dtype in (np.float32, np.float64):
        x = inputs(6, 2, dtype)
        x[0, 0] = np.nan
        ml(f"tree_ensemble_{aggregate}_{transform}_{targets}_{dtype.__name__}", "TreeEnsemble", x, 5, n_targets=targets, aggregate_function=aggregate, post_transform=transform, tree_roots=[0, 3],
           nodes_modes=tensor([0, 2, 4, 1, 3, 5], np.uint8), nodes_featureids=[0, 1, 1, 1, 0, 0], nodes_splits=tensor([0, 0.25, -0.5, 0.25, 0, 0.5], dtype),
           nodes_truenodeids=[1, 0, 2, 4, 0, 6], nodes_trueleafs=[0, 1, 1, 0, 1, 1], nodes_falsenodeids=[2, 1, 3, 5, 5, 7], nodes_falseleafs=[0, 1, 1, 0, 1, 1],
           nodes_missing_value_tracks_true=[1, 0, 0, 0, 1, 0], leaf_targetids=[i % targets for i in range(8)], leaf_weights=tensor(floats(8), dtype))
