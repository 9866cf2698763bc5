"""Two solvers of a logistic regression with an elastic net.

Proximal Newton (Lee, Sun and Saunders 2014, SIAM J. Optim. 24, 1420-1443): each step minimises the
loss's quadratic model with the penalty itself. It takes a Hessian of all coefficients that are not
at rest, so it is for tables with up to some hundreds of them. The model is solved by
coordinate descent, which finds the coefficients that are zero, in turn with the exact minimum over
the others, which correlated columns need.

For more coefficients, L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995, SIAM J. Sci. Comput. 16, 1190-1208)
on positive and negative parts, which makes the objective smooth.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from hpo.estimators.logistic_problem import LogisticProblem, Loss

DAMPING = 1e-9
"""Of the model, in parts of its mean curvature: categories and classes leave flat directions."""

MAX_ROUNDS = 60
"""Of coordinate descent and exact minimum in one step."""

ROUND_GAIN = 1e-2
"""A step's model is solved once a round gains less than this share of what all did."""

N_SWEEPS = 10
"""Of coordinate descent in a round."""

SMALLEST_STEP = 1e-8


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


def solve_by_proximal_newton(problem: LogisticProblem, tol: float, max_iter: int) -> Solution:
    """Minimise until a step promises less than ``tol`` of the objective."""
    W = start(problem)
    scores = problem.scores(W)
    loss = problem.loss(scores)
    value = loss.value + problem.penalty(W)
    for n_iter in range(max_iter):
        gradient = problem.gradient(loss)
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
    factor = (_factored(hessian[np.ix_(bias, bias)])[1], True)
    change = np.zeros_like(w)
    if len(free):
        curvature = hessian[np.ix_(free, free)] - coupling.T @ cho_solve(factor, coupling)
        reduced = slope[free] - coupling.T @ cho_solve(factor, slope[bias])
        model = _Model((curvature + curvature.T) / 2, reduced, problem.l1, problem.l2, w[free])
        change[free] = model.minimise() - w[free]
    change[bias] = -cho_solve(factor, slope[bias] + coupling @ change[free])
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
        """Coordinate descent and the minimum over what is not zero, in turn."""
        w = self.w
        root = np.asfortranarray(self.root.T)
        target = solve_triangular(root, self.c, trans="T")
        first = value = self.value(w)
        for _ in range(MAX_ROUNDS):
            w = self._descend(root, target, w)
            w = self._minimise_over_support(w)
            before, value = value, self.value(w)
            if before - value <= ROUND_GAIN * (first - value):
                break
        return w

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
        here, signs = w[support], np.sign(w[support])
        H = self.H[np.ix_(support, support)] + self.l2 * np.eye(len(support))
        there = cho_solve(cho_factor(H), self.c[support] - self.l1 * signs)
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
        try:
            return damped, np.linalg.cholesky(damped)
        except np.linalg.LinAlgError:
            if not damping < np.abs(curvature).max() * size:
                raise
            damping *= 100


def solve_by_lbfgsb(problem: LogisticProblem, tol: float, max_iter: int) -> Solution:
    """Minimise until no derivative of the mean objective is above ``tol``."""
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
    return Solution(split(found.x).copy(), found.nit, converged=found.status == 0)
