"""``hpo serve`` as a process: what it makes of what is submitted, and how it lets go."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from hpo.service.submitting import cancel_study, submit_study
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition
from tests.support.checker import check_stores, read_trials
from tests.support.fixtures import copy_databases
from tests.support.here import run_here_well
from tests.support.processes import processes
from tests.support.service import StudyServer, serving_studies, status_of, wait, wait_for
from tests.support.stores import close_stores, stores_of
from tests.support.studies import LONG_FIT, write_table


def submit(settings: ServiceSettings, name: str, n_trials: int = 3, **keywords: object) -> None:
    overrides = {"study.name": name, "study.n_trials": n_trials}
    submit_study(load_definition(None, overrides), settings, **keywords)
    close_stores()


@pytest.fixture(scope="module")
def directory(empty_databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_databases(empty_databases, tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def settings(directory: Path) -> ServiceSettings:
    return ServiceSettings(**stores_of(directory), plots=False)


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[StudyServer]:
    """A server with one slot, for the tests that leave it as it was."""
    variables = {"HPO_CACHE": str(directory / "cache")}
    with serving_studies(directory, **variables) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path, empty_databases: Path) -> ServiceSettings:
    """The settings of a queue of one's own, beside ``server``'s."""
    return ServiceSettings(**stores_of(copy_databases(empty_databases, tmp_path)), plots=False)


def params_of(directory: Path, name: str) -> list[tuple]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{directory}/optuna.db")
    study = optuna.load_study(study_name=name, storage=storage)
    found = [(trial.state.name, trial.params, trial.values) for trial in study.get_trials()]
    storage.engine.dispose()
    return found


def test_studies_one_after_another_are_those_of_run(settings, directory, server, make_directory):
    for name in ("first", "second"):
        submit(settings, name, 6)
    for name in ("first", "second"):
        status = wait_for(settings, name, "done", server)
        assert (status.n_trials, status.n_wanted, status.n_failed) == (6, 6, 0)
        assert status.model_uri is not None
        assert status.model_uri.startswith("models:/m-")
        assert status.values[-1] == status.best_value
        assert status.running_on is None
    alone = make_directory("alone")
    for name in ("first", "second"):
        run_here_well(alone, "--name", name, "--trials", "6")
        assert params_of(directory, name) == params_of(alone, name)
    check_stores(**stores_of(directory), study="second", n_trials=6)
    # The second found the process warm that the first had used.
    pids = {pid for _, study, pid, _ in server.locks() if study in ("first", "second")}
    assert len(pids) == 1


def test_higher_priority_comes_first_then_submission(settings, server):
    submit(settings, "before", 400)  # the only slot is taken while the others are submitted
    wait_for(settings, "before", "running", server)
    submit(settings, "low", 1)
    submit(settings, "high", 1, priority=5)
    submit(settings, "later", 1)
    cancel_study(settings, "before")
    for name in ("low", "high", "later"):
        wait_for(settings, name, "done", server)
    order = [study for what, study, _, _ in server.locks() if what == "took"]
    assert order[-3:] == ["high", "low", "later"]


def test_raised_total_and_a_queued_trial_are_wishes(settings, directory, server):
    submit(settings, "raised", 2)
    wait_for(settings, "raised", "done", server)
    submit(settings, "raised", 4)
    wait(lambda: status_of(settings, "raised").n_trials == 4, server)
    wait_for(settings, "raised", "done", server)
    study = optuna.load_study(study_name="raised", storage=settings.storage)
    study.enqueue_trial({"C": 0.5})  # as the dashboard does
    study._storage._backend.engine.dispose()
    wait(lambda: status_of(settings, "raised").n_trials == 5, server)
    status = wait_for(settings, "raised", "done", server)
    assert (status.n_trials, status.n_wanted) == (5, 4)
    assert params_of(directory, "raised")[-1][1]["C"] == 0.5


def test_cancelled_study_stops_within_seconds_and_goes_on_when_submitted_again(settings, server):
    submit(settings, "cancelled", 400)
    wait(lambda: status_of(settings, "cancelled").n_trials > 2, server)
    asked = time.monotonic()
    assert cancel_study(settings, "cancelled").state == "cancelled"
    wait(lambda: status_of(settings, "cancelled").running_on is None, server)
    assert time.monotonic() - asked < 6
    n_trials = status_of(settings, "cancelled").n_trials
    parent = parent_of(settings, "cancelled")
    wait(lambda: parent_of(settings, "cancelled").info.status == "KILLED", server)
    assert parent.info.run_id == parent_of(settings, "cancelled").info.run_id
    time.sleep(1.0)
    assert status_of(settings, "cancelled").n_trials == n_trials
    overrides = {"study.name": "cancelled", "study.n_trials": n_trials + 1}
    submit_study(load_definition(None, overrides), settings)
    assert status_of(settings, "cancelled").n_wanted == 400  # a total is raised, never lowered
    cancel_study(settings, "cancelled")
    wait(lambda: status_of(settings, "cancelled").running_on is None, server)


def parent_of(settings: ServiceSettings, name: str):
    client = MlflowClient(settings.tracking_uri)
    experiment = client.get_experiment_by_name(name)
    uid = status_of(settings, name).uid
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`hpo.key` = '{uid}'")
    return run


def test_study_that_cannot_work_fails_at_once_and_goes_on_when_it_can(settings, server, directory):
    path = write_table(directory)
    overrides = {"data.source": str(path), "data.target": "y", "study.n_trials": 2}
    definition = load_definition(None, {**overrides, "study.name": "moved"})
    submit(settings, "block", 60, priority=1)  # the only slot is taken while the table is moved
    wait_for(settings, "block", "running", server)
    submit_study(definition, settings, data_in_place=True)
    away = path.rename(directory / "elsewhere.csv")
    cancel_study(settings, "block")
    status = wait_for(settings, "moved", "failed", server)
    assert status.reason is not None
    assert "is not there on this server" in status.reason
    away.rename(path)
    submit_study(definition, settings, data_in_place=True)
    assert wait_for(settings, "moved", "done", server).reason is None


def test_table_is_fetched_once_and_named_as_it_was(settings, server, directory, monkeypatch):
    monkeypatch.chdir(directory)
    folder = directory / "client"
    folder.mkdir()
    path = write_table(folder)
    overrides = {"data.source": str(path), "data.target": "y", "study.n_trials": 2}
    for name in ("kept", "kept-too"):
        submit_study(load_definition(None, {**overrides, "study.name": name}), settings)
    path.unlink()
    for name in ("kept", "kept-too"):
        wait_for(settings, name, "done", server)
    (cached,) = (directory / "cache").rglob("*.csv")
    assert cached.name == "t.csv"


def test_process_that_is_killed_is_replaced_and_its_study_goes_on(settings, server, directory):
    submit(settings, "killed", 30)
    wait(lambda: status_of(settings, "killed").n_trials > 2, server)
    os.kill(server.locks()[-1][2], signal.SIGKILL)
    wait(lambda: status_of(settings, "killed").reason is not None, server)
    assert status_of(settings, "killed").reason == "its process ended with SIGKILL"
    status = wait_for(settings, "killed", "done", server)
    assert (status.n_trials, status.reason) == (30, None)
    close_stores()
    check_stores(**stores_of(directory), study="killed", n_trials=30)


def test_long_fit_that_is_cancelled_is_killed_and_its_run_closed(
    settings, server, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path)
    (tmp_path / "study.toml").write_text(LONG_FIT, encoding="utf-8")
    definition = load_definition(tmp_path / "study.toml", {"study.name": "long"})
    submit_study(definition, settings)
    wait(lambda: is_in_a_fit(settings, "long"), server)
    wait(lambda: has_run(settings, "long"), server)
    cancel_study(settings, "long")
    asked = time.monotonic()
    wait(lambda: status_of(settings, "long").running_on is None, server)
    assert time.monotonic() - asked < 7
    wait(lambda: parent_of(settings, "long").info.status == "KILLED", server)


def is_in_a_fit(settings: ServiceSettings, name: str) -> bool:
    return any(trial.state.name == "RUNNING" for trial in read_trials(settings.storage, name))


def has_run(settings: ServiceSettings, name: str) -> bool:
    return MlflowClient(settings.tracking_uri).get_experiment_by_name(name) is not None


def test_server_that_is_killed_takes_its_processes_along(settings, server, directory):
    submit(settings, "orphan", 300, priority=9)
    wait(lambda: status_of(settings, "orphan").state == "running", server)
    pid = server.locks()[-1][2]
    children = {child for child, parent, _ in processes() if parent == pid}
    with serving_studies(directory, name="second") as second:
        wait(lambda: status_of(settings, "orphan").n_trials > 2, server)
        server.process.kill()
        server.process.wait()
        killed = time.monotonic()
        wait(lambda: not {pid, *children} & {each for each, _, _ in processes()}, server)
        assert time.monotonic() - killed < 5
        wait(lambda: any(study == "orphan" for _, study, _, _ in second.locks()), second)
        handed = time.monotonic()
        second.terminate()
        assert time.monotonic() - handed < 8
        assert status_of(settings, "orphan").state == "queued"
    assert read_trials(settings.storage, "orphan")


def test_study_that_holds_too_much_memory_fails_alone(fresh, tmp_path):
    stale = Path(tempfile.gettempdir(), "hpo-study-999999999-x")
    stale.mkdir(exist_ok=True)
    submit(fresh, "large", 500)
    with serving_studies(tmp_path, "--memory", "60 MB") as server:
        wait(lambda: status_of(fresh, "large").reason is not None, server)
        reason = status_of(fresh, "large").reason
        assert server.process.poll() is None
    assert reason is not None
    assert "more than the 0.1 GB of --memory" in reason
    assert not stale.exists()  # what a server left that was killed
