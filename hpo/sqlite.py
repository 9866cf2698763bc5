"""SQLite files that one process writes while others read: WAL mode, and whole again when the writer is done."""

import sqlite3
from contextlib import closing
from pathlib import Path

BUSY_SECONDS = 60.0


def use_wal(path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
    """Put a file, which may be new, in WAL mode: readers and the writer do not wait for each other."""
    with closing(sqlite3.connect(path, timeout=busy_seconds)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def checkpoint(path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
    """Move what the WAL file holds into the file itself, so that a copy of the one file is the whole database."""
    with closing(sqlite3.connect(path, timeout=busy_seconds)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def url_unchanged(path: Path) -> str:
    """The URL by which SQLAlchemy opens a file to read it: neither it nor a file beside it is made or changed.

    A reader makes the files of the WAL where they are missing. Where they are, nobody has the file open, and it is read as one
    that does not change.
    """
    with path.open("rb") as file:
        is_wal = file.read(20)[18:19] == b"\x02"
    is_at_rest = is_wal and not path.with_name(f"{path.name}-wal").exists()
    return (
        f"sqlite+pysqlite:///{path.as_uri()}?{'immutable=1' if is_at_rest else 'mode=ro'}&uri=true"
    )
