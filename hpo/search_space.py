"""The search space of a study file: one entry a param, and the base of a recipe's space."""

from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Discriminator, Field, Tag, model_validator


class Section(BaseModel, extra="forbid", frozen=True, strict=True):
    """Refuses a key that is not its own, a change, and a value of another type."""


class Range(Section):
    """A numeric range, both ends included; sampled on a logarithmic scale where ``log``."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if not self.low < self.high:
            raise ValueError(
                f"low should be below high, but got low = {self.low:g}, high = {self.high:g}"
            )
        return self


def _entry_kind(value: object) -> str:
    if isinstance(value, dict | Range):
        return "range"
    return "choices" if isinstance(value, list | tuple) else "fixed"


def choices_of(entry: Any) -> tuple[Any, ...]:
    """List the values an entry names: its choices, its fixed value, a range's two ends."""
    if entry is None:
        return ()
    if isinstance(entry, Range):
        return (entry.low, entry.high)
    return entry if isinstance(entry, tuple) else (entry,)


def check_distinct(entry: Any) -> Any:
    """Refuse a choice that is listed twice."""
    if isinstance(entry, tuple) and len(set(entry)) != len(entry):
        raise ValueError(f"choices should be distinct, but got {list(entry)}")
    return entry


_T = TypeVar("_T")
Entry = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[tuple[_T, ...], Field(min_length=1, strict=False), Tag("choices")]
    | Annotated[_T, Tag("fixed")],
    Discriminator(_entry_kind),
    AfterValidator(check_distinct),
]
"""One param in a study file: a range, a list of choices, or one fixed value."""


class SearchSpace(Section):
    """``[search_space]``: one entry a param; a recipe subclasses it with its own params."""
