"""Rows in the order of time: read, held out at the end, split into folds that go forward.

A model is fitted on the past and scored on what came after, as it will be used. Rows of one time
are never on both sides of a boundary: it moves to the nearest change of the time. Of a group that
is on both sides the earlier rows are left out of the fit, as López de Prado purges them (2018,
*Advances in Financial Machine Learning*, chapter 7).
"""

import json
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.model_selection import TimeSeriesSplit

from hpo.errors import DataError
from hpo.escaping import quote
from hpo.values import to_dates


@dataclass(frozen=True)
class Order:
    """The time of each row, the earliest first.

    Attributes:
        name: The column's.
        times: Dates or numbers, ascending, array of shape (n_samples,).
        gap: Rows that are left out between those that are fitted on and those that are scored.
    """

    name: str
    times: np.ndarray
    gap: int = 0

    def take(self, rows: np.ndarray) -> Self:
        """The same of some of the rows, by position or mask; they stay in order."""
        return replace(self, times=self.times[rows])

    def hold_out(
        self, test_size: float, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the training rows and of the last part, which is held out.

        Raises:
            DataError: One of the two is empty.
        """
        n = len(self.times)
        changes = self._changes()
        if not changes.size:
            raise DataError(
                f"data.time: {quote(self.name)} has only one time",
                hint="name another column, or leave data.time out",
            )
        start = _nearest(changes, n - int(np.ceil(test_size * n)))
        train, test = self._part(start, n, groups)
        if not len(train):
            raise self._nothing_left("the hold-out", groups, "lower data.test_size")
        return train, test

    def split(
        self, n_splits: int, groups: np.ndarray | None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Folds as ``TimeSeriesSplit`` has them: each is fitted on all rows before those it scores.

        Raises:
            DataError: There are too few times, or a fold has nothing to be fitted on.
        """
        n = len(self.times)
        changes = self._changes()
        if n > n_splits and len(changes) >= n_splits:
            parts = TimeSeriesSplit(n_splits).split(self.times)
            starts = [_nearest(changes, test[0]) for _, test in parts]
            if len(set(starts)) == n_splits:
                ends = [*starts[1:], n]
                splits = [self._part(*part, groups) for part in zip(starts, ends, strict=True)]
                if all(len(train) for train, _ in splits):
                    return splits
                raise self._nothing_left("a fold", groups, "lower cv.n_splits")
        raise DataError(
            f"data.time: {quote(self.name)} has {len(changes) + 1} distinct times in"
            f" {n} training rows, which cannot be split into n_splits = {n_splits} folds"
            " without splitting a time",
            hint="lower cv.n_splits, or name a finer time",
        )

    def check_outer_folds(self, n_folds: int, n_splits: int, groups: np.ndarray | None) -> None:
        """Make sure that the training rows of every outer fold can be split again.

        Raises:
            DataError: They cannot.
        """
        for train, _ in self.split(n_folds, groups):
            self.take(train).split(n_splits, None if groups is None else groups[train])

    def _changes(self) -> np.ndarray:
        """Positions of the rows whose time is not that of the row before."""
        return np.flatnonzero(self.times[1:] != self.times[:-1]) + 1

    def _part(
        self, start: int, end: int, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows to fit on for those from ``start`` to ``end``, and these."""
        train, test = np.arange(max(start - self.gap, 0)), np.arange(start, end)
        if groups is not None:
            train = train[~np.isin(groups[train], groups[test])]
        return train, test

    def _nothing_left(self, part: str, groups: np.ndarray | None, otherwise: str) -> DataError:
        if groups is None or self.gap >= len(self.times) // 2:
            return DataError(
                f"data.time: cv.gap = {self.gap} leaves {part} nothing to be fitted on",
                hint=f"lower cv.gap, or {otherwise}",
            )
        return DataError(
            f"data.time: every group before {part} comes again in it,"
            " so there is nothing to be fitted on",
            hint="leave data.group out, where the rows to predict are of groups that are known",
        )


def _nearest(changes: np.ndarray, row: int) -> int:
    """The change of time that is nearest to a row; the earlier of two."""
    return int(changes[np.abs(changes - row).argmin()])


def read_times(column: pd.Series) -> np.ndarray:
    """Read the time of each row: numbers as they are, anything else as ISO dates.

    Raises:
        DataError: A row has none, or holds something else.
    """
    subject = f"data.time: column {quote(column.name)}"
    n_missing = int(column.isna().sum())
    if n_missing:
        raise DataError(
            f"{subject} has {n_missing} missing values", hint="leave out the rows without a time"
        )
    if types.is_bool_dtype(column):
        raise DataError(f"{subject} holds truth values, no times", hint="name another column")
    if types.is_numeric_dtype(column):
        numbers = column.to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise DataError(f"{subject} holds infinite values", hint="leave out their rows")
        return numbers
    dates = to_dates(column)
    if dates.isna().any():
        wrong = quote(column[dates.isna()].iloc[0])
        raise DataError(
            f"{subject} should be numbers, or dates such as 2024-03-31 or 2024-03-31 13:05,"
            f" but got {wrong}",
            hint="write all of its dates so",
        )
    return dates.to_numpy()


def find_dates(X: pd.DataFrame) -> list[str]:
    """List the columns that hold dates."""
    return [str(name) for name in X.columns if types.is_datetime64_any_dtype(X[name])]


def advise_time(X: pd.DataFrame, order: Order | None) -> list[str]:
    """Say, of rows in no order with a column of dates, how to judge a model on later rows."""
    dates = find_dates(X) if order is None else []
    return [
        f"{quote(name)} holds dates: with data.time = {json.dumps(name, ensure_ascii=False)} the"
        " model is judged on rows after those it was fitted on, as it will be used"
        for name in dates[:1]
    ]
