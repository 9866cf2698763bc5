"""Racing: who is the incumbent, and when a trial is stopped.

That a slot is judged by its own view alone is in ``test_mirror``.
"""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.ledger.race import RacePruner
from hpo.ledger.trials import CONVERGED

FOLDS = (0.80, 0.90, 0.80, 0.90)
"""Mean 0.85, standard deviation 0.05."""


def trial(*scores: float, state: TrialState = TrialState.COMPLETE, **more) -> FrozenTrial:
    return create_trial(
        state=state,
        value=sum(scores) / len(scores) if state == TrialState.COMPLETE else None,
        intermediate_values=dict(enumerate(scores)),
        **more,
    )


def is_stopped(*scores: float, by: list[FrozenTrial]) -> bool:
    study = optuna.create_study(direction="maximize")
    study.add_trials(by)
    return RacePruner().prune(study, trial(*scores, state=TrialState.RUNNING))


@pytest.mark.parametrize(
    ("scores", "is_behind"),
    [
        ((0.0,), False),  # one fold says nothing
        ((0.74, 0.84), True),
        ((0.76, 0.86), False),
        ((0.75, 0.85), False),  # a standard deviation exactly, whatever the last bit of a sum
        ((0.60, 0.99), True),  # the mean of differences, not each of them
        ((0.75, 0.85, 0.74), True),
        ((0.95, 0.95), False),
    ],
)
def test_trial_is_stopped_below_a_standard_deviation_of_the_incumbents_folds(scores, is_behind):
    assert is_stopped(*scores, by=[trial(*FOLDS)]) is is_behind


def test_hard_folds_are_hard_for_the_incumbent_too():
    """By itself the trial looks poor; on the same folds it is ahead."""
    incumbent = trial(0.10, 0.20, 0.90, 0.95, 0.90)
    assert not is_stopped(0.15, 0.25, by=[incumbent])


def test_all_folds_of_the_incumbent_say_how_much_folds_differ():
    incumbent = trial(0.85, 0.85, 0.75, 0.95)
    assert not is_stopped(0.80, 0.80, by=[incumbent])
    assert is_stopped(0.75, 0.75, by=[incumbent])


def test_first_of_equal_trials_is_the_incumbent():
    even, uneven = trial(0.85, 0.85, 0.85, 0.85), trial(*FOLDS)
    assert is_stopped(0.78, 0.88, by=[even, uneven])
    assert not is_stopped(0.78, 0.88, by=[uneven, even])


def test_incumbent_is_the_highest_complete_trial():
    good, poor = trial(*FOLDS), trial(0.5, 0.5, 0.5, 0.5)
    others = [
        trial(0.99, 0.99, state=TrialState.PRUNED),
        trial(0.99, state=TrialState.FAIL),
        trial(0.99, 0.99, 0.99, state=TrialState.RUNNING),
        trial(0.99),  # of another client: not all folds
    ]
    assert is_stopped(0.5, 0.5, by=[poor, *others, good])
    assert not is_stopped(0.8, 0.85, by=[poor, *others, good])
    assert not is_stopped(0.0, 0.0, by=others)


def test_trial_whose_fits_did_not_converge_is_the_incumbent_only_among_its_like():
    unconverged = trial(0.99, 0.99, 0.99, 0.99, user_attrs={CONVERGED: False})
    assert not is_stopped(0.8, 0.85, by=[unconverged, trial(*FOLDS)])
    assert is_stopped(0.8, 0.85, by=[unconverged])


def test_equal_scores_are_not_behind_an_incumbent_without_spread():
    perfect = [trial(1.0, 1.0, 1.0)]
    assert not is_stopped(1.0, 1.0, by=perfect)
    assert not is_stopped(1.0, 1.0 - 1e-16, by=perfect)
    assert is_stopped(1.0, 0.99, by=perfect)
