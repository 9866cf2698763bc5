"""Params that a person queued: what is taken of them, and what is refused."""

from collections.abc import Iterable, Mapping
from typing import Any

import optuna

from hpo.errors import did_you_mean
from hpo.escaping import on_one_line

REASON_LENGTH = 300

UNUSABLE = (ValueError, TypeError, UserWarning, OverflowError)
"""What is raised by params that are not in the space."""


def check_names(fixed: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a name that no param has: the trial would run without what it asks for.

    Raises:
        ValueError: There is one.
    """
    names = list(known)
    for name in fixed:
        if name not in names:
            raise ValueError(
                f"no param is called {name!r}; {did_you_mean(name, names, 'none near')}"
            )


def as_stored(asked: optuna.Trial) -> dict[str, Any]:
    """Give a trial's params as the storage gives them back.

    Raises:
        TypeError: One is a text or a truth value where the space has none.
    """
    stored: dict[str, Any] = {}
    for name, value in asked.params.items():
        distribution = asked.distributions[name]
        stored[name] = distribution.to_external_repr(distribution.to_internal_repr(value))
        for kind in (bool, str):
            if isinstance(value, kind) != isinstance(stored[name], kind):
                raise TypeError(f"{name} is no {type(value).__name__}, but got {value!r}")
    return stored


def describe_unusable(error: BaseException) -> str:
    """Give the reason with which a queued trial fails, on one line of a bounded length."""
    text = on_one_line(str(error))
    shown = text if len(text) <= REASON_LENGTH else f"{text[:REASON_LENGTH]}..."
    return f"queued with params that are not in the search space: {shown}"
