"""Values of a raw table: texts that stand for gaps, numbers, truth and dates, and reading them.

Models ship with this module, so it imports pandas and scikit-learn alone, and it does not move.
"""

from typing import Any

import pandas as pd
from pandas.api import types
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

LARGEST_WHOLE_FLOAT = 2**53
"""From here on a float skips whole numbers."""

THOUSANDS = r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?|[+-]?\d{1,3}(\.\d+)?"
DECIMAL_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?"
BOOLEANS = {"true": 1.0, "false": 0.0}

MISSING = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
)
"""Texts that ``pandas.read_csv`` takes for a missing value, so that every reader sees the same."""


def is_text(column: pd.Series) -> bool:
    """Whether a column holds text, or objects of which some may be."""
    return not (types.is_numeric_dtype(column) or types.is_datetime64_any_dtype(column))


def changes_as_number(texts: pd.Series) -> bool:
    """Whether reading distinct texts as numbers or booleans would change one of them.

    "5" comes back the same, also from a float; "007", "1.0", "1e5" and "TRUE" do not.
    """
    numbers = texts[pd.to_numeric(texts, errors="coerce").notna()]
    is_whole = numbers.str.fullmatch(r"0|-?[1-9]\d{0,14}")
    booleans = texts[texts.str.lower().isin(BOOLEANS)]
    return not (is_whole.all() and booleans.isin(["True", "False"]).all())


def to_text(column: pd.Series) -> pd.Series:
    """Text without surrounding blanks; missing stays missing, and an empty text is missing."""
    if types.is_float_dtype(column):
        # Each number by itself, whatever the others are: 5.0, a float for its gaps, is "5".
        codes, distinct = pd.factorize(column)
        numbers = pd.Series(distinct)
        is_whole = (numbers % 1 == 0) & (numbers.abs() < LARGEST_WHOLE_FLOAT)
        whole = numbers.where(is_whole).astype("Int64").astype("str")
        return whole.where(is_whole, numbers.astype("str")).reindex(codes).set_axis(column.index)
    try:
        text = column.astype("str").str.strip()
    except UnicodeDecodeError:  # bytes that are no UTF-8: those are shown by their number
        text = column.map(_decode, na_action="ignore").astype("str").str.strip()
    return text.mask(text == "")


def _decode(value: object) -> object:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def to_dates(column: pd.Series) -> pd.Series:
    """Turn ISO texts, or dates with a zone, into UTC dates without one."""
    dates = pd.to_datetime(
        column,
        errors="coerce",
        utc=True,
        format=None if types.is_datetime64_any_dtype(column) else "ISO8601",
    )
    return dates.dt.tz_localize(None)


def take_table(estimator: Any, X: Any, *, is_fit: bool) -> pd.DataFrame:
    """The rows given to a transformer, as a DataFrame; only an array has columns by position.

    Args:
        estimator: The transformer, which remembers names and number of the columns it is fitted on.
        X: DataFrame, or array of shape (n_samples, n_features), which may hold gaps and text.
        is_fit: Whether it is being fitted.

    Raises:
        ValueError: X is sparse, complex, empty or of another shape.
    """
    if isinstance(X, pd.DataFrame):
        if is_fit:
            validate_data(estimator, X, skip_check_array=True)
        return X
    array = check_array(X, dtype=None, ensure_all_finite=False, estimator=estimator)
    validate_data(estimator, array, skip_check_array=True, reset=is_fit)
    names = getattr(estimator, "feature_names_in_", range(array.shape[1]))
    return pd.DataFrame(array, columns=list(names))
