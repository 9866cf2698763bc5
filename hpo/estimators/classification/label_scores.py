"""Influence values of scores that judge predicted labels: functions of the confusion matrix."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

STEP = 1e-6

AVERAGES = frozenset({"macro", "micro", "weighted"})


@dataclass(frozen=True)
class Shares:
    """Shares of the rows, each an array of shape (..., n_classes).

    Attributes:
        right: Of each class, predicted as such.
        predicted: Predicted as each class.
        true: Of each class.
    """

    right: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


OfShares = Callable[[Shares], np.ndarray]


def score_of_shares(metric: str, positive: int) -> OfShares | None:
    """A score as a function of shares.

    Args:
        metric: A scorer's name.
        positive: The positive one of two classes, by position.

    Returns:
        The function, or None for a scorer that is not known here.
    """
    if metric in _WHOLE:
        return _WHOLE[metric]
    name, _, average = metric.partition("_")
    if name not in _PARTS or average not in {"", *AVERAGES}:
        return None
    parts = _PARTS[name]

    def score(shares: Shares) -> np.ndarray:
        top, bottom = parts(shares)
        if average == "micro":
            return _divide(top.sum(-1), bottom.sum(-1))
        of_class = _divide(top, bottom)
        if average == "macro":
            return np.asarray(of_class.mean(-1))
        if average == "weighted":
            return np.asarray((shares.true * of_class).sum(-1))
        return np.asarray(of_class[..., positive])

    return score


def influence_on_labels(
    score: OfShares,
    truth: np.ndarray,
    predicted: np.ndarray,
    n_classes: int,
    weights: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """A score of predicted labels, and how much each row moves it.

    A row's influence is the score's derivative as all rows give way to that one; it is the same for
    all rows of a cell of the confusion matrix, so it is computed once a cell.

    Args:
        score: The score of shares.
        truth: True classes by position, array of shape (n_samples,).
        predicted: Predicted ones.
        n_classes: The number of classes.
        weights: Of the rows, array of shape (n_samples,), or None.
    """
    cells, cell = np.unique(truth * n_classes + predicted, return_inverse=True)
    counts = np.bincount(cell, weights)
    true, called = np.divmod(cells, n_classes)
    one_of_cell = np.eye(n_classes)
    rows = np.hstack(
        [one_of_cell[true] * (true == called)[:, None], one_of_cell[called], one_of_cell[true]]
    )
    now = counts @ rows / counts.sum()
    after, before = (
        score(Shares(*np.split(now + step * (rows - now), 3, axis=-1))) for step in (STEP, -STEP)
    )
    value = float(score(Shares(*np.split(now, 3, axis=-1))))
    return value, np.asarray(((after - before) / (2 * STEP))[cell])


def made_up_rows(
    predicted: Sequence[np.ndarray], n_classes: int
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """One row of each class: half of it right and half wrong, or one model's half and the other's.

    Half a row of each kind is what Agresti and Min (2005, Statistics in Medicine 24, 729-740) add
    to a paired table; Agresti and Coull (1998, The American Statistician 52, 119-126) add two to a
    proportion. A model that never predicts a class does not in these rows either.

    Args:
        predicted: Labels by position of one model or of two.
        n_classes: The number of classes.

    Returns:
        The true classes, the labels that each model predicts, and the rows' weights.
    """
    classes = np.arange(n_classes)
    true, wrong = (grid[~np.eye(n_classes, dtype=bool)] for grid in np.meshgrid(classes, classes))
    right = true.copy()
    truth = np.concatenate([true, true])
    made_up = [np.concatenate([right, wrong]), np.concatenate([wrong, right])][: len(predicted)]
    weights = np.full(len(truth), 0.5 / (n_classes - 1))
    known = np.all(
        [np.isin(rows, labels) for rows, labels in zip(made_up, predicted, strict=True)], axis=0
    )
    return truth[known], [rows[known] for rows in made_up], weights[known]


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """A ratio, 0 where there is nothing to divide by."""
    return np.asarray(np.divide(top, bottom, out=np.zeros_like(top), where=bottom > STEP / 1e3))


def _correlation(shares: Shares) -> np.ndarray:
    """Matthews' correlation coefficient of any number of classes (Gorodkin 2004)."""
    common = shares.right.sum(-1) - (shares.predicted * shares.true).sum(-1)
    predicted, true = (1 - (shares_of**2).sum(-1) for shares_of in (shares.predicted, shares.true))
    return _divide(common, np.sqrt(np.maximum(predicted * true, 0)))


_PARTS: dict[str, Callable[[Shares], tuple[np.ndarray, np.ndarray]]] = {
    "f1": lambda shares: (2 * shares.right, shares.predicted + shares.true),
    "jaccard": lambda shares: (shares.right, shares.predicted + shares.true - shares.right),
    "precision": lambda shares: (shares.right, shares.predicted),
    "recall": lambda shares: (shares.right, shares.true),
}
"""Of each class, what its score is the ratio of."""

_WHOLE: dict[str, OfShares] = {
    "accuracy": lambda shares: np.asarray(shares.right.sum(-1)),
    "balanced_accuracy": lambda shares: np.asarray(_divide(shares.right, shares.true).mean(-1)),
    "matthews_corrcoef": _correlation,
}
