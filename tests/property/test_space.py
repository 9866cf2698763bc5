"""Whatever a definition allows, what a trial chooses is accepted down to the fit."""

from __future__ import annotations

import warnings

import numpy as np
import optuna
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from sklearn.exceptions import ConvergenceWarning

from hpo.errors import DefinitionError
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION, LogisticRegressionSpace
from hpo.estimators.recipe import TrainingShape
from hpo.estimators.space import SearchedSpace
from tests.property.strategies import search_spaces

optuna.logging.set_verbosity(optuna.logging.WARNING)

spaces = search_spaces().map(LogisticRegressionSpace.model_validate)
seeds = st.integers(0, 2**32 - 1)
X = np.random.default_rng(0).normal(size=(12, 2))


def ask(seed: int, fixed: dict | None = None) -> optuna.Trial:
    study = optuna.create_study(sampler=RandomSampler(seed=seed))
    if fixed is not None:
        study.enqueue_trial(fixed)
    return study.ask()


def searched(space: LogisticRegressionSpace) -> SearchedSpace:
    shape = TrainingShape(12, 2, 2, 24, is_sparse=False)
    return SearchedSpace(LOGISTIC_REGRESSION, space, shape, seed=0)


def is_able(space: LogisticRegressionSpace, n_classes: int) -> bool:
    try:
        LOGISTIC_REGRESSION.check(space, n_classes)
    except DefinitionError:
        return False
    return True


@given(spaces, seeds, st.sampled_from([2, 3]), st.sampled_from([1, 200]))
def test_suggested_params_can_be_fitted(space, seed, n_classes, n_features):
    assume(is_able(space, n_classes))
    shape = TrainingShape(12, n_features, n_classes, 12 * n_features, is_sparse=False)
    params = searched(space).suggest(ask(seed))
    complete = LOGISTIC_REGRESSION.derive(params, shape, seed)
    assert params.items() <= complete.items()
    assert complete.keys() >= {"solver", "max_iter", "tol", "random_state"}
    few_steps = {**complete, "max_iter": min(complete["max_iter"], 3)}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # three steps are not meant to be enough
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # nor is every C in the space meant to be a good one
        classifier = LOGISTIC_REGRESSION.build(few_steps).fit(X, np.arange(12) % n_classes)
    assert classifier.coef_.shape[1] == 2
    LOGISTIC_REGRESSION.build(complete)


@given(spaces, seeds)
def test_replay_of_what_was_chosen_gives_the_same_params(space, seed):
    trial = ask(seed)
    params = searched(space).suggest(trial)
    assert searched(space).replay(trial.params) == searched(space).complete(params)


@given(spaces, seeds)
def test_asking_twice_with_one_seed_gives_the_same_params(space, seed):
    assert searched(space).suggest(ask(seed)) == searched(space).suggest(ask(seed))


# About one space in eight holds every default.
@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(spaces, seeds)
def test_trial_that_is_given_the_baseline_has_the_defaults(space, seed):
    fixed = searched(space).baseline()
    assume(fixed is not None)
    params = searched(space).suggest(ask(seed, fixed))
    assert (params["C"], params["penalty"], params["class_weight"]) == (1.0, "l2", "none")


@given(spaces, seeds)
def test_only_what_applies_is_chosen(space, seed):
    params = searched(space).suggest(ask(seed))
    assert ("C" in params) == (params["penalty"] != "none")
    assert ("l1_ratio" in params) == (params["penalty"] == "elasticnet")
