"""The choice of a threshold, on out-of-fold predictions alone.

One starts from 0.5, or from the cost's own threshold, which is the best where probabilities hold:
whichever cost less. Few rows say little of where the best one lies, and that it is the best of many
on these rows flatters it. So each fold is answered by the threshold that is best on the others, and
the start is left only where that gains more than a standard error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hpo.decision_section import COST, DecisionSection
from hpo.estimators.classification.costs import Costs
from hpo.estimators.classification.scores import Answered
from hpo.estimators.classification.thresholds import ThresholdCurve, trace
from hpo.estimators.out_of_fold import OutOfFold
from hpo.estimators.task import Task
from hpo.results.sampling import Sampling

HALF = 0.5
"""The threshold of a classifier as it comes."""

ERRORS = 1.0
"""Standard errors by which the best threshold must gain over the one that it displaces."""

Reason = Literal["start", "best", "within", "nearest"]
"""Why a threshold was taken: the one to start from; better than that by more than noise; the best
of those that the conditions leave; none fulfils them, and this is nearest."""


@dataclass(frozen=True, eq=False)
class ThresholdChoice:
    """A threshold and how it came about.

    Attributes:
        threshold: From this probability of the positive class on, that is the answer.
        start: The cost's own, or 0.5.
        best: The best on these rows.
        reason: Why it was taken.
        objective: The scorer that it was chosen by.
        curve: What every threshold gave out of fold.
    """

    threshold: float
    start: float
    best: float
    reason: Reason
    objective: str
    curve: ThresholdCurve


def choose_threshold(
    task: Task,
    section: DecisionSection,
    seen: OutOfFold,
    probabilities: np.ndarray,
    positive: int,
) -> ThresholdChoice:
    """Choose a threshold of two classes.

    Args:
        task: Classification.
        section: By what to choose.
        seen: Labels, folds, groups and costs of the rows.
        probabilities: Of the positive class, calibrated as they will be, array of shape
            (n_samples,).
        positive: The positive class by position.
    """
    rows = _Rows(section, seen, probabilities, positive)
    whole = rows.search(np.arange(len(probabilities)))
    if whole.reason != "start":
        return whole
    answers, from_start = np.empty((2, len(probabilities)), dtype=bool)
    for fold in np.unique(seen.folds):
        others = rows.search(np.flatnonzero(seen.folds != fold))
        of_fold = seen.folds == fold
        answers[of_fold] = probabilities[of_fold] >= others.best
        from_start[of_fold] = probabilities[of_fold] >= whole.start
    gain, error = rows.compare(task, answers, from_start)
    if gain > ERRORS * error:
        return replace(whole, threshold=whole.best, reason="best")
    return whole


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows whose probabilities are known, and by what thresholds are judged on them."""

    section: DecisionSection
    seen: OutOfFold
    probabilities: np.ndarray
    positive: int

    @property
    def objective(self) -> str:
        return self.section.maximize or COST

    def search(self, rows: np.ndarray) -> ThresholdChoice:
        """Find on some rows where to start from and the best threshold."""
        least = self.section.subject_to
        costs: Costs | None = self.seen.costs
        curve = trace(
            self.probabilities[rows],
            self.seen.truth[rows],
            dict.fromkeys((self.objective, *least)),
            positive=self.positive,
            costs=costs and costs.take(rows),
        )
        starts = [HALF]
        if self.objective == COST and costs is not None:
            starts.insert(0, costs.threshold(self.positive))
        start = max(starts, key=lambda threshold: curve.at(threshold, self.objective))
        slack = _slack(curve, least)
        reason: Reason = "start"
        if (slack < 0).all():
            best = float(curve.thresholds[slack.argmax()])
            reason = "nearest"
        else:
            best = _nearest_of_best(curve, self.objective, slack >= 0, start)
            if any(curve.at(start, name) < value for name, value in least.items()):
                reason = "within"
        threshold = start if reason == "start" else best
        return ThresholdChoice(threshold, start, best, reason, self.objective, curve)

    def compare(self, task: Task, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
        """The gain of calling some rows positive over calling others, and its standard error."""
        seen, classes = self.seen, self.seen.classes
        scores, moved = [], []
        for called in (ours, theirs):
            labels = classes[np.where(called, self.positive, 1 - self.positive)]
            answered = Answered(labels, classes, classes[self.positive], seen.costs)
            scores.append(answered.score(self.objective, seen.y))
            moved.append(task.influence(self.objective, seen.y, answered))
        if moved[0] is None or moved[1] is None:
            raise ValueError(self.objective)
        sampling = Sampling.of(seen.truth, seen.groups, None, is_ordered=seen.is_ordered)
        return scores[0] - scores[1], sampling.spread(moved[0] - moved[1]).error


def _slack(curve: ThresholdCurve, least: Mapping[str, float]) -> np.ndarray:
    """By how much each threshold fulfils the condition that it fulfils least."""
    slacks = [curve.scores[name] - value for name, value in least.items()]
    return np.min(slacks, axis=0) if slacks else np.zeros(len(curve.thresholds))


def _nearest_of_best(
    curve: ThresholdCurve, objective: str, is_allowed: np.ndarray, start: float
) -> float:
    """The allowed threshold of the highest score; of several the nearest to where one starts."""
    scores = np.where(is_allowed, curve.scores[objective], -np.inf)
    best = curve.thresholds[scores >= scores.max() - 1e-12]
    return float(best[np.abs(best - start).argmin()])
