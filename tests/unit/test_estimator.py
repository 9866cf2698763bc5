"""The one recipe: params to scikit-learn's estimator."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hpo.columns import Columns
from hpo.definition import PreprocessingSection, SearchSpace
from hpo.errors import DefinitionError
from hpo.estimator import TrainingShape, build_classifier, build_pipeline, check_solvers, derive_params


def dense(n_samples: int = 120, n_features: int = 4, n_classes: int = 3) -> TrainingShape:
    return TrainingShape(n_samples, n_features, n_classes, n_values=n_samples * n_features, is_sparse=False)


def derive(penalty: str, *, n_samples: int = 120, n_features: int = 4, n_classes: int = 3, seed: int = 0, **params: object) -> dict:
    params = {"penalty": penalty, "C": 1.0, "class_weight": "none", **params}
    return derive_params(params, dense(n_samples, n_features, n_classes), seed=seed)


@pytest.mark.parametrize(
    ("penalty", "n_classes", "n_features", "solver"),
    [
        ("l2", 2, 4, "newton-cholesky"),
        ("l2", 3, 4, "newton-cholesky"),
        ("l2", 2, 150, "newton-cholesky"),
        ("l2", 2, 151, "lbfgs"),
        ("l2", 3, 50, "newton-cholesky"),
        ("l2", 3, 51, "lbfgs"),
        ("none", 2, 4, "newton-cholesky"),
        ("none", 10, 64, "lbfgs"),
        ("l1", 2, 4, "liblinear"),
        ("l1", 3, 4, "saga"),
        ("elasticnet", 2, 4, "saga"),
        ("elasticnet", 3, 4, "saga"),
    ],
)
def test_solver_is_derived_from_penalty_and_shape(penalty, n_classes, n_features, solver):
    assert derive(penalty, n_classes=n_classes, n_features=n_features)["solver"] == solver


@pytest.mark.parametrize(
    ("n_samples", "n_features", "n_classes", "max_iter"),
    [(120, 4, 3, 1000), (1437, 64, 10, 217), (100_000, 100, 2, 100), (10_000, 64, 2, 312)],
)
def test_saga_gets_fewer_passes_on_a_larger_table(n_samples, n_features, n_classes, max_iter):
    params = derive("elasticnet", n_samples=n_samples, n_features=n_features, n_classes=n_classes)
    assert (params["max_iter"], params["tol"]) == (max_iter, 1e-3)


@pytest.mark.parametrize("given", [{"solver": "sag"}, {"max_iter": 7}, {"tol": 0.5}, {"random_state": 9}])
def test_what_is_given_stays(given):
    assert given.items() <= derive("l2", **given).items()


def test_params_are_complete_and_the_given_ones_unchanged():
    given = {"penalty": "l2", "C": 2.0, "class_weight": "balanced"}
    complete = derive_params(given, dense(10, 2, 2), seed=5)
    derived = {"solver": "newton-cholesky", "max_iter": 1000, "tol": 1e-4, "random_state": 5}
    assert complete == {"penalty": "l2", "C": 2.0, "class_weight": "balanced", **derived}
    assert set(given) == {"penalty", "C", "class_weight"}


@pytest.mark.parametrize(
    ("params", "C", "l1_ratio"),
    [
        ({"penalty": "none", "class_weight": "none"}, math.inf, 0.0),
        ({"penalty": "l2", "C": 3.0, "class_weight": "none"}, 3.0, 0.0),
        ({"penalty": "l1", "C": 3.0, "class_weight": "none"}, 3.0, 1.0),
        ({"penalty": "elasticnet", "C": 3.0, "l1_ratio": 0.3, "class_weight": "none"}, 3.0, 0.3),
    ],
)
def test_penalty_in_the_words_of_scikit_learn(params, C, l1_ratio):
    classifier = build_classifier(derive_params(params, dense(), seed=0))
    assert (classifier.C, classifier.l1_ratio, classifier.class_weight) == (C, l1_ratio, None)


def test_every_other_param_reaches_the_classifier():
    classifier = build_classifier(derive("l2", class_weight="balanced", solver="sag", max_iter=7, tol=0.5, seed=9))
    expected = {"class_weight": "balanced", "solver": "sag", "max_iter": 7, "tol": 0.5, "random_state": 9}
    assert expected.items() <= classifier.get_params().items()


def test_defaults_are_those_of_scikit_learn_to_the_solvers_tolerance():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.repeat([0, 1, 2], 20)
    ours = build_classifier(derive("l2", tol=1e-10)).fit(X, y)
    theirs = LogisticRegression(tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


def test_pipeline_scales_then_classifies():
    columns, section = Columns(numeric=("a", "b")), PreprocessingSection()
    preprocessing, classifier = build_pipeline(columns, section, derive("l1")).named_steps.values()
    table = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [5.0, 5.0, 9.0]})
    np.testing.assert_array_equal(preprocessing.fit_transform(table), StandardScaler().fit_transform(table))
    assert classifier.get_params() == build_classifier(derive("l1")).get_params()


def test_liblinear_is_refused_with_three_classes_before_any_fit():
    space = SearchSpace(penalty=("l1", "l2"), solver=("liblinear", "saga"))
    with pytest.raises(DefinitionError, match=r"search_space\.solver: liblinear should be used with 2 classes, but got 3"):
        check_solvers(space, n_classes=3)
    check_solvers(space, n_classes=2)
    check_solvers(SearchSpace(), n_classes=3)
