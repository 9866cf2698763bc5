"""The rules by which the solver of a ``LogisticRegression`` is derived: the newest, and the first.

A study goes on under the rule that it was begun under, so that its trials stay comparable.
"""

import math
from collections.abc import Mapping
from typing import Any

from hpo.estimators.recipe import Params, Rule, TrainingShape

MAX_NEWTON_COEFFICIENTS = 500
"""Up to so many coefficients a step with the whole Hessian costs less than conjugate gradients."""

MAX_PROXIMAL_COEFFICIENTS = 1000
"""The same against L-BFGS-B, which takes thousands of passes where columns are correlated."""

MAX_NEWTON_WORK = 2e9
"""So many products for a Hessian take about a second."""

SPARSE_WORK = 20
"""A product of sparse rows takes as long as so many of dense ones."""

MAX_LBFGSB_CELLS = 5e6
"""With so many values a thousand passes take some ten seconds."""

TOLERANCES: Mapping[str, float] = {
    "lbfgs": 1e-10,
    "lbfgs-b": 1e-10,
    "liblinear": 1e-6,
    "newton-cg": 1e-10,
    "newton-cholesky": 1e-9,
    "proximal-newton": 1e-9,
    "sag": 1e-6,
    "saga": 1e-6,
}
"""At the largest ``C`` of the default space; what each means is the solver's own matter."""

LARGEST_C = 1e4

MEASURES_GRADIENT = frozenset({"lbfgs", "newton-cg", "newton-cholesky"})
"""Solvers that stop once no derivative is above their tolerance."""


MAX_ITERATIONS: Mapping[str, int] = {"lbfgs-b": 5000, "proximal-newton": 200}
"""1000 of the others."""


def _derive(params: Params, shape: TrainingShape, seed: int) -> dict[str, Any]:
    """Complete params by the rule; what is given stays.

    Each tolerance is one at which the objective is within 1e-6 of its minimum, also where classes
    are nearly separable and ``C`` is large (``python -m tests.benchmarks.solvers``). The seed is
    ``random_state``, since saga and liblinear shuffle.
    """
    solver = params.get("solver") or _solver(params["penalty"], shape)
    derived = {"solver": solver, "tol": _tolerance(solver, params), "random_state": seed}
    derived["max_iter"] = MAX_ITERATIONS.get(solver, 1000)
    if params["penalty"] != "none":
        derived["C"] = 1.0
    derived["class_weight"] = "none"
    return {**params, **{name: value for name, value in derived.items() if name not in params}}


def _tolerance(solver: str, params: Params) -> float:
    """The tolerance of a solver; a smaller ``C`` allows a larger one for the same excess.

    A gradient ``g`` of the mean objective leaves at most ``g**2 / (2 * curvature)``, and L2 gives a
    curvature of at least ``1 / (C * n_samples)`` (Boyd and Vandenberghe 2004, Convex Optimization,
    9.9).
    """
    tolerance = TOLERANCES[solver]
    if params["penalty"] != "l2" or solver not in MEASURES_GRADIENT:
        return tolerance
    C = min(max(params.get("C", 1.0), 1 / LARGEST_C), LARGEST_C)
    return float(f"{tolerance * math.sqrt(LARGEST_C / C):.0e}")


def _solver(penalty: str, shape: TrainingShape) -> str:
    n_coefficients = shape.n_features * shape.n_outputs
    is_light = _newton_work(shape) <= MAX_NEWTON_WORK
    if penalty in ("l1", "elasticnet"):
        is_small = n_coefficients <= MAX_PROXIMAL_COEFFICIENTS
        return "proximal-newton" if is_small and is_light else "lbfgs-b"
    if n_coefficients > MAX_NEWTON_COEFFICIENTS or not is_light:
        return "newton-cg"
    # Of one-hot rows ours makes the Hessian in a fifth of the time.
    return "proximal-newton" if shape.is_sparse and penalty == "l2" else "newton-cholesky"


def _newton_work(shape: TrainingShape) -> float:
    """Products for one Hessian, in those of dense rows."""
    n_blocks = shape.n_outputs * (shape.n_outputs + 1) / 2
    work = n_blocks * shape.n_values**2 / shape.n_samples
    return work * SPARSE_WORK if shape.is_sparse else work


def _is_affordable(name: str, value: Any, shape: TrainingShape) -> bool:
    """Whether a penalty's fits cost about as much as those of the others."""
    is_slow = name == "penalty" and _solver(value, shape) == "lbfgs-b"
    return not is_slow or shape.n_cells <= MAX_LBFGSB_CELLS


RULE = Rule(_derive, _is_affordable)
"""Rule 2."""

MAX_DENSE_NEWTON_COEFFICIENTS = 150
"""Up to so many coefficients, on dense rows, a Newton step costs less than L-BFGS at every C."""

SAGA_CELL_PASSES = 2e8
"""saga gets about so many passes over single values: the cap that keeps digits below a second."""

MAX_SAGA_CELLS = 5e5
"""Above so many values (times classes) saga takes some fifty times as long as L-BFGS."""

MAX_LIBLINEAR_CELLS = 5e6
"""The same for liblinear with L1, some ten times as long."""


def _derive_1(params: Params, shape: TrainingShape, seed: int) -> dict[str, Any]:
    """Complete params; what is given stays."""
    solver = params.get("solver") or _solver_1(params["penalty"], shape)
    derived: dict[str, Any] = {
        "solver": solver,
        "max_iter": 1000,
        "tol": 1e-4,
        "random_state": seed,
    }
    if params["penalty"] != "none":
        derived["C"] = 1.0
    derived["class_weight"] = "none"
    if solver in ("saga", "sag"):
        derived["max_iter"] = int(min(1000, max(100, SAGA_CELL_PASSES // shape.n_cells)))
        derived["tol"] = 1e-3
    return {**params, **{name: value for name, value in derived.items() if name not in params}}


def _solver_1(penalty: str, shape: TrainingShape) -> str:
    if penalty == "elasticnet" or (penalty == "l1" and shape.n_classes > 2):
        return "saga"
    if penalty == "l1":
        return "liblinear"
    is_small = shape.n_features * shape.n_outputs <= MAX_DENSE_NEWTON_COEFFICIENTS
    return "newton-cholesky" if is_small and not shape.is_sparse else "lbfgs"


def _is_affordable_1(name: str, value: Any, shape: TrainingShape) -> bool:
    """Whether a penalty's fits cost about as much as those of the others."""
    if name != "penalty":
        return True
    limits = {"saga": MAX_SAGA_CELLS, "liblinear": MAX_LIBLINEAR_CELLS}
    return shape.n_cells <= limits.get(_solver_1(value, shape), math.inf)


EARLIER_RULES = (Rule(_derive_1, _is_affordable_1),)
"""Rule 1, of hpo 0.1."""
