"""What a trial chooses: ``suggest(trial)`` walks the definition's search space, in one fixed order.

``l1_ratio`` is asked only where the penalty is elasticnet and ``C`` only where there is a penalty: Optuna then samples such a
parameter alone, beside the joint model of the others. The baseline is scikit-learn's defaults, as far as the space holds them.
"""

from collections.abc import Mapping
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

from hpo.definition import Range, SearchSpace, choices_of

DEFAULT_PARAMS: Mapping[str, Any] = {"C": 1.0, "penalty": "l2", "class_weight": "none"}
"""scikit-learn's defaults of the parameters that every trial has."""

DERIVED_DEFAULTS: Mapping[str, Any] = {"solver": "lbfgs", "max_iter": 100, "tol": 1e-4}
"""The same of those that a trial has only where the definition names them."""


def suggest(space: SearchSpace, trial: BaseTrial) -> dict[str, Any]:
    """Ask a trial for every parameter of the space that applies.

    Returns:
        Chosen and fixed params; what the definition leaves to be derived is absent.
    """
    penalty = _suggest_one("penalty", space.penalty, trial)
    params = {"penalty": penalty}
    applies = {"C": penalty != "none", "l1_ratio": penalty == "elasticnet"}
    for name in ("C", "l1_ratio", "class_weight", "solver", "max_iter", "tol"):
        entry = getattr(space, name)
        if entry is not None and applies.get(name, True):
            params[name] = _suggest_one(name, entry, trial)
    return params


def _suggest_one(name: str, entry: Any, trial: BaseTrial) -> Any:
    if isinstance(entry, Range) and name == "max_iter":
        return trial.suggest_int(name, int(entry.low), int(entry.high), log=entry.log)
    if isinstance(entry, Range):
        return trial.suggest_float(name, entry.low, entry.high, log=entry.log)
    return trial.suggest_categorical(name, entry) if isinstance(entry, tuple) else entry


def baseline(space: SearchSpace) -> dict[str, Any] | None:
    """The params that trial 0 is given: scikit-learn's defaults, or None where the space does not hold them."""
    chosen: dict[str, Any] = {}
    for name, value in {**DEFAULT_PARAMS, **DERIVED_DEFAULTS}.items():
        entry = getattr(space, name)
        is_range = isinstance(entry, Range)
        if entry is not None and not (
            entry.low <= value <= entry.high if is_range else value in choices_of(entry)
        ):
            return None
        if isinstance(entry, Range | tuple):
            chosen[name] = value
    return chosen


def replay(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a trial that is in the ledger: what it chose, completed by the definition's fixed entries."""
    return suggest(space, FixedTrial(dict(params)))
