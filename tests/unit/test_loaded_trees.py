"""Trees from a file are checked before their first prediction, which reads without bounds."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestRegressor,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, SVR, NuSVC, NuSVR
from sklearn.tree import DecisionTreeClassifier

from hpo.estimators.kernels import check_neighbors, check_support_vectors
from hpo.estimators.loaded_trees import check_boosted, check_gradient_boosting, check_trees

RNG = np.random.default_rng(0)
X = np.column_stack([RNG.normal(size=(200, 3)), RNG.integers(0, 6, 200)])
y = (X[:, 0] + (X[:, 3] > 2) > 0.5).astype(int)
N_FUZZED = 300


@pytest.fixture(scope="module")
def forest() -> RandomForestRegressor:
    return RandomForestRegressor(5, random_state=0).fit(X, X[:, 0])


@pytest.fixture(scope="module")
def boosted() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=10, categorical_features=[3]).fit(X, y)


def test_what_was_fitted_is_taken(forest: Any, boosted: Any) -> None:
    check_trees(forest)
    check_boosted(boosted)
    check_trees(DecisionTreeClassifier().fit(X, y))
    check_trees(AdaBoostClassifier(n_estimators=3).fit(X, y))
    check_trees(BaggingRegressor(n_estimators=3, max_features=0.5, random_state=0).fit(X, y))
    check_gradient_boosting(GradientBoostingClassifier(n_estimators=3).fit(X, y))
    check_gradient_boosting(GradientBoostingClassifier(n_estimators=3).fit(X, X[:, 3]))
    for kind in (SVC, SVR, NuSVC, NuSVR):
        check_support_vectors(kind().fit(X, y))
    check_neighbors(KNeighborsClassifier(algorithm="brute").fit(X, y))


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("left_child", 10**6, "whose child is not after it"),
        ("right_child", 0, "whose child is not after it"),
        ("left_child", -2, "whose child is not after it"),
        ("feature", 4, "a feature that is not there"),
        ("feature", -3, "a feature that is not there"),
    ],
)
def test_tree_of_a_forest_that_leads_astray_is_refused(
    forest: Any, field: str, value: int, line: str
) -> None:
    broken = copy.deepcopy(forest)
    tree = broken.estimators_[2].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    with pytest.raises(ValueError, match=line):
        check_trees(broken)


def test_tree_that_counts_more_nodes_than_it_has_is_refused_before_it_is_read(forest: Any) -> None:
    for count in (2**40, 0, -1):
        broken = copy.deepcopy(forest)
        broken.estimators_[2].tree_.node_count = count
        with pytest.raises(ValueError, match="counts nodes that it does not have"):
            check_trees(broken)


def test_tree_that_is_none_or_has_more_features_is_refused(forest: Any) -> None:
    broken = copy.deepcopy(forest)
    broken.estimators_[2].tree_ = broken.estimators_[1]
    with pytest.raises(ValueError, match="a tree is none of scikit-learn's"):
        check_trees(broken)
    broken = copy.deepcopy(forest)
    broken.estimators_[2].n_features_in_ = 5
    with pytest.raises(ValueError, match="features that its model does not have"):
        check_trees(broken)


def test_gradient_boosting_without_room_for_its_trees_is_refused() -> None:
    model = GradientBoostingClassifier(n_estimators=2).fit(X, X[:, 3])
    for change in (lambda trees: np.hstack([trees, trees]), lambda trees: trees[:, :2]):
        broken = copy.deepcopy(model)
        broken.estimators_ = change(broken.estimators_)
        with pytest.raises(ValueError, match="an iteration has another number of trees"):
            check_gradient_boosting(broken)


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("left", 0, "whose child is not after it"),
        ("right", 2**31, "whose child is not after it"),
        ("feature_idx", 4, "a feature that is not there"),
        ("feature_idx", -1, "a feature that is not there"),
    ],
)
def test_boosted_tree_that_leads_astray_is_refused(
    boosted: Any, field: str, value: int, line: str
) -> None:
    broken = copy.deepcopy(boosted)
    broken._predictors[3][0].nodes[field][0] = value
    with pytest.raises(ValueError, match=line):
        check_boosted(broken)


def test_categories_of_a_boosted_tree_stay_within_its_bitsets(boosted: Any) -> None:
    broken = copy.deepcopy(boosted)
    tree = next(
        tree for trees in broken._predictors for tree in trees if tree.nodes["is_categorical"].any()
    )
    tree.nodes["bitset_idx"] = 1000
    with pytest.raises(ValueError, match="splits by categories that it does not have"):
        check_boosted(broken)
    broken = copy.deepcopy(boosted)
    nodes = broken._predictors[0][0].nodes
    nodes["is_categorical"] = 1
    nodes["feature_idx"] = 1  # categories are the first, whatever column they were
    broken._predictors[0][0].raw_left_cat_bitsets = np.zeros((1, 8), dtype=np.uint32)
    with pytest.raises(ValueError, match="splits a number by categories"):
        check_boosted(broken)


def test_fuzzed_nodes_are_refused_or_predict(boosted: Any) -> None:
    """A tree that passes the check predicts without harm: this process would end otherwise."""
    rng = np.random.default_rng(1)
    n_passed = 0
    for _ in range(N_FUZZED):
        broken = copy.deepcopy(boosted)
        nodes = broken._predictors[rng.integers(10)][0].nodes
        raw = nodes.view(np.uint8).reshape(len(nodes), -1)
        raw[rng.integers(len(raw)), rng.integers(raw.shape[1])] = rng.integers(256)
        try:
            check_boosted(broken)
        except ValueError:
            continue
        broken.predict(X[:20])
        n_passed += 1
    assert 0 < n_passed < N_FUZZED


@pytest.mark.parametrize(
    ("attribute", "change"),
    [
        ("_n_support", lambda counts: counts * 100),
        ("support_vectors_", lambda rows: rows[:, :2]),
        ("_dual_coef_", lambda rows: rows[:, :1]),
        ("_intercept_", lambda values: values[:0]),
        ("_probA", lambda _: np.ones(1)),
        ("kernel", lambda _: "precomputed"),
        ("_impl", lambda name: name),
    ],
)
def test_support_vectors_that_do_not_fit_together_are_refused(attribute: str, change: Any) -> None:
    model = SVC().fit(X, y)
    setattr(model, attribute, change(getattr(model, attribute)))
    with pytest.raises(ValueError, match="its support vectors do not fit together"):
        check_support_vectors(model)


def test_neighbors_that_do_not_fit_together_are_refused() -> None:
    model = KNeighborsClassifier(algorithm="brute").fit(X, y)
    model._fit_X = model._fit_X[:, :2]
    with pytest.raises(ValueError, match="its rows do not fit together"):
        check_neighbors(model)
