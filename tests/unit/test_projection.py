"""From a finished trial to the record of its child run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from hpo.ledger import trials
from hpo.tracking.run_records import StudyRecord
from hpo.tracking.trial_records import STATUS_OF, make_record

UID = "0123456789abcdef" * 2
STUDY = StudyRecord(
    uid=UID,
    name="iris",
    value_name="accuracy",
    tags={"hpo.data_digest": "d" * 32, "hpo.other": "x"},
)
START = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
PARAMS = {"C": 0.5, "penalty": "l2", "depth": 3}
DISTRIBUTIONS = {
    "C": FloatDistribution(0.1, 1),
    "penalty": CategoricalDistribution(("l2", "l1")),
    "depth": IntDistribution(1, 9),
}
SCORES = {"accuracy": [0.5, 0.75, 1.0], "neg_log_loss": [-0.5, -0.25, 0.0]}


def local(moment: datetime) -> datetime:
    """As Optuna keeps it: local time that does not say so."""
    return moment.astimezone().replace(tzinfo=None)


def trial(
    state: TrialState = TrialState.COMPLETE,
    *,
    seconds: float = 1.5,
    values: list[float] | None = None,
    **fields: Any,
) -> FrozenTrial:
    if values is None and state == TrialState.COMPLETE:
        values = [0.75]
    content = {
        "number": 12,
        "state": state,
        "value": None,
        "values": values,
        "datetime_start": local(START),
        "datetime_complete": local(START + timedelta(seconds=seconds)),
        "params": PARAMS,
        "distributions": DISTRIBUTIONS,
        "user_attrs": {},
        "system_attrs": {},
        "intermediate_values": {},
        "trial_id": 99,
    }
    return FrozenTrial(**{**content, **fields})


def test_state_map_is_total():
    assert set(STATUS_OF) == {state for state in TrialState if state.is_finished()}


@pytest.mark.parametrize(
    ("state", "status"),
    [(TrialState.COMPLETE, "FINISHED"), (TrialState.PRUNED, "KILLED"), (TrialState.FAIL, "FAILED")],
)
def test_every_end_has_its_status(state, status):
    record = make_record(trial(state), STUDY)
    assert record.status == status
    assert record.tags["optuna.state"] == state.name


def test_trial_of_ours():
    derived = {"solver": "saga", "random_state": 0}
    record = make_record(trial(user_attrs={trials.SCORES: SCORES, trials.DERIVED: derived}), STUDY)
    assert (record.key, record.number) == (f"{UID}/12", 12)
    assert record.params == {
        "C": "0.5",
        "penalty": "l2",
        "depth": "3",
        "solver": "saga",
        "random_state": "0",
    }
    assert record.metrics == {
        "trial_number": 12.0,
        "cv_accuracy_mean": 0.75,
        "cv_accuracy_std": float(np.std(SCORES["accuracy"])),
        "cv_neg_log_loss_mean": -0.25,
        "cv_neg_log_loss_std": float(np.std(SCORES["neg_log_loss"])),
    }
    assert record.steps == {
        "fold_accuracy": {0: 0.5, 1: 0.75, 2: 1.0},
        "fold_neg_log_loss": {0: -0.5, 1: -0.25, 2: 0.0},
    }
    assert record.tags == {
        "optuna.state": "COMPLETE",
        "hpo.converged": "true",
        "hpo.data_digest": "d" * 32,
    }
    assert record.traceback is None


def test_trial_that_did_not_converge_says_so():
    record = make_record(trial(user_attrs={trials.SCORES: SCORES, trials.CONVERGED: False}), STUDY)
    assert record.tags["hpo.converged"] == "false"


def test_failed_trial_has_its_reason_and_traceback_and_no_score():
    attrs = {
        trials.FAILURE: "ValueError: too wide",
        trials.TRACEBACK: "Traceback\nline 2",
        trials.DERIVED: {"solver": "saga"},
    }
    record = make_record(trial(TrialState.FAIL, user_attrs=attrs), STUDY)
    assert record.tags == {
        "optuna.state": "FAIL",
        "hpo.failure": "ValueError: too wide",
        "hpo.data_digest": "d" * 32,
    }
    assert record.traceback == "Traceback\nline 2"
    assert record.metrics == {"trial_number": 12.0}
    assert record.steps == {}


def test_times_are_the_trials_in_utc():
    record = make_record(trial(seconds=1.5), STUDY)
    assert record.start_time_ms == round(START.timestamp() * 1000)
    assert record.end_time_ms == record.start_time_ms + 1500


@pytest.mark.parametrize("seconds", [-0.001, -3600])
def test_duration_is_never_negative(seconds):
    record = make_record(trial(seconds=seconds), STUDY)
    assert record.end_time_ms == record.start_time_ms


def test_trial_that_never_started_has_no_length():
    record = make_record(trial(TrialState.FAIL, datetime_start=None), STUDY)
    assert record.start_time_ms == record.end_time_ms


def test_plain_trial_of_another_study():
    study = StudyRecord(uid=UID, name="nets", value_name="loss")
    record = make_record(
        trial(
            values=[0.25],
            intermediate_values={0: 0.9, 5: 0.5},
            user_attrs={"host": "a", "epochs": 7},
        ),
        study,
    )
    assert record.metrics == {"trial_number": 12.0, "loss": 0.25}
    assert record.steps == {"loss_intermediate": {0: 0.9, 5: 0.5}}
    assert record.tags == {"optuna.state": "COMPLETE", "host": "a", "epochs": "7"}


def test_plain_trial_of_several_objectives():
    record = make_record(
        trial(values=[0.25, 3.0]), StudyRecord(uid=UID, name="nets", value_name="loss")
    )
    assert record.metrics == {"trial_number": 12.0, "loss_0": 0.25, "loss_1": 3.0}


def test_plain_pruned_trial_keeps_its_steps():
    record = make_record(
        trial(TrialState.PRUNED, values=[0.5], intermediate_values={0: 0.5}), STUDY
    )
    assert record.status == "KILLED"
    assert record.steps == {"accuracy_intermediate": {0: 0.5}}


@pytest.mark.parametrize(
    "attrs", [{"scores": [0.1, 0.2]}, {"scores": {"fold": 0.5}}, {"derived": 5}], ids=str
)
def test_plain_trial_with_attributes_named_like_ours(attrs):
    assert make_record(trial(user_attrs=attrs), STUDY).tags.keys() >= attrs.keys()


@pytest.mark.parametrize("name", ["lr[0]", "a=b", "größe?"])
def test_param_names_of_another_study_are_made_such_that_mlflow_takes_them(name):
    record = make_record(
        trial(params={name: 0.5}, distributions={name: FloatDistribution(0, 1)}), STUDY
    )
    (written,) = record.params
    assert all(character.isalnum() or character in "_-. :/" for character in written)
