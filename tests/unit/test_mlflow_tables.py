"""The template of MLflow's tables is what MLflow makes, and of its version alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from hpo.tracking.connection import connect
from hpo.tracking.tables import TEMPLATE, fill_tables, first_line_of
from tests.support.mlflow_tables import statements_of
from tests.support.stores import close_stores


def test_run_and_mlflow_make_the_same_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, theirs = Path("ours.db"), Path("theirs.db")
    connect(f"sqlite:///{ours}")
    SqlAlchemyStore(f"sqlite:///{theirs}", "./mlruns")
    close_stores()
    for path in (ours, theirs):
        with closing(sqlite3.connect(path)) as connection, connection:
            times = "creation_time = 0, last_update_time = 0"
            assert connection.execute(f"UPDATE experiments SET {times}").rowcount == 1
    assert statements_of(ours) == statements_of(theirs)


def test_template_is_of_the_installed_mlflow():
    script = TEMPLATE.read_text(encoding="utf-8")
    assert script.startswith(f"{first_line_of(mlflow.__version__)}\n"), (
        "write it anew: python -m tests.support.mlflow_tables"
    )


@pytest.mark.parametrize("version", ["", f"{mlflow.__version__}0", mlflow.__version__[:-1]])
def test_another_version_makes_its_tables_itself(version, tmp_path):
    fill_tables(tmp_path / "mlflow.db", version)
    assert not (tmp_path / "mlflow.db").exists()
