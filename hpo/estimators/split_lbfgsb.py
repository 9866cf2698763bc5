"""Solves a logistic regression with an elastic net by L-BFGS-B, for many coefficients.

The coefficients are split into positive and negative parts, which makes the objective smooth; the
method is that of Byrd, Lu, Nocedal and Zhu 1995, SIAM J. Sci. Comput. 16, 1190-1208. Where columns
are nearly copies it stops long before the minimum, so Newton steps go on from there, as long as few
coefficients are not zero.
"""

import numpy as np
from scipy.optimize import minimize

from hpo.estimators.logistic_problem import LogisticProblem, Solution, start
from hpo.estimators.proximal_newton import solve_by_proximal_newton

MAX_FREE_COEFFICIENTS = 1500
"""With more coefficients that are not zero a Newton step takes longer than all that was before."""

MAX_NEWTON_STEPS = 100

OBJECTIVE_TOLERANCE = 1e-9
"""Share of the objective that Newton steps may leave."""

RESTART_GAIN = 1e-9
"""L-BFGS-B is begun again, with no memory, while it gains this share of the objective."""

AT_ROUNDING = 10
"""Times its tolerance, a derivative at which rounding may hide a lower value."""


def solve_by_lbfgsb(problem: LogisticProblem, tol: float, max_iter: int) -> Solution:
    """Minimise until no derivative of the mean objective is above ``tol``, then by Newton steps.

    Where those would take too long, ``AT_ROUNDING`` times as much is enough, or the bound of L2.
    """
    W, n_iter, steepest = _descend(problem, tol, max_iter)
    loss = problem.loss(problem.scores(W))
    gradient = problem.gradient(loss)
    n_free = len(W) * int(problem.may_move(W, gradient).any(axis=0).sum())
    if n_free <= MAX_FREE_COEFFICIENTS:
        n_steps = min(max_iter, MAX_NEWTON_STEPS)
        end = solve_by_proximal_newton(problem, OBJECTIVE_TOLERANCE, n_steps, W)
        return Solution(end.W, n_iter + end.n_iter, end.converged)
    excess = problem.excess_bound(W, loss, gradient)
    is_low = excess <= OBJECTIVE_TOLERANCE * (loss.value + problem.penalty(W))
    return Solution(W, n_iter, converged=bool(is_low or steepest <= AT_ROUNDING * tol))


def _descend(problem: LogisticProblem, tol: float, max_iter: int) -> tuple[np.ndarray, int, float]:
    """Run L-BFGS-B; gives coefficients, iterations and the steepest derivative."""
    W = start(problem)
    size = W[:, :-1].size
    scale = 1 / problem.weights.sum()

    def join(parts: np.ndarray) -> np.ndarray:
        W[:, :-1] = (parts[:size] - parts[size : 2 * size]).reshape(len(W), -1)
        W[:, -1] = parts[2 * size :]
        return W

    def split(W: np.ndarray) -> np.ndarray:
        w = W[:, :-1].ravel()
        return np.concatenate([np.maximum(w, 0), np.maximum(-w, 0), W[:, -1]])

    def evaluate(parts: np.ndarray) -> tuple[float, np.ndarray]:
        W = join(parts)
        loss = problem.loss(problem.scores(W))
        gradient = problem.gradient(loss)
        slope = (gradient[:, :-1] + problem.l2 * W[:, :-1]).ravel()
        squares = problem.l2 / 2 * float((W[:, :-1] ** 2).sum())
        value = loss.value + squares + problem.l1 * parts[: 2 * size].sum()
        slopes = np.concatenate([slope + problem.l1, problem.l1 - slope, gradient[:, -1]])
        return value * scale, slopes * scale

    n_iter, value = 0, np.inf
    while True:
        found = minimize(
            evaluate,
            split(W),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * (2 * size) + [(None, None)] * len(W),
            options={
                "maxiter": max_iter - n_iter,
                "maxfun": 2 * max_iter,
                "maxcor": 20,
                "ftol": 0.0,
                "gtol": tol,
            },
        )
        n_iter += found.nit
        # A part that rests at zero may have a derivative that would lead below it.
        is_at_rest = (found.x == 0) & (np.arange(len(found.x)) < 2 * size)
        steepest = np.abs(np.where(is_at_rest, np.minimum(found.jac, 0), found.jac)).max()
        W = join(found.x).copy()
        is_level = value - found.fun <= RESTART_GAIN * found.fun
        if steepest <= tol or is_level or n_iter >= max_iter:
            return W, n_iter, float(steepest)
        value = found.fun
