"""95 % intervals of numbers measured on few rows or few folds, each with its source.

Takes counts, fold scores or a statistic to be resampled; knows neither models nor studies.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy import special

CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
Z = float(special.ndtri(1 - _TAIL))
"""The normal distribution's quantile of a 95 % interval."""

Range = tuple[float, float]
"""The least and the greatest value of a statistic."""

UNBOUNDED: Range = (-math.inf, math.inf)

MIN_UNITS = 6
"""Rows or groups that a gain has to rest on: five that all say the same do so by chance with a
probability of 1 / 16, a sign test's two-sided p."""


@dataclass(frozen=True)
class Estimate:
    """A measured number and its 95 % interval.

    Attributes:
        value: As measured.
        low: The interval's lower end; minus infinity where there are too few rows to say.
        high: Its upper end; infinity where there are too few.
    """

    value: float
    low: float
    high: float

    @property
    def standard_error(self) -> float:
        """The standard error that the width of the interval implies."""
        return (self.high - self.low) / (2 * Z)

    @property
    def is_known(self) -> bool:
        """Whether there were enough rows for an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __neg__(self) -> "Estimate":
        return Estimate(-self.value, -self.high, -self.low)

    def to_json(self) -> dict[str, float | None]:
        """Its three numbers by name; the ends are None where there are too few rows to say."""
        return asdict(self) if self.is_known else {"value": self.value, "low": None, "high": None}


def too_few_to_say(value: float) -> Estimate:
    """A number measured on too few rows for an interval."""
    return Estimate(value, -math.inf, math.inf)


def score_range(metric: str) -> Range:
    """The least and the greatest score by a scikit-learn scorer; losses are negated."""
    if metric.startswith("neg_"):
        return -math.inf, 0.0
    if metric in ("mutual_info_score", "positive_likelihood_ratio"):
        return 0.0, math.inf
    if metric in ("r2", "explained_variance") or metric.startswith(("d2_", "adjusted_")):
        return -math.inf, 1.0
    return (-1.0 if metric == "matthews_corrcoef" else 0.0), 1.0


def greatest_score(metric: str) -> float:
    """The upper bound of scores by a scikit-learn scorer."""
    return score_range(metric)[1]


def estimate_proportion(n_right: int, n: int) -> Estimate:
    """Estimate a proportion, with Wilson's score interval (Wilson 1927, JASA 22, 209-212).

    Unlike the usual interval it has a width at 0 and 1 too.
    """
    # As scipy.stats.binomtest(...).proportion_ci(method="wilson"); importing that costs 0.33 s.
    middle = (n_right + Z**2 / 2) / (n + Z**2)
    half = Z / (n + Z**2) * math.sqrt(n_right * (n - n_right) / n + Z**2 / 4)
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
    half = Z * math.sqrt(gained + lost - (gained - lost) ** 2 / total) / total
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


def estimate_by_t(
    value: float,
    error: float,
    df: float,
    *,
    within: Range = UNBOUNDED,
    center: float | None = None,
) -> Estimate:
    """Estimate a statistic from its standard error, with a t interval.

    The interval is made on a scale without ends, where the statistic is nearer to normal: the logit
    where it has two ends (Pepe 2003, *The Statistical Evaluation of Medical Tests*, section 5.2.4),
    the logarithm of the distance from the end where it has one.

    Args:
        value: The statistic.
        error: Its standard error.
        df: Degrees of freedom of the error.
        within: The least and the greatest value it can have.
        center: The middle of the interval, where that is not the value; strictly within the ends.
    """
    middle = value if center is None else center
    half = float(special.stdtrit(df, 1 - _TAIL)) * error
    least, greatest = within
    if math.isinf(least) and math.isinf(greatest):
        low, high = middle - half, middle + half
    elif math.isinf(least):
        distance = greatest - middle
        low, high = (greatest - distance * np.exp(sign * half / distance) for sign in (1, -1))
    elif math.isinf(greatest):
        distance = middle - least
        low, high = (least + distance * np.exp(sign * half / distance) for sign in (-1, 1))
    else:
        width = greatest - least
        share = (middle - least) / width
        slope = width * share * (1 - share)
        low, high = (
            least + width * float(special.expit(special.logit(share) + sign * half / slope))
            for sign in (-1, 1)
        )
    return Estimate(value, min(float(low), value), max(float(high), value))


def estimate_unseen(
    value: float,
    n_units: int,
    unit: float = 1.0,
    *,
    within: Range = UNBOUNDED,
) -> Estimate:
    """Estimate a statistic that no unit tells from its best: the "rule of three".

    The interval is that of a proportion that was seen in none of the units (Clopper and Pearson
    1934, Biometrika 26, 404-413).

    Args:
        value: The statistic.
        n_units: How many units there are: rows, or groups.
        unit: How far the statistic would be from its best if all units told it from that.
        within: The least and the greatest value it can have.
    """
    unseen = unit * (1 - _TAIL ** (1 / n_units))
    return Estimate(value, max(value - unseen, within[0]), min(value + unseen, within[1]))
