"""One driver a study, by a lock that ends with its holder: a file's, or PostgreSQL's own.

The file lies in a hidden folder beside the SQLite file and is held here; PostgreSQL's own is in
``ledger.postgresql``. A lock's file is never deleted: who waits for it would then hold a file that
nobody else can find.
"""

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import quote

from hpo.errors import LedgerError, StudyLockedError

_log = logging.getLogger(__name__)

FOLDER = ".hpo"
"""Beside a database: holds its locks, and a new database while it is being made."""

LOOKS, LOOK_SECONDS = 8, 0.01
"""How often a lock is tried, since :func:`find_holder` holds one for less than a millisecond."""


@contextmanager
def hold_locks(
    database: Path, study_name: str | None = None, *, subject: str = "this file"
) -> Iterator[dict[Path, os.stat_result]]:
    """Hold the lock of an SQLite file, or of one study in it, as :func:`hold_lock` does.

    Gives the files that are locked, as they are.
    """
    with ExitStack() as stack:
        yield {
            path: stack.enter_context(hold_lock(path, subject=subject))
            for path in lock_paths(database, study_name)
        }


@contextmanager
def hold_tables(database: Path) -> Iterator[None]:
    """Be the one process that makes an SQLite file's tables, for a ``with`` block.

    Raises:
        LedgerError: Another one makes them, which may pass.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_locks(database))
        except StudyLockedError as error:
            holder = find_driver(database) or "it has just ended"
            raise made_elsewhere(str(database), holder) from error
        yield


def find_driver(database: Path, study_name: str | None = None) -> str | None:
    """Who drives a study in an SQLite file, or makes its tables, or None; nothing is made."""
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
def hold_lock(path: Path, *, subject: str = "this file") -> Iterator[os.stat_result]:
    """Hold an exclusive lock on a file, made with its folder where it is missing.

    It is held for a ``with`` block; the file names the holder.

    Children do not inherit its descriptor, as Python opens files, so none can keep the lock.

    Raises:
        StudyLockedError: Another process holds it.
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
            _take(file)
        except BlockingIOError as error:
            raise driven_elsewhere(subject, _read_holder(file)) from error
        with suppress(OSError):  # on a full disk the lock holds, namelessly
            file.truncate(0)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            file.write(f"host {socket.gethostname()}, pid {os.getpid()}, since {since}".encode())
        yield os.fstat(file.fileno())


def _take(file: IO[bytes]) -> None:
    """Lock a file, also while somebody looks who holds it, which takes a moment."""
    for _ in range(LOOKS):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(LOOK_SECONDS)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


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


def log_lock(what: str, study_name: str) -> None:
    """Log that this process takes the lock of a study, or lets it go."""
    where = f"host {socket.gethostname()} pid {os.getpid()}"
    _log.info("lock %s %s %s time %.6f", what, study_name, where, time.time())


def driven_elsewhere(subject: str, holder: str) -> StudyLockedError:
    """The error that names who has a study."""
    return StudyLockedError(
        f"{subject} is being driven by another process ({holder})",
        hint="--wait waits for it to end",
    )


def made_elsewhere(place: str, holder: str) -> LedgerError:
    """The error that names who makes the tables of a database."""
    return LedgerError(
        f"the tables of {place} are being made by another process ({holder})",
        hint="if it is stopped, let it go on or end it; then run the same command again",
        may_pass=True,
    )


def _read_holder(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(4096).decode(errors="replace") or "it has only just started"
