"""The recipe of logistic regression: params to scikit-learn's estimator."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hpo.data.columns import Columns
from hpo.definition import PreprocessingSection
from hpo.errors import DefinitionError
from hpo.estimators.final_model import build_pipeline
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION, LogisticRegressionSpace
from hpo.estimators.logistic_regression_rules import (
    MAX_LBFGSB_CELLS,
    MAX_LIBLINEAR_CELLS,
    MAX_SAGA_CELLS,
)
from hpo.estimators.recipe import TrainingShape
from hpo.estimators.space import leave_out_costly


def dense(n_samples: int = 120, n_features: int = 4, n_classes: int = 3) -> TrainingShape:
    return TrainingShape(
        n_samples, n_features, n_classes, n_values=n_samples * n_features, is_sparse=False
    )


def derive(
    penalty: str,
    *,
    n_samples: int = 120,
    n_features: int = 4,
    n_classes: int = 3,
    seed: int = 0,
    rule: int = 2,
    **params: object,
) -> dict:
    params = {"penalty": penalty, "C": 1.0, "class_weight": "none", **params}
    shape = dense(n_samples, n_features, n_classes)
    return LOGISTIC_REGRESSION.of_rule(rule).derive(params, shape, seed)


@pytest.mark.parametrize(
    ("penalty", "n_classes", "n_features", "solver"),
    [
        ("l2", 2, 4, "newton-cholesky"),
        ("l2", 3, 4, "newton-cholesky"),
        ("l2", 2, 500, "newton-cholesky"),
        ("l2", 2, 501, "newton-cg"),
        ("l2", 5, 100, "newton-cholesky"),
        ("l2", 10, 64, "newton-cg"),
        ("none", 2, 4, "newton-cholesky"),
        ("none", 10, 64, "newton-cg"),
        ("l1", 2, 4, "proximal-newton"),
        ("l1", 3, 4, "proximal-newton"),
        ("elasticnet", 2, 1000, "proximal-newton"),
        ("elasticnet", 2, 1001, "lbfgs-b"),
        ("elasticnet", 10, 64, "proximal-newton"),
        ("elasticnet", 10, 101, "lbfgs-b"),
    ],
)
def test_solver_is_derived_from_penalty_and_shape(penalty, n_classes, n_features, solver):
    assert derive(penalty, n_classes=n_classes, n_features=n_features)["solver"] == solver


@pytest.mark.parametrize(("penalty", "solver"), [("l2", "newton-cg"), ("l1", "lbfgs-b")])
def test_no_hessian_is_made_that_takes_a_second(penalty, solver):
    assert derive(penalty, n_samples=100_000, n_features=100, n_classes=5)["solver"] == solver


@pytest.mark.parametrize(
    ("penalty", "n_classes", "n_features", "solver"),
    [
        ("l2", 2, 150, "newton-cholesky"),
        ("l2", 2, 151, "lbfgs"),
        ("l2", 3, 51, "lbfgs"),
        ("none", 10, 64, "lbfgs"),
        ("l1", 2, 4, "liblinear"),
        ("l1", 3, 4, "saga"),
        ("elasticnet", 2, 4, "saga"),
    ],
)
def test_the_first_rule_is_what_it_was(penalty, n_classes, n_features, solver):
    params = derive(penalty, n_classes=n_classes, n_features=n_features, rule=1)
    tol = 1e-3 if solver == "saga" else 1e-4
    assert (params["solver"], params["max_iter"], params["tol"]) == (solver, 1000, tol)


@pytest.mark.parametrize("number", [0, 3])
def test_a_rule_that_is_not_there_is_refused(number):
    with pytest.raises(DefinitionError, match=r"estimator\.rule: should be at most 2 for Logistic"):
        LOGISTIC_REGRESSION.of_rule(number)


@pytest.mark.parametrize(
    ("n_samples", "n_features", "n_classes", "max_iter"),
    [(120, 4, 3, 1000), (1437, 64, 10, 217), (100_000, 100, 2, 100), (10_000, 64, 2, 312)],
)
def test_saga_of_the_first_rule_gets_fewer_passes_on_a_larger_table(
    n_samples, n_features, n_classes, max_iter
):
    params = derive(
        "elasticnet", n_samples=n_samples, n_features=n_features, n_classes=n_classes, rule=1
    )
    assert (params["max_iter"], params["tol"]) == (max_iter, 1e-3)


@pytest.mark.parametrize(
    "given", [{"solver": "sag"}, {"max_iter": 7}, {"tol": 0.5}, {"random_state": 9}]
)
def test_what_is_given_stays(given):
    assert given.items() <= derive("l2", **given).items()


def test_params_are_complete_and_the_given_ones_unchanged():
    given = {"penalty": "l2", "C": 2.0, "class_weight": "balanced"}
    complete = LOGISTIC_REGRESSION.derive(given, dense(10, 2, 2), 5)
    derived = {"solver": "newton-cholesky", "max_iter": 1000, "tol": 7e-8, "random_state": 5}
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
    classifier = LOGISTIC_REGRESSION.build(LOGISTIC_REGRESSION.derive(params, dense(), 0))
    assert (classifier.C, classifier.l1_ratio, classifier.class_weight) == (C, l1_ratio, None)


def test_every_other_param_reaches_the_classifier():
    classifier = LOGISTIC_REGRESSION.build(
        derive("l2", class_weight="balanced", solver="sag", max_iter=7, tol=0.5, seed=9)
    )
    expected = {
        "class_weight": "balanced",
        "solver": "sag",
        "max_iter": 7,
        "tol": 0.5,
        "random_state": 9,
    }
    assert expected.items() <= classifier.get_params().items()


def test_defaults_are_those_of_scikit_learn_to_the_solvers_tolerance():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.repeat([0, 1, 2], 20)
    ours = LOGISTIC_REGRESSION.build(derive("l2", tol=1e-10)).fit(X, y)
    theirs = LogisticRegression(tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


def test_pipeline_scales_then_classifies():
    columns, section = Columns(numeric=("a", "b")), PreprocessingSection()
    preprocessing, classifier = build_pipeline(
        LOGISTIC_REGRESSION, columns, section, derive("l1")
    ).named_steps.values()
    table = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [5.0, 5.0, 9.0]})
    np.testing.assert_array_equal(
        preprocessing.fit_transform(table), StandardScaler().fit_transform(table)
    )
    assert classifier.get_params() == LOGISTIC_REGRESSION.build(derive("l1")).get_params()


def test_liblinear_is_refused_with_three_classes_before_any_fit():
    space = LogisticRegressionSpace(penalty=("l1", "l2"), solver=("liblinear", "saga"))
    with pytest.raises(
        DefinitionError,
        match=r"search_space\.solver: liblinear should be used with 2 classes, but got 3",
    ):
        LOGISTIC_REGRESSION.check(space, 3)
    LOGISTIC_REGRESSION.check(space, 2)
    LOGISTIC_REGRESSION.check(LogisticRegressionSpace(), 3)


# Shapes.


def sparse(
    n_values: int, *, n_samples: int = 1000, n_features: int = 20, n_classes: int = 2
) -> TrainingShape:
    return TrainingShape(n_samples, n_features, n_classes, n_values, is_sparse=True)


def test_cells_are_stored_values_times_outputs():
    assert sparse(500).n_cells == 500
    assert sparse(500, n_classes=3).n_cells == 1500
    assert dense(10, 4, 2).n_cells == 40


@pytest.mark.parametrize(
    ("rule", "solvers"),
    [
        (1, ["lbfgs", "lbfgs", "liblinear", "saga"]),
        (2, ["proximal-newton", "newton-cholesky", "proximal-newton", "proximal-newton"]),
    ],
)
def test_solvers_of_sparse_rows(rule, solvers):
    recipe = LOGISTIC_REGRESSION.of_rule(rule)
    params = {"C": 1.0, "class_weight": "none"}
    penalties = ["l2", "none", "l1", "elasticnet"]
    derived = [recipe.derive({**params, "penalty": name}, sparse(100), 0) for name in penalties]
    assert [each["solver"] for each in derived] == solvers


@pytest.mark.parametrize(
    ("rule", "n_values", "n_classes", "n_features", "kept"),
    [
        (1, int(MAX_SAGA_CELLS), 2, 10, ("l2", "l1", "elasticnet")),
        (1, int(MAX_SAGA_CELLS) + 1, 2, 10, ("l2", "l1")),
        (1, int(MAX_LIBLINEAR_CELLS), 2, 10, ("l2", "l1")),
        (1, int(MAX_LIBLINEAR_CELLS) + 1, 2, 10, ("l2",)),
        (1, int(MAX_SAGA_CELLS) // 3, 3, 10, ("l2", "l1", "elasticnet")),
        (1, int(MAX_SAGA_CELLS) // 3 + 1, 3, 10, ("l2",)),
        (2, 10**7, 2, 10, ("l2", "l1", "elasticnet")),
        (2, int(MAX_LBFGSB_CELLS), 2, 1001, ("l2", "l1", "elasticnet")),
        (2, int(MAX_LBFGSB_CELLS) + 1, 2, 1001, ("l2",)),
    ],
)
@pytest.mark.parametrize("is_sparse", [False, True])
def test_default_space_leaves_slow_penalties_out_by_shape_and_says_so(
    rule, n_values, n_classes, n_features, kept, is_sparse
):
    space, notes = leave_out_costly(
        LOGISTIC_REGRESSION.of_rule(rule),
        LogisticRegressionSpace(C=2.0),
        TrainingShape(n_values // 10, n_features, n_classes, n_values, is_sparse),
    )
    assert space == LogisticRegressionSpace(C=2.0, penalty=kept)
    left_out = [penalty for penalty in ("l2", "l1", "elasticnet") if penalty not in kept]
    start = f"penalty {' and '.join(left_out)} left out: "
    assert [note[: len(start)] for note in notes] == ([start] if left_out else [])


@pytest.mark.parametrize(
    "penalty", ["elasticnet", ("l2", "l1", "elasticnet"), ("elasticnet", "l1")]
)
def test_named_penalty_is_never_left_out(penalty):
    space = LogisticRegressionSpace(penalty=penalty)
    assert leave_out_costly(LOGISTIC_REGRESSION, space, sparse(10**12, n_classes=10)) == (space, [])
