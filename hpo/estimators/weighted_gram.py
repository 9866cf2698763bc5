"""Computes ``X' diag(w) X``, the curvature of a linear model's loss, for many weights of one ``X``.

Rows of numbers and one-hot categories are sparse, with about as many values in every row. Kept in
slots, the first to the last value of each row, a product of two slots is one ``bincount``: a
fortieth of the time of a product of sparse matrices, which looks up where each value belongs.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from scipy.sparse import csr_matrix, issparse

Rows: TypeAlias = Any
"""A dense array or a sparse matrix of rows."""

FULL_SHARE = 0.5
"""A column with a value in more than this share of the rows is kept dense."""

MAX_PADDING = 2.0
"""Slots may be so many times as large as the values in them: texts have rows of any length."""

MAX_PAIRS = 4
"""Pairs of columns, per row: with more of them most sums would be empty."""


class Gram(Protocol):
    """Rows ``X`` of shape (n_samples, n_features), made ready for many weights."""

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Compute ``X' diag(weights) X``, shape (n_features, n_features)."""

    def of(self, columns: np.ndarray) -> "Gram":
        """The same of some columns, by their positions."""


class DenseGram(Gram):
    """Dense rows."""

    def __init__(self, X: np.ndarray) -> None:
        self._X = X

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Multiply the arrays."""
        return np.asarray(self._X.T @ (self._X * weights[:, None]))

    def of(self, columns: np.ndarray) -> "DenseGram":
        """Copy the columns."""
        return DenseGram(self._X[:, columns])


class SparseGram(Gram):
    """Sparse rows, multiplied as sparse matrices."""

    def __init__(self, X: csr_matrix) -> None:
        self._X = X
        self._columns = X.T.tocsr()

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Multiply the matrices."""
        X = self._X
        scaled = X.data * np.repeat(weights, np.diff(X.indptr))
        product = self._columns @ csr_matrix((scaled, X.indices, X.indptr), X.shape)
        return np.asarray(product.toarray())

    def of(self, columns: np.ndarray) -> "SparseGram":
        """Copy the columns."""
        return SparseGram(self._X[:, columns])


class SlottedGram(Gram):
    """Sparse rows in slots, beside the columns that are nearly full.

    Args:
        full: The columns that are kept dense.
        rest: The others.
        dense: The values of the former, shape (n_samples, n_full).
        codes: The slots: a position in ``rest`` for each row, shape (n_samples,) each.
        values: Those of each slot; 0 where a row has no value left.
    """

    def __init__(
        self,
        full: np.ndarray,
        rest: np.ndarray,
        dense: np.ndarray,
        codes: Sequence[np.ndarray],
        values: Sequence[np.ndarray],
    ) -> None:
        self._full, self._rest, self._dense = full, rest, dense
        self._codes = [np.ascontiguousarray(each, dtype=np.int64) for each in codes]
        # Of one-hot rows there is nothing to multiply by.
        self._values = [
            None if (each == 1).all() else np.ascontiguousarray(each) for each in values
        ]
        n_samples, n_slots = len(dense), len(codes)
        columns = np.empty((n_samples, n_slots), dtype=np.int32)
        data = np.empty((n_samples, n_slots))
        for slot in range(n_slots):
            columns[:, slot], data[:, slot] = codes[slot], values[slot]
        ends = np.arange(n_samples + 1) * n_slots
        self._sparse = csr_matrix((data.ravel(), columns.ravel(), ends), (n_samples, len(rest)))

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Multiply the dense columns; add up the products of all others by pairs of slots."""
        full, rest, size = self._full, self._rest, len(self._rest)
        scaled = self._dense * weights[:, None]
        halves = np.zeros(size * size)
        diagonal = np.zeros(size)
        for i, (codes, values) in enumerate(zip(self._codes, self._values, strict=True)):
            ours = _times(weights, values)
            diagonal += np.bincount(codes, weights=_times(ours, values), minlength=size)
            for j in range(i + 1, len(self._codes)):
                products = _times(ours, self._values[j])
                pairs = codes * size + self._codes[j]
                halves += np.bincount(pairs, weights=products, minlength=size * size)
        square = halves.reshape(size, size)
        gram = np.empty((len(full) + size,) * 2)
        gram[np.ix_(full, full)] = self._dense.T @ scaled
        gram[np.ix_(rest, full)] = self._sparse.T @ scaled
        gram[np.ix_(full, rest)] = gram[np.ix_(rest, full)].T
        gram[np.ix_(rest, rest)] = square + square.T + np.diag(diagonal)
        return gram

    def of(self, columns: np.ndarray) -> Gram:
        """Leave out the others at the end: they cost next to nothing."""
        return _SomeColumns(self, columns)


def _times(weights: np.ndarray, values: np.ndarray | None) -> np.ndarray:
    return weights if values is None else weights * values


class _SomeColumns(Gram):
    def __init__(self, gram: Gram, columns: np.ndarray) -> None:
        self._gram, self._columns = gram, columns

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        return np.asarray(self._gram(weights)[np.ix_(self._columns, self._columns)])

    def of(self, columns: np.ndarray) -> Gram:
        return _SomeColumns(self._gram, self._columns[columns])


def make_gram(X: Rows) -> Gram:
    """Choose by how full the rows and columns are."""
    if not issparse(X):
        return DenseGram(X)
    return _slot_even_rows(X) or _slot_rows(X) or SparseGram(X)


def _slot_even_rows(X: csr_matrix) -> SlottedGram | None:
    """Slot rows that all have as many values; None where some have more, or columns are many.

    A place of the rows that is one column in all of them is kept dense.
    """
    n_samples = X.shape[0]
    n_places = X.nnz // n_samples
    if (np.diff(X.indptr) != n_places).any():
        return None
    columns, values = (each.reshape(n_samples, n_places).T for each in (X.indices, X.data))
    is_dense = np.array([bool((each == each[0]).all()) for each in columns], dtype=bool)
    full = columns[is_dense, 0]
    rest, position = _number_rest(X, full)
    if not _are_few(rest, n_samples):
        return None
    codes = [position[each] for each in columns[~is_dense]]
    return SlottedGram(
        full, rest, np.ascontiguousarray(values[is_dense].T), codes, values[~is_dense]
    )


def _slot_rows(X: csr_matrix) -> SlottedGram | None:
    """Slot rows of about the same length; None where it differs too much, or columns are many."""
    n_samples = X.shape[0]
    is_full = np.bincount(X.indices, minlength=X.shape[1]) > FULL_SHARE * n_samples
    is_dense = is_full[X.indices]
    n_before = np.append(0, np.cumsum(~is_dense))
    lengths = np.diff(n_before[X.indptr])
    n_slots = int(lengths.max(initial=0))
    full = np.flatnonzero(is_full)
    rest, position = _number_rest(X, full)
    if n_slots * n_samples > MAX_PADDING * lengths.sum() or not _are_few(rest, n_samples):
        return None
    row = np.repeat(np.arange(n_samples), np.diff(X.indptr))
    dense = np.zeros((n_samples, len(full)))
    dense[row[is_dense], np.searchsorted(full, X.indices[is_dense])] = X.data[is_dense]
    row = row[~is_dense]
    slot = np.arange(len(row)) - n_before[X.indptr[row]]
    codes, values = np.zeros((2, n_slots, n_samples))
    codes[slot, row], values[slot, row] = position[X.indices[~is_dense]], X.data[~is_dense]
    return SlottedGram(full, rest, dense, codes, values)


def _number_rest(X: csr_matrix, full: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns that are not full, and the position of each column among them."""
    is_rest = np.ones(X.shape[1], dtype=bool)
    is_rest[full] = False
    return np.flatnonzero(is_rest), np.cumsum(is_rest) - 1


def _are_few(columns: np.ndarray, n_samples: int) -> bool:
    return len(columns) ** 2 <= MAX_PAIRS * n_samples
