"""Where nothing is left to search, tracking needs no process of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.commands.run import choose_tracking
from hpo.ledger.finished import count_finished
from hpo.settings import ServiceSettings
from hpo.tracking.finished import is_finished
from hpo.tracking.inline import InlineTracking
from hpo.tracking.process import TrackingProcess
from tests.support.here import run_here_well

from .driving import define

N_TRIALS = 3


@pytest.fixture(scope="module")
def done(make_directory) -> Path:
    directory = make_directory("done")
    run_here_well(directory, "--trials", str(N_TRIALS))
    return directory


def settings_of(directory: Path) -> ServiceSettings:
    return ServiceSettings(
        storage=f"sqlite:///{directory}/optuna.db", tracking_uri=f"sqlite:///{directory}/mlflow.db"
    )


def test_study_that_is_done_is_tracked_in_this_process(done):
    definition = define(study__n_trials=N_TRIALS)
    assert choose_tracking(definition, settings_of(done)) is InlineTracking


@pytest.mark.parametrize(
    ("definition", "settings"),
    [
        ({"study__n_trials": N_TRIALS + 1}, {}),
        ({"study__n_trials": N_TRIALS, "study__name": "another"}, {}),
        ({"study__n_trials": N_TRIALS}, {"storage": "postgresql://localhost/optuna"}),
        ({"study__n_trials": N_TRIALS}, {"tracking_uri": "http://localhost:5000"}),
        ({"study__n_trials": N_TRIALS}, {"tracking_uri": "sqlite:///not-there.db"}),
    ],
)
def test_other_studies_are_tracked_beside_the_search(done, definition, settings):
    of_run = replace(settings_of(done), **settings)
    assert choose_tracking(define(**definition), of_run) is TrackingProcess


def test_study_that_mlflow_has_not_all_of_is_tracked_beside_the_search(done, tmp_path):
    for name in ("optuna.db", "mlflow.db"):
        with (
            closing(sqlite3.connect(done / name)) as source,
            closing(sqlite3.connect(tmp_path / name)) as copy,
        ):
            source.backup(copy)
    definition = define(study__n_trials=N_TRIALS)
    assert choose_tracking(definition, settings_of(tmp_path)) is InlineTracking
    parent = (
        "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'hpo.key' AND value NOT LIKE '%/%')"
    )
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy, copy:
        changed = copy.execute(f"UPDATE runs SET status = 'KILLED' WHERE {parent}")
        assert changed.rowcount == 1
    assert choose_tracking(definition, settings_of(tmp_path)) is TrackingProcess


def test_trials_that_are_not_over_do_not_count(done, tmp_path):
    with (
        closing(sqlite3.connect(done / "optuna.db")) as source,
        closing(sqlite3.connect(tmp_path / "optuna.db")) as copy,
    ):
        source.backup(copy)
        for state in ("RUNNING", "WAITING"):
            with copy:
                copy.execute("UPDATE trials SET state = ? WHERE number = 1", (state,))
            assert count_finished(tmp_path / "optuna.db", "iris")[1] == N_TRIALS - 1


@pytest.mark.parametrize("content", [None, b"", b"this is no database, but a text of some length"])
def test_what_cannot_be_read_has_no_finished_trials(content, tmp_path):
    path = tmp_path / "optuna.db"
    if content is not None:
        path.write_bytes(content)
    assert count_finished(path, "iris") == ("", 0)
    assert is_finished(path, "") is False
    assert path.exists() is (content is not None)
