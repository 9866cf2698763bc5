"""Solves a logistic regression with an elastic net by L-BFGS-B, for many coefficients.

The coefficients are split into positive and negative parts, which makes the objective smooth; the
method is that of Byrd, Lu, Nocedal and Zhu 1995, SIAM J. Sci. Comput. 16, 1190-1208.
"""

import numpy as np
from scipy.optimize import minimize

from hpo.estimators.logistic_problem import LogisticProblem, Solution, start

LINE_SEARCH_FAILED = 2
"""SciPy's status of an L-BFGS-B that found no lower value."""

AT_ROUNDING = 10
"""Times its tolerance, a derivative at which rounding may hide a lower value."""


def solve_by_lbfgsb(problem: LogisticProblem, tol: float, max_iter: int) -> Solution:
    """Minimise until no derivative of the mean objective is above ``tol``.

    Where rounding hides a lower value before that, ``AT_ROUNDING`` times as much is enough.
    """
    W = start(problem)
    size = W[:, :-1].size
    scale = 1 / problem.weights.sum()

    def split(parts: np.ndarray) -> np.ndarray:
        W[:, :-1] = (parts[:size] - parts[size : 2 * size]).reshape(len(W), -1)
        W[:, -1] = parts[2 * size :]
        return W

    def evaluate(parts: np.ndarray) -> tuple[float, np.ndarray]:
        W = split(parts)
        loss = problem.loss(problem.scores(W))
        gradient = problem.gradient(loss)
        slope = (gradient[:, :-1] + problem.l2 * W[:, :-1]).ravel()
        squares = problem.l2 / 2 * float((W[:, :-1] ** 2).sum())
        value = loss.value + squares + problem.l1 * parts[: 2 * size].sum()
        slopes = np.concatenate([slope + problem.l1, problem.l1 - slope, gradient[:, -1]])
        return value * scale, slopes * scale

    found = minimize(
        evaluate,
        np.concatenate([np.zeros(2 * size), W[:, -1]]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * (2 * size) + [(None, None)] * len(W),
        options={
            "maxiter": max_iter,
            "maxfun": 2 * max_iter,
            "maxcor": 20,
            "ftol": 0.0,
            "gtol": tol,
        },
    )
    # A part that rests at zero may have a derivative that would lead below it.
    is_at_rest = (found.x == 0) & (np.arange(len(found.x)) < 2 * size)
    steepest = np.abs(np.where(is_at_rest, np.minimum(found.jac, 0), found.jac)).max()
    is_at_rounding = found.status == LINE_SEARCH_FAILED and steepest <= AT_ROUNDING * tol
    converged = bool(found.status == 0 or is_at_rounding)
    return Solution(split(found.x).copy(), found.nit, converged=converged)
