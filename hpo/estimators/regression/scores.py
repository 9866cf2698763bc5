"""Scores of a fitted regressor, its prediction made once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import get_scorer

from hpo.estimators.metrics import check_score


class PredictedNumbers(RegressorMixin, BaseEstimator):
    """A fitted regressor and its rows: the prediction is made once."""

    def __init__(self, model: Any, X: Any, rows: Any = slice(None)) -> None:
        self.model = model
        self.X = X
        self.rows = rows
        self._predicted: np.ndarray | None = None

    def score(self, metric: str, y: np.ndarray) -> float:
        """One score, given the rows' numbers."""
        return float(get_scorer(metric)(self, self.X, y))

    def responses(self) -> dict[str, np.ndarray]:
        """The prediction: of numbers there is nothing to decide."""
        return {"predict": self.predict()}

    def take(self, rows: np.ndarray) -> "PredictedNumbers":
        """The same of some of the rows, by position."""
        taken = PredictedNumbers(self.model, None, rows)
        taken._predicted = self.predict()[rows]
        return taken

    def predict(self, X: Any = None) -> np.ndarray:  # noqa: ARG002
        """Numbers, array of shape (n_samples,)."""
        if self._predicted is None:
            self._predicted = np.asarray(self.model.predict(self.X))[self.rows]
        return self._predicted


def check_metrics(metrics: Sequence[str], y: np.ndarray, constant: Any) -> None:
    """Score a constant model, so that a metric that does not fit ends the run before trial 0.

    Raises:
        DefinitionError: A scorer cannot judge these numbers.
    """
    model = PredictedNumbers(constant, np.zeros((len(y), 1)))
    for name in metrics:
        hint = "for example r2, neg_mean_absolute_error or neg_root_mean_squared_error"
        check_score(model, name, y, what="numbers", hint=hint)


def loss_of(constant: Any, metric: str, y: np.ndarray) -> float:
    """The loss of a constant model by a scorer; 1 by one that is a share of such a loss itself."""
    if not metric.startswith("neg_"):
        return 1.0
    return -PredictedNumbers(constant, np.zeros((len(y), 1))).score(metric, y)
