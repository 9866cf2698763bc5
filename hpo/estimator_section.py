"""The sections of a study file that name what is searched: the estimators and fixed arguments."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from hpo.escaping import MAX_QUOTED, on_one_line, shorten
from hpo.search_space import Section

Names = Annotated[tuple[str, ...], Field(strict=False)]
"""A list of names; a list is no tuple to a strict model."""


def _as_names(given: Any) -> Any:
    """Take a name, several with commas between them, as on a command line, or a list."""
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else given
    if names is None:
        return None
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"should be a name or a list of names, but got {names!r:.80}")
    if not names:
        raise ValueError("should name at least one estimator, but got an empty list")
    return names[0] if len(names) == 1 else names


class EstimatorSection(Section):
    """``[estimator]``: which estimator is searched, by scikit-learn's name of its class.

    A list of names searches among them. Where none is named, it is the linear one that fits the
    target: ``LogisticRegression`` for classes, ``Ridge`` for numbers. ``rule`` is the version of
    the rule by which solvers are derived: by default that of the study where it was begun before,
    else the newest.
    """

    name: Annotated[str | Names | None, BeforeValidator(_as_names)] = None
    rule: int | None = Field(None, ge=1, le=1000)

    @property
    def names(self) -> tuple[str, ...]:
        """All names; none where the target decides."""
        if self.name is None:
            return ()
        return (self.name,) if isinstance(self.name, str) else self.name


def _check_plain(value: Any) -> Any:
    is_plain = isinstance(value, bool | int | float | str)
    if not is_plain or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(
            "should be one text, truth value or finite number,"
            f" but got {shorten(on_one_line(repr(value)), MAX_QUOTED)}"
        )
    return value


class FixedSection(Section, extra="allow"):
    """``[fixed]``: plain values of arguments of the estimator that are not searched."""

    __pydantic_extra__: dict[
        str,
        Annotated[
            Any,
            AfterValidator(_check_plain),
            WithJsonSchema({"type": ["boolean", "number", "string"]}),
        ],
    ]
