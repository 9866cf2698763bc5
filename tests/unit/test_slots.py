"""Slots of a ledger on a real SQLite file: asked, taken up again, told, stopped."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from hpo.errors import TooManyFailuresError
from hpo.estimators.objective import StepResult
from hpo.ledger.storage import open_storage
from hpo.ledger.trials import CONVERGED, DERIVED, FAILURE, SCORES, TRACEBACK
from tests.unit.driving import (
    begin,
    define,
    derive,
    drive,
    facts,
    failure,
    open_study,
    read_study,
    read_trials,
    results_of,
    score,
)

# Asking.


def test_trial_0_is_the_defaults_with_complete_params(storage_url):
    with open_study(storage_url) as slots:
        slot = slots.next_slot(5)
    chosen = {"C": 1.0, "penalty": "l2", "class_weight": "none"}
    assert slot.number == 0
    assert slot.params == derive(chosen)


def test_asked_trial_is_in_the_ledger_running_with_all_its_params(storage_url):
    with open_study(storage_url) as slots:
        for number in range(3):
            slot = slots.next_slot(5)
            trial = read_trials(storage_url)[-1]
            assert (trial.number, trial.state) == (number, TrialState.RUNNING)
            assert trial.datetime_start is not None
            assert {**trial.params, **trial.user_attrs[DERIVED]} == slot.params
            assert set(trial.params) >= {"penalty", "class_weight"}
            slots.tell(slot, score(slot.params))


def test_total_is_the_studys_not_the_calls(storage_url):
    with open_study(storage_url) as slots:
        drive(slots, 3)
        assert slots.next_slot(3) is None
    with open_study(storage_url) as slots:
        assert slots.n_told == 3
        assert slots.next_slot(3) is None
        assert slots.next_slot(2) is None
        assert slots.next_slot(4).number == 3


# Looking ahead.


def count_ahead(slots: Any, n_trials: int = 50) -> int:
    """Ask for slots as long as they may be asked for before any result is told."""
    n_asked = 0
    while slots.can_look_ahead() and slots.next_slot(n_trials) is not None:
        n_asked += 1
    return n_asked


@pytest.mark.parametrize(
    ("overrides", "n_ahead"),
    [
        ({}, 10),
        ({"sampler__n_startup_trials": 4}, 4),
        ({"sampler__n_startup_trials": 30}, 10),
        ({"sampler__kind": "random", "sampler__n_startup_trials": 0}, 10),
        ({"study__concurrency": 4}, 10),
        ({"study__patience": 30}, 0),
    ],
    ids=str,
)
def test_slots_are_looked_ahead_to_until_they_are_modelled_or_failures_are_judged(
    storage_url, overrides, n_ahead
):
    with open_study(storage_url, define(**overrides)) as slots:
        assert count_ahead(slots) == n_ahead


def test_nothing_is_looked_ahead_to_while_there_are_trials_to_adopt(storage_url):
    with open_study(storage_url) as slots:
        drive(slots, 1)
        assert count_ahead(slots, 4) == 3
    read_study(storage_url).enqueue_trial({"C": 0.5})
    with open_study(storage_url) as slots:
        for number in range(1, 5):
            assert not slots.can_look_ahead()
            assert slots.next_slot(50).number == number
        assert slots.can_look_ahead()


@pytest.mark.parametrize("n_told", [0, 2, 9])
def test_slots_that_were_looked_ahead_to_change_no_trial(storage_url, tmp_path, n_told):
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    with open_study(whole_url) as slots:
        drive(slots, 14)
    with open_study(storage_url) as slots:
        drive(slots, 14, stop_after=n_told)
        assert count_ahead(slots) == 9 - n_told
    with open_study(storage_url) as slots:
        drive(slots, 14)
    assert facts(read_trials(storage_url)) == facts(read_trials(whole_url))


# Resuming.


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("stops", [[0, 0, 1], [5], [1, 1, 1, 1, 1, 1], [9, 2]])
def test_any_interruption_gives_the_same_trials(storage_url, tmp_path, concurrency, stops):
    definition = define(study__concurrency=concurrency, sampler__n_startup_trials=4)
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    with open_study(whole_url, definition) as slots:
        drive(slots, 14, concurrency)
    for stop_after in [*stops, None]:
        with open_study(storage_url, definition) as slots:
            drive(slots, 14, concurrency, stop_after=stop_after)
    assert facts(read_trials(storage_url)) == facts(read_trials(whole_url))


def test_top_up_gives_the_same_trials(storage_url, tmp_path):
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    with open_study(whole_url) as slots:
        drive(slots, 13)
    for n_trials in (4, 11, 13):
        with open_study(storage_url) as slots:
            drive(slots, n_trials)
    assert facts(read_trials(storage_url)) == facts(read_trials(whole_url))


def test_running_trial_of_a_dead_driver_is_adopted_under_its_number(storage_url):
    with open_study(storage_url) as slots:
        drive(slots, 2)
        left = slots.next_slot(5)
    with open_study(storage_url) as slots:
        assert slots.n_told == 2
        adopted = slots.next_slot(5)
        assert adopted == left
        assert slots.tell(adopted, results_of(0.25, 0.75)) == (TrialState.COMPLETE, 0.5)
        assert slots.next_slot(5).number == 3
    assert [trial.state.name for trial in read_trials(storage_url)] == [
        "COMPLETE",
        "COMPLETE",
        "COMPLETE",
        "RUNNING",
    ]


def test_adopted_trial_is_handed_out_even_above_the_total(storage_url):
    with open_study(storage_url) as slots:
        drive(slots, 2)
        slots.next_slot(5)
    with open_study(storage_url) as slots:
        assert slots.next_slot(1).number == 2
        assert slots.next_slot(1) is None


QUEUED = {"C": 7.0, "penalty": "l1", "class_weight": "balanced"}


def test_queued_trial_is_taken_next_with_its_params_and_counts(storage_url):
    with open_study(storage_url) as slots:
        drive(slots, 2)
    read_study(storage_url).enqueue_trial(QUEUED)
    with open_study(storage_url) as slots:
        slot = slots.next_slot(4)
        assert (slot.number, slot.params) == (2, derive(QUEUED))
        trial = read_trials(storage_url)[2]
        assert (trial.state, trial.params) == (TrialState.RUNNING, QUEUED)
        assert {**trial.params, **trial.user_attrs[DERIVED]} == slot.params
        assert slots.tell(slot, results_of(0.5)) == (TrialState.COMPLETE, 0.5)
        assert slots.next_slot(4).number == 3
        assert slots.next_slot(4) is None
    assert [trial.state.name for trial in read_trials(storage_url)] == [
        "COMPLETE",
        "COMPLETE",
        "COMPLETE",
        "RUNNING",
    ]


def test_queued_trials_run_in_their_order_even_above_the_total(storage_url):
    begin(storage_url)
    for C in (7.0, 8.0):
        read_study(storage_url).enqueue_trial({**QUEUED, "C": C})
    with open_study(storage_url) as slots:
        for C in (7.0, 8.0):
            slot = slots.next_slot(1)
            assert slot.params["C"] == C
            slots.tell(slot, results_of(0.5))
        assert slots.next_slot(1) is None


def test_queued_trial_with_some_params_gets_the_others_from_the_sampler(storage_url):
    begin(storage_url)
    read_study(storage_url).enqueue_trial({"penalty": "elasticnet", "l1_ratio": 0.25})
    with open_study(storage_url) as slots:
        params = slots.next_slot(1).params
    assert (params["penalty"], params["l1_ratio"]) == ("elasticnet", 0.25)
    assert params.keys() >= {"C", "class_weight", "solver"}


def test_queued_trial_whose_driver_died_is_adopted_with_the_same_params(storage_url):
    begin(storage_url)
    read_study(storage_url).enqueue_trial({"penalty": "l1"})
    with open_study(storage_url) as slots:
        left = slots.next_slot(3)
    with open_study(storage_url) as slots:
        assert slots.next_slot(3) == left


@pytest.mark.parametrize(
    "params",
    [
        {"penalty": "l3"},
        {"C": "much"},
        {**QUEUED, "C": 1e9},
        {"C": 10**400},
        {"C": -(10**400)},
        {"penalty": 10**400},
        {"C": float("nan")},
        {"C": float("inf")},
        {"C": None},
        {"C": True},
        {"C": "1.0"},
        {"C": {"low": 1}},
        {"C": [1.0]},
        {"penalty": True},
        {"penalty": ["l2"]},
        {"penalty": None},
        {"class_weight": {"a": {"b": 1}}},
        {"c": 1.0},
        {"": 1.0},
        {"penalty": "l2\n\x1b[31m" + "x" * 10_000},
    ],
    ids=lambda params: str(params)[:30].encode("unicode_escape").decode(),
)
def test_queued_trial_that_is_not_in_the_space_fails_with_its_reason(storage_url, params):
    begin(storage_url)
    read_study(storage_url).enqueue_trial(params)
    with open_study(storage_url) as slots:
        slot = slots.next_slot(3)
        slots.tell(slot, [StepResult(failure=slot.failure)])
        assert slots.next_slot(3).number == 1
    queued = read_trials(storage_url)[0]
    assert queued.state.name == "FAIL"
    reason = queued.user_attrs["hpo.failure"]
    assert reason.startswith("queued with params that are not in the search space: ")
    assert reason.isprintable()
    assert len(reason) < 400
    with open_study(storage_url) as slots:
        assert slots.n_told == 1


@pytest.mark.parametrize("C", [7, np.float64(7)], ids=repr)
def test_queued_number_is_taken_as_the_storage_gives_it_back(storage_url, C):
    begin(storage_url)
    read_study(storage_url).enqueue_trial({**QUEUED, "C": C})
    with open_study(storage_url) as slots:
        left = slots.next_slot(1)
        assert (left.params["C"], type(left.params["C"])) == (7.0, float)
    with open_study(storage_url) as slots:
        assert slots.next_slot(1) == left


@pytest.mark.parametrize("is_queued", [True, False])
def test_trial_that_another_client_ended_is_no_obstacle_to_the_pruner(storage_url, is_queued):
    """One that failed in the queue has no start; one that another client pruned has a value."""
    definition = define(pruner__kind="median", pruner__n_startup_trials=0)
    if is_queued:
        begin(storage_url, pruner__kind="median", pruner__n_startup_trials=0)
        read_study(storage_url).enqueue_trial({"C": "much"})
    with open_study(storage_url, definition) as slots:
        slot = slots.next_slot(9)
        if is_queued:
            slots.tell(slot, [StepResult(failure=slot.failure)])
    if not is_queued:
        storage = open_storage(storage_url)
        storage.set_trial_intermediate_value(slot.trial_id, 0, 0.9)
        storage.set_trial_state_values(slot.trial_id, TrialState.PRUNED, [0.9])
        storage.engine.dispose()
    with open_study(storage_url, definition) as slots:
        assert (slots.n_told, slots.best) == (1, None)
        slot = slots.next_slot(9)
        assert not slots.should_prune(slot, results_of(0.1))
        slots.tell(slot, results_of(0.5, 0.5, 0.5))
        assert slots.best == (1, 0.5)
        assert slots.should_prune(slots.next_slot(9), results_of(0.1))


# Telling.


def test_completed_trial_keeps_value_fold_scores_and_steps(storage_url):
    with open_study(storage_url) as slots:
        slot = slots.next_slot(5)
        assert slots.tell(slot, results_of(0.5, 0.75, 1.0)) == (TrialState.COMPLETE, 0.75)
        assert slots.n_told == 1
    (trial,) = read_trials(storage_url)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.75)
    assert trial.intermediate_values == {0: 0.5, 1: 0.75, 2: 1.0}
    assert trial.user_attrs[SCORES] == {
        "accuracy": [0.5, 0.75, 1.0],
        "neg_log_loss": [-0.5, -0.25, 0.0],
    }
    assert CONVERGED not in trial.user_attrs
    assert trial.datetime_start <= trial.datetime_complete


def test_trial_has_the_times_of_its_own_steps(storage_url):
    """Slots that are open together are told one after the other, long after they were scored."""
    now = time.time()
    with open_study(storage_url, define(study__concurrency=3)) as slots:
        open_slots = [slots.next_slot(9) for _ in range(3)]
        for index, slot in enumerate(open_slots):
            began = now - 100 + index
            steps = [
                replace(step, started=began + fold, ended=began + fold + 0.5)
                for fold, step in enumerate(results_of(0.5, 0.5))
            ]
            slots.tell(slot, steps)
        ahead = replace(results_of(0.5)[0], started=now + 500, ended=now + 1000)
        slots.tell(slots.next_slot(9), [ahead])
    trials = read_trials(storage_url)
    starts = [trial.datetime_start.timestamp() for trial in trials]
    assert starts[:3] == pytest.approx([now - 100, now - 99, now - 98])
    assert [trial.duration.total_seconds() for trial in trials] == pytest.approx([1.5, 1.5, 1.5, 0])
    assert starts[3] <= time.time()


def test_value_is_the_judged_metrics(storage_url):
    with open_study(storage_url, define(study__metric="neg_log_loss")) as slots:
        assert slots.tell(slots.next_slot(5), results_of(0.5, 0.75)) == (
            TrialState.COMPLETE,
            -0.375,
        )


def test_trial_with_a_fold_that_did_not_converge_is_marked(storage_url):
    with open_study(storage_url) as slots:
        slots.tell(slots.next_slot(5), [*results_of(0.5), *results_of(0.5, converged=False)])
    assert read_trials(storage_url)[0].user_attrs[CONVERGED] is False


def test_failed_trial_keeps_reason_and_traceback(storage_url):
    with open_study(storage_url) as slots:
        slot = slots.next_slot(5)
        assert slots.tell(slot, failure("ValueError: too wide", "Traceback: line 1\nline 2")) == (
            TrialState.FAIL,
            None,
        )
    (trial,) = read_trials(storage_url)
    assert (trial.state, trial.value) == (TrialState.FAIL, None)
    assert trial.user_attrs[FAILURE] == "ValueError: too wide"
    assert trial.user_attrs[TRACEBACK] == "Traceback: line 1\nline 2"
    assert SCORES not in trial.user_attrs


def test_failure_without_an_exception_has_no_traceback(storage_url):
    with open_study(storage_url) as slots:
        slots.tell(slots.next_slot(5), failure("the score roc_auc is nan"))
    assert TRACEBACK not in read_trials(storage_url)[0].user_attrs


def test_pruned_trial_keeps_the_scores_of_its_folds_and_has_no_value(storage_url):
    with open_study(storage_url, define(pruner__kind="median")) as slots:
        slot = slots.next_slot(5)
        assert slots.tell(slot, results_of(0.5, 0.25), is_pruned=True) == (TrialState.PRUNED, None)
        assert slots.n_told == 1
    (trial,) = read_trials(storage_url)
    assert (trial.state, trial.values, trial.intermediate_values) == (
        TrialState.PRUNED,
        None,
        {0: 0.5, 1: 0.25},
    )
    assert trial.user_attrs[SCORES] == {"accuracy": [0.5, 0.25], "neg_log_loss": [-0.5, -0.75]}


def test_pruner_judges_by_the_judged_metric(storage_url):
    definition = define(
        pruner__kind="median", pruner__n_startup_trials=1, study__metric="neg_log_loss"
    )
    good = [StepResult({"accuracy": 0.0, "neg_log_loss": 1.0})] * 2
    with open_study(storage_url, definition) as slots:
        slots.tell(slots.next_slot(5), results_of(0.5, 0.5))
        slot = slots.next_slot(5)
        assert not slots.should_prune(slot, good[:1])
        assert slots.should_prune(slot, results_of(0.25))


@pytest.mark.parametrize("pruner", ["median", "race"])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_any_interruption_prunes_the_same_trials(storage_url, tmp_path, concurrency, pruner):
    definition = define(
        study__concurrency=concurrency,
        pruner__kind=pruner,
        pruner__n_startup_trials=2,
        sampler__n_startup_trials=4,
    )
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    with open_study(whole_url, definition) as slots:
        drive(slots, 14, concurrency)
    for stop_after in [0, 1, 5, 1, None]:
        with open_study(storage_url, definition) as slots:
            drive(slots, 14, concurrency, stop_after=stop_after)
    whole = read_trials(whole_url)
    assert facts(read_trials(storage_url)) == facts(whole)
    assert {trial.state for trial in whole} == {
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
    }


# Stopping.


def tell_values(slots: Any, values: list[float | None], n_trials: int = 50) -> int:
    """Tell these values in order, None being a failure; returns how many slots there were."""
    for number, value in enumerate(values):
        slot = slots.next_slot(n_trials)
        if slot is None:
            return number
        slots.tell(slot, failure("ValueError: bad") if value is None else results_of(value))
    return len(values)


@pytest.mark.parametrize(
    ("patience", "values", "n_slots"),
    [
        (3, [0.9, 0.5, 0.5, 0.5, 1.0], 4),
        (3, [0.9, 0.9, 0.9, 0.9, 1.0], 4),
        (3, [0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3, 1.0], 7),
        (3, [0.9, None, None, 0.5, 1.0], 4),
        (1, [0.1, 0.2, 0.3, 0.3, 1.0], 4),
        (3, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6),
        (None, [0.9, 0.5, 0.5, 0.5, 0.5, 0.5], 6),
    ],
)
def test_patience_counts_trials_without_a_better_value(storage_url, patience, values, n_slots):
    overrides = {} if patience is None else {"study__patience": patience}
    with open_study(storage_url, define(**overrides)) as slots:
        assert tell_values(slots, values) == n_slots
    with open_study(storage_url, define(**overrides)) as slots:
        assert (slots.next_slot(50) is None) == (n_slots < len(values))


def test_patience_that_is_over_can_be_raised(storage_url):
    with open_study(storage_url, define(study__patience=2)) as slots:
        assert tell_values(slots, [0.9, 0.5, 0.5, 0.5]) == 3
    with open_study(storage_url, define(study__patience=3)) as slots:
        assert slots.next_slot(50).number == 3


def test_patience_sees_what_the_slot_sees_not_what_came_early(storage_url):
    definition = define(study__patience=2, study__concurrency=3)
    with open_study(storage_url, definition) as slots:
        opened = [slots.next_slot(50) for _ in range(3)]
        for slot, value in zip(opened, (0.9, 0.5, 0.5), strict=True):
            slots.tell(slot, results_of(value))
        # Slot 3 sees slot 0 only, slot 4 sees 0 and 1, slot 5 sees 0 to 2: there patience is over.
        assert [slots.next_slot(50).number for _ in range(2)] == [3, 4]
        assert slots.next_slot(50) is None


def test_patience_takes_float_noise_for_no_gain(storage_url):
    with open_study(storage_url, define(study__patience=2)) as slots:
        assert tell_values(slots, [0.9, 0.9 + 1e-16, 0.9 + 2e-16, 0.9 + 4e-16, 1.0]) == 3


def test_study_where_most_trials_fail_stops_with_the_commonest_reason(storage_url):
    with open_study(storage_url) as slots:
        for number in range(9):
            slot = slots.next_slot(50)
            slots.tell(
                slot, failure("ValueError: rare") if number == 0 else failure("ValueError: common")
            )
        slot = slots.next_slot(50)
        line = (
            r"10 of 10 trials failed, more than max_failed = 0\.5 allows;"
            r" the commonest reason: ValueError: common$"
        )
        with pytest.raises(TooManyFailuresError, match=line):
            slots.tell(slot, failure("ValueError: common"))
    assert read_trials(storage_url)[9].state == TrialState.FAIL


@pytest.mark.parametrize(("n_failed", "max_failed"), [(5, 0.5), (10, 1.0), (0, 0.0), (3, 0.3)])
def test_as_many_failures_as_allowed_do_not_stop(storage_url, n_failed, max_failed):
    with open_study(storage_url, define(study__max_failed=max_failed)) as slots:
        assert tell_values(slots, [None] * n_failed + [0.5] * (10 - n_failed)) == 10


def test_study_stopped_for_failures_gets_no_trial_when_run_again(storage_url):
    with open_study(storage_url) as slots, pytest.raises(TooManyFailuresError, match="10 of 10"):
        tell_values(slots, [None] * 10)
    with open_study(storage_url) as slots, pytest.raises(TooManyFailuresError, match="10 of 10"):
        slots.next_slot(50)
