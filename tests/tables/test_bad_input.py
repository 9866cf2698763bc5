"""Every bad table ends before trial 0: exit code 2, one line, nothing written; or it is cured and
said.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.checker import read_trials
from tests.support.commands import run_hpo
from tests.support.here import run_here

N_ROWS = 120
RNG = np.random.default_rng(3)
TABLE = pd.DataFrame(
    {
        "length": RNG.normal(size=N_ROWS).round(3),
        "colour": RNG.choice(["red", "green", "blue"], N_ROWS),
        "species": ["cat", "dog"] * 60,
    }
)
TEXT = TABLE.to_csv(index=False)


def changed(**columns: object) -> str:
    return TABLE.assign(**columns).to_csv(index=False)


def one_hot(n_columns: int) -> str:
    """A header of so many columns and rows of 0 and 1."""
    rows = RNG.integers(0, 2, (40, n_columns)).astype(str)
    lines = [",".join(row) + "," + ("cat", "dog")[number % 2] for number, row in enumerate(rows)]
    return (
        "\n".join([",".join(f"k{number}" for number in range(n_columns)) + ",species", *lines])
        + "\n"
    )


@dataclass(frozen=True)
class Case:
    """A file, flags or a study file, and what the line says: the place, and after it what to do."""

    place: str
    cure: str
    content: str | bytes = TEXT
    file: str = "t.csv"
    data: str | None = None
    target: str = "species"
    flags: tuple[str, ...] = ()
    study: str | None = None

    def arguments(self) -> list[str]:
        if self.study is not None:
            return ["--study", "study.toml", "--trials", "2", *self.flags]
        return [
            "--data",
            self.data or self.file,
            "--target",
            self.target,
            "--trials",
            "2",
            *self.flags,
        ]

    def write(self, directory: Path) -> None:
        content = self.content if isinstance(self.content, bytes) else self.content.encode()
        (directory / self.file).write_bytes(content)
        (directory / "folder").mkdir()
        if self.study is not None:
            (directory / "study.toml").write_text(self.study, encoding="utf-8")


def study_with(line: str, section: str = "data") -> str:
    start = "[data]\nsource = 't.csv'\ntarget = 'species'\n"
    return f"{start}{line}\n" if section == "data" else f"{start}[{section}]\n{line}\n"


NAME_RULE = "flag --name: a study name should be 1 to 128 letters, digits, '.', '_' or '-'"
REFUSED = {
    "missing file": Case("nope.csv is not there", "give a file with --data", data="nope.csv"),
    "directory": Case("folder is a directory", "give a file with --data", data="folder"),
    "empty file": Case("t.csv is empty", "give a table with a header and rows", ""),
    "blank file": Case("t.csv is empty", "give a table with a header and rows", "\n \n"),
    "header only": Case(
        "t.csv has a header but no rows", "give a table with rows", "length,species\n"
    ),
    "binary with NUL": Case("t.csv is not text", "save it as CSV in UTF-8", bytes(range(256)) * 8),
    "binary without NUL": Case(
        "t.csv is not UTF-8 text", "save it as UTF-8", bytes(range(1, 256)).replace(b"\n", b"") * 8
    ),
    "Latin-1": Case(
        "t.csv is not UTF-8 text; it may be Latin-1",
        "iconv",
        TEXT.replace("red", "réd").encode("latin-1"),
    ),
    "UTF-16": Case("t.csv is not UTF-8 text; it may be UTF-16", "iconv", TEXT.encode("utf-16")),
    "row too long": Case(
        "t.csv line 3: 3 values are expected, but got 4",
        "mend the line",
        TEXT.replace("dog\n", "dog,1\n", 1),
    ),
    "row too short": Case(
        "t.csv line 122: 3 values are expected, but got 2", "mend the line", TEXT + "1,red\n"
    ),
    "name twice": Case(
        "t.csv has the column 'length' twice", "its own name", TEXT.replace("colour", "length", 1)
    ),
    "no name": Case(
        "t.csv has no name for column 2", "give every column a name", TEXT.replace("colour", "", 1)
    ),
    "target with a typo": Case(
        "t.csv has no column 'spezies'", "did you mean 'species'?", target="spezies"
    ),
    "no such target": Case(
        "t.csv has no column 'z'", "its columns are length, colour, species", target="z"
    ),
    "no target given": Case(
        "t.csv needs a target", "name it with --target", study="[data]\nsource = 't.csv'\n"
    ),
    "target all missing": Case(
        "target 'species'", "name another with --target", changed(species=None)
    ),
    "one class": Case(
        "target 'species' should have at least 2 classes, but got only 'cat'",
        "--target",
        changed(species="cat"),
    ),
    "class smaller than the folds": Case(
        "n_splits = 5 training rows, but class 'emu' has 2",
        'set cv.n_splits to 2, or set data.rare to "drop"',
        changed(species=["emu"] * 3 + ["cat", "dog", "cat"] * 39),
    ),
    "class of one row": Case(
        "class 'emu' has 1 of 120 rows",
        "add rows of that class",
        changed(species=["emu"] + ["cat"] * 119),
    ),
    "continuous target": Case(
        "target 'species' should be a class label, but got 120",
        "numbers are predicted by a regressor, for example --estimator Ridge",
        changed(species=RNG.normal(size=N_ROWS)),
        flags=("--estimator", "LogisticRegression"),
    ),
    "hundreds of whole numbers": Case(
        "target 'species' should be a class label, but got 120",
        "numbers are predicted by a regressor, for example --estimator Ridge",
        changed(species=np.arange(N_ROWS) * 7),
        flags=("--estimator", "LogisticRegression"),
    ),
    "infinite": Case(
        "column 'length' holds infinite values (2)",
        "replace them",
        changed(length=[np.inf, -np.inf] + [1.0, 2.0] * 59),
    ),
    "infinite in the hold-out too": Case(
        "column 'length' holds infinite values",
        "replace them",
        changed(length=["inf", "1", "2"] * 40),
    ),
    "mixed types forced numeric": Case(
        "column 'colour' should be numbers, but got",
        "name the column in data.categorical",
        study=study_with("numeric = ['colour']"),
    ),
    "all columns dropped": Case(
        "no feature is left", "shorten data.drop", study=study_with("drop = ['length', 'colour']")
    ),
    "all columns constant": Case(
        "'colour' dropped: it is 'red' in every row",
        "table with features",
        changed(length=1, colour="red"),
    ),
    "target dropped": Case(
        "data.drop: 'species' is the target",
        "take it out of drop",
        study=study_with("drop = ['species']"),
    ),
    "target as group": Case(
        "data.group: 'species' is the target",
        "take it out of group",
        study=study_with("group = 'species'"),
    ),
    "dropped column is not there": Case(
        "t.csv has no column 'color'",
        "did you mean 'colour'?",
        study=study_with("drop = ['color']"),
    ),
    "numeric and categorical": Case(
        "'length' is in data.categorical too",
        "name it once",
        study=study_with("numeric = ['length']\ncategorical = ['length']"),
    ),
    "fewer groups than folds": Case(
        "data.group: the hold-out and 5 folds need 6 groups, but 'colour' has 3",
        "lower cv.n_splits",
        study=study_with("group = 'colour'"),
    ),
    "one-hot of 10,000 columns": Case(
        "10000 columns after preprocessing", "drop columns", one_hot(10_000)
    ),
    "text alone": Case(
        "no feature is left: 'length' dropped: it is '1' in every row;"
        " 'colour' dropped: it is text (96 distinct values",
        "shorten data.drop",
        changed(
            length=1,
            colour=[
                f"number-{number}-of-a-code-that-goes-on-and-says-nothing"
                for number in range(N_ROWS)
            ],
        ),
    ),
    "text for an estimator that takes none": Case(
        "data.text: SVC takes no free text, but got 'colour'",
        "name it in data.drop instead, or take LogisticRegression",
        study=study_with("text = ['colour']"),
        flags=("--estimator", "SVC"),
    ),
    "text without words": Case(
        "data.text: column 'colour' holds no words",
        "name it in data.drop",
        changed(colour=["a", "!", ""] * 40),
        study=study_with("text = ['colour']"),
    ),
    "text and category": Case(
        "data.text: 'colour' is in data.categorical too",
        "name it once",
        study=study_with("text = ['colour']\ncategorical = ['colour']"),
    ),
    "text is not there": Case(
        "data.text: t.csv has no column 'color'",
        "did you mean 'colour'",
        study=study_with("text = ['color']"),
    ),
    "metric of two classes": Case(
        "metric 'f1' cannot judge these classes",
        "f1_macro",
        changed(species=["cat", "dog", "emu"] * 40),
        flags=("--metric", "f1"),
    ),
    "positive class is not there": Case(
        "data.positive: the target has no class 'dgo'",
        "did you mean 'dog'?",
        flags=("--positive", "dgo"),
    ),
    "positive class of three": Case(
        "data.positive: one of two classes is positive, but the target has 3",
        "f1_macro",
        changed(species=["cat", "dog", "emu"] * 40),
        flags=("--positive", "emu"),
    ),
    "gap that is the only other label": Case(
        "target 'species' should have at least 2 classes, but got only 'cat'",
        'a gap becomes a label with data.keep_labels = ["NA"]',
        changed(species=["NA", "cat"] * 60),
    ),
    "label to keep is not there": Case(
        "data.keep_labels: 'species' has no label 'N/A'",
        "out of keep_labels",
        study=study_with("keep_labels = ['N/A']"),
    ),
    "group with gaps": Case(
        "the group column 'colour' has 40 missing values",
        "name every row's group",
        changed(colour=["red", "", "blue"] * 40),
        study=study_with("group = 'colour'"),
    ),
    "pool that is too small": Case(
        "the pooled class of 'emu' (2) has 2 rows, still too few",
        "set data.rare to drop",
        changed(species=["emu"] * 2 + ["cat", "dog"] * 59),
        study=study_with("rare = 'pool'"),
    ),
    "metric of numbers": Case(
        "metric 'r2' judges numbers, not classes", "f1_macro", flags=("--metric", "r2")
    ),
    "metric with a typo": Case(
        "'acuracy'", "did you mean 'accuracy'", flags=("--metric", "acuracy")
    ),
    "name is a path": Case(NAME_RULE, "../../etc", flags=("--name", "../../etc")),
    "name is an absolute path": Case(NAME_RULE, "/tmp/x", flags=("--name", "/tmp/x")),
    "name is a command": Case(NAME_RULE, "'; drop table", flags=("--name", "'; drop table")),
    "name is Unicode": Case(NAME_RULE, "étude", flags=("--name", "étude")),
    "name of 500 characters": Case(NAME_RULE, "x" * 500, flags=("--name", "x" * 500)),
    "name is a formula": Case(NAME_RULE, "=cmd()", flags=("--name", "=cmd()")),
    "name with control characters": Case(NAME_RULE, "a\\x1b[2J", flags=("--name", "a\x1b[2J")),
    "file named like a formula": Case(
        "a study name should be", "set study.name or --name", file="=cmd().csv"
    ),
    "unknown ending": Case("t.xlsx", "convert it", file="t.xlsx"),
    "not Parquet": Case(
        "t.parquet cannot be read as parquet",
        "check that the file is what it is named",
        file="t.parquet",
    ),
    "not Feather": Case(
        "t.feather cannot be read as feather",
        "check that the file is what it is named",
        file="t.feather",
    ),
    "not gzip": Case("t.csv.gz", "check that the file is what it is named", file="t.csv.gz"),
}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def files_in(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def check_refusal(case: Case, exit_code: int, stdout: str, stderr: str) -> None:
    assert exit_code == 2, stderr
    assert stdout == ""
    assert stderr.startswith("hpo: ")
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1, stderr
    assert stderr.rstrip("\n").isprintable(), stderr
    assert "Traceback" not in stderr
    assert case.place in stderr
    assert case.cure in stderr.partition(case.place)[2], stderr


def check_is_refused(case: Case, directory: Path, run: Run) -> None:
    case.write(directory)
    before = files_in(directory)
    ended = run(directory, *case.arguments())
    check_refusal(case, ended.returncode, ended.stdout, ended.stderr)
    assert files_in(directory) == before


@pytest.mark.parametrize("name", REFUSED)
def test_bad_table_is_refused_in_one_line_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    check_is_refused(REFUSED[name], tmp_path, run_here)


@pytest.mark.slow
def test_bad_table_is_refused_by_the_command_too(tmp_path: Path) -> None:
    check_is_refused(REFUSED["row too long"], tmp_path, run_hpo)


def test_directory_itself_as_data_is_refused_as_a_directory(tmp_path: Path) -> None:
    ended = run_here(tmp_path, "--data", ".", "--target", "y")
    assert ended.returncode == 2
    assert "is a directory" in ended.stderr
    assert files_in(tmp_path) == set()


def test_target_in_another_case_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TEXT.replace("species", "Y", 1), encoding="utf-8")
    ended = run_here(tmp_path, "--data", "t.csv", "--target", "y")
    assert ended.returncode == 2
    assert "did you mean 'Y'?" in ended.stderr


@dataclass(frozen=True)
class Cured:
    """A table of which one run cures all, what its report says, and how many columns are left of
    which kind.
    """

    content: str
    said: tuple[str, ...]
    columns: str


CURED = {
    "mistakes": Cured(
        changed(
            length=[f"{value:,}" for value in RNG.integers(1_000, 9_000_000, N_ROWS)],
            mixed=["1", "oops", "2.5", ""] * 30,
            formula=[
                "=cmd|'/c touch owned'!A1",
                "@SUM(1)",
                "'; drop table trials; --",
                "$(touch owned)",
            ]
            * 30,
            same="same",
            empty=None,
            row=np.arange(N_ROWS) + 5,
            key=[f"u{number}" for number in range(N_ROWS)],
            species=[None] * 5 + ["cat", "dog", "cat", "dog", "cat"] * 23,
        ),
        (
            "5 of 120 rows dropped: 'species' is missing there",
            "'length' read with a comma between thousands",
            "'same' dropped: it is 'same' in every row",
            "'empty' dropped: it is empty",
            "'row' dropped: it numbers the rows",
            "'key' dropped: a different value in every row",
        ),
        "1 numeric, 3 categorical",
    ),
    "semicolons and decimal commas": Cured(
        TABLE.to_csv(index=False, sep=";", decimal=","),
        ("read with ';' between the values", "'length' read with a decimal comma"),
        "1 numeric, 1 categorical",
    ),
    "labels that look missing": Cured(
        changed(species=["NA", "None", "low", "?"] * 30),
        (
            "60 of 120 rows dropped: 'species' is missing there",
            (
                "'species' is 'NA' in 30 rows, '?' in 30 rows: a gap, no label;"
                ' data.keep_labels = ["NA", "?"] keeps it as one'
            ),
        ),
        "1 numeric, 1 categorical",
    ),
    "text that is no category": Cured(
        changed(
            comment=[
                f"{number + 100}, the number of a text that goes on and on"
                for number in range(N_ROWS)
            ]
        ),
        (("'comment' taken as text, word by word: 96 distinct values of 45 characters"),),
        "1 numeric, 1 categorical, 1 free_text",
    ),
}
Runs = dict[str, tuple[Path, subprocess.CompletedProcess[str]]]


@pytest.fixture(scope="module")
def cured(make_directory: Callable[[str], Path]) -> Runs:
    """A run of each."""
    runs = {}
    for name, case in CURED.items():
        directory = make_directory(name.replace(" ", "-"))
        (directory / "t.csv").write_text(case.content, encoding="utf-8")
        flags = ("--data", "t.csv", "--target", "species", "--trials", "2")
        runs[name] = (directory, run_here(directory, *flags))
    return runs


@pytest.mark.parametrize("name", CURED)
def test_curable_table_is_searched_and_every_cure_is_said(cured: Runs, name: str) -> None:
    directory, process = cured[name]
    assert (process.returncode, process.stderr) == (0, "")
    lines = process.stdout.splitlines()
    assert f"columns   {CURED[name].columns}" in lines
    for note in CURED[name].said:
        assert f"note      {note}" in lines
    assert [trial.state.name for trial in read_trials(f"sqlite:///{directory}/optuna.db", "t")] == [
        "COMPLETE"
    ] * 2
    assert not (directory / "owned").exists()


def test_label_that_is_a_word_is_kept_though_pandas_takes_it_for_a_gap(cured: Runs) -> None:
    notes = re.findall(r"^note .*", cured["labels that look missing"][1].stdout, re.MULTILINE)
    assert any("'NA' in 30 rows" in note for note in notes)
    assert not any("'None'" in note for note in notes)


def test_mixed_column_is_said(cured: Runs) -> None:
    assert "note      'mixed'" in cured["mistakes"][1].stdout
