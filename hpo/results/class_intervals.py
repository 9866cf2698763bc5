"""The interval of a mean to which each row adds nothing or its class's one amount: a cost.

Few rows make most of such a mean, so its spread is badly known where they are few: a standard error
and a t distribution give an interval that is too wide, or none at all. How many rows of a class
there are is enough: a proportion has an interval that holds with few of them. Those of the classes
are put together by how far each reaches (Zou and Donner 2008, Statistics in Medicine 27, 1693-1702,
"MOVER").
"""

import math

import numpy as np

from hpo.results.intervals import (
    Estimate,
    Z,
    estimate_paired_proportions,
    estimate_proportion,
)
from hpo.results.sampling import Sampling

_ROUNDING = 1e-9


def estimate_mean_of_amounts(values: np.ndarray, sampling: Sampling) -> Estimate | None:
    """Estimate the mean of rows that were held out by class.

    Args:
        values: Of each row, array of shape (n_samples,): within a class nothing, one amount, or
            that amount gained and lost.
        sampling: How the rows were held out: by class.

    Returns:
        None where the rows of a class have several amounts.
    """
    n, value = len(values), float(values.mean())
    below = above = between = 0.0
    for stratum in np.unique(sampling.strata):
        of_class = values[sampling.strata == stratum]
        weight = len(of_class) / n
        of_mean = _estimate_mean(of_class)
        if of_mean is None:
            return None
        below += (weight * (of_mean.value - of_mean.low)) ** 2
        above += (weight * (of_mean.high - of_mean.value)) ** 2
        between += weight * (of_mean.value - value) ** 2
    # The classes' shares are those of the table, which is chance too.
    of_shares = Z**2 * between / sampling.n_table
    return Estimate(
        value, value - math.sqrt(below + of_shares), value + math.sqrt(above + of_shares)
    )


def _estimate_mean(values: np.ndarray) -> Estimate | None:
    """Estimate the mean of the rows of one class."""
    n, n_gained, n_lost = (
        len(values),
        int((values > _ROUNDING).sum()),
        int((values < -_ROUNDING).sum()),
    )
    amounts = np.abs(values[np.abs(values) > _ROUNDING])
    if not len(amounts):
        return None
    amount = float(amounts.max())
    if amount - amounts.min() > _ROUNDING * amount:
        return None
    if n_gained and n_lost:
        share = estimate_paired_proportions(n_gained, n_lost, n)
    else:
        share = estimate_proportion(n_gained or n_lost, n)
        share = share if n_gained else -share
    low, high = min(share.low, share.value), max(share.high, share.value)
    return Estimate(amount * share.value, amount * low, amount * high)
