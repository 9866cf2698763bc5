"""XGBoost's JSON of a booster, checked and written anew.

XGBoost's parser believes sizes and positions, and its prediction follows them in compiled code. So
it reads only what was written here, from values that were understood. Models ship with this module,
so it imports numpy alone, and it does not move.

The format: ``doc/model.schema`` of XGBoost 3.2, with ``gbtree``.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

OBJECTIVES: Mapping[str, Mapping[str, str]] = {
    "reg:squarederror": {"reg_loss_param": "scale_pos_weight"},
    "reg:squaredlogerror": {},
    "reg:absoluteerror": {},
    "reg:pseudohubererror": {"pseudo_huber_param": "huber_slope"},
    "reg:gamma": {"reg_loss_param": "scale_pos_weight"},
    "reg:tweedie": {"tweedie_regression_param": "tweedie_variance_power"},
    "count:poisson": {"poisson_regression_param": "max_delta_step"},
}
"""What a regression may minimise, and the one number of each."""

_BINARY = {"binary:logistic": {"reg_loss_param": "scale_pos_weight"}}
_MULTICLASS = {"multi:softprob": {"softmax_multiclass_param": "num_class"}}

MAX_CATEGORIES = 2**16
MAX_FLOAT = float(np.finfo(np.float32).max)
_ROOT_PARENT = 2**31 - 1
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")

_WHOLE = (
    "categories",
    "categories_nodes",
    "categories_segments",
    "categories_sizes",
    "default_left",
    "left_children",
    "parents",
    "right_children",
    "split_indices",
    "split_type",
)
_FLOATS = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")


def rebuild_json(text: str, n_features: int, n_classes: int) -> str:
    """Check a JSON and write it anew.

    Args:
        text: Of a booster.
        n_features: Columns that it takes.
        n_classes: Classes that it tells apart, 0 of a regression.

    Raises:
        ValueError: It is not as XGBoost writes it, or would be read out of bounds.
    """
    read = json.loads(text)
    learner = _take(read, "learner", "version")["learner"]
    _take(
        learner,
        *("attributes", "feature_names", "feature_types", "gradient_booster"),
        *("learner_model_param", "objective"),
    )
    kinds = learner["feature_types"]
    is_listed = isinstance(kinds, list) and len(kinds) == n_features
    if not is_listed or not all(kind in {"q", "c"} for kind in kinds) or learner["feature_names"]:
        raise ValueError("a booster has odd columns")
    n_outputs = n_classes if n_classes > 2 else 1
    booster = _take(learner["gradient_booster"], "model", "name")
    if booster["name"] != "gbtree":
        raise ValueError("a booster should be one of trees")
    model = _take(
        booster["model"],
        *("cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"),
    )
    is_categorical = np.array([kind == "c" for kind in kinds])
    trees = [
        _rebuild_tree(number, tree, is_categorical) for number, tree in enumerate(model["trees"])
    ]
    _check_order(model, len(trees), n_outputs)
    written = {
        "learner": {
            "attributes": {},
            "feature_names": [],
            "feature_types": kinds,
            "gradient_booster": {"model": {**model, "trees": trees}, "name": "gbtree"},
            "learner_model_param": _rebuild_params(learner, n_features, n_classes),
            "objective": _rebuild_objective(learner["objective"], n_classes),
        },
        "version": _whole(read["version"], "version", 3).tolist(),
    }
    return json.dumps(written)


def _take(value: Any, *names: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(names):
        raise ValueError(f"a booster should have {', '.join(sorted(names))}")
    return value


def _check_order(model: dict[str, Any], n_trees: int, n_outputs: int) -> None:
    """Check which tree adds to which output."""
    params = {"num_parallel_tree": "1", "num_trees": str(n_trees)}
    no_names: dict[str, list[str]] = {"enc": [], "feature_segments": [], "sorted_idx": []}
    order = [number % n_outputs for number in range(n_trees)]
    ends = list(range(0, n_trees + 1, n_outputs))
    is_whole = n_trees and not n_trees % n_outputs
    given = [
        model[name] for name in ("gbtree_model_param", "cats", "tree_info", "iteration_indptr")
    ]
    if not is_whole or given != [params, no_names, order, ends]:
        raise ValueError("a booster has trees in an odd order")


def _rebuild_params(learner: dict[str, Any], n_features: int, n_classes: int) -> dict[str, str]:
    n_outputs = n_classes if n_classes > 2 else 0
    expected = {
        "boost_from_average": "1",
        "num_class": str(n_outputs),
        "num_feature": str(n_features),
        "num_target": "1",
    }
    params = _take(learner["learner_model_param"], "base_score", *expected)
    start = params["base_score"]
    scores = start[1:-1].split(",") if isinstance(start, str) else []
    is_listed = start == f"[{','.join(scores)}]" and len(scores) == max(1, n_outputs)
    if not is_listed or {**params, **expected} != params or not all(map(_is_number, scores)):
        raise ValueError("a booster has an odd start")
    if n_classes == 2 and not 0 < float(scores[0]) < 1:
        raise ValueError("a booster starts at no probability")
    return {**expected, "base_score": start}


def _rebuild_objective(objective: Any, n_classes: int) -> dict[str, Any]:
    known = OBJECTIVES if not n_classes else _BINARY if n_classes == 2 else _MULTICLASS
    name = objective.get("name") if isinstance(objective, dict) else None
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"a booster has an odd objective: {str(name)[:100]}")
    _take(objective, "name", *known[name])
    for section, param in known[name].items():
        value = _take(objective[section], param)[param]
        is_odd = n_classes > 2 and value != str(n_classes)
        if is_odd or not _is_number(value):
            raise ValueError(f"a booster has an odd {param}")
    return dict(objective)


def _rebuild_tree(number: int, tree: Any, is_categorical: np.ndarray) -> dict[str, Any]:
    """Check what a walk from the root reads at each node.

    Raises:
        ValueError: It would leave the tree, its columns or its sets of categories.
    """
    _take(tree, "id", "tree_param", *_WHOLE, *_FLOATS)
    n_nodes = len(tree["left_children"])
    params = {
        "num_deleted": "0",
        "num_feature": str(len(is_categorical)),
        "num_nodes": str(n_nodes),
        "size_leaf_vector": "1",
    }
    if tree["id"] != number or tree["tree_param"] != params:
        raise ValueError(f"tree {number} of a booster has other params")
    arrays = {
        name: _whole(tree[name], name, None if name.startswith("categories") else n_nodes)
        for name in _WHOLE
    } | {name: _floats(tree[name], name, n_nodes) for name in _FLOATS}
    _check_nodes(arrays, n_nodes)
    inner = np.flatnonzero(arrays["left_children"] != -1)
    features, kinds = arrays["split_indices"], arrays["split_type"]
    if ((features < 0) | (features >= len(is_categorical))).any():
        raise ValueError("a tree splits by a feature that is not there")
    by_category = np.zeros(n_nodes, dtype=bool)
    by_category[inner] = is_categorical[features[inner]]
    if not np.array_equal(kinds == 1, by_category) or ((kinds < 0) | (kinds > 1)).any():
        raise ValueError("a tree splits a number by categories")
    _check_sets(arrays, np.flatnonzero(by_category))
    return {
        "id": number,
        "tree_param": params,
        **{name: values.tolist() for name, values in arrays.items()},
    }


def _check_nodes(arrays: Mapping[str, np.ndarray], n_nodes: int) -> None:
    left, right, parents = (
        arrays[f"{name}"] for name in ("left_children", "right_children", "parents")
    )
    is_leaf = left == -1
    inner = np.flatnonzero(~is_leaf)
    children = np.concatenate([left[inner], right[inner]])
    is_tree = np.array_equal(np.sort(children), np.arange(1, n_nodes))
    if not n_nodes or not is_tree or (children <= np.tile(inner, 2)).any():
        raise ValueError("a tree has a node whose child is not after it")
    expected = np.full(n_nodes, _ROOT_PARENT)
    expected[children] = np.tile(inner, 2)
    if (right[is_leaf] != -1).any() or not np.array_equal(parents, expected):
        raise ValueError("a tree has a leaf with a child, or a child of another parent")
    if not np.isin(arrays["default_left"], (0, 1)).all():
        raise ValueError("a tree sends gaps nowhere")


def _check_sets(arrays: Mapping[str, np.ndarray], nodes: np.ndarray) -> None:
    segments, sizes = arrays["categories_segments"], arrays["categories_sizes"]
    categories = arrays["categories"]
    is_whole = (
        np.array_equal(arrays["categories_nodes"], nodes)
        and len(segments) == len(sizes) == len(nodes)
        and (sizes > 0).all()
        and (sizes <= MAX_CATEGORIES).all()
        and np.array_equal(segments, np.cumsum(sizes) - sizes)
        and sizes.sum() == len(categories)
    )
    if not is_whole or ((categories < 0) | (categories >= MAX_CATEGORIES)).any():
        raise ValueError("a tree has odd sets of categories")


def _is_number(value: Any) -> bool:
    is_text = isinstance(value, str) and _NUMBER.fullmatch(value)
    return bool(is_text) and abs(float(value)) <= MAX_FLOAT


def _whole(values: Any, name: str, count: int | None = None) -> np.ndarray:
    numbers = np.array(values) if values else np.zeros(0, dtype=np.int64)
    is_plain = numbers.ndim == 1 and numbers.dtype == np.int64
    if not isinstance(values, list) or not is_plain or count not in {None, len(numbers)}:
        raise ValueError(f"a booster has an odd {name}")
    return numbers


def _floats(values: Any, name: str, count: int) -> np.ndarray:
    numbers = np.array(values)
    is_plain = numbers.ndim == 1 and numbers.dtype in {np.dtype(np.float64), np.dtype(np.int64)}
    if not isinstance(values, list) or not is_plain or len(numbers) != count:
        raise ValueError(f"a booster has an odd {name}")
    if not (np.abs(numbers) <= MAX_FLOAT).all():
        raise ValueError(f"a booster has an odd {name}")
    return numbers.astype(np.float64)
