"""``list``, ``export`` and ``delete``: what they say, and what is in both stores afterwards."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from hpo.errors import TrackingError
from hpo.ledger.lock import hold_locks
from hpo.ledger.storage import open_driven
from hpo.tracking import trash
from hpo.tracking.callback import MLflowCallback
from tests.support.checker import check_stores, read_trials
from tests.support.here import Ended, call_main, run_here_well
from tests.support.stores import close_stores, copy_directory, stores_of

N_TRIALS = 4


@pytest.fixture(scope="module")
def made(make_directory) -> Path:
    """A directory with a study whose model is registered, and one with nested studies."""
    directory = make_directory("studies")
    run_here_well(directory, "--trials", str(N_TRIALS), "--register", "flower")
    flags = ("--data", "wine", "--trials", "2", "--nested", "2", "--quiet")
    call_main(directory, "run", *flags, "--no-plots", HPO_WORKERS="1")
    return directory


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return copy_directory(made, tmp_path / "copy")


def well(ended: Ended) -> str:
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout


def refused(ended: Ended, exit_code: int, line: str) -> None:
    assert (ended.returncode, ended.stdout) == (exit_code, "")
    assert ended.stderr == f"hpo: {line}\n"


def names(directory: Path) -> list[str]:
    studies = json.loads(call_main(directory, "list", "--json").stdout)["studies"]
    return [study["name"] for study in studies]


@contextmanager
def client_of(directory: Path) -> Iterator[MlflowClient]:
    close_stores()
    yield MlflowClient(f"sqlite:///{directory}/mlflow.db")
    close_stores()


def test_list_says_how_far_each_study_is_and_where(made):
    header, *lines = well(call_main(made, "list")).splitlines()
    assert header.split() == ["study", "trials", "best", "MLflow"]
    trials = read_trials(stores_of(made)["storage"])
    best = max(trial.value for trial in trials)
    assert lines[0].split("  ")[0] == "iris"
    assert f"{N_TRIALS} complete  {best:.4f} accuracy  experiment 1" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == [
        "wine",
        "wine.nested-1-of-2",
        "wine.nested-2-of-2",
    ]


def test_list_as_json(made):
    studies = json.loads(well(call_main(made, "list", "--json")))["studies"]
    iris = next(study for study in studies if study["name"] == "iris")
    trials = read_trials(stores_of(made)["storage"])
    assert iris["states"] == {"COMPLETE": N_TRIALS}
    assert iris["best"] == max(trial.value for trial in trials)
    assert (iris["metric"], iris["experiment_id"], iris["driver"]) == ("accuracy", "1", None)
    assert re.fullmatch("[0-9a-f]{32}", iris["uid"])


def test_list_of_studies_that_others_made(directory):
    storage = f"sqlite:///{directory}/optuna.db"
    lowest = optuna.create_study(storage=storage, study_name="low\n\x1b[31m", direction="minimize")
    lowest.optimize(lambda trial: trial.suggest_float("x", 1, 2), n_trials=2)
    lowest.enqueue_trial({"x": 1.0})
    two = optuna.create_study(storage=storage, study_name="two", directions=["minimize"] * 2)
    two.optimize(lambda trial: (trial.suggest_float("x", 1, 2), 0.0), n_trials=1)
    lines = well(call_main(directory, "list")).splitlines()[1:]
    (first, second) = (re.split(" {2,}", line) for line in lines)
    assert first == [r"low \x1b[31m", "2 complete, 1 queued", f"{lowest.best_value:.4f}"]
    assert second == ["two", "1 complete"]


def test_list_of_an_empty_storage_makes_nothing(tmp_path):
    ended = call_main(tmp_path, "list")
    line = "hpo: sqlite:///optuna.db has no study (python -m hpo.run makes one)\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", line)
    assert json.loads(call_main(tmp_path, "list", "--json").stdout) == {"studies": []}
    assert list(tmp_path.iterdir()) == []


def test_list_without_mlflow_shows_the_studies_and_says_so(made):
    ended = call_main(made, "list", "--tracking-uri", "http://127.0.0.1:9")
    assert ended.returncode == TrackingError.exit_code
    assert "iris" in ended.stdout
    assert ended.stderr.startswith("hpo: http://127.0.0.1:9 does not answer")


def test_list_names_who_drives_a_study(made):
    with hold_locks(made / "optuna.db", "iris"):
        lines = well(call_main(made, "list")).splitlines()
    assert f"pid {os.getpid()}" in lines[1]
    assert "pid" not in lines[2]


def test_export_has_every_trial_whole(made):
    table = pd.read_csv(io.StringIO(well(call_main(made, "export", "iris", "--csv"))))
    trials = read_trials(stores_of(made)["storage"])
    assert table["number"].tolist() == list(range(N_TRIALS))
    assert table["value"].tolist() == [trial.value for trial in trials]
    with client_of(made) as client:
        for row, trial in zip(table.to_dict("records"), trials, strict=True):
            run = client.get_run(row["run_id"])
            assert run.data.metrics["trial_number"] == trial.number
            params = {**trial.params, **trial.user_attrs["hpo.derived"]}
            assert {name: row[f"params_{name}"] for name in params} == params
            for scorer, scores in trial.user_attrs["hpo.scores"].items():
                assert [row[f"fold_{scorer}_{fold}"] for fold in range(5)] == scores
            assert pd.Timestamp(row["start"]).timestamp() == trial.datetime_start.timestamp()
            assert row["seconds"] == trial.duration.total_seconds()


def test_export_to_a_file_is_what_is_printed(made, tmp_path):
    printed = well(call_main(made, "export", "iris"))
    path = tmp_path / "trials.csv"
    assert well(call_main(made, "export", "iris", "--csv", str(path))) == ""
    both = tmp_path / "both.csv"
    content = well(call_main(made, "export", "iris", "--csv", str(both), "--json"))
    assert len(json.loads(content)["trials"]) == len(pd.read_csv(both))
    assert path.read_text(encoding="utf-8") == printed


def test_export_as_json(made):
    content = json.loads(well(call_main(made, "export", "iris", "--json")))
    trials = read_trials(stores_of(made)["storage"])
    assert content["study"] == "iris"
    assert [trial["scores"] for trial in content["trials"]] == [
        trial.user_attrs["hpo.scores"] for trial in trials
    ]


def test_export_is_safe_in_a_spreadsheet(directory):
    study = optuna.create_study(storage=f"sqlite:///{directory}/optuna.db", study_name="other")
    choices = ["=cmd|' /C calc'!A0"]
    study.optimize(lambda trial: len(trial.suggest_categorical("=x", choices)), n_trials=1)
    ((header, row),) = [
        list(csv.reader(io.StringIO(well(call_main(directory, "export", "other")))))
    ]
    assert row[header.index("params_=x")] == f"'{choices[0]}"
    assert row[header.index("run_id")] == ""


def test_export_of_a_study_without_trials_has_a_header(directory):
    optuna.create_study(storage=f"sqlite:///{directory}/optuna.db", study_name="empty")
    assert well(call_main(directory, "export", "empty")).startswith('"number","state","value"')


def test_export_to_a_file_that_is_no_table_is_one_line(made):
    ended = call_main(made, "export", "iris", "--csv", "trials.xlsx")
    assert ended.returncode == 2
    assert ended.stderr.startswith("hpo: data: a table's file should end in .csv")


@pytest.mark.parametrize("command", ["export", "delete"])
def test_study_that_is_not_there_is_one_line(made, command):
    line = "there is no study 'irsi' in sqlite:///optuna.db (did you mean 'iris'?)"
    refused(call_main(made, command, "irsi"), 2, line)


@pytest.mark.parametrize("command", ["export", "delete"])
def test_storage_that_is_not_there_is_one_line_and_not_made(tmp_path, command):
    line = "there is no study 'iris' in sqlite:///optuna.db (check --storage)"
    refused(call_main(tmp_path, command, "iris"), 2, line)
    assert list(tmp_path.iterdir()) == []


def test_delete_takes_a_study_from_both_places_and_its_name_is_free(copy):
    before = names(copy)
    printed = well(call_main(copy, "delete", "wine", "--yes"))
    assert printed.splitlines() == [
        "deleted   study 'wine' of sqlite:///optuna.db (trials: 2, nested studies: 2)",
        "trash     MLflow's experiment 2 (runs: 3, logged models: 1)",
    ]
    assert before == ["iris", "wine", "wine.nested-1-of-2", "wine.nested-2-of-2"]
    assert names(copy) == ["iris"]
    with client_of(copy) as client:
        assert client.get_experiment("2").lifecycle_stage == "deleted"
        assert client.get_experiment_by_name("wine") is None
        assert client.get_experiment("1").lifecycle_stage == "active"
    flags = ("--data", "wine", "--trials", "2")
    run_here_well(copy, *flags)
    check_stores(**stores_of(copy), n_trials=2, study="wine")


def test_delete_keeps_registered_versions_and_what_they_need(copy, tmp_path):
    printed = well(call_main(copy, "delete", "iris", "--yes"))
    assert printed.splitlines() == [
        f"deleted   study 'iris' of sqlite:///optuna.db (trials: {N_TRIALS})",
        f"trash     of MLflow's experiment 1 (runs: {N_TRIALS + 1}, logged models: 0)",
        "kept      flower version 1, with the logged models that they are made of",
    ]
    with client_of(copy) as client:
        assert client.search_runs(["1"], run_view_type=ViewType.ACTIVE_ONLY) == []
        assert len(client.search_logged_models(["1"])) == 1
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5,3,1.5,0.2\n"
    )
    assert well(call_main(copy, "predict", "models:/flower@champion", str(rows))).count("\n") == 2


def test_delete_says_as_json_what_it_did(copy):
    assert json.loads(well(call_main(copy, "delete", "iris", "--yes", "--json"))) == {
        "study": "iris",
        "n_trials": N_TRIALS,
        "nested": [],
        "experiments": [
            {
                "experiment_id": "1",
                "is_whole": False,
                "n_runs": N_TRIALS + 1,
                "n_models": 0,
                "kept_versions": [{"name": "flower", "version": 1}],
            }
        ],
    }


def test_delete_leaves_what_others_keep_in_the_experiment(copy):
    with client_of(copy) as client:
        theirs = client.create_run("2").info.run_id
    printed = well(call_main(copy, "delete", "wine", "--yes"))
    assert "trash     of MLflow's experiment 2 (runs: 3, logged models: 1)" in printed
    with client_of(copy) as client:
        (left,) = client.search_runs(["2"], run_view_type=ViewType.ACTIVE_ONLY)
        assert left.info.run_id == theirs
        assert client.search_logged_models(["2"]) == []


def test_delete_that_was_cut_off_goes_on(copy):
    uid = next(
        study["uid"]
        for study in json.loads(call_main(copy, "list", "--json").stdout)["studies"]
        if study["name"] == "wine"
    )
    with client_of(copy) as client:
        model = client.search_logged_models(["2"])[0].model_id
        client.delete_logged_model(model)
        client.rename_experiment("2", f"wine (deleted {uid[:8]})")
    printed = well(call_main(copy, "delete", "wine", "--yes"))
    assert "trash     MLflow's experiment 2 (runs: 3, logged models: 0)" in printed
    assert names(copy) == ["iris"]
    with client_of(copy) as client:
        experiment = client.get_experiment("2")
        assert (experiment.name, experiment.lifecycle_stage) == (
            f"wine (deleted {uid[:8]})",
            "deleted",
        )


def test_delete_after_mlflows_part_goes_on_with_the_ledger(copy):
    url = f"sqlite:///{copy}/mlflow.db"
    uid = json.loads(call_main(copy, "list", "--json").stdout)["studies"][1]["uid"]
    trash.move_to_trash(url, trash.find_holdings(url, uid), uid)
    close_stores()
    (line,) = well(call_main(copy, "delete", "wine", "--yes")).splitlines()
    assert line.startswith("deleted   study 'wine'")
    assert names(copy) == ["iris"]


def test_delete_without_mlflow_changes_nothing(copy):
    ended = call_main(copy, "delete", "wine", "--yes", "--tracking-uri", "http://127.0.0.1:9")
    assert ended.returncode == TrackingError.exit_code
    assert "wine" in names(copy)


def test_delete_refuses_while_a_driver_has_the_study(copy):
    with hold_locks(copy / "optuna.db", "wine"):
        ended = call_main(copy, "delete", "wine", "--yes")
    assert ended.returncode == 7
    assert re.fullmatch(
        r"hpo: study 'wine' is being driven by another process \(host .*\)"
        r" \(end that process first, then delete the study\)\n",
        ended.stderr,
    )
    assert "wine" in names(copy)


def test_delete_asks_first_and_a_program_says_yes(copy):
    refused(
        call_main(copy, "delete", "wine"),
        2,
        "this asks first, and standard input is no terminal (give --yes)",
    )
    assert "wine" in names(copy)


@pytest.mark.parametrize(("answer", "is_deleted"), [("y", True), ("n", False), ("", False)])
def test_answer_decides(copy, monkeypatch, answer, is_deleted):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal, os.fdopen(ours, "w") as keyboard:
        monkeypatch.setattr("sys.stdin", terminal)
        keyboard.write(f"{answer}\n")
        keyboard.flush()
        ended = call_main(copy, "delete", "wine")
    question = (
        "hpo: delete study 'wine' of sqlite:///optuna.db (trials: 2, nested studies: 2);"
        " MLflow's experiment 2 (runs: 3, logged models: 1)? [y/N] "
    )
    assert ended.stderr.startswith(question)
    assert ("wine" not in names(copy)) == is_deleted
    assert ended.returncode == (0 if is_deleted else 2)


def test_study_of_the_callback_is_listed_exported_and_deleted(directory):
    study = optuna.create_study(storage=f"sqlite:///{directory}/optuna.db", study_name="mine")
    uri = f"sqlite:///{directory}/mlflow.db"
    with MLflowCallback(tracking_uri=uri, experiment_name="elsewhere") as callback:
        study.optimize(
            lambda trial: trial.suggest_float("x", 0, 1), n_trials=2, callbacks=[callback]
        )
    close_stores()
    printed = well(call_main(directory, "delete", "mine", "--yes")).splitlines()
    assert printed[1] == "trash     of MLflow's experiment 1 (runs: 3, logged models: 0)"
    assert names(directory) == []


def test_delete_leaves_an_experiment_that_was_there_before(directory):
    """MLflow's own, or a person's, which only this study's runs are in."""
    stores = stores_of(directory)
    client = MlflowClient(stores["tracking_uri"])
    mine = client.create_experiment("mine")
    for name, experiment in (("a", "Default"), ("b", "mine")):
        study = optuna.create_study(study_name=name, storage=stores["storage"])
        with MLflowCallback(stores["tracking_uri"], experiment_name=experiment) as callback:
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 2, callbacks=[callback])
        close_stores()
        well(call_main(directory, "delete", name, "--yes"))
    for experiment_id, name in (("0", "Default"), (mine, "mine")):
        experiment = client.get_experiment(experiment_id)
        assert (experiment.name, experiment.lifecycle_stage) == (name, "active")
        assert client.search_runs([experiment_id]) == []


def test_delete_keeps_a_version_that_was_made_of_the_models_files(directory):
    run_here_well(directory, "--trials", "2")
    client = MlflowClient(stores_of(directory)["tracking_uri"])
    (model,) = client.search_logged_models(["1"])
    client.create_registered_model("files")
    client.create_model_version("files", source=model.artifact_location)
    assert "files" in well(call_main(directory, "delete", "iris", "--yes"))
    assert client.get_logged_model(model.model_id).status == "READY"
    assert client.get_experiment("1").lifecycle_stage == "active"


def test_study_with_a_slash_in_its_name_is_listed_and_deleted(directory):
    optuna.create_study(study_name="a/b", storage=stores_of(directory)["storage"])
    assert names(directory) == ["a/b"]
    well(call_main(directory, "delete", "a/b", "--yes"))
    assert names(directory) == []


def test_study_that_mlflow_never_saw_is_deleted(directory):
    optuna.create_study(storage=f"sqlite:///{directory}/optuna.db", study_name="alone")
    assert well(call_main(directory, "delete", "alone", "--yes")).count("\n") == 1
    assert names(directory) == []


def test_all_three_on_postgresql_and_a_server(cluster, server, tmp_path):
    where = ("--storage", cluster.make_database("studies"), "--tracking-uri", server)
    run_here_well(tmp_path, *where, "--trials", "2", "--name", "far")
    assert "far    2 complete" in well(call_main(tmp_path, "list", *where))
    exported = json.loads(well(call_main(tmp_path, "export", "far", "--json", *where)))
    assert all(trial["run_id"] for trial in exported["trials"])
    printed = well(call_main(tmp_path, "delete", "far", "--yes", *where)).splitlines()
    assert re.fullmatch(
        r"trash     MLflow's experiment \d+ \(runs: 3, logged models: 1\)", printed[1]
    )
    assert "***@" in printed[0]
    assert "secret" not in printed[0]
    assert json.loads(call_main(tmp_path, "list", "--json", *where).stdout) == {"studies": []}
    assert MlflowClient(server).get_experiment_by_name("far") is None


def test_delete_refuses_while_a_driver_has_the_study_on_postgresql(cluster, tmp_path):
    url = cluster.make_database("driven")
    optuna.create_study(storage=url, study_name="iris")
    with open_driven(url, "iris", wait=lambda _: False):
        ended = call_main(tmp_path, "delete", "iris", "--yes", "--storage", url)
        driven = well(call_main(tmp_path, "list", "--storage", url))
    assert ended.returncode == 7
    assert f"pid {os.getpid()}" in driven
