"""``hpo.MLflowCallback`` with a study of somebody's own, on real stores."""

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

import hpo
from hpo.tracking.callback_study import _make_uid
from tests.support.checker import (
    STATUS_OF,
    check_nothing_runs,
    check_projection,
    read_projection,
    read_runs,
    read_trials,
)
from tests.support.commands import run_python
from tests.support.servers import free_port

N_TRIALS = 12


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.CRITICAL)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseStorage]:
    if request.param == "memory":
        yield InMemoryStorage()
        return
    opened = RDBStorage(
        f"sqlite:///{tmp_path}/optuna.db", engine_kwargs={"connect_args": {"timeout": 60}}
    )
    yield opened
    opened.engine.dispose()


class OddError(Exception):
    """An objective's own error."""


def objective(trial: optuna.Trial) -> float:
    """One trial in three is pruned after two steps, one fails, one is complete."""
    x = trial.suggest_float("x", -1, 1)
    trial.suggest_categorical("kind", ["a", "b"])
    trial.suggest_int("depth", 1, 9)
    time.sleep(0.03)
    for step in range(2):
        trial.report(x + step, step)
    if trial.number % 3 == 1:
        raise optuna.TrialPruned
    if trial.number % 3 == 2:
        raise OddError(f"trial {trial.number}")
    return x


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_every_trial_is_a_child_of_one_parent(
    storage: BaseStorage, tracking_uri: str, n_jobs: int
) -> None:
    study = optuna.create_study(storage=storage, study_name="mine")
    study.set_user_attr("owner", "me")
    with hpo.MLflowCallback(tracking_uri, metric_name="x") as callback:
        study.optimize(
            objective, n_trials=N_TRIALS, n_jobs=n_jobs, catch=(OddError,), callbacks=[callback]
        )
    picture = read_projection(study.trials, tracking_uri, "mine")
    check_nothing_runs(picture.trials, tracking_uri)
    check_projection(picture)
    assert len(picture.children) == N_TRIALS
    statuses = [picture.children[number].info.status for number in range(N_TRIALS)]
    assert statuses == ["FINISHED", "KILLED", "FAILED"] * (N_TRIALS // 3)
    assert picture.parent.data.tags["owner"] == "me"
    assert picture.experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_values_and_steps_are_recorded(tracking_uri: str) -> None:
    study = optuna.create_study(study_name="mine", direction="maximize")
    options = {"metric_name": "score", "experiment_name": "their experiment"}
    with hpo.MLflowCallback(tracking_uri, **options) as callback:
        study.optimize(objective, n_trials=6, catch=(OddError,), callbacks=[callback])
    picture, client = (
        read_projection(study.trials, tracking_uri, "their experiment"),
        MlflowClient(tracking_uri),
    )
    for trial in study.trials:
        run = picture.children[trial.number]
        history = client.get_metric_history(run.info.run_id, "score_intermediate")
        assert {point.step: point.value for point in history} == trial.intermediate_values
    for trial in study.get_trials(states=[TrialState.COMPLETE]):
        assert picture.children[trial.number].data.metrics["score"] == trial.value


def test_last_step_of_a_pruned_trial_is_not_shown_as_its_value(tracking_uri: str) -> None:
    study = optuna.create_study(study_name="mine")
    with hpo.MLflowCallback(tracking_uri, metric_name="score") as callback:
        study.optimize(objective, n_trials=2, callbacks=[callback])
    picture = read_projection(study.trials, tracking_uri, "mine")
    assert "score" in picture.children[0].data.metrics
    assert "score" not in picture.children[1].data.metrics


@pytest.mark.parametrize(("direction", "better"), [("maximize", max), ("minimize", min)])
def test_best_so_far_is_on_the_parent(tracking_uri: str, direction: str, better: type[max]) -> None:
    study = optuna.create_study(study_name="mine", direction=direction)
    with hpo.MLflowCallback(tracking_uri, metric_name="x") as callback:
        study.optimize(
            lambda trial: trial.suggest_float("x", -1, 1), n_trials=6, callbacks=[callback]
        )
    picture = read_projection(study.trials, tracking_uri, "mine")
    metrics = {
        name: value
        for name, value in picture.parent.data.metrics.items()
        if name.startswith("best")
    }
    assert list(metrics.values()) == [better(trial.value for trial in study.trials)]


def test_exception_that_is_not_caught_is_recorded_on_close(tracking_uri: str) -> None:
    study = optuna.create_study(study_name="mine")
    callback = hpo.MLflowCallback(tracking_uri)
    with callback, pytest.raises(OddError, match="trial 2"):
        study.optimize(objective, n_trials=N_TRIALS, callbacks=[callback])
    picture = read_projection(study.trials, tracking_uri, "mine")
    check_projection(picture)
    assert [picture.children[number].info.status for number in range(3)] == [
        "FINISHED",
        "KILLED",
        "FAILED",
    ]


def test_resumed_study_keeps_its_parent(storage: BaseStorage, tracking_uri: str) -> None:
    parents = set()
    for n_trials in (4, 8):
        study = optuna.create_study(storage=storage, study_name="mine", load_if_exists=True)
        with hpo.MLflowCallback(tracking_uri) as callback:
            study.optimize(objective, n_trials=4, catch=(OddError,), callbacks=[callback])
        picture = read_projection(study.trials, tracking_uri, "mine")
        check_projection(picture)
        assert len(picture.children) == n_trials
        parents.add(picture.parent.info.run_id)
    assert len(parents) == 1


def test_callback_can_be_used_again_after_close(tracking_uri: str) -> None:
    study = optuna.create_study(study_name="mine")
    callback = hpo.MLflowCallback(tracking_uri)
    for _ in range(2):
        with callback:
            study.optimize(objective, n_trials=4, catch=(OddError,), callbacks=[callback])
    check_projection(read_projection(study.trials, tracking_uri, "mine"))


def check_alone(trials: Sequence[FrozenTrial], tracking_uri: str) -> None:
    """One finished run a trial, below nothing, and no other."""
    client = MlflowClient(tracking_uri)
    runs = read_runs(client, client.get_experiment_by_name("mine").experiment_id)
    assert sorted(run.data.metrics["trial_number"] for run in runs) == [*range(len(trials))]
    for run in runs:
        trial = trials[int(run.data.metrics["trial_number"])]
        assert "mlflow.parentRunId" not in run.data.tags
        assert run.info.status == STATUS_OF[trial.state]
        assert abs(run.info.start_time - trial.datetime_start.timestamp() * 1000) <= 1
        assert abs(run.info.end_time - trial.datetime_complete.timestamp() * 1000) <= 1


def test_run_is_complete_when_the_callback_returns(storage: BaseStorage, tracking_uri: str) -> None:
    study = optuna.create_study(storage=storage, study_name="mine")
    callback = hpo.MLflowCallback(tracking_uri)
    for _ in range(3):
        study.optimize(objective, n_trials=1, catch=(OddError,), callbacks=[callback])
        check_alone(study.trials, tracking_uri)
    assert callback.close().n_behind == 0


def test_trial_that_no_callback_sees_is_recorded_on_close_without_a_block(
    tracking_uri: str,
) -> None:
    study = optuna.create_study(study_name="mine")
    callback = hpo.MLflowCallback(tracking_uri)
    with pytest.raises(OddError, match="trial 2"):
        study.optimize(objective, n_trials=N_TRIALS, callbacks=[callback])
    callback.close()
    assert len(study.trials) == 3
    check_alone(study.trials, tracking_uri)


def test_block_puts_runs_that_stood_alone_below_the_parent(tracking_uri: str) -> None:
    study = optuna.create_study(study_name="mine")
    callback = hpo.MLflowCallback(tracking_uri)
    study.optimize(objective, n_trials=4, catch=(OddError,), callbacks=[callback])
    callback.close()
    with callback:
        study.optimize(objective, n_trials=4, catch=(OddError,), callbacks=[callback])
    check_projection(read_projection(study.trials, tracking_uri, "mine"))
    # The parent stays theirs.
    study.optimize(objective, n_trials=4, catch=(OddError,), callbacks=[callback])
    callback.close()
    check_projection(read_projection(study.trials, tracking_uri, "mine"))


def test_one_callback_records_several_studies(tracking_uri: str) -> None:
    callback = hpo.MLflowCallback(tracking_uri, experiment_name="mine")
    for name in ("first", "second"):
        study = optuna.create_study(study_name=name)
        study.optimize(lambda trial: trial.number, n_trials=3, callbacks=[callback])
    callback.close()
    client = MlflowClient(tracking_uri)
    runs = read_runs(client, client.get_experiment_by_name("mine").experiment_id)
    assert sorted(run.info.run_name for run in runs) == ["0", "0", "1", "1", "2", "2"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len({run.data.tags["hpo.key"] for run in runs}) == 6


SHARED = """
import sys, time, optuna, hpo
study = optuna.load_study(study_name="mine", storage="sqlite:///optuna.db")
callback = hpo.MLflowCallback(sys.argv[1])

def objective(trial):
    time.sleep(0.1)
    return trial.suggest_float("x", 0, 1)

study.optimize(objective, n_trials=10, callbacks=[callback])
"""


def test_processes_that_share_a_study_write_each_trial_once(
    tmp_path: Path, tracking_uri: str
) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    optuna.create_study(study_name="mine", storage=storage)
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(run_python, tmp_path, "-c", SHARED, tracking_uri) for _ in range(2)]
    assert [end.result().returncode for end in ends] == [0, 0], ends[0].result().stderr
    trials = read_trials(storage, "mine")
    assert len(trials) == 20
    check_alone(trials, tracking_uri)
    client = MlflowClient(tracking_uri)
    experiment_id = client.get_experiment_by_name("mine").experiment_id
    deleted = client.search_runs([experiment_id], run_view_type=ViewType.DELETED_ONLY)
    # A run that both wrote in the moment that one of them ended: one of the two is in the trash.
    assert len(deleted) <= 1


def test_processes_that_begin_at_once_give_a_study_one_uid(storage: BaseStorage) -> None:
    study = optuna.create_study(study_name="mine", storage=storage)
    before = {_make_uid(study), _make_uid(study)}
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    uid = _make_uid(study)
    assert _make_uid(optuna.load_study(study_name="mine", storage=storage)) == uid
    optuna.delete_study(study_name="mine", storage=storage)
    again = optuna.create_study(study_name="mine", storage=storage)
    again.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len({*before, uid, _make_uid(again)}) == 4


FORKED = """
import multiprocessing, sys, optuna, hpo
from mlflow import MlflowClient
callback = hpo.MLflowCallback(sys.argv[1])

def optimize():
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend("optuna.log")
    )
    study = optuna.create_study(study_name="mine", storage=storage, load_if_exists=True)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2, callbacks=[callback])
    experiment = MlflowClient(sys.argv[1]).get_experiment_by_name("mine")
    runs = MlflowClient(sys.argv[1]).search_runs([experiment.experiment_id])
    assert len(runs) == len(study.trials)

if __name__ == "__main__":
    optimize()
    child = multiprocessing.get_context("fork").Process(target=optimize)
    child.start()
    child.join()
    assert child.exitcode == 0
    optimize()
"""


def test_callback_goes_on_in_a_process_that_is_forked(tmp_path: Path, tracking_uri: str) -> None:
    process = run_python(tmp_path, "-c", FORKED, tracking_uri)
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    client = MlflowClient(tracking_uri)
    runs = read_runs(client, client.get_experiment_by_name("mine").experiment_id)
    assert sorted(run.info.run_name for run in runs) == [*"012345"]


AWAY = """
import sys, time, warnings, optuna, hpo
study = optuna.create_study(study_name="mine", storage="sqlite:///optuna.db")
callback = hpo.MLflowCallback(sys.argv[1], wait_seconds=0.5)
started = time.monotonic()
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=6, callbacks=[callback])
optimized = time.monotonic()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    callback.close()
print(optimized - started, time.monotonic() - optimized, *[warning.message for warning in caught], sep="\\n")
"""


def test_server_that_never_answers_costs_the_search_seconds_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        process = run_python(tmp_path, "-c", AWAY, address)
    assert process.returncode == 0, process.stderr
    search_seconds, _, warning = process.stdout.splitlines()
    assert float(search_seconds) < 12
    assert warning.startswith("6 trials are not in MLflow: ")


def test_server_away_never_ends_the_study(tmp_path: Path, tracking_uri: str) -> None:
    process = run_python(tmp_path, "-c", AWAY, f"http://127.0.0.1:{free_port()}")
    assert process.returncode == 0, process.stderr
    search_seconds, closing_seconds, warning = process.stdout.splitlines()
    assert float(search_seconds) < 10
    assert float(closing_seconds) < 25
    assert warning.startswith("6 trials are not in MLflow: ")
    later = run_python(tmp_path, "-c", WITHOUT_A_BLOCK)
    assert later.returncode == 0, later.stderr
    trials = read_trials(f"sqlite:///{tmp_path}/optuna.db", "mine")
    assert len(trials) == 11
    check_alone(trials, tracking_uri)


WITHOUT_A_BLOCK = """
import optuna, hpo
study = optuna.create_study(study_name="mine", storage="sqlite:///optuna.db", load_if_exists=True)
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5, callbacks=[hpo.MLflowCallback()])
"""


def test_runs_are_completed_at_exit_without_a_with_block(tmp_path: Path, tracking_uri: str) -> None:
    process = run_python(tmp_path, "-c", WITHOUT_A_BLOCK)
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    trials = read_trials(f"sqlite:///{tmp_path}/optuna.db", "mine")
    assert len(trials) == 5
    check_alone(trials, tracking_uri)


LOCKED = """
import sqlite3, sys, time, optuna, hpo
storage = optuna.storages.RDBStorage("sqlite:///optuna.db", engine_kwargs={"connect_args": {"timeout": 0.5}})
study = optuna.create_study(study_name="mine", storage=storage)

def objective(trial):
    if trial.number == 2:
        time.sleep(4)
        other = sqlite3.connect("optuna.db")
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(2.5)
        other.close()
    return trial.suggest_float("x", 0, 1)

with hpo.MLflowCallback(sys.argv[1]) as callback:
    study.optimize(lambda trial: trial.number, n_trials=1, callbacks=[callback])
    study.optimize(objective, n_trials=4, callbacks=[callback])
assert callback.close().n_behind == 0
"""


def test_ledger_that_is_locked_for_a_while_is_asked_again(
    tmp_path: Path, tracking_uri: str
) -> None:
    process = run_python(tmp_path, "-c", LOCKED, tracking_uri)
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    check_projection(
        read_projection(
            read_trials(f"sqlite:///{tmp_path}/optuna.db", "mine"), tracking_uri, "mine"
        )
    )
