"""Cross-validation as an objective: folds prepared once, and the scores of params on each.

Preprocessing is fitted on a fold's training rows when the folds are prepared, not once a trial; the
scores are those of ``cross_validate`` on the whole pipeline with the same splits, to the last bit.
"""

import os
import time
import traceback
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import sklearn
from scipy.sparse import csr_matrix, issparse
from sklearn.exceptions import ConvergenceWarning

from hpo.data.dataset import Dataset
from hpo.definition import StudyDefinition
from hpo.errors import DataError, first_line
from hpo.estimators.free_text import check_words
from hpo.estimators.objective import StepResult
from hpo.estimators.own.rows import RowsFold
from hpo.estimators.preprocessing import Kind, build_preprocessing, encode_categories
from hpo.estimators.recipe import Params, Recipe, TrainingShape
from hpo.estimators.task import Task
from hpo.estimators.tasks import task_of

Rows: TypeAlias = np.ndarray | csr_matrix
"""Preprocessed rows, dense or sparse."""


@dataclass(frozen=True)
class Fold:
    """One split, preprocessed; a class is its position among the table's labels in sorted order.

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


AnyFold: TypeAlias = Fold | RowsFold


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The objective of a recipe: one fit and its scores a fold.

    Attributes:
        recipe: The estimator's.
        folds: Prepared once.
        metrics: Scorer names, the judged one first.
        positive: The positive class as the folds have it, or None.
        categorical: Positions of the columns that hold categories as whole numbers.
        costs: What answers cost in the test rows of each fold; empty where nothing says so.
        keeps_predictions: Whether a result has what the test rows were predicted.
    """

    recipe: Recipe
    folds: Sequence[AnyFold]
    metrics: tuple[str, ...]
    positive: Any = None
    categorical: Sequence[int] = ()
    costs: Sequence[Any] = ()
    keeps_predictions: bool = False

    @property
    def n_steps(self) -> int:
        """One step a fold."""
        return len(self.folds)

    def of(self, _params: Params) -> "CrossValidation":
        """The objective of the estimator that params are of: this one."""
        return self

    def evaluate(self, params: Params, step: int) -> StepResult:
        """Fit on a fold's training rows, score on its test rows; this method does not raise.

        Args:
            params: Complete params.
            step: The fold.
        """
        fold = self.folds[step]
        started = time.time()
        is_ours = self.recipe.preprocessing != "none"
        try:
            with (
                # What our preprocessing gives is finite, and our params are checked before.
                sklearn.config_context(skip_parameter_validation=is_ours, assume_finite=is_ours),
                warnings.catch_warnings(record=True, action="always") as caught,
            ):
                model = self.recipe.build(params, self.categorical).fit(fold.X_train, fold.y_train)
                predictions = task_of(self.recipe).predictions(
                    model, fold.X_test, self.positive, self.costs[step] if self.costs else None
                )
                scores = {name: predictions.score(name, fold.y_test) for name in self.metrics}
                kept = predictions.responses() if self.keeps_predictions else {}
        except Exception as error:  # noqa: BLE001 - whatever a fit raises is a failed trial
            reason = f"{type(error).__name__}: {first_line(error)}"
            return StepResult(failure=reason, traceback=traceback.format_exc(), started=started)
        for name, score in scores.items():
            if not np.isfinite(score):
                return StepResult(failure=f"the score {name} is {score}", started=started)
        return StepResult(scores, converged=did_converge(caught), started=started, predictions=kept)

    def part(self, step: int) -> "CrossValidation":
        """The objective of one fold alone."""
        one = slice(step, step + 1)
        return replace(self, folds=self.folds[one], costs=self.costs[one])


def did_converge(caught: Iterable[warnings.WarningMessage]) -> bool:
    """Whether a fit reached the solver's tolerance, from the warnings that it gave."""
    return not any(issubclass(each.category, ConvergenceWarning) for each in caught)


def prepare_folds(
    dataset: Dataset, definition: StudyDefinition, task: Task, kind: Kind = "linear"
) -> list[AnyFold]:
    """Split the training rows and preprocess each fold, fitted on its own training rows only.

    An estimator of one's own gets the rows as they were read.

    Raises:
        DataError: The preprocessed table is wider than ``preprocessing.max_features``, a class is
            in too few groups, or a column of free text has no words in a fold.
    """
    splits = task.split(dataset, definition.cv, definition.study.seed)
    if kind == "none":
        return [RowsFold(dataset.X_train, dataset.y_train, train, test) for train, test in splits]
    folds: list[AnyFold] = []
    X = encode_categories(dataset.X_train, dataset.columns, kind)
    y = task.encode(dataset.y_train)
    for train, test in splits:
        preprocessing = build_preprocessing(
            dataset.columns, definition.preprocessing, kind, are_encoded=True
        )
        check_words(X.iloc[train], dataset.columns)
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
            f"data: the table has {n_features} columns after preprocessing,"
            f" more than max_features = {max_features}",
            hint="drop columns, pool more categories with preprocessing.min_frequency, take fewer"
            " words of a text with preprocessing.max_words, or raise preprocessing.max_features",
        )


def check_size(dataset: Dataset, definition: StudyDefinition) -> None:
    """Refuse a table whose prepared folds would not fit in this machine's memory.

    Raises:
        DataError: It is too wide or too large.
    """
    columns = dataset.columns
    check_width(len(columns.features), definition.preprocessing.max_features)
    # Eight bytes a value, four for the position of each category's one; a fold holds every row.
    row_bytes = 8 * len(columns.features) + 4 * len(columns.categorical)
    # Twelve bytes a word, which has some six characters.
    n_characters = sum(int(dataset.X_train[name].str.len().sum()) for name in columns.free_text)
    n_folds = definition.cv.n_splits * definition.cv.n_repeats
    needed = (len(dataset.X_train) * row_bytes + 2 * n_characters) * (n_folds + 2)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise DataError(
            f"data: {len(dataset.X_train)} training rows in {n_folds} folds"
            f" need about {needed / 2**30:.0f} GiB of memory,"
            f" but this machine has {there / 2**30:.0f}",
            hint="take a sample of the rows, drop columns, or lower cv.n_splits or cv.n_repeats",
        )


def training_shape(fold: AnyFold, n_classes: int) -> TrainingShape:
    """Measure a fold's training rows."""
    X = fold.X_train
    # The size of a sparse matrix is the number of its stored values.
    n_samples, n_features = X.shape
    return TrainingShape(n_samples, n_features, n_classes, X.size, issparse(X))


def score_model(
    task: Task,
    model: Any,
    X: Any,
    y: np.ndarray,
    metrics: Iterable[str],
    *,
    positive: Any = None,
    costs: Any = None,
) -> dict[str, float]:
    """All scores of a fitted model, predicting once.

    Args:
        task: What the model predicts.
        model: Fitted.
        X: Rows, shape (n_samples, n_features).
        y: Their target, array of shape (n_samples,).
        metrics: Scorer names.
        positive: The positive one of two classes, as ``y`` has it, or None.
        costs: What answers cost in these rows, or None.

    Returns:
        Scorer name to score, in the order of ``metrics``.
    """
    predictions = task.predictions(model, X, positive, costs)
    return {name: predictions.score(name, y) for name in metrics}
