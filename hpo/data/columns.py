"""Columns: the kind of each, decided once from the training rows, applied to every row after.

:mod:`hpo.data.kinds` decides. Raw values become the few dtypes that preprocessing knows: float64
for numbers and booleans, text for categories and free text, datetime64 for dates.
:mod:`hpo.conversion`, which ships with the model, converts them.
"""

from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from pydantic import BaseModel

from hpo.conversion import ColumnConverter, ConversionError
from hpo.errors import DataError, first_line

COLUMNS_FILE = "hpo_columns.json"
"""Beside a saved model."""

KINDS = {
    "numeric": "double",
    "boolean": "double",
    "categorical": "string",
    "datetime": "datetime",
    "free_text": "string",
}
"""Kind of column to MLflow's name for the type that it is converted to."""


class Columns(BaseModel, frozen=True):
    """The features of a table, by kind, in the table's order within a kind.

    Travels with a model as JSON, so that later rows are converted as the training rows were.

    Attributes:
        numeric: Float64; a missing value gets the median and an indicator.
        boolean: Float64, 1 and 0; a missing value gets the commonest.
        categorical: Text; missing is a category.
        datetime: Date and time without zone; becomes calendar parts.
        free_text: Texts that are read word by word; missing is an empty text.
        notes: What was done that a person should know, one line each.
        thousands: Numeric columns whose text has a comma between thousands.
        decimal_comma: Numeric columns whose text has a comma before the fraction.
        text: Categorical columns whose values are text, "007" and all.
        exact: Those of them whose text would change if it were read as a number or a boolean.
        fractional: Categorical columns of numbers with fractions.
        literal: Categorical columns in which a text such as "NA" is a value.
        ids: Columns that were dropped because they only tell rows apart.
        as_read: Column name to dtype, in the table's order, where the estimator takes the table as
            it was read; empty where columns are converted.
    """

    numeric: tuple[str, ...] = ()
    boolean: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()
    free_text: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    thousands: frozenset[str] = frozenset()
    decimal_comma: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    fractional: frozenset[str] = frozenset()
    literal: frozenset[str] = frozenset()
    ids: tuple[str, ...] = ()
    as_read: dict[str, str] = {}

    @property
    def read_as_text(self) -> frozenset[str]:
        """Columns that a CSV reader must not guess from other rows.

        "007" is no 7, and with a decimal comma "1.234" is a thousand.
        """
        parsed = frozenset((*self.datetime, *self.free_text))
        return self.text | self.thousands | self.decimal_comma | parsed

    @property
    def features(self) -> tuple[str, ...]:
        """All features that are kept."""
        return tuple(self.signature())

    def kinds(self) -> dict[str, list[str]]:
        """Kind to column names, as it is shown and logged."""
        return {kind: list(getattr(self, kind)) for kind in KINDS if getattr(self, kind)}

    def signature(self) -> dict[str, str]:
        """Column name to MLflow's name for the type that it is converted to."""
        types = {
            name: type_name for kind, type_name in KINDS.items() for name in getattr(self, kind)
        }
        return {name: types[name] for name in self.as_read or types}

    def converter(self) -> ColumnConverter:
        """The unfitted step that converts raw rows, as it ships with a model."""
        return ColumnConverter(
            **{
                name: [*value] if isinstance(value, tuple) else sorted(value)
                for name, value in self
                if name in ColumnConverter().get_params()
            }
        )

    def convert(self, raw: pd.DataFrame, *, is_strict: bool = False) -> pd.DataFrame:
        """Raw rows as preprocessing takes them.

        Args:
            raw: Rows with all the features, of shape (n_samples, n_columns).
            is_strict: Whether what is no boolean or no date in such a column is refused too.

        Returns:
            DataFrame of shape (n_samples, n_features), in the order of :attr:`features`.

        Raises:
            DataError: A value is infinite, or a numeric column holds text.
        """
        if self.as_read:
            return self._take_as_read(raw)
        try:
            return self.converter().convert(raw, is_strict=is_strict)
        except ConversionError as error:
            raise DataError(f"data: {error.message}", hint=error.hint) from error

    def _take_as_read(self, raw: pd.DataFrame) -> pd.DataFrame:
        """The features in the order of training, with its dtypes where a file or JSON lost them."""
        rows = raw[list(self.as_read)].copy()
        for name, dtype in self.as_read.items():
            if str(rows[name].dtype) != dtype:
                try:
                    rows[name] = _as_in_training(rows[name], types.pandas_dtype(dtype))
                except (ValueError, TypeError) as error:
                    raise DataError(
                        f"data: column '{name}' should be {dtype}, but: {first_line(error)}",
                        hint="give it as the training rows had it",
                    ) from error
        return rows


def as_numbers(X: pd.DataFrame) -> pd.DataFrame:
    """Every column as float64: dates by time, texts by position among those that are there."""
    numbers = {}
    for name in X.columns:
        column = X[name]
        if types.is_datetime64_any_dtype(column):
            values = column.astype("int64").where(column.notna()).to_numpy(np.float64)
        elif types.is_numeric_dtype(column):
            values = column.to_numpy(np.float64, na_value=np.nan)
        else:
            codes = pd.factorize(column, sort=False)[0]
            values = np.where(codes < 0, np.nan, codes)
        numbers[name] = values
    return pd.DataFrame(numbers, index=X.index)


def scale_numbers(X: np.ndarray) -> np.ndarray:
    """Each column by its standard deviation about its mean; what is missing is the mean."""
    spread = np.maximum(np.nanstd(X, axis=0), 1e-12)
    return np.asarray(np.nan_to_num((X - np.nanmean(X, axis=0)) / spread))


def _as_in_training(column: pd.Series, dtype: Any) -> pd.Series:
    """A column with the dtype that training rows had, unless that would change a value."""
    if column.dtype == object and not isinstance(dtype, pd.StringDtype):
        column = column.infer_objects()
    takes_any = isinstance(dtype, pd.api.extensions.ExtensionDtype) or dtype.kind in "fmM"
    is_text = column.dtype == object or isinstance(column.dtype, pd.StringDtype)
    is_whole = dtype.kind in "iu" and is_text and bool(column.notna().all())
    return column.astype(dtype) if takes_any or is_whole else column
