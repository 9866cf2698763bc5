"""The objective of a logistic regression with an elastic net, its gradient and its Hessian.

It is scikit-learn's,
``C * sum(weight * loss) + l1_ratio * ||W||_1 + (1 - l1_ratio) / 2 * ||W||^2``:
the intercept has no penalty. Two classes have one row of coefficients, more have one each.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix, issparse

from hpo.estimators.elastic_net_quadratic import least_slopes
from hpo.estimators.weighted_gram import Gram, Rows, make_gram


@dataclass(frozen=True, eq=False)
class Loss:
    """The weighted loss at some scores.

    Attributes:
        value: Its sum.
        residuals: Derivative by the scores, shape (n_samples, n_outputs).
        probabilities: Of the outputs' classes, the same shape.
    """

    value: float
    residuals: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True, eq=False)
class LogisticProblem:
    """An objective on some rows.

    Attributes:
        X: Rows with a last column of ones, shape (n_samples, n_features + 1).
        y: Positions of classes, array of shape (n_samples,).
        weights: Of the rows, times ``C``.
        n_outputs: Rows of the coefficients: one for two classes.
        l1: The factor of the absolute values.
        l2: The factor of half the squares.
    """

    X: Rows
    y: np.ndarray
    weights: np.ndarray
    n_outputs: int
    l1: float
    l2: float

    @cached_property
    def gram(self) -> Gram:
        """The rows, ready for the weights of a Hessian."""
        return make_gram(self.X)

    def penalty(self, W: np.ndarray) -> float:
        """The penalty of coefficients of shape (n_outputs, n_features + 1)."""
        free = W[:, :-1]
        return float(self.l2 / 2 * (free * free).sum() + self.l1 * np.abs(free).sum())

    def scores(self, W: np.ndarray) -> np.ndarray:
        """The scores of all rows, shape (n_samples, n_outputs)."""
        return np.asarray(self.X @ W.T)

    def loss(self, scores: np.ndarray) -> Loss:
        """The loss at scores."""
        y, weights = self.y, self.weights
        if self.n_outputs == 1:
            score = scores[:, 0]
            small = np.exp(-np.abs(score))
            value = np.log1p(small) + np.maximum(score, 0) - y * score
            probabilities = np.maximum(small, score >= 0) / (1 + small)
            residuals = weights * (probabilities - y)
            return Loss(float(weights @ value), residuals[:, None], probabilities[:, None])
        rows = np.arange(len(y))
        top = scores.max(axis=1, keepdims=True)
        probabilities = np.exp(scores - top)
        total = probabilities.sum(axis=1, keepdims=True)
        probabilities /= total
        value = np.log(total[:, 0]) + top[:, 0] - scores[rows, y]
        residuals = probabilities.copy()
        residuals[rows, y] -= 1
        residuals *= weights[:, None]
        return Loss(float(weights @ value), residuals, probabilities)

    def gradient(self, loss: Loss) -> np.ndarray:
        """The loss's gradient by the coefficients, shape (n_outputs, n_features + 1)."""
        return np.asarray(self.X.T @ loss.residuals).T

    def excess_bound(self, W: np.ndarray, loss: Loss, gradient: np.ndarray) -> float:
        """The most that the objective is above its minimum, as far as L2 bounds it near there.

        The smallest slope ``g`` along a curvature of at least ``c`` leaves ``g**2 / (2 * c)`` (Boyd
        and Vandenberghe 2004, Convex Optimization, 9.9); intercepts have the loss's own curvature.
        """
        if not self.l2:
            return math.inf
        free = W[:, :-1]
        slopes = least_slopes(gradient[:, :-1] + self.l2 * free, free, self.l1)
        P = loss.probabilities
        curvatures = self.weights @ (P * (1 - P)) + np.finfo(float).tiny
        of_intercepts = float((gradient[:, -1] ** 2 / curvatures).sum())
        return float((slopes**2).sum()) / (2 * self.l2) + of_intercepts / 2

    def may_move(self, W: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Which coefficients are not at rest at zero; intercepts, the last column, are left out."""
        may_move = (W != 0) | (np.abs(gradient + self.l2 * W) > self.l1)
        may_move[:, -1] = False
        return np.asarray(may_move)

    def hessian(self, loss: Loss, used: np.ndarray) -> np.ndarray:
        """The loss's Hessian by the coefficients of some columns, output by output."""
        gram = self.gram.of(used) if len(used) < self.X.shape[1] else self.gram
        P, n, size = loss.probabilities, self.n_outputs, len(used)
        H = np.empty((n, size, n, size))
        for i in range(n):
            for j in range(i + 1):
                share = P[:, i] * ((i == j) - P[:, j])
                H[i, :, j] = gram(self.weights * share)
                H[j, :, i] = H[i, :, j].T
        return H.reshape(n * size, n * size)


def make_problem(X: Rows, y: np.ndarray, weights: np.ndarray, l1_ratio: float) -> LogisticProblem:
    """Pose the problem.

    Args:
        X: Rows of shape (n_samples, n_features).
        y: Positions of classes, array of shape (n_samples,); every class is there.
        weights: Of the rows, times ``C``.
        l1_ratio: The share of L1.
    """
    n_classes = int(y.max()) + 1
    return LogisticProblem(
        X=_with_ones(X),
        y=y,
        weights=weights,
        n_outputs=n_classes if n_classes > 2 else 1,
        l1=l1_ratio,
        l2=1 - l1_ratio,
    )


def _with_ones(X: Rows) -> Rows:
    """Add a column of ones."""
    n_samples, n_features = X.shape
    if not issparse(X):
        return np.hstack([X, np.ones((n_samples, 1))])
    ends = X.indptr + np.arange(n_samples + 1, dtype=X.indptr.dtype)
    is_one = np.zeros(ends[-1], dtype=bool)
    is_one[ends[1:] - 1] = True
    data, columns = np.ones(ends[-1]), np.full(ends[-1], n_features, dtype=X.indices.dtype)
    data[~is_one], columns[~is_one] = X.data, X.indices
    return csr_matrix((data, columns, ends), (n_samples, n_features + 1))


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a solver ended.

    Attributes:
        W: Coefficients and intercepts, shape (n_outputs, n_features + 1).
        n_iter: Steps.
        converged: Whether it reached its tolerance.
    """

    W: np.ndarray
    n_iter: int
    converged: bool


def start(problem: LogisticProblem) -> np.ndarray:
    """No coefficients; intercepts that give the classes' shares."""
    W = np.zeros((problem.n_outputs, problem.X.shape[1]))
    shares = np.log(np.bincount(problem.y, weights=problem.weights) / problem.weights.sum())
    W[:, -1] = shares[1] - shares[0] if problem.n_outputs == 1 else shares - shares.mean()
    return W
