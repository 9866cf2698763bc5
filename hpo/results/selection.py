"""Chooses the best of the ledger's trials, and counts those that tie with it.

Two rules. ``best``: the highest value; ties go to the better log loss, then to the simpler model,
then to the earlier trial. ``one_standard_error``: the simplest model whose value is within one
standard error of the highest. The hold-out has no part in it.

The keys of a trial's user attributes are here too: the lowest module that needs them.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from hpo.definition import Rule
from hpo.errors import NoCompletedTrialError
from hpo.results.intervals import half_width_over_folds

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


def simplicity(trial: FrozenTrial) -> tuple[float, float, bool, int]:
    """How simple a trial's model is, from its params alone; greater is simpler, and no two trials are equal.

    By, in this order: stronger regularisation (a smaller ``C``; no penalty is an infinite one), a larger share of L1, which leaves
    fewer coefficients that are not zero, no class weights, an earlier trial.
    """
    params = {**trial.params, **trial.user_attrs.get(DERIVED, {})}
    penalty = params.get("penalty", "l2")
    l1_share = {"l1": 1.0, "elasticnet": params.get("l1_ratio", 0.0)}.get(penalty, 0.0)
    C = math.inf if penalty == "none" else params.get("C", 1.0)
    return -C, l1_share, params.get("class_weight") != "balanced", -trial.number


def select_best(
    trials: Sequence[FrozenTrial], rule: Rule = "best", *, n_splits: int = 2
) -> FrozenTrial:
    """Choose the best trial by a rule.

    Args:
        trials: Of the study.
        rule: ``best``, or ``one_standard_error`` (Breiman, Friedman, Olshen and Stone 1984, section
            3.4.3; Hastie, Tibshirani and Friedman 2009, section 7.10).
        n_splits: Folds of one repeat. Repeats show the same rows again, so the standard error is
            taken as that of one repeat.

    Raises:
        NoCompletedTrialError: There is nothing to choose from; with the last reason.
    """
    complete = _completed(trials)
    if not complete:
        reasons = [trial.user_attrs[FAILURE] for trial in trials if FAILURE in trial.user_attrs]
        raise NoCompletedTrialError(
            f"none of {len(trials)} trials completed"
            + (f"; the last reason: {reasons[-1]}" if reasons else ""),
            hint="raise --trials or --timeout, or mend the definition",
        )
    top = max(complete, key=_rank)
    if rule == "best":
        return top
    scores = _judged_scores(top)
    error = float(np.std(scores, ddof=1)) / math.sqrt(n_splits) if len(scores) > 1 else 0.0
    lowest = rounded(cast("float", top.value) - error)
    return max(
        (trial for trial in complete if rounded(cast("float", trial.value)) >= lowest),
        key=simplicity,
    )


def _completed(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    return [
        trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None
    ]


def _judged_scores(trial: FrozenTrial) -> list[float]:
    """The judged metric's fold scores, in the order of the folds."""
    return [score for _, score in sorted(trial.intermediate_values.items())]


def _rank(trial: FrozenTrial) -> tuple[float, float, tuple[float, float, bool, int]]:
    """The order of trials under the rule ``best``; greater is better."""
    return (
        rounded(cast("float", trial.value)),
        rounded(mean_score(trial, TIE_METRIC)),
        simplicity(trial),
    )


def count_ties(trials: Iterable[FrozenTrial], *, n_splits: int) -> int:
    """Count completed trials that the folds cannot tell from the highest one, that one included.

    Two trials are scored on the same rows, so what counts are the differences of their fold scores:
    a trial ties where the 95 % interval of the mean difference, by the corrected resampled t-test,
    holds zero. At least one trial must be complete.
    """
    complete = _completed(trials)
    differences = np.array(_judged_scores(max(complete, key=_rank))) - np.array(
        [_judged_scores(trial) for trial in complete]
    )
    half = np.nan_to_num(half_width_over_folds(differences, n_splits))
    return int((differences.mean(axis=-1) <= half + 10.0**-_TIE_DIGITS).sum())


def count_states(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """Count the trials that are ``complete``, ``pruned`` and ``failed``."""
    counts = Counter(trial.state for trial in trials)
    return {
        "complete": counts[TrialState.COMPLETE],
        "pruned": counts[TrialState.PRUNED],
        "failed": counts[TrialState.FAIL],
    }


def milliseconds(moment: datetime | None) -> int:
    """Optuna's naive local time as milliseconds since 1970, UTC."""
    return round(moment.timestamp() * 1000) if moment is not None else 0


def mean_and_std(scores: Sequence[float]) -> tuple[float, float]:
    """Mean and (population) standard deviation over the folds, as ``GridSearchCV`` reports them."""
    return float(np.mean(scores)), float(np.std(scores))
