"""What the tests of tables share: databases whose tables are made once a session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.ledger.storage import open_storage
from tests.support.commands import run_python


def pytest_configure(config: pytest.Config) -> None:
    # MLflow 3.17 maps its tables with a loader that SQLAlchemy 2.1 deprecates; at import of its store, in this process.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy is deprecated")
    # Said by MLflow 3.17 of its own classes, when it imports what loads a model.
    config.addinivalue_line("filterwarnings", "ignore:.*Any type hint is inferred as AnyType")


@pytest.fixture(scope="session")
def empty_databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an Optuna and an MLflow database that have their tables and nothing in them."""
    directory = tmp_path_factory.mktemp("empty")
    open_storage(f"sqlite:///{directory}/optuna.db").engine.dispose()
    migrate = (
        "from mlflow import MlflowClient; MlflowClient('sqlite:///mlflow.db').search_experiments()"
    )
    process = run_python(directory, "-c", migrate)
    assert process.returncode == 0, process.stderr
    return directory


@pytest.fixture(scope="session")
def make_directory(
    empty_databases: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Makes a directory in which a run finds both databases made: their tables cost more than the run."""

    def make(name: str) -> Path:
        directory = tmp_path_factory.mktemp(name)
        for database in ("optuna.db", "mlflow.db"):
            shutil.copy(empty_databases / database, directory)
        return directory

    return make
