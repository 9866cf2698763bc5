"""Folds prepared once, and the scores of params on a fold. Knows scikit-learn, not Optuna.

Preprocessing is fitted on a fold's training rows when the folds are prepared, not once a trial; the scores are those of
``cross_validate`` on the whole pipeline with the same splits, to the last bit. Whatever a fit raises becomes the trial's
failure, with its reason.
"""

import re
import traceback
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import sklearn
from scipy.sparse import csr_matrix, issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedGroupKFold

from hpo.data.dataset import Dataset
from hpo.definition import CvSection, StudyDefinition
from hpo.errors import DataError, DefinitionError, did_you_mean, first_line
from hpo.estimators.estimator import (
    TrainingShape,
    build_classifier,
    build_preprocessing,
    encode_categories,
)

ALWAYS_SCORED = ("accuracy", "neg_log_loss")


Rows: TypeAlias = np.ndarray | csr_matrix
"""Preprocessed rows, dense or sparse."""


@dataclass(frozen=True)
class Fold:
    """One split, preprocessed; labels are the positions of the table's labels in their sorted order.

    Attributes:
        X_train: Rows of shape (n_train, n_features_out).
        y_train: Integers, array of shape (n_train,).
        X_test: Rows of shape (n_test, n_features_out).
        y_test: Integers, array of shape (n_test,).
    """

    X_train: Rows
    y_train: np.ndarray
    X_test: Rows
    y_test: np.ndarray


@dataclass(frozen=True)
class FoldResult:
    """What one fit gave.

    Attributes:
        scores: Scorer name to score; greater is better. Empty where the fit failed.
        converged: Whether the solver reached its tolerance.
        failure: One line, or None where all went well.
        traceback: The whole traceback of a failure.
    """

    scores: dict[str, float] = field(default_factory=dict)
    converged: bool = True
    failure: str | None = None
    traceback: str | None = None


def make_splits(
    dataset: Dataset, section: CvSection, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test positions of ``n_splits * n_repeats`` stratified folds; a group is never split.

    Raises:
        DataError: All groups with a class would be in one fold: what is fitted on the others would not know it.
    """
    n_splits, n_repeats = section.n_splits, section.n_repeats
    if dataset.groups is None:
        splitters = [
            RepeatedStratifiedKFold(n_splits=n_splits, n_repeats=n_repeats, random_state=seed)
        ]
    else:
        splitters = [
            StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed + repeat)
            for repeat in range(n_repeats)
        ]
    splits = [
        split
        for splitter in splitters
        for split in splitter.split(dataset.X_train, dataset.y_train, dataset.groups)
    ]
    for train, _ in splits if dataset.groups is not None else ():
        if (lacking := np.setdiff1d(dataset.y_train, dataset.y_train[train])).size:
            raise DataError(
                f"data: class '{lacking[0]}' is in so few groups that a fold would be fitted without it",
                hint="drop the class, or group the rows by something finer",
            )
    return splits


def prepare_folds(dataset: Dataset, definition: StudyDefinition) -> list[Fold]:
    """Split the training rows and preprocess each fold, fitted on its own training rows only.

    Raises:
        DataError: The preprocessed table is wider than ``preprocessing.max_features``, or a class is in too few groups.
    """
    folds = []
    X = encode_categories(dataset.X_train, dataset.columns)
    y = np.unique(dataset.y_train, return_inverse=True)[1]
    for train, test in make_splits(dataset, definition.cv, definition.study.seed):
        preprocessing = build_preprocessing(
            dataset.columns, definition.preprocessing, are_encoded=True
        )
        X_train = preprocessing.fit_transform(X.iloc[train], y[train])
        check_width(X_train.shape[1], definition.preprocessing.max_features)
        folds.append(Fold(X_train, y[train], preprocessing.transform(X.iloc[test]), y[test]))
    return folds


def check_width(n_features: int, max_features: int) -> None:
    """Refuse a table that is too wide to be searched.

    Raises:
        DataError: It has more columns than allowed.
    """
    if n_features > max_features:
        raise DataError(
            f"data: the table has {n_features} columns after preprocessing, more than max_features = {max_features}",
            hint="drop columns, pool more categories with preprocessing.min_frequency, or raise preprocessing.max_features",
        )


def training_shape(fold: Fold, n_classes: int) -> TrainingShape:
    """What a fit's cost depends on, of a fold's training rows."""
    n_samples, n_features = fold.X_train.shape
    # The size of a sparse matrix is the number of its stored values.
    return TrainingShape(
        n_samples, n_features, n_classes, fold.X_train.size, issparse(fold.X_train)
    )


def resolve_metrics(metric: str, extra: Iterable[str]) -> tuple[str, ...]:
    """The scorers of every trial: the judged one first, then accuracy and log loss, then the requested ones.

    Raises:
        DefinitionError: A name is none of scikit-learn's scorers.
    """
    names = tuple(dict.fromkeys((metric, *ALWAYS_SCORED, *extra)))
    known = get_scorer_names()
    for name in names:
        if name not in known:
            raise DefinitionError(
                f"study.metric: a metric should be the name of a scikit-learn scorer, but got '{name}'",
                hint=did_you_mean(
                    name, known, "sklearn.metrics.get_scorer_names() lists them", n=3
                ),
            )
    return names


def check_metrics(metrics: Sequence[str], y: np.ndarray) -> None:
    """Score a constant model on the labels, so that a metric that does not fit the data ends the run before trial 0.

    Raises:
        DefinitionError: A scorer cannot judge these classes (a binary scorer on three classes, a regression scorer).
    """
    y = np.concatenate([np.unique(y), y[:100]])
    X = np.zeros((len(y), 1))
    model = DummyClassifier(strategy="prior").fit(X, y)
    for name in metrics:
        if _JUDGES_NUMBERS.search(name):
            raise DefinitionError(
                f"study.metric: metric '{name}' judges numbers, not classes",
                hint="for example accuracy, f1_macro or neg_log_loss",
            )
        try:
            with warnings.catch_warnings(action="ignore"):
                score = get_scorer(name)(model, X, y)
            if not np.isfinite(score):
                raise ValueError(f"it gives {score}")  # noqa: TRY301 - one line says all that can be wrong with it
        except (ValueError, TypeError, AttributeError) as error:
            raise DefinitionError(
                f"study.metric: metric '{name}' cannot judge these classes: {first_line(error)}",
                hint="for more than two classes take an averaged one, for example f1_macro, roc_auc_ovr or balanced_accuracy",
            ) from error


_JUDGES_NUMBERS = re.compile(r"^r2$|error|deviance|^explained_variance$")
"""scikit-learn's names of scorers for regression: they take integer labels for numbers and do not complain."""


def score_fold(params: Mapping[str, Any], fold: Fold, metrics: Sequence[str]) -> FoldResult:
    """Fit on a fold's training rows, score on its test rows.

    Args:
        params: Complete params, as ``estimator.derive_params`` gives them.
        fold: A prepared fold.
        metrics: Scorer names.

    Returns:
        The scores, or the failure: this function does not raise.
    """
    try:
        with (
            sklearn.config_context(skip_parameter_validation=True, assume_finite=True),
            warnings.catch_warnings(record=True, action="always") as caught,
        ):
            classifier = build_classifier(params).fit(fold.X_train, fold.y_train)
            scores = score_model(classifier, fold.X_test, fold.y_test, metrics)
    except Exception as error:  # noqa: BLE001 - whatever a fit raises is a failed trial, not a dead study
        return FoldResult(
            failure=f"{type(error).__name__}: {first_line(error)}", traceback=traceback.format_exc()
        )
    for name, score in scores.items():
        if not np.isfinite(score):
            return FoldResult(failure=f"the score {name} is {score}")
    return FoldResult(
        scores, converged=not any(issubclass(w.category, ConvergenceWarning) for w in caught)
    )


def score_model(
    model: ClassifierMixin, X: Any, y: np.ndarray, metrics: Iterable[str]
) -> dict[str, float]:
    """All scores of a fitted classifier, predicting once.

    Accuracy and log loss are computed here as scikit-learn computes them: its own scorers spend about 2 ms on validating what
    is known to be valid, as much as a fit on a small table takes.

    Args:
        model: A fitted classifier with ``predict_proba``.
        X: Rows, shape (n_samples, n_features).
        y: Labels, array of shape (n_samples,).
        metrics: Scorer names.

    Returns:
        Scorer name to score, in the order of ``metrics``.
    """
    predicted = Predicted(model, X)
    return {name: predicted.score(name, y) for name in metrics}


class Predicted(ClassifierMixin, BaseEstimator):
    """A fitted classifier and the rows it is asked about: each kind of prediction is made once, whoever asks."""

    def __init__(self, model: ClassifierMixin, X: Any, rows: Any = slice(None)) -> None:
        self.model = model
        self.X = X
        self.rows = rows
        self.classes_ = model.classes_
        self._responses: dict[str, np.ndarray] = {}

    def score(self, metric: str, y: np.ndarray) -> float:
        """One score, given the rows' labels."""
        own = _OWN_SCORERS.get(metric)
        return float(get_scorer(metric)(self, self.X, y) if own is None else own(self, y))

    def take(self, rows: np.ndarray) -> "Predicted":
        """The same of some of the rows, by position."""
        return Predicted(self, None, rows)

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

    def decision_function(self, X: Any = None) -> np.ndarray:  # noqa: ARG002
        """Array of shape (n_samples,), or with a column a class where there are more than two."""
        return self._response("decision_function")


def _accuracy(predicted: Predicted, y: np.ndarray) -> float:
    return float(np.mean(predicted.predict() == y))


def _neg_log_loss(predicted: Predicted, y: np.ndarray) -> float:
    """``sklearn.metrics.log_loss`` for labels that the model knows: clipped by the dtype's epsilon, then averaged."""
    probabilities = predicted.predict_proba()
    epsilon = np.finfo(probabilities.dtype).eps
    of_label = probabilities[np.arange(len(y)), np.searchsorted(predicted.classes_, y)]
    return float(np.mean(np.log(np.clip(of_label, epsilon, 1 - epsilon))))


_OWN_SCORERS = {"accuracy": _accuracy, "neg_log_loss": _neg_log_loss}
