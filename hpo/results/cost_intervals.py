"""95 % intervals of the cost of mistakes about two classes, and of what one model saves.

Few rows make most of such a cost, so that its standard error is badly known where they are few: a t
interval is then too wide, or there is none. What the rows of one class cost is a proportion of
them, though, and a proportion has an interval that holds with few rows. Those of the two classes
are put together by how far each reaches (Zou and Donner 2008, Statistics in Medicine 27, 1693-1702,
"MOVER").
"""

import math
from collections.abc import Sequence

import numpy as np

from hpo.estimators.mistakes import Mistakes
from hpo.results.intervals import (
    MIN_UNITS,
    Estimate,
    Z,
    estimate_paired_proportions,
    estimate_proportion,
)
from hpo.results.sampling import Sampling


def estimate_cost(mistakes: Mistakes, sampling: Sampling) -> Estimate:
    """Estimate what the first model's mistakes cost a row, as a score: 0 or less."""
    is_wrong = mistakes.answers[0] != mistakes.truth
    shares = [
        -estimate_proportion(int(is_wrong[is_class].sum()), int(is_class.sum()))
        for is_class in mistakes.of_class()
    ]
    return _combine(shares, mistakes, sampling)


def estimate_saving(mistakes: Mistakes, other: int, sampling: Sampling) -> Estimate:
    """Estimate what the first model saves a row over another.

    Args:
        mistakes: Of both, on the same rows.
        other: The other's position.
        sampling: How the rows were held out: by class.
    """
    called_more = mistakes.called_more(other, MIN_UNITS)
    ours, theirs = mistakes.answers[0] == mistakes.truth, mistakes.answers[other] == mistakes.truth
    shares = []
    for position, is_class in enumerate(mistakes.of_class()):
        n = int(is_class.sum())
        n_gained = int((ours & ~theirs & is_class).sum())
        n_lost = int((theirs & ~ours & is_class).sum())
        if called_more is None:
            shares.append(estimate_paired_proportions(n_gained, n_lost, n))
        elif position == called_more:  # its rows cannot lose
            shares.append(estimate_proportion(n_gained, n))
        else:
            shares.append(-estimate_proportion(n_lost, n))
    return _combine(shares, mistakes, sampling)


def _combine(shares: Sequence[Estimate], mistakes: Mistakes, sampling: Sampling) -> Estimate:
    """Put the classes together: of each, the share of its rows that cost less, or more."""
    n_rows = np.bincount(mistakes.truth, minlength=len(shares))
    of_table = n_rows / n_rows.sum()
    means = mistakes.costs * np.array([share.value for share in shares])
    value = of_table @ means
    # The classes' shares are those of the table, which is chance too.
    between = of_table @ (means - value) ** 2 / sampling.n_table
    weights = of_table * mistakes.costs
    below = weights * [max(0.0, share.value - share.low) for share in shares]
    above = weights * [max(0.0, share.high - share.value) for share in shares]
    down, up = (math.sqrt(Z**2 * between + (side**2).sum()) for side in (below, above))
    return Estimate(float(value), float(value - down), float(value + up))
