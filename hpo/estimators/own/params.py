"""The object itself: made ready for a study, its params searched, built anew for every fit."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import ValidationError
from sklearn.base import BaseEstimator, clone

from hpo.errors import DefinitionError, did_you_mean, first_line
from hpo.escaping import quote
from hpo.estimators.class_arguments import takes_whole_numbers
from hpo.estimators.own.description import SET_PARAMS, describe_value, last_part
from hpo.estimators.recipe import Params
from hpo.search_space import Entry, Range, SearchSpace, choices_of, is_searched

_METHODS = ("fit", "predict", "get_params", "set_params")

Choice = bool | int | float | str | None


class OwnSpace(SearchSpace, extra="allow"):
    """The params that are searched, by their ``set_params`` names."""

    __pydantic_extra__: dict[str, Entry[Choice]]


@dataclass(frozen=True, eq=False)
class OwnEstimator:
    """An estimator that is prepared, and the params of it that are searched.

    Attributes:
        estimator: Unfitted, with one thread and the study's seed.
        entries: Name to what is searched.
    """

    estimator: BaseEstimator
    entries: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The params as the object was given, of those that are searched."""
        params = self.estimator.get_params(deep=True)
        return {name: describe_value(params[name], name) for name in self.entries}

    @cached_property
    def has_probabilities(self) -> bool:
        """Whether it gives probabilities whatever is chosen."""
        alternatives = [
            {name: value}
            for name, entry in self.entries.items()
            if not isinstance(entry, Range)
            for value in choices_of(entry)
        ]
        return all(hasattr(self.build(params), "predict_proba") for params in ({}, *alternatives))

    def build(self, params: Params, _categorical: Sequence[int] = ()) -> Any:
        """The unfitted estimator with the params of a trial."""
        return clone(self.estimator).set_params(**params)

    def takes_whole_numbers(self, name: str, entry: Range) -> bool:
        """Whether both ends of a range are whole, and the param takes whole numbers.

        By the rules of the class where it has some, else by the value that the object was given.
        """
        owner, argument = self._owner(name)
        given = self.estimator.get_params(deep=True).get(name)
        return takes_whole_numbers(owner, argument, entry, given)

    def check(self, _space: SearchSpace, _n_classes: int) -> None:
        """Refuse a value that the class which takes it has a rule against."""
        for name, entry in self.entries.items():
            is_whole = isinstance(entry, Range) and self.takes_whole_numbers(name, entry)
            for value in choices_of(entry):
                self._check_value(name, int(value) if is_whole else value)

    def _check_value(self, name: str, value: Any) -> None:
        owner, argument = self._owner(name)
        if not hasattr(owner, "_parameter_constraints"):
            return
        try:
            clone(owner).set_params(**{argument: value})._validate_params()  # noqa: SLF001
        except (ValueError, TypeError) as error:
            raise DefinitionError(f"space: {name}: {first_line(error)}") from error

    def _owner(self, name: str) -> tuple[Any, str]:
        """The nested estimator that takes a param, and what it calls it."""
        path, _, argument = name.rpartition("__")
        return self.estimator.get_params(deep=True)[path] if path else self.estimator, argument


def prepare(estimator: Any, seed: int) -> BaseEstimator:
    """Give an unfitted copy with one thread and, where none was given, the study's seed.

    Raises:
        DefinitionError: It is no estimator as scikit-learn's interface has it.
    """
    kind = getattr(estimator, "__name__", type(estimator).__name__)
    lacking = [name for name in _METHODS if not callable(getattr(estimator, name, None))]
    if isinstance(estimator, type) or lacking:
        what = "the class" if isinstance(estimator, type) else f"without {', '.join(lacking)}"
        raise DefinitionError(
            f"estimator: this should be an object with scikit-learn's interface,"
            f" but got {kind} {what}",
            hint="give an object, for example SVC()",
        )
    try:
        prepared: BaseEstimator = clone(estimator)
        params = prepared.get_params(deep=True)
        changes = {name: 1 for name in params if last_part(name) in SET_PARAMS}
        changes |= {
            name: seed
            for name, value in params.items()
            if last_part(name) == "random_state" and value is None
        }
        prepared.set_params(**changes)
    except (TypeError, RuntimeError, ValueError, AttributeError) as error:
        raise DefinitionError(
            f"estimator: {kind} cannot be copied as scikit-learn does it: {first_line(error)}",
            hint="its __init__ only stores its arguments, under their names",
        ) from error
    for name, value in params.items():
        if last_part(name) == "memory" and value is not None:
            raise DefinitionError(
                f"estimator: {name}: a pipeline with a cache cannot be saved safely",
                hint="leave memory out",
            )
    return prepared


def read_space(space: Mapping[str, Any], prepared: BaseEstimator) -> tuple[OwnSpace, BaseEstimator]:
    """Check the params that are searched; those with one value get it.

    Returns:
        What is searched, and the estimator with the other values.

    Raises:
        DefinitionError: A name is no param, or a value cannot be searched.
    """
    known = sorted(prepared.get_params(deep=True))
    for name in space:
        if name not in known:
            raise DefinitionError(
                f"space: {quote(name)} is no param of {type(prepared).__name__}",
                hint=did_you_mean(str(name), known, f"its params are {', '.join(known)}"),
            )
        if last_part(name) in (*SET_PARAMS, "random_state"):
            raise DefinitionError(f"space: {quote(name)} is set by hpo", hint="leave it out")
    entries = {name: _as_entry(value) for name, value in space.items()}
    searched = {name: entry for name, entry in entries.items() if _is_entry(entry)}
    fixed = {name: value for name, value in entries.items() if name not in searched}
    if not searched:
        raise DefinitionError(
            "space: there is nothing to search",
            hint='for example space={"svc__C": hpo.Range(1e-3, 1e3, log=True)}',
        )
    try:
        return OwnSpace.model_validate(searched), clone(prepared).set_params(**fixed)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        if not found["loc"]:
            raise DefinitionError(f"space: {found['ctx']['error']}") from error
        name = str(found["loc"][0])
        raise DefinitionError(
            f"space: {name}: choices should be numbers, texts, True, False or None,"
            f" each named once, but got {reprlib.repr(space[name])}",
            hint="an object is chosen by a param of it, or by a text such as 'passthrough'",
        ) from error


def _as_entry(value: Any) -> Any:
    """A list, or what can be made one, as a tuple of Python's own numbers."""
    if isinstance(value, np.ndarray | range | list | tuple):
        return tuple(item.item() if isinstance(item, np.generic) else item for item in value)
    return value


def _is_entry(entry: Any) -> bool:
    """Whether it is to be searched; a dictionary may be a value."""
    is_table = isinstance(entry, Mapping) and bool({"low", "choices"} & entry.keys())
    return is_table or is_searched(entry)
