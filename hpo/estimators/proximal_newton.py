"""Solves a logistic regression with an elastic net by proximal Newton steps.

Each step minimises the loss's quadratic model with the penalty itself (Lee, Sun and Saunders 2014,
SIAM J. Optim. 24, 1420-1443). It takes a Hessian of all coefficients that are not at rest, so it is
for tables with up to some hundreds of them. The model is solved by coordinate descent, which finds
the coefficients that are zero, in turn with the exact minimum over the others, which correlated
columns need.
"""

import warnings

import numpy as np
from scipy.linalg.lapack import dposv, dpotrf, dpotrs, dtrtrs
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from hpo.estimators.logistic_problem import LogisticProblem, Loss, Solution, start

DAMPING = 1e-9
"""Of the model, in parts of its mean curvature: categories and classes leave flat directions."""

MAX_ROUNDS = 60
"""Of coordinate descent and exact minimum in one step."""

ROUND_GAIN = 1e-2
"""A step's model is solved once a round gains less than this share of what all did."""

N_SWEEPS = 10
"""Of coordinate descent in a round."""

EXACT = 1e-10
"""A derivative of the model is zero below this share of its slopes."""

SMALLEST_STEP = 1e-8


def solve_by_proximal_newton(problem: LogisticProblem, tol: float, max_iter: int) -> Solution:
    """Minimise until a step promises less than ``tol`` of the objective."""
    W = start(problem)
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
    is_free = (W != 0) | (np.abs(gradient + problem.l2 * W) > problem.l1)
    is_free[:, -1] = False
    used = np.append(np.flatnonzero(is_free.any(axis=0)), width - 1)
    hessian = problem.hessian(loss, used)
    free = np.flatnonzero(is_free[:, used])
    n_held = 1 if n_outputs > 1 else 0
    bias = (np.arange(n_outputs - n_held) + 1) * len(used) - 1
    w, slope = W[:, used].ravel(), gradient[:, used].ravel()
    coupling = hessian[np.ix_(bias, free)]
    root = _factored(hessian[np.ix_(bias, bias)])[1]
    change = np.zeros_like(w)
    if len(free):
        curvature = hessian[np.ix_(free, free)] - coupling.T @ dpotrs(root, coupling, lower=1)[0]
        reduced = slope[free] - coupling.T @ dpotrs(root, slope[bias], lower=1)[0]
        model = _Model((curvature + curvature.T) / 2, reduced, problem.l1, problem.l2, w[free])
        change[free] = model.minimise() - w[free]
    change[bias] = -dpotrs(root, slope[bias] + coupling @ change[free], lower=1)[0]
    step = np.zeros_like(W)
    step[:, used] = change.reshape(n_outputs, len(used))
    return step


class _Model:
    """``w' H w / 2 - c' w + l1 |w| + l2 / 2 w' w``, the loss's model about a point."""

    def __init__(
        self, curvature: np.ndarray, slope: np.ndarray, l1: float, l2: float, w: np.ndarray
    ) -> None:
        self.H, self.root = _factored(curvature)
        self.c = self.H @ w - slope
        self.l1, self.l2 = l1, l2
        self.w = w

    def value(self, w: np.ndarray) -> float:
        return float(w @ (self.H @ w / 2 - self.c + self.l2 / 2 * w) + self.l1 * np.abs(w).sum())

    def minimise(self) -> np.ndarray:
        """Coordinate descent and the minimum over what is not zero, in turn.

        Near the optimum no coefficient leaves or reaches zero, and the latter alone is enough.
        """
        if not self.l1:
            return self._smooth_minimum()
        w = self.w
        if w.all():
            moved = self._minimise_over_support(w)
            if self.is_minimum(moved):
                return moved
        root = np.asfortranarray(self.root.T)
        target = dtrtrs(self.root, self.c, lower=1)[0]
        first = value = self.value(w)
        for _ in range(MAX_ROUNDS):
            w = self._descend(root, target, w)
            w = self._minimise_over_support(w)
            before, value = value, self.value(w)
            if self.is_minimum(w) or before - value <= ROUND_GAIN * (first - value):
                break
        return w

    def _smooth_minimum(self) -> np.ndarray:
        """The minimum of a model without L1."""
        curvature = self.H + self.l2 * np.eye(len(self.c))
        return np.asarray(dposv(curvature, self.c, lower=1)[1])

    def is_minimum(self, w: np.ndarray) -> bool:
        """Whether every coefficient's derivative is zero, or within L1 where the coefficient is."""
        slope = self.H @ w - self.c + self.l2 * w
        at_zero = np.maximum(np.abs(slope) - self.l1, 0)
        excess = np.where(w == 0, at_zero, slope + self.l1 * np.sign(w))
        return bool(np.abs(excess).max() <= EXACT * np.abs(self.c).max())

    def _descend(self, root: np.ndarray, target: np.ndarray, w: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            path = enet_path(
                root,
                target,
                l1_ratio=self.l1 / (self.l1 + self.l2),
                alphas=[(self.l1 + self.l2) / len(w)],
                coef_init=w,
                tol=1e-15,
                max_iter=N_SWEEPS,
                precompute=False,
                check_input=False,
            )
        coefficients: np.ndarray = path[1][:, 0]
        return coefficients

    def _minimise_over_support(self, w: np.ndarray) -> np.ndarray:
        """Go towards the minimum with these signs; a coefficient stops at zero."""
        support = np.flatnonzero(w)
        if not len(support):
            return w
        here, signs = w[support], np.sign(w[support])
        H = self.H[np.ix_(support, support)] + self.l2 * np.eye(len(support))
        _, there, failed = dposv(H, self.c[support] - self.l1 * signs, lower=1)
        if failed:
            return w
        crossing = there * signs < 0
        sizes = [1.0, 0.5, 0.25, 0.125]
        if crossing.any():
            sizes.append(float((here[crossing] / (here - there)[crossing]).min()))
        value = self.value(w)
        for size in sizes:
            moved = here + size * (there - here)
            tried = np.zeros_like(w)
            tried[support] = np.where(moved * signs > 0, moved, 0)
            if self.value(tried) < value:
                return tried
        return w


def _factored(curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Damp a curvature; it, and its lower Cholesky factor.

    Where almost all rows are certain of their class, rounding leaves negative curvature: it takes
    more damping, which makes a step shorter and moves no optimum.
    """
    size = len(curvature)
    damping = DAMPING * abs(np.trace(curvature)) / size + np.finfo(float).tiny
    while True:
        damped = curvature + damping * np.eye(size)
        root, failed = dpotrf(damped, lower=1, clean=1)
        if not failed:
            return damped, root
        if not damping < np.abs(curvature).max() * size:
            raise np.linalg.LinAlgError("the curvature of the loss is not finite")
        damping *= 100
