"""Reads databases without making or changing anything: whose tables they hold, a study's trials.

The libraries' own clients make tables where they are missing, so this looks first.
"""

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, NullPool, create_engine, text

from hpo.errors import LedgerError, SettingsError, TrackingError, first_line
from hpo.escaping import hide_password
from hpo.ledger.damage import check_study, parse, reading
from hpo.ledger.failures import make_error
from hpo.ledger.lock import find_driver
from hpo.ledger.postgresql import (
    SCHEMA_KEY,
    engine_arguments,
    find_session,
    find_sessions,
    lock_key,
)
from hpo.settings import needing_driver, sqlite_path
from hpo.sqlite import url_unchanged

OPTUNA = "optuna"
MLFLOW = "mlflow"
TABLES = {OPTUNA: frozenset({"studies", "trials"}), MLFLOW: frozenset({"experiments", "runs"})}
"""Two tables by which a package's database is known."""


@dataclass(frozen=True)
class Trials:
    """A study in the ledger.

    Attributes:
        uid: The study's, or None where there is no study or ``hpo`` did not make it.
        states: Trial number to the name of its state.
        study_id: The storage's own number of the study, or None where there is none.
        foreign: The running trials that another client asked: a run leaves them alone.
    """

    uid: str | None = None
    states: dict[int, str] = field(default_factory=dict)
    study_id: int | None = None
    foreign: frozenset[int] = frozenset()

    def finished(self) -> list[int]:
        """Give the numbers of the trials that are over."""
        ahead = ("RUNNING", "WAITING")
        return [number for number, state in self.states.items() if state not in ahead]


@contextmanager
def read_database(url: str, package: str) -> Iterator[Connection | None]:
    """Connect for reading; gives None where the library's tables are not there yet.

    Raises:
        SettingsError: The other library's tables are there, or the driver is not installed.
        HpoError: The library's own: the database does not answer.
    """
    path = sqlite_path(url)
    if path is not None and not os.path.exists(path):
        yield None
        return
    with _reading(url, package) as connection:
        tables = read_tables(connection)
        other = MLFLOW if package == OPTUNA else OPTUNA
        if TABLES[other] <= tables:
            raise SettingsError(
                f"{hide_password(url)} holds the tables of {other},"
                f" beside which {package} cannot make its own",
                hint="give the two two databases, with --storage and --tracking-uri",
            )
        yield connection if is_whole(tables, package) else None


def read_tables(connection: Connection) -> set[str]:
    """Read the names of a database's tables."""
    return set(sqlalchemy.inspect(connection).get_table_names())


def is_whole(tables: set[str], package: str) -> bool:
    """Whether all of a package's tables are there.

    Without the last one, which names the schema, making them was cut short: the next run makes the
    rest.
    """
    return TABLES[package] | {"alembic_version"} <= tables


@contextmanager
def _reading(url: str, package: str) -> Iterator[Connection]:
    path = sqlite_path(url)
    try:
        with needing_driver(url):
            engine = create_engine(
                url if path is None else url_unchanged(path),
                poolclass=NullPool,
                **(engine_arguments(url) if path is None else {}),
            )
        with engine.connect() as connection:
            connection.execution_options(postgresql_readonly=True)
            yield connection
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        problem = f"{hide_password(url)} cannot be read: {first_line(error.__cause__ or error)}"
        hint = "check that it is the right one, that it is running and that you may read it"
        if package != OPTUNA:
            raise TrackingError(problem, hint=hint) from error
        may_pass = make_error(url, error).may_pass
        raise LedgerError(problem, hint=hint, may_pass=may_pass) from error


def read_trials(connection: Connection | None, study: str) -> Trials:
    """Read a study's trials; none where there is no such study, or no database.

    Raises:
        LedgerError: The study holds what cannot be read.
    """
    if connection is None:
        return Trials()
    study_id = connection.scalar(
        text("SELECT study_id FROM studies WHERE study_name = :study"), {"study": study}
    )
    check_study(connection, study_id, study)
    of_study = {"study_id": study_id}
    identity = read_identity(connection, study)
    trials = connection.execute(
        text("SELECT number, state, trial_id FROM trials WHERE study_id = :study_id"), of_study
    ).all()
    asked_here = set(
        connection.scalars(
            text(
                "SELECT trial_id FROM trial_user_attributes JOIN trials USING (trial_id)"
                " WHERE study_id = :study_id AND key = 'hpo.derived' AND state = 'RUNNING'"
            ),
            of_study,
        )
    )
    uid = None if identity is None else identity["uid"]
    foreign = frozenset(
        trial.number
        for trial in trials
        if trial.state == "RUNNING" and trial.trial_id not in asked_here
    )
    return Trials(uid, {trial.number: trial.state for trial in trials}, study_id, foreign)


def read_identity(connection: Connection | None, study: str) -> Mapping[str, Any] | None:
    """Read a study's identity; None where there is no such study, or ``hpo`` did not make it.

    Raises:
        LedgerError: It is not what was written.
    """
    if connection is None:
        return None
    key = "hpo.identity"
    content = connection.scalar(
        text(
            "SELECT value_json FROM study_user_attributes JOIN studies USING (study_id)"
            " WHERE study_name = :study AND key = :key"
        ),
        {"study": study, "key": key},
    )
    with reading(study):
        return None if content is None else parse(key, content)


def read_driver(url: str, connection: Connection | None, study: str) -> str | None:
    """Who drives a study, or None where nobody does."""
    return read_drivers(url, connection, [study]).get(study)


def read_drivers(
    url: str, connection: Connection | None, studies: Collection[str]
) -> dict[str, str]:
    """Who drives each of the studies that somebody drives, by name; one query."""
    path = sqlite_path(url)
    if path is not None:
        found = {study: find_driver(path, study) for study in studies}
    elif connection is None:
        return {}
    else:
        sessions = find_sessions(connection.connection.cursor())
        found = {study: sessions.get(lock_key(study)) for study in studies}
    return {study: driver for study, driver in found.items() if driver is not None}


def read_maker(url: str) -> str | None:
    """Who makes the tables of a database just now, or None where nobody does."""
    path = sqlite_path(url)
    if path is not None:
        return find_driver(path)
    with _reading(url, OPTUNA) as connection:
        return find_session(connection.connection.cursor(), SCHEMA_KEY)
