"""Optuna's storage behind a URL, opened by one driver a study or for reading.

An SQLite file is put in WAL mode. On PostgreSQL the connection that writes is the one that holds
the study's lock: where a restart has taken both, the next write takes the lock again or is not
made.
"""

import os
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
from hpo.escaping import hide_password
from hpo.ledger.damage import reading
from hpo.ledger.failures import make_error, never, repeat, say_nothing, translated
from hpo.ledger.guard import guard_files
from hpo.ledger.inspection import OPTUNA, is_whole, read_tables
from hpo.ledger.lock import hold_locks, hold_tables, log_lock, made_elsewhere
from hpo.ledger.postgresql import SCHEMA_KEY, StudyLock, engine_arguments, take_lock
from hpo.ledger.transactions import LedgerStorage
from hpo.settings import needing_driver, sqlite_path
from hpo.sqlite import checkpoint, use_wal

WAIT_SECONDS = 1.0
"""Between two looks at a study that another driver has."""

BUSY_SECONDS = 5.0
"""How long one call waits for a lock on an SQLite file; a signal is seen between calls."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0

T = TypeVar("T")


@contextmanager
def open_driven(
    url: str,
    study_name: str,
    *,
    wait: Callable[[StudyLockedError], bool],
    stop_signal: Callable[[], int | None] = never,
    note: Callable[[str], None] = say_nothing,
) -> Iterator[LedgerStorage]:
    """Open a storage, which may be new, as the one driver of a study, for a ``with`` block.

    Args:
        url: SQLAlchemy URL.
        study_name: What is locked.
        wait: Asked with the reason while another driver has the study; false gives up.
        stop_signal: Gives the number of a signal that asked to stop, or None; asked while the
            storage is locked.
        note: Takes one line that says what is waited for.

    Raises:
        StudyLockedError: Another driver has the study.
        LedgerError: The storage cannot be opened.
        InterruptedBySignal: A signal came meanwhile.
        SettingsError: The database's driver is not installed.
    """
    path, subject = sqlite_path(url), f"study '{study_name}'"
    with ExitStack() as stack:
        if path is not None:
            locks = _patiently(
                lambda: stack.enter_context(hold_locks(path, study_name, subject=subject)), wait
            )
            log_lock("took", study_name)
        storage = open_storage(url, stop_signal, note)
        stack.callback(storage.engine.dispose)
        if path is not None:
            stack.callback(_checkpoint_quietly, path)
            guard_files(storage.engine, url, path, locks, subject)
        else:
            lock = StudyLock(study_name, subject)
            sqlalchemy.event.listen(
                storage.engine, "connect", lambda connection, _: lock.take(connection)
            )
            # From here on one connection is open, which holds the lock: a second one would not get
            # it.
            storage.engine.dispose()
            _patiently(lambda: storage.engine.connect().close(), wait)
        stack.callback(log_lock, "let go", study_name)
        yield storage


def _patiently(take: Callable[[], T], wait: Callable[[StudyLockedError], bool]) -> T:
    while True:
        try:
            return take()
        except StudyLockedError as error:
            if not wait(error):
                raise
        time.sleep(WAIT_SECONDS)


def open_storage(
    url: str,
    stop_signal: Callable[[], int | None] = never,
    note: Callable[[str], None] = say_nothing,
) -> LedgerStorage:
    """Open the Optuna storage behind a URL and make its tables where they are missing.

    Raises:
        LedgerError: It cannot be opened.
        InterruptedBySignal: A signal came while it was locked.
        SettingsError: The database's driver is not installed.
    """
    path = sqlite_path(url)

    def connect(_: bool) -> LedgerStorage:
        with translated(url), _making_tables(url, stop_signal):
            if path is not None:
                use_wal(path, BUSY_SECONDS)
            return _connect(url, stop_signal)

    with needing_driver(url):
        storage = repeat(connect, stop_signal, note)
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
        LedgerError: The storage is away, or the study holds what cannot be read.
    """
    with translated(url):
        storage = _connect(url, skip_table_creation=True)
        try:
            storage.check_study(study_name)
            with reading(study_name):
                return storage.get_all_trials(storage.get_study_id_from_name(study_name))
        finally:
            storage.engine.dispose()


def _bound(url: str, stop_signal: Callable[[], int | None] = never) -> dict[str, Any]:
    """Arguments of an engine that waits for nothing for ever."""
    if sqlite_path(url) is None:
        return engine_arguments(url, stop_signal)
    return {"connect_args": {"timeout": BUSY_SECONDS}}


def _connect(
    url: str,
    stop_signal: Callable[[], int | None] = never,
    *,
    skip_table_creation: bool = False,
) -> LedgerStorage:
    """Optuna's storage with an engine whose errors are ours."""
    arguments = {**_bound(url, stop_signal), "pool_pre_ping": sqlite_path(url) is None}
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
def _making_tables(url: str, stop_signal: Callable[[], int | None]) -> Iterator[None]:
    """Be the one that makes the tables where they are missing: two starters would collide.

    Raises:
        LedgerError: Another process makes them, which may pass.
    """
    path = sqlite_path(url)
    arguments = _bound(url, stop_signal)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **arguments)
    with engine.connect() as connection, ExitStack() as stack:
        if not is_whole(read_tables(connection), OPTUNA):
            if path is not None:
                stack.enter_context(hold_tables(path))
            elif holder := take_lock(connection.connection.cursor(), SCHEMA_KEY):
                raise made_elsewhere(hide_password(url), holder)
        yield


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Stop Optuna from logging every study it makes; ``Progress`` says what a person wants."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
