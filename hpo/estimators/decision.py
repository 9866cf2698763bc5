"""Decisions: calibration and a rule, put around a pipeline so that it answers by them.

Both are scikit-learn's own classes where it has them: ``CalibratedClassifierCV``, with the
calibrators that it fits to out-of-fold predictions, and ``FixedThresholdClassifier``. Neither
changes the pipeline, which is inside as it was fitted. They load much, so studies that decide
nothing do without them.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from hpo.expected_cost import ExpectedCostClassifier

if TYPE_CHECKING:
    from sklearn.calibration import CalibratedClassifierCV

_CALIBRATED = "sklearn.calibration.CalibratedClassifierCV"
_THRESHOLD = "sklearn.model_selection._classification_threshold.FixedThresholdClassifier"
_EXPECTED_COST = "hpo.expected_cost.ExpectedCostClassifier"

AROUND = (_THRESHOLD, _EXPECTED_COST, _CALIBRATED)
"""Classes of what may be around a pipeline, each by its path, the outermost first."""

TRUSTED_TYPES = (
    _EXPECTED_COST,
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
)
"""Types around a pipeline beside those that skops trusts."""

SAVED_TYPES = (_CALIBRATED, _THRESHOLD, "sklearn.isotonic.IsotonicRegression")
"""scikit-learn's own around a pipeline, by the paths that skops saves."""


@dataclass(frozen=True, eq=False)
class Calibrator:
    """Turns what a model says of rows into probabilities that hold.

    Attributes:
        method: ``sigmoid`` or ``isotonic``.
        fitted: With calibrators fitted to out-of-fold predictions, around a model that is of no
            account.
    """

    method: str
    fitted: "CalibratedClassifierCV"

    @classmethod
    def fit(cls, method: str, said: np.ndarray, y: np.ndarray) -> Self:
        """Fit to out-of-fold predictions.

        Args:
            method: ``sigmoid`` or ``isotonic``.
            said: The decision function, or the probabilities where there is none, array of shape
                (n_samples, n_classes), or (n_samples, 1) for the second of two classes.
            y: Labels, array of shape (n_samples,).
        """
        from sklearn.calibration import CalibratedClassifierCV  # noqa: PLC0415 - it loads SVMs

        every = np.arange(len(y))
        fitted = CalibratedClassifierCV(
            _AsSaid(), method=method, cv=[(every, every)], ensemble=False
        ).fit(said, y)
        return cls(method, fitted)

    def predict_proba(self, said: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, array of shape (n_samples, n_classes)."""
        return np.asarray(self.fitted.predict_proba(said))

    def wrap(self, model: Any) -> "CalibratedClassifierCV":
        """Put the calibrators around a fitted model."""
        whole = type(self.fitted)(model, method=self.method, ensemble=False)
        whole.classes_ = self.fitted.classes_
        (known,) = self.fitted.calibrated_classifiers_
        couple = type(known)(model, known.calibrators, classes=whole.classes_, method=self.method)
        whole.calibrated_classifiers_ = [couple]
        return whole


class _AsSaid(ClassifierMixin, BaseEstimator):
    """Gives the rows themselves for its decision function: they are one that is known already."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:  # noqa: ARG002
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self.classes_[self.decision_function(X).argmax()])

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return X[:, 0] if X.shape[1] == 1 else X


@dataclass(frozen=True, eq=False)
class Decision:
    """How a fitted model answers; by default as it comes.

    Attributes:
        calibrator: What mends its probabilities, or None.
        threshold: From which probability of the positive class on that is the answer, or None.
        positive: That class, where there is a threshold.
        cost: What answers cost, where the least expected cost decides: array of shape (n_classes,
            n_classes), or None.
    """

    calibrator: Calibrator | None = None
    threshold: float | None = None
    positive: Any = None
    cost: np.ndarray | None = None

    def wrap(self, model: Any) -> Any:
        """Put the decision around a fitted model."""
        if self.calibrator is not None:
            model = self.calibrator.wrap(model)
        if self.threshold is not None:
            from sklearn.model_selection import FixedThresholdClassifier  # noqa: PLC0415

            return FixedThresholdClassifier(
                model,
                threshold=self.threshold,
                pos_label=getattr(self.positive, "item", lambda: self.positive)(),
                response_method="predict_proba",
            )
        return model if self.cost is None else ExpectedCostClassifier(model, self.cost)

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules of this package that its model needs beside those of every model."""
        return () if self.cost is None else ("expected_cost",)

    def describe(self) -> dict[str, str]:
        """Its parts as text, by name; those that it has."""
        described = {
            "calibration": self.calibrator and self.calibrator.method,
            "threshold": self.threshold,
            "positive": self.positive,
            "cost": None if self.cost is None else self.cost.tolist(),
        }
        return {name: str(value) for name, value in described.items() if value is not None}

    @property
    def digest(self) -> str:
        """Stands for the decision in the key of the model that ships; empty where there is none."""
        described = self.describe()
        return hashlib.sha256(repr(described).encode()).hexdigest()[:8] if described else ""


def without_rule(model: Any) -> Any:
    """A model without the rule by which it decides; its probabilities stay mended."""
    return model.estimator if _path_of(model) in (_THRESHOLD, _EXPECTED_COST) else model


def without_decision(model: Any) -> Any:
    """The pipeline inside, as it was fitted."""
    model = without_rule(model)
    return model.estimator if _path_of(model) == _CALIBRATED else model


def replace_pipeline(model: Any, pipeline: Any) -> Any:
    """The same decision around another fitted pipeline."""
    path = _path_of(model)
    if path not in AROUND:
        return pipeline
    inner = replace_pipeline(model.estimator, pipeline)
    if path == _CALIBRATED:
        return Calibrator(model.method, model).wrap(inner)
    return type(model)(**{**model.get_params(deep=False), "estimator": inner})


def _path_of(model: Any) -> str:
    return f"{type(model).__module__}.{type(model).__name__}"
