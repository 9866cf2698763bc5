"""The tracking process itself, at the two ends of its pipe."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import create_trial

from hpo.tracking.process import TrackingProcess
from hpo.tracking.run_records import FinalRecord, StudyRecord
from tests.support.commands import COMMAND_SECONDS
from tests.support.models import small_model
from tests.support.servers import free_port
from tests.support.stores import stores_of

N_TRIALS = 400
"""More messages than a pipe holds."""


@pytest.fixture
def _impatient() -> Iterator[None]:
    """What would block for ever fails instead."""

    def give_up(*_: object) -> None:
        raise AssertionError("it blocks")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(COMMAND_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make_study(storage_url: str, n_trials: int) -> None:
    storage = RDBStorage(storage_url)
    optuna.create_study(storage=storage, study_name="mine").add_trials(
        [create_trial(value=0.5) for _ in range(n_trials)]
    )
    storage.engine.dispose()


def open_tracking(process: TrackingProcess, stores: dict[str, str], heard: list[str | int]) -> None:
    study = StudyRecord(uid="0123", name="mine", value_name="value")
    process.open(stores["storage"], stores["tracking_uri"], study, heard.append)


def wait_for(heard: list[str | int], message: str | int) -> None:
    give_up = time.monotonic() + COMMAND_SECONDS
    while message not in heard:
        assert time.monotonic() < give_up, heard
        time.sleep(0.05)


@pytest.mark.usefixtures("_impatient")
def test_messages_come_while_the_search_goes_on(tmp_path: Path) -> None:
    heard: list[str | int] = []
    stores = stores_of(tmp_path)
    make_study(stores["storage"], 3)
    with TrackingProcess() as process:
        open_tracking(process, stores, heard)
        wait_for(heard, 2)
        state = process.finish(None, "FINISHED", 60.0)
    assert (state.tracking_problem, state.n_behind, heard) == (None, 0, [0, 0, 1, 2])


@pytest.mark.usefixtures("_impatient")
def test_run_that_has_failed_hears_nothing_more(tmp_path: Path) -> None:
    """Its own error is what a person should see."""
    heard: list[str | int] = []
    stores = stores_of(tmp_path) | {"tracking_uri": f"http://127.0.0.1:{free_port()}"}
    make_study(stores["storage"], 1)
    with TrackingProcess() as process:
        open_tracking(process, stores, heard)
        state = process.finish(None, "FAILED", 3.0)
    assert state.n_behind == 1
    assert state.tracking_problem is not None
    assert heard == []


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (signal.SIGKILL, "the tracking process ended with exit code -9"),
        (signal.SIGSTOP, "the tracking process does not answer"),
    ],
)
def test_process_that_dies_or_hangs_blocks_nothing(
    tmp_path: Path, number: signal.Signals, problem: str
) -> None:
    heard: list[str | int] = []
    stores = stores_of(tmp_path)
    make_study(stores["storage"], 1)
    large = "x" * 10_000_000  # more than a pipe holds
    study = StudyRecord(uid="0123", name="mine", value_name="value", texts={"a.txt": large})
    with TrackingProcess() as process:
        process._process.send_signal(number)
        started = time.monotonic()
        process.open(stores["storage"], stores["tracking_uri"], study, heard.append)
        assert time.monotonic() - started < 5
        state = process.finish(None, "KILLED", 0.5, is_hurried=True)
    assert (state.tracking_problem, heard) == (problem, [])
    assert time.monotonic() - started < 20


@pytest.mark.usefixtures("_impatient")
def test_both_sides_have_more_to_say_than_a_pipe_holds(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a search with MLflow away: hundreds of runs to write, and a model with many held-out
    rows.
    """
    monkeypatch.chdir(directory)
    stores = stores_of(directory)
    make_study(stores["storage"], N_TRIALS)
    record = small_model("0123/0", files={"rows.txt": "x" * 1_000_000})
    with TrackingProcess() as process:
        process.open(
            stores["storage"],
            stores["tracking_uri"],
            StudyRecord(uid="0123", name="mine", value_name="value"),
        )
        state = process.finish(FinalRecord(record, n_finished=N_TRIALS), "FINISHED", 120.0)
    assert (state.tracking_problem, state.n_behind, len(state.run_ids)) == (None, 0, N_TRIALS)
    assert state.model_uri is not None
