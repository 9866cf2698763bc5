"""The two stores as files: what is in them, asked without hpo, and copied."""

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from weakref import WeakSet

import sqlalchemy

_engines: WeakSet[sqlalchemy.Engine] = WeakSet()
"""All that were connected in this process and may hold a file open."""


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "engine_connect")
def _remember(connection: sqlalchemy.Connection) -> None:
    _engines.add(connection.engine)


def count_told(directory: Path) -> int:
    """Finished trials in the ledger, which may not be there yet."""
    path = directory / "optuna.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return int(
                connection.execute(
                    "SELECT count(*) FROM trials WHERE state != 'RUNNING'"
                ).fetchone()[0]
            )
        except sqlite3.OperationalError:
            return 0


def n_running(directory: Path) -> int:
    with closing(
        sqlite3.connect(f"file:{directory}/optuna.db?mode=ro", uri=True, timeout=10)
    ) as connection:
        return int(
            connection.execute("SELECT count(*) FROM trials WHERE state = 'RUNNING'").fetchone()[0]
        )


def ask(database: Path, query: str) -> list[tuple]:
    """Rows of a database that may not be there yet, or have no tables."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []


def count_finished_runs(database: Path) -> int:
    """Child runs that MLflow has and that are terminated, of all studies."""
    query = (
        "SELECT count(*) FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'mlflow.parentRunId'"
        " WHERE runs.status != 'RUNNING' AND runs.lifecycle_stage = 'active'"
    )
    rows = ask(database, query)
    return rows[0][0] if rows else 0


def copy_directory(source: Path, target: Path) -> Path:
    """A finished run's directory, elsewhere: MLflow keeps absolute artifact paths, which are moved
    along.
    """
    close_stores()
    # The WAL's files come and go with whoever reads the source, and hold nothing.
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.db-wal", "*.db-shm"))
    with closing(sqlite3.connect(target / "mlflow.db")) as connection, connection:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
        ):
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(source), str(target))
            )
    return target


def stores_of(directory: Path) -> dict[str, str]:
    """The default stores of a directory, as arguments of the checker."""
    return {
        "storage": f"sqlite:///{directory}/optuna.db",
        "tracking_uri": f"sqlite:///{directory}/mlflow.db",
    }


def close_stores() -> None:
    """Close the database files that this process holds open; MLflow forgets which stores it knows.

    A file that is open keeps what was written last in its write-ahead log, beside it, until its
    engine happens to be collected. MLflow keeps a store for each URI, and a relative one would lead
    to the directory of the test before. The URI that a run made MLflow's own default is forgotten
    too, and where a run's artifacts are: a copy has a run of the same id.
    """
    for engine in list(_engines):
        # A file's alone: a connection to PostgreSQL may hold a driver's lock.
        if engine.dialect.name == "sqlite":
            engine.dispose()
    if "mlflow" not in sys.modules:
        return
    import mlflow  # noqa: PLC0415 - not needed by all
    from mlflow.store.model_registry.sqlalchemy_store import (  # noqa: PLC0415
        SqlAlchemyStore as ModelStore,
    )
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415
    from mlflow.tracking._model_registry.registry import (  # noqa: PLC0415
        ModelRegistryStoreRegistry,
    )
    from mlflow.tracking._tracking_service.registry import (  # noqa: PLC0415
        TrackingStoreRegistry,
    )
    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache  # noqa: PLC0415

    mlflow.set_tracking_uri(None)
    _artifact_repos_cache.clear()
    TrackingStoreRegistry._get_store_with_resolved_uri.cache_clear()
    ModelRegistryStoreRegistry._get_store_with_resolved_uri.cache_clear()
    for engines in (SqlAlchemyStore._engine_map, ModelStore._engine_map):
        for engine in engines.values():  # those to PostgreSQL too: MLflow's hold no lock
            engine.dispose()
        engines.clear()
