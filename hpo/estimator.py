"""The one recipe: params to preprocessing and ``LogisticRegression``, shared by cross-validation and the final model.

Params here are ``hpo``'s words (``penalty``, ``l1_ratio``, ...), complete or not; :func:`derive_params` completes them by a fixed
rule on the data's shape, :func:`build_classifier` turns them into scikit-learn's arguments. scikit-learn 1.9 deprecates its own
``penalty``: there, ``l1_ratio`` 0 is L2, 1 is L1, and an infinite ``C`` is no penalty at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from hpo.definition import SearchSpace, choices_of
from hpo.errors import DefinitionError

Params = dict[str, Any]

MAX_NEWTON_COEFFICIENTS = 150
"""Up to so many coefficients a Newton step with a Cholesky factor is cheaper than L-BFGS at every C (the bundled tables)."""

SAGA_CELL_PASSES = 2e8
"""saga gets about this many passes over single cells: the cap that keeps a fit on digits below a second."""


def derive_params(params: Mapping[str, Any], *, n_samples: int, n_features: int, n_classes: int, seed: int) -> Params:
    """Complete params by the rule; what is given stays.

    The loss is convex: solver, iterations and tolerance change how long a fit takes, not where it ends, so they are derived
    rather than searched.

    Args:
        params: What a trial chose or a definition fixed.
        n_samples: Training rows.
        n_features: Feature columns before preprocessing.
        n_classes: Number of classes.
        seed: Becomes ``random_state`` (saga and liblinear shuffle).

    Returns:
        Params with ``solver``, ``max_iter``, ``tol`` and ``random_state``.
    """
    penalty = params["penalty"]
    solver = params.get("solver") or _solver(penalty, n_features, n_classes)
    derived: Params = {"solver": solver, "max_iter": 1000, "tol": 1e-4, "random_state": seed}
    if solver in ("saga", "sag"):
        cells = n_samples * n_features * (n_classes if n_classes > 2 else 1)
        derived["max_iter"] = int(min(1000, max(100, SAGA_CELL_PASSES // cells)))
        derived["tol"] = 1e-3
    return {**params, **{name: value for name, value in derived.items() if name not in params}}


def check_solvers(space: SearchSpace, *, n_classes: int) -> None:
    """Refuse a solver that a definition names and that cannot fit so many classes.

    Raises:
        DefinitionError: liblinear with three classes or more.
    """
    if n_classes > 2 and "liblinear" in choices_of(space.solver):
        raise DefinitionError(
            f"search_space.solver: liblinear should be used with 2 classes, but got {n_classes}",
            hint="leave solver out: it is derived from the penalty and the data",
        )


def _solver(penalty: str, n_features: int, n_classes: int) -> str:
    if penalty == "elasticnet" or (penalty == "l1" and n_classes > 2):
        return "saga"
    if penalty == "l1":
        return "liblinear"
    coefficients = n_features * (n_classes if n_classes > 2 else 1)
    return "newton-cholesky" if coefficients <= MAX_NEWTON_COEFFICIENTS else "lbfgs"


def build_classifier(params: Mapping[str, Any]) -> LogisticRegression:
    """An unfitted classifier from complete params."""
    penalty = params["penalty"]
    return LogisticRegression(
        C=math.inf if penalty == "none" else params["C"],
        l1_ratio={"none": 0.0, "l2": 0.0, "l1": 1.0}.get(penalty, params.get("l1_ratio")),
        class_weight=None if params["class_weight"] == "none" else params["class_weight"],
        solver=params["solver"],
        max_iter=params["max_iter"],
        tol=params["tol"],
        random_state=params["random_state"],
    )


def build_preprocessing() -> StandardScaler:
    """The unfitted transformer that comes before the classifier; fitted on training rows only."""
    return StandardScaler()


def build_pipeline(params: Mapping[str, Any]) -> Pipeline:
    """The whole unfitted model: what cross-validation scores in two halves and what ships in one."""
    return Pipeline([("preprocessing", build_preprocessing()), ("classifier", build_classifier(params))])
