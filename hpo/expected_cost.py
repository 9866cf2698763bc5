"""Answers by expected cost, for three classes and more; of two, scikit-learn has a threshold.

Models ship with this module and name its class by this path, so it imports numpy and scikit-learn
alone, and it does not move.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class ExpectedCostClassifier(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose ``predict`` gives the answer that is expected to cost least.

    Args:
        estimator: Gives probabilities; it is fitted already.
        cost: Of true classes in rows and answers in columns, in the order of ``classes_``, array of
            shape (n_classes, n_classes).
    """

    def __init__(self, estimator: Any, cost: Any) -> None:
        self.estimator = estimator
        self.cost = cost

    @property
    def classes_(self) -> np.ndarray:
        """Of the estimator."""
        return np.asarray(self.estimator.classes_)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self.estimator, "classes_")

    def fit(self, X: Any, y: Any) -> Self:  # noqa: ARG002
        """Do nothing, as scikit-learn's ``FrozenEstimator``: the estimator is fitted."""
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Labels, array of shape (n_samples,)."""
        expected = self.predict_proba(X) @ np.asarray(self.cost)
        return np.asarray(self.classes_[expected.argmin(axis=1)])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Of the estimator, array of shape (n_samples, n_classes)."""
        return np.asarray(self.estimator.predict_proba(X))
