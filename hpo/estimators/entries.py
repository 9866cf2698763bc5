"""Rules for the entries of a search space, for the fields of a recipe's ``space``."""

from collections.abc import Callable
from typing import Any

from hpo.search_space import Range, choices_of


def between(low: float, high: float) -> Callable[[Any], Any]:
    """Make a rule for numbers: each above ``low`` and below ``high``."""

    def check(entry: Any) -> Any:
        for value in choices_of(entry):
            if not low < value < high:
                raise ValueError(f"should be above {low:g} and below {high}, but got {value:g}")
        return entry

    return check


def whole(entry: Any) -> Any:
    """Refuse a number with a fraction."""
    for value in choices_of(entry):
        if value % 1:
            raise ValueError(f"should be a whole number, but got {value:g}")
    return entry


def named(entry: Any) -> Any:
    """Refuse a range where names are meant."""
    if isinstance(entry, Range):
        # Pydantic takes a ValueError for its own.
        message = "a name or a list of names is allowed here, but got a range"
        raise ValueError(message)  # noqa: TRY004
    return entry
