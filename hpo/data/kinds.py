"""Decides the kind of each column of a table from its training rows."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from hpo.data.columns import Columns
from hpo.errors import DataError
from hpo.escaping import quote
from hpo.values import (
    BOOLEANS,
    DECIMAL_COMMA,
    MISSING,
    THOUSANDS,
    changes_as_number,
    is_text,
    to_dates,
    to_text,
)

TEXT_LENGTH = 40
"""Mean length from which distinct values are a text, not a category."""

_ISO_DATE = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?"


def decide_columns(
    train: pd.DataFrame, *, numeric: Sequence[str] = (), categorical: Sequence[str] = ()
) -> Columns:
    """Decide the kind of each column.

    Args:
        train: The training rows, raw, without target, group and dropped columns.
        numeric: Columns that are numbers whatever they look like.
        categorical: Columns that are categories whatever they look like.

    Raises:
        DataError: A column holds no values, or none is left.
    """
    listed = defaultdict[str, list[str]](list)
    for name in map(str, train.columns):
        if name in numeric:
            decision = _read_as_numbers(train[name]) or _Decision("numeric")
        elif name in categorical:
            decision = _as_categories(train[name])
        else:
            decision = _decide(train[name])
        listed[decision.kind].append(name)
        for reading in decision.readings:
            listed[reading].append(name)
        if decision.note:
            listed["notes"].append(f"{quote(name)} {decision.note}")
    columns = Columns.model_validate(listed)
    if not columns.features:
        why = "; ".join(columns.notes) or "all are dropped, the target or the group"
        raise DataError(
            f"data: no feature is left: {why}",
            hint="shorten data.drop, or give a table with features",
        )
    return columns


class _Decision(NamedTuple):
    """A decision: the column's kind, what else is true of it, what a person should know.

    Kind and readings are names of attributes of :class:`Columns`. The kind is empty, a name that
    :class:`Columns` ignores, where the column is dropped.
    """

    kind: str = ""
    readings: tuple[str, ...] = ()
    note: str = ""


def _decide(column: pd.Series) -> _Decision:
    name, present = column.name, column.dropna()
    if len(present) and isinstance(present.iloc[0], list | dict | bytes | np.ndarray):
        raise DataError(
            f"data: column '{name}' holds lists, records or bytes, not values",
            hint="name it in data.drop",
        )
    if present.dtype.kind not in "biufM":
        present = to_text(present).dropna()
    if present.empty:
        return _Decision(note="dropped: it is empty")
    if len(present) == len(column) and (present == present.iloc[0]).all():
        return _Decision(note=f"dropped: it is {quote(present.iloc[0])} in every row")
    if types.is_bool_dtype(present):
        return _Decision("boolean")
    if types.is_datetime64_any_dtype(present):
        return _Decision("datetime")
    if types.is_integer_dtype(present) and _is_row_number(present, len(column)):
        return _Decision("", ("ids",), "dropped: it numbers the rows")
    return (
        _Decision("numeric") if types.is_numeric_dtype(present) else _decide_text(column, present)
    )


def _is_row_number(present: pd.Series, n_rows: int) -> bool:
    return (
        n_rows > 20
        and present.nunique() == n_rows
        and int(present.max()) - int(present.min()) < 2 * n_rows
    )


def _decide_text(column: pd.Series, present: pd.Series) -> _Decision:
    distinct = pd.Series(present.unique())
    if distinct.str.lower().isin(BOOLEANS).all():
        return _Decision("boolean")
    if distinct.str.fullmatch(_ISO_DATE).all() and to_dates(distinct).notna().all():
        return _Decision("datetime")
    if numbers := _read_as_numbers(distinct):
        return numbers
    if len(distinct) > max(20, len(present) // 2) and distinct.str.len().mean() > TEXT_LENGTH:
        return _Decision(
            note=f"dropped: it is text ({len(distinct)} distinct values of"
            f" {distinct.str.len().mean():.0f} characters); data.categorical uses it as it is"
        )
    if len(distinct) == len(column) and len(column) > 20:
        return _Decision("", ("ids",), "dropped: a different value in every row")
    words = distinct[pd.to_numeric(distinct, errors="coerce").isna()]
    is_mostly_numbers = len(words) < len(distinct) / 2
    note = f"taken as categories: {quote(min(words))} is no number"
    return _as_categories(column, note if is_mostly_numbers else "")


def _as_categories(column: pd.Series, note: str = "") -> _Decision:
    present = column.dropna()
    if not is_text(column):
        has_fraction = types.is_float_dtype(column) and bool((present % 1 != 0).any())
        return _Decision("categorical", ("fractional",) if has_fraction else (), note)
    readings = ["text"]
    if changes_as_number(pd.Series(to_text(present).dropna().unique(), dtype="str")):
        readings.append("exact")
    if present.isin([text for text in MISSING if text]).any():
        readings.append("literal")
    return _Decision("categorical", tuple(readings), note)


def _read_as_numbers(column: pd.Series) -> _Decision | None:
    """Decide how a text column of numbers is read; None where its values are no numbers."""
    if types.is_numeric_dtype(column):
        return None
    distinct = pd.Series(to_text(column.dropna()).dropna().unique())
    if pd.to_numeric(distinct, errors="coerce").notna().all():
        return _Decision("numeric")
    if distinct.str.fullmatch(THOUSANDS).all():
        return _Decision("numeric", ("thousands",), "read with a comma between thousands")
    if distinct.str.fullmatch(DECIMAL_COMMA).all():
        return _Decision("numeric", ("decimal_comma",), "read with a decimal comma")
    return None
