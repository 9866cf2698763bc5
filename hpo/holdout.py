"""What the held-out rows say: how sure the final model's score is, and what the search gained over the defaults.

The defaults are refitted on the same training rows and both models predict the same held-out rows, so the gain is a paired
difference, which is far surer than two scores side by side. The hold-out had no part in choosing, so neither number is inflated
by the search.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from hpo.cross_validation import Predicted
from hpo.data import Dataset
from hpo.estimator import build_classifier
from hpo.intervals import Estimate, estimate_from_resamples, estimate_paired_proportions, estimate_proportion

N_RESAMPLES = 500
MIN_RESAMPLES = 200
RESAMPLED_ROWS = 2_000_000
"""So many rows are scored in all: on large tables fewer resamples serve, down to ``MIN_RESAMPLES``."""


@dataclass(frozen=True)
class HoldoutJudgement:
    """Two numbers from the held-out rows, each with its 95 % interval.

    Attributes:
        n_rows: How many there are.
        score: Of the final model, by the judged metric.
        gain: Over the defaults; None where the defaults failed, or are what was chosen.
    """

    n_rows: int
    score: Estimate
    gain: Estimate | None


def judge_holdout(
    pipeline: Pipeline, defaults: Mapping[str, Any] | None, dataset: Dataset, metric: str, *, seed: int
) -> HoldoutJudgement:
    """Score the final model on the held-out rows, alone and against the defaults.

    Args:
        pipeline: Fitted on the training rows.
        defaults: Complete params of the defaults, or None where there is nothing to compare with.
        dataset: The rows.
        metric: The judged scorer.
        seed: Of the bootstrap.
    """
    y, n_rows = dataset.y_test, len(dataset.y_test)
    with warnings.catch_warnings():
        # A fit that does not converge, or a metric that is not defined for a resample.
        warnings.simplefilter("ignore")
        models = [Predicted(pipeline, dataset.X_test)]
        if defaults is not None:
            preprocessing = pipeline[:-1]
            fitted = build_classifier(defaults).fit(preprocessing.transform(dataset.X_train), dataset.y_train)
            models.append(Predicted(fitted, preprocessing.transform(dataset.X_test)))
        if metric == "accuracy" and dataset.groups_test is None:
            is_right = [model.predict() == y for model in models]
            score = estimate_proportion(int(is_right[0].sum()), n_rows)
            gain = None
            if defaults is not None:
                ours, theirs = is_right
                gain = estimate_paired_proportions(int((ours & ~theirs).sum()), int((~ours & theirs).sum()), n_rows)
            return HoldoutJudgement(n_rows, score, gain)
        return HoldoutJudgement(n_rows, *_bootstrap(models, dataset, metric, seed))


def _bootstrap(models: list[Predicted], dataset: Dataset, metric: str, seed: int) -> tuple[Estimate, Estimate | None]:
    """Both estimates by resampling: all models are scored on the same resampled rows (the paired bootstrap)."""
    y = dataset.y_test
    draw, n_units = _make_draw(y, dataset.groups_test, np.random.default_rng(seed))
    n_resamples = int(np.clip(RESAMPLED_ROWS // len(y), MIN_RESAMPLES, N_RESAMPLES))
    resamples = [rows for rows in (draw() for _ in range(n_resamples)) if len(np.unique(y[rows])) == len(np.unique(y))]
    values = [model.score(metric, y) for model in models]
    resampled = [np.array([model.take(rows).score(metric, y[rows]) for rows in resamples]) for model in models]
    score = estimate_from_resamples(values[0], resampled[0], n_units, best=_greatest(metric))
    gain = estimate_from_resamples(values[0] - values[1], resampled[0] - resampled[1], n_units) if len(models) > 1 else None
    return score, gain


def _make_draw(y: np.ndarray, groups: np.ndarray | None, rng: np.random.Generator) -> tuple[Callable[[], np.ndarray], int]:
    """What draws the rows of a resample, and how many units it draws.

    As the hold-out was made: rows within each class, or whole groups (Davison and Hinkley 1997, *Bootstrap Methods and their
    Application*, sections 3.2 and 3.8).
    """
    if groups is None:
        of_class = [np.flatnonzero(y == label) for label in np.unique(y)]
        return lambda: np.concatenate([rng.choice(rows, len(rows)) for rows in of_class]), len(y)
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    return lambda: np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))]), len(members)


def _greatest(metric: str) -> float:
    return 0.0 if metric.startswith("neg_") else 1.0
