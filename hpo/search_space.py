"""The search space of a study file: one entry a param, and the base of a recipe's space."""

import math
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Generic, Self, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, Discriminator, Field, Tag, model_validator

from hpo.errors import did_you_mean


class Section(BaseModel, extra="forbid", frozen=True, strict=True):
    """Refuses a key that is not its own, a change, and a value of another type."""


def _kind(value: object) -> str:
    if isinstance(value, dict | Choices):
        is_list = isinstance(value, Choices) or "choices" in value
        return "conditional" if is_list else "range"
    if isinstance(value, Range | Bounds):
        return "range"
    return "choices" if isinstance(value, list | tuple) else "fixed"


def _is_none(value: object) -> bool:
    return value is None


_Bound = Annotated[float | None, Field(exclude_if=_is_none)]


class Bounds(Section):
    """Numbers above one bound, below another, or both; the bounds themselves are left out."""

    above: _Bound = None
    below: _Bound = None

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.lowest >= self.highest or not self.model_fields_set:
            raise ValueError("a condition should have a value, above = NUMBER or below = NUMBER")
        return self

    @property
    def lowest(self) -> float:
        """The bound that numbers are above, or minus infinity."""
        return -math.inf if self.above is None else self.above

    @property
    def highest(self) -> float:
        """The bound that numbers are below, or infinity."""
        return math.inf if self.below is None else self.below


_Plain: TypeAlias = bool | int | float | str
Condition: TypeAlias = Annotated[
    Annotated[Bounds, Tag("range")]
    | Annotated[tuple[_Plain, ...], Field(min_length=1, strict=False), Tag("choices")]
    | Annotated[_Plain, Tag("fixed")],
    Discriminator(_kind),
]
"""A rule for another param's value: between bounds, one of several, or one."""

When: TypeAlias = Mapping[str, Condition]
"""Name of another param to its condition; all must hold."""

_OptionalWhen = Annotated[When | None, Field(exclude_if=_is_none)]


class Range(Section):
    """A numeric range, both ends included; sampled on a logarithmic scale where ``log``.

    With ``when`` the param is asked only where other params fulfil its conditions, and has its
    default elsewhere.
    """

    low: float
    high: float
    log: bool = False
    when: _OptionalWhen = None

    def __init__(self, *ends: float, **fields: Any) -> None:
        """Take both ends by position too, as Python's own ``range`` does."""
        names = ("low", "high", "log")[: len(ends)]
        super().__init__(**dict(zip(names, ends, strict=True)), **fields)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if not self.low < self.high:
            raise ValueError(
                f"low should be below high, but got low = {self.low:g}, high = {self.high:g}"
            )
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(
                f"both ends should be finite, but got low = {self.low:g}, high = {self.high:g}"
            )
        if self.log and self.low <= 0:
            raise ValueError(f"low should be above 0 where log is true, but got low = {self.low:g}")
        return self


_T = TypeVar("_T")


class Choices(Section, Generic[_T]):
    """A list of choices that is asked only ``when`` other params fulfil conditions."""

    choices: Annotated[tuple[_T, ...], Field(min_length=1, strict=False)]
    when: When


def choices_of(entry: Any) -> tuple[Any, ...]:
    """List the values an entry names: its choices, its fixed value, a range's two ends."""
    if entry is None:
        return ()
    if isinstance(entry, Range):
        return (entry.low, entry.high)
    if isinstance(entry, Choices):
        return entry.choices
    return entry if isinstance(entry, tuple) else (entry,)


def is_searched(entry: Any) -> bool:
    """Whether trials choose, and nothing is fixed or derived."""
    return isinstance(entry, Range | Choices | tuple)


def conditions_of(entry: Any) -> When:
    """The conditions on other params under which an entry is asked."""
    return (isinstance(entry, Range | Choices) and entry.when) or {}


def is_fulfilled(when: When, params: Mapping[str, Any]) -> bool:
    """Whether all conditions hold; that of a param that was not asked does not."""
    return all(name in params and _holds(each, params[name]) for name, each in when.items())


def _holds(condition: Any, value: Any) -> bool:
    if isinstance(condition, Bounds):
        is_number = isinstance(value, int | float)
        return is_number and condition.lowest < value < condition.highest
    return value in choices_of(condition)


def _can_hold(condition: Any, entry: Any) -> bool:
    """Whether a param of an entry may have a value that fulfils a condition."""
    if not isinstance(entry, Range):
        return any(_holds(condition, value) for value in choices_of(entry))
    if isinstance(condition, Bounds):
        return condition.lowest < entry.high and condition.highest > entry.low
    return any(
        isinstance(value, int | float) and entry.low <= value <= entry.high
        for value in choices_of(condition)
    )


def describe_entry(entry: Any) -> str:
    """Say what is searched of a param.

    Args:
        entry: As plain values, of :meth:`SearchSpace.flat`.
    """
    if entry is None:
        return "derived"
    when = entry.get("when", {}) if isinstance(entry, dict) else {}
    if isinstance(entry, dict) and "low" in entry:
        scale = ", on a logarithmic scale" if entry["log"] else ""
        text = f"{entry['low']:g} to {entry['high']:g}{scale}"
    else:
        choices = entry["choices"] if isinstance(entry, dict) else entry
        text = ", ".join(map(str, choices)) if isinstance(choices, list) else f"{choices}, fixed"
    return text + "".join(f", if {name} {_describe_condition(each)}" for name, each in when.items())


def _describe_condition(condition: Any) -> str:
    if isinstance(condition, dict):
        return " and ".join(f"is {word} {bound:g}" for word, bound in condition.items())
    values = condition if isinstance(condition, list) else [condition]
    return f"is {' or '.join(map(str, values))}"


def check_distinct(entry: Any) -> Any:
    """Refuse a choice that is listed twice."""
    choices = choices_of(entry)
    if not isinstance(entry, Range) and len(set(choices)) != len(choices):
        raise ValueError(f"choices should be distinct, but got {list(choices)}")
    return entry


Entry = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[Choices[_T], Tag("conditional")]
    | Annotated[tuple[_T, ...], Field(min_length=1, strict=False), Tag("choices")]
    | Annotated[_T, Tag("fixed")],
    Discriminator(_kind),
    AfterValidator(check_distinct),
]
"""One param in a study file: a range, a list of choices, or one fixed value."""


class SearchSpace(Section):
    """``[search_space]``: one entry a param; a recipe subclasses it with its own params."""

    @model_validator(mode="after")
    def _check_conditions(self) -> Self:
        entries = {name: entry for name, entry in self if entry is not None}
        for name, entry in entries.items():
            for other, condition in conditions_of(entry).items():
                if other not in entries or other == name:
                    near = did_you_mean(other, entries.keys() - {name}, "")
                    raise ValueError(
                        f"{name} depends on {other}, which is no other param of the search space"
                        + (f"; {near}" if near else "")
                    )
                if not _can_hold(condition, entries[other]):
                    raise ValueError(f"{name} would never be asked: {other} is never so")
        self.in_order(list(entries))
        return self

    def flat(self) -> dict[str, Any]:
        """The entries as plain values, by name; those of a table within it are ``TABLE.param``."""
        found: dict[str, Any] = {}
        for name, entry in self:
            if isinstance(entry, SearchSpace):
                found |= {f"{name}.{param}": plain for param, plain in entry.flat().items()}
            else:
                found |= self.model_dump(mode="json", include={name})
        return found

    def in_order(self, names: list[str]) -> list[str]:
        """Sort names so that a param is after those that it depends on, else as they are.

        Raises:
            ValueError: Params depend on each other.
        """
        entries = dict(self)
        graph = {name: [*conditions_of(entries[name])] for name in names}
        sorter = TopologicalSorter(graph)
        try:
            sorter.prepare()
        except CycleError as error:
            raise ValueError(f"params depend on each other: {', '.join(error.args[1])}") from None
        ordered: list[str] = []
        while len(ordered) < len(names):
            ready = set(sorter.get_ready())
            sorter.done(*ready)
            ordered += [name for name in names if name in ready]
        return ordered
