"""What other clients do to a study: whatever it is, the next run goes on and says so in one line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState, create_trial

import hpo
from hpo.errors import LedgerError
from hpo.progress import Progress
from hpo.results.tracking_state import TrackingState
from hpo.tracking.inline import InlineTracking
from tests.support.checker import check_stores, read_notes, read_stores, read_trials
from tests.support.here import call_main, run_here_well
from tests.support.stores import close_stores, stores_of

QUEUED = {"C": 7.0, "penalty": "l1", "class_weight": "balanced"}


class Watching(Progress):
    """Does something once, when a trial has so many scored folds, or is told."""

    def __init__(self, number: int, n_scored: int, act: Callable[[], object]) -> None:
        super().__init__()
        self._at = (number, n_scored)
        self._act = act

    def fold_scored(self, number: int, n_scored: int) -> None:
        super().fold_scored(number, n_scored)
        if (number, n_scored) == self._at:
            self._act()


def study_in(directory: Path) -> optuna.Study:
    return optuna.load_study(study_name="iris", storage=stores_of(directory)["storage"])


def search(directory: Path, n_trials: int, progress: Progress | None = None) -> hpo.StudyResult:
    """A run in this process, as a program makes one."""
    close_stores()
    return hpo.run_study(
        hpo.load_definition(overrides={"study.n_trials": n_trials}),
        hpo.ServiceSettings(**stores_of(directory), workers=1, plots=False),
        progress=progress,
        tracking=InlineTracking(),
    )


def leave_running(directory: Path, number: int) -> None:
    """A run that ends in the middle of a trial, as one that is killed there."""
    signals: list[int] = []
    close_stores()
    with pytest.raises(hpo.HpoError, match="stopped by SIGTERM"):
        hpo.run_study(
            hpo.load_definition(),
            hpo.ServiceSettings(**stores_of(directory), workers=1, plots=False),
            progress=Watching(number, 2, lambda: signals.append(signal.SIGTERM)),
            stop_signal=lambda: signals[0] if signals else None,
            tracking=InlineTracking(),
        )
    assert read_trials(stores_of(directory)["storage"])[number].state == TrialState.RUNNING


def tell_by_command(directory: Path, number: int, *flags: str) -> None:
    optuna_command = Path(sys.executable).with_name("optuna")
    subprocess.run(
        [
            *(str(optuna_command), "tell", "--storage", stores_of(directory)["storage"]),
            *("--study-name", "iris", "--trial-number", str(number), *flags),
        ],
        check=True,
        capture_output=True,
        env=os.environ,
    )


def params_of(trials: list[FrozenTrial]) -> list[dict[str, object]]:
    return [trial.params for trial in trials]


def check_left_out(directory: Path, foreign: list[int], *, n_trials: int) -> None:
    """The foreign trials are in both places, and win in neither; all else is as ever."""
    stores = stores_of(directory)
    picture = read_stores(**stores)
    assert len(picture.trials) == n_trials
    for number, run in picture.children.items():
        is_foreign = number in foreign
        assert ("hpo.foreign" in run.data.tags) == is_foreign
        assert ("cv_accuracy_mean" in run.data.metrics) != is_foreign
    assert picture.parent.data.metrics["best_cv_accuracy_mean"] <= 1
    assert int(picture.parent.data.tags["hpo.best_trial"]) not in foreign
    notes = read_notes(stores["storage"], picture.trials)
    assert [number for number in notes if number in foreign] == foreign
    assert all(("Not hpo's" in notes[number]) == (number in foreign) for number in range(n_trials))


@pytest.mark.parametrize(
    "flags", [("--values", "0.99"), ("--state", "fail"), ("--state", "pruned")], ids=" ".join
)
@pytest.mark.parametrize("number", [0, 3])
def test_trial_that_was_told_elsewhere_is_left_out(
    directory: Path, number: int, flags: tuple[str, ...]
) -> None:
    leave_running(directory, number)
    tell_by_command(directory, number, *flags)
    report = run_here_well(directory, "--trials", "6")
    line = f"note      another client asked or ended trial {number}: left out of every result"
    assert line in report.splitlines()
    assert "iris: 5 trials (5 complete)" in report
    check_left_out(directory, [number], n_trials=6)
    assert run_here_well(directory, "--trials", "6").count("nothing was changed") == 1


def test_trial_0_that_was_told_elsewhere_is_no_baseline(directory: Path) -> None:
    leave_running(directory, 0)
    tell_by_command(directory, 0, "--values", "0.99")
    result = search(directory, 3)
    assert result.baseline_value is not None
    assert result.baseline_value < 0.99
    assert result.best_number != 0


def test_trial_asked_elsewhere_between_runs_is_left_alone(directory: Path) -> None:
    run_here_well(directory, "--trials", "3")
    study_in(directory).ask()
    checked = call_main(directory, "check")
    assert (checked.returncode, "left alone: 1" in checked.stdout) == (0, True), checked.stdout
    report = run_here_well(directory, "--trials", "6")
    assert "another client asked or ended trial 3: left out" in report
    study_in(directory).tell(3, 0.99)
    assert call_main(directory, "check").returncode == 3  # MLflow has no run of it yet
    run_here_well(directory, "--trials", "8")
    check_left_out(directory, [3], n_trials=8)
    assert call_main(directory, "check").returncode == 0


def test_trials_added_elsewhere_are_left_out(directory: Path) -> None:
    run_here_well(directory, "--trials", "3")
    study_in(directory).add_trial(create_trial(value=0.99))
    study_in(directory).add_trial(create_trial(state=TrialState.FAIL))
    run_here_well(directory, "--trials", "7")
    check_left_out(directory, [3, 4], n_trials=7)


@pytest.mark.parametrize("is_told", [False, True])
def test_trial_asked_elsewhere_while_a_run_goes_on_is_left_alone(
    directory: Path, is_told: bool
) -> None:
    def ask() -> None:
        study = study_in(directory)
        trial = study.ask()
        if is_told:
            study.tell(trial, 0.99)

    result = search(directory, 6, Watching(2, 3, ask))
    assert any("another client asked or ended trial 3" in note for note in result.notes)
    assert result.n_trials["complete"] == 5
    states = [trial.state.name for trial in read_trials(stores_of(directory)["storage"])]
    assert states == ["COMPLETE"] * 3 + ["COMPLETE" if is_told else "RUNNING"] + ["COMPLETE"] * 2


def test_trial_told_elsewhere_while_it_is_scored_is_left_out(directory: Path) -> None:
    result = search(directory, 5, Watching(2, 3, lambda: study_in(directory).tell(2, 0.99)))
    assert result.n_trials["complete"] == 4
    check_left_out(directory, [2], n_trials=5)


def test_trial_queued_while_a_run_goes_on_is_the_next_and_changes_no_other(
    directory: Path, tmp_path: Path
) -> None:
    result = search(directory, 6, Watching(2, 3, lambda: study_in(directory).enqueue_trial(QUEUED)))
    trials = read_trials(stores_of(directory)["storage"])
    assert (len(trials), result.n_trials["complete"]) == (6, 6)
    assert trials[3].params == QUEUED
    queued_before = tmp_path / "before"
    queued_before.mkdir()
    search(queued_before, 3)
    study_in(queued_before).enqueue_trial(QUEUED)
    search(queued_before, 6)
    assert params_of(trials) == params_of(read_trials(stores_of(queued_before)["storage"]))


def test_queued_trial_that_was_told_before_its_turn_is_left_out(directory: Path) -> None:
    run_here_well(directory, "--trials", "2")
    study = study_in(directory)
    study.enqueue_trial(QUEUED)
    study.enqueue_trial({**QUEUED, "C": 8.0})

    def tell() -> None:
        study._storage.set_trial_state_values(
            study.get_trials(deepcopy=False)[3]._trial_id, TrialState.FAIL
        )

    search(directory, 5, Watching(2, 3, tell))
    check_left_out(directory, [3], n_trials=5)


# What a person deletes.


def test_run_that_was_deleted_and_purged_is_not_written_again(directory: Path) -> None:
    run_here_well(directory, "--trials", "4")
    stores = stores_of(directory)
    client = MlflowClient(stores["tracking_uri"])
    run = read_stores(**stores).children[2]
    client.delete_run(run.info.run_id)
    close_stores()
    subprocess.run(
        [
            *(sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", stores["tracking_uri"]),
            *("--run-ids", run.info.run_id),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": stores["tracking_uri"]},
    )
    assert call_main(directory, "check").returncode == 0
    assert "nothing was changed" in run_here_well(directory, "--trials", "4")
    run_here_well(directory, "--trials", "6")
    assert sorted(read_children(stores["tracking_uri"])) == [0, 1, 3, 4, 5]
    assert call_main(directory, "check").returncode == 0


def read_children(tracking_uri: str) -> list[int]:
    mlflow.set_tracking_uri(tracking_uri)
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return [
        int(run.data.metrics["trial_number"]) for run in runs if "optuna.state" in run.data.tags
    ]


def test_older_parent_says_that_its_study_is_gone(directory: Path) -> None:
    run_here_well(directory, "--trials", "2")
    stores = stores_of(directory)
    older = read_stores(**stores).parent.info.run_id
    optuna.delete_study(study_name="iris", storage=stores["storage"])
    run_here_well(directory, "--trials", "3")
    client = MlflowClient(stores["tracking_uri"])
    tags = client.get_run(older).data.tags
    assert tags["hpo.study_gone"] == "true"
    assert tags["mlflow.note.content"].startswith("**The study of this run was deleted")
    (newer,) = client.search_runs(
        ["1"], "tags.`hpo.study_gone` IS NULL AND tags.`hpo.best_trial` LIKE '%'"
    )
    assert "hpo.study_gone" not in newer.data.tags


def test_parent_whose_ledger_is_there_again_says_so_no_more(directory: Path) -> None:
    run_here_well(directory, "--trials", "2")
    stores = stores_of(directory)
    client = MlflowClient(stores["tracking_uri"])
    older = read_stores(**stores).parent.info.run_id
    before = client.get_run(older).data.tags["mlflow.note.content"]
    (directory / "optuna.db").rename(directory / "away.db")
    run_here_well(directory, "--trials", "2")
    assert client.get_run(older).data.tags["hpo.study_gone"] == "true"
    (directory / "away.db").replace(directory / "optuna.db")
    run_here_well(directory, "--trials", "2")
    tags = client.get_run(older).data.tags
    assert "hpo.study_gone" not in tags
    assert tags["mlflow.note.content"] == before


def test_parent_of_another_ledger_keeps_its_words(directory: Path) -> None:
    run_here_well(directory, "--trials", "2")
    stores = stores_of(directory)
    older = read_stores(**stores).parent.info.run_id
    run_here_well(directory, "--trials", "2", "--storage", "sqlite:///other.db")
    assert "hpo.study_gone" not in MlflowClient(stores["tracking_uri"]).get_run(older).data.tags


# What a person takes away while a run goes on.


def delete_study(directory: Path) -> None:
    optuna.delete_study(study_name="iris", storage=stores_of(directory)["storage"])


@pytest.mark.parametrize(
    ("take", "line"),
    [
        (lambda directory: (directory / "optuna.db").unlink(), "its file was removed or replaced"),
        (delete_study, "study 'iris', or a trial of it, was deleted while the run went on"),
    ],
    ids=["file", "study"],
)
def test_ledger_that_is_taken_away_is_one_line_and_the_next_run_begins_anew(
    directory: Path, take: Callable[[Path], object], line: str
) -> None:
    with pytest.raises(LedgerError, match=line) as caught:
        search(directory, 5, Watching(4, 5, lambda: take(directory)))
    assert caught.value.exit_code == 4
    ledger = directory / "optuna.db"
    assert ledger.exists() == ("study" in line)
    close_stores()
    report = run_here_well(directory, "--trials", "5")
    assert "iris: 5 trials (5 complete)" in report
    assert len(read_trials(stores_of(directory)["storage"])) == 5


def test_ledger_that_is_taken_away_while_the_model_is_logged_is_said(directory: Path) -> None:
    class Taking(InlineTracking):
        def finish(self, *arguments: Any, **options: Any) -> TrackingState:
            state = super().finish(*arguments, **options)
            (directory / "optuna.db").unlink()
            return state

    close_stores()
    with pytest.raises(LedgerError, match="its file was removed or replaced"):
        hpo.run_study(
            hpo.load_definition(overrides={"study.n_trials": 3}),
            hpo.ServiceSettings(**stores_of(directory), workers=1, plots=False),
            tracking=Taking(),
        )


# Times.


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"], indirect=True)
@pytest.mark.usefixtures("zone")
def test_trials_start_and_end_in_local_time_as_optuna_keeps_it(directory: Path) -> None:
    before = time.time()
    search(directory, 2)
    for trial in read_trials(stores_of(directory)["storage"]):
        start, end = (
            moment.timestamp() for moment in (trial.datetime_start, trial.datetime_complete)
        )
        assert before <= start <= end <= time.time()
    check_stores(**stores_of(directory), n_trials=2)
