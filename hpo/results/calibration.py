"""Whether a model's probabilities hold: measured on held-out rows, and mended where that helps.

A calibrator is fitted to out-of-fold predictions, and judged on folds that it was not fitted on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.data.dataset import Dataset
from hpo.decision_section import Calibration
from hpo.estimators.decision import Calibrator
from hpo.estimators.out_of_fold import OutOfFold
from hpo.estimators.task import Predictions, Task
from hpo.results.holdout import judge_on_holdout
from hpo.results.intervals import Estimate, estimate_by_t, too_few_to_say
from hpo.results.sampling import Sampling

METHODS = ("sigmoid", "isotonic")

N_BINS = 10
"""Of equally many rows; fewer where a bin would have less than :data:`ROWS_OF_BIN`."""

ROWS_OF_BIN = 20
MIN_ROWS = 2 * ROWS_OF_BIN


@dataclass(frozen=True)
class ProbabilityScores:
    """How good probabilities are on held-out rows; lower is better for each.

    Attributes:
        brier: Brier score: the mean squared error.
        log_loss: The mean log loss.
        calibration_error: How far a probability is from the share that it promises.
        asked: How they were to be mended, as a study file says it.
        method: How they were.
        gain: By how much log loss falls out of fold by that, or by what was tried; None where
            nothing was.
    """

    brier: Estimate
    log_loss: Estimate
    calibration_error: Estimate
    asked: Calibration = "none"
    method: str = "none"
    gain: Estimate | None = None

    @property
    def scores(self) -> dict[str, Estimate]:
        """Each score by name."""
        names = ("brier", "log_loss", "calibration_error")
        return {name: getattr(self, name) for name in names}

    def to_json(self) -> dict[str, Any]:
        """Each score by name, and how the probabilities were mended."""
        return {
            **{name: estimate.to_json() for name, estimate in self.scores.items()},
            "asked": self.asked,
            "method": self.method,
            "gain": self.gain and self.gain.to_json(),
        }


@dataclass(frozen=True, eq=False)
class CalibrationChoice:
    """Whether probabilities are mended.

    Attributes:
        calibrator: Fitted to all out-of-fold predictions, or None where they stay as they are.
        probabilities: Out of fold, each mended by a calibrator that did not see its fold, array of
            shape (n_samples, n_classes).
        asked: How they were to be.
        gain: By how much log loss falls out of fold by the best method that was tried; None where
            none was.
    """

    calibrator: Calibrator | None
    probabilities: np.ndarray
    asked: Calibration
    gain: Estimate | None = None


def choose_calibration(asked: Calibration, seen: OutOfFold) -> CalibrationChoice:
    """Mend probabilities as asked; for ``auto`` only where that is better by more than noise."""
    methods = METHODS if asked == "auto" else () if asked == "none" else (asked,)
    raw = _losses(seen.probabilities, seen.truth)
    sampling = Sampling.of(seen.truth, seen.groups, None, is_ordered=seen.is_ordered)
    tried = {}
    for method in methods:
        probabilities = _mend_by_others(method, seen)
        if probabilities is not None:
            gained = raw - _losses(probabilities, seen.truth)
            spread = sampling.spread(gained - gained.mean())
            gain = estimate_by_t(float(gained.mean()), spread.error, spread.df)
            tried[method] = gain, probabilities
    if not tried:
        return CalibrationChoice(None, seen.probabilities, asked)
    best = max(tried, key=lambda method: tried[method][0].value)
    gain, probabilities = tried[best]
    if asked == "auto" and gain.low <= 0:
        return CalibrationChoice(None, seen.probabilities, asked, gain)
    calibrator = Calibrator.fit(best, seen.said, seen.y)
    return CalibrationChoice(calibrator, probabilities, asked, gain)


def _mend_by_others(method: str, seen: OutOfFold) -> np.ndarray | None:
    """Mend each fold by the others; None where they do not hold every class."""
    probabilities = np.empty_like(seen.probabilities, dtype=float)
    for fold in np.unique(seen.folds):
        is_of_fold = seen.folds == fold
        others = seen.y[~is_of_fold]
        if len(np.unique(others)) < len(seen.classes):
            return None
        calibrator = Calibrator.fit(method, seen.said[~is_of_fold], others)
        probabilities[is_of_fold] = calibrator.predict_proba(seen.said[is_of_fold])
    return probabilities


def _losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The log loss of each row, clipped as scikit-learn does."""
    epsilon = np.finfo(float).eps
    of_true = probabilities[np.arange(len(truth)), truth].astype(float)
    return np.asarray(-np.log(np.clip(of_true, epsilon, 1 - epsilon)))


def judge_probabilities(
    task: Task, model: Predictions, dataset: Dataset, choice: CalibrationChoice | None
) -> ProbabilityScores:
    """Score the probabilities of a model on held-out rows.

    Args:
        task: Classification.
        model: With the rows.
        dataset: The rows.
        choice: How its probabilities were mended, or None where nothing was asked for.
    """
    brier, log_loss = (
        -judge_on_holdout(task, [model], dataset, metric, seed=0)[0]
        for metric in ("neg_brier_score", "neg_log_loss")
    )
    probabilities = model.responses()["predict_proba"]
    truth = np.searchsorted(np.unique(dataset.y_train), dataset.y_test)
    if probabilities.shape[1] == 2:
        promised, held = probabilities[:, 1], truth == 1
    else:
        promised, held = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    error = estimate_calibration_error(promised, held, dataset.groups_test)
    if choice is None:
        return ProbabilityScores(brier, log_loss, error)
    method = "none" if choice.calibrator is None else choice.calibrator.method
    return ProbabilityScores(brier, log_loss, error, choice.asked, method, choice.gain)


def estimate_calibration_error(
    promised: np.ndarray, held: np.ndarray, groups: Sequence[Any] | np.ndarray | None = None
) -> Estimate:
    """Estimate the expected calibration error: by how much probabilities miss, root mean square.

    Rows are put into bins of equally many by their probability. The mean square of the bins' gaps
    is too large by their variance, which is taken off (Kumar, Liang and Ma 2019, NeurIPS 32); its
    interval is that of a sum of squared normal gaps (Sun, Chaudhari, Barnett and Dobriban 2024,
    arXiv:2408.08998).

    Args:
        promised: Probabilities, array of shape (n_samples,).
        held: Whether it was so, array of shape (n_samples,).
        groups: The group of each row, or None.
    """
    n = len(promised)
    n_bins = min(N_BINS, n // ROWS_OF_BIN)
    bins = np.empty(n, dtype=int)
    bins[np.argsort(promised, kind="stable")] = np.arange(n) * max(n_bins, 1) // n
    gaps = held - promised
    square, variance = 0.0, 0.0
    for each in range(max(n_bins, 1)):
        of_bin = gaps[bins == each]
        share, gap = len(of_bin) / n, of_bin.mean()
        rest = of_bin - gap
        if groups is not None:
            members = np.unique(np.asarray(groups)[bins == each], return_inverse=True)[1]
            rest = np.bincount(members, rest)
        error = float((rest**2).sum()) / len(of_bin) ** 2 * len(rest) / max(len(rest) - 1, 1)
        square += share * (gap**2 - error)
        variance += share**2 * (4 * gap**2 * error + 2 * error**2)
    value = math.sqrt(max(square, 0.0))
    if n < MIN_ROWS:
        return too_few_to_say(value)
    ends = estimate_by_t(square, math.sqrt(variance), math.inf)
    low, high = (math.sqrt(max(end, 0.0)) for end in (ends.low, ends.high))
    return Estimate(value, low, high)
