"""Optuna's storage behind a URL, opened by one driver a study or for reading.

An SQLite file is put in WAL mode. On PostgreSQL the connection that writes is the one that holds
the study's lock: where a restart has taken both, the next write takes the lock again or is not
made.
"""

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial
from sqlalchemy.engine import ExceptionContext

from hpo.errors import LedgerError, StudyLockedError
from hpo.ledger.failures import make_error, never, repeat, translated
from hpo.ledger.lock import driven_elsewhere, find_session, hold_locks, lock_key
from hpo.ledger.transactions import LedgerStorage
from hpo.settings import hide_password, needing_driver, sqlite_path
from hpo.sqlite import checkpoint, use_wal

WAIT_SECONDS = 1.0
"""Between two looks at a study that another driver has."""

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


@contextmanager
def open_driven(
    url: str,
    study_name: str,
    *,
    wait: Callable[[StudyLockedError], bool],
    stop_signal: Callable[[], int | None] = never,
) -> Iterator[LedgerStorage]:
    """Open a storage, which may be new, as the one driver of a study, for a ``with`` block.

    Args:
        url: SQLAlchemy URL.
        study_name: What is locked.
        wait: Asked with the reason while another driver has the study; false gives up.
        stop_signal: Gives the number of a signal that asked to stop, or None; asked while the
            storage is locked.

    Raises:
        StudyLockedError: Another driver has the study.
        LedgerError: The storage cannot be opened.
        InterruptedBySignal: A signal came meanwhile.
        SettingsError: The database's driver is not installed.
    """
    path, subject = sqlite_path(url), f"study '{study_name}'"
    with ExitStack() as stack:
        if path is not None:
            _patiently(
                lambda: stack.enter_context(hold_locks(path, study_name, subject=subject)), wait
            )
        storage = open_storage(url, stop_signal)
        stack.callback(storage.engine.dispose)
        if path is not None:
            stack.callback(_checkpoint_quietly, path)
        else:
            key = lock_key(study_name)
            sqlalchemy.event.listen(
                storage.engine, "connect", lambda connection, _: _lock_on(connection, key, subject)
            )
            # From here on one connection is open, which holds the lock: a second one would not get
            # it.
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
        time.sleep(WAIT_SECONDS)


def open_storage(url: str, stop_signal: Callable[[], int | None] = never) -> LedgerStorage:
    """Open the Optuna storage behind a URL and make its tables.

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
    schema_lock = _postgresql_schema_lock(url) if path is None else hold_locks(path, wait=True)
    with needing_driver(url), translated(url), schema_lock:
        storage = repeat(connect, stop_signal)
        if path is not None:
            # In WAL mode a power cut may lose a commit that is not yet on disk; a killed process
            # loses none, and none is ever torn.
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


def read_study(url: str, study_name: str) -> list[FrozenTrial]:
    """Read all trials of a study that exists, by number, and close the storage again.

    Raises:
        LedgerError: The storage is away.
    """
    with translated(url):
        storage = _connect(url, skip_table_creation=True)
        try:
            return storage.get_all_trials(storage.get_study_id_from_name(study_name))
        finally:
            storage.engine.dispose()


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
        # Optuna handles IntegrityError itself; other kinds would make it write a trial twice.
        # KeyboardInterrupt stays one.
        is_failure = isinstance(context.original_exception, Exception) and not context.is_pre_ping
        if is_failure and not isinstance(
            context.sqlalchemy_exception, sqlalchemy.exc.IntegrityError
        ):
            raise make_error(
                url, context.sqlalchemy_exception or context.original_exception
            ) from context.original_exception

    sqlalchemy.event.listen(storage.engine, "handle_error", translate)
    return storage


def _checkpoint_quietly(path: Path) -> None:
    """Leave one whole file, unless the disk is full or another process writes."""
    with suppress(sqlite3.Error):
        checkpoint(path, BUSY_SECONDS)


@contextmanager
def _postgresql_schema_lock(url: str) -> Iterator[None]:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=_KEEPALIVE)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": _SCHEMA_KEY})
        yield


def _lock_on(connection: Any, key: int, subject: str) -> None:
    """Lock a study on a new connection; the lock outlives transactions, not the connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,))
        is_ours = cursor.fetchone()[0]
        holder = "" if is_ours else find_session(cursor, key) or "it has only just started"
    connection.commit()
    if not is_ours:
        connection.close()
        raise driven_elsewhere(subject, holder)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Stop Optuna from logging every study it makes; ``Progress`` says what a person wants."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
