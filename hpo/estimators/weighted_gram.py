"""Computes ``X' diag(w) X``, the curvature of a linear model's loss, for many weights of one ``X``.

Rows of numbers and one-hot categories are sparse, with about as many values in every row. Kept in
slots, the first to the last value of each row, a product of two slots is one ``bincount``: a
fortieth of the time of a product of sparse matrices, which looks up where each value belongs.
"""

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
        X: Shape (n_samples, n_features).
        is_full: Which columns are kept dense, shape (n_features,).
        is_dense: Which values are of those, shape (n_values,).
        lengths: How many others each row has, shape (n_samples,).
    """

    def __init__(
        self, X: csr_matrix, is_full: np.ndarray, is_dense: np.ndarray, lengths: np.ndarray
    ) -> None:
        self._full, self._rest = np.flatnonzero(is_full), np.flatnonzero(~is_full)
        n_samples, n_full, n_slots = X.shape[0], len(self._full), int(lengths.max(initial=0))
        position = np.empty(len(is_full), dtype=X.indices.dtype)
        position[self._full] = np.arange(n_full)
        position[self._rest] = np.arange(len(self._rest))
        columns, values = position[X.indices[~is_dense]], X.data[~is_dense]
        ends = np.append(0, np.cumsum(lengths))
        self._sparse = csr_matrix((values, columns, ends), (n_samples, len(self._rest)))
        if X.nnz == n_samples * (n_full + n_slots) and X.has_sorted_indices:
            # No row has a gap, so all values are in their place already.
            self._dense = X.data[is_dense].reshape(n_samples, n_full)
            codes, values = columns.reshape(n_samples, n_slots).T, values.reshape(n_samples, -1).T
        else:
            row = np.repeat(np.arange(n_samples), np.diff(X.indptr))
            self._dense = np.zeros((n_samples, n_full))
            self._dense[row[is_dense], position[X.indices[is_dense]]] = X.data[is_dense]
            row = row[~is_dense]
            slot = np.arange(len(row)) - np.repeat(ends[:-1], lengths)
            codes, filled = np.zeros((2, n_slots, n_samples))
            codes[slot, row], filled[slot, row] = columns, values
            values = filled
        self._codes = [np.ascontiguousarray(each, dtype=np.int64) for each in codes]
        # Of one-hot rows there is nothing to multiply by.
        self._values = [
            None if (each == 1).all() else np.ascontiguousarray(each) for each in values
        ]

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
    n_samples = X.shape[0]
    counts = np.bincount(X.indices, minlength=X.shape[1])
    is_full = counts > FULL_SHARE * n_samples
    n_rest = int((~is_full).sum())
    is_dense = is_full[X.indices]
    n_before = np.append(0, np.cumsum(~is_dense))
    lengths = np.diff(n_before[X.indptr])
    is_even = lengths.max(initial=0) * n_samples <= MAX_PADDING * lengths.sum()
    if is_even and n_rest**2 <= MAX_PAIRS * n_samples:
        return SlottedGram(X, is_full, is_dense, lengths)
    return SparseGram(X)
