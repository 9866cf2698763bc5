"""Each verb of storage and tracking, by a double that fails a few times and then succeeds, and by one that never does.

A double fails before its work or after it: then the work is done and only the answer is lost.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from sklearn.linear_model import LogisticRegression

import hpo.storage
import hpo.tracking.follower
from hpo.errors import InterruptedBySignal, LedgerError, TrackingError
from hpo.storage import never, open_driven
from hpo.study import IDENTITY, Ledger
from hpo.tracking.follower import Follower
from hpo.tracking.records import ModelRecord, StudyRecord
from hpo.tracking.writer import MlflowWriter
from tests.unit.driving import define, derive, drive, facts, open_study

# What MLflow warns of itself when it opens a store and saves a model; the tracking process ignores it too.
pytestmark = pytest.mark.filterwarnings("ignore")

N_TRIALS = 8
ALWAYS = 10**9
STORAGE_VERBS = (
    "get_study_id_from_name",
    "get_all_trials",
    "get_trial_id_from_study_id_trial_number",
    "create_new_trial",
    "set_trial_param",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_state_values",
)
TRACKING_VERBS = (
    "check_reachable",
    "open",
    "find_trials",
    "write_trial",
    "write_parent_metrics",
    "write_text",
    "write_model",
    "close",
)
CLIENT_VERBS = ("create_run", "log_batch", "set_terminated", "log_text", "create_logged_model", "finalize_logged_model")


class Flaky:
    """Another object, one verb of which fails so many times, before its work or after it."""

    def __init__(self, inner: Any, verb: str, n_failures: int, error: Exception, *, after: bool = False) -> None:
        self._inner, self._verb, self._error, self._after = inner, verb, error, after
        self.n_left, self.n_calls = n_failures, 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        return self._failing(attribute) if name == self._verb else attribute

    def _failing(self, method: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            self.n_calls += 1
            if not self.n_left:
                return method(*arguments, **keywords)
            self.n_left -= 1
            if self._after:
                method(*arguments, **keywords)
            raise self._error

        return call


def gone(*, may_pass: bool = True) -> LedgerError:
    return LedgerError("the storage is gone for a moment", may_pass=may_pass)


@pytest.fixture(autouse=True)
def _be_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpo.storage, "RETRY_SECONDS", 0.3)
    monkeypatch.setattr(hpo.storage, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(hpo.tracking.follower, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(hpo.tracking.follower, "LONGEST_PAUSE_SECONDS", 0.01)


def begin(url: str) -> None:
    """A study with three finished trials, one that a killed driver left and one that a person queued."""
    with open_study(url) as ledger:
        drive(ledger, 3)
        ledger.next_slot(N_TRIALS)
    optuna.load_study(study_name="iris", storage=url).enqueue_trial({"C": 0.5})


def read(url: str) -> list[tuple[Any, ...]]:
    return facts(optuna.load_study(study_name="iris", storage=url).get_trials())


@pytest.fixture
def undisturbed(storage_url: str, tmp_path: Path) -> list[tuple[Any, ...]]:
    url = f"sqlite:///{shutil.copy(storage_url.removeprefix('sqlite:///'), tmp_path / 'undisturbed.db')}"
    begin(url)
    with open_study(url) as ledger:
        drive(ledger, N_TRIALS)
    return read(url)


@contextmanager
def open_flaky(url: str, verb: str, n_failures: int, stop_signal: Any = never, **how: Any) -> Iterator[Flaky]:
    """Drive the study to its end on a storage that fails."""
    with open_driven(url, "iris", wait=lambda _: False) as storage:
        identity = optuna.load_study(study_name="iris", storage=storage).user_attrs[IDENTITY]
        flaky = Flaky(storage, verb, n_failures, gone(may_pass=how.pop("may_pass", True)), **how)
        yield flaky
        drive(Ledger(flaky, identity, define(), derive, stop_signal), N_TRIALS)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [False, True], ids=["refused", "answer-lost"])
@pytest.mark.parametrize("verb", STORAGE_VERBS)
def test_storage_that_fails_three_times_changes_nothing(storage_url, undisturbed, verb, after):
    begin(storage_url)
    with open_flaky(storage_url, verb, 3, after=after) as flaky:
        pass
    assert flaky.n_calls >= 3
    assert read(storage_url) == undisturbed


@pytest.mark.parametrize("verb", STORAGE_VERBS)
def test_storage_that_never_succeeds_is_one_line_and_the_next_run_goes_on(storage_url, undisturbed, verb):
    begin(storage_url)
    with pytest.raises(LedgerError, match=r"^the storage is gone for a moment$"), open_flaky(storage_url, verb, ALWAYS):
        pass
    with open_study(storage_url) as ledger:
        drive(ledger, N_TRIALS)
    assert read(storage_url) == undisturbed


def test_reason_that_does_not_pass_is_not_tried_again(storage_url):
    begin(storage_url)
    with pytest.raises(LedgerError), open_flaky(storage_url, "create_new_trial", ALWAYS, may_pass=False) as flaky:
        pass
    assert flaky.n_calls == 1


def test_signal_ends_the_patience(storage_url, monkeypatch):
    monkeypatch.setattr(hpo.storage, "RETRY_SECONDS", 60.0)
    begin(storage_url)
    started = time.monotonic()
    with (
        pytest.raises(InterruptedBySignal, match=r"^stopped while the storage is gone for a moment$") as caught,
        open_flaky(storage_url, "create_new_trial", ALWAYS, lambda: signal.SIGTERM),
    ):
        pass
    assert caught.value.exit_code == 143
    assert time.monotonic() - started < 10


# Tracking.


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("migrated")
    MlflowWriter(f"sqlite:///{directory}/mlflow.db", StudyRecord(uid="f" * 32, name="none", value_name="x")).open(0)
    return directory / "mlflow.db"


@pytest.fixture
def tracking_uri(migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{shutil.copy(migrated, tmp_path / 'mlflow.db')}"


class Tracked:
    """A follower of a finished study, one verb of whose writer, or of the client below it, fails."""

    def __init__(self, storage_url: str, tracking_uri: str, verb: str, n_failures: int, *, after: bool = False) -> None:
        with open_study(storage_url) as ledger:
            drive(ledger, N_TRIALS)
            uid = ledger.uid
        study = optuna.load_study(study_name="iris", storage=storage_url)
        self.notes: list[str] = []
        self.uri = tracking_uri
        record = StudyRecord(uid=uid, name="iris", value_name="cv_accuracy_mean")
        self.follower = Follower(lambda: study, tracking_uri, record, self.notes.append)
        writer = self.follower._writer
        error = TrackingError("MLflow is gone for a moment")
        if verb in TRACKING_VERBS:
            flaky = Flaky(writer, verb, n_failures, error, after=after)
            self.follower._writer = self.follower._projection._writer = flaky
        else:
            writer._client = Flaky(MlflowClient(tracking_uri), verb, n_failures, error, after=after)
            opened = writer.open

            def open_with_this_client(start_time_ms: int) -> None:
                client, hpo.tracking.writer._connect = hpo.tracking.writer._connect, lambda _: writer._client
                try:
                    opened(start_time_ms)
                finally:
                    hpo.tracking.writer._connect = client

            writer.open = open_with_this_client
        self.model = self._make_model(uid)

    @staticmethod
    def _make_model(uid: str) -> ModelRecord:
        import pandas as pd  # noqa: PLC0415

        X = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
        model = LogisticRegression().fit(X, [0, 0, 1, 1])
        return ModelRecord(
            key=f"{uid}/1",
            trial_number=1,
            model=model,
            input_example=X,
            expected=model.predict(X),
            metrics={"test_accuracy": 1.0},
            params={"C": "1.0"},
            time_ms=1,
            requirements=("scikit-learn",),
            input_types={"x": "double"},
        )

    def check_whole(self) -> None:
        """One parent, one finished child a trial, one model that is ready, and nothing else that is active."""
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name("iris")
        runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
        parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        numbers = sorted(int(run.data.metrics["trial_number"]) for run in runs if run not in parents)
        assert [run.info.status for run in parents] == ["FINISHED"]
        assert numbers == list(range(N_TRIALS))
        assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
        assert [str(model.status) for model in client.search_logged_models([experiment.experiment_id])] == ["READY"]


@pytest.mark.parametrize("after", [False, True], ids=["refused", "answer-lost"])
@pytest.mark.parametrize("verb", [*TRACKING_VERBS, *CLIENT_VERBS])
def test_tracking_that_fails_three_times_catches_up(storage_url, tracking_uri, verb, after):
    tracked = Tracked(storage_url, tracking_uri, verb, 3, after=after)
    tracked.follower.follow()
    state = tracked.follower.finish(tracked.model, "FINISHED", wait_seconds=20)
    assert (state.problem, state.n_behind) == (None, 0)
    assert [note.split(" (")[0].split(":")[0] for note in tracked.notes] in (
        ["MLflow does not take what is written", "MLflow has caught up"],
        [],  # each failure came after something had got through
    )
    tracked.check_whole()


@pytest.mark.parametrize("verb", [*TRACKING_VERBS, *CLIENT_VERBS])
def test_tracking_that_never_succeeds_ends_in_time_and_the_next_run_catches_up(storage_url, tracking_uri, verb):
    tracked = Tracked(storage_url, tracking_uri, verb, ALWAYS)
    started = time.monotonic()
    state = tracked.follower.finish(tracked.model, "FINISHED", wait_seconds=0.5)
    assert time.monotonic() - started < 20
    assert state.problem is not None
    assert state.problem.endswith("MLflow is gone for a moment")
    if verb in {"check_reachable", "open", "find_trials", "create_run"}:
        assert state.n_behind == N_TRIALS
    healed = Tracked(storage_url, tracking_uri, verb, 0)
    assert healed.follower.finish(healed.model, "FINISHED", wait_seconds=5).problem is None
    healed.check_whole()
