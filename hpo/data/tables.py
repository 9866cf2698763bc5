"""Reads a table from a file, CSV (also compressed), Parquet or Feather; writes predictions.

pandas reads; :mod:`hpo.data.csv_files` says what it does to a CSV file, and sees to that.
"""

import csv
import os
from collections.abc import Collection
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa

from hpo.data import csv_files
from hpo.data.csv_files import UTF16_MARKS, check_names, find_rounded, read_csv
from hpo.errors import DataError, first_line
from hpo.escaping import make_harmless

BINARY_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
}
"""Ending to what follows ``read_`` and ``to_`` in pandas' names."""

CSV_ENDINGS = (".csv", ".tsv", ".txt")
COMPRESSED_ENDINGS = (".gz", ".bz2")


def read_table(
    path: Path,
    target: str | None,
    text: Collection[str] = (),
    categorical: Collection[str] = (),
) -> tuple[pd.DataFrame, list[str]]:
    """Read a table.

    Args:
        path: A file whose ending names its format.
        target: The target column, whose text stays as it is; None where there is none, and the
            columns are known.
        text: Columns of a CSV file that are text whatever they look like.
        categorical: Columns of which no two numbers may become one.

    Returns:
        The raw frame, and what was done that a person should know.

    Raises:
        DataError: The file cannot be read as the table that its ending promises.
    """
    if not os.path.isfile(path):
        what = "a directory" if os.path.isdir(path) else "not there"
        if os.path.exists(path) and not os.path.isdir(path):
            what = "no regular file, and a table is read more than once"
        hint = "give a file with --data FILE, which this user may read"
        raise DataError(f"data: {path} is {what}", hint=hint)
    ending = _ending_of(path)
    try:
        if ending in CSV_ENDINGS:
            frame, notes = read_csv(path, target, text, categorical)
        else:
            frame, notes = _read_binary(path, target, categorical), []
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


def _read_binary(path: Path, target: str | None, categorical: Collection[str]) -> pd.DataFrame:
    read = getattr(pd, f"read_{BINARY_FORMATS[_ending_of(path)]}")
    frame: pd.DataFrame = read(path).reset_index(drop=True)
    check_names(path, [str(name) for name in frame.columns])
    is_gapped = target in frame and frame[target].dtype.kind == "f"
    for name in dict.fromkeys(
        [*([target] if is_gapped else []), *find_rounded(frame, categorical)]
    ):
        exact = read(path, columns=[name], dtype_backend="numpy_nullable")[name]
        frame[name] = exact if exact.dtype.kind in "iu" else frame[name]
    return frame


def find_line(path: Path, row: int) -> str:
    """Say where a row is: the line of a text file, else its number.

    Args:
        path: A file that :func:`read_table` has read.
        row: The row's position, from 0.
    """
    is_csv = _ending_of(path) in CSV_ENDINGS
    return csv_files.find_line(path, row) if is_csv else f"row {row + 1}"


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


def _check_frame(path: Path | str, frame: pd.DataFrame) -> None:
    check_names(path, [str(name) for name in frame.columns])
    if frame.empty:
        raise DataError(f"data: {path} has a header but no rows", hint="give a table with rows")
