"""Two models on the same rows: which scores better, and whether the difference is more than noise.

Rows are paired, since what one model finds hard the other mostly does too. Accuracy is compared by McNemar's exact test on the rows
where only one of the two is right (McNemar, Psychometrika 12 (1947), 153-157); every other metric by Student's paired t on the log
loss of each row (Student, Biometrika 6 (1908), 1-25), since a difference of averages such as ROC AUC has no rows to pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

WORSE_LEVEL = 0.16
"""One-sided p below which a model counts as worse: about one standard error. A wrong "worse" only keeps a good champion."""

BETTER_LEVEL = 0.05
"""One-sided p below which a model counts as better."""

_LARGEST_LOSS = 36.0
"""Of a row whose class was thought impossible: as scikit-learn's ``log_loss``, which clips at the machine's precision."""


@dataclass(frozen=True)
class Comparison:
    """A challenger against a champion.

    Attributes:
        measure: ``accuracy`` or ``log loss``.
        challenger: Its score.
        champion: Its score.
        n_rows: Rows that both were asked about.
        p_worse: One-sided p of the hypothesis that the challenger is no worse.
        p_better: One-sided p of the hypothesis that it is no better.
    """

    measure: str
    challenger: float
    champion: float
    n_rows: int
    p_worse: float
    p_better: float

    def satisfies(self, rule: str) -> bool:
        """Whether the challenger may take over: ``not_worse``, ``better`` or ``never``."""
        return {"not_worse": self.p_worse >= WORSE_LEVEL, "better": self.p_better < BETTER_LEVEL}.get(rule, False)

    def to_text(self) -> str:
        """One line for people."""
        return (
            f"{self.measure} {self.challenger:.4f} against {self.champion:.4f} on the same {self.n_rows} held-out rows"
            f" (p worse {self.p_worse:.2g}, p better {self.p_better:.2g})"
        )


@dataclass(frozen=True)
class Answers:
    """What a model said of the rows.

    Attributes:
        labels: Array of shape (n_samples,).
        probabilities: Array of shape (n_samples, n_classes).
        classes: Array of shape (n_classes,), sorted.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    classes: np.ndarray


def compare(metric: str, y: np.ndarray, challenger: Answers, champion: Answers) -> Comparison:
    """Compare two models.

    Args:
        metric: The judged scorer.
        y: True labels, array of shape (n_samples,).
        challenger: What the one said.
        champion: What the other said.
    """
    if metric == "accuracy":
        right, other = challenger.labels == y, champion.labels == y
        n_won, n_lost = int((right & ~other).sum()), int((~right & other).sum())
        # Of the rows where only one is right, either is right as often, were they equally good.
        p_worse, p_better = (float(stats.binom.cdf(n, n_won + n_lost, 0.5)) for n in (n_won, n_lost))
        return Comparison("accuracy", float(right.mean()), float(other.mean()), len(y), p_worse, p_better)
    losses, others = _losses(y, challenger), _losses(y, champion)
    gains = others - losses
    error = gains.std(ddof=1) / math.sqrt(len(y)) if len(y) > 1 else math.inf
    t = float(gains.mean() / max(error, 1e-12))
    p_worse, p_better = (float(stats.t.cdf(sign * t, max(1, len(y) - 1))) for sign in (1, -1))
    return Comparison("log loss", float(losses.mean()), float(others.mean()), len(y), p_worse, p_better)


def _losses(y: np.ndarray, answers: Answers) -> np.ndarray:
    """The log loss of each row, array of shape (n_samples,)."""
    places = np.searchsorted(answers.classes, y).clip(max=len(answers.classes) - 1)
    chosen = np.where(answers.classes[places] == y, answers.probabilities[np.arange(len(y)), places], 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(-np.log(chosen), _LARGEST_LOSS))
