"""What Optuna's storage and MLflow's store hold of a study, read without making or changing anything.

A database is read as plain tables, since the libraries' own clients make tables, folders and experiments where they are missing.
It is read only when its schema is the installed library's, so the few columns named here are known. A tracking server is asked
over its API.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import sqlalchemy
from sqlalchemy import Connection, text

from hpo.errors import HpoError, LedgerError, SettingsError, TrackingError
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
    """

    uid: str | None = None
    states: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Runs:
    """A study in MLflow.

    Attributes:
        experiment_id: The experiment's, or None where there is none.
        is_deleted: Whether the experiment is in the trash.
        artifacts: Where its artifacts are.
        statuses: Key and status of each active run of the study.
    """

    experiment_id: str | None = None
    is_deleted: bool = False
    artifacts: str = ""
    statuses: tuple[tuple[str, str], ...] = ()


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
    return Trials(None if identity is None else json.loads(identity)["uid"], {trial.number: trial.state for trial in trials})


def read_runs(connection: Connection, experiment: str, uid: str | None) -> Runs:
    """A study's runs; none where there is no such experiment."""
    found = connection.execute(
        text("SELECT experiment_id, lifecycle_stage, artifact_location FROM experiments WHERE name = :name"), {"name": experiment}
    ).first()
    if found is None:
        return Runs()
    runs = connection.execute(
        text(
            "SELECT own_key.value, runs.status FROM runs"
            " JOIN tags AS own_key ON own_key.run_uuid = runs.run_uuid AND own_key.key = :key"
            " JOIN tags AS study ON study.run_uuid = runs.run_uuid AND study.key = :study_uid AND study.value = :uid"
            " WHERE runs.experiment_id = :experiment_id AND runs.lifecycle_stage = 'active'"
        ),
        {"key": names.KEY, "study_uid": names.STUDY_UID, "uid": uid, "experiment_id": found.experiment_id},
    )
    statuses = tuple((key, status) for key, status in runs)
    return Runs(str(found.experiment_id), found.lifecycle_stage == "deleted", found.artifact_location, statuses)


def read_server(address: str, experiment: str, uid: str | None) -> Runs:
    """The same from a tracking server.

    Raises:
        TrackingError: It is away, lets nobody in, or is of another major version.
    """
    _ask(address, "/api/2.0/mlflow/experiments/search?max_results=1")
    _check_version(address)
    found = _ask(address, f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={quote(experiment)}").get("experiment")
    if found is None:
        return Runs()
    statuses: list[tuple[str, str]] = []
    content = {
        "experiment_ids": [found["experiment_id"]],
        "filter": f"tags.`{names.STUDY_UID}` = '{uid}'",
        "max_results": 1000,
    }
    while True:
        page = _ask(address, "/api/2.0/mlflow/runs/search", content)
        for run in page.get("runs", []):
            tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
            if names.KEY in tags:
                statuses.append((tags[names.KEY], run["info"]["status"]))
        if not page.get("next_page_token"):
            return Runs(found["experiment_id"], found["lifecycle_stage"] == "deleted", found["artifact_location"], tuple(statuses))
        content["page_token"] = page["next_page_token"]


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
    if schema != newest:
        raise library.error(
            f"{hide_password(url)} has schema {schema}, but {library.package} {metadata.version(library.package)} needs {newest}",
            hint=f"back it up, then {library.upgrade} URL" if schema in {*steps, None} else f"pip install -U {library.package}",
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


def _ask(address: str, endpoint: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The server's answer; empty where what is asked for is not there."""
    status, body = _request(address, endpoint, content)
    shown = hide_password(address)
    if status == 401:
        raise TrackingError(
            f"{shown} needs credentials that it accepts",
            hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        )
    if status == 403 and "Invalid Host header" in body:
        host = urlsplit(address).netloc.rpartition("@")[2]
        raise TrackingError(
            f"{shown} refuses requests to '{host}'",
            hint=f"start it with --allowed-hosts {host} (its /health answers all the same)",
        )
    if status == 403:
        raise TrackingError(f"{shown} allows this user too little", hint="ask its administrator for permission to edit")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or status not in {200, 404} or (status == 404 and "error_code" not in answer):
        raise TrackingError(f"{shown} answers {status} where MLflow's API should be", hint="check the address and the server's log")
    return answer if status == 200 else {}


def _check_version(address: str) -> None:
    status, body = _request(address, "/version")
    client, server = metadata.version("mlflow"), body.strip()
    if status == 200 and server.partition(".")[0] != client.partition(".")[0]:
        raise TrackingError(
            f"{hide_password(address)} is MLflow {server}, but the client here is {client}",
            hint="bring both to one major version",
        )


def _request(address: str, endpoint: str, content: Mapping[str, Any] | None = None) -> tuple[int, str]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from hpo.tracking.writer import ask_server  # noqa: PLC0415 - it loads MLflow, and a database needs none of it

    return ask_server(address, endpoint, content)
