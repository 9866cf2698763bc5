"""Reads CSV files, also compressed.

pandas reads. Here is what it does silently and a person should know: a column name twice, another
separator or encoding, rows of another length, labels such as "NA" that would become missing, codes
and large numbers that would become one.
"""

from collections import Counter
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow as pa

from hpo.data.csv_rows import find_codes, iter_rows
from hpo.errors import DataError
from hpo.values import LARGEST_WHOLE_FLOAT, MISSING

START_BYTES = 1 << 20
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_csv(
    path: Path, target: str | None, text: Collection[str], categorical: Collection[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Read a text file; arguments and answer are those of :func:`hpo.data.tables.read_table`."""
    separator, header = _read_header(path)
    check_names(path, header)
    codes = {header[position] for position in find_codes(path, separator, len(header))}
    as_text = {target, *text} if target is None else {target, *text, *codes}

    def read(as_text: Collection[str | None]) -> pd.DataFrame:
        return pd.read_csv(
            path,
            sep=separator,
            encoding="utf-8-sig",
            dtype={name: str for name in header if name in as_text},
            keep_default_na=False,
            na_values={name: [""] if name == target else list(MISSING) for name in header},
            low_memory=False,
        )

    frame = read(as_text)
    if rounded := find_rounded(frame, categorical):
        frame = read({*as_text, *rounded})
    return frame, [] if separator == "," else [f"read with {separator!r} between the values"]


def find_line(path: Path, row: int) -> str:
    """Say where a row of a text file is: blank lines and long cells move it.

    Args:
        path: A file that :func:`read_csv` has read.
        row: The row's position, from 0.
    """
    separator, _ = _read_header(path)
    n_rows, before = 0, 0
    for values, last in iter_rows(path, separator):
        if values and n_rows == row + 1:  # the header is a row too
            return f"line {before + 1}"
        n_rows, before = n_rows + bool(values), last
    return f"row {row + 1}"


def _read_header(path: Path) -> tuple[str, list[str]]:
    """The separator, that of the four which gives the most columns, and the column names."""
    with pa.input_stream(str(path), compression="detect") as stream:
        start = stream.read(START_BYTES)
    if b"\0" in start and start[:2] not in UTF16_MARKS:
        raise DataError(
            f"data: {path} is not text (it holds NUL bytes)",
            hint="save it as CSV in UTF-8, or give Parquet",
        )
    headers = []
    for mark in ",;\t|":
        with closing(iter_rows(path, mark)) as rows:
            headers.append((mark, next((row for row, _ in rows if row), [])))
    separator, header = max(headers, key=lambda found: len(found[1]))
    if not "".join(header).strip():
        raise DataError(f"data: {path} is empty", hint="give a table with a header and rows")
    return separator, header


def check_names(path: Path | str, header: list[str]) -> None:
    """Refuse columns without a name, or with that of another."""
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        line = f"data: {path} has the column '{twice[0]}' twice"
        raise DataError(line, hint="give every column its own name")
    if "" in header:
        raise DataError(
            f"data: {path} has no name for column {header.index('') + 1}",
            hint="give every column a name",
        )


def find_rounded(frame: pd.DataFrame, names: Collection[str | None]) -> list[str]:
    """Those of the columns that are floats, for their gaps, and skip large whole numbers."""
    return [
        name
        for name in frame.columns
        if name in names
        and frame[name].dtype.kind == "f"
        and (frame[name].abs() >= LARGEST_WHOLE_FLOAT).any()
    ]
