"""Whatever a finished trial holds, its record can be logged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from hpo.ledger.trials import CONVERGED, DERIVED, FAILURE, SCORES, TRACEBACK
from hpo.tracking.keys import allowed
from hpo.tracking.run_records import StudyRecord
from hpo.tracking.trial_records import make_record

STUDY = StudyRecord(uid="0123456789abcdef" * 2, name="any", value_name="value")
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - as Optuna keeps them
param_values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
)
names = st.text(min_size=1, max_size=9)
numbers = st.floats()
attributes = st.dictionaries(
    names.filter(lambda name: not name.startswith("hpo.")),
    param_values
    | st.lists(param_values, max_size=3)
    | st.dictionaries(names, param_values, max_size=3),
    max_size=4,
)
scores = st.integers(1, 5).flatmap(
    lambda n: st.dictionaries(
        names, st.lists(st.floats(-1e6, 1e6), min_size=n, max_size=n), min_size=1, max_size=3
    )
)
ours = st.fixed_dictionaries({}, optional={
    SCORES: scores, DERIVED: st.dictionaries(names, param_values, max_size=3), FAILURE: st.text(), TRACEBACK: st.text(),
    CONVERGED: st.booleans(),
})  # fmt: skip


@st.composite
def finished_trials(draw: st.DrawFn) -> FrozenTrial:
    state = draw(st.sampled_from([state for state in TrialState if state.is_finished()]))
    n_values = draw(st.integers(1, 3) if state == TrialState.COMPLETE else st.integers(0, 1))
    params: dict[str, Any] = draw(st.dictionaries(names, param_values, max_size=4))
    return FrozenTrial(
        number=draw(st.integers(0, 10**6)),
        state=state,
        value=None,
        values=draw(st.lists(st.floats(allow_nan=False), min_size=n_values, max_size=n_values))
        or None,
        datetime_start=draw(st.none() | moments),
        datetime_complete=draw(moments),
        params=params,
        distributions={name: CategoricalDistribution((value,)) for name, value in params.items()},
        user_attrs={**draw(attributes), **draw(ours)},
        system_attrs={},
        intermediate_values=draw(st.dictionaries(st.integers(0, 100), numbers, max_size=4)),
        trial_id=draw(st.integers(0, 10**6)),
    )


@given(finished_trials())
def test_duration_is_never_negative(trial):
    record = make_record(trial, STUDY)
    assert 0 <= record.start_time_ms <= record.end_time_ms


@given(finished_trials())
def test_params_and_tags_are_text_and_none_is_lost(trial):
    record = make_record(trial, STUDY)
    assert all(type(value) is str for value in (*record.params.values(), *record.tags.values()))
    assert record.params.keys() >= {allowed(name) for name in trial.params}


@given(finished_trials())
def test_metrics_are_numbers_with_whole_steps(trial):
    record = make_record(trial, STUDY)
    assert record.metrics["trial_number"] == trial.number
    values = [
        *record.metrics.values(),
        *(value for steps in record.steps.values() for value in steps.values()),
    ]
    assert all(isinstance(value, float) for value in values)
    assert all(type(step) is int and step >= 0 for steps in record.steps.values() for step in steps)


@given(finished_trials())
def test_record_is_a_function_of_the_trial(trial):
    assert repr(make_record(trial, STUDY)) == repr(make_record(trial, STUDY))


@given(finished_trials())
def test_key_says_study_and_number(trial):
    assert make_record(trial, STUDY).key == f"{STUDY.uid}/{trial.number}"
