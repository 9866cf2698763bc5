"""What a driver finds when its file, its lock or its study is taken away in the middle of a run."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from hpo.errors import HpoError, LedgerError, StudyLockedError
from hpo.settings import sqlite_path
from tests.unit.driving import begin, define, drive, facts, open_study, read_trials, score

GONE = r"^the storage sqlite:///\S+optuna\.db failed: its file was removed or replaced while"
DELETED = r"^study 'iris', or a trial of it, was deleted while the run went on$"
LOST = r"^the lock of study 'iris', \S+/\.hpo/optuna\.db\.iris\.lock, was removed or replaced while"


def lock_of(storage_url: str) -> Path:
    return sqlite_path(storage_url).parent / ".hpo" / "optuna.db.iris.lock"


def replace_by_copy(path: Path) -> None:
    Path(shutil.copy(path, path.with_name("copy"))).replace(path)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def end_in(storage_url: str, disturb: Callable[[], object], error: type[HpoError], line: str):
    """A driver is disturbed after three trials, and ends at once with one line."""
    with open_study(storage_url) as slots:
        drive(slots, 3)
        disturb()
        with pytest.raises(error, match=line) as caught:
            drive(slots, 6)
    return caught.value


@pytest.mark.parametrize(
    "take", [Path.unlink, replace_by_copy, remove_folder, replace_by_directory]
)
def test_driver_whose_lock_is_another_file_writes_no_more(storage_url, take):
    lock = lock_of(storage_url)
    error = end_in(storage_url, lambda: take(lock), StudyLockedError, LOST)
    assert error.exit_code == 7
    assert len(read_trials(storage_url)) == 3
    if lock.is_dir():
        lock.rmdir()
    with open_study(storage_url) as slots:
        drive(slots, 6)
    assert facts(read_trials(storage_url)) == undisturbed(storage_url)


def undisturbed(storage_url: str) -> list[tuple[object, ...]]:
    beside = f"{storage_url}.whole"
    with open_study(beside) as slots:
        drive(slots, 6)
    return facts(read_trials(beside))


def test_second_driver_beside_one_that_lost_its_lock_finishes_an_undisturbed_study(storage_url):
    with open_study(storage_url) as first:
        drive(first, 3)
        left = first.next_slot(6)
        lock_of(storage_url).unlink()
        with open_study(storage_url) as second:
            drive(second, 5)
            with pytest.raises(StudyLockedError, match=LOST):
                first.tell(left, score(left.params))
            drive(second, 6)
    assert facts(read_trials(storage_url)) == undisturbed(storage_url)


@pytest.mark.parametrize("take", [Path.unlink, replace_by_copy, replace_by_directory])
def test_driver_whose_file_is_gone_says_so_and_makes_no_other(storage_url, take):
    path = sqlite_path(storage_url)
    error = end_in(storage_url, lambda: take(path), LedgerError, GONE)
    assert error.exit_code == 4
    assert not error.may_pass
    assert path.exists() == (take is not Path.unlink)


def test_file_that_is_put_back_lost_nothing(storage_url):
    path = sqlite_path(storage_url)
    end_in(storage_url, lambda: path.rename(path.with_name("away")), LedgerError, GONE)
    path.with_name("away").rename(path)
    with open_study(storage_url) as slots:
        assert slots.n_told == 3
        drive(slots, 6)
    assert facts(read_trials(storage_url)) == undisturbed(storage_url)


def count_rows(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE name LIKE 'trial%' AND type = 'table'"
            )
        ]
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names
        }


@pytest.mark.parametrize("is_begun_anew", [False, True])
def test_study_that_is_deleted_leaves_nothing_and_its_id_is_free(storage_url, is_begun_anew):
    def delete() -> None:
        optuna.delete_study(study_name="iris", storage=storage_url)
        if is_begun_anew:  # with the same id
            optuna.create_study(study_name="other", storage=storage_url, direction="maximize")

    assert end_in(storage_url, delete, LedgerError, DELETED).exit_code == 4
    assert not any(count_rows(sqlite_path(storage_url)).values())
    begin(storage_url, study__name="other")
    with open_study(storage_url) as slots:
        drive(slots, 6)
    assert facts(read_trials(storage_url)) == undisturbed(storage_url)


@pytest.mark.parametrize("step", ["tell", "annotate", "trials"])
def test_study_that_is_deleted_under_an_open_trial_is_one_line(storage_url, step):
    with open_study(storage_url) as slots:
        drive(slots, 3)
        slot = slots.next_slot(6)
        optuna.delete_study(study_name="iris", storage=storage_url)
        act = {
            "tell": lambda: slots.tell(slot, score(slot.params)),
            "annotate": lambda: slots.annotate({None: "text"}),
            "trials": slots.trials,
        }[step]
        with pytest.raises(LedgerError, match=DELETED):
            act()
    assert not any(count_rows(sqlite_path(storage_url)).values())


def test_new_study_is_not_born_with_the_trials_of_a_deleted_one(storage_url):
    """As a driver of 0.1.0 leaves them: SQLite gives the next study the same id."""
    with open_study(storage_url) as slots:
        drive(slots, 3)
    with closing(sqlite3.connect(sqlite_path(storage_url))) as connection, connection:
        connection.execute("DELETE FROM studies")
    with open_study(storage_url, define(study__name="other")) as slots:
        assert slots.n_told == 0
        drive(slots, 2)
    assert len(read_trials(storage_url, "other")) == 2
