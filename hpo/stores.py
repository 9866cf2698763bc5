"""What Optuna's and MLflow's databases hold of a study, read without making or changing anything.

They are read as plain tables, since the libraries' own clients make tables, folders and experiments where they are missing; and
only when the schema is the installed library's, so the few columns named here are known.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection, text

from hpo.errors import HpoError, LedgerError, SettingsError, TrackingError
from hpo.lock import find_session, lock_key
from hpo.settings import hide_password, sqlite_path
from hpo.sqlite import connect_unchanged
from hpo.tracking import names

CONNECT_SECONDS = 5


@dataclass(frozen=True)
class Library:
    """One that owns a database.

    Attributes:
        package: Its name.
        tables: Two tables by which its database is known.
        scripts: Where its package keeps the steps from one schema to the next.
        upgrade: The command that takes a database to the installed schema.
        error: What a run would end in.
    """

    package: str
    tables: frozenset[str]
    scripts: str
    upgrade: str
    error: type[HpoError]


OPTUNA = Library(
    "optuna", frozenset({"studies", "trials"}), "storages/_rdb/alembic/versions", "optuna storage upgrade --storage", LedgerError
)
MLFLOW = Library("mlflow", frozenset({"experiments", "runs"}), "store/db_migrations/versions", "mlflow db upgrade", TrackingError)


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


@dataclass(frozen=True)
class StudyRun:
    """A run of the study in MLflow, in the trash or not.

    Attributes:
        run_id: MLflow's.
        key: What it is the run of.
        status: MLflow's word.
        is_deleted: Whether it is in the trash.
        duplicate_of: The run beside which it was one too many, or None.
    """

    run_id: str
    key: str
    status: str
    is_deleted: bool
    duplicate_of: str | None

    @property
    def is_finished(self) -> bool:
        """Whether all was written to it."""
        return self.status != "RUNNING"


@dataclass(frozen=True)
class Runs:
    """A study in MLflow.

    Attributes:
        experiment_id: The experiment's, or None where there is none.
        is_deleted: Whether the experiment is in the trash.
        artifacts: Where its artifacts are.
        of_study: The runs that carry the study's uid.
    """

    experiment_id: str | None = None
    is_deleted: bool = False
    artifacts: str = ""
    of_study: tuple[StudyRun, ...] = ()

    @property
    def active(self) -> list[StudyRun]:
        """Those that are not in the trash."""
        return [run for run in self.of_study if not run.is_deleted]

    def deleted_by_hand(self) -> dict[str, str]:
        """Key to run id of what a person deleted: finished, and nothing else is there for it."""
        there = {run.key for run in self.active}
        return {
            run.key: run.run_id
            for run in self.of_study
            if run.is_deleted and run.is_finished and run.duplicate_of is None and run.key not in there
        }


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
    try:
        with _make_engine(url, path).connect() as connection:
            connection.execution_options(postgresql_readonly=True)
            yield connection if _has_tables(connection, url, library) else None
    except ImportError as error:
        raise SettingsError(
            f"{hide_password(url)} needs a driver that is not installed ({error.name or error})",
            hint="pip install 'psycopg[binary]'",
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        cause = str(error.__cause__ or error).strip().splitlines()
        raise library.error(
            f"{hide_password(url)} cannot be read: {cause[0] if cause else type(error).__name__}",
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


def read_runs(connection: Connection, experiment: str, uid: str | None) -> Runs:
    """A study's runs; none where there is no such experiment."""
    found = connection.execute(
        text("SELECT experiment_id, lifecycle_stage, artifact_location FROM experiments WHERE name = :name"), {"name": experiment}
    ).first()
    if found is None:
        return Runs()
    runs = connection.execute(
        text(
            "SELECT runs.run_uuid, own_key.value, runs.status, runs.lifecycle_stage = 'deleted', duplicate.value FROM runs"
            " JOIN tags AS own_key ON own_key.run_uuid = runs.run_uuid AND own_key.key = :key"
            " JOIN tags AS study ON study.run_uuid = runs.run_uuid AND study.key = :study_uid AND study.value = :uid"
            " LEFT JOIN tags AS duplicate ON duplicate.run_uuid = runs.run_uuid AND duplicate.key = :duplicate_of"
            " WHERE runs.experiment_id = :experiment_id"
        ),
        {
            "key": names.KEY,
            "study_uid": names.STUDY_UID,
            "uid": uid,
            "duplicate_of": names.DUPLICATE_OF,
            "experiment_id": found.experiment_id,
        },
    )
    of_study = tuple(StudyRun(run_id, key, status, bool(deleted), duplicate) for run_id, key, status, deleted, duplicate in runs)
    return Runs(str(found.experiment_id), found.lifecycle_stage == "deleted", found.artifact_location, of_study)


def read_holder(connection: Connection, study: str) -> str | None:
    """Who drives a study in a PostgreSQL database, or None where nobody does."""
    cursor = connection.connection.cursor()
    return find_session(cursor, lock_key(study))


def _make_engine(url: str, path: Path | None) -> sqlalchemy.Engine:
    if path is not None:
        return sqlalchemy.create_engine("sqlite://", creator=lambda: connect_unchanged(path), poolclass=sqlalchemy.NullPool)
    return sqlalchemy.create_engine(url, connect_args={"connect_timeout": CONNECT_SECONDS}, poolclass=sqlalchemy.NullPool)


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
    steps, newest = _read_schemas(library)
    if schema is None:
        raise library.error(
            f"{hide_password(url)} holds only a part of {library.package}'s tables: making them was cut short",
            hint="run the same command again: it makes the rest",
        )
    if schema != newest:
        raise library.error(
            f"{hide_password(url)} has schema {schema}, but {library.package} {metadata.version(library.package)} needs {newest}",
            hint=f"back it up, then {library.upgrade} URL" if schema in steps else f"pip install -U {library.package}",
        )
    return True


def _read_schemas(library: Library) -> tuple[set[str], str]:
    """All schemas that the installed library knows, and the newest; its scripts are read, since running them loads the library."""
    spec = find_spec(library.package)
    assert spec is not None
    assert spec.origin is not None
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in (Path(spec.origin).parent / library.scripts).glob("*.py"))
    steps = set(re.findall(r"""^revision\b.*?["'](.+?)["']""", scripts, re.MULTILINE))
    (newest,) = steps.difference(re.findall(r"""^down_revision\b.*?["'](.+?)["']""", scripts, re.MULTILINE))
    return steps, newest
