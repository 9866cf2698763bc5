"""Columns: the kind of each, decided once from the training rows, applied to every row after.

Takes a raw frame as pandas reads it and gives :class:`Columns`. Raw values become the few dtypes
that the model's signature knows: float64 for numbers and booleans (an integer column could hold no
missing value when served), text for categories, datetime64 for dates.
"""

import numpy as np
import pandas as pd
from pandas.api import types
from pydantic import BaseModel

from hpo.errors import DataError

KINDS = {"numeric": "double", "boolean": "double", "categorical": "string", "datetime": "datetime"}
"""Kind of column to the type that MLflow's signature has for it."""


LARGEST_NUMBER = 1e150
"""Scaling squares a number."""

THOUSANDS = r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?|[+-]?\d{1,3}(\.\d+)?"
DECIMAL_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?"
BOOLEANS = {"true": 1.0, "false": 0.0}


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
        """Columns that a CSV reader must not guess from other rows.

        "007" is no 7, and with a decimal comma "1.234" is a thousand.
        """
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
            "datetime": to_dates,
        }
        converted = {
            name: way(raw[name]) for kind, way in ways.items() for name in getattr(self, kind)
        }
        return pd.DataFrame(converted, index=raw.index)

    def _to_numbers(self, column: pd.Series) -> pd.Series:
        if not types.is_numeric_dtype(column):
            text = to_text(column)
            if column.name in self.thousands:
                # A later number without a comma may have more digits than three.
                text = text.where(text.str.fullmatch(f"{THOUSANDS}|[^,]*")).str.replace(
                    ",", "", regex=False
                )
            if column.name in self.decimal_comma:
                text = text.where(text.str.fullmatch(DECIMAL_COMMA))
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
                f"data: column '{column.name}' holds infinite values ({n_infinite}),"
                " or such as overflow when squared",
                hint="replace them by a number or by nothing",
            )
        return pd.Series(values, index=column.index)


def refuse_lost(raw: pd.Series, converted: pd.Series, what: str, *, hint: str) -> None:
    """Refuse a value that conversion would silently make a missing one.

    Raises:
        DataError: There is one in the column, which should be ``what``.
    """
    lost = raw[converted.isna() & to_text(raw).notna()]
    if len(lost):
        raise DataError(
            f"data: column '{raw.name}' should be {what}, but got {lost.iloc[0]!r}", hint=hint
        )


def to_text(column: pd.Series) -> pd.Series:
    """Text without surrounding blanks; missing stays missing, and an empty text is missing."""
    present = column.dropna()
    if types.is_float_dtype(column) and (present % 1 == 0).all() and (present.abs() < 2**53).all():
        column = column.astype(
            "Int64"
        )  # whole numbers that are floats only for their gaps: "5", not "5.0"
    text = column.astype("str").str.strip()
    return text.mask(text == "")


def _to_categories(column: pd.Series) -> pd.Series:
    """Turn text into Python strings, one object a distinct value: the encoder loops over them."""
    codes, distinct = pd.factorize(to_text(column))
    return pd.Series(
        np.append(np.asarray(distinct, dtype=object), [np.nan])[codes],
        index=column.index,
        dtype=object,
    )


def _to_booleans(column: pd.Series) -> pd.Series:
    return to_text(column).str.lower().map(BOOLEANS).astype(np.float64)


def to_dates(column: pd.Series) -> pd.Series:
    """Turn ISO texts, or dates with a zone, into UTC dates without one."""
    dates = pd.to_datetime(
        column,
        errors="coerce",
        utc=True,
        format=None if types.is_datetime64_any_dtype(column) else "ISO8601",
    )
    return dates.dt.tz_localize(None)
