"""PostgreSQL: connections that notice a dead peer, and locks that end with their connection.

Both ends look for the other: a lock whose holder is cut off from the network is free within a
minute, and a driver whose server is silent gets an error.
"""

import hashlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy

from hpo.errors import LedgerError
from hpo.ledger.failures import never
from hpo.ledger.lock import driven_elsewhere, log_lock

CONNECT_SECONDS = 5

SCHEMA_KEY = 0x68706F
"""What is locked in a database while its tables are being made."""

_CLIENT = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Of the client's end; by default a write into a dead network fails after a quarter of an hour."""

_SERVER = {
    "tcp_keepalives_idle": "20s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30s",
    "lock_timeout": "5s",
}
"""Of the server's end, whose own default is two hours; and how long one call waits for a lock."""

_SET = (
    "SELECT set_config(name, %s, false) FROM pg_settings"
    " WHERE name = %s AND source IN ('default', 'configuration file')"
)
"""Leaves alone what the URL, the user or the database sets."""


def engine_arguments(url: str, stop_signal: Callable[[], int | None] = never) -> dict[str, Any]:
    """Arguments of an engine whose connections are bounded; what the URL itself sets stays.

    Args:
        url: SQLAlchemy URL of a PostgreSQL database.
        stop_signal: Gives the number of a signal that asked to stop, or None.
    """
    return {"creator": _Connect(url, stop_signal)}


@dataclass(frozen=True)
class _Connect:
    """Makes connections; a storage that is pickled takes it along."""

    url: str = field(repr=False)
    stop_signal: Callable[[], int | None]

    def __call__(self) -> Any:
        parsed = sqlalchemy.make_url(self.url)
        dialect = parsed.get_dialect()
        library: Any = dialect.import_dbapi()
        name = f"hpo on {socket.gethostname()[:30]}, pid {os.getpid()}"
        _, given = dialect(dbapi=library).create_connect_args(parsed)  # type: ignore[call-arg]
        arguments = {**_CLIENT, "application_name": name, **given}
        if dialect.driver == "psycopg":
            from hpo.ledger.bounded import BoundedConnection  # noqa: PLC0415 - may be missing

            connection: Any = BoundedConnection.connect(**arguments)
            connection.stop_signal = self.stop_signal
        else:
            connection = library.connect(**arguments)
        with connection.cursor() as cursor:
            for option, value in _SERVER.items():
                cursor.execute(_SET, (value, option))
        connection.commit()
        return connection


def lock_key(study_name: str) -> int:
    """The number that is locked for a study."""
    return int.from_bytes(hashlib.sha256(study_name.encode()).digest()[:8], signed=True)


def find_sessions(cursor: Any) -> dict[int, str]:
    """Find who holds each of the locks in this database, by key."""
    cursor.execute(
        "SELECT classid::bigint, objid::bigint, application_name, backend_start"
        " FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return {
        int.from_bytes(((high << 32) | low).to_bytes(8), signed=True): _name(name, since)
        for high, low, name, since in cursor.fetchall()
    }


def find_session(cursor: Any, key: int) -> str | None:
    """Who holds a lock in this database, or None where nobody does.

    Args:
        cursor: Of a connection to PostgreSQL.
        key: What is locked.
    """
    return find_sessions(cursor).get(key)


def _name(name: str | None, since: datetime | None) -> str:
    """Name a session as a lock's file names its holder; another user's are hidden."""
    return f"{name or 'another user'}{f', since {since:%Y-%m-%dT%H:%M:%S%z}' if since else ''}"


def take_lock(cursor: Any, key: int) -> str | None:
    """Take a lock; gives who holds it, or None where it is ours now.

    It outlives transactions, not the connection.
    """
    cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,))
    if cursor.fetchone()[0]:
        return None
    return find_session(cursor, key) or "it has only just started"


class StudyLock:
    """The lock of a study, taken by each connection that its driver opens, one at a time.

    Args:
        study_name: The study's name.
        subject: What an error calls it.
    """

    def __init__(self, study_name: str, subject: str) -> None:
        self._name = study_name
        self._key = lock_key(study_name)
        self._subject = subject
        self._session: tuple[Any, ...] | None = None

    def take(self, connection: Any) -> None:
        """Take it on a new connection.

        Raises:
            StudyLockedError: Another driver has it.
            LedgerError: It will be free in a moment.
        """
        with connection.cursor() as cursor:
            holder = take_lock(cursor, self._key)
            is_own = holder is not None and self._end_session(cursor)
            cursor.execute(
                "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            )
            session = cursor.fetchone()
        connection.commit()
        if holder is None:
            self._session = session
            log_lock("took", self._name)
            return
        connection.close()
        if is_own:
            raise LedgerError("the session before this one has only just ended", may_pass=True)
        raise driven_elsewhere(self._subject, holder)

    def _end_session(self, cursor: Any) -> bool:
        """End the session that held the lock before: cut off from here, it may still be open."""
        if self._session is None:
            return False
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid = %s AND backend_start = %s",
            self._session,
        )
        return cursor.fetchone() is not None
