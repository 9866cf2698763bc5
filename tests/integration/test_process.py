"""The tracking process itself, at the two ends of its pipe."""

import signal
from collections.abc import Iterator
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.storages import RDBStorage
from optuna.trial import create_trial
from sklearn.linear_model import LogisticRegression

from hpo.tracking.process import TrackingProcess
from hpo.tracking.run_records import FinalRecord, ModelRecord, StudyRecord

from .driving import COMMAND_SECONDS, stores_of

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


@pytest.mark.usefixtures("_impatient")
def test_both_sides_have_more_to_say_than_a_pipe_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a search with MLflow away: hundreds of runs to write, and a model with many held-out rows."""
    monkeypatch.chdir(tmp_path)
    stores, X = stores_of(tmp_path), pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    storage = RDBStorage(stores["storage"])
    optuna.create_study(storage=storage, study_name="mine").add_trials(
        [create_trial(value=0.5) for _ in range(N_TRIALS)]
    )
    storage.engine.dispose()
    model = LogisticRegression().fit(X, [0, 0, 1, 1])
    record = ModelRecord(
        key="0123/0",
        trial_number=0,
        model=model,
        input_example=X,
        expected=model.predict(X),
        metrics={},
        params={},
        time_ms=1,
        requirements=("scikit-learn",),
        input_types={"x": "double"},
        files={"rows.txt": "x" * 1_000_000},
    )
    with TrackingProcess() as process:
        process.open(
            stores["storage"],
            stores["tracking_uri"],
            StudyRecord(uid="0123", name="mine", value_name="value"),
        )
        state = process.finish(FinalRecord(record, n_finished=N_TRIALS), "FINISHED", 120.0)
    assert (state.tracking_problem, state.n_behind, len(state.run_ids)) == (None, 0, N_TRIALS)
    assert state.model_uri is not None
