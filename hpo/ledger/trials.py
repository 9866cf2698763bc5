"""Trials as the ledger keeps them: their attributes' names, and what is read back from them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
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

TIE_DIGITS = 12
"""Means that differ only by the order of a sum are the same value."""


def is_foreign(trial: FrozenTrial) -> bool:
    """Whether a trial that is not queued is another client's, in part or as a whole.

    It was asked elsewhere, or ended without our scores or our reason. It keeps its number, and has
    no part in what hpo says or chooses.
    """
    if trial.state.is_finished():
        return SCORES not in trial.user_attrs and FAILURE not in trial.user_attrs
    return trial.state == TrialState.RUNNING and DERIVED not in trial.user_attrs


def without_foreign(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Those of a study's trials that hpo asked and ended, or that are open."""
    return [trial for trial in trials if not is_foreign(trial)]


def fold_scores(trial: FrozenTrial) -> dict[str, list[float]]:
    """Scorer name to fold scores; empty where the trial has none."""
    return cast("dict[str, list[float]]", trial.user_attrs.get(SCORES, {}))


def has_converged(trial: FrozenTrial) -> bool:
    """Whether the solver reached its tolerance on every fold."""
    return bool(trial.user_attrs.get(CONVERGED, True))


def mean_score(trial: FrozenTrial, metric: str) -> float:
    """The mean of a metric over the folds; minus infinity where it was not scored."""
    scores = fold_scores(trial).get(metric)
    return float(np.mean(scores)) if scores else float("-inf")


def mean_and_std(scores: Sequence[float]) -> tuple[float, float]:
    """Mean and (population) standard deviation over the folds, as ``GridSearchCV`` reports them."""
    return float(np.mean(scores)), float(np.std(scores))


def rounded(value: float) -> float:
    """A mean as it is compared."""
    return round(value, TIE_DIGITS)


def local_time(seconds: float) -> datetime:
    """Turn seconds since 1970, UTC, into naive local time, as Optuna keeps moments."""
    return datetime.fromtimestamp(seconds)  # noqa: DTZ006 - see above


def milliseconds(moment: datetime | None) -> int:
    """Optuna's naive local time as milliseconds since 1970, UTC."""
    return round(moment.timestamp() * 1000) if moment is not None else 0
