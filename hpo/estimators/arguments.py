"""Recipes whose params are the arguments of the estimator's class, in scikit-learn's own words.

Most recipes are of this kind. A study file may name any plain argument of the class; names and
values are checked against the class itself before the first trial, and only classes that a recipe
of ours names are ever imported.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from numbers import Integral
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import create_model

from hpo.errors import DefinitionError, did_you_mean, first_line
from hpo.estimators.recipe import Params, Recipe, TrainingShape
from hpo.search_space import Entry, Range, SearchSpace, choices_of

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

NONE = "none"
"""What a study file says for Python's None, which TOML lacks."""

_NO_VALUE = object()

Plain = bool | int | float | str


class ArgumentSpace(SearchSpace, extra="allow"):
    """``[search_space]``: one entry an argument of the estimator's class."""

    __pydantic_extra__: dict[str, Entry[Plain]]


def argument_recipe(
    path: str,
    *,
    space: Mapping[str, Any],
    simplicity: Callable[[Params], tuple[float, ...]],
    set_arguments: Mapping[str, Any] = MappingProxyType({}),
    **attributes: Any,
) -> Recipe:
    """Make the recipe of a class.

    Args:
        path: Module and name of the class.
        space: The default space, an entry an argument, in asking order.
        simplicity: As :attr:`Recipe.simplicity`; params have the class's defaults where a trial
            has none.
        set_arguments: Arguments that are always set, for example to keep fits on one thread; a
            study file cannot change them.
        attributes: The other attributes of :class:`Recipe`.
    """
    module, _, name = path.rpartition(".")
    load = cache(lambda: getattr(import_module(module), name))
    entry_type: Any = Entry[Plain]  # type: ignore[misc]
    fields: dict[str, Any] = {key: (entry_type, entry) for key, entry in space.items()}
    values: dict[str, Any] = {
        "takes_whole_numbers": lambda name, entry: is_whole_range(load(), name, entry),
        "applies": lambda _name, _params: True,
        "is_affordable": lambda _name, _value, _shape: True,
        **attributes,
    }
    return Recipe(
        name=name,
        space=create_model(f"{name}Space", __base__=ArgumentSpace, **fields),
        asking_order=tuple(space),
        defaults=_Defaults(load),
        derive=partial(_derive, load, set_arguments),
        check=partial(_check, load, set_arguments),
        build=partial(_build, load),
        simplicity=lambda params: simplicity({**_Defaults(load), **params}),
        **values,
    )


class _Defaults(Mapping[str, Any]):
    """A class's own defaults, in the words of a study file; loaded when first asked for."""

    def __init__(self, load: Callable[[], type]) -> None:
        self._load = load

    def _values(self) -> Mapping[str, Any]:
        parameters = inspect.signature(self._load()).parameters.values()
        return {
            each.name: NONE if each.default is None else each.default
            for each in parameters
            if each.default is not inspect.Parameter.empty
        }

    def __getitem__(self, name: str) -> Any:
        return self._values()[name]

    def __iter__(self) -> Any:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())


def _derive(
    load: Callable[[], type],
    set_arguments: Mapping[str, Any],
    params: Params,
    _shape: TrainingShape,
    seed: int,
) -> dict[str, Any]:
    """Set what is always set, and the seed where the class takes one."""
    derived = dict(set_arguments)
    if "random_state" in _Defaults(load):
        derived["random_state"] = seed
    return {**params, **derived}


def _build(load: Callable[[], type], params: Params) -> "BaseEstimator":
    estimator: BaseEstimator = load()(**_to_arguments(load, params))
    return estimator


def _to_arguments(load: Callable[[], type], params: Params) -> dict[str, Any]:
    """The arguments in Python's words: ``none`` is None where the class has no such name."""
    return {
        name: None if value == NONE and not _takes_text(load(), name, NONE) else value
        for name, value in params.items()
    }


def _takes_text(kind: type, name: str, text: str) -> bool:
    options = [each for each in _rules(kind, name) if hasattr(each, "options")]
    return any(text in each.options for each in options)


def _rules(kind: type, name: str) -> list[Any]:
    rules: Any = getattr(kind, "_parameter_constraints", {}).get(name, [])
    return rules if isinstance(rules, list) else [rules]


def takes_whole_numbers(kind: type, name: str) -> bool:
    """Whether an argument of a class is a whole number, by its own rules, else by its default."""
    numeric = [rule for rule in _rules(kind, name) if hasattr(rule, "closed")]
    if numeric:
        return any(rule.type is Integral for rule in numeric)
    default = _Defaults(lambda: kind).get(name)
    return isinstance(default, int) and not isinstance(default, bool)


def _check(
    load: Callable[[], type],
    set_arguments: Mapping[str, Any],
    space: SearchSpace,
    _n_classes: int,
) -> None:
    """Refuse an argument that the class does not have, and a value that it does not take."""
    kind, defaults = load(), _Defaults(load)
    for name, entry in space:
        if name not in defaults or name == "random_state" or name in set_arguments:
            known = [each for each in defaults if each not in {"random_state", *set_arguments}]
            what = "is set by hpo" if name in defaults else f"is no argument of {kind.__name__}"
            raise DefinitionError(
                f"search_space.{name}: '{name}' {what}",
                hint=did_you_mean(name, known, f"its arguments are {', '.join(known)}"),
            )
        for value in choices_of(entry):
            _check_value(load, name, _of_range(kind, name, entry, value))


def _of_range(kind: type, name: str, entry: Any, value: Any) -> Any:
    is_whole = isinstance(entry, Range) and is_whole_range(kind, name, entry)
    return int(value) if is_whole else value


def is_whole_range(kind: type, name: str, entry: Range) -> bool:
    """Whether a range is one of whole numbers: both ends are, and the argument takes them."""
    return entry.low % 1 == 0 == entry.high % 1 and takes_whole_numbers(kind, name)


def _check_value(load: Callable[[], type], name: str, value: Any) -> None:
    given = _to_arguments(load, {name: value})
    try:
        estimator = load()(**given)
        if hasattr(estimator, "_validate_params"):
            estimator._validate_params()  # noqa: SLF001 - scikit-learn has no public way
    except (ValueError, TypeError) as error:
        raise DefinitionError(f"search_space.{name}: {first_line(error)}") from error
