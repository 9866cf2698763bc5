"""Intervals of scores on held-out rows: they hold the truth, or there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.regression import REGRESSION
from hpo.results.holdout import judge_models
from hpo.results.intervals import MIN_UNITS, Estimate
from hpo.results.sampling import FoldScores, Sampling


class Ranking:
    """A fitted classifier of 0 and 1 that calls the greater half of its ranks 1."""

    classes_ = np.array([0, 1])

    def __init__(self, ranks: np.ndarray, threshold: float = 0.0) -> None:
        self.ranks = ranks
        self.threshold = threshold

    def predict(self, X: Any) -> np.ndarray:  # noqa: ARG002
        return (self.ranks > self.threshold).astype(int)

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: ARG002
        share = special.expit(self.ranks)
        return np.column_stack([1 - share, share])


def judge(
    y: np.ndarray, metric: str, *models: Any, groups: Any = None, n_table: int | None = None
) -> tuple[Estimate, list[Estimate]]:
    predicted = [CLASSIFICATION.predictions(model, None, 1) for model in models]
    return judge_models(CLASSIFICATION, predicted, y, groups, metric, seed=0, n_table=n_table)


def share_held(n: int, truth: float, study: Callable[[np.random.Generator], Estimate]) -> float:
    estimates = [study(np.random.default_rng(seed)) for seed in range(n)]
    return float(np.mean([each.low <= truth <= each.high for each in estimates]))


def draw_table(rng: np.random.Generator, n: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The classes of a hold-out that has the shares of a table five times as large, and ranks."""
    n_positive = max(round(rng.binomial(5 * n, share) / 5), 10)
    y = np.repeat([0, 1], [n - n_positive, n_positive])
    return y, rng.normal(size=n) + 1.5 * y - 1


AREA = float(stats.norm.cdf(1.5 / np.sqrt(2)))


def test_area_of_a_rare_class_is_held() -> None:
    def study(rng: np.random.Generator) -> Estimate:
        y, ranks = draw_table(rng, 400, 0.04)
        return judge(y, "roc_auc", Ranking(ranks), n_table=2000)[0]

    assert 0.92 <= share_held(400, AREA, study) <= 0.98


def test_loss_of_a_rare_class_is_held() -> None:
    rng = np.random.default_rng(0)
    # A stratum a class, so that the classes' shares are the true ones.
    losses = [np.logaddexp(0, (1 - 2 * c) * (rng.normal(size=10**6) + 1.5 * c - 1)) for c in (0, 1)]
    truth = -(0.96 * losses[0].mean() + 0.04 * losses[1].mean())

    def study(rng: np.random.Generator) -> Estimate:
        y, ranks = draw_table(rng, 400, 0.04)
        return judge(y, "neg_log_loss", Ranking(ranks), n_table=2000)[0]

    assert 0.92 <= share_held(400, truth, study) <= 0.98


@pytest.mark.parametrize("n_groups", [2, 6, 20])
def test_score_of_groups_is_held(n_groups: int) -> None:
    def study(rng: np.random.Generator) -> Estimate:
        groups = np.repeat(np.arange(n_groups), 30)
        y = np.tile([0, 1], 15 * n_groups)
        error = rng.normal(size=n_groups)[groups] / 2 + rng.normal(size=len(y))
        predicted = REGRESSION.predictions(Given(y - 1.5 * error), None)
        return judge_models(
            REGRESSION, [predicted], y.astype(float), groups, "neg_mean_absolute_error", seed=0
        )[0]

    assert 0.92 <= share_held(400, -1.5 * np.sqrt(1.25 * 2 / np.pi), study) <= 0.99


class Given:
    """A fitted regressor."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers

    def predict(self, X: Any) -> np.ndarray:  # noqa: ARG002
        return self.numbers


def test_shares_of_the_classes_are_chance_of_the_whole_table() -> None:
    y = np.repeat([0, 1], [300, 100])
    of_class = np.where(y == 1, 0.75, -0.25)  # All that differs is between the classes.
    spread = Sampling.of(y, None, 2000).spread(of_class)
    assert spread.error == pytest.approx(np.sqrt(0.75 * 0.25 / 2000))


def test_few_rows_that_matter_are_few_units() -> None:
    moved = np.zeros(1000)
    moved[:4] = (5, -5, 5, -5)
    spread = Sampling.of(np.zeros(1000, dtype=int), None, None).spread(moved)
    assert spread.n_units == pytest.approx(4, rel=0.01)
    of_groups = Sampling.of(np.zeros(1000, dtype=int), np.arange(1000) % 4, None).spread(moved)
    assert (of_groups.df, of_groups.n_units) == (3, 4)


@pytest.mark.parametrize("metric", ["roc_auc", "f1", "matthews_corrcoef", "average_precision"])
def test_nine_rows_of_a_class_are_too_few(metric: str) -> None:
    rng = np.random.default_rng(0)
    for n_positive, is_known in ((9, False), (20, True)):
        y = np.repeat([0, 1], [100, n_positive])
        ranks = rng.normal(size=len(y)) + 2 * y - 1
        score, (gain,) = judge(y, metric, Ranking(ranks), Ranking(rng.normal(size=len(y))))
        assert score.is_known == is_known
        assert not (gain.is_known and not is_known)


def test_class_that_is_never_predicted_is_too_little() -> None:
    y, ranks = draw_table(np.random.default_rng(0), 400, 0.2)
    shy = Ranking(ranks, threshold=10)
    score, (gain,) = judge(y, "f1", shy, Ranking(ranks))
    assert (score.value, score.is_known, gain.is_known) == (0.0, False, False)
    # Against one that never does, as a constant model: the gain is the score.
    score, (gain,) = judge(y, "f1", Ranking(ranks), shy)
    assert gain.low == pytest.approx(score.low, abs=0.02)


@pytest.mark.parametrize("n_called", [0, 9, 80])
def test_nothing_is_gained_over_a_precision_of_next_to_no_rows(n_called: int) -> None:
    """Of none scikit-learn says 0."""
    y, ranks = draw_table(np.random.default_rng(0), 400, 0.3)
    shy = Ranking(ranks, threshold=np.sort(ranks)[-n_called - 1])
    score, (gain,) = judge(y, "precision", Ranking(ranks), shy)
    assert score.is_known
    assert gain.is_known == (n_called == 80)


@pytest.mark.parametrize(("n_changed", "is_known"), [(0, True), (4, False), (60, True)])
def test_gain_rests_on_rows_that_differ(n_changed: int, is_known: bool) -> None:
    y, ranks = draw_table(np.random.default_rng(0), 400, 0.3)
    changed = ranks.copy()
    changed[:: 400 // max(n_changed, 1)][:n_changed] *= -1
    changed = changed if n_changed else ranks
    _, (gain,) = judge(y, "f1_macro", Ranking(ranks), Ranking(changed))
    assert gain.is_known == is_known
    assert gain.low <= gain.value <= gain.high


@pytest.mark.parametrize("metric", ["neg_log_loss", "v_measure_score"])
@pytest.mark.parametrize("n_groups", [1, MIN_UNITS - 1, 12])
def test_no_gain_of_fewer_than_six_groups(metric: str, n_groups: int) -> None:
    y, ranks = draw_table(np.random.default_rng(0), 240, 0.4)
    groups = np.arange(len(y)) % n_groups
    score, (gain,) = judge(y, metric, Ranking(ranks), Ranking(-ranks), groups=groups)
    assert score.is_known == (n_groups > 1)
    assert gain.is_known == (n_groups >= MIN_UNITS)


def test_other_scorers_are_resampled() -> None:
    rng = np.random.default_rng(0)
    # Of 3,000 rows only some are drawn.
    for n in (300, 3000):
        y = rng.normal(size=n)
        models = [
            REGRESSION.predictions(Given(y + error * rng.normal(size=n)), None) for error in (1, 2)
        ]
        score, (gain,) = judge_models(
            REGRESSION, models, y, None, "neg_median_absolute_error", seed=0
        )
        assert score.low < -0.6745 < score.high
        assert 0 < gain.low < 0.6745 < gain.high
        # The error of a median of half-normal values, as of a quantile.
        error = 0.5 / (2 * stats.norm.pdf(0.6745)) / np.sqrt(n)
        assert score.standard_error == pytest.approx(error, rel=0.35)


def test_greatest_error_of_some_rows_says_nothing_of_others() -> None:
    y = np.arange(50.0)
    predicted = REGRESSION.predictions(Given(y[::-1]), None)
    score, _ = judge_models(REGRESSION, [predicted], y, None, "neg_max_error", seed=0)
    assert (score.value, score.is_known) == (-49.0, False)


@pytest.mark.parametrize("metric", ["d2_log_loss_score", "d2_brier_score"])
def test_gain_that_no_row_moves_is_not_certain(metric: str) -> None:
    """All of it is rounding: one model is perfect, the other knows the classes' shares alone."""
    y = np.repeat([0, 1], [13, 12])
    shares = np.full(len(y), special.logit(12 / 25))
    _, (gain,) = judge(y, metric, Ranking(1000.0 * (2 * y - 1)), Ranking(shares))
    assert gain.value == pytest.approx(1)
    assert gain.low < 0.9


def test_pairing_makes_the_gain_surer_than_the_score() -> None:
    rng = np.random.default_rng(0)
    y, ranks = draw_table(rng, 400, 0.3)
    near = ranks + 0.1 * rng.normal(size=400)
    score, (gain,) = judge(y, "neg_log_loss", Ranking(ranks), Ranking(near))
    assert gain.high - gain.low < (score.high - score.low) / 5


def test_same_rows_give_the_same_interval_in_any_order() -> None:
    y, ranks = draw_table(np.random.default_rng(0), 400, 0.3)
    order = np.random.default_rng(1).permutation(400)
    for metric in ("roc_auc", "f1", "average_precision", "neg_log_loss"):
        one, other = (
            judge(y, metric, Ranking(ranks)),
            judge(y[order], metric, Ranking(ranks[order])),
        )
        assert one[0].low == pytest.approx(other[0].low)


def test_loss_that_a_handful_of_rows_make_is_held_with_folds() -> None:
    """A hold-out often has none of those rows; some of the folds have them."""

    def study(rng: np.random.Generator, *, of_gain: bool, with_folds: bool) -> Estimate:
        is_giant = rng.random((6, 100)) < 0.01
        errors = rng.normal(size=(2, 6, 100)) * np.where(is_giant, [[[15]], [[30]]], 1)
        y = np.arange(100.0)
        models = [REGRESSION.predictions(Given(y + each[0]), None) for each in errors]
        folds = FoldScores(-(errors[:, 1:] ** 2).mean(axis=2), 5, 1.0)
        score, (gain,) = judge_models(
            REGRESSION, models, y, None, "neg_mean_squared_error", seed=0,
            folds=folds if with_folds else None,
        )  # fmt: skip
        return gain if of_gain else score

    for of_gain, truth in ((False, -(0.99 + 0.01 * 15**2)), (True, 0.01 * (30**2 - 15**2))):
        by_rows, with_folds = (
            share_held(400, truth, partial(study, of_gain=of_gain, with_folds=each))
            for each in (False, True)
        )
        assert by_rows < 0.85
        assert 0.92 <= with_folds <= 0.99


@pytest.mark.parametrize("metric", ["neg_mean_squared_error", "neg_median_absolute_error", "r2"])
@pytest.mark.parametrize("n_groups", [0, 10])
def test_unit_of_the_target_changes_no_interval(metric: str, n_groups: int) -> None:
    """Errors of a millionth are no rounding where the target is as small."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=100)
    of_models = [y + error * rng.normal(size=100) for error in (1, 2)]
    groups = np.arange(100) % n_groups if n_groups else None
    power = {"neg_mean_squared_error": 2, "neg_median_absolute_error": 1, "r2": 0}[metric]
    found = []
    for scale in (1.0, 1e-6):
        models = [REGRESSION.predictions(Given(scale * each), None) for each in of_models]
        score, (gain,) = judge_models(REGRESSION, models, scale * y, groups, metric, seed=0)
        found.append(np.array([score.low, score.high, gain.low, gain.high]) / scale**power)
    assert found[1] == pytest.approx(found[0], rel=1e-6)


def test_perfect_numbers_are_not_certain() -> None:
    """As with no mistake in 50 rows, in shares of what the mean would lose."""
    y = 1e6 * np.arange(50.0)
    predicted = REGRESSION.predictions(Given(y), None)
    ends = []
    for metric, unit in (("r2", 1.0), ("neg_mean_squared_error", y.var())):
        score, _ = judge_models(REGRESSION, [predicted], y, None, metric, seed=0)
        ends.append((score.low - score.value) / unit)
        assert score.high == score.value
    assert ends[0] == pytest.approx(-0.071, abs=0.001)
    assert ends[1] == pytest.approx(ends[0])
