"""Which trial is the best one, read from the ledger's trials.

Here also live the names under which a trial's judgement is kept in its user attributes, since this is the least of the stages
that read them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
from optuna.trial import FrozenTrial, TrialState

SCORES = "hpo.scores"
"""User attribute: scorer name to the list of fold scores."""
CONVERGED = "hpo.converged"
"""User attribute: whether the solver reached its tolerance on every fold."""
DERIVED = "hpo.derived"
"""User attribute: the params that were derived, not chosen."""
FAILURE = "hpo.failure"
"""User attribute of a failed trial: the reason, one line."""
TRACEBACK = "hpo.traceback"
"""User attribute of a failed trial whose fit raised."""

TIE_METRIC = "neg_log_loss"

_TIE_DIGITS = 12
"""Means that differ only by the order of a sum are the same value."""


def fold_scores(trial: FrozenTrial) -> dict[str, list[float]]:
    """Scorer name to fold scores; empty where the trial has none."""
    return cast("dict[str, list[float]]", trial.user_attrs.get(SCORES, {}))


def mean_score(trial: FrozenTrial, metric: str) -> float:
    """The mean of a metric over the folds; minus infinity where it was not scored."""
    scores = fold_scores(trial).get(metric)
    return float(np.mean(scores)) if scores else float("-inf")


def rounded(value: float) -> float:
    """A mean as it is compared."""
    return round(value, _TIE_DIGITS)


def select_best(trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The best completed trial, or None where no trial completed."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    return max(complete, key=_rank, default=None)


def _rank(trial: FrozenTrial) -> tuple[float, float, int]:
    """The order of trials: by value, ties by log loss, then the earlier one; greater is better."""
    return (rounded(cast("float", trial.value)), rounded(mean_score(trial, TIE_METRIC)), -trial.number)


def count_states(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """How many trials are ``complete``, ``pruned`` and ``failed``."""
    counts = Counter(trial.state for trial in trials)
    return {"complete": counts[TrialState.COMPLETE], "pruned": counts[TrialState.PRUNED], "failed": counts[TrialState.FAIL]}


def end_time_ms(trial: FrozenTrial) -> int:
    """When a finished trial ended, milliseconds since 1970, UTC; Optuna keeps naive local time."""
    return round(trial.datetime_complete.timestamp() * 1000) if trial.datetime_complete else 0


def count_ties(trials: Iterable[FrozenTrial], best: FrozenTrial) -> int:
    """How many completed trials have the best one's value, the best one included."""
    return sum(1 for trial in trials if trial.state == TrialState.COMPLETE and _rank(trial)[0] == _rank(best)[0])


def mean_and_std(scores: Sequence[float]) -> tuple[float, float]:
    """Mean and (population) standard deviation over the folds, as ``GridSearchCV`` reports them."""
    return float(np.mean(scores)), float(np.std(scores))
