"""Looks through the rows of a CSV file as they are written, before pandas reads it.

pandas fills a row that is short and shifts one that is long, and makes a number of "01234".
"""

import csv
import io
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from hpo.errors import DataError

BLOCK_BYTES = 1 << 22
"""Of a file whose rows are lines, looked at together."""

CELLS_AT_ONCE = 20_000
"""Of the rows that are looked through column by column, so few that they take no memory."""

_CODE_START = re.compile(r"\s|0\d")
_NEWLINE, _SPACE, _ZERO, _NINE, _LAST_ASCII = b"\n 09\x7f"


def iter_rows(path: Path, separator: str) -> Generator[tuple[list[str], int], None, None]:
    """Each row of a text file, with the number of its last line; a cell may have any length."""
    csv.field_size_limit(sys.maxsize)  # of the process; by default 128 KiB
    with pa.input_stream(str(path), compression="detect") as stream:
        reader = csv.reader(
            io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), delimiter=separator
        )
        for row in reader:
            yield row, reader.line_num


def is_code(text: str) -> bool:
    """Whether a text is digits that begin with a zero: "01234" is no number."""
    text = text.strip()
    return text[:1] == "0" and len(text) > 1 and text.isdecimal()


def find_codes(path: Path, separator: str, n_columns: int) -> set[int]:
    """Find the columns in which a whole number begins with a zero, the header left out.

    Returns:
        Their positions.

    Raises:
        DataError: A row has another number of values.
    """
    codes = _find_in_lines(path, separator, n_columns)
    return _find_in_rows(path, separator, n_columns) if codes is None else codes


def _find_in_lines(path: Path, separator: str, n_columns: int) -> set[int] | None:
    """Find them where rows are lines: a look at the bytes takes a tenth of a parser's time.

    Returns:
        None where a parser is needed: for quotes, other ends of lines, bytes that are no text, and
        for a row of another length, to say which.
    """
    codes = set[int]()
    n_header = n_columns
    for block in _iter_blocks(path):
        if block is None or any(mark in block for mark in b'"\r\0') or not _is_text(block):
            return None
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero((data == _NEWLINE) | (data == ord(separator)))
        starts = np.append(0, ends[:-1] + 1)
        is_last = data[ends] == _NEWLINE
        is_blank_line = (starts == ends) & is_last & np.append(True, is_last[:-1])
        starts, ends, is_last = (each[~is_blank_line] for each in (starts, ends, is_last))
        if not np.array_equal(is_last, np.arange(len(starts)) % n_columns == n_columns - 1):
            return None
        starts, ends = starts[n_header:], ends[n_header:]
        n_header -= min(n_header, len(is_last))
        may_be_code = _may_be_codes(data, starts).reshape(-1, n_columns)
        for column in set(np.flatnonzero(may_be_code.any(axis=0)).tolist()) - codes:
            rows = np.flatnonzero(may_be_code[:, column]) * n_columns + column
            cells = zip(starts[rows].tolist(), ends[rows].tolist(), strict=True)
            if any(is_code(block[start:end].decode()) for start, end in cells):
                codes.add(column)
    return codes


def _iter_blocks(path: Path) -> Iterator[bytes | None]:
    """Whole lines, some MB at a time; None, at the end, where a line is longer than that."""
    with pa.input_stream(str(path), compression="detect") as stream:
        rest = stream.read(len(BOM_UTF8)).removeprefix(BOM_UTF8)
        while chunk := stream.read(BLOCK_BYTES):
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            if len(rest) > BLOCK_BYTES:
                yield None
                return
            if newline:
                yield (lines + newline).replace(b"\r\n", b"\n")
    if rest:
        yield rest + b"\n"


def _is_text(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _may_be_codes(data: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Whether cells begin as codes do: with a zero and a digit, or with space to be stripped.

    Args:
        data: Bytes.
        starts: Of cells, array of shape (n_cells,).
    """
    first, second = data[starts], data[np.minimum(starts + 1, len(data) - 1)]
    is_digit = ((second >= _ZERO) & (second <= _NINE)) | (second > _LAST_ASCII)
    may_be: np.ndarray = ((first == _ZERO) & is_digit) | (first <= _SPACE) | (first > _LAST_ASCII)
    return may_be


def _find_in_rows(path: Path, separator: str, n_columns: int) -> set[int]:
    """Find them by a parser; arguments and answer are those of :func:`find_codes`."""
    codes = set[int]()
    rows: list[list[str]] = []
    is_header = True
    for row, line in iter_rows(path, separator):
        if not row:
            continue
        if len(row) != n_columns:
            raise DataError(
                f"data: {path} line {line}: {n_columns} values are expected, but got {len(row)}",
                hint="mend the line; a value that holds the separator needs quotes",
            )
        if not is_header:
            rows.append(row)
        is_header = False
        if len(rows) * n_columns >= CELLS_AT_ONCE:
            codes |= _columns_with_codes(rows)
            rows.clear()
    return codes | _columns_with_codes(rows)


def _columns_with_codes(rows: list[list[str]]) -> set[int]:
    found = set()
    for position, cells in enumerate(zip(*rows, strict=True)):
        # How cells begin rules out nearly every column, in a tenth of the time.
        starts = {cell[:2] for cell in cells}
        if any(map(_CODE_START.match, starts)) and any(map(is_code, cells)):
            found.add(position)
    return found
