"""An empty Optuna database is made once a session and copied for each test that wants one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hpo.ledger.storage import open_storage


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("schema") / "optuna.db"
    open_storage(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture
def storage_url(_empty_database: Path, tmp_path: Path) -> str:
    """The URL of a database of the test's own, which has Optuna's tables and no study."""
    return f"sqlite:///{shutil.copy(_empty_database, tmp_path / 'optuna.db')}"
