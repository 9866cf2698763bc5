"""Translates database errors and limits retries."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy
from optuna.exceptions import StorageInternalError

from hpo.errors import InterruptedBySignal, LedgerError, first_line
from hpo.escaping import hide_password

RETRY_SECONDS = 60.0
"""How long a storage may be locked, restarting or away in the middle of a run."""

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

NOTE_SECONDS = 3.0
"""After so long a person is told what is waited for."""

T = TypeVar("T")


def never() -> int | None:
    """No signal has asked to stop."""
    return None


def say_nothing(_: str) -> None:
    """Nobody wants to know what is waited for."""


def repeat(
    action: Callable[[bool], T],
    stop_signal: Callable[[], int | None] = never,
    note: Callable[[str], None] = say_nothing,
    patience_seconds: float | None = None,
) -> T:
    """Do something with a storage, again while it fails for a reason that passes.

    Args:
        action: Takes whether an attempt came before, whose outcome is then unknown; does no harm
            when done twice.
        stop_signal: The number of a signal that asked to stop, or None.
        note: Takes one line that says what is waited for, where it takes a while.
        patience_seconds: How long to go on; by default ``RETRY_SECONDS``.

    Raises:
        LedgerError: The reason does not pass, or did not in time.
        InterruptedBySignal: A signal came meanwhile.
    """
    started, pause, is_repeated, is_said = time.monotonic(), FIRST_PAUSE_SECONDS, False, False
    patience_seconds = RETRY_SECONDS if patience_seconds is None else patience_seconds
    while True:
        try:
            return action(is_repeated)
        except LedgerError as error:
            waited_seconds = time.monotonic() - started
            if not error.may_pass or waited_seconds >= patience_seconds:
                raise
            if (number := stop_signal()) is not None:
                raise InterruptedBySignal(number, f"stopped while {error}") from error
            if waited_seconds >= NOTE_SECONDS and not is_said:
                is_said = True
                note(f"waiting: {error}")
        time.sleep(pause)
        pause, is_repeated = min(2 * pause, LONGEST_PAUSE_SECONDS), True


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Errors of Optuna, SQLAlchemy and SQLite as one of ours, without passwords."""
    try:
        yield
    except (
        StorageInternalError,
        sqlalchemy.exc.SQLAlchemyError,
        sqlite3.Error,
        RuntimeError,
        KeyError,
    ) as error:
        raise make_error(url, error) from error


def make_error(url: str, error: BaseException) -> LedgerError:
    """Make a ``LedgerError`` of a foreign one; it says whether the cause may pass."""
    cause = (
        error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    )
    original = getattr(cause, "orig", None) or cause
    is_cut_off = isinstance(cause, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError)
    return LedgerError(
        f"the storage {hide_password(url)} failed: {first_line(original)}",
        hint="check that it is there, writable and not full; nothing that was finished is lost",
        may_pass="locked" in str(original) if isinstance(original, sqlite3.Error) else is_cut_off,
    )
