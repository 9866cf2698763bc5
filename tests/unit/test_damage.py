"""A study in which somebody changed what hpo or Optuna wrote ends in one line that says where."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hpo.errors import LedgerError
from hpo.ledger.inspection import OPTUNA, read_database, read_trials
from hpo.ledger.listing import list_studies
from hpo.ledger.storage import read_study
from tests.unit.driving import drive, facts, open_study

N_TOLD = 3


@pytest.fixture(scope="module")
def told(make_directory) -> Path:
    path = make_directory("damage") / "optuna.db"
    with open_study(f"sqlite:///{path}") as slots:
        drive(slots, N_TOLD)
    return path


@pytest.fixture
def path(told: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(told, tmp_path / "optuna.db"))


def change(path: Path, query: str, *values: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(query, values).rowcount > 0


def content_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump()]


def drive_on(url: str) -> None:
    with open_study(url) as slots:
        drive(slots, N_TOLD + 1)


def look(url: str) -> None:
    """What ``hpo check`` looks at."""
    with read_database(url, OPTUNA) as connection:
        read_trials(connection, "iris")


def export(url: str) -> None:
    read_study(url, "iris")


def assert_refused(path: Path, line: str, *readers: Callable[[str], None]) -> None:
    before = content_of(path)
    for read in readers or (drive_on, export, look):
        with pytest.raises(LedgerError, match=line) as caught:
            read(f"sqlite:///{path}")
        assert "\n" not in str(caught.value)
        assert "study/optuna_journal.log" in caught.value.hint
    assert content_of(path) == before


ODD = ["{", "3", "null", "[1]"]


@pytest.mark.parametrize("content", [*ODD, "{}", '{"uid": "f", "definition": 3}'])
def test_identity(path: Path, content: str) -> None:
    of_identity = "UPDATE study_user_attributes SET value_json = ? WHERE key = 'hpo.identity'"
    change(path, of_identity, content)
    line = r"^study 'iris' is damaged: its hpo\.identity is not what was written$"
    assert_refused(path, line)
    with read_database(f"sqlite:///{path}", OPTUNA) as connection:
        (listed,) = list_studies(connection)
    assert (listed.uid, listed.n_trials) == (None, N_TOLD)


@pytest.mark.parametrize(
    ("key", "content"),
    [
        *(("hpo.scores", content) for content in [*ODD, '{"accuracy": 1.0}', '{"accuracy": [""]}']),
        *(("hpo.derived", content) for content in ODD),
        ("somebody's", "{"),
    ],
)
def test_attribute_of_a_trial(path: Path, key: str, content: str) -> None:
    if key == "somebody's":
        insert = "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (2, ?, ?)"
        change(path, insert, key, content)
    else:
        query = "UPDATE trial_user_attributes SET value_json = ? WHERE trial_id = 2 AND key = ?"
        change(path, query, content, key)
    line = rf"^trial 1 of study 'iris' is damaged: its {key} is not what was written$"
    assert_refused(path, line)


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE trial_params SET distribution_json = '{'",
        "UPDATE trial_params SET distribution_json = '{}'",
        "UPDATE trial_params SET param_value = 99 WHERE param_name = 'penalty'",
        "UPDATE trial_params SET param_value = 'text'",
    ],
)
def test_param(path: Path, query: str) -> None:
    change(path, query)
    assert_refused(path, r"^trial 0 of study 'iris' is damaged: its param '\w+' is not what")


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE trial_values SET value = 'text'",
        "DELETE FROM trial_values",
        "UPDATE trial_intermediate_values SET intermediate_value = 'text'",
    ],
)
def test_value(path: Path, query: str) -> None:
    change(path, query)
    assert_refused(path, r"^trial 0 of study 'iris' is damaged: its (intermediate )?value is not")
    with read_database(f"sqlite:///{path}", OPTUNA) as connection:
        assert [listed.n_trials for listed in list_studies(connection)] == [N_TOLD]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM trials WHERE number = 1",
        "UPDATE trials SET number = 7 WHERE number = 1",
        "UPDATE trials SET number = 0 WHERE number = 1",
    ],
)
def test_trial_that_is_gone(path: Path, query: str) -> None:
    change(path, query)
    assert_refused(path, r"^study 'iris' is damaged: it has no trial 1$")


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE trials SET state = 'ODD' WHERE number = 1",
        "UPDATE trials SET datetime_complete = 'noon' WHERE number = 1",
        "UPDATE study_directions SET direction = 'ODD'",
    ],
)
def test_what_only_optuna_reads(path: Path, query: str) -> None:
    change(path, query)
    readers = (drive_on,) if "direction" in query else (drive_on, export)
    assert_refused(path, r"^study 'iris' cannot be read: \w+: ", *readers)


def test_identity_that_is_changed_in_the_middle_of_a_run(path: Path) -> None:
    with open_study(f"sqlite:///{path}") as slots:
        change(path, "UPDATE study_user_attributes SET value_json = '{' WHERE key = 'hpo.identity'")
        with pytest.raises(LedgerError, match=r"^study 'iris' cannot be read: JSONDecodeError: "):
            drive(slots, N_TOLD + 1)


def test_study_without_a_direction(path: Path) -> None:
    change(path, "DELETE FROM study_directions")
    assert_refused(path, r"^study 'iris' is damaged: it has no direction$")


def test_log_that_is_removed_after_a_kill_loses_only_what_is_scored_again(
    tmp_path: Path,
) -> None:
    """SQLite keeps what was written last in the write-ahead log beside the file."""
    killed = tmp_path / "killed.db"
    with open_study(f"sqlite:///{tmp_path}/whole.db") as slots:
        drive(slots, N_TOLD)
        assert (tmp_path / "whole.db-wal").stat().st_size > 0
        shutil.copy(tmp_path / "whole.db", killed)
        drive(slots, N_TOLD + 1)
    drive_on(f"sqlite:///{killed}")
    whole, again = (
        read_study(f"sqlite:///{path}", "iris") for path in (tmp_path / "whole.db", killed)
    )
    assert facts(again) == facts(whole)


def test_log_that_is_removed_while_a_driver_writes_loses_nothing(path: Path) -> None:
    with open_study(f"sqlite:///{path}") as slots:
        drive(slots, N_TOLD + 1)
        for end in ("-wal", "-shm"):
            path.with_name(f"{path.name}{end}").unlink()
        drive(slots, N_TOLD + 3)
    before = facts(read_study(f"sqlite:///{path}", "iris"))
    with open_study(f"sqlite:///{path}") as slots:
        assert slots.n_told == N_TOLD + 3
    assert facts(read_study(f"sqlite:///{path}", "iris")) == before
