"""One driver a study, by a lock that ends with its holder: a file's, or PostgreSQL's own.

The file lies in a hidden folder beside the SQLite file and is held here; on PostgreSQL the
connection that writes holds the lock, in ``ledger.storage``. A lock's file is never deleted: who
waits for it would then hold a file that nobody else can find.
"""

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from hpo.errors import LedgerError, StudyLockedError

FOLDER = ".hpo"
"""Beside a database: holds its locks, and a new database while it is being made."""


@contextmanager
def hold_locks(
    database: Path, study_name: str | None = None, *, wait: bool = False, subject: str = "this file"
) -> Iterator[None]:
    """Hold the lock of an SQLite file, or of one study in it, as :func:`hold_lock` does."""
    with ExitStack() as stack:
        for path in lock_paths(database, study_name):
            stack.enter_context(hold_lock(path, wait=wait, subject=subject))
        yield


def find_driver(database: Path, study_name: str) -> str | None:
    """Who drives a study in an SQLite file, or None where nobody does; nothing is made."""
    return next(filter(None, map(find_holder, lock_paths(database, study_name))), None)


def lock_paths(database: Path, study_name: str | None = None) -> list[Path]:
    """The files that are locked for an SQLite file, or for one study in it.

    Version 0.1.0 locked a file beside the database. Where there is one, it is locked too: a driver
    of that version may be running.
    """
    # Other programs may give a study a name with a slash; hpo's own names stay as they are.
    of_study = f".{quote(study_name, safe='')}" if study_name else ""
    name = f"{database.name}{of_study}.lock"
    earlier = database.with_name(f".{name}")
    return [database.parent / FOLDER / name, *([earlier] if os.path.exists(earlier) else [])]


@contextmanager
def hold_lock(path: Path, *, wait: bool = False, subject: str = "this file") -> Iterator[None]:
    """Hold an exclusive lock on a file, made with its folder where it is missing.

    It is held for a ``with`` block; the file names the holder.

    Children do not inherit its descriptor, as Python opens files, so none can keep the lock.

    Raises:
        StudyLockedError: Another process holds it and ``wait`` is false.
        LedgerError: The file cannot be made.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        file = path.open("ab+", buffering=0)
    except OSError as error:
        raise LedgerError(
            f"the lock {path} cannot be made ({error.strerror})", hint="make its directory writable"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise driven_elsewhere(subject, _read_holder(file)) from error
        with suppress(OSError):  # on a full disk the lock holds, namelessly
            file.truncate(0)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            file.write(f"host {socket.gethostname()}, pid {os.getpid()}, since {since}".encode())
        yield


def find_holder(path: Path) -> str | None:
    """Who holds a lock, or None where nobody does; the file is neither made nor changed.

    None too where the file cannot be read: whoever drives then says why.
    """
    with suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_holder(file)
    return None


def lock_key(study_name: str) -> int:
    """The number that is locked for a study in a PostgreSQL database."""
    return int.from_bytes(hashlib.sha256(study_name.encode()).digest()[:8], signed=True)


def find_session(cursor: Any, key: int) -> str | None:
    """Who holds such a lock in this database, or None where nobody does.

    Args:
        cursor: Of a connection to PostgreSQL.
        key: That of :func:`lock_key`.
    """
    cursor.execute(
        "SELECT application_name, backend_start FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND classid::bigint = %s AND objid::bigint = %s"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        (key >> 32 & 0xFFFFFFFF, key & 0xFFFFFFFF),
    )
    found = cursor.fetchone()
    if found is None:
        return None
    name, since = found  # another user's are hidden
    return f"{name or 'another user'}{f', since {since:%Y-%m-%dT%H:%M:%S%z}' if since else ''}"


def driven_elsewhere(subject: str, holder: str) -> StudyLockedError:
    """The error that names who has a study."""
    return StudyLockedError(
        f"{subject} is being driven by another process ({holder})",
        hint="--wait waits for it to end",
    )


def _read_holder(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(4096).decode(errors="replace") or "it has only just started"
