"""Intervals against published and computed values, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import KFold

from hpo.results.intervals import (
    Estimate,
    estimate_by_t,
    estimate_paired_proportions,
    estimate_proportion,
    estimate_unseen,
    half_width_over_folds,
    score_range,
    too_few_to_say,
)


def ends(estimate: Estimate) -> tuple[float, float]:
    return estimate.low, estimate.high


def test_wilson_as_in_newcombe_1998():
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I: 81 of 263, 15 of 148, 0 of 20, 1
    # of 29.
    assert ends(estimate_proportion(81, 263)) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert ends(estimate_proportion(15, 148)) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert ends(estimate_proportion(0, 20)) == pytest.approx((0, 0.1611), abs=5e-5)
    assert ends(estimate_proportion(1, 29)) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@pytest.mark.parametrize("n", [1, 2, 30, 1000])
def test_wilson_as_scipy_has_it(n):
    for n_right in range(n + 1):
        expected = stats.binomtest(n_right, n).proportion_ci(0.95, method="wilson")
        found = ends(estimate_proportion(n_right, n))
        assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_paired_proportions_is_wald_with_half_a_row_a_cell():
    table = np.array([[40.5, 8.5], [3.5, 52.5]])  # 40 both, 8 gained, 3 lost, 52 neither
    shares = table / table.sum()
    middle = shares[0, 1] - shares[1, 0]
    half = stats.norm.ppf(0.975) * np.sqrt((shares[0, 1] + shares[1, 0] - middle**2) / table.sum())
    estimate = estimate_paired_proportions(8, 3, 103)
    assert estimate.value == 5 / 103
    assert ends(estimate) == pytest.approx((middle - half, middle + half))


def test_no_row_that_differs_still_has_a_width():
    estimate = estimate_paired_proportions(0, 0, 30)
    assert estimate.value == 0
    assert 0.03 < estimate.high == -estimate.low < 0.1


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 0, 1), (0, 1, 1), (5, 0, 5), (0, 0, 1)])
def test_paired_proportions_of_few_rows_stay_in_range(gained, lost, n):
    estimate = estimate_paired_proportions(gained, lost, n)
    assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_paired_proportions_cover(share):
    rng = np.random.default_rng(0)
    draws = rng.multinomial(100, [share, share / 3, 1 - share * 4 / 3], size=4000)
    estimates = [estimate_paired_proportions(b, c, 100) for b, c, _ in draws]
    covered = np.mean([estimate.low <= share * 2 / 3 <= estimate.high for estimate in estimates])
    assert 0.93 < covered < 0.995


def test_half_width_is_the_corrected_resampled_t_test():
    differences = np.array([0.02, 0.0, 0.04, 0.01, 0.03])
    variance = differences.var(ddof=1)
    assert half_width_over_folds(differences, 5) == pytest.approx(
        stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 20 / 80) * variance)
    )
    many = np.tile(differences, (3, 2))
    assert half_width_over_folds(many, 5).shape == (3,)
    assert half_width_over_folds(many, 5)[0] < half_width_over_folds(differences, 5)


def test_half_width_of_one_fold_is_unknown():
    assert np.isnan(half_width_over_folds(np.array([[0.1]]), 2)).all()


def test_half_width_covers_the_mean_score_of_models_fitted_on_as_many_rows():
    rng, covered = np.random.default_rng(1), 0
    for _ in range(400):
        y = rng.normal(size=100)
        scores = np.array(
            [-np.mean((y[test] - y[train].mean()) ** 2) for train, test in KFold(5).split(y)]
        )
        covered += abs(scores.mean() + 1 + 1 / 80) <= half_width_over_folds(scores, 5)
    assert covered / 400 > 0.95


def test_t_interval_is_made_on_a_scale_without_ends():
    half = stats.t.ppf(0.975, 7) * 0.1
    assert ends(estimate_by_t(0.4, 0.1, 7)) == pytest.approx((0.4 - half, 0.4 + half))
    odds = np.log(0.9 / 0.1) + np.array([-1, 1]) * half / 0.09
    assert ends(estimate_by_t(0.9, 0.1, 7, within=(0, 1))) == pytest.approx(1 / (1 + np.exp(-odds)))
    loss = ends(estimate_by_t(-0.5, 0.1, 7, within=(-np.inf, 0)))
    assert loss == pytest.approx((-0.5 * np.exp(half / 0.5), -0.5 * np.exp(-half / 0.5)))
    ratio = ends(estimate_by_t(2.0, 0.1, 7, within=(0, np.inf)))
    assert ratio == pytest.approx((2 * np.exp(-half / 2), 2 * np.exp(half / 2)))


@pytest.mark.parametrize(
    "metric", ["roc_auc", "r2", "matthews_corrcoef", "neg_log_loss", "positive_likelihood_ratio"]
)
def test_interval_stays_in_the_range_of_its_metric(metric):
    least, greatest = score_range(metric)
    value = {-np.inf: greatest - 0.01, -1: 0.99, 0: least + 0.01}[least]
    low, high = ends(estimate_by_t(value, 0.5, 3, within=(least, greatest)))
    assert least <= low < value < high <= greatest


def test_interval_around_another_middle_holds_the_value():
    estimate = estimate_by_t(1.0, 0.01, 30, within=(0, 1), center=0.95)
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert 0.9 < estimate.low < 0.95


def test_nothing_seen_is_not_certainty():
    assert ends(estimate_unseen(1.0, 30, within=(0, 1))) == pytest.approx(
        (stats.binomtest(30, 30).proportion_ci(0.95, method="exact").low, 1.0)
    )
    assert estimate_unseen(0.0, 1).high == pytest.approx(0.975)
    assert ends(estimate_unseen(0.0, 1, 1e6)) == pytest.approx((-0.975e6, 0.975e6))


def test_too_few_to_say():
    estimate = too_few_to_say(0.5)
    assert not estimate.is_known
    assert estimate.to_json() == {"value": 0.5, "low": None, "high": None}


def test_estimate_as_json():
    assert Estimate(0.5, 0.25, 1.0).to_json() == {"value": 0.5, "low": 0.25, "high": 1.0}
