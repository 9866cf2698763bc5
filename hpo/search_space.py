"""What a trial chooses: ``suggest(trial)`` walks the definition's search space, in one fixed order.

``l1_ratio`` is asked only where the penalty is elasticnet and ``C`` only where there is a penalty: Optuna then samples such a
parameter alone, beside the joint model of the others. The baseline is scikit-learn's defaults, as far as the space holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

from hpo.definition import Range, SearchSpace

DEFAULT_PARAMS: Mapping[str, Any] = {"C": 1.0, "penalty": "l2", "class_weight": "none"}
"""scikit-learn's defaults of the parameters that every trial has."""

DERIVED_DEFAULTS: Mapping[str, Any] = {"solver": "lbfgs", "max_iter": 100, "tol": 1e-4}
"""The same of those that a trial has only where the definition names them."""


def suggest(space: SearchSpace, trial: BaseTrial) -> dict[str, Any]:
    """Ask a trial for every parameter of the space that applies.

    Returns:
        Chosen and fixed params; what the definition leaves to be derived is absent.
    """
    params: dict[str, Any] = {}
    for name, entry in _iter_entries(space, params):
        params[name] = _suggest_one(name, entry, trial)
    return params


def _iter_entries(space: SearchSpace, params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The entries that apply; reads in ``params`` what was chosen so far."""
    yield "penalty", space.penalty
    if params["penalty"] != "none":
        yield "C", space.C
    if params["penalty"] == "elasticnet":
        yield "l1_ratio", space.l1_ratio
    yield "class_weight", space.class_weight
    for name in ("solver", "max_iter", "tol"):
        entry = getattr(space, name)
        if entry is not None:
            yield name, entry


def _suggest_one(name: str, entry: Any, trial: BaseTrial) -> Any:
    if isinstance(entry, Range):
        if name == "max_iter":
            return trial.suggest_int(name, int(entry.low), int(entry.high), log=entry.log)
        return trial.suggest_float(name, entry.low, entry.high, log=entry.log)
    if isinstance(entry, tuple):
        return trial.suggest_categorical(name, entry)
    return entry


def baseline(space: SearchSpace) -> dict[str, Any] | None:
    """The params that trial 0 is given: scikit-learn's defaults, or None where the space does not hold them."""
    named = {name: value for name, value in DERIVED_DEFAULTS.items() if getattr(space, name) is not None}
    defaults = {**DEFAULT_PARAMS, **named}
    if not all(_holds(getattr(space, name), value) for name, value in defaults.items()):
        return None
    return {name: value for name, value in defaults.items() if isinstance(getattr(space, name), Range | tuple)}


def _holds(entry: Any, value: Any) -> bool:
    if isinstance(entry, Range):
        return bool(entry.low <= value <= entry.high)
    return bool(value in entry if isinstance(entry, tuple) else value == entry)


def replay(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a trial that is in the ledger: what it chose, completed by the definition's fixed entries."""
    return suggest(space, FixedTrial(dict(params)))
