"""Checks of trees from a file, before they are made and before their first prediction.

Predicting follows a tree's node arrays in compiled code without a look at their bounds, so skops
trusts no fitted tree. What is checked here: every child comes after its parent, so that there is no
cycle, and children, features and bitsets lie within their arrays.
"""

import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.tree._tree import Tree

from hpo.errors import ModelError


def check_trees(model: Any) -> None:
    """Check a tree, or the trees of an ensemble.

    Raises:
        ValueError: One would be read out of bounds.
    """
    is_tree = hasattr(model, "tree_")
    members = [model] if is_tree else np.ravel(np.asarray(model.estimators_, dtype=object))
    for member in members:
        # Bagging gives a tree some of the columns.
        if not 0 < member.n_features_in_ <= model.n_features_in_:
            raise ValueError("a tree has features that its model does not have")
        _check_tree(member.tree_, int(member.n_features_in_))


def check_gradient_boosting(model: Any) -> None:
    """Check the trees of gradient boosting, and that there is room for what they add up.

    Raises:
        ValueError: One would be read out of bounds, or written.
    """
    check_trees(model)
    row = np.zeros((1, int(model.n_features_in_)), dtype=np.float32)
    sums = model._raw_predict_init(row)  # noqa: SLF001 - no public name
    if model.estimators_.ndim != 2 or model.estimators_.shape[1] != sums.shape[1]:
        raise ValueError("an iteration has another number of trees")


def _check_tree(tree: Any, n_features: int) -> None:
    if type(tree) is not Tree:
        raise ValueError("a tree is none of scikit-learn's")
    # Beyond its capacity a tree reads what is not its own; its state is such a reading.
    if not 0 < tree.node_count <= tree.capacity:
        raise ValueError("a tree counts nodes that it does not have")
    nodes = tree.__getstate__()["nodes"]
    left, right = nodes["left_child"], nodes["right_child"]
    is_leaf = left == -1
    _check_nodes(is_leaf, left, right, nodes["feature"], n_features)
    if (right[is_leaf] != -1).any():
        raise ValueError("a tree has a leaf with a child")


def check_boosted(model: Any) -> None:
    """Check the trees of histogram gradient boosting.

    Raises:
        ValueError: One would be read out of bounds.
    """
    mapper = model._bin_mapper  # noqa: SLF001 - it has no public name
    n_features = int(mapper.n_features_in_) if hasattr(mapper, "n_features_in_") else 0
    n_features = n_features or len(mapper.bin_thresholds_)
    is_categorical = np.asarray(mapper.is_categorical_, dtype=bool)
    if len(is_categorical) != n_features or int(model._n_features) != n_features:  # noqa: SLF001
        raise ValueError("its trees and its bins have other features")
    for tree in _iter_boosted(model):
        nodes, bitsets = tree.nodes, np.asarray(tree.raw_left_cat_bitsets)
        if len(nodes) == 0:
            raise ValueError("a tree has no node")
        is_leaf = nodes["is_leaf"].astype(bool)
        _check_nodes(is_leaf, nodes["left"], nodes["right"], nodes["feature_idx"], n_features)
        by_category = ~is_leaf & nodes["is_categorical"].astype(bool)
        if not by_category.any():
            continue
        is_known = bitsets.dtype == np.uint32 and bitsets.ndim == 2 and bitsets.shape[1] == 8
        if not is_known or (nodes["bitset_idx"][by_category] >= len(bitsets)).any():
            raise ValueError("a tree splits by categories that it does not have")
        if not is_categorical[nodes["feature_idx"][by_category]].all():
            raise ValueError("a tree splits a number by categories")


def _iter_boosted(model: Any) -> Iterator[Any]:
    for iteration in model._predictors:  # noqa: SLF001 - they have no public name
        if len(iteration) != model.n_trees_per_iteration_:
            raise ValueError("an iteration has another number of trees")
        yield from iteration


def _check_nodes(
    is_leaf: np.ndarray, left: np.ndarray, right: np.ndarray, feature: np.ndarray, n_features: int
) -> None:
    """Check what a walk from the root reads at each node."""
    parents = np.flatnonzero(~is_leaf)
    for child in (left, right):
        of_parent = child[parents].astype(np.int64)
        if ((of_parent <= parents) | (of_parent >= len(is_leaf))).any():
            raise ValueError("a tree has a node whose child is not after it")
    of_parent = feature[parents].astype(np.int64)
    if ((of_parent < 0) | (of_parent >= n_features)).any():
        raise ValueError("a tree splits by a feature that is not there")


def check_tree_node(node: dict[str, Any], archive: zipfile.ZipFile) -> None:
    """Refuse a tree whose arrays would be read out of bounds while it is made.

    Raises:
        ModelError: It has more than one output, or arrays of other shapes.
    """
    _, classes, n_outputs = node["__reduce__"]["args"]["content"]
    state = node["content"]["content"]
    shapes = [_shape(each, archive) for each in (classes, state["nodes"], state["values"])]
    is_whole = shapes[0] == (1,) and [len(shape) for shape in shapes] == [1, 1, 3]
    if not is_whole or (n_outputs["__loader__"], n_outputs["content"]) != ("JsonNode", "1"):
        raise ModelError(
            "model: a tree should have one output and arrays of its own",
            hint="nothing of it was run",
        )


def _shape(node: dict[str, Any], archive: zipfile.ZipFile) -> tuple[int, ...]:
    """The shape of an array, from the head of its member."""
    if (node["__loader__"], node["type"]) != ("NdArrayNode", "numpy"):
        return ()
    with archive.open(node["file"]) as member:
        np.lib.format.read_magic(member)
        shape: tuple[int, ...] = np.lib.format.read_array_header_1_0(member)[0]
    return shape
