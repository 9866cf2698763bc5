"""Reads a table from a file: CSV (also compressed), Parquet or Feather; or refuses it in one line.

pandas reads; here stands what it does silently and a person should be told: a column name twice, another separator, another
encoding, rows of another length, labels such as "NA" that would become missing.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from hpo.errors import DataError

READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".parquet": pd.read_parquet,
    ".pq": pd.read_parquet,
    ".feather": pd.read_feather,
    ".arrow": pd.read_feather,
}
CSV_ENDINGS = (".csv", ".tsv", ".txt")
COMPRESSED_ENDINGS = (".gz", ".bz2")
HEADER_BYTES = 1 << 20
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A", "-nan", "-NaN")
"""What stands for a missing value in a feature; in a target only the empty text does, since "NA" may be a label."""


def read_table(path: Path, target: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Read a table.

    Args:
        path: A file whose ending names its format.
        target: The target column, whose text stays as it is; None where the caller will complain.

    Returns:
        The raw frame, and what was done that a person should know.

    Raises:
        DataError: The file cannot be read as the table that its ending promises.
    """
    if path.is_dir() or not path.exists():
        raise DataError(f"data: {path} is {'a directory' if path.is_dir() else 'not there'}", hint="give a file with --data FILE")
    endings = [ending.lower() for ending in path.suffixes]
    while endings and endings[-1] in COMPRESSED_ENDINGS:
        endings.pop()
    ending = endings[-1] if endings else ""
    try:
        notes: list[str] = []
        if ending in READERS:
            frame = READERS[ending](path)
        elif ending in CSV_ENDINGS:
            frame, notes = _read_csv(path, target)
        else:
            known = ", ".join((*CSV_ENDINGS, *READERS))
            raise DataError(f"data: a table's file should end in {known}, but got '{path.name}'", hint="convert it, or rename it")
    except (OSError, pa.ArrowException, pd.errors.ParserError, csv.Error, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise _wrong_encoding(path, error) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"data: {path} cannot be read as {ending[1:]}: {reason}", hint="check that the file is what it is named"
        ) from error
    _check_frame(path, frame)
    return frame, notes


def _read_csv(path: Path, target: str | None) -> tuple[pd.DataFrame, list[str]]:
    separator, header = _read_header(path)
    _check_names(path, header)
    _check_rows(path, separator, header)
    frame = pd.read_csv(
        path,
        sep=separator,
        encoding="utf-8-sig",
        keep_default_na=False,
        na_values={name: [""] if name == target else list(MISSING) for name in header},
        low_memory=False,
    )
    notes = [] if separator == "," else [f"read with {separator!r} between the values"]
    return frame, notes


def _read_header(path: Path) -> tuple[str, list[str]]:
    """The separator, which is the commonest of the four in the first line, and the column names."""
    with pa.input_stream(str(path), compression="detect") as stream:
        start = stream.read(HEADER_BYTES)
    if not start.strip():
        raise DataError(f"data: {path} is empty", hint="give a table with a header and rows")
    if b"\0" in start and start[:2] not in UTF16_MARKS:
        raise DataError(f"data: {path} is not text (it holds NUL bytes)", hint="save it as CSV in UTF-8, or give Parquet")
    first = start.split(b"\n", 1)[0].decode("utf-8-sig").strip("\r")
    separator = max(",;\t|", key=lambda mark: (first.count(mark), mark == ","))
    return separator, next(csv.reader([first], delimiter=separator))


def _check_names(path: Path, header: list[str]) -> None:
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"data: {path} has the column '{twice[0]}' twice", hint="give every column its own name")
    if "" in header:
        raise DataError(f"data: {path} has no name for column {header.index('') + 1}", hint="give every column a name")


def _check_rows(path: Path, separator: str, header: list[str]) -> None:
    """Refuse the first row whose number of values is another one; pandas would fill or shift it."""
    wrong: list[Any] = []

    def note(row: Any) -> str:
        wrong.append(row)
        return "error"

    options = arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.binary()))
    parse = arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=note)
    try:
        reader = arrow_csv.open_csv(path, arrow_csv.ReadOptions(use_threads=False), parse, options)
        while reader.read_next_batch() is not None:
            pass
    except StopIteration:
        return
    except pa.ArrowInvalid as error:
        if not wrong:
            if "Empty" in str(error):
                return
            raise
        row = wrong[0]
        raise DataError(
            f"data: {path} line {row.number}: {row.expected_columns} values are expected, but got {row.actual_columns}",
            hint="mend the line; a value that holds the separator needs quotes",
        ) from error


def _wrong_encoding(path: Path, error: UnicodeDecodeError) -> DataError:
    is_utf16 = error.object[:2] in UTF16_MARKS
    guess = "UTF-16" if is_utf16 else "Latin-1 or Windows-1252"
    return DataError(f"data: {path} is not UTF-8 text; it may be {guess}", hint="save it as UTF-8, for example with iconv -t UTF-8")


def _check_frame(path: Path, frame: pd.DataFrame) -> None:
    _check_names(path, [str(name) for name in frame.columns])
    if frame.empty:
        raise DataError(f"data: {path} has a header but no rows", hint="give a table with rows")
