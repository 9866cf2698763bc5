"""What the bytes of a CSV file say of its rows is what a parser says."""

import bz2
import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hpo.data import csv_rows
from hpo.data.csv_rows import find_codes
from hpo.errors import DataError

SEPARATORS = ",;\t|"
PLAIN = ("", "0", "0x", "0.5", "-01", "1", "a b", "é", "0 1")
CODES = ("00", "01234", " 01", "01 ", "\u00a007", "0٣")
ENDS = ("\n", "\n\n", "\r\n", "\r", " \n")


@st.composite
def files(draw: st.DrawFn) -> tuple[str, int, bytes]:
    """A separator, a number of columns, and rows that mostly have as many."""
    separator = draw(st.sampled_from(SEPARATORS))
    n_columns = draw(st.integers(1, 4))
    lengths = st.sampled_from([n_columns] * 30 + [n_columns + 1, 2 * n_columns])
    cells = st.sampled_from([*PLAIN * 8, *CODES, '"01"', f'"a{separator}b"', '"a\nb"', 'a"b', "\0"])
    ends = st.sampled_from([*ENDS[:1] * 30, *ENDS])
    rows = [
        separator.join(draw(st.lists(cells, min_size=n, max_size=n))) + draw(ends)
        for n in draw(st.lists(lengths, min_size=1, max_size=12))
    ]
    text = draw(st.sampled_from(["", "\ufeff"])) + "".join(rows)
    content = text.removesuffix("\n") if draw(st.booleans()) else text
    return separator, n_columns, content.encode() + draw(st.sampled_from([b""] * 9 + [b"\xff"]))


ODD = (
    '"01",1',
    '"a,b",1',
    '"a\nb",1',
    "0٣,1",
    "\u00a007,1",
    " 01,1",
    "1,00\n\n1,1\n",
    "1,01\r1,1",
    "1,1\n1\n1,1,1",
    "1,1\n1,1,1,1",
)


@example((",", 1, b"\xef\xbb\xbf01\n02\n"), 4)
@example((",", 1, b"01\r2\n"), 40)
@example((",", 2, b"1,\xff\n"), 40)
@example((",", 2, b"1,1\n" * 30 + b"1"), 3)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files(), st.integers(1, 40))
def test_lines_say_what_a_parser_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: tuple[str, int, bytes],
    block_bytes: int,
) -> None:
    monkeypatch.setattr(csv_rows, "BLOCK_BYTES", block_bytes)
    check(tmp_path / "t.csv", *file)


@pytest.mark.parametrize("text", ODD)
def test_odd_lines_are_those_of_a_parser(tmp_path: Path, text: str) -> None:
    check(tmp_path / "t.csv", ",", 2, b"a,b\n" + text.encode())


def check(path: Path, separator: str, n_columns: int, content: bytes) -> None:
    path.write_bytes(content)
    found = csv_rows._find_in_lines(path, separator, n_columns)
    try:
        expected = csv_rows._find_in_rows(path, separator, n_columns)
    except (DataError, UnicodeDecodeError):
        assert found is None
    else:
        assert found in (expected, None)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_plain_lines_need_no_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, compress: object
) -> None:
    lines = ["", "é,zip,01", *["a,12345,0.5", "", "b,99,0"] * 20_000, "c, 01234 ,0.25"]
    path = tmp_path / ("t.csv" + {bytes: "", gzip.compress: ".gz", bz2.compress: ".bz2"}[compress])
    path.write_bytes(compress(end.join(lines).encode()))
    monkeypatch.setattr(csv_rows, "_find_in_rows", None)
    assert find_codes(path, ",", 3) == {1}


@pytest.mark.parametrize("mark", ["", '"'])
def test_header_is_no_code(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"\n{mark}01{mark},02\n1,03\n", encoding="utf-8")
    assert find_codes(path, ",", 2) == {1}
