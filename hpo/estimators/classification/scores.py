"""Scores of a fitted classifier, each kind of prediction made once."""

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.metrics import get_scorer
from sklearn.utils.metaestimators import available_if

from hpo.decision_section import COST
from hpo.errors import DefinitionError
from hpo.estimators.classification.costs import Costs
from hpo.estimators.classification.positive import POSITIVE_METRICS
from hpo.estimators.metrics import check_score

NO_COSTS = "nothing says what a mistake costs"


class Predicted(ClassifierMixin, BaseEstimator):
    """A fitted classifier and its rows: each kind of prediction is made once."""

    def __init__(
        self,
        model: Any,
        X: Any,
        rows: Any = slice(None),
        positive: Any = None,
        costs: Costs | None = None,
    ) -> None:
        self.model = model
        self.X = X
        self.rows = rows
        self.positive = positive
        self.costs = costs
        self.classes_ = model.classes_
        self._responses: dict[str, np.ndarray] = {}

    def score(self, metric: str, y: np.ndarray) -> float:
        """One score, given the rows' labels."""
        if own := _OWN_SCORERS.get(metric):
            return own(self, y)
        if metric == COST:
            return -float(self.costs_of_rows(y).mean())
        if self.positive is None or metric not in POSITIVE_METRICS:
            return float(get_scorer(metric)(self, self.X, y))
        return float(get_scorer(metric)(_OneClass(self), self.X, (y == self.positive).astype(int)))

    @property
    def positive_position(self) -> int:
        """The positive one of two classes by position; scikit-learn's is the second."""
        return 1 if self.positive is None else int(self.positions(np.array([self.positive]))[0])

    def positions(self, labels: np.ndarray) -> np.ndarray:
        """Labels as positions among the classes."""
        return np.asarray(np.searchsorted(self.classes_, labels))

    def take(self, rows: np.ndarray) -> "Predicted":
        """The same of some of the rows, by position."""
        return Predicted(self, None, rows, self.positive, self.costs and self.costs.take(rows))

    def responses(self) -> dict[str, np.ndarray]:
        """Probabilities, and the decision function that calibration takes where there is one."""
        methods = ("predict_proba", "decision_function")
        return {name: getattr(self, name)() for name in methods if hasattr(self.model, name)}

    def costs_of_rows(self, y: np.ndarray) -> np.ndarray:
        """The cost of the answers, given the rows' labels, array of shape (n_samples,)."""
        if self.costs is None:
            raise TypeError(NO_COSTS)
        return self.costs.of_rows(self.positions(y), self.answers(self.costs))

    def answers(self, costs: Costs) -> np.ndarray:
        """The answers that are expected to cost least, by position."""
        return costs.answer(self.predict_proba())

    def _response(self, method: str) -> np.ndarray:
        if method not in self._responses:
            self._responses[method] = getattr(self.model, method)(self.X)[self.rows]
        return self._responses[method]

    def predict(self, X: Any = None) -> np.ndarray:  # noqa: ARG002
        """Labels, array of shape (n_samples,)."""
        return self._response("predict")

    def predict_proba(self, X: Any = None) -> np.ndarray:  # noqa: ARG002
        """Array of shape (n_samples, n_classes)."""
        return self._response("predict_proba")

    @available_if(lambda self: hasattr(self.model, "decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any = None) -> np.ndarray:  # noqa: ARG002
        """Array of shape (n_samples,), or with a column a class where there are more than two."""
        return self._response("decision_function")


class Answered(Predicted):
    """Labels that somebody chose, whatever probabilities said.

    Args:
        labels: Array of shape (n_samples,).
        classes: All that there are, sorted.
        positive: The positive one of two, or None.
        costs: What answers cost in these rows, or None.
    """

    def __init__(
        self, labels: np.ndarray, classes: np.ndarray, positive: Any = None, costs: Any = None
    ) -> None:
        super().__init__(SimpleNamespace(classes_=classes), None, positive=positive, costs=costs)
        self.labels = labels

    def answers(self, costs: Costs) -> np.ndarray:  # noqa: ARG002
        """The labels, by position."""
        return self.positions(self.labels)

    def take(self, rows: np.ndarray) -> "Answered":
        """The same of some of the rows, by position."""
        costs = self.costs and self.costs.take(rows)
        return Answered(self.labels[rows], self.classes_, self.positive, costs)

    def predict(self, X: Any = None) -> np.ndarray:  # noqa: ARG002
        """The labels."""
        return self.labels


class _OneClass(ClassifierMixin, BaseEstimator):
    """The same predictions as 0 and 1: scorers take 1 for the positive class."""

    def __init__(self, predicted: Predicted) -> None:
        self.predicted = predicted
        self.classes_ = np.array([0, 1])

    def predict(self, X: Any) -> np.ndarray:
        """Array of 0 and 1, of shape (n_samples,)."""
        return np.asarray(self.predicted.predict(X) == self.predicted.positive, dtype=int)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Array of shape (n_samples, 2), the positive class last."""
        probabilities = self.predicted.predict_proba(X)
        return probabilities if self._is_second() else probabilities[:, ::-1]

    @available_if(lambda self: hasattr(self.predicted, "decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> np.ndarray:
        """Array of shape (n_samples,), greater for the positive class."""
        decision = self.predicted.decision_function(X)
        return np.asarray(decision if self._is_second() else -decision)

    def _is_second(self) -> bool:
        return bool(self.predicted.classes_[1] == self.predicted.positive)


def _accuracy(predicted: Predicted, y: np.ndarray) -> float:
    return float(np.mean(predicted.predict() == y))


def _neg_log_loss(predicted: Predicted, y: np.ndarray) -> float:
    """Compute ``sklearn.metrics.log_loss``: clipped by the dtype's epsilon, then averaged."""
    probabilities = predicted.predict_proba()
    epsilon = np.finfo(probabilities.dtype).eps
    if len(predicted.classes_) == 2:
        # scikit-learn's scorer hands over the second column alone.
        probabilities = np.column_stack((1 - probabilities[:, 1], probabilities[:, 1]))
    of_label = probabilities[np.arange(len(y)), np.searchsorted(predicted.classes_, y)]
    return float(np.mean(np.log(np.clip(of_label, epsilon, 1 - epsilon))))


_OWN_SCORERS = {"accuracy": _accuracy, "neg_log_loss": _neg_log_loss}
"""Computed here as scikit-learn computes them: its own scorers spend about 2 ms on validating what
is known to be valid, as much as a fit on a small table takes."""


def check_metrics(metrics: Sequence[str], y: np.ndarray, positive: Any = None) -> None:
    """Score a constant model, so that a metric that does not fit ends the run before trial 0.

    Raises:
        DefinitionError: A scorer cannot judge these classes (a binary scorer on three classes, a
            regression scorer).
    """
    y = np.concatenate([np.unique(y), y[:100]])
    X = np.zeros((len(y), 1))
    model = Predicted(DummyClassifier(strategy="prior").fit(X, y), X, positive=positive)
    for name in metrics:
        if name == COST:
            continue
        if _JUDGES_NUMBERS.search(name):
            raise DefinitionError(
                f"study.metric: metric '{name}' judges numbers, not classes",
                hint="for example accuracy, f1_macro or neg_log_loss;"
                " or name a regressor, for example --estimator Ridge",
            )
        hint = (
            "for example accuracy, f1 or roc_auc"
            if len(model.classes_) == 2
            else "for more than two classes take an averaged one,"
            " for example f1_macro, roc_auc_ovr or balanced_accuracy"
        )
        check_score(model, name, y, what="classes", hint=hint)


def judges_probabilities(metric: str) -> bool:
    """Whether a scorer looks at probabilities or their order, not at the predicted classes."""
    return _JUDGES_PROBABILITIES.search(metric) is not None


def needs_probabilities(metric: str) -> bool:
    """Whether a scorer asks for ``predict_proba`` and takes nothing in its place."""
    return _NEEDS_PROBABILITIES.search(metric) is not None


OF_POSITIVE = frozenset({"f1", "jaccard", "precision", "recall"})
"""Scorers of the positive class alone: a model that never answers it scores nothing."""

_NEEDS_PROBABILITIES = re.compile(r"log_loss|brier|roc_auc_ov|likelihood|^neg_cost$")
_JUDGES_PROBABILITIES = re.compile(
    r"log_loss|brier|roc_auc|average_precision|top_k|likelihood|^neg_cost$"
)
_JUDGES_NUMBERS = re.compile(r"^r2$|error|deviance|^explained_variance$")
"""Scorers for regression: they take integer labels for numbers and do not complain."""
