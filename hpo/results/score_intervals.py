"""95 % intervals of scores on held-out rows, and of the gain of one model over another.

A score's error follows from how much each row moves it (``task.influence``), in closed form for
every scorer that is known; any other is scored on resamples. Where too few rows or groups bear on a
number for an interval to hold the truth as often as it says, there is none.
"""

import math
from collections.abc import Sequence

import numpy as np

from hpo.estimators.task import Predictions, Task
from hpo.results.cost_intervals import estimate_cost, estimate_saving
from hpo.results.intervals import (
    MIN_UNITS,
    Estimate,
    estimate_by_t,
    estimate_unseen,
    score_range,
    too_few_to_say,
)
from hpo.results.resampling import score_resamples
from hpo.results.sampling import Sampling, Spread

MAX_SMOOTHING = 1.3
"""How much wider one made-up row of each class may make a gain's error."""

NONE = 1e-9
"""An error that is rounding."""


def estimate_scores(
    task: Task,
    models: Sequence[Predictions],
    y: np.ndarray,
    metric: str,
    sampling: Sampling,
    rng: np.random.Generator,
) -> tuple[Estimate, list[Estimate]]:
    """Score a model on held-out rows, and its gain over each of the others.

    Args:
        task: What they predict.
        models: The model and those it is compared with, each with the rows.
        y: The rows' target.
        metric: A scorer's name.
        sampling: How the rows were held out.
        rng: Draws the resamples of a scorer whose influence is not known.
    """
    ours, *others = [model.score(metric, y) for model in models]
    gains = [ours - value for value in others]
    if not task.has_enough_rows(metric, y, models[0]) or sampling.n_groups == 1:
        return too_few_to_say(ours), [too_few_to_say(gain) for gain in gains]
    is_of_rows = not sampling.n_groups and not sampling.is_ordered
    if is_of_rows and (mistakes := task.mistakes(metric, y, models)) is not None:
        return estimate_cost(mistakes, sampling), [
            estimate_saving(mistakes, other, sampling) for other in range(1, len(models))
        ]
    moved = [task.influence(metric, y, model) for model in models]
    if moved[0] is None:
        return _estimate_from_resamples(models, y, metric, sampling, rng, ours, gains)
    score = _estimate_score(task, models[0], y, metric, sampling, ours, moved[0])
    return score, [
        _estimate_gain(task, (models[0], other), y, metric, sampling, gain, moved[0] - of_other)
        for gain, other, of_other in zip(gains, models[1:], moved[1:], strict=True)
    ]


def _estimate_score(
    task: Task,
    model: Predictions,
    y: np.ndarray,
    metric: str,
    sampling: Sampling,
    value: float,
    influence: np.ndarray,
) -> Estimate:
    """The interval of one model's score."""
    within = score_range(metric)
    has_units = sampling.n_groups or sampling.is_ordered
    smoothed = None if has_units else task.smoothed(metric, y, [model])
    if smoothed is not None:
        spread = sampling.of_strata(smoothed.strata).spread(smoothed.influence[0], smoothed.weights)
        # What may cost any amount must have been seen.
        if (
            math.isinf(within[0])
            and spread.error > MAX_SMOOTHING * sampling.spread(influence).error
        ):
            return too_few_to_say(value)
        return estimate_by_t(
            value, spread.error, spread.df, within=within, center=smoothed.scores[0]
        )
    spread = sampling.spread(influence)
    if spread.error < NONE:
        return estimate_unseen(value, sampling.n_groups or sampling.n_rarest, within)
    return estimate_by_t(value, spread.error, spread.df, within=within)


def _estimate_gain(
    task: Task,
    models: Sequence[Predictions],
    y: np.ndarray,
    metric: str,
    sampling: Sampling,
    value: float,
    influence: np.ndarray,
) -> Estimate:
    """The interval of the first model's gain over the second."""
    spread = sampling.spread(influence)
    if sampling.n_groups:
        return _estimate_gain_by_groups(value, sampling, spread)
    if spread.error < NONE:
        return estimate_unseen(value, sampling.n_rarest)
    if spread.n_units < MIN_UNITS:
        return too_few_to_say(value)
    smoothed = task.smoothed(metric, y, models)
    if smoothed is not None:
        difference = smoothed.influence[0] - smoothed.influence[1]
        wider = sampling.by_rows().of_strata(smoothed.strata).spread(difference, smoothed.weights)
        rows = sampling.by_rows().spread(influence)
        if wider.error > MAX_SMOOTHING * rows.error:
            return too_few_to_say(value)
    return estimate_by_t(value, spread.error, spread.df)


def _estimate_gain_by_groups(value: float, sampling: Sampling, spread: Spread) -> Estimate:
    if sampling.n_groups < MIN_UNITS:
        return too_few_to_say(value)
    if spread.error < NONE:
        return estimate_unseen(value, sampling.n_groups)
    return estimate_by_t(value, spread.error, spread.df)


def _estimate_from_resamples(
    models: Sequence[Predictions],
    y: np.ndarray,
    metric: str,
    sampling: Sampling,
    rng: np.random.Generator,
    value: float,
    gains: Sequence[float],
) -> tuple[Estimate, list[Estimate]]:
    """The intervals of scores whose influence is not known."""
    n_units = sampling.n_groups or sampling.n_rarest
    resampled, factor = score_resamples(models, y, metric, sampling, rng)
    if resampled.shape[1] < 2:
        return too_few_to_say(value), [too_few_to_say(gain) for gain in gains]
    factor *= np.sqrt(n_units / max(n_units - 1, 1))
    within = score_range(metric)

    def estimate(value: float, drawn: np.ndarray, within: tuple[float, float]) -> Estimate:
        error = float(factor * drawn.std(ddof=1))
        if error < NONE:
            return estimate_unseen(value, n_units, within)
        df = min(n_units, resampled.shape[1]) - 1
        return estimate_by_t(value, error, df, within=within)

    score = estimate(value, resampled[0], within)
    if n_units < MIN_UNITS:
        return score, [too_few_to_say(gain) for gain in gains]
    unlimited = (-np.inf, np.inf)
    return score, [
        estimate(gain, resampled[0] - other, unlimited)
        for gain, other in zip(gains, resampled[1:], strict=True)
    ]
