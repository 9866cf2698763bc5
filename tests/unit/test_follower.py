"""The tracking side of a run on a real MLflow store in SQLite: what fails is tried again, what is
there twice is put right.

Doubles stand for the writer and for the client below it, as in ``test_retries``: one verb fails a
few times, before its work or
after it, and then succeeds, or never does.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from optuna.trial import FrozenTrial

import hpo.tracking.follower
from hpo.errors import LedgerError, TrackingError
from hpo.results.links import view_id
from hpo.results.tracking_state import TrackingState
from hpo.tracking.connection import connect
from hpo.tracking.follower import Follower
from hpo.tracking.run_records import DatasetRecord, FinalRecord, StudyRecord
from hpo.tracking.trial_records import make_record
from hpo.tracking.writer import MlflowWriter
from tests.support.checker import (
    check_nothing_runs,
    check_params,
    check_projection,
    check_scores,
    read_projection,
)
from tests.support.models import small_model
from tests.support.stores import close_stores
from tests.unit.driving import N_FOLDS, define, drive, open_study
from tests.unit.test_retries import ALWAYS, REFUSED_OR_LOST, Flaky, Lossy

pytestmark = [
    # MLflow 3.17 maps its tables with a loader that SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    # MLflow 3.17 compares a model's columns with a range, which pandas 3 deprecates.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
    # MLflow 3.17 warns of type hints of its own when it is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]

N_TRIALS = 8
DEFINITION = define(study__name="iris", pruner__kind="median", pruner__n_startup_trials=1)
N_DONE = {"COMPLETE": 5, "PRUNED": 2, "FAIL": 1}

# A verb of the writer, or of the client below it after it went well so many times; and how many
# trials are behind where it never
# succeeds.
WRITER_VERBS = {
    "check_reachable": 8,
    "open": 8,
    "find_trials": 8,
    "write_trial": 8,
    "write_parent_metric": 0,
    "write_text": 0,
    "close": 0,
}
CLIENT_VERBS = {
    "get_experiment_by_name": (0, 8),
    "create_experiment": (0, 8),
    "search_runs": (0, 8),
    "create_run": (0, 8),  # the parent
    "create_run of trial 2": (3, 6),
    "log_batch": (0, 8),  # the parent's params
    "log_batch of trial 2": (3, 6),
    "log_inputs": (0, 8),
    "log_text": (0, 8),  # the definition
    "log_text of the journal": (1, 0),
    "set_terminated of trial 2": (2, 6),
    "set_terminated of the parent": (8, 0),
}
MODEL_VERBS = (
    "search_logged_models",
    "create_logged_model",
    "log_model_artifacts",
    "log_outputs",
    "finalize_logged_model",
)


N_BEHIND = {**WRITER_VERBS, **{verb: n_behind for verb, (_, n_behind) in CLIENT_VERBS.items()}}
# A lost answer of theirs is found by the next attempt, so that every attempt writes one more.
EACH_TIME_ONE_MORE = {"write_trial", "create_run of trial 2"}


def gone() -> TrackingError:
    return TrackingError("MLflow is gone for a moment")


@pytest.fixture(autouse=True)
def _be_quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hpo.tracking.follower, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(hpo.tracking.follower, "LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(hpo.tracking.follower, "LONGEST_PAUSE_WHILE_THERE_SECONDS", 0.01)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.chdir(tmp_path)  # where artifacts go


@dataclass(frozen=True)
class Study:
    """A study that is finished in its ledger, and what its parent run is to say."""

    uid: str
    optuna: optuna.Study

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.optuna.get_trials()

    @property
    def record(self) -> StudyRecord:
        return StudyRecord(
            uid=self.uid,
            name="iris",
            value_name="cv_accuracy_mean",
            params={"n_trials": "8"},
            texts={"study/definition.json": "{}"},
            dataset=DatasetRecord("iris", "0123", "iris", {"x": "double"}, 120),
        )

    def model(self, number: int) -> FinalRecord:
        record = small_model(
            f"{self.uid}/{number}", trial_number=number, metrics={"test_accuracy": 1.0}
        )
        return FinalRecord(record, n_finished=N_TRIALS)


@pytest.fixture(scope="module")
def study(_empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    url = (
        f"sqlite:///{shutil.copy(_empty_database, tmp_path_factory.mktemp('ledger') / 'optuna.db')}"
    )
    with open_study(url, DEFINITION) as ledger:
        drive(ledger, N_TRIALS)
        return Study(ledger.uid, optuna.load_study(study_name="iris", storage=url))


@pytest.fixture
def uri(tracking_uri: str) -> str:
    """An empty MLflow store."""
    return tracking_uri


class WriterOn(MlflowWriter):
    """A writer that reaches MLflow through a double of its client, whichever client it makes."""

    def __init__(self, uri: str, record: StudyRecord, double: Any) -> None:
        super().__init__(uri, record)
        self._double = double

    @property
    def _client(self) -> Any:
        return self._double

    @_client.setter
    def _client(self, client: MlflowClient) -> None:
        self._double._inner = client


class Tracking:
    """A follower with a writer of the test's choice, and what it says."""

    def __init__(
        self,
        study: Study,
        uri: str,
        writer: Any = None,
        open_ledger: Callable[[], optuna.Study] | None = None,
    ) -> None:
        self.messages: list[str] = []
        self.counts: list[int] = []
        self.follower = Follower(
            open_ledger or (lambda: study.optuna), uri, study.record, self._hear
        )
        if writer is not None:
            self.follower._writer = self.follower._projection._writer = writer

    def _hear(self, message: str | int) -> None:
        (self.counts if isinstance(message, int) else self.messages).append(message)

    def finish(self, model: FinalRecord | None = None, wait_seconds: float = 20.0) -> TrackingState:
        return self.follower.finish(model, "FINISHED", wait_seconds)

    def check_messages(self, *, n_trials: int = N_TRIALS) -> None:
        warning, recovery = self.messages
        assert warning == (
            "MLflow does not take what is written (MLflow is gone for a moment); the search goes on, nothing is lost"
        )
        assert recovery == f"MLflow has caught up: it has all {n_trials} trials that are finished"


def failing(study: Study, uri: str, verb: str, n_failures: int, *, after: bool = False) -> Tracking:
    """Tracking, one verb of whose writer or client fails."""
    if verb in CLIENT_VERBS or verb in MODEL_VERBS:
        n_well, _ = CLIENT_VERBS.get(verb, (0, 0))
        double = Flaky(None, verb.partition(" ")[0], n_failures, gone(), after=after, n_well=n_well)
        return Tracking(study, uri, WriterOn(uri, study.record, double))
    return Tracking(
        study, uri, Flaky(MlflowWriter(uri, study.record), verb, n_failures, gone(), after=after)
    )


def check_whole(study: Study, uri: str) -> None:
    """One parent and one child a trial with all that the ledger says, and no other run, deleted or
    not.
    """
    client = MlflowClient(uri)
    picture = read_projection(study.trials, uri, "iris")
    check_nothing_runs(picture.trials, uri)
    check_projection(picture)
    for trial in picture.trials:
        check_params(trial, picture.children[trial.number])
        check_scores(
            client, trial, picture.children[trial.number], metric="accuracy", n_folds=N_FOLDS
        )
    best, expected = float("-inf"), []
    for trial in picture.trials:
        if trial.value is not None and trial.state.name == "COMPLETE":
            best = max(best, trial.value)
            expected.append((trial.number, best))
    history = client.get_metric_history(picture.parent.info.run_id, "best_cv_accuracy_mean")
    assert sorted((point.step, point.value) for point in history) == expected
    assert picture.parent.data.params == {"n_trials": "8"}
    assert len(picture.parent.inputs.dataset_inputs) == 1
    assert len(all_runs(uri)) == N_TRIALS + 1


def all_runs(uri: str, view: int = ViewType.ALL) -> list[Run]:
    client = MlflowClient(uri)
    return list(
        client.search_runs(
            [client.get_experiment_by_name("iris").experiment_id], run_view_type=view
        )
    )


def all_models(uri: str) -> dict[str, str]:
    """The URI of every model that is not deleted, and its status."""
    client = MlflowClient(uri)
    models = client.search_logged_models([client.get_experiment_by_name("iris").experiment_id])
    return {f"models:/{model.model_id}": str(model.status) for model in models}


def test_study_has_trials_of_every_state(study):
    states = [trial.state.name for trial in study.trials]
    assert {state: states.count(state) for state in states} == N_DONE


# Tried again.


@REFUSED_OR_LOST
@pytest.mark.parametrize("verb", [*WRITER_VERBS, *CLIENT_VERBS])
def test_tracking_that_fails_three_times_catches_up(study, uri, verb, after):
    tracking = failing(study, uri, verb, 3, after=after)
    tracking.follower.follow()
    state = tracking.finish()
    assert (state.tracking_problem, state.n_behind, sorted(state.run_ids)) == (
        None,
        0,
        list(range(N_TRIALS)),
    )
    check_whole(study, uri)
    if after and verb in EACH_TIME_ONE_MORE:
        assert tracking.messages == []
    else:
        tracking.check_messages()


@pytest.mark.parametrize("verb", ["write_trial", "log_batch of trial 2"])
def test_tracking_that_fails_once_and_gets_on_says_nothing_where_something_got_through(
    study, uri, verb
):
    tracking = failing(study, uri, verb, 1)
    assert tracking.finish().tracking_problem is None
    assert len(tracking.messages) == (2 if verb == "write_trial" else 0)
    check_whole(study, uri)


@REFUSED_OR_LOST
def test_look_up_of_a_run_in_doubt_that_fails_too(study, uri, after):
    client = Flaky(None, "create_run", 1, gone(), after=True, n_well=3)
    writer = Flaky(WriterOn(uri, study.record, client), "find_trial", 3, gone(), after=after)
    tracking = Tracking(study, uri, writer)
    assert tracking.finish().tracking_problem is None
    assert writer.n_calls == 4
    tracking.check_messages()
    check_whole(study, uri)


@pytest.mark.parametrize("verb", [*WRITER_VERBS, *CLIENT_VERBS])
def test_tracking_that_never_succeeds_ends_in_time_and_the_next_run_catches_up(study, uri, verb):
    tracking = failing(study, uri, verb, ALWAYS)
    tracking.follower.follow()
    started = time.monotonic()
    state = tracking.finish(wait_seconds=0.3)
    assert 0.3 <= time.monotonic() - started < 20
    assert state.tracking_problem == "MLflow is gone for a moment"
    assert state.n_behind == N_BEHIND[verb]
    assert len(state.run_ids) == N_TRIALS - state.n_behind
    assert len(tracking.messages) == 1
    assert Tracking(study, uri).finish().tracking_problem is None
    check_whole(study, uri)


@pytest.mark.parametrize("seed", range(3))
def test_answers_lost_at_random_make_nothing_twice(study, uri, seed):
    lossy = Lossy(None, 0.3, seed, gone())
    tracking = Tracking(study, uri, WriterOn(uri, study.record, lossy))
    assert tracking.finish().tracking_problem is None
    assert lossy.n_failures > 4
    assert len(tracking.messages) in {0, 2}
    check_whole(study, uri)


@REFUSED_OR_LOST
@pytest.mark.parametrize("verb", ["write_model", *MODEL_VERBS])
def test_model_that_fails_three_times_is_logged_once(study, uri, verb, after):
    tracking = failing(study, uri, verb, 3, after=after)
    state = tracking.finish(study.model(1))
    assert state.tracking_problem is None
    assert all_models(uri) == {state.model_uri: "READY"}
    check_whole(study, uri)


@pytest.mark.parametrize("verb", ["write_model", *MODEL_VERBS])
def test_model_that_is_never_taken_is_logged_by_the_next_run(study, uri, verb):
    state = failing(study, uri, verb, ALWAYS).finish(study.model(1), wait_seconds=0.3)
    assert (state.tracking_problem, state.n_behind, state.model_uri) == (
        "MLflow is gone for a moment",
        0,
        None,
    )
    state = Tracking(study, uri).finish(study.model(1))
    assert state.tracking_problem is None
    assert all_models(uri) == {state.model_uri: "READY"}
    check_whole(study, uri)


# Following.


def test_follower_writes_what_is_there_and_later_what_is_new(study, uri):
    shown = optuna.create_study(study_name="iris", direction="maximize")
    tracking = Tracking(Study(study.uid, shown), uri)
    n_there = []
    for trial in study.trials:
        shown.add_trial(trial)
        tracking.follower.follow()
        n_there.append(len(all_runs(uri)) - 1)
    assert n_there == list(range(1, N_TRIALS + 1))
    # What is there is said first; a run is counted as it gets through, and known to be there when
    # the next one does.
    assert tracking.counts[: N_TRIALS + 1] == [0, *range(N_TRIALS)]
    assert tracking.finish().tracking_problem is None
    assert tracking.messages == []
    check_whole(study, uri)


def test_follower_asks_nothing_where_nothing_is_new(study, uri):
    tracking = failing(study, uri, "check_reachable", 0)
    for _ in range(3):
        tracking.follower.follow()
    assert tracking.follower._writer.n_calls == 1


def test_warning_and_recovery_are_said_once_however_often_it_fails(study, uri):
    shown = optuna.create_study(study_name="iris", direction="maximize")
    flaky = Flaky(MlflowWriter(uri, study.record), "write_trial", 2, gone())
    tracking = Tracking(Study(study.uid, shown), uri, flaky)
    for trial in study.trials:
        shown.add_trial(trial)
        while tracking.follower._projection.missing(shown.get_trials()):
            tracking.follower.follow()
        if trial.number == 3:
            flaky.n_left = 2
    assert flaky.n_calls == N_TRIALS + 4
    assert tracking.finish().tracking_problem is None
    tracking.check_messages(n_trials=1)
    check_whole(study, uri)


def test_study_without_a_finished_trial_has_its_parent_only(study, uri):
    empty = Study(study.uid, optuna.create_study(study_name="iris", direction="maximize"))
    state = Tracking(empty, uri).finish()
    assert (state.tracking_problem, state.n_behind, state.run_ids) == (None, 0, {})
    assert [run.info.status for run in all_runs(uri)] == ["FINISHED"]


def test_finished_study_is_not_touched_when_it_is_run_again(study, uri):
    Tracking(study, uri).finish()
    before = [run.to_dictionary() for run in all_runs(uri)]
    state = Tracking(study, uri).finish()
    assert (state.tracking_problem, state.n_behind, len(state.run_ids)) == (None, 0, N_TRIALS)
    assert [run.to_dictionary() for run in all_runs(uri)] == before


def test_pauses_grow_and_attempts_between_them_are_not_made(study, uri, monkeypatch):
    monkeypatch.setattr(hpo.tracking.follower, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(hpo.tracking.follower, "LONGEST_PAUSE_WHILE_THERE_SECONDS", 0.2)
    tracking = failing(study, uri, "open", ALWAYS)
    attempts: list[tuple[float, float]] = []
    while len(attempts) < 4:
        n_before, started = tracking.follower._writer.n_calls, time.monotonic()
        tracking.follower.follow()
        if tracking.follower._writer.n_calls > n_before:
            attempts.append((started, time.monotonic()))
        time.sleep(0.002)
    pauses = [end - started for (started, _), (_, end) in pairwise(attempts)]
    assert all(pause >= least for pause, least in zip(pauses, [0.1, 0.2, 0.2], strict=True))


def away(study: Study, n_failures: int) -> Callable[[], optuna.Study]:
    """Opens the ledger, where it does not fail."""
    error = LedgerError("the storage is gone for a moment", may_pass=True)
    return Flaky(SimpleNamespace(open=lambda: study.optuna), "open", n_failures, error).open


def test_ledger_that_is_away_for_a_moment_is_asked_again(study, uri):
    assert Tracking(study, uri, open_ledger=away(study, 3)).finish().tracking_problem is None
    check_whole(study, uri)


def test_ledger_that_is_never_there_leaves_it_unknown_what_is_behind(study, uri):
    tracking = Tracking(study, uri, open_ledger=away(study, ALWAYS))
    state = tracking.finish(wait_seconds=0.2)
    assert (state.tracking_problem, state.n_behind) == ("the storage is gone for a moment", None)
    assert len(tracking.messages) == 1


def test_no_wait_is_one_attempt(study, uri):
    tracking = failing(study, uri, "open", ALWAYS)
    assert tracking.finish(wait_seconds=0.0).n_behind == N_TRIALS
    assert tracking.follower._writer.n_calls == 1


def test_signal_ends_the_wait_between_two_attempts(study, uri):
    tracking = failing(study, uri, "open", ALWAYS)
    end = time.monotonic() + 0.3
    state = tracking.follower.finish(
        None, "FINISHED", 60.0, lambda: 15 if time.monotonic() > end else None
    )
    assert state.n_behind == N_TRIALS
    assert 0.0 < time.monotonic() - end < 20.0


class Slow(Flaky):
    """Takes its time for every call of its verb."""

    def _failing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        call = super()._failing(method)

        def call_slowly(*arguments: Any, **keywords: Any) -> Any:
            time.sleep(0.1)
            return call(*arguments, **keywords)

        return call_slowly


def test_wait_counts_from_when_something_last_got_through(study, uri):
    # Trial 5 fails half a second after the start.
    slow = Slow(None, "create_run", 1, gone(), n_well=6)
    tracking = Tracking(study, uri, WriterOn(uri, study.record, slow))
    assert tracking.finish(wait_seconds=0.2).tracking_problem is None
    check_whole(study, uri)


@pytest.mark.parametrize(
    ("version", "is_saved"), [("3.17.0", True), ("3.17", True), ("3.18.0", False), ("3.170", False)]
)
def test_view_is_saved_only_where_the_page_reads_it_and_else_the_link_is_plain(
    study, uri, monkeypatch, version, is_saved
):
    monkeypatch.setattr(mlflow, "__version__", version)
    record = replace(study.record, view="{}", description="what is searched")
    writer = MlflowWriter(uri, record)
    state = Tracking(study, uri, writer).finish()
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("iris")
    views = [name for name in experiment.tags if name.startswith("mlflow.sharedViewState.")]
    assert views == ([f"mlflow.sharedViewState.{view_id(study.uid)}"] if is_saved else [])
    plain = f"#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
    compared = f"{plain}&compareRunsMode=CHART&viewStateShareKey={view_id(study.uid)}"
    expected = compared if is_saved else plain
    assert (state.tracking_problem, state.comparison) == (None, expected)
    description = client.get_run(state.parent_run_id).data.tags["mlflow.note.content"]
    assert f"[All trials compared]({expected})" in description


# Put right.


@pytest.fixture(scope="module")
def written(study: Study, empty_databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has the whole study."""
    directory = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        store = f"sqlite:///{shutil.copy(empty_databases / 'mlflow.db', directory)}"
        assert Tracking(study, store).finish().tracking_problem is None
    close_stores()
    return directory / "mlflow.db"


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Store:
    uri = f"sqlite:///{shutil.copy(written, tmp_path / 'mlflow.db')}"
    connect(uri)  # artifact addresses follow the copy, as the first run would have it
    return Store(uri)


class Store:
    """The runs of a store that has the study, through a client of its own."""

    def __init__(self, uri: str) -> None:
        self.uri, self.client = uri, MlflowClient(uri)
        self.experiment_id = self.client.get_experiment_by_name("iris").experiment_id

    @property
    def parent(self) -> Run:
        (parent,) = [run for run in self.active() if "mlflow.parentRunId" not in run.data.tags]
        return parent

    def active(self) -> list[Run]:
        return all_runs(self.uri, ViewType.ACTIVE_ONLY)

    def deleted(self) -> dict[str, str | None]:
        """The id of every deleted run, and of which it is a duplicate."""
        runs = all_runs(self.uri, ViewType.DELETED_ONLY)
        return {run.info.run_id: run.data.tags.get("hpo.duplicate_of") for run in runs}

    def child(self, number: int) -> Run:
        (child,) = [run for run in self.active() if run.data.tags["hpo.key"].endswith(f"/{number}")]
        return child

    def copy(self, run: Run, *, seconds: int, status: str) -> str:
        """A second run with the key of another one, which started so much later."""
        start = run.info.start_time + 1000 * seconds
        run_id = self.client.create_run(self.experiment_id, start, run.data.tags).info.run_id
        self.client.log_metric(run_id, "trial_number", run.data.metrics.get("trial_number", -1))
        if status != "RUNNING":
            self.client.set_terminated(run_id, status, run.info.end_time)
        return run_id


@pytest.mark.parametrize("state", ["COMPLETE", "PRUNED", "FAIL"])
def test_finished_run_that_a_person_deleted_stays_deleted(study, store, state):
    number = next(trial.number for trial in study.trials if trial.state.name == state)
    run_id = store.child(number).info.run_id
    store.client.delete_run(run_id)
    state = Tracking(study, store.uri).finish()
    assert (state.tracking_problem, state.n_behind, state.run_ids[number]) == (None, 0, run_id)
    assert store.deleted() == {run_id: None}
    assert len(store.active()) == N_TRIALS


def test_half_written_run_that_a_person_deleted_is_written_again(study, store):
    run_id = store.child(3).info.run_id
    store.client.delete_tag(store.parent.info.run_id, "hpo.written_trials")
    store.client.update_run(run_id, status="RUNNING")
    store.client.delete_run(run_id)
    state = Tracking(study, store.uri).finish()
    assert (state.tracking_problem, state.n_behind) == (None, 0)
    assert store.child(3).info.run_id == state.run_ids[3] != run_id
    assert store.deleted() == {run_id: None}


def test_half_written_run_is_finished(study, store):
    run_id = store.child(3).info.run_id
    store.client.update_run(run_id, status="RUNNING")
    assert Tracking(study, store.uri).finish().run_ids[3] == run_id
    check_whole(study, store.uri)


@pytest.mark.parametrize(
    ("original", "copies", "kept"),
    [
        ("FINISHED", [(-5, "RUNNING")], "original"),
        ("FINISHED", [(5, "FINISHED")], "original"),
        ("FINISHED", [(-5, "FINISHED")], "copy 0"),
        ("RUNNING", [(5, "FINISHED")], "copy 0"),
        ("RUNNING", [(5, "RUNNING")], "original"),
        ("RUNNING", [(-5, "RUNNING")], "copy 0"),
        ("RUNNING", [(9, "FINISHED"), (-5, "RUNNING"), (5, "FINISHED")], "copy 2"),
        ("FINISHED", [(0, "FINISHED"), (0, "FINISHED")], "smallest id"),
    ],
)
def test_of_runs_with_one_key_the_finished_then_the_earliest_stays(
    study, store, original, copies, kept
):
    run = store.child(0)
    store.client.update_run(run.info.run_id, status=original)
    made = [store.copy(run, seconds=seconds, status=status) for seconds, status in copies]
    candidates = {
        "original": run.info.run_id,
        **{f"copy {i}": run_id for i, run_id in enumerate(made)},
    }
    expected = candidates.get(kept) or min(candidates.values())
    for _ in range(2):
        state = Tracking(study, store.uri).finish()
        assert (state.tracking_problem, state.n_behind, state.run_ids[0]) == (None, 0, expected)
        assert store.deleted() == {
            run_id: expected for run_id in candidates.values() if run_id != expected
        }
    assert store.child(0).info.status == "FINISHED"
    check_nothing_runs(study.trials, store.uri)


def test_trial_that_two_processes_write_at_once_has_one_run(study, store):
    trial = study.trials[0]
    record = make_record(trial, study.record)
    store.client._tracking_client.store._hard_delete_run(store.child(0).info.run_id)
    first, second = (MlflowWriter(store.uri, study.record) for _ in range(2))
    for writer in (first, second):
        writer.open(0)
    begun = first._children.create(record)
    of_second = second.write_trial(record, None)
    first.write_trial(record, begun)
    kept = first.find_trials()[0][0]
    assert kept in (begun, of_second)
    assert store.child(0).info.run_id == kept
    assert store.deleted() == {({begun, of_second} - {kept}).pop(): kept}


def test_two_processes_that_write_a_study_at_once_leave_one_run_of_each(study, uri):
    MlflowClient(uri).create_experiment("iris")
    both = [Tracking(study, uri) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(Tracking.finish, both))
    assert [(state.tracking_problem, state.n_behind) for state in states] == [(None, 0)] * 2
    read_projection(study.trials, uri, "iris")


class Overtaken:
    """A client that another process overtakes: it creates the same run just before."""

    _inner: MlflowClient

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_run(self, *arguments: Any, **options: Any) -> Run:
        self.others = self._inner.create_run(*arguments, **options).info.run_id
        self._inner.log_param(self.others, "n_trials", "8")
        return self._inner.create_run(*arguments, **options)


def test_process_that_finds_another_parent_after_creating_its_own_takes_the_others(study, uri):
    client = Overtaken()
    writer = WriterOn(uri, study.record, client)
    writer.open(0)
    assert writer.parent_run_id == client.others
    (run,) = all_runs(uri, ViewType.DELETED_ONLY)
    assert run.data.tags["hpo.duplicate_of"] == client.others


def test_kept_run_that_a_person_deletes_stays_deleted_and_its_duplicate_too(study, store):
    run = store.child(0)
    copy = store.copy(run, seconds=5, status="FINISHED")
    Tracking(study, store.uri).finish()
    store.client.delete_run(run.info.run_id)
    assert Tracking(study, store.uri).finish().run_ids[0] == run.info.run_id
    assert store.deleted() == {copy: run.info.run_id, run.info.run_id: None}


def test_run_that_is_gone_for_good_is_not_written_again_and_its_duplicate_stays_deleted(
    study, store
):
    run = store.child(0)
    copy = store.copy(run, seconds=5, status="FINISHED")
    Tracking(study, store.uri).finish()
    store.client._tracking_client.store._hard_delete_run(run.info.run_id)  # what "mlflow gc" does
    state = Tracking(study, store.uri).finish()
    assert (state.tracking_problem, state.n_behind) == (None, 0)
    assert 0 not in state.run_ids
    assert store.deleted() == {copy: run.info.run_id}


def test_run_whose_deletion_as_a_duplicate_was_cut_off_is_deleted(study, store):
    run = store.child(0)
    copy = store.copy(run, seconds=5, status="FINISHED")
    store.client.set_tag(copy, "hpo.duplicate_of", run.info.run_id)
    Tracking(study, store.uri).finish()
    assert store.deleted() == {copy: run.info.run_id}


@pytest.mark.parametrize(
    ("seconds", "status", "kept"),
    [(5, "FINISHED", "original"), (-5, "FINISHED", "copy"), (-5, "RUNNING", "original")],
)
def test_of_two_parents_one_stays_and_has_all_children(study, store, seconds, status, kept):
    original = store.parent
    copy = store.copy(original, seconds=seconds, status=status)
    for number in (1, 5):
        store.client.set_tag(store.child(number).info.run_id, "mlflow.parentRunId", copy)
    state = Tracking(study, store.uri).finish()
    ids = {"original": original.info.run_id, "copy": copy}
    other = ids["copy" if kept == "original" else "original"]
    assert (state.tracking_problem, state.n_behind, state.parent_run_id) == (None, 0, ids[kept])
    assert store.deleted() == {other: ids[kept]}
    assert {store.child(number).data.tags["mlflow.parentRunId"] for number in range(N_TRIALS)} == {
        ids[kept]
    }


def test_finished_parent_that_a_person_deleted_is_one_clear_line(study, store):
    run_id = store.parent.info.run_id
    store.client.delete_run(run_id)
    n_before = len(all_runs(store.uri))
    with pytest.raises(
        TrackingError, match=r"^the parent run of study 'iris' was deleted in MLflow$"
    ) as caught:
        MlflowWriter(store.uri, study.record).open(0)
    assert caught.value.hint == f"mlflow runs restore --run-id {run_id}, or choose another --name"
    state = Tracking(study, store.uri).finish(wait_seconds=0.1)
    assert state.tracking_problem == f"{caught.value}; {caught.value.hint}"
    assert len(all_runs(store.uri)) == n_before
    store.client.restore_run(run_id)
    assert Tracking(study, store.uri).finish().tracking_problem is None
    check_whole(study, store.uri)


def test_half_written_parent_that_a_person_deleted_is_made_again(study, store):
    run_id = store.parent.info.run_id
    store.client.update_run(run_id, status="RUNNING")
    store.client.delete_run(run_id)
    state = Tracking(study, store.uri).finish()
    assert (state.tracking_problem, state.n_behind) == (None, 0)
    assert store.deleted() == {run_id: None}
    assert state.parent_run_id == store.parent.info.run_id != run_id
    assert store.parent.info.status == "FINISHED"
    assert {store.child(number).data.tags["mlflow.parentRunId"] for number in range(N_TRIALS)} == {
        state.parent_run_id
    }


def test_deleted_experiment_is_one_clear_line(study, store):
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(
        TrackingError, match=r"^the MLflow experiment 'iris' is in the trash$"
    ) as caught:
        MlflowWriter(store.uri, study.record).open(0)
    assert (
        caught.value.hint
        == f"mlflow experiments restore --experiment-id {store.experiment_id}, or choose another --name"
    )


def test_runs_of_others_are_left_alone(study, store):
    # The last is a copy whose key a person took off.
    tags = ({}, {"hpo.study": "e" * 32, "hpo.key": f"{'e' * 32}/0"}, {"hpo.study": study.uid})
    others = [
        store.client.create_run(store.experiment_id, 1, run_tags).info.run_id for run_tags in tags
    ]
    before = [store.client.get_run(run_id).to_dictionary() for run_id in others]
    assert Tracking(study, store.uri).finish().n_behind == 0
    assert [store.client.get_run(run_id).to_dictionary() for run_id in others] == before


# The final model.


def begun_model(store: Store, key: str) -> str:
    """What a driver leaves that is killed while it logs the model."""
    tags = {"hpo.key": key, "hpo.study": key.partition("/")[0]}
    model = store.client.create_logged_model(
        store.experiment_id, "model", store.parent.info.run_id, tags=tags
    )
    return f"models:/{model.model_id}"


def test_model_that_was_begun_by_a_killed_driver_is_deleted(study, store):
    begun_model(store, f"{study.uid}/1")
    strangers = begun_model(store, f"{'e' * 32}/1")
    uri = Tracking(study, store.uri).finish(study.model(1)).model_uri
    assert all_models(store.uri) == {uri: "READY", strangers: "PENDING"}


def test_model_is_logged_once_and_superseded_by_the_next(study, store):
    first = Tracking(study, store.uri).finish(study.model(1)).model_uri
    assert Tracking(study, store.uri).finish(study.model(1)).model_uri == first
    assert all_models(store.uri) == {first: "READY"}
    second = Tracking(study, store.uri).finish(study.model(2)).model_uri
    third = Tracking(study, store.uri).finish(study.model(3)).model_uri
    assert all_models(store.uri) == {first: "READY", second: "READY", third: "READY"}
    ids = [uri.partition("/")[2] for uri in (first, second, third)]
    tags = [store.client.get_logged_model(model_id).tags for model_id in ids]
    assert [of_model.get("hpo.superseded_by") for of_model in tags] == [*ids[1:], None]
    assert store.parent.data.tags["hpo.model_uri"] == third
    assert store.parent.info.status == "FINISHED"


def test_model_that_was_left_begun_is_deleted_after_a_top_up_too(study, store):
    begun_model(store, f"{study.uid}/0")
    uri = Tracking(study, store.uri).finish(study.model(1)).model_uri
    assert all_models(store.uri) == {uri: "READY"}
