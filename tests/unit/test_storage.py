"""The storage on real SQLite files: locked, full, read-only, driven by two; its export read by
Optuna.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

import hpo.ledger.failures
import hpo.ledger.storage
from hpo.errors import InterruptedBySignal, LedgerError, StudyLockedError
from hpo.ledger.failures import repeat, translated
from hpo.ledger.journal import export_journal
from hpo.ledger.storage import open_driven, open_for_reading, open_storage
from hpo.settings import sqlite_path
from tests.unit.driving import define, drive, facts, failure, open_study


def gone(*, may_pass: bool = True) -> LedgerError:
    return LedgerError("the storage is gone", may_pass=may_pass)


class Action:
    """Fails so many times, then succeeds; keeps what it was called with."""

    def __init__(self, n_failures: int, error: Exception | None = None) -> None:
        self.n_failures, self.error = n_failures, error or gone()
        self.calls: list[bool] = []

    def __call__(self, is_repeated: bool) -> str:
        self.calls.append(is_repeated)
        if len(self.calls) <= self.n_failures:
            raise self.error
        return "done"


# Patience.


@pytest.mark.parametrize("n_failures", [0, 1, 3])
def test_action_is_told_whether_an_attempt_came_before(n_failures):
    action = Action(n_failures)
    assert repeat(action) == "done"
    assert action.calls == [False] + [True] * n_failures


def test_pauses_double_up_to_the_longest(monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    repeat(Action(8))
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_patience_ends(monkeypatch):
    monkeypatch.setattr(hpo.ledger.failures, "RETRY_SECONDS", 0.3)
    action = Action(10**9)
    started = time.monotonic()
    with pytest.raises(LedgerError, match=r"^the storage is gone$"):
        repeat(action)
    assert time.monotonic() - started >= 0.3
    assert 1 < len(action.calls) < 10


@pytest.mark.parametrize("error", [gone(may_pass=False), ValueError("gone")], ids=["ledger", "any"])
def test_error_that_does_not_pass_is_raised_at_once(error):
    action = Action(1, error)
    with pytest.raises(type(error), match="gone"):
        repeat(action, lambda: signal.SIGTERM)
    assert action.calls == [False]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_is_seen_where_the_storage_is_away_and_not_where_it_is_there(number, exit_code):
    assert repeat(Action(0), lambda: number) == "done"
    action = Action(1)
    with pytest.raises(InterruptedBySignal, match=r"^stopped while the storage is gone$") as caught:
        repeat(action, lambda: number)
    assert (caught.value.exit_code, caught.value.hint) == (
        exit_code,
        "run the same command again to go on",
    )
    assert action.calls == [False]


# Errors.


def fail_by(pragma: str) -> Callable[[RDBStorage], object]:
    """A write on connections that SQLite itself restricts."""

    def fail(storage: RDBStorage) -> object:
        sqlalchemy.event.listen(
            storage.engine, "connect", lambda connection, _: connection.execute(f"PRAGMA {pragma}")
        )
        storage.engine.dispose()
        study_id = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "x")
        return storage.set_study_user_attr(study_id, "filling", "x" * 1_000_000)

    return fail


def fail_without_a_table(storage: RDBStorage) -> object:
    with closing(sqlite3.connect(sqlite_path(str(storage.url)))) as connection:
        connection.execute("DROP TABLE studies")
    return storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "x")


def fail_where_it_is_locked(storage: RDBStorage) -> object:
    with locked(sqlite_path(str(storage.url))):
        return storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "x")


@contextmanager
def locked(path: Path | None, *, seconds: float | None = None) -> Iterator[None]:
    """Another connection has the file for itself, for so many seconds or the length of the block."""
    with closing(
        sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    ) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(seconds or 600, lambda: connection.execute("ROLLBACK"))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


@pytest.mark.parametrize(
    ("fail", "reason", "may_pass"),
    [
        (fail_where_it_is_locked, "database is locked", True),
        (fail_by("max_page_count = 1"), "database or disk is full", False),
        (fail_by("query_only = ON"), "attempt to write a readonly database", False),
        (fail_without_a_table, "no such table: studies", False),
    ],
    ids=["locked", "full", "read-only", "no table"],
)
def test_what_sqlite_says_is_one_line_and_only_a_lock_passes(
    storage_url, monkeypatch, fail, reason, may_pass
):
    monkeypatch.setattr(hpo.ledger.storage, "BUSY_SECONDS", 0.05)
    storage = open_storage(storage_url)
    with pytest.raises(
        LedgerError, match=rf"^the storage sqlite:///\S+optuna\.db failed: {reason}$"
    ) as caught:
        fail(storage)
    storage.engine.dispose()
    assert (caught.value.may_pass, caught.value.exit_code) == (may_pass, 4)
    assert "nothing that was finished is lost" in caught.value.hint


class Refused(Exception):  # noqa: N818 - stands for what a driver raises
    """What a database's driver says."""


@pytest.mark.parametrize(
    ("kind", "may_pass"),
    [
        (sqlalchemy.exc.OperationalError, True),
        (sqlalchemy.exc.InterfaceError, True),
        (sqlalchemy.exc.ProgrammingError, False),
        (sqlalchemy.exc.DataError, False),
        (sqlalchemy.exc.DatabaseError, False),
    ],
)
@pytest.mark.parametrize("is_wrapped", [True, False], ids=["Optuna's", "SQLAlchemy's"])
def test_server_that_cannot_be_reached_may_be_there_again(kind, may_pass, is_wrapped):
    error: Exception = kind("SELECT 1", {}, Refused("no\nmore"))
    error.__cause__ = Refused("no\nmore")
    if is_wrapped:
        wrapper = StorageInternalError("An exception is raised during the commit.")
        wrapper.__cause__ = error
        error = wrapper
    line = r"^the storage postgresql\+psycopg://me:\*\*\*@db/x failed: no$"
    with (
        pytest.raises(LedgerError, match=line) as caught,
        translated("postgresql+psycopg://me:secret@db/x"),
    ):
        raise error
    assert caught.value.may_pass == may_pass


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpo.ledger.storage, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(hpo.ledger.failures, "RETRY_SECONDS", 0.3)


@pytest.mark.usefixtures("impatient")
def test_server_that_is_not_there_is_one_line_without_the_password():
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/db"
    for open_it in (lambda: open_storage(url), lambda: open_for_reading(url, "iris")):
        with pytest.raises(
            LedgerError,
            match=r"^the storage postgresql\+psycopg://me:\*\*\*@127\.0\.0\.1:1/db failed: \S",
        ) as caught:
            open_it()
        assert "secret" not in f"{caught.value!r} {caught.value.hint}"
        assert "\n" not in str(caught.value)


# A lock that lasts.


def whole(url: str, n_trials: int) -> list[tuple[Any, ...]]:
    """The trials of an undisturbed study in a file beside this one."""
    beside = f"{url}.whole"
    with open_study(beside) as ledger:
        drive(ledger, n_trials)
        return facts(ledger.trials())


def test_lock_of_two_seconds_is_waited_out_wherever_it_comes(storage_url, monkeypatch):
    monkeypatch.setattr(hpo.ledger.storage, "BUSY_SECONDS", 0.05)
    path = sqlite_path(storage_url)
    with locked(path, seconds=0.5), open_study(storage_url) as ledger:
        drive(ledger, 2)
    with open_study(storage_url) as ledger:
        started = time.monotonic()
        with locked(path, seconds=2.0):
            drive(ledger, 4)
            assert time.monotonic() - started >= 2.0
        slot = ledger.next_slot(5)
        with locked(path, seconds=0.5):
            ledger.tell(slot, failure("ValueError: every fifth"))
        assert facts(ledger.trials()) == whole(storage_url, 5)


@pytest.mark.usefixtures("impatient")
def test_lock_that_stays_is_one_line_and_the_next_run_goes_on(storage_url):
    line = r"^the storage sqlite:///\S+optuna\.db failed: database is locked$"
    path = sqlite_path(storage_url)
    with locked(path), pytest.raises(LedgerError, match=line):
        open_study(storage_url).__enter__()
    with open_study(storage_url) as ledger:
        drive(ledger, 2)
        with locked(path), pytest.raises(LedgerError, match=line):
            drive(ledger, 4)
    with open_study(storage_url) as ledger:
        drive(ledger, 4)
        assert facts(ledger.trials()) == whole(storage_url, 4)


# One driver.


def test_second_driver_asks_whether_to_wait(storage_url):
    asked: list[StudyLockedError] = []

    def give_up(error: StudyLockedError) -> bool:
        asked.append(error)
        return False

    with (
        open_driven(storage_url, "iris", wait=give_up),
        pytest.raises(
            StudyLockedError, match=r"^study 'iris' is being driven by another process \(host "
        ),
    ):
        open_driven(storage_url, "iris", wait=give_up).__enter__()
    assert [error.exit_code for error in asked] == [7]


def test_second_driver_that_waits_gets_the_study_when_the_first_ends(storage_url, monkeypatch):
    monkeypatch.setattr(hpo.ledger.failures, "LONGEST_PAUSE_SECONDS", 0.01)
    first, asked = ExitStack(), []
    first.enter_context(open_driven(storage_url, "iris", wait=lambda _: False))

    def wait(error: StudyLockedError) -> bool:
        asked.append(str(error))
        if len(asked) == 3:
            first.close()
        return True

    with open_driven(storage_url, "iris", wait=wait) as storage:
        assert storage.get_all_studies() == []
    assert len(asked) == 3


def test_wait_that_is_interrupted_leaves_the_first_driver_its_study(storage_url):
    def interrupt(_: StudyLockedError) -> bool:
        raise InterruptedBySignal(signal.SIGTERM, "stopped before the search began")

    with open_driven(storage_url, "iris", wait=lambda _: False):
        with pytest.raises(InterruptedBySignal, match="stopped before the search began"):
            open_driven(storage_url, "iris", wait=interrupt).__enter__()
        with pytest.raises(StudyLockedError, match="iris"):
            open_driven(storage_url, "iris", wait=lambda _: False).__enter__()


def test_other_study_of_the_same_file_is_free(storage_url):
    with (
        open_driven(storage_url, "iris", wait=lambda _: False),
        open_driven(storage_url, "wine", wait=lambda _: False) as storage,
    ):
        assert storage.get_all_studies() == []


@pytest.mark.parametrize("broken", [False, True], ids=["ended", "broken off"])
def test_file_that_is_left_is_whole_and_free(storage_url, tmp_path, broken):
    def use() -> None:
        with open_study(storage_url) as ledger:
            drive(ledger, 3)
            if broken:
                raise RuntimeError("broken off")

    with ExitStack() as stack:
        # A dashboard that has the file open: SQLite itself would move the WAL into the file only
        # when the last one closes it.
        reader = stack.enter_context(closing(sqlite3.connect(sqlite_path(storage_url))))
        reader.execute("SELECT count(*) FROM trials").fetchone()
        with pytest.raises(RuntimeError, match="broken off") if broken else nullcontext():
            use()
        alone = shutil.copy(sqlite_path(storage_url), tmp_path / "alone.db")
    assert len(optuna.load_study(study_name="iris", storage=f"sqlite:///{alone}").get_trials()) == 3
    with open_driven(storage_url, "iris", wait=lambda _: False):
        pass


def test_file_that_another_writes_when_the_driver_leaves_loses_nothing(storage_url, monkeypatch):
    monkeypatch.setattr(hpo.ledger.storage, "BUSY_SECONDS", 0.05)
    with ExitStack() as stack:
        ledger = stack.enter_context(open_study(storage_url))
        drive(ledger, 3)
        with locked(sqlite_path(storage_url)):
            stack.close()
    with open_study(storage_url) as ledger:
        assert ledger.n_told == 3


def test_directory_that_is_away_when_the_driver_leaves_loses_nothing(storage_url, tmp_path):
    directory = tmp_path / "mounted"
    directory.mkdir()
    url = f"sqlite:///{shutil.copy(sqlite_path(storage_url), directory / 'optuna.db')}"
    with open_study(url) as ledger:
        drive(ledger, 3)
        directory.rename(tmp_path / "away")
    (tmp_path / "away").rename(directory)
    with open_study(url) as ledger:
        assert ledger.n_told == 3


# Reading and exporting.


def test_reader_sees_what_the_driver_writes(storage_url):
    with open_study(storage_url) as ledger:
        study = open_for_reading(storage_url, "iris")
        assert study.get_trials() == []
        drive(ledger, 3)
        assert facts(study.get_trials()) == facts(ledger.trials())


@pytest.mark.parametrize("is_there", [True, False], ids=["other study", "no file"])
def test_study_that_is_not_there_is_one_line(storage_url, tmp_path, is_there):
    url = storage_url if is_there else f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(
        LedgerError, match=r"^the storage sqlite:///\S+\.db has no (file|study 'iris')$"
    ) as caught:
        open_for_reading(url, "iris")
    assert (tmp_path / "none.db").exists() is False
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4
    assert not caught.value.may_pass


@pytest.fixture
def exported(storage_url: str) -> optuna.Study:
    """A study with trials of every state."""
    definition = define(pruner__kind="median", pruner__n_startup_trials=1)
    with open_study(storage_url, definition) as ledger:
        drive(ledger, 8)
        ledger.next_slot(9)
    study = open_for_reading(storage_url, "iris")
    study.enqueue_trial({"C": 0.5})
    assert {trial.state.name for trial in study.get_trials()} == {
        "COMPLETE",
        "PRUNED",
        "FAIL",
        "RUNNING",
        "WAITING",
    }
    return study


def everything(study: optuna.Study) -> tuple[Any, ...]:
    times = [
        (trial.datetime_start, trial.datetime_complete, trial.system_attrs)
        for trial in study.get_trials()
    ]
    return facts(study.get_trials()), times, study.user_attrs, study.directions, study.metric_names


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_export_is_read_by_optuna_and_copied_back(exported, tmp_path):
    path = tmp_path / "journal.log"
    path.write_text(export_journal(exported), encoding="utf-8")
    journal = JournalStorage(JournalFileBackend(str(path)))
    assert everything(optuna.load_study(study_name="iris", storage=journal)) == everything(exported)
    back = f"sqlite:///{tmp_path}/back.db"
    optuna.copy_study(from_study_name="iris", from_storage=journal, to_storage=back)
    assert everything(optuna.load_study(study_name="iris", storage=back)) == everything(exported)
    with open_study(back, define(pruner__kind="median", pruner__n_startup_trials=1)) as ledger:
        assert ledger.n_told == 8


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_export_is_what_optunas_own_journal_file_holds(exported, tmp_path):
    path = tmp_path / "journal.log"
    own = JournalStorage(JournalFileBackend(str(path)))
    optuna.copy_study(from_study_name="iris", from_storage=exported._storage, to_storage=own)

    def read(text: str) -> list[dict[str, Any]]:
        return [{**json.loads(line), "worker_id": None} for line in text.splitlines()]

    assert read(export_journal(exported)) == read(path.read_text(encoding="utf-8"))


def test_interrupt_in_the_middle_of_a_write_stays_one(tmp_path):
    """A notebook's Ctrl-C; the driver's own comes by a handler that raises nothing."""
    storage = open_storage(f"sqlite:///{tmp_path}/optuna.db")
    study_id = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "mine")
    other = sqlite3.connect(tmp_path / "optuna.db", check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def interrupt() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        other.rollback()

    thread = threading.Thread(target=interrupt)

    def write() -> None:
        thread.start()
        storage.set_study_user_attr(study_id, "a", 1)

    with pytest.raises(KeyboardInterrupt):
        write()
    thread.join()
    other.close()
    storage.engine.dispose()
