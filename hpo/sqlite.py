"""SQLite files that one process writes while others read: WAL mode, and whole again when the writer is done."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

BUSY_SECONDS = 60.0


def use_wal(path: Path) -> None:
    """Put a file, which may be new, in WAL mode: readers and the writer do not wait for each other."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def checkpoint(path: Path) -> None:
    """Move what the WAL file holds into the file itself, so that a copy of the one file is the whole database."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
