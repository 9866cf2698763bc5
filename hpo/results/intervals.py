"""95 % intervals of numbers measured on few rows or few folds, each with its source.

Takes counts, fold scores or a statistic to be resampled; knows neither models nor studies.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy import special

CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
_Z = float(special.ndtri(1 - _TAIL))


@dataclass(frozen=True)
class Estimate:
    """A measured number and its 95 % interval.

    Attributes:
        value: As measured.
        low: The interval's lower end.
        high: Its upper end.
    """

    value: float
    low: float
    high: float

    @property
    def standard_error(self) -> float:
        """The standard error that the width of the interval implies."""
        return (self.high - self.low) / (2 * _Z)

    def to_json(self) -> dict[str, float]:
        """Its three numbers by name."""
        return asdict(self)


def greatest_score(metric: str) -> float:
    """The upper bound of scores by a scikit-learn scorer.

    Losses are negated; of the others, all but one are at most 1.
    """
    return 0.0 if metric.startswith("neg_") else math.inf if metric == "mutual_info_score" else 1.0


def estimate_proportion(n_right: int, n: int) -> Estimate:
    """Estimate a proportion, with Wilson's score interval (Wilson 1927, JASA 22, 209-212).

    Unlike the usual interval it has a width at 0 and 1 too.
    """
    # As scipy.stats.binomtest(...).proportion_ci(method="wilson"); importing that costs 0.33 s.
    middle = (n_right + _Z**2 / 2) / (n + _Z**2)
    half = _Z / (n + _Z**2) * math.sqrt(n_right * (n - n_right) / n + _Z**2 / 4)
    # None and all of n are ends of their own intervals, whatever rounding gives.
    return Estimate(
        n_right / n, middle - half if n_right else 0.0, middle + half if n_right < n else 1.0
    )


def estimate_paired_proportions(n_gained: int, n_lost: int, n: int) -> Estimate:
    """Estimate the difference of two proportions of the same rows.

    McNemar's setting: only the rows where the two differ count. Half a row is added to each of the
    four cells, so that the interval has a width where no row differs (Agresti and Min 2005,
    Statistics in Medicine 24, 729-740, "Wald+2").

    Args:
        n_gained: Rows that count for the first alone.
        n_lost: Rows that count for the second alone.
        n: All rows.
    """
    gained = n_gained + 0.5
    lost = n_lost + 0.5
    total = n + 2
    middle = (gained - lost) / total
    half = _Z * math.sqrt(gained + lost - (gained - lost) ** 2 / total) / total
    return Estimate((n_gained - n_lost) / n, max(-1.0, middle - half), min(1.0, middle + half))


def half_width_over_folds(scores: np.ndarray, n_splits: int) -> np.ndarray:
    """Half the interval of a mean over cross-validation's folds, by the corrected resampled t-test.

    Folds share training rows, so the plain variance of their mean is too small; it is corrected by
    the ratio of test to training rows, 1 / (n_splits - 1) (Nadeau and Bengio 2003, Machine Learning
    52, 239-281; for repeated folds Bouckaert and Frank 2004, PAKDD).

    Args:
        scores: Fold scores or paired differences, array of shape (..., n_folds).
        n_splits: Folds of one repeat.

    Returns:
        Array of shape (...); NaN where there is only one fold.
    """
    n_folds = scores.shape[-1]
    if n_folds < 2:
        return np.full(scores.shape[:-1], np.nan)
    spread = scores.var(axis=-1, ddof=1) * (1 / n_folds + 1 / (n_splits - 1))
    return np.asarray(special.stdtrit(n_folds - 1, 1 - _TAIL) * np.sqrt(spread))


def estimate_from_resamples(
    value: float, resampled: np.ndarray, n_units: int, *, best: float = math.inf
) -> Estimate:
    """Estimate a statistic, with its bootstrap percentile interval.

    The percentiles are expanded for few units (Hesterberg 2015, The American Statistician 69,
    371-386). Where every resample gives the same value up to rounding, as in a perfect ranking, the
    interval is that of a proportion that was seen in none of the units (Clopper and Pearson 1934,
    Biometrika 26, 404-413; the "rule of three").

    Args:
        value: The statistic of all units.
        resampled: Its value in each resample, array of shape (n_resamples,), perhaps empty.
        n_units: How many units, rows or groups, each resample drew.
        best: Its upper bound.
    """
    if len(resampled) == 0 or np.allclose(resampled, resampled[0], atol=0, rtol=1e-12):
        unseen = 1 - _TAIL ** (1 / n_units)
        return Estimate(value, value - unseen, min(value + unseen, best))
    tail = special.ndtr(
        -math.sqrt(n_units / (n_units - 1)) * special.stdtrit(n_units - 1, 1 - _TAIL)
    )
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value))
