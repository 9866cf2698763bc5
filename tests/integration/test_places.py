"""A study whose experiment, directory or ledger is not where it was: found, and told where it must."""

from __future__ import annotations

import json
import shutil
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


def test_study_that_is_in_two_experiments_is_kept_in_one(copy):
    # What a run left that did not find a renamed experiment: the same again.
    with client_of(copy) as client:
        client.rename_experiment("1", "of last year")
        tags = {"mlflow.experimentKind": "custom_model_development"}
        second = client.create_experiment("iris", tags=tags)
        for run in client.search_runs(["1"]):
            client.create_run(second, run.info.start_time + 1, run.data.tags)
        (model,) = client.search_logged_models(["1"])
        client.create_logged_model(second, "model", tags=model.tags)
    ended = run_here(copy, *FLAGS)
    line = (
        "hpo: study 'iris' was in MLflow twice: experiment 1 keeps it,"
        f" what experiment {second} had of it is in the trash\n"
    )
    assert (ended.returncode, ended.stderr) == (0, line)
    assert count(copy) == (N_TRIALS + 1, 1)
    run_here_well(copy, *FLAGS)


# The working directory.


def copy_as_it_is(source: Path, target: Path) -> Path:
    """``cp -r``: the addresses in the copy are the original's."""
    close_stores()
    return Path(shutil.copytree(source, target))


def files_of(directory: Path) -> dict[str, int]:
    """Every artifact, and when it was written."""
    paths = (directory / "mlruns").rglob("*")
    return {str(path): path.stat().st_mtime_ns for path in paths if path.is_file()}


def load_model(directory: Path) -> None:
    """Predict with the only model of a directory."""
    with client_of(directory) as client:
        (model,) = client.search_logged_models(["1"])
    (directory / "rows.csv").write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5,3,1,0.2\n"
    )
    ended = call_main(directory, "predict", f"models:/{model.model_id}", "rows.csv")
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr


def note_of_move(old: Path, new: Path) -> str:
    return f"hpo: MLflow's artifacts are looked for in {new}/mlruns, no longer in {old}\n"


def test_artifacts_of_a_moved_directory_are_found_in_it(copy, tmp_path):
    moved = copy.rename(tmp_path / "moved")
    files = {path.replace(str(copy), str(moved)) for path in files_of(moved)}
    ended = run_here(moved, *FLAGS)
    assert (ended.returncode, ended.stderr) == (0, note_of_move(copy, moved))
    load_model(moved)
    assert not copy.exists()
    assert {*files_of(moved)} == files
    assert run_here_well(moved, *FLAGS)


@pytest.mark.parametrize("is_copied", [False, True])
def test_check_of_a_directory_elsewhere_says_that_the_next_run_moves_addresses(
    copy, tmp_path, is_copied
):
    moved = tmp_path / "moved"
    if is_copied:
        copy_as_it_is(copy, moved)
    else:
        copy.rename(moved)
    ended = call_main(moved, "check", "--json")
    wrong = [finding for finding in json.loads(ended.stdout) if not finding["ok"]]
    assert (ended.returncode, wrong) == (
        3,
        [
            {
                "check": "tracking",
                "ok": False,
                "message": f"MLflow's artifacts are in {moved}/mlruns, but addressed in {copy}",
                "hint": "run the same command again: it moves the addresses",
            }
        ],
    )
    assert run_here(moved, *FLAGS).returncode == 0
    assert call_main(moved, "check").returncode == 0


def test_model_of_a_moved_directory_predicts_before_the_next_run(copy, tmp_path):
    load_model(copy.rename(tmp_path / "moved"))


@pytest.mark.parametrize("has_artifacts", [True, False])
def test_copied_directory_never_writes_into_the_originals(copy, tmp_path, has_artifacts):
    before = files_of(copy)
    other = copy_as_it_is(copy, tmp_path / "other")
    if not has_artifacts:
        shutil.rmtree(other / "mlruns")
    ended = run_here(other, "--trials", str(N_TRIALS + 1))
    assert ended.returncode == 0
    assert ended.stderr.startswith(note_of_move(copy, other))
    assert files_of(copy) == before
    assert any("definition.json" in path for path in files_of(other))
    assert run_here_well(copy, *FLAGS)
    assert files_of(copy) == before


def test_addresses_of_a_store_that_is_used_from_elsewhere_stay(copy, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    flags = ("--tracking-uri", f"sqlite:///{copy}/mlflow.db", "--data", "wine", "--trials", "1")
    for _ in range(2):
        run_here_well(elsewhere, *flags)
    run_here_well(copy, *FLAGS)
    assert any("definition.json" in path for path in files_of(elsewhere))
    with client_of(copy) as client:
        (experiment,) = client.search_experiments(filter_string="name = 'wine'")
        assert experiment.artifact_location.startswith(str(elsewhere))


# Two copies of a ledger, and one store.


@pytest.fixture
def halves(made: Path, tmp_path: Path) -> list[Path]:
    """Two copies of a ledger, whose study is in one MLflow store, that of the first."""
    first = copy_directory(made, tmp_path / "first")
    second = tmp_path / "second"
    second.mkdir()
    shutil.copy(first / "optuna.db", second)
    return [first, second]


def run_half(halves: list[Path], index: int, *flags: str) -> Ended:
    store = f"sqlite:///{halves[0]}/mlflow.db"
    flags = ("--tracking-uri", store, "--tracking-wait", "0", *flags)
    return run_here(halves[index], *flags)


TOLD = "MLflow has study 'iris' from another copy of this ledger; go on with that copy, or add"


def parents(directory: Path) -> list[Any]:
    with client_of(directory) as client:
        return list(client.search_runs(["1"], "tags.`hpo.key` LIKE '" + "_" * 32 + "'"))


@pytest.mark.parametrize("first", [0, 1])
def test_second_copy_that_writes_is_told(halves, first):
    second = 1 - first
    assert run_half(halves, first, "--trials", str(N_TRIALS + 1)).returncode == 0
    before = count(halves[0])
    for n_trials in (N_TRIALS, N_TRIALS + 2):
        ended = run_half(halves, second, "--trials", str(n_trials))
        assert ended.returncode == 3
        assert TOLD in ended.stderr
        assert count(halves[0]) == before
    assert run_half(halves, first, "--trials", str(N_TRIALS + 2)).returncode == 0


@pytest.mark.parametrize("forked", [0, 1])
def test_copy_goes_on_under_a_new_uid(halves, forked):
    other = 1 - forked
    flags = ("--trials", str(N_TRIALS + 1))
    assert run_half(halves, 1, *flags).returncode == 0
    assert run_half(halves, 0, *flags).returncode == 3
    for _ in range(2):
        ended = run_half(halves, forked, *flags, "--new-uid")
        assert (ended.returncode, ended.stderr) == (0, "")
    for index in (other, forked):
        ended = run_half(halves, index, *flags)
        assert (ended.returncode, ended.stderr) == (0, "")
    of_both = parents(halves[0])
    assert len({run.data.tags["hpo.study"] for run in of_both}) == 2
    assert not any("hpo.study_gone" in run.data.tags for run in of_both)
    assert count(halves[0])[0] == 2 * (N_TRIALS + 2)


def test_copies_that_have_a_store_each_are_asked_nothing(copy, tmp_path):
    other = copy_directory(copy, tmp_path / "other")
    for directory in (copy, other, copy):
        run_here_well(directory, "--trials", str(N_TRIALS + 1))
    moved = other.rename(tmp_path / "moved")
    assert run_here(moved, "--trials", str(N_TRIALS + 2)).returncode == 0
    assert run_here(moved.rename(other), "--trials", str(N_TRIALS + 3)).returncode == 0


def test_ledger_that_was_restored_from_a_backup_goes_on(copy):
    shutil.copy(copy / "optuna.db", copy / "backup.db")
    run_here_well(copy, "--trials", str(N_TRIALS + 1))
    close_stores()
    shutil.copy(copy / "backup.db", copy / "optuna.db")
    run_here_well(copy, "--trials", str(N_TRIALS + 1))
    assert count(copy)[0] == N_TRIALS + 2
