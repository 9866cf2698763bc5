"""The lock, against a real second process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpo.errors import LedgerError, StudyLockedError
from hpo.ledger.lock import find_driver, find_holder, hold_lock, hold_locks, hold_tables

HOLDER = """
import subprocess, sys
from pathlib import Path
from hpo.ledger.lock import hold_lock
with hold_lock(Path(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=sys.stdin, close_fds=False)
    print(child.pid, flush=True)
    child.wait()
"""


LOOKER = """
import sys
from pathlib import Path
from hpo.ledger.lock import find_holder
print(flush=True)
while True:
    find_holder(Path(sys.argv[1]))
"""


@contextmanager
def second_process(path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock until its standard input is closed, and the id of a child that
    it started.
    """
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(timeout=30)


def take(path: Path, subject: str = "this file") -> bool:
    """Take the lock and let it go."""
    with hold_lock(path, subject=subject):
        return True


def test_second_process_keeps_the_lock_and_is_named(tmp_path):
    path = tmp_path / "study.lock"
    with second_process(path) as (process, _):
        line = (
            rf"^study 'x' is being driven by another process \(host .*, pid {process.pid}, since 20"
        )
        with pytest.raises(StudyLockedError, match=line):
            take(path, "study 'x'")
    assert take(path)


def test_lock_dies_with_its_holder_though_a_child_lives(tmp_path):
    path = tmp_path / "study.lock"
    with second_process(path) as (process, child):
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        os.kill(child, 0)
        assert take(path)


def test_maker_of_the_tables_is_named_until_it_lets_go(tmp_path):
    database = tmp_path / "optuna.db"
    (tmp_path / ".hpo").mkdir()
    with second_process(tmp_path / ".hpo" / "optuna.db.lock") as (process, _):
        line = (
            rf"^the tables of \S+optuna\.db are being made by another process"
            rf" \(host .*, pid {process.pid}, since 20"
        )
        with pytest.raises(LedgerError, match=line) as caught:
            make_tables(database)
        assert caught.value.may_pass
    make_tables(database)


def make_tables(database: Path) -> None:
    """Take the tables' lock and let it go."""
    with hold_tables(database):
        pass


def test_holder_is_found_without_making_or_taking_the_lock(tmp_path):
    path = tmp_path / "study.lock"
    assert find_holder(path) is None
    assert not path.exists()
    with second_process(path) as (process, _):
        assert f", pid {process.pid}, since 20" in find_holder(path)
    content = path.read_bytes()
    assert find_holder(path) is None
    assert path.read_bytes() == content
    assert take(path)


def test_lock_is_free_after_an_error(tmp_path):
    path = tmp_path / "study.lock"
    with pytest.raises(RuntimeError, match="broke"), hold_lock(path):
        raise RuntimeError("broke")
    assert take(path)


def test_lock_is_not_reentrant(tmp_path):
    path = tmp_path / "study.lock"
    with hold_lock(path), pytest.raises(StudyLockedError, match=f"pid {os.getpid()}"):
        take(path)


def test_holder_that_has_not_written_yet_is_not_named(tmp_path):
    path = tmp_path / "study.lock"
    with hold_lock(path):
        path.write_text("")
        with pytest.raises(StudyLockedError, match="it has only just started"):
            take(path)


def test_stale_file_is_no_lock(tmp_path):
    path = tmp_path / "study.lock"
    path.write_text(
        '{"host": "somewhere", "pid": 1, "since": "2020-01-01", "more": "' + "x" * 500 + '"}'
    )
    with hold_lock(path), pytest.raises(StudyLockedError, match=f"pid {os.getpid()}, since 20"):
        take(path)


def test_locks_of_a_database_lie_in_one_hidden_folder(tmp_path):
    database = tmp_path / "optuna.db"
    with hold_locks(database), hold_locks(database, "iris"), hold_locks(database, "wine"):
        assert [path.name for path in tmp_path.iterdir()] == [".hpo"]
        assert find_driver(database, "iris").startswith("host ")
        assert find_driver(database, "other") is None
    assert find_driver(database, "iris") is None
    names = {path.name for path in (tmp_path / ".hpo").iterdir()}
    assert names == {"optuna.db.lock", "optuna.db.iris.lock", "optuna.db.wine.lock"}


def test_driver_of_version_0_1_0_is_seen_and_keeps_others_out(tmp_path):
    database = tmp_path / "optuna.db"
    earlier = tmp_path / ".optuna.db.iris.lock"
    with second_process(earlier) as (process, _):
        assert f", pid {process.pid}, since 20" in find_driver(database, "iris")
        with pytest.raises(StudyLockedError, match=f"pid {process.pid}"):
            take_study(database, "iris")
        take_study(database, "wine")
    take_study(database, "iris")


def test_driver_of_version_0_1_0_is_kept_out_where_one_has_been(tmp_path):
    earlier = tmp_path / ".optuna.db.iris.lock"
    earlier.touch()
    with hold_locks(tmp_path / "optuna.db", "iris"), pytest.raises(StudyLockedError, match="pid"):
        take(earlier)
    assert earlier.exists()


def take_study(database: Path, study_name: str) -> None:
    """Take a study's locks and let them go."""
    with hold_locks(database, study_name):
        pass


def test_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / ".hpo").touch()
    with pytest.raises(LedgerError, match=r"the lock .* cannot be made") as raised:
        take_study(tmp_path / "optuna.db", "iris")
    assert raised.value.hint == "make its directory writable"


def test_name_that_is_too_long_for_a_file_is_one_line(tmp_path):
    database = tmp_path / f"{'a' * 150}.db"
    with pytest.raises(LedgerError, match=r"the lock .* cannot be made \(File name too long\)"):
        take_study(database, "b" * 120)
    assert find_driver(database, "b" * 120) is None


def test_who_looks_for_the_holder_keeps_no_driver_away(tmp_path):
    path = tmp_path / ".hpo" / "lock"
    with hold_lock(path):
        pass
    with subprocess.Popen(
        [sys.executable, "-c", LOOKER, str(path)], stdout=subprocess.PIPE
    ) as looking:
        looking.stdout.readline()
        try:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                with hold_lock(path):
                    pass
        finally:
            looking.kill()
