"""Splits forward in time, of which every part holds every class."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.data.order import Order
from hpo.errors import DataError
from hpo.escaping import quote


def hold_out(
    y: np.ndarray, groups: np.ndarray | None, test_size: float, order: Order, *, spare: str
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out the last rows; arguments are those of :func:`split`.

    Raises:
        DataError: A class is missing before or among them.
    """
    train, test = order.hold_out(test_size, groups)
    if (lack := _find_lack(y, [(train, test)])) is not None:
        raise DataError(
            f"data.time: with the last {100 * test_size:g} % of the rows by {quote(order.name)}"
            " held out,"
            f" there is no {lack.what} of class {quote(lack.label)}",
            hint=f"change data.test_size, or {spare}",
        )
    return train, test


def split(
    y: np.ndarray, groups: np.ndarray | None, n_splits: int, order: Order, *, spare: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split forward in time, where all parts hold every class.

    Args:
        y: The classes, array of shape (n_samples,).
        groups: Of each row, or None.
        n_splits: Number of folds.
        order: Of the rows.
        spare: How to do without a rare class.

    Raises:
        DataError: One does not; with the number of folds that would do.
    """
    splits = order.split(n_splits, groups)
    lack = _find_lack(y, splits)
    if lack is None:
        return splits
    fewer = _count_possible(y, groups, n_splits - 1, order)
    raise DataError(
        f"data.time: fold {lack.fold} of {n_splits} by {quote(order.name)} has no {lack.what}"
        f" of class {quote(lack.label)}",
        hint=f"set cv.n_splits to {fewer}, or {spare}" if fewer else spare,
    )


def _count_possible(
    y: np.ndarray, groups: np.ndarray | None, most: int, order: Order
) -> int | None:
    """The most folds by time of which every part holds every class, or None."""
    for n_splits in range(most, 1, -1):
        with suppress(DataError):
            if _find_lack(y, order.split(n_splits, groups)) is None:
                return n_splits
    return None


@dataclass(frozen=True)
class _Lack:
    """A part of a split that lacks a class."""

    label: Any
    fold: int
    what: str


def _find_lack(y: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]]) -> _Lack | None:
    """The first part that lacks a class, or None."""
    for fold, parts in enumerate(splits, start=1):
        for rows, what in zip(parts, ("training row", "held-out row"), strict=True):
            if (lacking := np.setdiff1d(y, y[rows])).size:
                return _Lack(lacking[0], fold, what)
    return None
