"""LightGBM's text of a booster, checked line by line and written anew.

LightGBM's parser believes counts, sizes and positions, and its prediction follows them in compiled
code. So it reads only what was written here, from lines that were understood. Models ship with this
module, so it imports numpy alone, and it does not move.

The format: ``GBDT::SaveModelToString`` and ``Tree::ToString`` of LightGBM 4.7, version ``v4``.
"""

import re
from collections.abc import Iterator

import numpy as np

OBJECTIVES = (
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "poisson",
    "quantile",
    "mape",
    "gamma",
    "tweedie",
)
"""What a regression may minimise; the text of each is its name."""

MAX_LEAVES = 131_072
"""LightGBM's own limit."""

_HEADER = (
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "feature_names",
    "feature_infos",
)
_OF_NODES = (
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "internal_value",
    "internal_weight",
    "internal_count",
)
_OF_LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
_OF_TREE = (
    "num_leaves",
    "num_cat",
    *_OF_NODES[:6],
    *_OF_LEAVES,
    *_OF_NODES[6:],
    "cat_boundaries",
    "cat_threshold",
    "is_linear",
    "shrinkage",
)
"""In LightGBM's order."""

_NUMBER = r"-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?"
_RANGE = rf"none|\[{_NUMBER}:{_NUMBER}\]|-?[0-9]+(:-?[0-9]+)*"
_SIGMOID = re.compile(rf"binary sigmoid:{_NUMBER}")

Lines = dict[str, str]


def rebuild_text(text: str, n_features: int, n_classes: int) -> str:
    """Check a text and write it anew.

    Args:
        text: Of a booster.
        n_features: Columns that it takes.
        n_classes: Classes that it tells apart, 0 of a regression.

    Raises:
        ValueError: It is not as LightGBM writes it, or would be read out of bounds.
    """
    head, *trees = text.partition("\nend of trees")[0].split("\n\nTree=")
    n_outputs = n_classes if n_classes > 2 else 1
    lines = _read_lines(head.removeprefix("tree\n"))
    lines.pop("tree_sizes", None)
    infos = lines.get("feature_infos", "").split(" ")
    if len(infos) != n_features or not all(re.fullmatch(_RANGE, info) for info in infos):
        raise ValueError("a booster has odd ranges of columns")
    expected = {
        "version": "v4",
        "num_class": str(n_outputs),
        "num_tree_per_iteration": str(n_outputs),
        "label_index": "0",
        "max_feature_idx": str(n_features - 1),
        "feature_names": " ".join(f"Column_{position}" for position in range(n_features)),
    }
    odd = [name for name, value in expected.items() if lines.get(name) != value]
    if odd or set(lines) != set(_HEADER):
        raise ValueError(f"a booster has an odd head: {', '.join(odd or sorted(lines))[:100]}")
    _check_objective(lines["objective"], n_classes)
    if not trees or len(trees) % n_outputs:
        raise ValueError(f"a booster has {len(trees)} trees for {n_outputs} outputs")
    written = [_rebuild_tree(number, tree, n_features) for number, tree in enumerate(trees)]
    # Without the line of sizes the trees are read one after the other: a thread of the other way
    # that meets an error ends the process.
    return "\n".join(["tree", *_join(lines, _HEADER), "", *written, "end of trees", ""])


def _check_objective(objective: str, n_classes: int) -> None:
    is_known = objective in OBJECTIVES
    if n_classes == 2:
        is_known = bool(_SIGMOID.fullmatch(objective)) and float(objective.split(":")[1]) > 0
    elif n_classes:
        is_known = objective == f"multiclass num_class:{n_classes}"
    if not is_known:
        raise ValueError(f"a booster has an odd objective: {objective[:100]}")


def _read_lines(text: str) -> Lines:
    lines: Lines = {}
    for line in text.strip("\n").split("\n"):
        name, equals, value = line.partition("=")
        if not equals or name in lines:
            raise ValueError(f"a booster has an odd line: {line[:100]}")
        lines[name] = value
    return lines


def _join(lines: Lines, names: tuple[str, ...]) -> Iterator[str]:
    return (f"{name}={lines[name]}" for name in names if name in lines)


def _rebuild_tree(number: int, text: str, n_features: int) -> str:
    """Check a tree and write it anew."""
    first, _, rest = text.partition("\n")
    lines = _read_lines(rest)
    if first != str(number) or not set(lines) <= set(_OF_TREE):
        raise ValueError(f"tree {number} of a booster has odd lines")
    n_leaves, n_sets = (_whole(lines, name, 1)[0] for name in ("num_leaves", "num_cat"))
    _floats(lines, "shrinkage", 1)
    is_small = 0 <= n_sets < n_leaves <= MAX_LEAVES
    if not is_small or lines.get("is_linear") != "0":
        raise ValueError(f"tree {number} of a booster has {n_leaves} leaves, or is linear")
    if n_leaves == 1:
        _floats(lines, "leaf_value", 1)
        _whole(lines, "leaf_count", 1)
        _check_sets(lines, 0)
        if any(lines.get(name) for name in (*_OF_NODES, "leaf_weight")):
            raise ValueError(f"tree {number} of a booster has one leaf and splits")
    else:
        _check_tree(lines, int(n_leaves), int(n_sets), n_features)
    return "\n".join([f"Tree={number}", *_join(lines, _OF_TREE), "", ""])


def _check_tree(lines: Lines, n_leaves: int, n_sets: int, n_features: int) -> None:
    """Check what a walk from the root reads at each node.

    Raises:
        ValueError: It would leave the tree, its columns or its sets of categories.
    """
    n_nodes = n_leaves - 1
    for name in ("split_gain", "internal_value", "internal_weight"):
        _floats(lines, name, n_nodes)
    for name in ("leaf_value", "leaf_weight"):
        _floats(lines, name, n_leaves)
    _whole(lines, "leaf_count", n_leaves)
    _whole(lines, "internal_count", n_nodes)
    children = np.stack([_whole(lines, name, n_nodes) for name in ("left_child", "right_child")])
    inner = children[children >= 0]
    is_tree = np.array_equal(np.sort(inner), np.arange(1, n_nodes)) and np.array_equal(
        np.sort(~children[children < 0]), np.arange(n_leaves)
    )
    if not is_tree or ((children >= 0) & (children <= np.arange(n_nodes))).any():
        raise ValueError("a tree has a node whose child is not after it")
    features = _whole(lines, "split_feature", n_nodes)
    kinds = _whole(lines, "decision_type", n_nodes)
    # Beyond infinity are gaps alone.
    pattern = f"{_NUMBER}|-?inf"
    thresholds = np.array(_tokens(lines, "threshold", n_nodes, pattern), dtype=np.float64)
    if ((features < 0) | (features >= n_features)).any():
        raise ValueError("a tree splits by a feature that is not there")
    # A bit says that it splits by categories, one where gaps go, two what a gap is.
    if ((kinds < 0) | (kinds > 11)).any():
        raise ValueError("a tree splits in an odd way")
    if not np.isin(thresholds[kinds & 1 == 1], np.arange(n_sets)).all():
        raise ValueError("a tree splits by categories that it does not have")
    _check_sets(lines, n_sets)


def _check_sets(lines: Lines, n_sets: int) -> None:
    if not n_sets:
        if "cat_boundaries" in lines or "cat_threshold" in lines:
            raise ValueError("a tree has categories that it does not count")
        return
    bounds = _whole(lines, "cat_boundaries", n_sets + 1)
    words = _whole(lines, "cat_threshold", int(bounds[-1]))
    if bounds[0] != 0 or (np.diff(bounds) < 1).any() or ((words < 0) | (words >= 2**32)).any():
        raise ValueError("a tree has odd sets of categories")


def _tokens(lines: Lines, name: str, count: int, pattern: str) -> list[str]:
    line = lines.get(name, "")
    tokens = line.split(" ")
    if len(tokens) != count or not re.fullmatch(f"({pattern})( ({pattern}))*", line):
        raise ValueError(f"a tree has an odd {name}")
    return tokens


def _whole(lines: Lines, name: str, count: int) -> np.ndarray:
    return np.array(_tokens(lines, name, count, "-?[0-9]{1,10}"), dtype=np.int64)


def _floats(lines: Lines, name: str, count: int) -> np.ndarray:
    numbers = np.array(_tokens(lines, name, count, _NUMBER), dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"a tree has an odd {name}")
    return numbers
