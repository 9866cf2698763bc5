"""Fixtures that tests of several folders use; ``tests/conftest.py`` makes them known."""

import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .commands import run_hpo
from .postgres import Cluster, running_cluster
from .servers import free_port, serving_tracking
from .sharing import FinishedRun, Shared
from .stores import close_stores, copy_directory

DATABASES = ("optuna.db", "mlflow.db")


def pytest_configure(config: pytest.Config) -> None:
    # MLflow 3.17 maps its tables with a loader that SQLAlchemy 2.1 deprecates; said when its store
    # is imported.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy is deprecated")
    # Said by MLflow 3.17 of its own classes, when it imports what loads a model.
    config.addinivalue_line("filterwarnings", "ignore:.*Any type hint is inferred as AnyType")


@pytest.fixture(scope="session", autouse=True)
def _end_servers_when_terminated() -> Iterator[None]:
    """Servers are in groups of their own: a SIGTERM of pytest is to end them as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """What is made once a session, for all of its processes."""
    return Shared.of(tmp_path_factory)


@pytest.fixture(scope="session")
def empty_databases(shared: Shared) -> Path:
    """A directory with an Optuna and an MLflow database that have their tables and no study."""
    return shared.directory("empty", make_databases)


def make_databases(directory: Path) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - only who wants a database loads MLflow

    from hpo.ledger.storage import open_storage  # noqa: PLC0415

    open_storage(f"sqlite:///{directory}/optuna.db").engine.dispose()
    # As the run makes it: readers and the writer do not wait for each other.
    with closing(sqlite3.connect(directory / "mlflow.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    MlflowClient(f"sqlite:///{directory}/mlflow.db").search_experiments()
    close_stores()


def copy_databases(source: Path, directory: Path) -> Path:
    for name in DATABASES:
        shutil.copy(source / name, directory)
    return directory


@pytest.fixture(scope="session")
def make_directory(
    empty_databases: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Makes a directory in which a run finds both databases made: their tables cost more than it."""
    return lambda name: copy_databases(empty_databases, tmp_path_factory.mktemp(name))


@pytest.fixture
def directory(empty_databases: Path, tmp_path: Path) -> Path:
    """The test's own directory, in which a run finds both databases made."""
    return copy_databases(empty_databases, tmp_path)


@pytest.fixture
def tracking_uri(empty_databases: Path, tmp_path: Path) -> str:
    """An empty MLflow store, its tables made."""
    shutil.copy(empty_databases / "mlflow.db", tmp_path)
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture(scope="session")
def finished(shared: Shared) -> FinishedRun:
    """What ``python -m hpo.run --trials 50`` did in an empty directory; for tests that only read."""
    return shared.run("finished", lambda path: run_hpo(path, "--trials", "50", plots=True))


@pytest.fixture
def finished_copy(finished: FinishedRun, tmp_path: Path) -> Path:
    """The finished run's directory, for a test that changes it."""
    return copy_directory(finished.directory, tmp_path / "copy")


@pytest.fixture(scope="session")
def server(empty_databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server; tests that use it take names of their own."""
    directory = tmp_path_factory.mktemp("server")
    shutil.copy(empty_databases / "mlflow.db", directory / "server.db")
    with serving_tracking(directory, free_port()) as address:
        yield address


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server; who stops it starts it again."""
    with running_cluster() as running:
        yield running


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[[str], str]:
    """Writes a study file beside the test's directory and gives its path."""

    def write(text: str) -> str:
        path = tmp_path / "study-file.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write
