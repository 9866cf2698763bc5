"""Scores of every threshold of two classes, on rows whose probabilities are known."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hpo.decision_section import COST, DecisionSection
from hpo.errors import DefinitionError, did_you_mean
from hpo.estimators.classification.costs import Costs
from hpo.estimators.classification.label_scores import Shares, score_of_shares

JUDGED_BY_LABELS = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "f1_weighted",
    "jaccard",
    "matthews_corrcoef",
    "precision",
    "precision_macro",
    "recall",
    "recall_macro",
)
"""Scorers that a threshold changes, in which it may be chosen."""


def check_thresholds(section: DecisionSection, n_classes: int, *, has_probabilities: bool) -> None:
    """Refuse a decision that these classes or their model do not have.

    Raises:
        DefinitionError: It is of two classes, of other scorers, or of probabilities.
    """
    if not section.is_set:
        return
    if not has_probabilities:
        raise DefinitionError(
            "decision: it is made of probabilities, which this estimator does not give",
            hint="leave [decision] out, or name another estimator.name",
        )
    if section.subject_to and not section.chooses:
        raise DefinitionError(
            "decision.subject_to: there is nothing to choose within it",
            hint='name decision.maximize, for example "recall", or decision.cost',
        )
    named = [("maximize", section.maximize)] if section.maximize else []
    named += [("subject_to", name) for name in section.subject_to]
    for key, name in named:
        if n_classes != 2:
            raise DefinitionError(
                f"decision.{key}: a threshold is of two classes, but the target has {n_classes}",
                hint="say in decision.cost what each mistake costs",
            )
        if name not in JUDGED_BY_LABELS:
            listed = f"it may be {', '.join(JUDGED_BY_LABELS)}"
            raise DefinitionError(
                f"decision.{key}: '{name}' is no scorer that a threshold changes",
                hint=did_you_mean(name, JUDGED_BY_LABELS, listed),
            )


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """Scores by threshold, each one that calls other rows positive.

    Attributes:
        values: The probabilities of the rows, ascending, each once, array of shape (n_values,).
        thresholds: One up to the least of them, one between each two, one above the greatest, array
            of shape (n_values + 1,).
        scores: Scorer name to its score at each threshold.
    """

    values: np.ndarray
    thresholds: np.ndarray
    scores: dict[str, np.ndarray]

    def at(self, threshold: float, name: str) -> float:
        """The score of any threshold: it calls the rows from there on."""
        return float(self.scores[name][np.searchsorted(self.values, threshold)])


def trace(
    probabilities: np.ndarray,
    truth: np.ndarray,
    names: Iterable[str],
    *,
    positive: int,
    costs: Costs | None = None,
) -> ThresholdCurve:
    """Score every threshold at once.

    Args:
        probabilities: Of the positive class, array of shape (n_samples,).
        truth: Classes by position, array of shape (n_samples,).
        names: Scorers of labels, or :data:`COST`.
        positive: The positive class by position.
        costs: What answers cost in these rows, for :data:`COST`.
    """
    order = np.argsort(probabilities, kind="stable")
    values, first = np.unique(probabilities[order], return_index=True)
    thresholds = np.append(np.append(values[0], (values[:-1] + values[1:]) / 2), values[-1] + 1e-9)
    n_below = np.append(first, len(truth))
    is_true = truth[order] == positive
    below_true = np.append(0, np.cumsum(is_true))[n_below]
    right = np.stack([n_below - below_true, is_true.sum() - below_true], axis=-1)
    predicted = np.stack([n_below, len(truth) - n_below], axis=-1)
    true = np.broadcast_to([(~is_true).sum(), is_true.sum()], right.shape)
    shares = Shares(*(part / len(truth) for part in (right, predicted, true)))
    scores = {}
    for name in names:
        if name == COST and costs is not None:
            called, left = (
                costs.of_rows(truth, np.full(len(truth), answer))[order]
                for answer in (positive, 1 - positive)
            )
            total = called.sum() + np.append(0, np.cumsum(left - called))[n_below]
            scores[name] = -total / len(truth)
            continue
        # The positive class is the second here.
        score = score_of_shares(name, 1)
        if score is None:
            raise ValueError(name)
        scores[name] = score(shares)
    return ThresholdCurve(values, thresholds, scores)
