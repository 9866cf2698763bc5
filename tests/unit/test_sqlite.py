"""The files of SQLite's write-ahead log: gone where nobody needs them, left where somebody does."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hpo.sqlite import remove_logs, url_unchanged, use_wal

LEAVER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("INSERT INTO t VALUES (1)")
connection.commit()
os._exit(0)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database that a process left with its log beside it."""
    path = tmp_path / "t.db"
    use_wal(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        subprocess.run([sys.executable, "-c", LEAVER, str(path)], check=True)
    subprocess.run([sys.executable, "-c", LEAVER, str(path)], check=True)
    assert names(tmp_path) == ["t.db", "t.db-shm", "t.db-wal"]
    return path


def n_open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def n_rows(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?immutable=1", uri=True)) as connection:
        return connection.execute("SELECT count(*) FROM t").fetchone()[0]


def test_log_that_was_left_is_moved_into_the_database(database):
    remove_logs([database, None])
    assert names(database.parent) == ["t.db"]
    assert n_rows(database) == 2


def test_log_of_a_database_that_is_open_stays(database):
    with closing(sqlite3.connect(database)) as reader:
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (2,)
        remove_logs([database])
        assert len(names(database.parent)) == 3
    assert names(database.parent) == ["t.db"]


def test_log_of_a_database_that_is_being_written_stays_without_a_wait(database):
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        remove_logs([database])
        writer.rollback()
    assert n_rows(database) == 2


def test_nothing_is_made(tmp_path):
    remove_logs([tmp_path / "t.db"])
    assert names(tmp_path) == []


def test_looking_at_a_file_leaves_the_locks_of_a_connection_of_this_process(database):
    """Else the next process that closes it removes the log, and what is written then is lost."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("SELECT * FROM t").fetchall()
        url_unchanged(database)
        reader = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM t')"
        subprocess.run([sys.executable, "-c", reader, str(database)], check=True)
        assert names(database.parent) == ["t.db", "t.db-shm", "t.db-wal"]


def test_looking_at_files_that_are_removed_keeps_none_of_them_open(tmp_path):
    n_before = n_open_files()
    for number in range(20):
        path = tmp_path / f"{number}.db"
        use_wal(path)
        assert "immutable=1" in url_unchanged(path)
        path.unlink()
    assert n_open_files() <= n_before + 1
