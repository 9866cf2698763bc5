"""SQLite files that one process writes while others read: WAL mode, and one whole file after."""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

BUSY_SECONDS = 60.0


def use_wal(path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
    """Put a file, which may be new, in WAL mode: readers and the writer do not wait."""
    with closing(sqlite3.connect(path, timeout=busy_seconds)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def checkpoint(path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
    """Move the WAL file's content into the file itself: a copy of it is then the whole database."""
    with closing(_connect(path, busy_seconds)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def remove_logs(paths: Iterable[Path | None]) -> None:
    """Remove the WAL's files, which are left where a process ends without closing a database.

    SQLite removes them itself when the last connection is closed. Where another process has the
    database open, they are its own and stay; an error leaves them too.

    Args:
        paths: The databases; None for one that is no file.
    """
    for path in paths:
        if path is not None and path.with_name(f"{path.name}-wal").exists():
            with suppress(sqlite3.Error), closing(_connect(path, 0)) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Connect to a file that is there; none is made where it was removed."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", timeout=busy_seconds, uri=True)


def url_unchanged(path: Path) -> str:
    """Make the URL by which SQLAlchemy reads a file without making or changing any.

    A reader makes the WAL's files where they are missing. Where they are, nobody has the file open,
    so it is read as one that does not change.
    """
    is_wal = os.pread(_hold_open(path), 1, 18) == b"\x02"
    is_at_rest = is_wal and not path.with_name(f"{path.name}-wal").exists()
    return (
        f"sqlite+pysqlite:///{path.as_uri()}?{'immutable=1' if is_at_rest else 'mode=ro'}&uri=true"
    )


_held: dict[tuple[int, int], int] = {}
"""Device and inode of each file that was looked at, to the descriptor that it is open by."""


def _hold_open(path: Path) -> int:
    """Open a file once, and leave it open while it exists.

    Closing it would drop the locks of every connection that this process has to it (see "How To
    Corrupt An SQLite Database File", 2.2, on sqlite.org): others would take the log for theirs.
    """
    found = path.stat()
    place = (found.st_dev, found.st_ino)
    if place not in _held:
        for other, descriptor in [*_held.items()]:
            if os.fstat(descriptor).st_nlink == 0:
                os.close(_held.pop(other))
        _held[place] = os.open(path, os.O_RDONLY)
    return _held[place]
