"""How much a row moves a score, against scoring all rows but that one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.regression import REGRESSION
from hpo.estimators.task import Task

N = 60
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 1))
LABELS = np.array(["a", "b", "c"])
TRUTH = {
    n: LABELS[RNG.permutation(np.arange(N) % n if n == 3 else (np.arange(N) % 3 == 0) * 1)]
    for n in (2, 3)
}
NUMBERS = RNG.gamma(2, size=N)

OF_TWO = (
    "f1", "precision", "recall", "jaccard", "matthews_corrcoef", "roc_auc", "average_precision",
    "roc_auc_ovr", "neg_brier_score",
)  # fmt: skip
OF_THREE = (
    "accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "precision_micro",
    "jaccard_macro", "matthews_corrcoef", "neg_log_loss", "neg_brier_score", "d2_log_loss_score",
    "d2_brier_score", "roc_auc_ovr", "roc_auc_ovr_weighted", "roc_auc_ovo", "roc_auc_ovo_weighted",
    "average_precision",
)  # fmt: skip
OF_NUMBERS = (
    "r2", "explained_variance", "d2_absolute_error_score", "neg_mean_squared_error",
    "neg_root_mean_squared_error", "neg_mean_absolute_error", "neg_mean_squared_log_error",
    "neg_root_mean_squared_log_error", "neg_mean_absolute_percentage_error",
    "neg_mean_poisson_deviance", "neg_mean_gamma_deviance",
)  # fmt: skip


class Guessing:
    """A fitted model of either task whose predictions are given."""

    def __init__(self, y: np.ndarray) -> None:
        rng = np.random.default_rng(1)
        if y.dtype.kind == "f":
            self.numbers = np.abs(y + rng.normal(size=N)) + 0.1
            return
        self.classes_, truth = np.unique(y, return_inverse=True)
        n_classes = len(self.classes_)
        drawn = rng.dirichlet(np.ones(n_classes), N) + np.eye(n_classes)[truth] / 2
        self.probabilities = np.round(drawn / 1.5, 2)
        self.probabilities[:, -1] = np.maximum(1 - self.probabilities[:, :-1].sum(axis=1), 0)

    def predict(self, X: Any) -> np.ndarray:  # noqa: ARG002
        if hasattr(self, "numbers"):
            return self.numbers
        return self.classes_[self.probabilities.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: ARG002
        return self.probabilities


def assert_moves_as_without_the_row(
    task: Task, metric: str, y: np.ndarray, positive: str | None = None
) -> None:
    predicted = task.predictions(Guessing(y), X, positive)
    influence = task.influence(metric, y, predicted)
    assert influence is not None
    rows = np.arange(N)
    without = [np.delete(rows, row) for row in rows]
    with warnings.catch_warnings(action="ignore"):
        whole = predicted.score(metric, y)
        left = np.array([predicted.take(kept).score(metric, y[kept]) for kept in without])
    jackknife = (N - 1) * (whole - left)
    assert abs(influence.mean()) < 1e-8
    assert np.corrcoef(influence, jackknife)[0, 1] > 0.99
    assert influence.std() == pytest.approx(jackknife.std(), rel=0.13)


@pytest.mark.parametrize("positive", ["a", "b"])
@pytest.mark.parametrize("metric", OF_TWO)
def test_of_two_classes(metric: str, positive: str) -> None:
    assert_moves_as_without_the_row(CLASSIFICATION, metric, TRUTH[2], positive)


@pytest.mark.parametrize("metric", OF_THREE)
def test_of_three_classes(metric: str) -> None:
    assert_moves_as_without_the_row(CLASSIFICATION, metric, TRUTH[3])


@pytest.mark.parametrize("metric", OF_NUMBERS)
def test_of_numbers(metric: str) -> None:
    assert_moves_as_without_the_row(REGRESSION, metric, NUMBERS)


def test_is_none_where_it_is_not_known() -> None:
    labels, numbers = TRUTH[3], NUMBERS
    of_labels = CLASSIFICATION.predictions(Guessing(labels), X)
    of_numbers = REGRESSION.predictions(Guessing(numbers), X)
    assert CLASSIFICATION.influence("v_measure_score", labels, of_labels) is None
    assert REGRESSION.influence("neg_median_absolute_error", numbers, of_numbers) is None
    assert REGRESSION.smoothed("r2", numbers, [of_numbers]) is None
    assert CLASSIFICATION.smoothed("roc_auc_ovr", labels, [of_labels]) is None


def test_made_up_rows_are_one_of_each_class() -> None:
    y = TRUTH[3]
    predicted = CLASSIFICATION.predictions(Guessing(y), X)
    for models in ([predicted], [predicted, predicted]):
        smoothed = CLASSIFICATION.smoothed("f1_macro", y, models)
        assert smoothed is not None
        made_up = np.bincount(smoothed.strata[N:], smoothed.weights[N:])
        assert made_up == pytest.approx(np.ones(3))
        assert np.average(smoothed.influence[0], weights=smoothed.weights) == pytest.approx(
            0, abs=1e-6
        )
        assert abs(smoothed.scores[0] - predicted.score("f1_macro", y)) < 0.1
