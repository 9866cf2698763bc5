"""Gaps: the texts that a reader of a table takes for a missing value, in a column of labels."""

from collections.abc import Collection

import pandas as pd

from hpo.errors import DataError, did_you_mean
from hpo.values import BOOLEANS, LARGEST_WHOLE_FLOAT

GAPS = frozenset(
    {
        "",
        "NA",
        "N/A",
        "n/a",
        "#N/A",
        "<NA>",
        "NaN",
        "nan",
        "-NaN",
        "-nan",
        "NULL",
        "null",
        "?",
        ".",
    }
)
"""R, SQL, SAS and spreadsheets write them. Words of a language, such as "None", are labels."""

MAX_EXACT = 100
"""Up to so many distinct numbers may be labels; more are measured, and rounding does no harm."""


def mark_gaps(
    column: pd.Series, keep: Collection[str] = (), *, is_csv: bool = False
) -> tuple[pd.Series, dict[str, int]]:
    """Make the gaps of a column of labels missing.

    A CSV file's other labels are read as numbers where all are, and as true and false; so are a
    frame's other values where they are all of one type.

    Args:
        column: As it was read.
        keep: Texts that are labels here (``data.keep_labels``).
        is_csv: Whether the column's text comes from a CSV file, which has no types.

    Returns:
        The column, and each text that was taken for a gap with its number of rows.

    Raises:
        DataError: A text to keep is not there.
    """
    has_numbers = column.dtype.kind in "biufcmM"
    if has_numbers and not keep:
        return column, {}
    present = column.dropna()
    stripped = [value.strip() if isinstance(value, str) else None for value in present]
    texts = pd.Series(stripped, present.index, dtype=object)
    distinct = texts.dropna().unique().tolist()
    for label in keep:
        if label.strip() not in distinct:
            raise DataError(
                f"data.keep_labels: '{column.name}' has no label '{label}'",
                hint=did_you_mean(label, distinct, "take it out of keep_labels"),
            )
    kept = {label.strip() for label in keep}
    gaps = [text for text in distinct if text in GAPS and text not in kept]
    if has_numbers or not (gaps or is_csv):
        return column, {}
    is_gap = texts.isin(gaps)
    others = column[texts.index[~is_gap]]
    is_whole = len(others) == len(column)
    others = _read_values(others, is_whole=is_whole) if is_csv else others.convert_dtypes()
    return others.reindex(column.index), {text: int((texts == text).sum()) for text in gaps}


def _read_values(labels: pd.Series, *, is_whole: bool) -> pd.Series:
    """Read texts as numbers or truth values where all are, and no two labels become one.

    "1", "01" and "1.0" stay text, and so do whole numbers that a float would round.

    Args:
        labels: Texts.
        is_whole: Whether the column has no gap; truth values beside one stay text.
    """
    texts = labels.str.strip()
    distinct = pd.Series(texts.unique(), dtype=object)
    if is_whole and distinct.str.lower().isin(BOOLEANS).all():
        return texts.str.lower() == "true"
    numbers = pd.to_numeric(distinct, errors="coerce")
    is_rounded = numbers.dtype.kind == "f" and (numbers.abs() >= LARGEST_WHOLE_FLOAT).any()
    is_changed = is_rounded or numbers.nunique() < len(distinct)
    if numbers.isna().any() or (is_changed and len(distinct) <= MAX_EXACT):
        return labels
    # A nullable type, because a gap beside them would round large whole numbers.
    return texts.map(dict(zip(distinct, numbers, strict=True))).convert_dtypes()
