"""Intervals of rows in the order of time: rows that resemble those before say less."""

from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.regression import REGRESSION
from hpo.results.holdout import judge_models
from hpo.results.intervals import Estimate, estimate_by_t
from hpo.results.sampling import Sampling, spread_in_order


def follow(likeness: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers with variance 1 that resemble the one before."""
    steps = rng.normal(size=n + 200) * np.sqrt(1 - likeness**2)
    return lfilter([1], [1, -likeness], steps)[200:]


class Given:
    """A fitted model whose predictions are known."""

    def __init__(self, predicted: np.ndarray) -> None:
        self.predicted = predicted
        self.classes_ = np.array([0, 1])

    def predict(self, X: Any) -> np.ndarray:  # noqa: ARG002
        return self.predicted


def judge(task: Any, y: np.ndarray, predicted: np.ndarray, metric: str, **more: Any) -> Estimate:
    models = [task.predictions(Given(each), None) for each in (predicted, np.zeros_like(predicted))]
    return judge_models(task, models, y, None, metric, seed=0, **more)[0]


@pytest.mark.parametrize(("likeness", "n"), [(0.0, 60), (0.5, 200), (0.7, 1000)])
def test_interval_in_order_holds_the_mean(likeness, n):
    held = []
    for seed in range(400):
        values = follow(likeness, n, np.random.default_rng((seed, n)))
        spread = spread_in_order(values)
        found = estimate_by_t(values.mean(), spread.error, spread.df)
        held.append(found.low <= 0 <= found.high)
    assert 0.91 <= np.mean(held) <= 0.98


def test_order_matters_only_where_rows_resemble_those_before():
    rng = np.random.default_rng(0)
    alike, independent = follow(0.8, 2000, rng), rng.normal(size=2000)
    plain = Sampling.of(np.zeros(2000, dtype=int), None, None)
    assert spread_in_order(alike).error > 2 * plain.spread(alike).error
    assert spread_in_order(independent).error == pytest.approx(
        plain.spread(independent).error, rel=0.25
    )


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        (CLASSIFICATION, "accuracy"),
        (CLASSIFICATION, "f1_macro"),
        (REGRESSION, "r2"),
        (REGRESSION, "neg_mean_absolute_error"),
        (REGRESSION, "neg_median_absolute_error"),  # scored on resampled blocks
    ],
)
def test_scores_of_every_kind_are_less_sure_in_order(task, metric):
    rng = np.random.default_rng(0)
    x, error = follow(0.9, 1000, rng), follow(0.9, 1000, rng)
    y, predicted = x + error, x
    if task is CLASSIFICATION:
        y, predicted = (y > 0).astype(int), (predicted > 0).astype(int)
    plain, in_order = (
        judge(task, y, predicted, metric, is_ordered=is_ordered) for is_ordered in (False, True)
    )
    assert in_order.value == plain.value
    assert in_order.high - in_order.low > 1.5 * (plain.high - plain.low)


def test_model_without_an_error_in_order_may_still_make_some():
    y = np.tile([0, 1], 100)
    found = judge(CLASSIFICATION, y, y, "accuracy", is_ordered=True)
    assert 0.9 < found.low < found.value == found.high == 1


def test_design_that_is_less_sure_counts_where_rows_have_groups_too():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.arange(400) % 20)  # in no order
    by_group = rng.normal(size=20)[groups]
    by_time = follow(0.95, 400, rng)
    grouped = Sampling.of(np.zeros(400, dtype=int), groups, None)
    both = Sampling.of(np.zeros(400, dtype=int), groups, None, is_ordered=True)
    assert both.spread(by_group) == grouped.spread(by_group)
    assert both.spread(by_time).error == spread_in_order(by_time).error
