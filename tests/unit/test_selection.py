"""Which trial is the best, and how many share its value."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.errors import NoCompletedTrialError
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.ledger.trials import (
    CONVERGED,
    FAILURE,
    SCORES,
    fold_scores,
    mean_and_std,
    mean_score,
    milliseconds,
)
from hpo.results.selection import count_states, count_ties, select_best

END = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def trial(
    number: int,
    value: float | None,
    log_loss: float | None = None,
    state: TrialState = TrialState.COMPLETE,
) -> FrozenTrial:
    attrs = (
        {}
        if log_loss is None
        else {SCORES: {"accuracy": [value], "neg_log_loss": [log_loss, log_loss]}}
    )
    local = END.astimezone().replace(tzinfo=None)
    return FrozenTrial(number, state, value, local, local, {}, {}, attrs, {}, {}, number + 100)


def best_number(*trials: FrozenTrial) -> int:
    return select_best(trials, recipe=LOGISTIC_REGRESSION).number


def test_greatest_value_wins():
    assert best_number(trial(0, 0.5), trial(1, 0.9), trial(2, 0.7)) == 1


def test_tie_goes_to_the_better_log_loss():
    assert (
        best_number(
            trial(0, 0.9, -0.3), trial(1, 0.9, -0.1), trial(2, 0.9, -0.2), trial(3, 0.8, -0.01)
        )
        == 1
    )


def test_tie_in_both_goes_to_the_earlier_trial_in_any_order():
    trials = [trial(n, 0.9, -0.1) for n in range(4)]
    assert best_number(*trials) == best_number(*reversed(trials)) == 0


@pytest.mark.parametrize("noise", [1e-16, -1e-16, 3e-14])
def test_float_noise_in_the_value_is_a_tie(noise):
    assert best_number(trial(0, 0.9, -0.3), trial(1, 0.9 + noise, -0.1)) == 1
    assert best_number(trial(0, 0.9 + noise, -0.1), trial(1, 0.9, -0.3)) == 0


def test_mean_in_another_order_of_summing_is_a_tie():
    scores = [0.1, 0.2, 0.3]
    one, two = sum(scores) / 3, sum(reversed(scores)) / 3
    assert one != two
    assert best_number(trial(0, max(one, two), -0.3), trial(1, min(one, two), -0.1)) == 1


def test_float_noise_in_the_log_loss_goes_to_the_earlier():
    assert best_number(trial(0, 0.9, -0.1), trial(1, 0.9, -0.1 + 1e-15)) == 0


def test_small_but_real_difference_counts():
    assert best_number(trial(0, 0.9, -0.1), trial(1, 0.9 + 1e-9, -0.3)) == 1


def test_trial_without_log_loss_loses_a_tie():
    assert best_number(trial(0, 0.9), trial(1, 0.9, -5.0)) == 1


@pytest.mark.parametrize(
    "state", [TrialState.FAIL, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING]
)
def test_only_completed_trials_are_chosen_from(state):
    value = 0.99 if state == TrialState.PRUNED else None
    assert best_number(trial(0, value, state=state), trial(1, 0.5)) == 1
    with pytest.raises(NoCompletedTrialError, match=r"^none of 1 trials completed$"):
        select_best([trial(0, value, state=state)], recipe=LOGISTIC_REGRESSION)


@pytest.mark.parametrize("rule", ["best", "one_standard_error"])
def test_nothing_to_choose_from(rule):
    with pytest.raises(NoCompletedTrialError, match=r"^none of 0 trials completed$") as caught:
        select_best([], rule, recipe=LOGISTIC_REGRESSION)
    assert caught.value.exit_code == 5


def test_nothing_to_choose_from_says_the_last_reason():
    trials = [
        create_trial(state=TrialState.FAIL, user_attrs={FAILURE: reason})
        for reason in ("ValueError: a", "ValueError: b")
    ]
    with pytest.raises(
        NoCompletedTrialError, match=r"^none of 2 trials completed; the last reason: ValueError: b$"
    ):
        select_best(trials, recipe=LOGISTIC_REGRESSION)


def test_value_counts_before_log_loss_before_age():
    assert (
        best_number(
            trial(5, 0.9, -0.1), trial(6, 0.9, -0.1), trial(0, 0.9, -0.2), trial(1, 0.8, 0.0)
        )
        == 5
    )


def chosen(number: int, value: float = 0.9, **params) -> FrozenTrial:
    """A trial with params, all of them tied with the others of that value."""
    made = trial(number, value, -0.1)
    made.user_attrs["hpo.derived"] = {"penalty": "l2", "class_weight": "none", **params}
    return made


@pytest.mark.parametrize(
    ("simpler", "other"),
    [
        ({"C": 0.1}, {"C": 0.2}),
        ({"C": 0.1}, {"C": 0.2, "penalty": "l1"}),
        ({"C": 1e9}, {"penalty": "none"}),
        ({"C": 1.0, "penalty": "l1"}, {"C": 1.0, "penalty": "elasticnet", "l1_ratio": 0.9}),
        (
            {"C": 1.0, "penalty": "elasticnet", "l1_ratio": 0.9},
            {"C": 1.0, "penalty": "elasticnet", "l1_ratio": 0.1},
        ),
        ({"C": 1.0, "penalty": "elasticnet", "l1_ratio": 0.1}, {"C": 1.0}),
        ({"C": 1.0}, {"C": 1.0, "class_weight": "balanced"}),
        ({"penalty": "none"}, {"penalty": "none", "class_weight": "balanced"}),
    ],
)
def test_full_tie_goes_to_the_simpler_model_then_to_the_earlier(simpler, other):
    assert best_number(chosen(0, **other), chosen(1, **simpler)) == 1
    assert best_number(chosen(0, **simpler), chosen(1, **other)) == 0
    assert best_number(chosen(0, **simpler), chosen(1, **simpler)) == 0


def test_value_and_log_loss_count_before_simplicity():
    assert best_number(chosen(0, 0.8, C=1e-4), chosen(1, 0.9, C=1e4)) == 1


def scored(number: int, *scores: float, **params) -> FrozenTrial:
    made = chosen(number, float(np.mean(scores)), **params)
    made.intermediate_values = dict(enumerate(scores))
    return made


def simplest_number(*trials: FrozenTrial, n_splits: int = 4) -> int:
    return select_best(
        trials, "one_standard_error", recipe=LOGISTIC_REGRESSION, n_splits=n_splits
    ).number


def test_one_standard_error_takes_the_simplest_within_it():
    top = scored(0, 0.8, 0.9, 0.9, 1.0, C=10.0)  # standard error 0.0408
    within, beyond = (
        scored(1, 0.86, 0.86, 0.86, 0.86, C=1.0),
        scored(2, 0.85, 0.85, 0.85, 0.85, C=0.1),
    )
    assert simplest_number(top, within, beyond) == 1
    assert best_number(top, within, beyond) == 0


def test_one_standard_error_keeps_the_highest_where_it_is_the_simplest_or_alone():
    top = scored(0, 0.8, 0.9, 0.9, 1.0, C=0.1)
    assert simplest_number(top, scored(1, 0.9, 0.9, 0.9, 0.89, C=1.0)) == 0
    assert simplest_number(top) == 0


def test_one_standard_error_of_equal_folds_takes_only_ties():
    top, other = scored(0, 0.9, 0.9, 0.9, 0.9, C=1.0), scored(1, 0.89, 0.89, 0.89, 0.89, C=0.1)
    assert simplest_number(top, other) == 0
    assert simplest_number(top, other, scored(2, 0.9, 0.9, 0.9, 0.9, C=0.5)) == 2


def test_repeats_do_not_shrink_the_standard_error():
    folds = (0.8, 0.9, 0.9, 1.0)
    within = scored(1, *(0.865,) * 20, C=1.0)
    assert simplest_number(scored(0, *folds * 5, C=10.0), within) == 1


def test_ties_are_what_paired_folds_cannot_tell_apart():
    top = scored(0, 0.80, 0.90, 0.95, 1.00, 0.85)
    shifted = scored(
        1, *(score - 0.01 for score in (0.80, 0.90, 0.95, 1.00, 0.85))
    )  # always below: no tie
    noisy = scored(2, 0.90, 0.80, 0.95, 0.90, 0.85)
    same = scored(3, 0.80, 0.90, 0.95, 1.00, 0.85)
    pruned = trial(4, 0.9, state=TrialState.PRUNED)
    assert (
        count_ties([top, shifted, noisy, same, pruned], recipe=LOGISTIC_REGRESSION, n_splits=5) == 3
    )
    assert count_ties([shifted, top], recipe=LOGISTIC_REGRESSION, n_splits=5) == 1


def test_ties_do_not_depend_on_the_order_of_a_sum():
    top = scored(0, 0.1, 0.2, 0.3)
    assert (
        count_ties(
            [top, scored(1, 0.1 + 1e-16, 0.2, 0.3 - 1e-16)], recipe=LOGISTIC_REGRESSION, n_splits=3
        )
        == 2
    )


def unconverged(number: int, value: float) -> FrozenTrial:
    unfinished = scored(number, *[value] * 5)
    unfinished.user_attrs = {CONVERGED: False}
    return unfinished


@pytest.mark.parametrize("rule", ["best", "one_standard_error"])
def test_a_fit_that_did_not_converge_is_below_every_one_that_did(rule):
    trials = [scored(0, *[0.5] * 5), unconverged(1, 0.9), scored(2, *[0.6] * 5)]
    assert select_best(trials, rule, recipe=LOGISTIC_REGRESSION, n_splits=5).number == 2
    assert count_ties(trials, recipe=LOGISTIC_REGRESSION, n_splits=5) == 1


def test_where_none_converged_the_highest_is_chosen():
    trials = [unconverged(0, 0.5), unconverged(1, 0.9)]
    assert select_best(trials, recipe=LOGISTIC_REGRESSION).number == 1
    assert count_ties(trials, recipe=LOGISTIC_REGRESSION, n_splits=5) == 1


def test_count_states():
    states = [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.PRUNED,
        TrialState.RUNNING,
        TrialState.WAITING,
    ]
    trials = [
        trial(n, 0.5 if state.name in ("COMPLETE", "PRUNED") else None, state=state)
        for n, state in enumerate(states)
    ]
    assert count_states(trials) == {"complete": 2, "pruned": 1, "failed": 1}
    assert count_states([]) == {"complete": 0, "pruned": 0, "failed": 0}


def test_mean_score_of_a_metric():
    assert mean_score(trial(0, 0.9, -0.25), "neg_log_loss") == -0.25
    assert mean_score(trial(0, 0.9, -0.25), "f1_macro") == -np.inf
    assert fold_scores(trial(0, 0.9)) == {}


def test_mean_and_std_are_those_of_grid_search():
    scores = [0.5, 0.75, 1.0]
    assert mean_and_std(scores) == (np.mean(scores), np.std(scores))


def test_end_time_is_utc_whatever_the_local_zone():
    assert milliseconds(trial(0, 0.9).datetime_complete) == round(END.timestamp() * 1000)
