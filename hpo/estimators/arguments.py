"""Recipes whose params are the arguments of the estimator's class, in scikit-learn's own words.

Most recipes are of this kind. A study file may name any plain argument of the class; names and
values are checked against the class itself before the first trial, and only classes that a recipe
of ours names are ever imported.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import field_validator

from hpo.errors import DefinitionError, did_you_mean, first_line
from hpo.escaping import quote
from hpo.estimators.class_arguments import (
    NONE,
    defaults_of,
    load_class,
    rules_of,
    takes_plain_values,
    takes_text,
    takes_whole_numbers,
    why_missing,
)
from hpo.estimators.recipe import Params, Recipe, TrainingShape, alike, always
from hpo.search_space import Entry, Range, SearchSpace, choices_of

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

_SET_BY_HPO = ("copy", "copy_X", "copy_X_train", "n_jobs", "random_state", "verbose")
"""Folds are shared by trials, so no fit may write into them; one thread; no output."""

ArgumentEntry: TypeAlias = Entry[bool | int | float | str] | None
"""The entry of one argument; None leaves the class's own default."""


class ArgumentSpace(SearchSpace, extra="allow"):
    """``[search_space]``: one entry an argument of the class, the usual ones as fields.

    ``false`` leaves one of the usual arguments out; any other is fixed to it.
    """

    __pydantic_extra__: dict[str, ArgumentEntry]

    @field_validator("*", mode="before")
    @classmethod
    def _leave_out(cls, entry: Any) -> Any:
        return None if entry is False else entry


@dataclass(frozen=True)
class EstimatorClass:
    """A class that is imported when it is first asked for.

    Attributes:
        path: Its module and name.
        set_arguments: What hpo sets, for example to keep fits on one thread.
        categorical_argument: The argument that takes the positions of categories, if there is one.
        package: A library beside scikit-learn that it needs.
    """

    path: str
    set_arguments: tuple[tuple[str, Any], ...] = ()
    categorical_argument: str | None = None
    package: str = ""

    @property
    def name(self) -> str:
        """The class's name."""
        return self.path.rpartition(".")[2]

    def load(self) -> type["BaseEstimator"]:
        """Import the class."""
        kind: type[BaseEstimator] = load_class(self.path)
        return kind

    def derive(self, params: Params, _shape: TrainingShape, seed: int) -> dict[str, Any]:
        """Add what hpo sets, and the seed where the class takes one."""
        seeds = {"random_state": seed} if "random_state" in defaults_of(self.path) else {}
        return {**params, **dict(self.set_arguments), **seeds}

    def build(self, params: Params, categorical: Sequence[int] = ()) -> "BaseEstimator":
        """The unfitted estimator."""
        kind = self.load()
        arguments = {
            name: None if value == NONE and not takes_text(kind, name, NONE) else value
            for name, value in params.items()
        }
        if self.categorical_argument is not None:
            arguments[self.categorical_argument] = list(categorical)
        return kind(**arguments)

    def takes_whole_numbers(self, name: str, entry: Range) -> bool:
        """Whether both ends of a range are whole, and the argument takes whole numbers."""
        return takes_whole_numbers(self.load(), name, entry, defaults_of(self.path).get(name))

    def check(self, space: SearchSpace, _n_classes: int) -> None:
        """Refuse an argument that the class does not have, and a value that it does not take.

        Raises:
            DefinitionError: So it is, or the library of the class is not there.
        """
        if problem := self.package and why_missing(self.package):
            raise DefinitionError(
                f"estimator.name: {self.name} needs {problem}",
                hint=f"pip install hpo[{self.package}]",
            )
        self._check_entries("search_space", space)

    def fix(self, space: SearchSpace, values: Params) -> SearchSpace:
        """Put plain values in the place of entries, checked as those are."""
        self._check_entries("fixed", values.items())
        return space.model_copy(update=dict(values))

    def _check_entries(self, table: str, entries: Iterable[tuple[str, Any]]) -> None:
        for name, entry in entries:
            place = f"{table}.{name}"
            self._check_name(place, name)
            is_whole = isinstance(entry, Range) and self.takes_whole_numbers(name, entry)
            for value in choices_of(entry):
                self._check_value(place, name, int(value) if is_whole else value)

    def known(self) -> list[str]:
        """The arguments that a study file may name."""
        return [
            name
            for name in defaults_of(self.path)
            if not self._is_ours(name) and takes_plain_values(rules_of(self.load(), name))
        ]

    def _is_ours(self, name: str) -> bool:
        ours = {*_SET_BY_HPO, *dict(self.set_arguments), self.categorical_argument}
        return name in ours

    def _check_name(self, place: str, name: str) -> None:
        if self._is_ours(name):
            raise DefinitionError(f"{place}: {quote(name)} is set by hpo", hint="leave it out")
        if name not in defaults_of(self.path):
            known = self.known()
            listed = f"its arguments are {', '.join(known)}"
            raise DefinitionError(
                f"{place}: {quote(name)} is no argument of {self.name}",
                hint=did_you_mean(name, known, listed),
            )
        if name not in self.known():
            raise DefinitionError(
                f"{place}: {quote(name)} of {self.name} takes an object or a list,"
                " which a study file cannot give",
                hint="leave it out",
            )

    def _check_value(self, place: str, name: str, value: Any) -> None:
        try:
            estimator: Any = self.build({name: value})
            if hasattr(estimator, "_validate_params"):
                estimator._validate_params()  # noqa: SLF001 - there is no public way
        except (ValueError, TypeError) as error:
            raise DefinitionError(f"{place}: {first_line(error)}") from error


@dataclass(frozen=True, eq=False)
class _Defaults(Mapping[str, Any]):
    """A class's own defaults, read when first asked for."""

    path: str

    def __getitem__(self, name: str) -> Any:
        return defaults_of(self.path)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(defaults_of(self.path))

    def __len__(self) -> int:
        return len(defaults_of(self.path))


def argument_recipe(
    estimator: EstimatorClass,
    space: type[ArgumentSpace],
    *,
    simplicity: Callable[[Params], tuple[float, ...]] | None = None,
    **attributes: Any,
) -> Recipe:
    """Make the recipe of a class whose params are its arguments.

    Args:
        estimator: The class.
        space: The default space, a field an argument, in asking order.
        simplicity: As :attr:`Recipe.simplicity`; without it all are equally simple.
        attributes: The other attributes of :class:`Recipe`.
    """
    return Recipe(
        name=estimator.name,
        space=space,
        asking_order=tuple(space.model_fields),
        defaults=_Defaults(estimator.path),
        takes_whole_numbers=estimator.takes_whole_numbers,
        applies=always,
        derive=estimator.derive,
        is_affordable=always,
        check=estimator.check,
        fix=estimator.fix,
        build=estimator.build,
        simplicity=simplicity or alike,
        package=estimator.package,
        **attributes,
    )
