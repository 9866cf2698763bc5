"""The choice among a study's trials, and how sure it is.

A trial with a fit that did not converge is below every one whose fits did. Among the rest there are
two rules. ``best``: the highest value; ties go to the better tie metric of the task, then to the
simpler model, then to the earlier trial. ``one_standard_error``: the simplest model whose value is
within one standard error of the highest. The hold-out has no part in either.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from hpo.definition import Rule
from hpo.errors import NoCompletedTrialError
from hpo.estimators.candidates import ESTIMATOR, Candidates
from hpo.estimators.tasks import task_of
from hpo.ledger.trials import (
    DERIVED,
    FAILURE,
    TIE_DIGITS,
    has_converged,
    mean_score,
    rounded,
)
from hpo.results.estimates import Contest, EstimatorScore
from hpo.results.intervals import Estimate, half_width_over_folds

Simplicity = tuple[float, ...]


def simplicity(trial: FrozenTrial, recipe: Candidates) -> Simplicity:
    """How simple a trial's model is; greater is simpler, and no two trials are equal.

    By the recipe's own order, then an earlier trial.
    """
    params = {**trial.params, **trial.user_attrs.get(DERIVED, {})}
    return (*recipe.simplicity(params), -trial.number)


def select_best(
    trials: Sequence[FrozenTrial], rule: Rule = "best", *, recipe: Candidates, n_splits: int = 2
) -> FrozenTrial:
    """Choose the best trial by a rule.

    Args:
        trials: Of the study.
        rule: ``best``, or ``one_standard_error`` (Breiman, Friedman, Olshen and Stone 1984, section
            3.4.3; Hastie, Tibshirani and Friedman 2009, section 7.10).
        recipe: Of the study's estimators, which says what is simpler.
        n_splits: Folds of one repeat. Repeats show the same rows again, so the standard error is
            taken as that of one repeat.

    Raises:
        NoCompletedTrialError: There is nothing to choose from; with the last reason.
    """
    complete = _eligible(trials)
    if not complete:
        reasons = [trial.user_attrs[FAILURE] for trial in trials if FAILURE in trial.user_attrs]
        raise NoCompletedTrialError(
            f"none of {len(trials)} trials completed"
            + (f"; the last reason: {reasons[-1]}" if reasons else ""),
            hint="raise --trials or --timeout, or mend the definition",
        )
    top = max(complete, key=lambda trial: _rank(trial, recipe))
    if rule == "best":
        return top
    scores = _judged_scores(top)
    error = float(np.std(scores, ddof=1)) / math.sqrt(n_splits) if len(scores) > 1 else 0.0
    lowest = rounded(cast("float", top.value) - error)
    return max(
        (trial for trial in complete if rounded(cast("float", trial.value)) >= lowest),
        key=lambda trial: simplicity(trial, recipe),
    )


def _completed(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    return [
        trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None
    ]


def _eligible(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Completed trials; those alone whose fits converged, if there is one."""
    complete = _completed(trials)
    return [trial for trial in complete if has_converged(trial)] or complete


def _judged_scores(trial: FrozenTrial) -> list[float]:
    """The judged metric's fold scores, in the order of the folds."""
    return [score for _, score in sorted(trial.intermediate_values.items())]


def _rank(trial: FrozenTrial, recipe: Candidates) -> tuple[bool, float, float, Simplicity]:
    """The order of trials under the rule ``best``; greater is better."""
    tie_score = mean_score(trial, task_of(recipe).tie_metric)
    value = rounded(cast("float", trial.value))
    return has_converged(trial), value, rounded(tie_score), simplicity(trial, recipe)


def count_ties(trials: Iterable[FrozenTrial], *, recipe: Candidates, n_splits: int) -> int:
    """Count completed trials that the folds cannot tell from the highest one, that one included.

    Two trials are scored on the same rows, so what counts are the differences of their fold scores:
    a trial ties where the 95 % interval of the mean difference, by the corrected resampled t-test,
    holds zero. At least one trial must be complete.
    """
    complete = _eligible(trials)
    top = max(complete, key=lambda trial: _rank(trial, recipe))
    differences = np.array(_judged_scores(top)) - np.array(list(map(_judged_scores, complete)))
    half = np.nan_to_num(half_width_over_folds(differences, n_splits))
    return int((differences.mean(axis=-1) <= half + 10.0**-TIE_DIGITS).sum())


def compare_estimators(
    trials: Iterable[FrozenTrial], *, recipe: Candidates, n_splits: int
) -> Contest | None:
    """Compare the best trials of a study's estimators; None where it has one.

    The lead is over the same folds, with the interval of the corrected resampled t-test. Both
    trials were chosen among many, so it is a description of the search, not of new data.
    """
    if len(recipe.recipes) == 1:
        return None
    of_each: dict[str, list[FrozenTrial]] = {each.name: [] for each in recipe.recipes}
    for trial in trials:
        if trial.params.get(ESTIMATOR) in of_each:
            of_each[trial.params[ESTIMATOR]].append(trial)
    best = {
        name: max(complete, key=lambda trial: _rank(trial, recipe))
        for name, own in of_each.items()
        if (complete := _eligible(own))
    }
    ranked = sorted(best, key=lambda name: _rank(best[name], recipe), reverse=True)
    scores = [
        EstimatorScore(name, len(of_each[name]), best[name].number, best[name].value)
        for name in ranked
    ]
    scores += [EstimatorScore(name, len(own)) for name, own in of_each.items() if name not in best]
    if len(ranked) < 2:
        return Contest(tuple(scores), None)
    first, second = (np.array(_judged_scores(best[name])) for name in ranked[:2])
    mean = float((first - second).mean())
    half = float(np.nan_to_num(half_width_over_folds(first - second, n_splits)))
    return Contest(tuple(scores), Estimate(mean, mean - half, mean + half))


def count_states(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """Count the trials that are ``complete``, ``pruned`` and ``failed``."""
    counts = Counter(trial.state for trial in trials)
    return {
        "complete": counts[TrialState.COMPLETE],
        "pruned": counts[TrialState.PRUNED],
        "failed": counts[TrialState.FAIL],
    }
