"""What each column of a table is: decided once, from the training rows, and applied to every row after.

Takes a raw frame as pandas reads it and gives :class:`Columns`: the kind of each feature and what was said about it. Raw values
become the few dtypes that the model's signature knows: float64 for numbers and booleans (an integer column could hold no missing
value when served), text for categories, datetime64 for dates.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types
from pydantic import BaseModel

from hpo.errors import DataError

KINDS = {"numeric": "double", "boolean": "double", "categorical": "string", "datetime": "datetime"}
"""Kind of column to the type that MLflow's signature has for it."""

TEXT_LENGTH = 40
"""Mean length from which distinct values are a text, not a category."""

LARGEST_NUMBER = 1e150
"""Scaling squares a number."""

_THOUSANDS = r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?|[+-]?\d{1,3}(\.\d+)?"
_DECIMAL_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?"
_ISO_DATE = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?"
_BOOLEANS = {"true": 1.0, "false": 0.0}


class Columns(BaseModel, frozen=True):
    """The features of a table, by kind, in the table's order within a kind.

    Travels with a model as JSON, so that later rows are converted as the training rows were.

    Attributes:
        numeric: Float64; a missing value gets the median and an indicator.
        boolean: Float64, 1 and 0; a missing value gets the commonest.
        categorical: Text; missing is a category.
        datetime: Date and time without zone; becomes calendar parts.
        notes: What was done that a person should know, one line each.
        thousands: Numeric columns whose text has a comma between thousands.
        decimal_comma: Numeric columns whose text has a comma before the fraction.
        text: Categorical columns whose values are text, "007" and all.
    """

    numeric: tuple[str, ...] = ()
    boolean: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    thousands: frozenset[str] = frozenset()
    decimal_comma: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()

    @property
    def read_as_text(self) -> frozenset[str]:
        """What a CSV reader must not guess from other rows: "007" is no 7, and with a decimal comma "1.234" is a thousand."""
        return self.text | self.thousands | self.decimal_comma | frozenset(self.datetime)

    @property
    def features(self) -> tuple[str, ...]:
        """All features that are kept."""
        return tuple(self.signature())

    def kinds(self) -> dict[str, list[str]]:
        """Kind to column names, as it is shown and logged."""
        return {kind: list(getattr(self, kind)) for kind in KINDS if getattr(self, kind)}

    def signature(self) -> dict[str, str]:
        """Column name to the type that MLflow's signature has for it."""
        return {
            name: type_name for kind, type_name in KINDS.items() for name in getattr(self, kind)
        }

    def convert(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Raw rows as the model takes them.

        Args:
            raw: Rows with all the features, of shape (n_samples, n_columns).

        Returns:
            DataFrame of shape (n_samples, n_features), in the order of :attr:`features`.

        Raises:
            DataError: A value is infinite, or a numeric column holds text.
        """
        ways = {
            "numeric": self._to_numbers,
            "boolean": _to_booleans,
            "categorical": _to_categories,
            "datetime": _to_dates,
        }
        converted = {
            name: way(raw[name]) for kind, way in ways.items() for name in getattr(self, kind)
        }
        return pd.DataFrame(converted, index=raw.index)

    def _to_numbers(self, column: pd.Series) -> pd.Series:
        if not types.is_numeric_dtype(column):
            text = _to_text(column)
            if column.name in self.thousands:
                # A later number without a comma may have more digits than three.
                text = text.where(text.str.fullmatch(f"{_THOUSANDS}|[^,]*")).str.replace(
                    ",", "", regex=False
                )
            if column.name in self.decimal_comma:
                text = text.where(text.str.fullmatch(_DECIMAL_COMMA))
                text = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
            numbers = pd.to_numeric(text, errors="coerce")
            refuse_lost(
                column,
                numbers,
                "numbers",
                hint="mend the value, or name the column in data.categorical",
            )
            column = numbers
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        n_infinite = int((np.abs(values) > LARGEST_NUMBER).sum())
        if n_infinite:
            raise DataError(
                f"data: column '{column.name}' holds infinite values ({n_infinite}), or such as overflow when squared",
                hint="replace them by a number or by nothing",
            )
        return pd.Series(values, index=column.index)


def decide_columns(
    train: pd.DataFrame, *, numeric: Sequence[str] = (), categorical: Sequence[str] = ()
) -> Columns:
    """Decide the kind of each column.

    Args:
        train: The training rows, raw, without target, group and dropped columns.
        numeric: Columns that are numbers whatever they look like.
        categorical: Columns that are categories whatever they look like.

    Raises:
        DataError: A column is a text, or no column is left.
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
        listed[decision.reading].append(name)
        if decision.note:
            listed["notes"].append(f"'{name}' {decision.note}")
    columns = Columns.model_validate(listed)
    if not columns.features:
        why = "; ".join(columns.notes) or "all are dropped, the target or the group"
        raise DataError(
            f"data: no feature is left: {why}",
            hint="shorten data.drop, or give a table with features",
        )
    return columns


def refuse_lost(raw: pd.Series, converted: pd.Series, what: str, *, hint: str) -> None:
    """Refuse a value that conversion would silently make a missing one.

    Raises:
        DataError: There is one in the column, which should be ``what``.
    """
    lost = raw[converted.isna() & _to_text(raw).notna()]
    if len(lost):
        raise DataError(
            f"data: column '{raw.name}' should be {what}, but got {lost.iloc[0]!r}", hint=hint
        )


class _Decision(NamedTuple):
    """What a column is: its kind, or nothing where it is dropped; how its text is read; what a person should know.

    Kind and reading are names of attributes of :class:`Columns`, which leaves alone what has none.
    """

    kind: str = ""
    reading: str = ""
    note: str = ""


def _decide(column: pd.Series) -> _Decision:
    name, present = column.name, column.dropna()
    if len(present) and isinstance(present.iloc[0], list | dict | bytes | np.ndarray):
        raise DataError(
            f"data: column '{name}' holds lists, records or bytes, not values",
            hint="name it in data.drop",
        )
    if present.dtype.kind not in "biufM":
        present = _to_text(present).dropna()
    if present.empty:
        return _Decision(note="dropped: it is empty")
    if len(present) == len(column) and (present == present.iloc[0]).all():
        return _Decision(note=f"dropped: it is '{present.iloc[0]}' in every row")
    if types.is_bool_dtype(present):
        return _Decision("boolean")
    if types.is_datetime64_any_dtype(present):
        return _Decision("datetime")
    if types.is_integer_dtype(present) and _is_row_number(present, len(column)):
        return _Decision(note="dropped: it numbers the rows")
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
    if distinct.str.lower().isin(_BOOLEANS).all():
        return _Decision("boolean")
    if distinct.str.fullmatch(_ISO_DATE).all() and _to_dates(distinct).notna().all():
        return _Decision("datetime")
    if numbers := _read_as_numbers(distinct):
        return numbers
    if len(distinct) > max(20, len(present) // 2) and distinct.str.len().mean() > TEXT_LENGTH:
        raise DataError(
            f"data: column '{column.name}' is text ({len(distinct)} distinct values of {distinct.str.len().mean():.0f} characters)",
            hint="name it in data.drop, or in data.categorical to use it as it is",
        )
    if len(distinct) == len(column) and len(column) > 20:
        return _Decision(note="dropped: it has another value in every row")
    words = distinct[pd.to_numeric(distinct, errors="coerce").isna()]
    is_mostly_numbers = len(words) < len(distinct) / 2
    return _as_categories(
        column, f"taken as categories: '{min(words)}' is no number" if is_mostly_numbers else ""
    )


def _as_categories(column: pd.Series, note: str = "") -> _Decision:
    is_text = not (types.is_numeric_dtype(column) or types.is_datetime64_any_dtype(column))
    return _Decision("categorical", "text" if is_text else "", note)


def _read_as_numbers(column: pd.Series) -> _Decision | None:
    """What a text column is whose values are numbers, with commas or without; None where they are not."""
    if types.is_numeric_dtype(column):
        return None
    distinct = pd.Series(_to_text(column.dropna()).dropna().unique())
    if pd.to_numeric(distinct, errors="coerce").notna().all():
        return _Decision("numeric")
    if distinct.str.fullmatch(_THOUSANDS).all():
        return _Decision("numeric", "thousands", "read with a comma between thousands")
    if distinct.str.fullmatch(_DECIMAL_COMMA).all():
        return _Decision("numeric", "decimal_comma", "read with a decimal comma")
    return None


def _to_text(column: pd.Series) -> pd.Series:
    """Text without surrounding blanks; missing stays missing, and an empty text is missing."""
    present = column.dropna()
    if types.is_float_dtype(column) and (present % 1 == 0).all() and (present.abs() < 2**53).all():
        column = column.astype(
            "Int64"
        )  # whole numbers that are floats only for their gaps: "5", not "5.0"
    text = column.astype("str").str.strip()
    return text.mask(text == "")


def _to_categories(column: pd.Series) -> pd.Series:
    """Text as Python strings, one object a distinct value: scikit-learn's encoder goes through them one by one."""
    codes, distinct = pd.factorize(_to_text(column))
    return pd.Series(
        np.append(np.asarray(distinct, dtype=object), [np.nan])[codes],
        index=column.index,
        dtype=object,
    )


def _to_booleans(column: pd.Series) -> pd.Series:
    return _to_text(column).str.lower().map(_BOOLEANS).astype(np.float64)


def _to_dates(column: pd.Series) -> pd.Series:
    dates = pd.to_datetime(
        column,
        errors="coerce",
        utc=True,
        format=None if types.is_datetime64_any_dtype(column) else "ISO8601",
    )
    return dates.dt.tz_localize(None)
