"""What a person or a lost answer did to the runs in MLflow, and the copy of the study that a
finished run carries.
"""

from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import RunStatus, ViewType
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from tests.support.checker import read_projection, read_stores, read_trials
from tests.support.here import run_here, run_here_well
from tests.support.stores import copy_directory

from .converging import Place, Reference, assert_converged, place_in


@pytest.fixture(scope="module")
def _finished(make_directory, reference: Reference) -> Path:
    directory = make_directory("finished")
    run_here_well(directory, *reference.flags)
    return directory


@pytest.fixture
def finished(_finished: Path, tmp_path: Path) -> Place:
    """A finished study of the test's own."""
    return place_in(copy_directory(_finished, tmp_path / "copy"))


def test_deleted_run_stays_deleted(finished: Place, reference: Reference) -> None:
    before = read_stores(finished.storage, finished.tracking_uri)
    client = MlflowClient(finished.tracking_uri)
    deleted = before.children[4].info.run_id
    client.delete_run(deleted)
    run_here_well(finished.directory, *reference.flags)
    run_here_well(finished.directory, "--trials", "14")
    after = read_stores(finished.storage, finished.tracking_uri)
    assert sorted(after.children) == [number for number in range(14) if number != 4]
    assert all(
        after.children[number].info.run_id == before.children[number].info.run_id
        for number in range(12)
        if number != 4
    )
    assert client.get_run(deleted).info.lifecycle_stage == "deleted"


def test_deleted_parent_run_is_one_clear_line(finished: Place, reference: Reference) -> None:
    client = MlflowClient(finished.tracking_uri)
    parent = read_stores(finished.storage, finished.tracking_uri).parent.info.run_id
    client.delete_run(parent)
    process = run_here(finished.directory, *reference.flags, "--tracking-wait", "1")
    assert process.returncode == 3
    line = process.stderr.splitlines()[-1]
    assert f"was deleted in MLflow; mlflow runs restore --run-id {parent}, or" in line
    assert "Traceback" not in process.stderr
    assert client.get_run(parent).info.lifecycle_stage == "deleted"
    client.restore_run(parent)
    assert_converged(finished, reference)


@pytest.mark.parametrize("status", ["RUNNING", "FINISHED"])
def test_duplicates_are_deleted_and_say_of_what(
    finished: Place, reference: Reference, status: str
) -> None:
    """As a create whose answer was lost leaves them: of the child and the parent."""
    picture, client = (
        read_stores(finished.storage, finished.tracking_uri),
        MlflowClient(finished.tracking_uri),
    )
    experiment = picture.experiment.experiment_id
    made = []
    for run in (picture.children[3], picture.parent):
        tags = {
            name: value
            for name, value in run.data.tags.items()
            if name.startswith(("hpo.", "mlflow.parent"))
        }
        made.append(client.create_run(experiment, run.info.start_time + 1, tags).info.run_id)
        if status != "RUNNING":
            client.set_terminated(made[-1], status)
    assert_converged(finished, reference)
    deleted = client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
    assert {run.info.run_id for run in deleted} == set(made)


def test_runs_of_others_are_left_alone(finished: Place) -> None:
    experiment = read_stores(finished.storage, finished.tracking_uri).experiment.experiment_id
    client = MlflowClient(finished.tracking_uri)
    made = [
        client.create_run(experiment, tags=tags)
        for tags in ({}, {"hpo.key": "f" * 32}, {"mlflow.note.content": "mine"})
    ]
    before = [client.get_run(run.info.run_id).to_dictionary() for run in made]
    run_here_well(finished.directory, "--trials", "14")
    assert [client.get_run(run.info.run_id).to_dictionary() for run in made] == before
    assert RunStatus.to_string(RunStatus.RUNNING) == before[0]["info"]["status"]
    for run in made:
        client.delete_run(run.info.run_id)
    assert (
        len(read_projection(read_trials(finished.storage), finished.tracking_uri, "iris").children)
        == 14
    )


def facts(trials: list[FrozenTrial]) -> list[tuple]:
    return [
        (
            t.number,
            t.state,
            t.values,
            t.params,
            t.distributions,
            t.user_attrs,
            t.intermediate_values,
            t.datetime_start,
            t.datetime_complete,
        )
        for t in trials
    ]


def read_journal(place: Place, directory: Path) -> list[FrozenTrial]:
    """The study in the parent run's artifact, opened as anyone would."""
    parent = read_stores(place.storage, place.tracking_uri).parent.info.run_id
    path = MlflowClient(place.tracking_uri).download_artifacts(
        parent, "study/optuna_journal.log", str(directory)
    )
    (name,) = optuna.get_all_study_names(JournalStorage(JournalFileBackend(path)))
    study = optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(path)))
    assert (name, study.direction.name) == ("iris", "MAXIMIZE")
    return study.trials


def test_journal_in_the_parent_run_is_the_study(finished: Place, tmp_path: Path) -> None:
    assert facts(read_journal(finished, tmp_path)) == facts(read_trials(finished.storage))
    run_here_well(finished.directory, "--trials", "14")
    assert len(read_trials(finished.storage)) == 14
    assert facts(read_journal(finished, tmp_path)) == facts(read_trials(finished.storage))
