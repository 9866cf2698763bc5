"""How held-out rows were drawn, which says how much of a score on them is chance.

Rows that follow each other in time resemble each other, so they say less than as many independent
ones. How much less shows in the slow waves of how far each row moves the score, in order: their
mean power is the variance of the mean, with a t distribution of as many degrees of freedom as there
are waves (Müller 2004, Journal of Econometrics 119, 363-388; Lazarus, Lewis, Stock and Watson 2018,
Journal of Business and Economic Statistics 36, 541-559, "EWC", whose rule for their number this
is). A block bootstrap estimates the same number, with no distribution to go with few blocks.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.fft

WAVES = 0.4
"""Of n rows, this times n to the power of 2/3 is the number of slow waves."""


@dataclass(frozen=True)
class Spread:
    """How far a score is from that on endless rows.

    Attributes:
        error: Its standard error.
        df: Degrees of freedom of that error.
        n_units: How many rows or groups it rests on: few where those move it far more than the
            others.
    """

    error: float
    df: float
    n_units: float


@dataclass(frozen=True)
class Sampling:
    """The design of a hold-out.

    Attributes:
        strata: The class of each row by position, array of shape (n_samples,): rows were held out
            by class, so the classes' shares are those of the table. All 0 where there are none.
        n_table: The rows of the table, of which the classes' shares are chance.
        groups: The group of each row by position, or None: whole groups were held out.
        is_ordered: Whether rows are in the order of time, and were held out by it: not by class.
    """

    strata: np.ndarray
    n_table: int
    groups: np.ndarray | None = None
    is_ordered: bool = False

    @classmethod
    def of(
        cls,
        strata: np.ndarray,
        groups: np.ndarray | None,
        n_table: int | None,
        *,
        is_ordered: bool = False,
    ) -> "Sampling":
        """The design of rows; without a table they are all there is."""
        positions = None if groups is None else np.unique(groups, return_inverse=True)[1]
        return cls(strata, n_table or len(strata), positions, is_ordered)

    @property
    def n_groups(self) -> int:
        """The number of groups."""
        return 0 if self.groups is None else int(self.groups.max()) + 1

    @property
    def n_rarest(self) -> int:
        """The rows of the smallest class."""
        counts = np.bincount(self.strata)
        return int(counts[counts > 0].min())

    def spread(self, influence: np.ndarray, weights: np.ndarray | None = None) -> Spread:
        """The spread of a score, from how much each row moves it.

        Groups vary among each other. Rows vary within their class, and the classes' shares with the
        table: they are those of Multinomial(n_table, shares). The error's degrees of freedom are
        the number of rows that it rests on, (sum h^2)^2 / sum h^4: few large influences among many
        small ones tell no more of their spread than so few rows do.

        Args:
            influence: Of each row, array of shape (n_samples,).
            weights: Of the rows, or None.
        """
        if self.is_ordered:
            plain = self.by_rows().spread(influence, weights)
            ordered = spread_in_order(influence)
            # Groups are units of their own: the design that is less sure counts.
            is_by_group = self.groups is not None and plain.error > ordered.error
            return plain if is_by_group else replace(ordered, n_units=plain.n_units)
        if self.groups is not None:
            total = np.bincount(self.groups, influence)
            n = self.n_groups
            error = np.sqrt(n / max(n - 1, 1) * (total**2).sum()) / len(influence)
            return Spread(float(error), n - 1, n)
        weights = np.ones(len(influence)) if weights is None else weights
        counts = np.maximum(np.bincount(self.strata, weights), np.finfo(float).tiny)
        n = counts.sum()
        mean = np.bincount(self.strata, weights * influence) / counts
        rest = influence - mean[self.strata]
        squares = np.bincount(self.strata, weights * rest**2)
        within = (counts / np.maximum(counts - 1, 1) * squares).sum() / n**2
        between = (counts / n * mean**2).sum() / self.n_table
        fourths = (weights * rest**4).sum()
        n_units = squares.sum() ** 2 / fourths if fourths > 0 else 0.0
        return Spread(float(np.sqrt(within + between)), max(n_units, 1.0), float(n_units))

    def by_rows(self) -> "Sampling":
        """The same design, were the rows in no order."""
        return replace(self, is_ordered=False)

    def of_strata(self, strata: np.ndarray) -> "Sampling":
        """The same design of other rows."""
        return replace(self, strata=strata)


@dataclass(frozen=True, eq=False)
class FoldScores:
    """Scores of the params of judged models on the folds of the training rows.

    Attributes:
        scores: Of each model, array of shape (n_models, n_folds); NaN where they are not known.
        n_splits: Folds of one repeat.
        size: The rows of a fold, as a share of the held-out ones.
    """

    scores: np.ndarray
    n_splits: int
    size: float

    def spread(self, other: int | None = None) -> Spread:
        """The spread of the first model's score on held-out rows, or of its gain over another."""
        ours = self.scores[0]
        scores = ours if other is None else ours - self.scores[other]
        error = np.std(scores, ddof=1) * np.sqrt(self.size)
        return Spread(float(error), self.n_splits - 1, self.n_splits)


def spread_in_order(influence: np.ndarray) -> Spread:
    """The spread of a score of rows that are in the order of time, from their influence.

    Args:
        influence: Of each row, array of shape (n_samples,).
    """
    n = len(influence)
    n_waves = max(1, int(WAVES * n ** (2 / 3)))
    # Row j is the wave cos(pi j (t + 1/2) / n) over the rows t.
    waves = scipy.fft.dct(influence - influence.mean(), type=2, norm="ortho")[1 : n_waves + 1]
    return Spread(float(np.sqrt((waves**2).mean() / n)), n_waves, n)
