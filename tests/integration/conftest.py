"""One finished run and one migrated MLflow store a session; what changes them gets a copy."""

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.commands import copy_directory, run_hpo


def pytest_configure(config: pytest.Config) -> None:
    # MLflow 3.17 maps its tables with a loader that SQLAlchemy 2.1 deprecates; at import of its store, in this process.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy is deprecated")
    # Said by MLflow 3.17 of its own classes, when it imports what loads a model.
    config.addinivalue_line("filterwarnings", "ignore:.*Any type hint is inferred as AnyType")


@pytest.fixture(scope="session", autouse=True)
def _end_servers_when_terminated() -> Iterator[None]:
    """Servers are in groups of their own: a SIGTERM of pytest is to end them as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class FinishedRun:
    """What ``python -m hpo.run --trials 50`` did in an empty directory."""

    directory: Path
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """For tests that only read."""
    directory = tmp_path_factory.mktemp("finished")
    process = run_hpo(directory, "--trials", "50", plots=True)
    return FinishedRun(directory, process.returncode, process.stdout, process.stderr)


@pytest.fixture
def finished_copy(finished: FinishedRun, tmp_path: Path) -> Path:
    """The finished run's directory, for a test that changes it."""
    return copy_directory(finished.directory, tmp_path / "copy")


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def tracking_uri(migrated_store: Path, tmp_path: Path) -> str:
    """An empty MLflow store, its tables made."""
    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[[str], str]:
    """Writes a study file beside the test's directory and gives its path."""

    def write(text: str) -> str:
        path = tmp_path / "study-file.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write
