"""Judges a model on the held-out rows: its score, and its gain over the defaults or a champion.

Both models predict the same rows, so the gain is a paired difference, which is far surer than two
scores side by side. The hold-out had no part in the choice, so the search inflates neither number.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from hpo.data.dataset import Dataset
from hpo.estimators.cross_validation import Predicted
from hpo.estimators.estimator import build_classifier
from hpo.results.intervals import (
    Estimate,
    estimate_from_resamples,
    estimate_paired_proportions,
    estimate_proportion,
    greatest_score,
)

N_RESAMPLES = 500
MIN_RESAMPLES = 200
RESAMPLED_ROWS = 2_000_000
"""Rows scored in all: large tables take fewer resamples, down to ``MIN_RESAMPLES``."""

WORSE_ERRORS = 1.0
"""Standard errors below zero from which a gain is a loss.

A wrong "worse" only keeps a good champion.
"""

BETTER_ERRORS = 1.645
"""Standard errors above zero from which a gain counts: 5 % one-sided."""


def judge_holdout(
    pipeline: Pipeline,
    defaults: Mapping[str, Any] | None,
    dataset: Dataset,
    metric: str,
    *,
    seed: int,
) -> tuple[Estimate, Estimate | None]:
    """Score the final model on the held-out rows, alone and against the defaults.

    Args:
        pipeline: Fitted on the training rows.
        defaults: Complete params of the defaults, or None where there is nothing to compare with.
        dataset: The rows.
        metric: The judged scorer.
        seed: Of the bootstrap.

    Returns:
        The model's score by the judged metric, and its gain over the defaults, or None.
    """
    # A fit may not converge.
    with warnings.catch_warnings(action="ignore"):
        models = [Predicted(pipeline, dataset.X_test)]
        if defaults is not None:
            preprocessing = pipeline[:-1]
            fitted = build_classifier(defaults).fit(
                preprocessing.transform(dataset.X_train), dataset.y_train
            )
            models.append(Predicted(fitted, preprocessing.transform(dataset.X_test)))
    return judge_models(models, dataset.y_test, dataset.groups_test, metric, seed=seed)


def judge_models(
    models: Sequence[Predicted], y: np.ndarray, groups: np.ndarray | None, metric: str, *, seed: int
) -> tuple[Estimate, Estimate | None]:
    """Score a model on rows that it was not fitted on, alone and against a second one.

    Args:
        models: One or two, each with the rows.
        y: True labels, array of shape (n_samples,).
        groups: Names of shape (n_samples,), or None.
        metric: The judged scorer.
        seed: Of the bootstrap.

    Returns:
        The first model's score, and its gain over the second, or None.
    """
    if metric != "accuracy" or groups is not None:
        # A metric may not be defined for a resample.
        with warnings.catch_warnings(action="ignore"):
            return _bootstrap(models, y, groups, metric, seed)
    ours, *others = [model.predict() == y for model in models]
    gains = [
        estimate_paired_proportions(int((ours & ~other).sum()), int((~ours & other).sum()), len(y))
        for other in others
    ]
    return estimate_proportion(int(ours.sum()), len(y)), gains[0] if gains else None


def may_take_over(gain: Estimate, rule: str) -> bool:
    """Whether a gain over the champion suffices for ``not_worse``, ``better`` or ``never``."""
    middle = (gain.low + gain.high) / 2
    error = gain.standard_error
    return {
        "not_worse": middle + WORSE_ERRORS * error >= 0,
        "better": middle - BETTER_ERRORS * error > 0,
    }.get(rule, False)


def _bootstrap(
    models: Sequence[Predicted], y: np.ndarray, groups: np.ndarray | None, metric: str, seed: int
) -> tuple[Estimate, Estimate | None]:
    """Make both estimates by the paired bootstrap: all models are scored on the same resamples."""
    draw, n_units = _make_draw(y, groups, np.random.default_rng(seed))
    n_resamples = int(np.clip(RESAMPLED_ROWS // len(y), MIN_RESAMPLES, N_RESAMPLES))
    resamples = [
        rows
        for rows in (draw() for _ in range(n_resamples))
        if len(np.unique(y[rows])) == len(np.unique(y))
    ]
    values = [model.score(metric, y) for model in models]
    resampled = [
        np.array([model.take(rows).score(metric, y[rows]) for rows in resamples])
        for model in models
    ]
    score = estimate_from_resamples(values[0], resampled[0], n_units, best=greatest_score(metric))
    gain = (
        estimate_from_resamples(values[0] - values[1], resampled[0] - resampled[1], n_units)
        if len(models) > 1
        else None
    )
    return score, gain


def _make_draw(
    y: np.ndarray, groups: np.ndarray | None, rng: np.random.Generator
) -> tuple[Callable[[], np.ndarray], int]:
    """Make the function that draws the rows of a resample, and count the units it draws.

    It draws as the hold-out was made: rows within each class, or whole groups (Davison and Hinkley
    1997, *Bootstrap Methods and their Application*, sections 3.2 and 3.8).
    """
    if groups is None:
        of_class = [np.flatnonzero(y == label) for label in np.unique(y)]
        return lambda: np.concatenate([rng.choice(rows, len(rows)) for rows in of_class]), len(y)
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    return lambda: np.concatenate(
        [members[i] for i in rng.integers(len(members), size=len(members))]
    ), len(members)
