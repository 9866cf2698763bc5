"""Solves a logistic regression with an elastic net by proximal Newton steps.

Each step minimises the loss's quadratic model with the penalty itself (Lee, Sun and Saunders 2014,
SIAM J. Optim. 24, 1420-1443). It takes a Hessian of all coefficients that are not at rest, so it is
for tables with up to some hundreds of them.
"""

import numpy as np
from scipy.linalg.lapack import dpotrs

from hpo.estimators.elastic_net_quadratic import ElasticNetQuadratic, factored
from hpo.estimators.logistic_problem import LogisticProblem, Loss, Solution, start

SMALLEST_STEP = 1e-8


def solve_by_proximal_newton(
    problem: LogisticProblem, tol: float, max_iter: int, W: np.ndarray | None = None
) -> Solution:
    """Minimise, from ``W``, until a step promises less than ``tol`` of the objective."""
    W = start(problem) if W is None else W
    scores = problem.scores(W)
    loss = problem.loss(scores)
    value = loss.value + problem.penalty(W)
    for n_iter in range(max_iter):
        gradient = problem.gradient(loss)
        if problem.excess_bound(W, loss, gradient) <= tol * value:
            return Solution(W, n_iter, converged=True)
        step = _newton_step(problem, W, loss, gradient)
        promised = float((gradient * step).sum()) + problem.penalty(W + step) - problem.penalty(W)
        if -promised <= tol * value:
            return Solution(W, n_iter, converged=True)
        size, change = 1.0, problem.scores(step)
        while size > SMALLEST_STEP:
            new_loss = problem.loss(scores + size * change)
            new_value = new_loss.value + problem.penalty(W + size * step)
            if new_value <= value + 1e-3 * size * promised:
                break
            size /= 2
        else:
            return Solution(W, n_iter, converged=False)
        W, scores = W + size * step, scores + size * change
        loss, value = new_loss, new_value
    return Solution(W, max_iter, converged=False)


def _newton_step(
    problem: LogisticProblem, W: np.ndarray, loss: Loss, gradient: np.ndarray
) -> np.ndarray:
    """The minimum of the model, less where we are.

    Coefficients that are zero and stay so are left out. Intercepts have no penalty, so they are
    eliminated; of three and more, one is held, since only their differences count.
    """
    n_outputs, width = W.shape
    is_free = problem.may_move(W, gradient)
    used = np.append(np.flatnonzero(is_free.any(axis=0)), width - 1)
    hessian = problem.hessian(loss, used)
    free = np.flatnonzero(is_free[:, used])
    n_held = 1 if n_outputs > 1 else 0
    bias = (np.arange(n_outputs - n_held) + 1) * len(used) - 1
    w, slope = W[:, used].ravel(), gradient[:, used].ravel()
    coupling = hessian[np.ix_(bias, free)]
    root = factored(hessian[np.ix_(bias, bias)])[1]
    change = np.zeros_like(w)
    if len(free):
        curvature = hessian[np.ix_(free, free)] - coupling.T @ dpotrs(root, coupling, lower=1)[0]
        reduced = slope[free] - coupling.T @ dpotrs(root, slope[bias], lower=1)[0]
        model = ElasticNetQuadratic(
            (curvature + curvature.T) / 2, reduced, problem.l1, problem.l2, w[free]
        )
        change[free] = model.minimise() - w[free]
    change[bias] = -dpotrs(root, slope[bias] + coupling @ change[free], lower=1)[0]
    step = np.zeros_like(W)
    step[:, used] = change.reshape(n_outputs, len(used))
    return step
