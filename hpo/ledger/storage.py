"""Optuna's storage behind a URL: opened by one driver a study, and asked again while it is away for a moment.

Locks, WAL mode, foreign errors and the bound of patience are here, so that the ledger above may be about trials only. On
PostgreSQL the connection that writes is the one that holds the lock: where a restart has taken both, the next write takes the lock
again or is not made.
"""

import json
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from sqlalchemy.engine import ExceptionContext

from hpo.errors import HpoError, InterruptedBySignal, LedgerError, StudyLockedError, first_line
from hpo.ledger.lock import driven_elsewhere, find_session, hold_lock, lock_key, lock_path
from hpo.ledger.transactions import LedgerStorage
from hpo.settings import hide_password, needing_driver, sqlite_path
from hpo.sqlite import checkpoint, use_wal

RETRY_SECONDS = 60.0
"""How long a storage may be locked, restarting or away in the middle of a run."""

BUSY_SECONDS = 5.0
"""How long one call waits for a lock on an SQLite file; a signal is seen between calls."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0

_SCHEMA_KEY = 0x68706F

_KEEPALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""Of PostgreSQL's client: a server or network that is dead is noticed within a minute."""

T = TypeVar("T")


def never() -> int | None:
    """No signal has asked to stop."""
    return None


def repeat(action: Callable[[bool], T], stop_signal: Callable[[], int | None] = never) -> T:
    """Do something with a storage, again while it fails for a reason that passes.

    Args:
        action: Takes whether an attempt came before, whose outcome is then unknown; must do no harm when done twice.
        stop_signal: The number of a signal that asked to stop, or None.

    Raises:
        LedgerError: The reason does not pass, or did not within ``RETRY_SECONDS``.
        InterruptedBySignal: A signal came meanwhile.
    """
    give_up, pause, is_repeated = time.monotonic() + RETRY_SECONDS, FIRST_PAUSE_SECONDS, False
    while True:
        try:
            return action(is_repeated)
        except LedgerError as error:
            if not error.may_pass or time.monotonic() >= give_up:
                raise
            if (number := stop_signal()) is not None:
                raise InterruptedBySignal(number, f"stopped while {error}") from error
        time.sleep(pause)
        pause, is_repeated = min(2 * pause, LONGEST_PAUSE_SECONDS), True


@contextmanager
def open_driven(
    url: str,
    study_name: str,
    *,
    wait: Callable[[StudyLockedError], bool],
    stop_signal: Callable[[], int | None] = never,
) -> Iterator[LedgerStorage]:
    """Open a storage, which may be new, as the one driver of a study; the lock is held for the length of the ``with`` block.

    Args:
        url: SQLAlchemy URL.
        study_name: What is locked.
        wait: Asked with the reason while another driver has the study; false gives up.
        stop_signal: The number of a signal that asked to stop, or None; looked at while the storage is locked.

    Raises:
        StudyLockedError: Another driver has the study.
        LedgerError: The storage cannot be opened.
        InterruptedBySignal: A signal came meanwhile.
        SettingsError: The database's driver is not installed.
    """
    path, subject = sqlite_path(url), f"study '{study_name}'"
    with ExitStack() as stack:
        if path is not None:
            lock = lock_path(path, study_name)
            _patiently(lambda: stack.enter_context(hold_lock(lock, subject=subject)), wait)
        storage = open_storage(url, stop_signal)
        stack.callback(storage.engine.dispose)
        if path is not None:
            stack.callback(_checkpoint_quietly, path)
        else:
            key = lock_key(study_name)
            sqlalchemy.event.listen(
                storage.engine, "connect", lambda connection, _: _lock_on(connection, key, subject)
            )
            # From here on one connection is open, which holds the lock: a second one at the same time would not get it.
            storage.engine.dispose()
            _patiently(lambda: storage.engine.connect().close(), wait)
        yield storage


def _patiently(take: Callable[[], object], wait: Callable[[StudyLockedError], bool]) -> object:
    while True:
        try:
            return take()
        except StudyLockedError as error:
            if not wait(error):
                raise
        time.sleep(LONGEST_PAUSE_SECONDS)


def open_storage(url: str, stop_signal: Callable[[], int | None] = never) -> LedgerStorage:
    """The Optuna storage behind a URL, its tables made; in an SQLite file's WAL mode readers and the writer do not wait.

    Raises:
        LedgerError: It cannot be opened.
        InterruptedBySignal: A signal came while it was locked.
        SettingsError: The database's driver is not installed.
    """
    path = sqlite_path(url)

    def connect(_: bool) -> LedgerStorage:
        with translated(url):
            if path is not None:
                use_wal(path, BUSY_SECONDS)
            return _connect(url)

    # Two starters on new files would both create the tables.
    schema_lock = (
        _postgresql_schema_lock(url)
        if path is None
        else hold_lock(path.with_name(f".{path.name}.lock"), wait=True)
    )
    with needing_driver(url), translated(url), schema_lock:
        storage = repeat(connect, stop_signal)
        if path is not None:
            # In WAL mode a commit that is not yet on disk is lost by a power cut, never by a killed process, and never torn.
            sqlalchemy.event.listen(
                storage.engine,
                "connect",
                lambda each, _: each.execute("PRAGMA synchronous = NORMAL"),
            )
            storage.engine.dispose()
        return storage


def open_for_reading(url: str, study_name: str) -> optuna.Study:
    """A study that exists, for a process that does not drive it.

    Raises:
        LedgerError: The storage is away, or has no such study.
    """
    path = sqlite_path(url)
    if path is not None and not os.path.exists(path):
        raise LedgerError(f"the storage {url} has no file", hint="check --storage")
    with translated(url):
        storage = _connect(url, skip_table_creation=True)
        try:
            return optuna.load_study(study_name=study_name, storage=storage)
        except KeyError as error:
            raise LedgerError(
                f"the storage {hide_password(url)} has no study '{study_name}'",
                hint="check --storage and --name",
            ) from error


def export_journal(study: optuna.Study) -> str:
    """A study as the text of an Optuna journal file: ``optuna-dashboard`` opens it, ``optuna.copy_study`` copies it back."""
    journal = _JournalText()
    storage = study._storage  # noqa: SLF001 - a study has no other way to say where it is
    with quiet_optuna(), translated("of the study"):
        optuna.copy_study(
            from_study_name=study.study_name,
            from_storage=storage,
            to_storage=JournalStorage(journal),
        )
    return "".join(journal.lines)


class _JournalText(BaseJournalBackend):
    """What ``JournalFileBackend`` writes, without a disk's wait for every line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        yield from map(json.loads, self.lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        # A note is kept under its trial's id, which is another one in the copy.
        kept = (
            log
            for log in logs
            if not any(re.match(r"dashboard:\d+:", key) for key in log.get("system_attr", ()))
        )
        self.lines.extend(json.dumps(log, separators=(",", ":")) + "\n" for log in kept)


def _connect(url: str, *, skip_table_creation: bool = False) -> LedgerStorage:
    """Optuna's storage with an engine whose errors are ours."""
    arguments: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
    if sqlite_path(url) is None:
        name = f"hpo on {socket.gethostname()[:30]}, pid {os.getpid()}"
        arguments = {
            "connect_args": {**_KEEPALIVE, "application_name": name},
            "pool_pre_ping": True,
        }
    storage = LedgerStorage(url, engine_kwargs=arguments, skip_table_creation=skip_table_creation)

    def translate(context: ExceptionContext) -> None:
        # Optuna looks at the one kind itself; the others would make it write a trial twice. KeyboardInterrupt stays one.
        is_failure = isinstance(context.original_exception, Exception) and not context.is_pre_ping
        if is_failure and not isinstance(
            context.sqlalchemy_exception, sqlalchemy.exc.IntegrityError
        ):
            raise _make_error(
                url, context.sqlalchemy_exception or context.original_exception
            ) from context.original_exception

    sqlalchemy.event.listen(storage.engine, "handle_error", translate)
    return storage


def _checkpoint_quietly(path: Path) -> None:
    """Leave one whole file; where the disk is full or another process writes, what was written stays in the WAL file beside it."""
    with suppress(sqlite3.Error):
        checkpoint(path, BUSY_SECONDS)


@contextmanager
def _postgresql_schema_lock(url: str) -> Iterator[None]:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=_KEEPALIVE)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": _SCHEMA_KEY})
        yield


def _lock_on(connection: Any, key: int, subject: str) -> None:
    """Lock a study on a new connection; a session's lock outlives its transactions and dies with the connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,))
        is_ours = cursor.fetchone()[0]
        holder = "" if is_ours else find_session(cursor, key) or "it has only just started"
    connection.commit()
    if not is_ours:
        connection.close()
        raise driven_elsewhere(subject, holder)


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
        raise _make_error(url, error) from error


def _make_error(url: str, error: BaseException) -> HpoError:
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


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna logs every study it makes, the mirror too; what a person wants to know the progress says."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
