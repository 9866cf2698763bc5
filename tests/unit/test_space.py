"""What a trial is asked, and what trial 0 is given."""

from __future__ import annotations

import pytest
from optuna import create_study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION, LogisticRegressionSpace
from hpo.estimators.recipe import TrainingShape
from hpo.estimators.space import SearchedSpace
from hpo.search_space import Range


def searched(space: LogisticRegressionSpace) -> SearchedSpace:
    shape = TrainingShape(120, 4, 3, 480, is_sparse=False)
    return SearchedSpace(LOGISTIC_REGRESSION, space, shape, seed=0)


def test_every_kind_of_entry_becomes_its_distribution():
    space = LogisticRegressionSpace(
        C=Range(low=0.1, high=10, log=True),
        penalty=("elasticnet",),
        l1_ratio=Range(low=0.2, high=0.8),
        max_iter=Range(low=5, high=9),
    )
    trial = create_study().ask()
    searched(space).suggest(trial)
    assert trial.distributions == {
        "C": FloatDistribution(0.1, 10, log=True),
        "penalty": CategoricalDistribution(("elasticnet",)),
        "l1_ratio": FloatDistribution(0.2, 0.8),
        "class_weight": CategoricalDistribution(("none", "balanced")),
        "max_iter": IntDistribution(5, 9),
    }


def test_fixed_entry_is_in_the_params_but_not_asked():
    trial = create_study().ask()
    params = searched(
        LogisticRegressionSpace(C=2.0, penalty="l2", class_weight="none", tol=1e-5)
    ).suggest(trial)
    assert params == {"C": 2.0, "penalty": "l2", "class_weight": "none", "tol": 1e-5}
    assert trial.params == {}


@pytest.mark.parametrize(
    ("penalty", "asked"),
    [
        ("none", {"penalty", "class_weight"}),
        ("l2", {"penalty", "C", "class_weight"}),
        ("l1", {"penalty", "C", "class_weight"}),
        ("elasticnet", {"penalty", "C", "l1_ratio", "class_weight"}),
    ],
)
def test_only_what_applies_is_asked(penalty, asked):
    space = LogisticRegressionSpace(penalty=("none", "l2", "l1", "elasticnet"))
    trial = FixedTrial({"penalty": penalty, "C": 1.0, "l1_ratio": 0.5, "class_weight": "none"})
    assert set(searched(space).suggest(trial)) == asked
    assert set(trial.distributions) == asked


def test_what_is_derived_is_absent():
    assert {"solver", "max_iter", "tol"}.isdisjoint(
        searched(LogisticRegressionSpace()).suggest(create_study().ask())
    )


@pytest.mark.parametrize(
    ("space", "given"),
    [
        (LogisticRegressionSpace(), {"C": 1.0, "penalty": "l2", "class_weight": "none"}),
        (LogisticRegressionSpace(penalty="l2"), {"C": 1.0, "class_weight": "none"}),
        (LogisticRegressionSpace(C=1.0, penalty="l2", class_weight="none"), {}),
        (
            LogisticRegressionSpace(C=Range(low=1, high=2)),
            {"C": 1.0, "penalty": "l2", "class_weight": "none"},
        ),
        (LogisticRegressionSpace(C=Range(low=2, high=3)), None),
        (LogisticRegressionSpace(C=(0.1, 10.0)), None),
        (LogisticRegressionSpace(penalty=("l1", "elasticnet")), None),
        (LogisticRegressionSpace(class_weight="balanced"), None),
    ],
)
def test_baseline_is_the_defaults_where_the_space_holds_them(space, given):
    assert searched(space).baseline() == given


def test_replay_completes_chosen_params_with_fixed_and_derived_ones():
    space = LogisticRegressionSpace(penalty="l2", tol=1e-5)
    assert searched(space).replay({"C": 3.0, "class_weight": "balanced"}) == {
        "penalty": "l2",
        "C": 3.0,
        "class_weight": "balanced",
        "tol": 1e-5,
        "solver": "newton-cholesky",
        "max_iter": 1000,
        "random_state": 0,
    }


def test_replay_refuses_params_of_another_space():
    with pytest.raises(ValueError, match="'class_weight' is not found"):
        searched(LogisticRegressionSpace(penalty="l2")).replay({"C": 3.0})
