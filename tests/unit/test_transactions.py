"""What our verbs leave in the tables is what Optuna's own verbs leave there."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.ledger.transactions import LedgerStorage
from tests.unit.driving import numbers_of_trials_asked_at_once

RESULTS = [
    (
        TrialState.COMPLETE,
        0.975,
        (1.0, 0.95, 0.975),
        {"hpo.scores": {"accuracy": [1.0, 0.95, 0.975]}, "hpo.converged": False},
    ),
    (TrialState.COMPLETE, -0.0, (), {"text": "é \U0001f40d \" ' %s"}),
    (TrialState.PRUNED, None, (0.25,), {"hpo.scores": {"accuracy": [0.25]}}),
    (TrialState.FAIL, None, (), {"hpo.failure": "ValueError: no", "hpo.traceback": "Traceback"}),
    (TrialState.FAIL, None, (), {}),
]

STARTED = create_trial(
    state=TrialState.RUNNING,
    params={"C": 0.1, "penalty": "l2", "depth": None},
    distributions={
        "C": FloatDistribution(1e-3, 10.0, log=True),
        "penalty": CategoricalDistribution(["l1", "l2"]),
        "depth": CategoricalDistribution([1, None]),
    },
    user_attrs={"hpo.derived": {"tol": 1e-4}},
)


def begin(storage: RDBStorage, state: TrialState = TrialState.RUNNING) -> int:
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "iris")
    return storage.create_new_trial(
        study_id, create_trial(state=state, user_attrs={"hpo.derived": {"tol": 1e-4}})
    )


def result_of(state: TrialState, value: Any, scores: Any, attributes: Any) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value,
        intermediate_values=dict(enumerate(scores)),
        user_attrs=attributes,
    )


def finish_by_optuna(
    storage: RDBStorage, trial_id: int, state: TrialState, value: Any, scores: Any, attributes: Any
) -> None:
    for step, score in enumerate(scores):
        storage.set_trial_intermediate_value(trial_id, step, score)
    for name, content in attributes.items():
        storage.set_trial_user_attr(trial_id, name, content)
    storage.set_trial_state_values(trial_id, state, None if value is None else [value])


def read_tables(storage: RDBStorage) -> dict[str, list[Any]]:
    """All rows of all tables; only moments differ."""
    metadata = sqlalchemy.MetaData()
    metadata.reflect(storage.engine)
    with storage.engine.connect() as connection:
        rows = {
            table.name: connection.execute(sqlalchemy.select(table)).mappings().all()
            for table in metadata.sorted_tables
        }
    return {
        name: [
            {k: bool(v) if k.startswith("datetime") else v for k, v in row.items()} for row in of
        ]
        for name, of in rows.items()
    }


@pytest.mark.parametrize(
    "result", RESULTS, ids=["complete", "no steps", "pruned", "failed", "nothing said"]
)
def test_tables_hold_what_optuna_puts_there(tmp_path, result):
    ours, theirs = (
        LedgerStorage(f"sqlite:///{tmp_path}/ours.db"),
        RDBStorage(f"sqlite:///{tmp_path}/theirs.db"),
    )
    assert ours.finish_trial(begin(ours), result_of(*result))
    finish_by_optuna(theirs, begin(theirs), *result)
    assert read_tables(ours) == read_tables(theirs)
    (one,), (other,) = ours.get_all_trials(1), theirs.get_all_trials(1)
    assert (one.state, one.value, one.intermediate_values, one.user_attrs) == (
        *(other.state, other.value, other.intermediate_values),
        other.user_attrs,
    )
    assert abs((one.datetime_complete - other.datetime_complete).total_seconds()) < 60


def test_started_trial_is_what_optuna_would_have_made(tmp_path):
    ours, theirs = (
        LedgerStorage(f"sqlite:///{tmp_path}/ours.db"),
        RDBStorage(f"sqlite:///{tmp_path}/theirs.db"),
    )
    made = [create_trial(state=TrialState.WAITING), STARTED, STARTED]
    study_id = ours.create_new_study([StudyDirection.MAXIMIZE], "iris")
    assert [ours.start_trial(study_id, trial) for trial in made] == [(1, 0), (2, 1), (3, 2)]
    theirs.create_new_study([StudyDirection.MAXIMIZE], "iris")
    for trial in made:
        theirs.create_new_trial(study_id, trial)
    assert read_tables(ours) == read_tables(theirs)
    one, other = ours.get_all_trials(1)[1], theirs.get_all_trials(1)[1]
    assert (one.params, one.distributions) == (other.params, other.distributions)
    assert one.params == STARTED.params
    assert one.datetime_start == other.datetime_start == STARTED.datetime_start


def test_numbers_are_each_study_s_own_and_a_study_that_is_gone_gets_no_trial(storage_url):
    storage = LedgerStorage(storage_url)
    begin(storage)
    other = storage.create_new_study([StudyDirection.MAXIMIZE], "other")
    assert storage.start_trial(other, STARTED)[1] == 0
    assert storage.start_trial(other, STARTED)[1] == 1
    with pytest.raises(KeyError):
        storage.start_trial(99, STARTED)
    assert [trial.number for trial in storage.get_all_trials(other)] == [0, 1]


def test_trials_that_are_asked_at_once_get_numbers_of_their_own(storage_url):
    assert numbers_of_trials_asked_at_once(storage_url, 40) == [*range(40)]


def test_what_was_left_half_written_is_replaced(storage_url):
    storage = LedgerStorage(storage_url)
    trial_id = begin(storage)
    storage.set_trial_intermediate_value(trial_id, 0, 0.5)
    storage.set_trial_intermediate_value(trial_id, 7, 0.5)
    storage.set_trial_user_attr(trial_id, "hpo.scores", {})
    assert storage.finish_trial(trial_id, result_of(*RESULTS[0]))
    (trial,) = storage.get_all_trials(1)
    assert trial.intermediate_values == {0: 1.0, 1: 0.95, 2: 0.975}
    assert trial.user_attrs == {"hpo.derived": {"tol": 1e-4}, **RESULTS[0][3]}


def test_finished_trial_is_not_changed(storage_url):
    storage = LedgerStorage(storage_url)
    trial_id = begin(storage)
    assert storage.finish_trial(trial_id, result_of(*RESULTS[3]))
    before = storage.get_all_trials(1)
    assert not storage.finish_trial(trial_id, result_of(*RESULTS[0]))
    assert storage.get_all_trials(1) == before


def test_queued_trial_may_end_without_having_run(storage_url):
    storage = LedgerStorage(storage_url)
    assert storage.finish_trial(begin(storage, TrialState.WAITING), result_of(*RESULTS[3]))
    assert storage.get_all_trials(1)[0].state == TrialState.FAIL
