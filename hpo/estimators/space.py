"""The choices of a trial: a recipe's space as a study searches it, asked in one fixed order.

A param that applies only beside some others is asked only then: Optuna samples such a param alone,
beside the joint model of the others.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

from hpo.estimators.recipe import Params, Recipe, TrainingShape
from hpo.search_space import (
    Range,
    SearchSpace,
    choices_of,
    conditions_of,
    is_fulfilled,
    is_searched,
)

MAX_COMBINATIONS = 10_000
"""Of texts, beside which it is looked whether a param applies."""


@dataclass(frozen=True)
class SearchedSpace:
    """A recipe's params as one study searches them.

    Attributes:
        recipe: The estimator's.
        entries: What is searched, fixed or derived, by param.
        shape: Of the training rows: what derived params depend on.
        seed: The study's.
        prefix: What a trial's names of the params begin with, where a study searches several
            estimators.
    """

    recipe: Recipe
    entries: SearchSpace
    shape: TrainingShape
    seed: int
    prefix: str = ""

    @property
    def n_features(self) -> int:
        """Columns after preprocessing."""
        return self.shape.n_features

    @property
    def names(self) -> list[str]:
        """All params of the space, as a trial has them."""
        return [self.prefix + name for name in self._in_order]

    @cached_property
    def _in_order(self) -> list[str]:
        """The params in asking order; those that only a study file names are last."""
        order = self.recipe.asking_order
        positions = {name: position for position, name in enumerate(order)}
        named = sorted(
            (name for name, _ in self.entries), key=lambda name: positions.get(name, len(order))
        )
        return self.entries.in_order(named)

    @property
    def searched(self) -> list[str]:
        """The params that trials choose, in the order of a study file."""
        return [self.prefix + name for name, entry in self.entries if is_searched(entry)]

    @property
    def asked_together(self) -> list[list[str]]:
        """One group: the params that every trial chooses, whatever it chose for the others."""
        choices = {name: choices_of(entry) for name, entry in self.entries if entry is not None}
        named = {name: values for name, values in choices.items() if isinstance(values[0], str)}
        products = itertools.islice(itertools.product(*named.values()), MAX_COMBINATIONS)
        every = [dict(zip(named, values, strict=True)) for values in products]
        applies = self.recipe.applies
        always = [
            self.prefix + name
            for name, entry in self.entries
            if is_searched(entry)
            and not conditions_of(entry)
            and all(applies(name, params) for params in every)
        ]
        return [always] if always else []

    def of(self, _params: Params) -> "SearchedSpace":
        """The space of the estimator that params are of: this one."""
        return self

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Ask a trial for every param that applies.

        Returns:
            Chosen and fixed params; what is to be derived is absent.
        """
        params: dict[str, Any] = {}
        for name, entry in self._asked(params):
            params[name] = self._suggest_one(name, entry, trial)
        return params

    def _asked(self, params: Params) -> Iterator[tuple[str, Any]]:
        """The entries that apply beside params, which grow as they are asked."""
        entries = dict(self.entries)
        for name in self._in_order:
            entry = entries[name]
            if (
                entry is not None
                and self.recipe.applies(name, params)
                and is_fulfilled(conditions_of(entry), params)
            ):
                yield name, entry

    def _suggest_one(self, name: str, entry: Any, trial: BaseTrial) -> Any:
        full_name = self.prefix + name
        if isinstance(entry, Range) and self.recipe.takes_whole_numbers(name, entry):
            return trial.suggest_int(full_name, int(entry.low), int(entry.high), log=entry.log)
        if isinstance(entry, Range):
            return trial.suggest_float(full_name, entry.low, entry.high, log=entry.log)
        if is_searched(entry):
            return trial.suggest_categorical(full_name, choices_of(entry))
        return entry

    def baseline(self) -> dict[str, Any] | None:
        """The params that trial 0 is given: the defaults, or None where the space lacks them."""
        chosen: dict[str, Any] = {}
        params: dict[str, Any] = {}
        for name, entry in self._asked(params):
            if name not in self.recipe.defaults:
                continue
            value = self.recipe.defaults[name]
            if not is_allowed(entry, value):
                return None
            params[name] = value
            if is_searched(entry):
                chosen[self.prefix + name] = value
        return chosen

    def given(self, number: int) -> dict[str, Any] | None:
        """The params that a trial is given rather than asked for, or None."""
        return self.baseline() if number == 0 else None

    def complete(self, params: Params) -> dict[str, Any]:
        """Chosen and fixed params, completed by the recipe's rule: ready for a fit."""
        return self.recipe.derive(params, self.shape, self.seed)

    def replay(self, params: Params) -> dict[str, Any]:
        """The complete params of a trial that is in the ledger, from those that it chose."""
        return self.complete(self.suggest(FixedTrial(dict(params))))

    def default_params(self) -> dict[str, Any]:
        """Complete params of the defaults, as trial 0 has them where the space holds them."""
        chosen = self.baseline()
        if chosen is not None:
            return self.replay(chosen)
        space, defaults = self.recipe.space, self.recipe.defaults
        always = [
            name
            for name, field in space.model_fields.items()
            if field.default is not None and name in defaults
        ]
        return self.complete({name: defaults[name] for name in always})


def is_allowed(entry: Any, value: Any) -> bool:
    """Whether an entry allows a value."""
    if isinstance(entry, Range):
        return isinstance(value, int | float) and bool(entry.low <= value <= entry.high)
    return value in choices_of(entry)


def leave_out_costly(
    recipe: Recipe, entries: SearchSpace, shape: TrainingShape, prefix: str = ""
) -> tuple[SearchSpace, list[str]]:
    """Leave out of a *default* space the choices that cost far more than the rest.

    Returns:
        The entries that are searched, and what a person should know of it; a param that the
        definition names keeps all its choices.
    """
    changed: dict[str, Any] = {}
    notes = []
    for name, entry in entries:
        if name in entries.model_fields_set or not isinstance(entry, tuple):
            continue
        kept = tuple(value for value in entry if recipe.is_affordable(name, value, shape))
        left_out = [value for value in entry if value not in kept]
        if left_out:
            changed[name] = kept
            notes.append(
                f"{prefix}{name} {' and '.join(left_out)} left out: slow on so many values;"
                f" search_space.{prefix}{name} can name them"
            )
    return entries.model_copy(update=changed), notes


def derived_params(params: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a trial's complete params that it did not choose."""
    return {name: value for name, value in params.items() if name not in chosen}
