"""95 % intervals of scores on held-out rows, and of the gain of one model over another.

A score's error follows from how much each row moves it (``task.influence``), in closed form for
every scorer that is known; any other is scored on resamples. Where too few rows or groups bear on a
number for an interval to hold the truth as often as it says, there is none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hpo.estimators.task import Predictions, Task
from hpo.results.cost_intervals import estimate_cost, estimate_saving
from hpo.results.intervals import (
    MIN_UNITS,
    UNBOUNDED,
    Estimate,
    Range,
    estimate_by_t,
    estimate_unseen,
    score_range,
    too_few_to_say,
)
from hpo.results.resampling import score_resamples
from hpo.results.sampling import FoldScores, Sampling, Spread

MAX_SMOOTHING = 1.3
"""How much wider one made-up row of each class may make a gain's error."""

NONE = 1e-9
"""An error that is rounding, in the unit of the score."""

FOLDS_ERRORS = 2.0
"""How many times the error that the rows tell the folds' may be.

Of losses without a bound, a handful of rows may make most; a hold-out without them cannot know of
them, but folds that have them differ. By chance alone folds of a usual score exceed this in one
study of 300. Of gains the same.
"""


def estimate_scores(
    task: Task,
    models: Sequence[Predictions],
    y: np.ndarray,
    metric: str,
    sampling: Sampling,
    rng: np.random.Generator,
    folds: FoldScores | None = None,
) -> tuple[Estimate, list[Estimate]]:
    """Score a model on held-out rows, and its gain over each of the others.

    Args:
        task: What they predict.
        models: The model and those it is compared with, each with the rows.
        y: The rows' target.
        metric: A scorer's name.
        sampling: How the rows were held out.
        rng: Draws the resamples of a scorer whose influence is not known.
        folds: Scores of the models' params on the folds of the training rows, or None.
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
    judge = _Judge(task, y, metric, sampling, folds)
    moved = [task.influence(metric, y, model) for model in models]
    if moved[0] is None:
        return judge.estimate_from_resamples(models, rng, ours, gains)
    score = judge.estimate_score(models[0], ours, moved[0])
    return score, [
        judge.estimate_gain(other, models, gain, moved[0] - moved[other])
        if moved[other] is not None
        else too_few_to_say(gain)
        for other, gain in enumerate(gains, start=1)
    ]


@dataclass(frozen=True)
class _Judge:
    """Makes the intervals of a score and of gains on the same rows."""

    task: Task
    y: np.ndarray
    metric: str
    sampling: Sampling
    folds: FoldScores | None

    @property
    def within(self) -> Range:
        """The least and the greatest score."""
        return score_range(self.metric)

    @cached_property
    def unit(self) -> float:
        """As :meth:`Task.unit`."""
        return self.task.unit(self.metric, self.y)

    @property
    def n_units(self) -> int:
        """The groups, or the rows of the smallest class."""
        return self.sampling.n_groups or self.sampling.n_rarest

    def estimate_score(self, model: Predictions, value: float, influence: np.ndarray) -> Estimate:
        """The interval of one model's score."""
        sampling, within = self.sampling, self.within
        has_units = sampling.n_groups or sampling.is_ordered
        smoothed = None if has_units else self.task.smoothed(self.metric, self.y, [model])
        if smoothed is None:
            return self._estimate_by(value, self._wider(sampling.spread(influence)), within)
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

    def estimate_gain(
        self, other: int, models: Sequence[Predictions], value: float, influence: np.ndarray
    ) -> Estimate:
        """The interval of the first model's gain over another."""
        spread = self._wider(self.sampling.spread(influence), other)
        if self.sampling.n_groups:
            is_enough = self.sampling.n_groups >= MIN_UNITS
            return self._estimate_by(value, spread) if is_enough else too_few_to_say(value)
        if self._is_none(spread):
            return self._estimate_by(value, spread)
        if spread.n_units < MIN_UNITS:
            return too_few_to_say(value)
        smoothed = self.task.smoothed(self.metric, self.y, [models[0], models[other]])
        if smoothed is not None:
            difference = smoothed.influence[0] - smoothed.influence[1]
            by_rows = self.sampling.by_rows()
            wider = by_rows.of_strata(smoothed.strata).spread(difference, smoothed.weights)
            if wider.error > MAX_SMOOTHING * by_rows.spread(influence).error:
                return too_few_to_say(value)
        return self._estimate_by(value, spread)

    def estimate_from_resamples(
        self,
        models: Sequence[Predictions],
        rng: np.random.Generator,
        value: float,
        gains: Sequence[float],
    ) -> tuple[Estimate, list[Estimate]]:
        """The intervals of scores whose influence is not known."""
        resampled, factor = score_resamples(models, self.y, self.metric, self.sampling, rng)
        n_resamples = resampled.shape[1]
        if n_resamples < 2:
            return too_few_to_say(value), [too_few_to_say(gain) for gain in gains]
        n_units = self.n_units
        factor *= np.sqrt(n_units / max(n_units - 1, 1))

        def spread_of(drawn: np.ndarray) -> Spread:
            error = float(factor * drawn.std(ddof=1))
            return Spread(error, min(n_units, n_resamples) - 1, n_units)

        score = self._estimate_by(value, self._wider(spread_of(resampled[0])), self.within)
        if n_units < MIN_UNITS:
            return score, [too_few_to_say(gain) for gain in gains]
        return score, [
            self._estimate_by(gain, self._wider(spread_of(resampled[0] - resampled[other]), other))
            for other, gain in enumerate(gains, start=1)
        ]

    def _wider(self, spread: Spread, other: int | None = None) -> Spread:
        """The spread of a score or a gain; that of the folds where they clearly know of more."""
        if self.folds is None or math.isfinite(self.within[0]):
            return spread
        of_folds = self.folds.spread(other)
        is_wider = of_folds.error > FOLDS_ERRORS * spread.error
        return replace(of_folds, n_units=spread.n_units) if is_wider else spread

    def _estimate_by(self, value: float, spread: Spread, within: Range = UNBOUNDED) -> Estimate:
        """The interval of a score or a gain, also where no row moves it."""
        if self._is_none(spread):
            return estimate_unseen(value, self.n_units, self.unit, within=within)
        return estimate_by_t(value, spread.error, spread.df, within=within)

    def _is_none(self, spread: Spread) -> bool:
        return spread.error < NONE * self.unit
