"""A study whose experiment, directory or ledger is not where it was: found, and told where it must."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from tests.support.here import Ended, call_main, run_here, run_here_well
from tests.support.stores import close_stores, copy_directory

N_TRIALS = 3
FLAGS = ("--trials", str(N_TRIALS))


@pytest.fixture(scope="module")
def made(make_directory) -> Path:
    """A directory with a study."""
    directory = make_directory("places")
    run_here_well(directory, *FLAGS)
    return directory


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return copy_directory(made, tmp_path / "copy")


@contextmanager
def client_of(directory: Path) -> Iterator[MlflowClient]:
    close_stores()
    yield MlflowClient(f"sqlite:///{directory}/mlflow.db")
    close_stores()


def count(directory: Path) -> tuple[int, int]:
    """Active runs and models of all experiments."""
    with client_of(directory) as client:
        ids = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
        return len(client.search_runs(ids)), len(client.search_logged_models(ids))


def as_json(ended: Ended) -> Any:
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def renamed(copy: Path) -> Path:
    """The study's experiment has another name, and another experiment has its name."""
    with client_of(copy) as client:
        client.rename_experiment("1", "of last year")
        client.create_experiment("iris")
    return copy


def test_run_finds_the_study_in_a_renamed_experiment(renamed):
    before = as_json(run_here(renamed, *FLAGS, "--json"))
    assert count(renamed) == (N_TRIALS + 1, 1)
    with client_of(renamed) as client:
        assert client.search_runs(["2"]) == []
    after = as_json(run_here(renamed, *FLAGS, "--json"))
    assert after["model_uri"] == before["model_uri"]


def test_commands_find_the_study_in_a_renamed_experiment(renamed):
    (study,) = as_json(call_main(renamed, "list", "--json"))["studies"]
    assert study["experiment_id"] == "1"
    trials = as_json(call_main(renamed, "export", "iris", "--json"))["trials"]
    assert all(trial["run_id"] for trial in trials)
    (finding,) = [
        finding
        for finding in as_json(call_main(renamed, "check", "--json"))
        if finding["check"] == "study"
    ]
    assert finding["message"].endswith("3, all of them in MLflow")


def test_list_names_the_experiment_of_a_study_without_a_parent_run_by_its_name(copy):
    with client_of(copy) as client:
        (parent,) = client.search_runs(["1"], "tags.`mlflow.parentRunId` IS NULL")
        client.delete_run(parent.info.run_id)
    assert as_json(call_main(copy, "list", "--json"))["studies"][0]["experiment_id"] == "1"
