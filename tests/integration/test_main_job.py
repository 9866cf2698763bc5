"""The whole job: from data to a logged model, again, further, and through a timeout and signals."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

import hpo
from hpo.tracking.inline import InlineTracking
from tests.support.checker import check_stores, read_stores, read_trials, trial_table
from tests.support.commands import (
    COMMAND_SECONDS,
    kill_when_told,
    run_hpo_well,
    start_hpo,
    wait_until,
)
from tests.support.here import run_here, run_here_well
from tests.support.sharing import FinishedRun
from tests.support.stores import copy_directory, count_told, stores_of

WHOLE_FILES = {".hpo", "mlflow.db", "mlruns", "optuna.db"}
"""All that a run leaves: no lock and no log of SQLite's beside the databases."""


def table_of(directory: Path, study: str = "iris") -> list[tuple[str, ...]]:
    return trial_table(stores_of(directory)["storage"], study)


def test_first_run_prints_its_report_and_nothing_else(finished: FinishedRun) -> None:
    assert (finished.returncode, finished.stderr) == (0, "")
    picture = read_stores(**stores_of(finished.directory))
    lines = finished.stdout.splitlines()
    assert lines[0] == f"verdict   {picture.parent.data.tags['hpo.verdict']}"
    assert lines[1].startswith("against   always answering '")
    assert lines[2] == "study     iris: 50 trials (50 complete)"
    facts = dict(line.split(maxsplit=1) for line in lines[3:11])
    assert list(facts) == [
        "columns",
        "best",
        "cv",
        "hold-out",
        "gain",
        "optimism",
        "model",
        "pages",
    ]
    assert facts["columns"] == "4 numeric"
    assert facts["best"].startswith(f"trial {picture.model.tags['hpo.best_trial']}: ")
    assert facts["model"] == picture.model.model_uri
    assert facts["pages"].startswith("optuna-dashboard sqlite:///optuna.db  ->  http://")
    page = f"/#/experiments/{picture.experiment.experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    (view,) = [
        name.rpartition(".")[2]
        for name in picture.experiment.tags
        if name.startswith("mlflow.sharedViewState.")
    ]
    assert [line.strip() for line in lines[11:]] == [
        f"mlflow ui  ->  http://127.0.0.1:5000{page}&viewStateShareKey={view}",
        "next      python -m hpo.ui  (both pages)",
        f"python -m hpo.predict {picture.model.model_uri} ROWS.csv  (score a table)",
        "the same command with --trials 100  (search on)",
    ]


def test_trials_of_iris_are_those_of_hpo_before_it_knew_other_estimators(directory: Path) -> None:
    """Under the rule of that time; another processor may round the last bits."""
    kept = json.loads((Path(__file__).parents[1] / "data" / "iris_trials.json").read_text())
    hpo.run_study(
        hpo.load_definition(overrides={"study.n_trials": 50, "estimator.rule": 1}),
        hpo.ServiceSettings(**stores_of(directory), workers=1, plots=False),
        tracking=InlineTracking(),
    )
    trials = read_trials(stores_of(directory)["storage"])
    assert len(trials) == len(kept) == 50
    for trial, before in zip(trials, kept, strict=True):
        assert trial.params.keys() == before["params"].keys()
        for name, value in before["params"].items():
            is_text = isinstance(value, str)
            assert trial.params[name] == (value if is_text else pytest.approx(value, rel=1e-9))
        scores = trial.user_attrs["hpo.scores"]
        assert scores["accuracy"] == before["scores"]["accuracy"]
        assert scores["neg_log_loss"] == pytest.approx(before["scores"]["neg_log_loss"], rel=1e-9)


def test_first_run_leaves_both_stores_in_agreement(finished: FinishedRun) -> None:
    picture = check_stores(**stores_of(finished.directory), n_trials=50)
    assert {run.info.status for run in picture.children.values()} == {"FINISHED"}
    assert len(picture.models) == 1


def test_first_trial_has_the_defaults_of_scikit_learn(finished: FinishedRun) -> None:
    trial = read_stores(**stores_of(finished.directory)).trials[0]
    assert trial.params == {"penalty": "l2", "C": 1.0, "class_weight": "none"}


def test_parent_run_says_where_the_study_comes_from(finished: FinishedRun) -> None:
    stores = stores_of(finished.directory)
    picture, client = read_stores(**stores), MlflowClient(stores["tracking_uri"])
    parent, tags = picture.parent, picture.parent.data.tags
    assert picture.experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    (dataset_input,) = parent.inputs.dataset_inputs
    assert dataset_input.dataset.name == "iris"
    assert dataset_input.dataset.digest == tags["hpo.data_digest"]
    assert {run.data.tags["hpo.data_digest"] for run in picture.children.values()} == {
        tags["hpo.data_digest"]
    }
    assert json.loads(dataset_input.dataset.profile)["num_rows"] == 120
    assert tags["hpo.version.optuna"] == optuna.__version__
    assert tags.keys() >= {
        f"hpo.version.{name}"
        for name in ("mlflow", "scikit-learn", "numpy", "pandas", "python", "blas")
    }
    artifacts = {file.path for file in client.list_artifacts(parent.info.run_id, "study")}
    assert artifacts == {
        "study/definition.json",
        "study/search_space.json",
        "study/optuna_journal.log",
    }


def test_logged_definition_is_the_complete_one(finished: FinishedRun, tmp_path: Path) -> None:
    stores = stores_of(finished.directory)
    picture, client = read_stores(**stores), MlflowClient(stores["tracking_uri"])
    path = client.download_artifacts(
        picture.parent.info.run_id, "study/definition.json", str(tmp_path)
    )
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    expected = hpo.StudyDefinition().model_dump(mode="json")
    # Nothing is left to the data: the estimator is the one that was searched.
    assert content == {**expected, "estimator": {"name": "LogisticRegression", "rule": 2}}
    assert content["study"]["n_trials"] == 50
    assert content["search_space"]["C"] == {"low": 1e-4, "high": 1e4, "log": True}


def test_parent_run_has_the_best_so_far_by_trial(finished: FinishedRun) -> None:
    stores = stores_of(finished.directory)
    picture, client = read_stores(**stores), MlflowClient(stores["tracking_uri"])
    history = client.get_metric_history(picture.parent.info.run_id, "best_cv_accuracy_mean")
    values = [trial.value for trial in picture.trials]
    assert sorted((point.step, point.value) for point in history) == [
        (n, max(values[: n + 1])) for n in range(50)
    ]


def test_parent_run_ends_after_its_children(finished: FinishedRun) -> None:
    picture = read_stores(**stores_of(finished.directory))
    assert picture.parent.info.end_time >= max(
        run.info.end_time for run in picture.children.values()
    )


def test_parent_run_starts_before_its_children(finished: FinishedRun) -> None:
    picture = read_stores(**stores_of(finished.directory))
    assert picture.parent.info.start_time <= min(
        run.info.start_time for run in picture.children.values()
    )


@pytest.mark.parametrize("n_trials", ["50", "10"])
def test_as_many_trials_or_fewer_change_nothing_and_it_says_so(
    finished_copy: Path, n_trials: str
) -> None:
    stores = stores_of(finished_copy)
    before, table = read_stores(**stores), table_of(finished_copy)
    report = run_here_well(finished_copy, "--trials", n_trials)
    assert "50 trials (50 complete); all done before, nothing was changed" in report
    after = check_stores(**stores, n_trials=50)
    assert table_of(finished_copy) == table
    assert [model.to_dictionary() for model in after.models] == [
        model.to_dictionary() for model in before.models
    ]
    assert after.parent.to_dictionary() == before.parent.to_dictionary()
    assert {n: run.to_dictionary() for n, run in after.children.items()} == {
        n: run.to_dictionary() for n, run in before.children.items()
    }


def test_longer_search_continues_as_if_never_ended(finished_copy: Path, directory: Path) -> None:
    before = read_stores(**stores_of(finished_copy))
    report = run_here_well(finished_copy, "--trials", "80")
    assert "iris: 80 trials (80 complete)\n" in report
    after = check_stores(**stores_of(finished_copy), n_trials=80)
    assert after.parent.info.run_id == before.parent.info.run_id
    run_here_well(directory, "--trials", "80")
    undisturbed = check_stores(**stores_of(directory), n_trials=80)
    assert table_of(finished_copy) == table_of(directory)
    assert set(after.model_by_trial) == set(before.model_by_trial) | set(undisturbed.model_by_trial)
    assert after.model.params == undisturbed.model.params
    assert {(m.key, m.value) for m in after.model.metrics} == {
        (m.key, m.value) for m in undisturbed.model.metrics
    }


NAMED = ("--name", "elsewhere", "--register", "flowers")


@pytest.fixture(scope="module")
def one_trial(make_directory: Callable[[str], Path]) -> FinishedRun:
    """A run of one trial under another name, its model registered, its report as JSON; for tests
    that only read.
    """
    directory = make_directory("one-trial")
    return FinishedRun.of(directory, run_here(directory, "--trials", "1", "--json", *NAMED))


def test_json_is_one_object_with_every_key(one_trial: FinishedRun) -> None:
    assert (one_trial.returncode, one_trial.stderr) == (0, "")
    assert one_trial.stdout.count("\n") == 1
    content = json.loads(one_trial.stdout)
    picture = check_stores(**stores_of(one_trial.directory), n_trials=1, study="elsewhere")
    trial, run = picture.trials[0], picture.children[0]
    seconds = content.pop("seconds")
    assert 0 < seconds.pop("search") < seconds.pop("total") < COMMAND_SECONDS
    assert seconds == {}
    constant = content["constant"]
    assert constant["answer"] == "always answering '0'"
    assert constant["scores"]["accuracy"] == pytest.approx(1 / 3)
    assert constant["gain"]["value"] == content["holdout"]["accuracy"] - 1 / 3
    calibration = content["calibration"]
    assert (calibration["asked"], calibration["method"]) == ("none", "none")
    assert calibration["gain"] is None
    assert calibration["log_loss"]["value"] == pytest.approx(-content["holdout"]["neg_log_loss"])
    assert calibration["brier"]["low"] < calibration["brier"]["value"]
    assert content == {
        "verdict": "Tuning changed nothing: the defaults are what was chosen",
        "constant": constant,
        "calibration": calibration,
        "notes": [],
        "caution": None,
        "ended": "finished",
        "n_missing": 0,
        "n_not_converged": 0,
        "study": "elsewhere",
        "storage": "sqlite:///optuna.db",
        "tracking_uri": "sqlite:///mlflow.db",
        "experiment_id": picture.experiment.experiment_id,
        "parent_run_id": picture.parent.info.run_id,
        "n_trials": {"complete": 1, "pruned": 0, "failed": 0},
        "baseline": {"value": trial.value},
        "best": {
            "number": 0,
            "value": trial.value,
            "std": run.data.metrics["cv_accuracy_std"],
            "params": {**trial.params, **trial.user_attrs["hpo.derived"]},
            "chosen": trial.params,
            "converged": True,
            "run_id": run.info.run_id,
            "rule": "best",
            "refit": "train",
        },
        "ties": {"n_tied": 1, "n_complete": 1},
        "holdout_score": content["holdout_score"],
        "gain": {"value": 0.0, "low": 0.0, "high": 0.0},
        "optimism": content["optimism"],
        "nested": None,
        "holdout": {
            point.key.removeprefix("test_"): point.value for point in picture.model.metrics
        },
        "model_uri": picture.model.model_uri,
        "registry": {
            "name": "flowers",
            "version": 1,
            "decision": "champion",
            "comparison": "there was no champion",
            "champion": 1,
        },
        "tracking": "complete",
    }


def test_better_trial_supersedes_the_earlier_model(
    one_trial: FinishedRun, finished: FinishedRun, tmp_path: Path
) -> None:
    values = [trial.value for trial in read_stores(**stores_of(finished.directory)).trials]
    n_trials = 1 + next(number for number, value in enumerate(values) if value > values[0])
    directory = copy_directory(one_trial.directory, tmp_path / "copy")
    run_here_well(directory, "--trials", str(n_trials), *NAMED)
    picture = check_stores(**stores_of(directory), n_trials=n_trials, study="elsewhere")
    assert sorted(picture.model_by_trial) == [0, n_trials - 1]
    first, better = picture.model_by_trial[0], picture.model_by_trial[n_trials - 1]
    assert first.model_uri == json.loads(one_trial.stdout)["model_uri"]
    assert first.tags["hpo.superseded_by"] == better.model_id
    versions = MlflowClient(stores_of(directory)["tracking_uri"]).search_model_versions(
        "name = 'flowers'"
    )
    assert {int(version.version): version.source for version in versions} == {
        1: first.model_uri,
        2: better.model_uri,
    }


def test_model_is_registered_in_the_store_that_was_given(
    empty_databases: Path, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/runs.db"
    shutil.copy(empty_databases / "mlflow.db", tmp_path / "runs.db")
    process = run_here(tmp_path, "--trials", "1", "--tracking-uri", uri, "--register", "flowers")
    assert (process.returncode, process.stderr) == (0, "")
    picture = check_stores(f"sqlite:///{tmp_path}/optuna.db", uri, n_trials=1)
    (version,) = MlflowClient(uri).search_model_versions("name = 'flowers'")
    assert version.source == picture.model.model_uri
    assert not (tmp_path / "mlflow.db").exists()


def check_end_is_undisturbed(finished: FinishedRun, directory: Path) -> None:
    undisturbed = read_stores(**stores_of(finished.directory))
    picture = check_stores(**stores_of(directory), n_trials=50)
    assert table_of(directory) == table_of(finished.directory)
    assert picture.model.params == undisturbed.model.params
    assert {(m.key, m.value) for m in picture.model.metrics} == {
        (m.key, m.value) for m in undisturbed.model.metrics
    }


def interrupt(
    directory: Path, number: signal.Signals, send: Callable[[int, int], None], *, n_told: int
) -> tuple[int, str]:
    """Start the command, send it a signal once so many trials are finished; gives exit code and
    standard error.
    """
    process = start_hpo(directory, "--trials", "50")
    wait_until(lambda: count_told(directory) >= n_told, process)
    send(process.pid, number)
    stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
    assert stdout == ""
    return process.returncode, stderr


def test_kill_timeout_and_signals_leave_whole_files_and_the_next_run_goes_on(
    finished: FinishedRun, directory: Path
) -> None:
    """Whole files and one hidden folder; a kill's are whole after the next run."""
    kill_when_told(directory, 3, "--trials", "50")
    assert {path.name for path in directory.iterdir()} > {"optuna.db-wal", "optuna.db-shm"}
    # A terminal's Ctrl-C reaches the whole group, docker stop only the first process.
    for number, send in ((signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)):
        exit_code, stderr = interrupt(directory, number, send, n_told=count_told(directory) + 3)
        assert {path.name for path in directory.iterdir()} == WHOLE_FILES
        n_told = count_told(directory)
        assert exit_code == 128 + number
        assert stderr == (
            "hpo: ending after the fit in hand; Ctrl-C again ends at once\n"
            f"hpo: stopped by {number.name} with {n_told} of 50 trials done (run the same command again to go on)\n"
        )
        assert n_told < 50
    report = run_hpo_well(directory, "--trials", "50", "--timeout", "0.2")
    assert {path.name for path in directory.iterdir()} == WHOLE_FILES
    before, n_told = n_told, count_told(directory)
    assert before < n_told < 50
    assert (
        f"iris: {n_told} trials ({n_told} complete);"
        f" the timeout ended the search, {50 - n_told} of 50 trials are missing\n"
    ) in report
    run_here_well(directory, "--trials", "50")
    check_end_is_undisturbed(finished, directory)


def test_changed_definition_is_refused_on_resume(finished_copy: Path) -> None:
    table = table_of(finished_copy)
    process = run_here(finished_copy, "--trials", "60", "--seed", "1")
    assert process.returncode == 2
    assert process.stderr == (
        "hpo: study 'iris' was begun with something else: study.seed 0 -> 1 (undo the change, or start another study with --name)\n"
    )
    assert table_of(finished_copy) == table


def test_pruned_trials_are_recorded_with_the_folds_they_had(
    directory: Path, write_study: Callable[[str], str]
) -> None:
    study = write_study('[study]\nname = "pruned"\nn_trials = 30\n[pruner]\nkind = "median"\n')
    report = run_here_well(directory, "--study", study)
    picture = check_stores(**stores_of(directory), n_trials=30, study="pruned")
    statuses = [run.info.status for run in picture.children.values()]
    assert statuses.count("KILLED") > 0
    assert (
        f"pruned: 30 trials ({statuses.count('FINISHED')} complete, {statuses.count('KILLED')} pruned)\n"
        in report
    )


def study_file(rule: str) -> str:
    return f'[study]\nname = "iris"\nn_trials = 50\n[selection]\nrule = "{rule}"\n'


def test_study_is_resumed_with_another_rule_and_back(finished_copy: Path) -> None:
    stores, path = stores_of(finished_copy), finished_copy / "study.toml"
    trials, before = table_of(finished_copy), check_stores(**stores, n_trials=50)
    path.write_text(study_file("one_standard_error"), encoding="utf-8")
    assert "the simplest within one standard error" in run_here_well(
        finished_copy, "--study", "study.toml"
    )
    other = read_stores(**stores)
    assert table_of(finished_copy) == trials
    assert len(other.models) == 2
    simpler, highest = (float(picture.model.params["C"]) for picture in (other, before))
    assert simpler < highest
    assert other.parent.data.tags["hpo.best_trial"] == other.model.tags["hpo.best_trial"]
    assert (
        other.parent.data.metrics.items()
        >= {point.key: point.value for point in other.model.metrics}.items()
    )
    path.write_text(study_file("best"), encoding="utf-8")
    run_here_well(finished_copy, "--study", "study.toml")
    after = check_stores(**stores, n_trials=50)
    assert after.model.model_id == before.model.model_id
    assert len(after.models) == 2
    assert after.parent.data.metrics == before.parent.data.metrics


def test_parent_run_says_how_sure_the_result_is(finished: FinishedRun) -> None:
    said = read_stores(**stores_of(finished.directory)).parent.data
    assert (
        said.tags["hpo.ties"]
        == f"{said.metrics['n_trials_tied']:.0f} of 50 trials tie within noise"
    )
    assert said.tags["hpo.gain"].endswith(
        "held-out rows: not measurably different from the defaults"
    )
    assert said.tags["hpo.selection_rule"] == "best"
    assert (
        said.metrics["gain_accuracy_low"]
        <= said.metrics["gain_accuracy"]
        <= said.metrics["gain_accuracy_high"]
    )
    assert (
        f"{said.metrics['gain_accuracy_low']:+.4f} to {said.metrics['gain_accuracy_high']:+.4f}"
        in finished.stdout
    )
