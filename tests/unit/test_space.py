"""What a trial is asked, and what trial 0 is given."""

from __future__ import annotations

import pytest
from optuna import create_study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from hpo.definition import Range, SearchSpace
from hpo.estimators.space import baseline, replay, suggest


def test_every_kind_of_entry_becomes_its_distribution():
    space = SearchSpace(
        C=Range(low=0.1, high=10, log=True),
        penalty=("elasticnet",),
        l1_ratio=Range(low=0.2, high=0.8),
        max_iter=Range(low=5, high=9),
    )
    trial = create_study().ask()
    suggest(space, trial)
    assert trial.distributions == {
        "C": FloatDistribution(0.1, 10, log=True),
        "penalty": CategoricalDistribution(("elasticnet",)),
        "l1_ratio": FloatDistribution(0.2, 0.8),
        "class_weight": CategoricalDistribution(("none", "balanced")),
        "max_iter": IntDistribution(5, 9),
    }


def test_fixed_entry_is_in_the_params_but_not_asked():
    trial = create_study().ask()
    params = suggest(SearchSpace(C=2.0, penalty="l2", class_weight="none", tol=1e-5), trial)
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
    space = SearchSpace(penalty=("none", "l2", "l1", "elasticnet"))
    trial = FixedTrial({"penalty": penalty, "C": 1.0, "l1_ratio": 0.5, "class_weight": "none"})
    assert set(suggest(space, trial)) == asked
    assert set(trial.distributions) == asked


def test_what_is_derived_is_absent():
    assert {"solver", "max_iter", "tol"}.isdisjoint(suggest(SearchSpace(), create_study().ask()))


@pytest.mark.parametrize(
    ("space", "given"),
    [
        (SearchSpace(), {"C": 1.0, "penalty": "l2", "class_weight": "none"}),
        (SearchSpace(penalty="l2"), {"C": 1.0, "class_weight": "none"}),
        (SearchSpace(C=1.0, penalty="l2", class_weight="none"), {}),
        (SearchSpace(C=Range(low=1, high=2)), {"C": 1.0, "penalty": "l2", "class_weight": "none"}),
        (SearchSpace(C=Range(low=2, high=3)), None),
        (SearchSpace(C=(0.1, 10.0)), None),
        (SearchSpace(penalty=("l1", "elasticnet")), None),
        (SearchSpace(class_weight="balanced"), None),
    ],
)
def test_baseline_is_the_defaults_where_the_space_holds_them(space, given):
    assert baseline(space) == given


def test_replay_completes_chosen_params_with_fixed_ones():
    space = SearchSpace(penalty="l2", tol=1e-5)
    assert replay(space, {"C": 3.0, "class_weight": "balanced"}) == {
        "penalty": "l2", "C": 3.0, "class_weight": "balanced", "tol": 1e-5,
    }  # fmt: skip


def test_replay_refuses_params_of_another_space():
    with pytest.raises(ValueError, match="'class_weight' is not found"):
        replay(SearchSpace(penalty="l2"), {"C": 3.0})
