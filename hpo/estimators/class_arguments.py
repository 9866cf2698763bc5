"""The arguments of a class: their defaults, and the values that they take."""

import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from numbers import Integral, Real
from typing import Any

from hpo.errors import first_line
from hpo.search_space import Range

NONE = "none"
"""What a study file says for Python's None, which TOML lacks."""


def why_missing(package: str) -> str:
    """Say of a library, by its name, why it cannot be used, or nothing."""
    try:
        import_module(package)
    except ModuleNotFoundError:
        return f"{package}, which is not installed"
    except (ImportError, OSError) as error:
        return f"{package}, which cannot be loaded: {first_line(error)}"
    return ""


@cache
def load_class(path: str) -> Any:
    """Import a class by its module and name."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@cache
def defaults_of(path: str) -> Mapping[str, Any]:
    """The arguments of a class with their defaults, in the words of a study file."""
    return {
        each.name: NONE if each.default is None else each.default
        for each in inspect.signature(load_class(path)).parameters.values()
        if each.default is not inspect.Parameter.empty
    }


def takes_text(kind: type, name: str, text: str) -> bool:
    """Whether a text is one of an argument's options."""
    return any(text in rule.options for rule in rules_of(kind, name) if hasattr(rule, "options"))


def takes_plain_values(rules: Iterable[Any]) -> bool:
    """Whether a number, a truth value or a text may do; a class without rules says nothing."""
    named = ("boolean", "cv_object", Integral, Real, str)
    return not rules or any(
        hasattr(rule, "closed") or hasattr(rule, "options") or rule in named for rule in rules
    )


def takes_whole_numbers(kind: Any, name: str, entry: Range, default: Any) -> bool:
    """Whether both ends of a range are whole, and the argument takes whole numbers.

    By the rules of the class where it has some for numbers, else by the argument's default.
    """
    if entry.low % 1 or entry.high % 1:
        return False
    numeric = [rule for rule in rules_of(kind, name) if hasattr(rule, "closed")]
    if numeric:
        return any(rule.type is Integral for rule in numeric)
    return isinstance(default, int) and not isinstance(default, bool)


def rules_of(kind: Any, name: str) -> list[Any]:
    """The values that an argument of a class takes, as scikit-learn says it, or none.

    Args:
        kind: The class, or an object of it.
        name: The argument's.
    """
    rules: Any = getattr(kind, "_parameter_constraints", {}).get(name, [])
    return rules if isinstance(rules, list) else [rules]
