"""``hpo.MLflowCallback`` for those who come from Optuna's: its arguments, and what its runs said.

Nothing is closed here: people read MLflow right after ``study.optimize``.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import mlflow
import optuna
import optuna_integration
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import hpo
from hpo.errors import SettingsError
from tests.support.servers import free_port

N_TRIALS = 3


VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")


@pytest.fixture(autouse=True)
def _leave_mlflow_as_it_was() -> Iterator[None]:
    """MLflow keeps the active experiment and store in the module and in the environment."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.CRITICAL)
    kept = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    yield
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.tracking.fluent._active_experiment_id = None
    mlflow.set_tracking_uri(None)
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(kept)
    optuna.logging.set_verbosity(before)


def test_arguments_are_those_of_the_old_callback() -> None:
    old = signature(optuna_integration.MLflowCallback).parameters
    new = signature(hpo.MLflowCallback).parameters
    assert list(new)[: len(old)] == list(old)
    for name, parameter in old.items():
        assert (new[name].default, new[name].kind) == (parameter.default, parameter.kind)
    for name in list(new)[len(old) :]:
        assert new[name].kind == Parameter.KEYWORD_ONLY


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -1, 1)
    trial.suggest_categorical("kind", ["a", "b"])
    trial.set_user_attr("note", f"of {trial.number}")
    return x


def two_objectives(trial: optuna.Trial) -> tuple[float, float]:
    x = trial.suggest_float("x", -1, 1)
    return x, -x


def optimize(
    callback: hpo.MLflowCallback,
    function: Any = objective,
    *,
    directions: tuple[str, ...] = ("minimize",),
    n_jobs: int = 1,
) -> optuna.Study:
    study = optuna.create_study(study_name="mine", directions=list(directions))
    study.set_user_attr("owner", "me")
    study.optimize(function, n_trials=N_TRIALS, n_jobs=n_jobs, callbacks=[callback])
    return study


def read_runs(tracking_uri: str, experiment: str = "mine") -> list[Run]:
    """An experiment's runs that are not parents, in the order of the trials."""
    client = MlflowClient(tracking_uri)
    found = client.get_experiment_by_name(experiment)
    runs = [] if found is None else client.search_runs([found.experiment_id])
    of_trials = [run for run in runs if "trial_number" in run.data.metrics]
    return sorted(of_trials, key=lambda run: run.data.metrics["trial_number"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [("loss", ("loss_0", "loss_1")), (["a", "b"], ("a", "b")), (("a", "b"), ("a", "b"))],
)
def test_several_objectives_have_a_metric_each(
    tracking_uri: str, given: Any, expected: tuple[str, str]
) -> None:
    callback = hpo.MLflowCallback(tracking_uri, given)
    study = optimize(callback, two_objectives, directions=("minimize", "maximize"))
    runs = read_runs(tracking_uri)
    assert len(runs) == N_TRIALS
    for run, trial in zip(runs, study.trials, strict=True):
        assert [run.data.metrics[name] for name in expected] == trial.values
        assert run.data.tags["direction"] == "['MINIMIZE', 'MAXIMIZE']"


def test_list_of_one_name_names_the_one_value(tracking_uri: str) -> None:
    study = optimize(hpo.MLflowCallback(tracking_uri, ["loss"]))
    values = [run.data.metrics["loss"] for run in read_runs(tracking_uri)]
    assert values == [trial.value for trial in study.trials]


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_names_that_do_not_match_the_values_are_refused(
    tracking_uri: str, names: list[str]
) -> None:
    callback = hpo.MLflowCallback(tracking_uri, names)
    with pytest.raises(ValueError, match=r"a name for each of the 2 values .* but got"):
        optimize(callback, two_objectives, directions=("minimize", "minimize"))


@pytest.mark.parametrize("name", [None, 3, []])
def test_metric_name_that_is_no_name_is_refused(tracking_uri: str, name: Any) -> None:
    with pytest.raises(TypeError, match="metric_name should be a string or a sequence"):
        hpo.MLflowCallback(tracking_uri, name)


def test_runs_say_what_they_said_before(tracking_uri: str) -> None:
    study = optimize(hpo.MLflowCallback(tracking_uri))
    for run, trial in zip(read_runs(tracking_uri), study.trials, strict=True):
        assert run.info.run_name == str(trial.number)
        assert run.data.params == {name: str(value) for name, value in trial.params.items()}
        assert run.data.metrics["value"] == trial.value
        expected = {
            "number": str(trial.number),
            "state": "COMPLETE",
            "direction": "MINIMIZE",
            "datetime_start": str(trial.datetime_start),
            "datetime_complete": str(trial.datetime_complete),
            "x_distribution": str(trial.distributions["x"]),
            "kind_distribution": str(trial.distributions["kind"]),
            "note": f"of {trial.number}",
        }
        assert expected.items() <= run.data.tags.items()
        assert "owner" not in run.data.tags


@pytest.mark.parametrize("of_study", [True, False])
@pytest.mark.parametrize("of_trial", [True, False])
def test_user_attributes_become_tags_where_asked_for(
    tracking_uri: str, of_study: bool, of_trial: bool
) -> None:
    callback = hpo.MLflowCallback(
        tracking_uri, tag_study_user_attrs=of_study, tag_trial_user_attrs=of_trial
    )
    optimize(callback)
    for run in read_runs(tracking_uri):
        assert ("owner" in run.data.tags) == of_study
        assert ("note" in run.data.tags) == of_trial
        assert "hpo.uid" not in run.data.tags


def test_long_attribute_is_cut(tracking_uri: str) -> None:
    def verbose(trial: optuna.Trial) -> float:
        trial.set_user_attr("note", "x" * 20_000)
        return 0.0

    optimize(hpo.MLflowCallback(tracking_uri), verbose)
    assert {len(run.data.tags["note"]) for run in read_runs(tracking_uri)} == {8000}


def test_trial_without_a_value_has_no_metric(tracking_uri: str) -> None:
    optimize(hpo.MLflowCallback(tracking_uri), lambda _: float("nan"))
    runs = read_runs(tracking_uri)
    assert [run.info.status for run in runs] == ["FAILED"] * N_TRIALS
    assert ["value" in run.data.metrics for run in runs] == [False] * N_TRIALS


def test_run_name_and_tags_are_on_every_run(tracking_uri: str) -> None:
    tags = {"team": 7, "mlflow.runName": "another", "odd?name": True}
    optimize(hpo.MLflowCallback(tracking_uri, mlflow_kwargs={"run_name": "ours", "tags": tags}))
    runs = read_runs(tracking_uri)
    assert [run.info.run_name for run in runs] == ["ours"] * N_TRIALS
    assert {run.data.tags["team"] for run in runs} == {"7"}
    assert {run.data.tags["odd_name"] for run in runs} == {"True"}


def test_other_arguments_of_a_run_are_named(tracking_uri: str) -> None:
    with pytest.warns(UserWarning, match="but got description, run_id, which have no effect"):
        hpo.MLflowCallback(tracking_uri, mlflow_kwargs={"description": "", "run_id": "x"})


def test_two_experiments_are_refused(tracking_uri: str) -> None:
    with pytest.raises(ValueError, match="should not both be given, but got 'a' and '1'"):
        hpo.MLflowCallback(tracking_uri, experiment_name="a", mlflow_kwargs={"experiment_id": 1})


@pytest.mark.parametrize("name", [None, "theirs"])
def test_existing_experiment_is_used_where_none_is_to_be_made(
    tracking_uri: str, name: str | None
) -> None:
    if name is not None:
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_experiment(name)
    optimize(hpo.MLflowCallback(tracking_uri, create_experiment=False))
    assert len(read_runs(tracking_uri, name or "Default")) == N_TRIALS
    assert MlflowClient(tracking_uri).get_experiment_by_name("mine") is None


def test_experiment_of_the_environment_is_used(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of the environment")
    optimize(hpo.MLflowCallback(tracking_uri, create_experiment=False))
    assert len(read_runs(tracking_uri, "of the environment")) == N_TRIALS


@pytest.mark.parametrize("creates", [True, False])
def test_experiment_id_goes_before_all(tracking_uri: str, creates: bool) -> None:
    experiment_id = MlflowClient(tracking_uri).create_experiment("theirs")
    arguments = {"experiment_id": experiment_id}
    optimize(hpo.MLflowCallback(tracking_uri, "value", creates, arguments))
    assert len(read_runs(tracking_uri, "theirs")) == N_TRIALS
    assert MlflowClient(tracking_uri).get_experiment_by_name("mine") is None


def test_store_that_is_set_after_the_callback_was_made_is_used(tracking_uri: str) -> None:
    callback = hpo.MLflowCallback()
    mlflow.set_tracking_uri(tracking_uri)
    optimize(callback)
    assert len(read_runs(tracking_uri)) == N_TRIALS


def test_file_store_is_taken_where_mlflow_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"file:{tmp_path}/runs"
    with pytest.raises(SettingsError, match="tracking URI should start with"):
        hpo.MLflowCallback(uri)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    optimize(hpo.MLflowCallback(uri))
    assert len(read_runs(uri)) == N_TRIALS


def test_file_that_is_written_meanwhile_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = f"file:{tmp_path}/runs"
    first = hpo.MLflowCallback(uri)
    study = optimize(first)
    first.close()
    (run, *_) = read_runs(uri)
    metric = tmp_path / "runs" / run.info.experiment_id / run.info.run_id / "metrics" / "value"
    content = metric.read_text()
    metric.write_text("")
    callback = hpo.MLflowCallback(uri)
    study.optimize(objective, n_trials=1, callbacks=[callback])
    metric.write_text(content)
    assert callback.close().n_behind == 0
    assert len(read_runs(uri)) == N_TRIALS + 1


def test_file_store_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    callback = hpo.MLflowCallback(f"file:{tmp_path}/runs", wait_seconds=0.5)
    study = optimize(callback)
    shutil.rmtree(tmp_path / "runs")
    study.optimize(objective, n_trials=1, callbacks=[callback])
    with pytest.warns(UserWarning, match="does not exist"):
        state = callback.close()
    assert state.tracking_problem is not None


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("nested", [{}, {"nested": True}, {"nested": False}])
def test_runs_go_below_the_active_run(
    tracking_uri: str, nested: dict[str, bool], n_jobs: int
) -> None:
    callback = hpo.MLflowCallback(tracking_uri, mlflow_kwargs=nested)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment("theirs")
    with mlflow.start_run() as outer:
        optimize(callback, n_jobs=n_jobs)
        assert mlflow.active_run().info.run_id == outer.info.run_id
        runs = read_runs(tracking_uri, "theirs")
        parents = {run.data.tags["mlflow.parentRunId"] for run in runs}
        assert len(runs) == N_TRIALS
        assert parents == {outer.info.run_id}
        assert mlflow.get_run(outer.info.run_id).info.status == "RUNNING"
    assert len(MlflowClient().search_runs([outer.info.experiment_id])) == N_TRIALS + 1


def test_block_below_an_active_run_makes_no_parent_of_its_own(tracking_uri: str) -> None:
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow.start_run() as outer, hpo.MLflowCallback() as callback:
        optimize(callback)
    runs = MlflowClient().search_runs([outer.info.experiment_id])
    parents = [run.data.tags.get("mlflow.parentRunId") for run in runs]
    assert sorted(parents, key=str) == sorted([None, *[outer.info.run_id] * 3], key=str)
    assert mlflow.get_run(outer.info.run_id).data.metrics == {}


def test_next_active_run_gets_the_next_trials(tracking_uri: str) -> None:
    mlflow.set_tracking_uri(tracking_uri)
    callback = hpo.MLflowCallback()
    study = optuna.create_study(study_name="mine")
    outer_ids = []
    for _ in range(2):
        with mlflow.start_run() as outer:
            outer_ids.append(outer.info.run_id)
            study.optimize(objective, n_trials=2, callbacks=[callback])
    with callback:
        study.optimize(objective, n_trials=1, callbacks=[callback])
    first, second = (
        MlflowClient().search_runs(
            [outer.info.experiment_id], f"tags.`mlflow.parentRunId` = '{outer_id}'"
        )
        for outer_id in outer_ids
    )
    assert sorted(run.info.run_name for run in first) == ["0", "1"]
    assert sorted(run.info.run_name for run in second) == ["2", "3"]
    # No trial has a second run in the experiment that the last one went to.
    assert [run.info.run_name for run in read_runs(tracking_uri)] == ["4"]


@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_run_that_a_person_deleted_stays_deleted(tracking_uri: str, is_elsewhere: bool) -> None:
    mlflow.set_tracking_uri(tracking_uri)
    study = optuna.create_study(study_name="mine")
    with mlflow.start_run() if is_elsewhere else nullcontext():
        study.optimize(objective, n_trials=2, callbacks=[hpo.MLflowCallback()])
    deleted, _ = read_runs(tracking_uri, "Default" if is_elsewhere else "mine")
    mlflow.delete_run(deleted.info.run_id)
    callback = hpo.MLflowCallback()
    study.optimize(objective, n_trials=1, callbacks=[callback])
    assert callback.close().n_behind == 0
    expected = ["2"] if is_elsewhere else ["1", "2"]
    assert [run.info.run_name for run in read_runs(tracking_uri)] == expected


def test_active_run_of_another_store_is_nobodys_parent(tracking_uri: str, tmp_path: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/other.db")
    callback = hpo.MLflowCallback(tracking_uri)
    with mlflow.start_run():
        optimize(callback)
    runs = read_runs(tracking_uri)
    assert len(runs) == N_TRIALS
    assert {"mlflow.parentRunId" in run.data.tags for run in runs} == {False}


class OddError(Exception):
    """An objective's own error."""


def logging_objective(trial: optuna.Trial) -> float:
    """Logs what only it knows."""
    mlflow.log_metric("more", 3.5 + trial.number)
    x = trial.suggest_float("x", -1, 1)
    if trial.number % 3 == 1:
        raise optuna.TrialPruned
    if trial.number % 3 == 2:
        raise OddError
    return x


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
@pytest.mark.parametrize("has_block", [True, False])
def test_objective_logs_to_its_trials_run(tracking_uri: str, n_jobs: int, has_block: bool) -> None:
    callback = hpo.MLflowCallback(tracking_uri, mlflow_kwargs={"tags": {"team": "us"}})
    tracked = callback.track_in_mlflow()(logging_objective)
    assert tracked.__name__ == "logging_objective"
    assert tracked.__doc__ == logging_objective.__doc__
    study = optuna.create_study(study_name="mine")
    arguments = {"n_trials": 6, "n_jobs": n_jobs, "catch": (OddError,), "callbacks": [callback]}
    if has_block:
        with callback:
            study.optimize(tracked, **arguments)
    else:
        study.optimize(tracked, **arguments)
    assert mlflow.active_run() is None
    runs = read_runs(tracking_uri)
    experiment = MlflowClient(tracking_uri).get_experiment_by_name("mine")
    assert len(MlflowClient().search_runs([experiment.experiment_id])) == 6 + has_block
    for run, trial in zip(runs, study.trials, strict=True):
        assert run.data.metrics["more"] == 3.5 + trial.number
        assert run.data.params == {"x": str(trial.params["x"])}
        assert run.info.status == ["FINISHED", "KILLED", "FAILED"][trial.number % 3]
        assert abs(run.info.end_time - trial.datetime_complete.timestamp() * 1000) <= 1
        assert run.data.tags["state"] == trial.state.name
        assert run.data.tags["team"] == "us"
        assert ("mlflow.parentRunId" in run.data.tags) == has_block


def test_objective_that_ends_or_leaves_runs_itself_does_no_harm(tracking_uri: str) -> None:
    callback = hpo.MLflowCallback(tracking_uri)

    @callback.track_in_mlflow()
    def careless(trial: optuna.Trial) -> float:
        mlflow.log_metric("more", 1.0)
        if trial.number == 0:
            mlflow.end_run()
        else:
            mlflow.start_run(nested=True)
        return 0.0

    optimize(callback, careless)
    assert mlflow.active_run() is None
    runs = read_runs(tracking_uri)
    assert [run.info.status for run in runs] == ["FINISHED"] * N_TRIALS
    assert [run.data.metrics["more"] for run in runs] == [1.0] * N_TRIALS


def test_param_that_an_objective_logged_stays(tracking_uri: str) -> None:
    callback = hpo.MLflowCallback(tracking_uri)

    @callback.track_in_mlflow()
    def rounding(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -1, 1)
        trial.suggest_int("n", 1, 9)
        mlflow.log_param("x", f"{x:.1f}")
        return x

    study = optimize(callback, rounding)
    for run, trial in zip(read_runs(tracking_uri), study.trials, strict=True):
        assert run.data.params == {"x": f"{trial.params['x']:.1f}", "n": str(trial.params["n"])}


def test_objective_that_deletes_its_run_does_no_harm(tracking_uri: str) -> None:
    callback = hpo.MLflowCallback(tracking_uri)

    @callback.track_in_mlflow()
    def deleting(trial: optuna.Trial) -> float:
        if trial.number == 0:
            mlflow.delete_run(mlflow.active_run().info.run_id)
        return 0.0

    optimize(callback, deleting)
    assert callback.close().n_behind == 0
    assert len(read_runs(tracking_uri)) == N_TRIALS


def test_run_that_an_objective_began_is_completed_by_any_callback(tracking_uri: str) -> None:
    study = optuna.create_study(study_name="mine")
    tracked = hpo.MLflowCallback(tracking_uri).track_in_mlflow()(logging_objective)
    trial = study.ask()
    study.tell(trial, tracked(trial))
    hpo.MLflowCallback(tracking_uri)(study, study.trials[0])
    (run,) = read_runs(tracking_uri)
    assert run.data.metrics["more"] == 3.5
    assert run.data.metrics["value"] == study.trials[0].value


def test_objective_is_called_where_mlflow_is_away() -> None:
    callback = hpo.MLflowCallback(f"http://127.0.0.1:{free_port()}", wait_seconds=0.0)

    @callback.track_in_mlflow()
    def tracked(trial: optuna.Trial) -> float:
        return float(mlflow.active_run() is not None) + trial.number

    study = optimize(callback, tracked)
    assert [trial.value for trial in study.trials] == [0.0, 1.0, 2.0]
    with pytest.warns(UserWarning, match="3 trials are not in MLflow"):
        callback.close()
