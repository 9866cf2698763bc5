"""Intervals against published and computed values, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import KFold

from hpo.results.intervals import (
    Estimate,
    estimate_from_resamples,
    estimate_paired_proportions,
    estimate_proportion,
    half_width_over_folds,
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


def test_percentiles_are_expanded_for_few_units():
    resampled = np.linspace(0, 1, 1001)
    few, many = (estimate_from_resamples(0.5, resampled, n) for n in (10, 100_000))
    assert many.low == pytest.approx(0.025, abs=1e-3)
    assert few.low < many.low
    assert few.high > many.high


@pytest.mark.parametrize("resampled", [np.ones(200), np.array([])])
def test_resamples_that_are_all_the_same_are_not_certainty(resampled):
    estimate = estimate_from_resamples(1.0, resampled, 30, best=1.0)
    assert ends(estimate) == pytest.approx(
        (stats.binomtest(30, 30).proportion_ci(0.95, method="exact").low, 1.0)
    )


def test_one_unit_says_nothing():
    assert estimate_from_resamples(0.0, np.zeros(200), 1).high == pytest.approx(0.975)


def test_estimate_as_json():
    assert Estimate(0.5, 0.25, 1.0).to_json() == {"value": 0.5, "low": 0.25, "high": 1.0}
