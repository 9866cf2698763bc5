"""Decides the kind of each column of a table from its training rows."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from hpo.data.columns import Columns
from hpo.data.csv_rows import is_code
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

TEXT_WORDS = 4
"""Mean number of words from which a text is read word by word; fewer are a code or an address."""

_WORD = re.compile(r"\w\w")

_ISO_DATE = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?"


def decide_columns(
    train: pd.DataFrame,
    *,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    text: Sequence[str] | None = None,
) -> Columns:
    """Decide the kind of each column.

    Args:
        train: The training rows, raw, without target, group and dropped columns.
        numeric: Columns that are numbers whatever they look like.
        categorical: Columns that are categories whatever they look like.
        text: Columns that are free text whatever they look like, and no others are; None decides
            it from the values.

    Raises:
        DataError: A column holds no values, or none is left.
    """
    listed = defaultdict[str, list[str]](list)
    for name in map(str, train.columns):
        if name in numeric:
            decision = _read_as_numbers(train[name]) or _Decision("numeric")
        elif name in categorical:
            decision = _as_categories(train[name])
        elif name in (text or ()):
            decision = _as_free_text(train[name])
        else:
            decision = _decide(train[name], text is None)
        listed[decision.kind].append(name)
        for reading in decision.readings:
            listed[reading].append(name)
        if decision.note:
            listed["notes"].append(f"{quote(name)} {decision.note}")
    columns = Columns.model_validate(listed)
    if not columns.features:
        raise _no_feature("; ".join(columns.notes) or "all are dropped, the target or the group")
    return columns


def keep_columns(raw: pd.DataFrame) -> Columns:
    """List the columns of a table that an estimator takes as it was read.

    Args:
        raw: Without target, group and dropped columns.

    Raises:
        DataError: There is none, or one holds lists or records, which have no digest.
    """
    if raw.empty:
        raise _no_feature("all are dropped, the target or the group")
    listed = defaultdict[str, list[str]](list)
    for name, column in raw.items():
        if column.dtype == object and column.map(_is_container).any():
            raise _holds_no_values(name)
        listed[_kind_of_dtype(column)].append(str(name))
        if isinstance(column.dtype, pd.StringDtype):
            listed["text"].append(str(name))
    return Columns.model_validate({**listed, "as_read": raw.dtypes.astype(str).to_dict()})


def _no_feature(why: str) -> DataError:
    return DataError(
        f"data: no feature is left: {why}", hint="shorten data.drop, or give a table with features"
    )


def _kind_of_dtype(column: pd.Series) -> str:
    if types.is_bool_dtype(column):
        return "boolean"
    if types.is_datetime64_any_dtype(column):
        return "datetime"
    return "numeric" if types.is_numeric_dtype(column) else "categorical"


def _is_container(value: object) -> bool:
    return isinstance(value, list | dict | bytes | set | np.ndarray)


def _holds_no_values(name: object) -> DataError:
    return DataError(
        f"data: column '{name}' holds lists, records or bytes, not values",
        hint="name it in data.drop",
    )


class _Decision(NamedTuple):
    """A decision: the column's kind, what else is true of it, what a person should know.

    Kind and readings are names of attributes of :class:`Columns`. The kind is empty, a name that
    :class:`Columns` ignores, where the column is dropped.
    """

    kind: str = ""
    readings: tuple[str, ...] = ()
    note: str = ""


def has_words(texts: Iterable[str]) -> bool:
    """Whether a text holds a word: two letters or digits in a row, as scikit-learn takes it."""
    return any(_WORD.search(text.lower()) for text in texts)


def _decide(column: pd.Series, finds_text: bool) -> _Decision:
    name, present = column.name, column.dropna()
    if len(present) and _is_container(present.iloc[0]):
        raise _holds_no_values(name)
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
    is_numeric = types.is_numeric_dtype(present)
    return _Decision("numeric") if is_numeric else _decide_text(column, present, finds_text)


def _is_row_number(present: pd.Series, n_rows: int) -> bool:
    return (
        n_rows > 20
        and present.nunique() == n_rows
        and int(present.max()) - int(present.min()) < 2 * n_rows
    )


def _decide_text(column: pd.Series, present: pd.Series, finds_text: bool) -> _Decision:
    distinct = pd.Series(present.unique())
    if distinct.str.lower().isin(BOOLEANS).all():
        return _Decision("boolean")
    if distinct.str.fullmatch(_ISO_DATE).all() and to_dates(distinct).notna().all():
        return _Decision("datetime")
    codes = [text for text in distinct if is_code(text)]
    if not codes and (numbers := _read_as_numbers(distinct)):
        return numbers
    if len(distinct) > max(20, len(present) // 2) and distinct.str.len().mean() > TEXT_LENGTH:
        return _decide_long_text(distinct, finds_text)
    if len(distinct) == len(column) and len(column) > 20:
        return _Decision("", ("ids",), "dropped: a different value in every row")
    return _as_categories(column, _say_why_categories(distinct, codes))


def _say_why_categories(distinct: pd.Series, codes: list[str]) -> str:
    """Note of a column that is categories though most of its distinct values are numbers."""
    words = distinct[pd.to_numeric(distinct, errors="coerce").isna()]
    if words.empty:
        begins = f"{quote(min(codes))} begins with a zero"
        return f"taken as categories: {begins}; data.numeric takes it as numbers"
    is_mostly_numbers = len(words) < len(distinct) / 2
    return f"taken as categories: {quote(min(words))} is no number" if is_mostly_numbers else ""


def _decide_long_text(distinct: pd.Series, finds_text: bool) -> _Decision:
    size = f"{len(distinct)} distinct values of {distinct.str.len().mean():.0f} characters"
    is_prose = distinct.str.count(" ").mean() + 1 >= TEXT_WORDS and has_words(distinct)
    if finds_text and is_prose:
        return _Decision("free_text", note=f"taken as text, word by word: {size}")
    return _Decision(
        note=f"dropped: it is text ({size}); data.text takes its words,"
        " data.categorical uses it as it is"
    )


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


def _as_free_text(column: pd.Series) -> _Decision:
    if not has_words(to_text(column.dropna()).dropna()):
        raise DataError(
            f"data.text: column '{column.name}' holds no words",
            hint="name it in data.drop instead",
        )
    return _Decision("free_text")


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
