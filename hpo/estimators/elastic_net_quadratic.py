"""Minimises a quadratic with an elastic net, the model of a loss about a point.

Coordinate descent finds nearly all coefficients that are zero, in turn with the exact minimum over
the others, which correlated columns need. Where columns are nearly copies it takes sweeps without
end: then the rest is found sign by sign, which is exact, at the cost of a Cholesky factor each.
"""

import warnings

import numpy as np
from scipy.linalg.lapack import dposv, dpotrf, dtrtrs
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

DAMPING = 1e-9
"""Of the curvature, in parts of its mean: categories and classes leave flat directions."""

MAX_ROUNDS = 60
"""Of coordinate descent and exact minimum."""

ROUND_GAIN = 1e-2
"""Rounds go on while each gains this share of what all did."""

N_SWEEPS = 10
"""Of coordinate descent in a round."""

SEARCH_WORK = 1e9
"""Products that the search for signs may take; a step takes the cube of the coefficients."""

MAX_SEARCH_STEPS = 300

EXACT = 1e-10
"""A derivative is zero below this share of the largest slope."""


def least_slopes(slopes: np.ndarray, w: np.ndarray, l1: float) -> np.ndarray:
    """The smallest derivatives of a smooth function and ``l1 |w|``, given those of the former.

    They are zero at a minimum. A coefficient of zero has any derivative within ``l1`` of its own.
    """
    at_zero = np.sign(slopes) * np.maximum(np.abs(slopes) - l1, 0)
    return np.asarray(np.where(w == 0, at_zero, slopes + l1 * np.sign(w)))


class ElasticNetQuadratic:
    """``w' H w / 2 - c' w + l1 |w| + l2 / 2 w' w``.

    Args:
        curvature: ``H``, shape (n_coefficients, n_coefficients); it is damped.
        slope: The derivative of the loss at ``w``, array of shape (n_coefficients,).
        l1: The factor of the absolute values.
        l2: The factor of half the squares.
        w: Where the model is made, and where the search begins.
    """

    def __init__(
        self, curvature: np.ndarray, slope: np.ndarray, l1: float, l2: float, w: np.ndarray
    ) -> None:
        damped, self._root = factored(curvature)
        self._H = damped + l2 * np.eye(len(w))
        self._c = damped @ w - slope
        self._exact = EXACT * np.abs(self._c).max()
        self._l1, self._l2 = l1, l2
        self._w = w

    def minimise(self) -> np.ndarray:
        """The minimum, or close to it where the search for it would take too long."""
        w = self._w
        if not self._l1:
            return np.asarray(dposv(self._H, self._c, lower=1)[1])
        if w.all():
            # Near the optimum no coefficient leaves or reaches zero.
            moved, _ = self._minimise_with_signs(w, np.sign(w))
            if self._is_minimum(moved):
                return moved
        root = np.asfortranarray(self._root.T)
        target = dtrtrs(self._root, self._c, lower=1)[0]
        first = value = self._value(w)
        for _ in range(MAX_ROUNDS):
            w = self._descend(root, target, w)
            w, _ = self._minimise_with_signs(w, np.sign(w))
            if self._is_minimum(w):
                return w
            before, value = value, self._value(w)
            if before - value <= ROUND_GAIN * (first - value):
                break
        return self._search_signs(w)

    def _value(self, w: np.ndarray) -> float:
        return float(w @ (self._H @ w / 2 - self._c) + self._l1 * np.abs(w).sum())

    def _slopes(self, w: np.ndarray) -> np.ndarray:
        return least_slopes(self._H @ w - self._c, w, self._l1)

    def _is_minimum(self, w: np.ndarray) -> bool:
        return bool(np.abs(self._slopes(w)).max() <= self._exact)

    def _descend(self, root: np.ndarray, target: np.ndarray, w: np.ndarray) -> np.ndarray:
        l1, l2 = self._l1, self._l2
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            path = enet_path(
                root,
                target,
                l1_ratio=l1 / (l1 + l2),
                alphas=[(l1 + l2) / len(w)],
                coef_init=w,
                tol=1e-15,
                max_iter=N_SWEEPS,
                precompute=False,
                check_input=False,
            )
        coefficients: np.ndarray = path[1][:, 0]
        return coefficients

    def _search_signs(self, w: np.ndarray) -> np.ndarray:
        """Feature-sign search (Lee, Battle, Raina and Ng 2006, NIPS 19, 801-808).

        Of the coefficients that are zero, that with the steepest derivative gets a sign; then those
        with signs go to their minimum, and one that reaches zero on the way loses its sign.
        """
        signs = np.sign(w)
        for _ in range(min(MAX_SEARCH_STEPS, int(SEARCH_WORK / len(w) ** 3))):
            w, is_there = self._minimise_with_signs(w, signs)
            signs = np.sign(w)
            if is_there:
                slopes = np.where(w == 0, self._slopes(w), 0)
                entering = np.abs(slopes).argmax()
                if np.abs(slopes[entering]) <= self._exact:
                    break
                signs[entering] = -np.sign(slopes[entering])
        return w

    def _minimise_with_signs(self, w: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, bool]:
        """Go towards the minimum with these signs, no further than the lowest point on the way.

        Args:
            w: Where to begin.
            signs: Of the coefficients that may move; a coefficient of zero may have one.

        Returns:
            The point, and whether it is the minimum.
        """
        active = np.flatnonzero(signs)
        if not len(active):
            return w, True
        H, here = self._H[np.ix_(active, active)], w[active]
        _, there, failed = dposv(H, self._c[active] - self._l1 * signs[active], lower=1)
        if failed:
            return w, True
        step = there - here
        crossing = np.flatnonzero((there * signs[active] < 0) & (here != 0))
        sizes = np.append(here[crossing] / -step[crossing], 1.0)
        points = here + sizes[:, None] * step
        points[np.arange(len(crossing)), crossing] = 0.0
        bend, slope = step @ H @ step / 2, (H @ here - self._c[active]) @ step
        values = sizes * (bend * sizes + slope) + self._l1 * np.abs(points).sum(axis=1)
        moved = np.zeros_like(w)
        moved[active] = points[values.argmin()]
        return moved, not len(crossing)


def factored(curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
