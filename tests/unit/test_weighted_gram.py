"""Every way to compute ``X' diag(w) X`` gives what dense arrays give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack

from hpo.estimators.weighted_gram import DenseGram, SlottedGram, SparseGram, make_gram


def numbers(n_rows: int, n_columns: int):
    return csr_matrix(np.random.default_rng(0).normal(size=(n_rows, n_columns)))


def categories(n_rows: int, n_categories: int, share_missing: float = 0.0):
    """One-hot columns; a row may have none of them."""
    rng = np.random.default_rng(n_categories)
    hot = np.eye(n_categories)[rng.integers(n_categories, size=n_rows)]
    hot[rng.random(n_rows) < share_missing] = 0
    return csr_matrix(hot)


def words(n_rows: int, n_words: int):
    """Rows of very different lengths."""
    rng = np.random.default_rng(n_words)
    frequency = rng.random((n_rows, 1)) ** 8
    return csr_matrix(rng.random((n_rows, n_words)) * (rng.random((n_rows, n_words)) < frequency))


def mixed(*parts):
    return hstack(parts).tocsr()


def backwards(X):
    """The values of each row from the last column to the first."""
    order = np.lexsort((-X.indices, np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))))
    return csr_matrix((X.data[order], X.indices[order], X.indptr), X.shape)


TABLES = {
    "numbers": (lambda: numbers(60, 4).toarray(), DenseGram),
    "sparse numbers": (lambda: numbers(60, 4), SlottedGram),
    "categories": (lambda: categories(60, 5), SlottedGram),
    "both": (lambda: mixed(numbers(60, 3), categories(60, 5), categories(60, 3)), SlottedGram),
    "in no order": (lambda: backwards(mixed(numbers(60, 3), categories(60, 5))), SlottedGram),
    "gaps": (lambda: mixed(numbers(60, 2), categories(60, 5, 0.4)), SlottedGram),
    "nearly no value": (lambda: csr_matrix((40, 3)), SlottedGram),
    "words": (lambda: words(300, 20), SparseGram),
    "many categories": (lambda: categories(60, 30), SparseGram),
}


@pytest.mark.parametrize("name", TABLES)
def test_it_is_the_product_of_dense_arrays(name):
    make, kind = TABLES[name]
    X = make()
    gram = make_gram(X)
    assert type(gram) is kind
    dense = X if isinstance(X, np.ndarray) else X.toarray()
    rng = np.random.default_rng(1)
    for weights in (rng.random(len(dense)), rng.normal(size=len(dense))):
        expected = dense.T @ (dense * weights[:, None])
        np.testing.assert_allclose(gram(weights), expected, rtol=1e-12, atol=1e-12)
        for columns in (np.array([0]), np.arange(dense.shape[1])[::2], np.array([2, 1])):
            part = gram.of(columns)
            np.testing.assert_allclose(
                part(weights), expected[np.ix_(columns, columns)], rtol=1e-12, atol=1e-12
            )
            np.testing.assert_allclose(
                part.of(np.array([0]))(weights), part(weights)[:1, :1], rtol=1e-12, atol=1e-12
            )


@pytest.mark.parametrize("name", TABLES)
def test_it_is_the_same_to_the_last_bit_each_time(name):
    X = TABLES[name][0]()
    weights = np.random.default_rng(2).random(X.shape[0])
    np.testing.assert_array_equal(make_gram(X)(weights), make_gram(X)(weights))
