"""Reads a table from a file, CSV (also compressed), Parquet or Feather; writes predictions.

pandas reads. Here is what it does silently and a person should know: a column name twice, another
separator or encoding, rows of another length, labels such as "NA" that would become missing.
"""

import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Collection, Generator
from contextlib import closing
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa

from hpo.errors import DataError, first_line
from hpo.escaping import make_harmless
from hpo.values import MISSING

BINARY_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
}
"""Ending to what follows ``read_`` and ``to_`` in pandas' names."""

CSV_ENDINGS = (".csv", ".tsv", ".txt")
COMPRESSED_ENDINGS = (".gz", ".bz2")
START_BYTES = 1 << 20
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_table(
    path: Path, target: str | None, text: Collection[str] = ()
) -> tuple[pd.DataFrame, list[str]]:
    """Read a table.

    Args:
        path: A file whose ending names its format.
        target: The target column, whose text stays as it is; None where there is none.
        text: Columns of a CSV file that are text whatever they look like.

    Returns:
        The raw frame, and what was done that a person should know.

    Raises:
        DataError: The file cannot be read as the table that its ending promises.
    """
    if os.path.isdir(path) or not os.path.exists(path):
        what = "a directory" if os.path.isdir(path) else "not there"
        hint = "give a file with --data FILE, which this user may read"
        raise DataError(f"data: {path} is {what}", hint=hint)
    ending = _ending_of(path)
    try:
        if ending in CSV_ENDINGS:
            frame, notes = _read_csv(path, target, text)
        else:
            frame, notes = _read_binary(path, target), []
    except UnicodeDecodeError as error:
        guess = "UTF-16" if error.object[:2] in UTF16_MARKS else "Latin-1 or Windows-1252"
        raise DataError(
            f"data: {path} is not UTF-8 text; it may be {guess}",
            hint="save it as UTF-8, for example with iconv -t UTF-8",
        ) from error
    except (OSError, pa.ArrowException, pd.errors.ParserError, csv.Error, ValueError) as error:
        raise DataError(
            f"data: {path} cannot be read as {ending[1:]}: {first_line(error)}",
            hint="check that the file is what it is named",
        ) from error
    _check_frame(path, frame)
    return frame, notes


def _read_binary(path: Path, target: str | None) -> pd.DataFrame:
    read = getattr(pd, f"read_{BINARY_FORMATS[_ending_of(path)]}")
    frame: pd.DataFrame = read(path).reset_index(drop=True)
    if target in frame and frame[target].dtype.kind == "f":  # for its gaps it skips large numbers
        exact = read(path, columns=[target], dtype_backend="numpy_nullable")[target]
        frame[target] = exact if exact.dtype.kind in "iu" else frame[target]
    return frame


def find_line(path: Path, row: int) -> str:
    """Say where a row is: the line of a text file, which blank lines and long cells move.

    Args:
        path: A file that :func:`read_table` has read.
        row: The row's position, from 0.
    """
    if _ending_of(path) not in CSV_ENDINGS:
        return f"row {row + 1}"
    separator, _ = _read_header(path)
    n_rows, before = 0, 0
    for values, last in _iter_rows(path, separator):
        if values and n_rows == row + 1:  # the header is a row too
            return f"line {before + 1}"
        n_rows, before = n_rows + bool(values), last
    return f"row {row + 1}"


def take_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A user's own table as a file would give it, without its index; the original stays as it is.

    Raises:
        DataError: It is no DataFrame, is empty, or has a column name twice.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            f"data: this should be a pandas DataFrame, but got {type(frame).__name__}",
            hint="pandas.DataFrame(...)",
        )
    _check_frame("a DataFrame", frame)
    return frame.reset_index(drop=True)


def check_output(path: Path) -> None:
    """Refuse, before any work, a file that :func:`write_table` could not write."""
    _ending_of(path)
    if os.path.isdir(path) or not os.path.isdir(path.parent):
        raise DataError(
            f"data: {path} cannot be written", hint="name a file in a directory that exists"
        )


def write_table(frame: pd.DataFrame, to: Path | IO[str]) -> None:
    """Write a table as its file's ending says, whole or not at all, or as CSV to an open file.

    In CSV, text that a spreadsheet would run is preceded by an apostrophe; programs read the binary
    formats, so those get the text as it is.
    """
    if not isinstance(to, Path):
        _write_csv(frame, to, ",")
        return
    making = to.with_name(f".making-{os.getpid()}-{to.name}")
    try:
        ending = _ending_of(to)
        if ending in CSV_ENDINGS:
            _write_csv(frame, making, "\t" if ending == ".tsv" else ",")
        else:
            getattr(frame, f"to_{BINARY_FORMATS[ending]}")(making)
        making.replace(to)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise DataError(
            f"data: {to} cannot be written ({reason})",
            hint="name another file",
        ) from error
    finally:
        making.unlink(missing_ok=True)


def _write_csv(frame: pd.DataFrame, to: Path | IO[str], separator: str) -> None:
    harmless = frame.map(make_harmless).rename(columns=make_harmless)
    # All text in quotes: else a lone carriage return would end the line, and a cell follow it.
    harmless.to_csv(to, sep=separator, index=False, quoting=csv.QUOTE_NONNUMERIC)


def _ending_of(path: Path) -> str:
    """The lower-case ending that names the format, compression aside."""
    endings = [
        "",
        *(ending.lower() for ending in path.suffixes if ending.lower() not in COMPRESSED_ENDINGS),
    ]
    known = (*CSV_ENDINGS, *BINARY_FORMATS)
    if endings[-1] not in known:
        line = f"data: a table's file should end in {', '.join(known)}, but got '{path.name}'"
        raise DataError(line, hint="convert it, or rename it")
    return endings[-1]


def _read_csv(
    path: Path, target: str | None, text: Collection[str]
) -> tuple[pd.DataFrame, list[str]]:
    separator, header = _read_header(path)
    _check_names(path, header)
    _check_rows(path, separator, header)
    frame = pd.read_csv(
        path,
        sep=separator,
        encoding="utf-8-sig",
        dtype={name: str for name in header if name in text or name == target},
        keep_default_na=False,
        na_values={name: [""] if name == target else list(MISSING) for name in header},
        low_memory=False,
    )
    return frame, [] if separator == "," else [f"read with {separator!r} between the values"]


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
        with closing(_iter_rows(path, mark)) as rows:
            headers.append((mark, next((row for row, _ in rows if row), [])))
    separator, header = max(headers, key=lambda found: len(found[1]))
    if not "".join(header).strip():
        raise DataError(f"data: {path} is empty", hint="give a table with a header and rows")
    return separator, header


def _check_frame(path: Path | str, frame: pd.DataFrame) -> None:
    _check_names(path, [str(name) for name in frame.columns])
    if frame.empty:
        raise DataError(f"data: {path} has a header but no rows", hint="give a table with rows")


def _check_names(path: Path | str, header: list[str]) -> None:
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        line = f"data: {path} has the column '{twice[0]}' twice"
        raise DataError(line, hint="give every column its own name")
    if "" in header:
        raise DataError(
            f"data: {path} has no name for column {header.index('') + 1}",
            hint="give every column a name",
        )


def _check_rows(path: Path, separator: str, header: list[str]) -> None:
    """Refuse the first row whose number of values is another one; pandas would fill or shift it."""
    for row, line in _iter_rows(path, separator):
        if row and len(row) != len(header):
            raise DataError(
                f"data: {path} line {line}: {len(header)} values are expected, but got {len(row)}",
                hint="mend the line; a value that holds the separator needs quotes",
            )


def _iter_rows(path: Path, separator: str) -> Generator[tuple[list[str], int], None, None]:
    """Each row of a text file, with the number of its last line; a cell may have any length."""
    csv.field_size_limit(sys.maxsize)  # of the process; by default 128 KiB
    with pa.input_stream(str(path), compression="detect") as stream:
        reader = csv.reader(
            io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), delimiter=separator
        )
        for row in reader:
            yield row, reader.line_num
