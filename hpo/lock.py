"""One driver a study: an advisory file lock beside the SQLite file, which the kernel lets go when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from hpo.errors import LedgerError, StudyLockedError


@contextmanager
def hold_lock(path: Path, *, wait: bool = False, subject: str = "this file") -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of a ``with`` block.

    The descriptor is not inherited by children, so none of them can keep the lock.

    Raises:
        StudyLockedError: Another process holds it and ``wait`` is false.
        LedgerError: The file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LedgerError(
            f"the lock {path} cannot be made ({error.strerror})", hint="check that its directory is writable"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise driven_elsewhere(subject, _read_holder(descriptor)) from error
        with suppress(OSError):  # on a full disk the lock holds, namelessly
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_describe_holder()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def find_holder(path: Path) -> str | None:
    """Who holds a lock, or None where nobody does; the file is neither made nor changed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def driven_elsewhere(subject: str, holder: str) -> StudyLockedError:
    """The error that names who has a study."""
    return StudyLockedError(f"{subject} is being driven by another process ({holder})", hint="--wait waits for it to end")


def _describe_holder() -> dict[str, str | int]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}


def _read_holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"host {holder['host']}, pid {holder['pid']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "it has only just started"
