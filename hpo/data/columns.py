"""Columns: the kind of each, decided once from the training rows, applied to every row after.

:mod:`hpo.data.kinds` decides. Raw values become the few dtypes that preprocessing knows: float64
for numbers and booleans, text for categories and free text, datetime64 for dates.
:mod:`hpo.conversion`, which ships with the model, converts them.
"""

import pandas as pd
from pydantic import BaseModel

from hpo.conversion import ColumnConverter, ConversionError
from hpo.errors import DataError

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
        return {
            name: type_name for kind, type_name in KINDS.items() for name in getattr(self, kind)
        }

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
        try:
            return self.converter().convert(raw, is_strict=is_strict)
        except ConversionError as error:
            raise DataError(f"data: {error.message}", hint=error.hint) from error
