"""Raw columns as the model takes them: numbers, truth values, categories, dates, free text.

Training and every place that predicts convert with it. Models ship with this module and name its
class by this path, so beside :mod:`hpo.values` it imports numpy, pandas and scikit-learn alone, and
it does not move.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from hpo.values import (
    BOOLEANS,
    DECIMAL_COMMA,
    MISSING,
    THOUSANDS,
    is_text,
    take_table,
    to_dates,
    to_text,
)

LARGEST_NUMBER = 1e150
"""Scaling squares a number."""

_AS_TEXT = "read this column as text, in pandas with dtype=str"


class ConversionError(ValueError):
    """A value that its column cannot hold.

    Attributes:
        hint: What to do.
        row: The index label of the first such value, or None.
    """

    def __init__(self, message: str, *, hint: str, row: Any = None) -> None:
        super().__init__(f"{message} ({hint})")
        self.message = message
        self.hint = hint
        self.row = row


class ColumnConverter(TransformerMixin, BaseEstimator):
    """Converts a raw table's columns; all is decided by its parameters, lists of column names.

    The output is a DataFrame: float64 for numbers and booleans, text for categories, datetime64
    for dates. A value that its column cannot hold is refused, not made a missing one.

    Args:
        numeric: Columns of numbers.
        boolean: Columns of true and false.
        categorical: Columns of categories.
        datetime: Columns of dates.
        thousands: Numeric columns whose text has a comma between thousands.
        decimal_comma: Numeric columns whose text has a comma before the fraction.
        exact: Categorical columns whose text would change if it were read as numbers or booleans:
            "007", "1.0", "TRUE".
        fractional: Categorical columns of numbers with fractions, where 6 is "6.0".
        literal: Categorical columns in which a text such as "NA" is a category.
        free_text: Columns of texts to be read word by word; a gap is an empty text.
    """

    free_text: Sequence[str] = ()  # a model that was saved before there were such columns has none

    def __init__(
        self,
        numeric: Sequence[str] = (),
        boolean: Sequence[str] = (),
        categorical: Sequence[str] = (),
        datetime: Sequence[str] = (),
        thousands: Sequence[str] = (),
        decimal_comma: Sequence[str] = (),
        exact: Sequence[str] = (),
        fractional: Sequence[str] = (),
        literal: Sequence[str] = (),
        free_text: Sequence[str] = (),
    ) -> None:
        self.numeric = numeric
        self.boolean = boolean
        self.categorical = categorical
        self.datetime = datetime
        self.thousands = thousands
        self.decimal_comma = decimal_comma
        self.exact = exact
        self.fractional = fractional
        self.literal = literal
        self.free_text = free_text

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Remember the column names."""
        self._take(X, is_fit=True)
        return self

    def transform(self, X: Any) -> pd.DataFrame:
        """Convert raw rows.

        Args:
            X: DataFrame, or what makes one, with the columns in any order; others are ignored.

        Returns:
            DataFrame of shape (n_samples, n_features), in the order of the parameters.

        Raises:
            ConversionError: A column is missing, or cannot hold one of its values.
        """
        check_is_fitted(self)
        return self.convert(self._take(X, is_fit=False))

    def convert(self, raw: pd.DataFrame, *, is_strict: bool = True) -> pd.DataFrame:
        """Convert raw rows, as :meth:`transform`, fitted or not.

        Args:
            raw: The rows.
            is_strict: Whether a value that is neither true nor false, or is no date, is refused;
                training takes it for missing.
        """
        converters: dict[str, Callable[[pd.Series, bool], pd.Series]] = {
            "numeric": self._to_numbers,
            "boolean": self._to_booleans,
            "categorical": self._to_categories,
            "datetime": self._to_dates,
            "free_text": lambda column, _: to_text(column).astype(object).fillna(""),
        }
        converted = {
            name: converter(self._mark_missing(raw[name]), is_strict)
            for kind, converter in converters.items()
            for name in getattr(self, kind)
        }
        return pd.DataFrame(converted, index=raw.index)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002
        """The columns by kind."""
        check_is_fitted(self)
        return np.asarray(self._features, dtype=object)

    @property
    def _features(self) -> list[str]:
        return [*self.numeric, *self.boolean, *self.categorical, *self.datetime, *self.free_text]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _take(self, X: Any, *, is_fit: bool) -> pd.DataFrame:
        table = take_table(self, X, is_fit=is_fit)
        table = table.set_axis(table.columns.map(str), axis="columns")
        missing = [name for name in self._features if name not in table.columns]
        if missing:
            names = ", ".join(f"'{name}'" for name in missing)
            raise ConversionError(
                f"column {names} is not there", hint="give every column that the model needs"
            )
        return table

    def _mark_missing(self, column: pd.Series) -> pd.Series:
        if column.name in self.literal or not is_text(column):
            return column
        is_missing = column.isin(MISSING)
        return column.mask(is_missing) if is_missing.any() else column

    def _to_numbers(self, column: pd.Series, is_strict: bool) -> pd.Series:
        has_comma = column.name in self.decimal_comma
        if is_strict and has_comma and types.is_float_dtype(column) and column.notna().any():
            # A float 1.5 may have been "1.500" in a file, which is fifteen hundred there.
            _refuse(column, column.notna(), "numbers as text with a decimal comma", _AS_TEXT)
        if not types.is_numeric_dtype(column):
            text = to_text(column)
            if column.name in self.thousands:
                # A later number without a comma may have more digits than three.
                text = text.where(text.str.fullmatch(f"{THOUSANDS}|[^,]*")).str.replace(
                    ",", "", regex=False
                )
            if has_comma:
                text = text.where(text.str.fullmatch(DECIMAL_COMMA))
                text = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
            numbers = pd.to_numeric(text, errors="coerce")
            hint = "mend the value, or name the column in data.categorical"
            _refuse(column, _is_lost(column, numbers), "numbers", hint)
            column = numbers
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        is_infinite = np.abs(values) > LARGEST_NUMBER
        if is_infinite.any():
            raise ConversionError(
                f"column '{column.name}' holds infinite values ({int(is_infinite.sum())}),"
                " or such as overflow when squared",
                hint="replace them by a number or by nothing",
                row=column.index[int(np.argmax(is_infinite))],
            )
        return pd.Series(values, index=column.index)

    @staticmethod
    def _to_booleans(column: pd.Series, is_strict: bool) -> pd.Series:
        booleans = to_text(column).str.lower().map(BOOLEANS).astype(np.float64)
        if is_strict:
            hint = "mend the value, or leave it empty"
            _refuse(column, _is_lost(column, booleans), "true or false", hint)
        return booleans

    def _to_categories(self, column: pd.Series, is_strict: bool) -> pd.Series:
        """Turn text into Python strings, one object a distinct value: the encoder loops over them.

        It undoes pandas' guess where a column of text looks like numbers in these rows alone.
        """
        if types.is_numeric_dtype(column) and column.notna().any():
            if is_strict and column.name in self.exact:
                _refuse(column, column.notna(), "text", _AS_TEXT)
            if column.name in self.fractional and not types.is_bool_dtype(column):
                column = column.astype(np.float64).astype(object)
        codes, distinct = pd.factorize(to_text(column))
        return pd.Series(
            np.append(np.asarray(distinct, dtype=object), [np.nan])[codes],
            index=column.index,
            dtype=object,
        )

    @staticmethod
    def _to_dates(column: pd.Series, is_strict: bool) -> pd.Series:
        what, hint = "dates such as 2026-01-31", "mend the value, or leave it empty"
        if types.is_numeric_dtype(column):
            _refuse(column, column.notna(), what, hint)
        dates = to_dates(column)
        if is_strict:
            _refuse(column, _is_lost(column, dates), what, hint)
        return dates


def _is_lost(raw: pd.Series, converted: pd.Series) -> pd.Series:
    """Whether conversion would silently turn a value into a missing one."""
    return converted.isna() & to_text(raw).notna()


def _refuse(column: pd.Series, is_refused: pd.Series, what: str, hint: str) -> None:
    refused = column[is_refused]
    if len(refused):
        raise ConversionError(
            f"column '{column.name}' should be {what}, but got {refused.iloc[0]!r}",
            hint=hint,
            row=refused.index[0],
        )
