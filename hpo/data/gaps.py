"""Gaps: the texts that a reader of a table takes for a missing value, in a column of labels."""

from collections.abc import Collection

import pandas as pd

from hpo.errors import DataError, did_you_mean

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


def mark_gaps(
    column: pd.Series, keep: Collection[str] = (), *, is_csv: bool = False
) -> tuple[pd.Series, dict[str, int]]:
    """Make the gaps of a column of labels missing.

    Where a CSV file's other labels are numbers, they are read as if the gaps had been empty; so are
    a frame's other values where they are all of one type.

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
    if has_numbers or not gaps:
        return column, {}
    is_gap = texts.isin(gaps)
    others = column[texts.index[~is_gap]]
    others = _read_numbers(others) if is_csv else others.convert_dtypes()
    return others.reindex(column.index), {text: int((texts == text).sum()) for text in gaps}


def _read_numbers(texts: pd.Series) -> pd.Series:
    """Read texts as numbers where all are, and stay distinct: "01" and "1" stay text."""
    numbers = pd.to_numeric(texts, errors="coerce")
    is_same = numbers.notna().all() and numbers.nunique() == texts.nunique()
    # A nullable type, because a gap beside them would round large whole numbers.
    return numbers.convert_dtypes() if is_same else texts
