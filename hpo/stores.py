"""Optuna's and MLflow's databases, looked at without making or changing anything.

The libraries' own clients make tables and experiments where they are missing, so it is looked first whether a database has all of
them, in the schema of the installed library.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from importlib.resources import files
from typing import Any

import sqlalchemy
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, text

from hpo.errors import HpoError, LedgerError, SettingsError, TrackingError, first_line
from hpo.settings import hide_password, needing_driver, sqlite_path
from hpo.sqlite import url_unchanged

CONNECT_SECONDS = 5


@dataclass(frozen=True)
class Library:
    """One that owns a database.

    Attributes:
        package: Its name.
        tables: Two tables by which its database is known.
        scripts: Where its package keeps the steps from one schema to the next, as Alembic has them.
        upgrade: The command that takes a database to the installed schema.
        error: What a run would end in.
    """

    package: str
    tables: frozenset[str]
    scripts: str
    upgrade: str
    error: type[HpoError]


OPTUNA = Library(
    "optuna", frozenset({"studies", "trials"}), "storages/_rdb/alembic", "optuna storage upgrade --storage", LedgerError
)
MLFLOW = Library("mlflow", frozenset({"experiments", "runs"}), "store/db_migrations", "mlflow db upgrade", TrackingError)


@dataclass(frozen=True)
class Trials:
    """A study in the ledger.

    Attributes:
        uid: The study's, or None where there is no study or ``hpo`` did not make it.
        states: Trial number to the name of its state.
        study_id: The storage's own number of the study, or None where there is none.
    """

    uid: str | None = None
    states: dict[int, str] = field(default_factory=dict)
    study_id: int | None = None


@contextmanager
def read_database(url: str, library: Library) -> Iterator[Connection | None]:
    """A connection for reading, or None where the library's tables are not there yet.

    Raises:
        SettingsError: The other library's tables are there, or the driver is not installed.
        HpoError: The library's own: the database does not answer, or has another schema.
    """
    path = sqlite_path(url)
    if path is not None and not path.exists():
        yield None
        return
    patience: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS} if path is None else {}
    try:
        with needing_driver(url):
            engine = create_engine(url if path is None else url_unchanged(path), connect_args=patience, poolclass=NullPool)
        with engine.connect() as connection:
            connection.execution_options(postgresql_readonly=True)
            yield connection if _has_tables(connection, url, library) else None
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise library.error(
            f"{hide_password(url)} cannot be read: {first_line(error.__cause__ or error)}",
            hint="check that it is the right one, that it is running and that you may read it",
        ) from error


def read_trials(connection: Connection, study: str) -> Trials:
    """A study's trials; none where there is no such study."""
    study_id = connection.scalar(text("SELECT study_id FROM studies WHERE study_name = :study"), {"study": study})
    of_study = {"study_id": study_id}
    identity = connection.scalar(
        text("SELECT value_json FROM study_user_attributes WHERE study_id = :study_id AND key = 'hpo.identity'"), of_study
    )
    trials = connection.execute(text("SELECT number, state FROM trials WHERE study_id = :study_id"), of_study)
    uid = None if identity is None else json.loads(identity)["uid"]
    return Trials(uid, {trial.number: trial.state for trial in trials}, study_id)


def _has_tables(connection: Connection, url: str, library: Library) -> bool:
    """Whether the library's tables are there, of the installed schema and alone."""
    tables = set(sqlalchemy.inspect(connection).get_table_names())
    other = MLFLOW if library is OPTUNA else OPTUNA
    if other.tables <= tables:
        raise SettingsError(
            f"{hide_password(url)} holds the tables of {other.package}, beside which {library.package} cannot make its own",
            hint="give the two two databases, with --storage and --tracking-uri",
        )
    if not library.tables <= tables:
        return False
    schema = connection.scalar(text("SELECT version_num FROM alembic_version")) if "alembic_version" in tables else None
    if schema is None:
        raise library.error(
            f"{hide_password(url)} holds only a part of {library.package}'s tables: making them was cut short",
            hint="run the same command again: it makes the rest",
        )
    schemas = ScriptDirectory(str(files(library.package) / library.scripts))
    newest = schemas.get_current_head()
    if schema != newest:
        is_older = schema in {step.revision for step in schemas.walk_revisions()}
        raise library.error(
            f"{hide_password(url)} has schema {schema}, but {library.package} {metadata.version(library.package)} needs {newest}",
            hint=f"back it up, then {library.upgrade} URL" if is_older else f"pip install -U {library.package}",
        )
    return True
