"""Out-of-fold predictions: of every training row, by a model that was not fitted on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.data.dataset import Dataset
from hpo.estimators.objective import StepResult
from hpo.estimators.task import Split


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """The training rows that some fold tested, with what its model said of them.

    Attributes:
        y: Labels, array of shape (n_samples,).
        probabilities: Array of shape (n_samples, n_classes).
        said: What calibration takes, as ``CalibratedClassifierCV`` does: the decision function, or
            the probabilities where there is none; array of shape (n_samples, n_classes), or
            (n_samples, 1) for the second of two classes.
        folds: The fold that tested each row, array of shape (n_samples,).
        groups: The group of each row, or None.
        costs: What answers cost in these rows, or None.
        is_ordered: Whether the rows are in the order of time.
    """

    y: np.ndarray
    probabilities: np.ndarray
    said: np.ndarray
    folds: np.ndarray
    groups: np.ndarray | None = None
    costs: Any = None
    is_ordered: bool = False

    @property
    def classes(self) -> np.ndarray:
        """Labels, sorted."""
        return np.unique(self.y)

    @property
    def truth(self) -> np.ndarray:
        """Classes by position, array of shape (n_samples,)."""
        return np.searchsorted(self.classes, self.y)


def gather(
    results: Sequence[StepResult], splits: Sequence[Split], dataset: Dataset, costs: Any
) -> OutOfFold:
    """Put the folds of one repeat together, in the order of the folds.

    Args:
        results: Of each fold, with its predictions.
        splits: Of the training rows.
        dataset: The rows.
        costs: What answers cost in the training rows, or None.
    """
    rows = np.concatenate([test for _, test in splits])
    probabilities = np.concatenate([result.predictions["predict_proba"] for result in results])
    said = np.concatenate(
        [
            result.predictions.get("decision_function", result.predictions["predict_proba"])
            for result in results
        ]
    )
    if said.ndim == 1:
        said = said[:, None]
    elif said.shape[1] == 2:
        said = said[:, 1:]
    return OutOfFold(
        dataset.y_train[rows],
        probabilities,
        said,
        np.repeat(np.arange(len(splits)), [len(test) for _, test in splits]),
        None if dataset.groups is None else dataset.groups[rows],
        costs and costs.take(rows),
        is_ordered=dataset.order is not None,
    )
