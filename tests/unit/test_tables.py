"""Files become tables, or are refused in one line that says where and what to do."""

from __future__ import annotations

import bz2
import errno
import gzip
import os
from pathlib import Path

import pandas as pd
import pytest

from hpo.data.tables import check_output, read_table, write_table
from hpo.errors import DataError

TABLE = pd.DataFrame({"a": [1.5, 2.5, None], "b": ["x", None, "z"], "y": ["no", "yes", "no"]})
CSV = "a,b,y\n1.5,x,no\n2.5,,yes\n,z,no\n"


def write(directory: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def same(frame: pd.DataFrame) -> bool:
    pd.testing.assert_frame_equal(frame, TABLE, check_dtype=False)
    return True


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", CSV.encode()),
        ("T.CSV", CSV.encode()),
        ("t.v2.csv", CSV.encode()),
        ("t.csv.gz", gzip.compress(CSV.encode())),
        ("t.csv.bz2", bz2.compress(CSV.encode())),
        ("t.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("t.csv", CSV.replace("\n", "\r\n").encode()),
        ("t.csv", CSV.encode().rstrip(b"\n")),
        ("t.csv", b"\xef\xbb\xbf\r\n\n" + CSV.encode()),
    ],
    ids=[
        "plain",
        "capitals",
        "two dots",
        "gzip",
        "bzip2",
        "byte order mark",
        "CRLF",
        "no last newline",
        "empty first lines",
    ],
)
def test_csv_is_read(tmp_path, name, content):
    frame, notes = read_table(write(tmp_path, content, name), "y")
    assert same(frame)
    assert notes == []


@pytest.mark.parametrize(
    ("name", "separator"), [("t.csv", ";"), ("t.tsv", "\t"), ("t.txt", "|"), ("t.csv", "\t")]
)
def test_other_separator_is_found_and_said(tmp_path, name, separator):
    frame, notes = read_table(write(tmp_path, CSV.replace(",", separator), name), "y")
    assert same(frame)
    assert notes == [f"read with {separator!r} between the values"]


def test_separator_is_found_though_a_name_goes_on_in_the_next_line(tmp_path):
    frame, notes = read_table(write(tmp_path, '"a, in\n(mm)";y\n1,5;no\n2,5;yes\n'), "y")
    assert list(frame.columns) == ["a, in\n(mm)", "y"]
    assert notes == ["read with ';' between the values"]


def test_decimal_commas_beside_semicolons_stay_text_for_the_columns_to_read(tmp_path):
    frame, _ = read_table(write(tmp_path, "a;y\n1,5;no\n2,5;yes\n"), "y")
    assert frame["a"].tolist() == ["1,5", "2,5"]


@pytest.mark.parametrize(("name", "method"), [("t.parquet", "to_parquet"), ("t.pq", "to_parquet"), ("t.feather", "to_feather"),
                                              ("t.arrow", "to_feather")])  # fmt: skip
def test_binary_tables_are_read(tmp_path, name, method):
    getattr(TABLE, method)(tmp_path / name)
    frame, notes = read_table(tmp_path / name, "y")
    assert same(frame)
    assert notes == []


@pytest.mark.parametrize("label", ["NA", "None", "null", "nan", "N/A"])
def test_word_for_missing_is_a_label_in_the_target_and_missing_in_a_feature(tmp_path, label):
    frame, _ = read_table(write(tmp_path, f"a,y\n{label},{label}\nx,other\nz,\n"), "y")
    assert frame["y"].tolist()[:2] == [label, "other"]
    assert frame["y"].isna().tolist() == [False, False, True]
    assert frame["a"].isna().tolist() == [True, False, False]


def test_quoted_values_may_hold_separators_and_newlines(tmp_path):
    frame, _ = read_table(write(tmp_path, 'a,"b,\nor c",y\n1,"x,\ny",no\n2,"say ""x""",yes\n'), "y")
    assert list(frame.columns) == ["a", "b,\nor c", "y"]
    assert frame["b,\nor c"].tolist() == ["x,\ny", 'say "x"']


def test_formula_is_text(tmp_path):
    frame, _ = read_table(write(tmp_path, "a,y\n=1+1,no\n@SUM(A1),yes\n"), "y")
    assert frame["a"].tolist() == ["=1+1", "@SUM(A1)"]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("t.csv", "", r"\S+t\.csv is empty$"),
        ("t.csv", " \n\n", r"\S+t\.csv is empty$"),
        ("t.csv", "a,b,y\n", r"\S+t\.csv has a header but no rows$"),
        ("t.csv", "a,b,y", r"\S+t\.csv has a header but no rows$"),
        ("t.csv", b"PK\x03\x04\x00\x00\x08", r"\S+t\.csv is not text \(it holds NUL bytes\)$"),
        ("t.csv", "a,ä,y\n1,é,no\n".encode("latin-1"), r"\S+t\.csv is not UTF-8 text; it may be Latin-1 or Windows-1252$"),
        ("t.csv", "a,b,y\n1,é,no\n".encode("latin-1"), r"\S+t\.csv is not UTF-8 text; it may be Latin-1 or Windows-1252$"),
        ("t.csv", "a,b,y\n1,2,no\n".encode("utf-16"), r"\S+t\.csv is not UTF-8 text; it may be UTF-16$"),
        ("t.csv", "a,b,y\n1,2,no\n1,2\n", r"\S+t\.csv line 3: 3 values are expected, but got 2$"),
        ("t.csv", "a,b,y\n1,2,no\n1,2,no,4\n1,2\n", r"\S+t\.csv line 3: 3 values are expected, but got 4$"),
        ("t.csv", "a,a,y\n1,2,no\n", r"\S+t\.csv has the column 'a' twice$"),
        ("t.csv", "a,,y\n1,2,no\n", r"\S+t\.csv has no name for column 2$"),
        ("t.csv.gz", CSV, r"\S+t\.csv\.gz cannot be read as csv: "),
        ("t.parquet", CSV, r"\S+t\.parquet cannot be read as parquet: "),
        ("t.feather", CSV, r"\S+t\.feather cannot be read as feather: "),
        ("t.xlsx", CSV, r"a table's file should end in \.csv, .*\.arrow, but got 't\.xlsx'$"),
        ("t", CSV, r"a table's file should end in .*, but got 't'$"),
        ("t.gz", CSV, r"a table's file should end in .*, but got 't\.gz'$"),
    ],
)  # fmt: skip
def test_bad_file_is_refused_in_one_line_with_a_hint(tmp_path, name, content, line):
    path = write(tmp_path, content, name)
    with pytest.raises(DataError, match="^data: " + line) as caught:
        read_table(path, "y")
    assert caught.value.hint
    assert [found.name for found in tmp_path.iterdir()] == [name]


def test_missing_file_and_directory_are_refused(tmp_path):
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(DataError, match=r"^data: \S+nowhere\.csv is not there$"):
        read_table(tmp_path / "nowhere.csv", "y")
    with pytest.raises(DataError, match=r"^data: \S+x\.csv is not there$"):
        read_table(tmp_path / f"{'x' * 300}.csv", "y")
    with pytest.raises(DataError, match=r"^data: \S+t\.csv is a directory$"):
        read_table(tmp_path / "t.csv", "y")


def test_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"^data: \S+t\.csv is no regular file, and a table is"):
        read_table(tmp_path / "t.csv", "y")


def test_row_of_another_length_is_found_far_down(tmp_path):
    rows = "1,2,no\n" * 200_000
    path = write(tmp_path, f"a,b,y\n{rows}1,2\n")
    with pytest.raises(DataError, match=r"line 200002: 3 values are expected, but got 2$"):
        read_table(path, "y")


@pytest.mark.parametrize("n_before", [0, 30_000])
def test_code_is_found_however_far_down(tmp_path, n_before):
    lines = ["zip,n,y", *["12345,0.5,a"] * n_before, " 01234 ,0.5,b", "1234,00.5,a"]
    frame, _ = read_table(write(tmp_path, "\n".join(lines)), "y")
    assert frame["zip"].tolist()[-2:] == [" 01234 ", "1234"]
    assert frame["n"].dtype == float


def test_one_column_is_a_table(tmp_path):
    frame, _ = read_table(write(tmp_path, "y\nno\nyes\n"), "y")
    assert frame["y"].tolist() == ["no", "yes"]


def test_parquet_with_a_row_index_of_its_own(tmp_path):
    TABLE.set_index(pd.Index([5, 6, 7])).to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "y")[0]["y"].tolist() == ["no", "yes", "no"]


@pytest.mark.parametrize(
    "name",
    [
        "t.csv",
        "t.tsv",
        "t.txt",
        "t.csv.gz",
        "t.csv.bz2",
        "t.parquet",
        "t.pq",
        "t.feather",
        "t.arrow",
    ],
)
def test_what_is_written_is_read_back(tmp_path, name):
    check_output(tmp_path / name)
    write_table(TABLE, tmp_path / name)
    assert same(read_table(tmp_path / name, "y")[0])
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["t.xlsx", "t", "nowhere/t.csv", ".", "d.csv"])
def test_output_that_cannot_be_written_is_refused_before_the_work(tmp_path, name):
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(DataError, match=r"cannot be written|should end in \.csv"):
        check_output(tmp_path / name)


def test_table_that_cannot_be_written_leaves_the_old_one(tmp_path):
    (tmp_path / "t.csv").write_text("old")
    full = pd.DataFrame({"a": [Full()]})
    with pytest.raises(DataError, match=r"t.csv cannot be written \(No space left on device\)"):
        write_table(full, tmp_path / "t.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
    assert (tmp_path / "t.csv").read_text() == "old"


class Full:
    """A value whose writing fails as on a full disk."""

    def __str__(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_programs_get_text_as_it_is_and_spreadsheets_do_not(tmp_path):
    table = pd.DataFrame({"=a": ["=1+1", "-5", "plain"], "n": [-5.0, 1.0, 2.0]})
    write_table(table, tmp_path / "t.csv")
    write_table(table, tmp_path / "t.parquet")
    assert (
        tmp_path / "t.csv"
    ).read_text() == '"\'=a","n"\n"\'=1+1",-5.0\n"\'-5",1.0\n"plain",2.0\n'
    assert pd.read_parquet(tmp_path / "t.parquet")["=a"].tolist() == ["=1+1", "-5", "plain"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_header_and_cells_have_any_length(tmp_path, separator):
    names = [f"{number}-{'n' * 700}" for number in range(2000)]
    rows = [["c" * 200_000, *["1"] * 1999], ["d", *["2"] * 1999]]
    text = "".join(separator.join(row) + "\n" for row in [names, *rows])
    frame, _ = read_table(write(tmp_path, text), names[1])
    assert frame.columns.tolist() == names
    assert frame.iloc[0, 0] == "c" * 200_000
