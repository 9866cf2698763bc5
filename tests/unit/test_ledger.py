"""The ledger, on a real SQLite file: opened, resumed, refused, stopped."""

from __future__ import annotations

import signal
import sqlite3
import threading
from contextlib import closing
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

import hpo.ledger.failures
import hpo.ledger.storage
from hpo.errors import (
    IdentityError,
    InterruptedBySignal,
    LedgerError,
    SettingsError,
    StudyLockedError,
    TooManyFailuresError,
)
from hpo.estimators.objective import StepResult
from hpo.ledger.storage import open_storage
from hpo.ledger.trials import CONVERGED, DERIVED, FAILURE, SCORES, TRACEBACK
from hpo.settings import sqlite_path
from tests.unit.driving import (
    DATA_DIGEST,
    define,
    derive,
    drive,
    facts,
    failure,
    open_study,
    results_of,
    score,
)


def read_study(storage_url: str, name: str = "iris") -> optuna.Study:
    """The study as a second client sees it."""
    return optuna.load_study(study_name=name, storage=storage_url)


def read_trials(storage_url: str, name: str = "iris") -> list[FrozenTrial]:
    return read_study(storage_url, name).get_trials()


def begin(storage_url: str, data_digest: str = DATA_DIGEST, **overrides: Any) -> str:
    with open_study(storage_url, define(**overrides), data_digest) as ledger:
        return ledger.uid


# Opening.


def test_new_file_is_made_in_wal_mode_with_a_study_that_maximizes(tmp_path):
    url = f"sqlite:///{tmp_path}/new.db"
    begin(url)
    study = read_study(url)
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.metric_names == ["accuracy"]
    assert study.get_trials() == []
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_reopened_study_is_the_same_one(storage_url):
    uid = begin(storage_url)
    assert len(uid) == 32
    assert begin(storage_url) == uid
    assert begin(storage_url, study__name="another") != uid


def test_second_driver_is_refused_while_the_first_has_the_study(storage_url):
    with (
        open_study(storage_url),
        pytest.raises(StudyLockedError, match="study 'iris' is being driven by another process"),
    ):
        begin(storage_url)
    assert begin(storage_url)


def test_two_studies_of_one_file_are_driven_at_once(storage_url):
    other = define(study__name="other")
    with open_study(storage_url) as one, open_study(storage_url, other) as two:
        drive(one, 2)
        drive(two, 3)
    assert (len(read_trials(storage_url)), len(read_trials(storage_url, "other"))) == (2, 3)


@pytest.mark.parametrize(
    ("overrides", "change"),
    [
        (
            {"search_space__C": {"low": 1e-4, "high": 1e3, "log": True}},
            r"search_space\.C\.high 10000 -> 1000",
        ),
        (
            {"search_space__C": 1.0},
            r"search_space\.C absent -> 1, search_space\.C\.high 10000 -> absent, ",
        ),
        (
            {"search_space__penalty": ["l2", "l1"]},
            r"search_space\.penalty \['l2', 'l1', 'elasticnet'\] -> \['l2', 'l1'\]",
        ),
        ({"study__seed": 1}, r"study\.seed 0 -> 1"),
        ({"study__metric": "f1_macro"}, r"study\.metric accuracy -> f1_macro"),
        ({"study__concurrency": 4}, r"study\.concurrency 1 -> 4"),
        ({"cv__n_splits": 3}, r"cv\.n_splits 5 -> 3"),
        ({"sampler__kind": "random"}, r"sampler\.kind tpe -> random"),
        ({"cv__n_splits": 3, "study__seed": 1}, r"cv\.n_splits 5 -> 3, study\.seed 0 -> 1"),
    ],
)
def test_changed_definition_is_refused_naming_the_change(storage_url, overrides, change):
    begin(storage_url)
    with pytest.raises(
        IdentityError, match=f"study 'iris' was begun with something else: {change}"
    ) as caught:
        begin(storage_url, **overrides)
    assert "--name" in caught.value.hint
    assert begin(storage_url)


def test_changed_data_is_refused(storage_url):
    begin(storage_url, "a" * 32)
    with pytest.raises(IdentityError, match="data aaaaaaaa -> bbbbbbbb"):
        begin(storage_url, "b" * 32)


@pytest.mark.parametrize(
    "overrides",
    [
        {"study__n_trials": 3},
        {"study__timeout_seconds": 1.0},
        {"study__patience": 2},
        {"study__max_failed": 0.1},
    ],
)
def test_stop_rules_may_change(storage_url, overrides):
    assert begin(storage_url) == begin(storage_url, **overrides)


def test_study_of_somebody_else_is_refused_untouched(storage_url):
    study = optuna.create_study(storage=storage_url, study_name="iris", direction="maximize")
    study.add_trial(
        create_trial(value=1.0, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)})
    )
    with pytest.raises(
        IdentityError, match="study 'iris' exists in this storage and was not made by hpo"
    ):
        begin(storage_url)
    assert len(read_trials(storage_url)) == 1
    assert read_study(storage_url).user_attrs == {}


def test_empty_study_that_minimizes_is_refused(storage_url):
    optuna.create_study(storage=storage_url, study_name="iris", direction="minimize")
    with pytest.raises(IdentityError, match="iris"):
        begin(storage_url)


def test_file_that_is_no_database_is_one_line(tmp_path):
    path = tmp_path / "optuna.db"
    path.write_bytes(b"no database " * 100)
    with pytest.raises(
        LedgerError, match=r"^the storage sqlite:///\S+optuna\.db failed: file is not a database$"
    ):
        begin(f"sqlite:///{path}")


def test_missing_driver_is_said_without_the_password():
    with pytest.raises(
        SettingsError, match=r"postgresql\+pg8000://me:\*\*\*@localhost/db needs a driver"
    ) as caught:
        open_storage("postgresql+pg8000://me:secret@localhost/db")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_lock_file_that_cannot_be_made_is_one_line(tmp_path):
    with pytest.raises(LedgerError, match="lock"):
        begin(f"sqlite:///{tmp_path}/{'a' * 150}.db", study__name="b" * 120)


def notes_of(storage_url: str, versions: dict[str, str]) -> tuple[str, ...]:
    with open_study(storage_url, versions=versions) as ledger:
        return ledger.notes


def test_other_versions_are_noted_and_the_first_ones_kept(storage_url):
    first = {"optuna": "5.0.0", "numpy": "2.0.0", "blas": "OpenBLAS Haswell"}
    assert notes_of(storage_url, first) == ()
    assert notes_of(storage_url, first) == ()
    changes = "blas OpenBLAS Haswell -> absent, optuna 5.0.0 -> 5.1.0, python absent -> 3.11.7"
    for _ in range(2):
        (note,) = notes_of(storage_url, {"optuna": "5.1.0", "numpy": "2.0.0", "python": "3.11.7"})
        assert (
            note
            == f"begun with other versions ({changes}): new trials may differ from those of one run"
        )
    assert notes_of(storage_url, first) == ()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_signal_ends_the_wait_for_a_storage_that_is_locked_from_the_start(
    storage_url, monkeypatch, mode
):
    monkeypatch.setattr(hpo.ledger.storage, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(hpo.ledger.failures, "RETRY_SECONDS", 3.0)
    with closing(sqlite3.connect(sqlite_path(storage_url), isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            InterruptedBySignal,
            match=r"^stopped while the storage sqlite:///\S+ failed: database is locked$",
        ):
            open_study(storage_url, stop_signal=lambda: signal.SIGINT).__enter__()


def test_optuna_is_as_loud_afterwards_as_before(storage_url):
    before = optuna.logging.get_verbosity()
    with open_study(storage_url):
        assert optuna.logging.get_verbosity() == optuna.logging.WARNING
    assert optuna.logging.get_verbosity() == before


# Asking.


def test_trial_0_is_the_defaults_with_complete_params(storage_url):
    with open_study(storage_url) as ledger:
        slot = ledger.next_slot(5)
    chosen = {"C": 1.0, "penalty": "l2", "class_weight": "none"}
    assert slot.number == 0
    assert slot.params == derive(chosen)


def test_asked_trial_is_in_the_ledger_running_with_all_its_params(storage_url):
    with open_study(storage_url) as ledger:
        for number in range(3):
            slot = ledger.next_slot(5)
            trial = read_trials(storage_url)[-1]
            assert (trial.number, trial.state) == (number, TrialState.RUNNING)
            assert trial.datetime_start is not None
            assert {**trial.params, **trial.user_attrs[DERIVED]} == slot.params
            assert set(trial.params) >= {"penalty", "class_weight"}
            ledger.tell(slot, score(slot.params))


def test_no_reader_ever_sees_a_trial_without_its_params(storage_url):
    seen, has_ended = [], threading.Event()
    query = "SELECT t.number, (SELECT count(*) FROM trial_params p WHERE p.trial_id = t.trial_id) FROM trials t"

    def watch() -> None:
        is_last = False
        with closing(sqlite3.connect(sqlite_path(storage_url))) as connection:
            while not is_last:
                is_last = has_ended.is_set()
                seen.extend(connection.execute(query).fetchall())

    with open_study(storage_url) as ledger:
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        drive(ledger, 12)
        has_ended.set()
        watcher.join()
    assert len({number for number, _ in seen}) == 12
    assert min(n_params for _, n_params in seen) >= 3


def test_total_is_the_studys_not_the_calls(storage_url):
    with open_study(storage_url) as ledger:
        drive(ledger, 3)
        assert ledger.next_slot(3) is None
    with open_study(storage_url) as ledger:
        assert ledger.n_told == 3
        assert ledger.next_slot(3) is None
        assert ledger.next_slot(2) is None
        assert ledger.next_slot(4).number == 3


def test_another_program_that_adds_trials_is_noticed(storage_url):
    with open_study(storage_url) as ledger:
        drive(ledger, 1)
        study = read_study(storage_url)
        study.add_trial(create_trial(value=1.0))
        with pytest.raises(
            LedgerError,
            match=r"trial 1 was stored as number 2: trials were added to this study meanwhile",
        ):
            ledger.next_slot(5)


# Looking ahead.


def count_ahead(ledger: Any, n_trials: int = 50) -> int:
    """Ask for slots as long as they may be asked for before any result is told."""
    n_asked = 0
    while ledger.can_look_ahead() and ledger.next_slot(n_trials) is not None:
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
    with open_study(storage_url, define(**overrides)) as ledger:
        assert count_ahead(ledger) == n_ahead


def test_nothing_is_looked_ahead_to_while_there_are_trials_to_adopt(storage_url):
    with open_study(storage_url) as ledger:
        drive(ledger, 1)
        assert count_ahead(ledger, 4) == 3
    read_study(storage_url).enqueue_trial({"C": 0.5})
    with open_study(storage_url) as ledger:
        for number in range(1, 5):
            assert not ledger.can_look_ahead()
            assert ledger.next_slot(50).number == number
        assert ledger.can_look_ahead()


@pytest.mark.parametrize("n_told", [0, 2, 9])
def test_slots_that_were_looked_ahead_to_change_no_trial(storage_url, tmp_path, n_told):
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    with open_study(whole_url) as ledger:
        drive(ledger, 14)
    with open_study(storage_url) as ledger:
        drive(ledger, 14, stop_after=n_told)
        assert count_ahead(ledger) == 9 - n_told
    with open_study(storage_url) as ledger:
        drive(ledger, 14)
    assert facts(read_trials(storage_url)) == facts(read_trials(whole_url))


# Resuming.


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("stops", [[0, 0, 1], [5], [1, 1, 1, 1, 1, 1], [9, 2]])
def test_any_interruption_gives_the_same_trials(storage_url, tmp_path, concurrency, stops):
    definition = define(study__concurrency=concurrency, sampler__n_startup_trials=4)
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    with open_study(whole_url, definition) as ledger:
        drive(ledger, 14, concurrency)
    for stop_after in [*stops, None]:
        with open_study(storage_url, definition) as ledger:
            drive(ledger, 14, concurrency, stop_after=stop_after)
    assert facts(read_trials(storage_url)) == facts(read_trials(whole_url))


def test_top_up_gives_the_same_trials(storage_url, tmp_path):
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    with open_study(whole_url) as ledger:
        drive(ledger, 13)
    for n_trials in (4, 11, 13):
        with open_study(storage_url) as ledger:
            drive(ledger, n_trials)
    assert facts(read_trials(storage_url)) == facts(read_trials(whole_url))


def test_running_trial_of_a_dead_driver_is_adopted_under_its_number(storage_url):
    with open_study(storage_url) as ledger:
        drive(ledger, 2)
        left = ledger.next_slot(5)
    with open_study(storage_url) as ledger:
        assert ledger.n_told == 2
        adopted = ledger.next_slot(5)
        assert adopted == left
        assert ledger.tell(adopted, results_of(0.25, 0.75)) == (TrialState.COMPLETE, 0.5)
        assert ledger.next_slot(5).number == 3
    assert [trial.state.name for trial in read_trials(storage_url)] == [
        "COMPLETE",
        "COMPLETE",
        "COMPLETE",
        "RUNNING",
    ]


def test_adopted_trial_is_handed_out_even_above_the_total(storage_url):
    with open_study(storage_url) as ledger:
        drive(ledger, 2)
        ledger.next_slot(5)
    with open_study(storage_url) as ledger:
        assert ledger.next_slot(1).number == 2
        assert ledger.next_slot(1) is None


QUEUED = {"C": 7.0, "penalty": "l1", "class_weight": "balanced"}


def test_queued_trial_is_taken_next_with_its_params_and_counts(storage_url):
    with open_study(storage_url) as ledger:
        drive(ledger, 2)
    read_study(storage_url).enqueue_trial(QUEUED)
    with open_study(storage_url) as ledger:
        slot = ledger.next_slot(4)
        assert (slot.number, slot.params) == (2, derive(QUEUED))
        trial = read_trials(storage_url)[2]
        assert (trial.state, trial.params) == (TrialState.RUNNING, QUEUED)
        assert {**trial.params, **trial.user_attrs[DERIVED]} == slot.params
        assert ledger.tell(slot, results_of(0.5)) == (TrialState.COMPLETE, 0.5)
        assert ledger.next_slot(4).number == 3
        assert ledger.next_slot(4) is None
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
    with open_study(storage_url) as ledger:
        for C in (7.0, 8.0):
            slot = ledger.next_slot(1)
            assert slot.params["C"] == C
            ledger.tell(slot, results_of(0.5))
        assert ledger.next_slot(1) is None


def test_queued_trial_with_some_params_gets_the_others_from_the_sampler(storage_url):
    begin(storage_url)
    read_study(storage_url).enqueue_trial({"penalty": "elasticnet", "l1_ratio": 0.25})
    with open_study(storage_url) as ledger:
        params = ledger.next_slot(1).params
    assert (params["penalty"], params["l1_ratio"]) == ("elasticnet", 0.25)
    assert params.keys() >= {"C", "class_weight", "solver"}


def test_queued_trial_whose_driver_died_is_adopted_with_the_same_params(storage_url):
    begin(storage_url)
    read_study(storage_url).enqueue_trial({"penalty": "l1"})
    with open_study(storage_url) as ledger:
        left = ledger.next_slot(3)
    with open_study(storage_url) as ledger:
        assert ledger.next_slot(3) == left


@pytest.mark.parametrize(
    "params", [{"penalty": "l3"}, {"C": "much"}, {**QUEUED, "C": 1e9}], ids=str
)
def test_queued_trial_that_is_not_in_the_space_fails_with_its_reason(storage_url, params):
    begin(storage_url)
    read_study(storage_url).enqueue_trial(params)
    with open_study(storage_url) as ledger:
        slot = ledger.next_slot(3)
        ledger.tell(slot, [StepResult(failure=slot.failure)])
        assert ledger.next_slot(3).number == 1
    queued = read_trials(storage_url)[0]
    assert queued.state.name == "FAIL"
    assert queued.user_attrs["hpo.failure"].startswith(
        "queued with params that are not in the search space"
    )
    with open_study(storage_url) as ledger:
        assert ledger.n_told == 1


@pytest.mark.parametrize("is_queued", [True, False])
def test_trial_that_another_client_ended_is_no_obstacle_to_the_pruner(storage_url, is_queued):
    """One that failed in the queue has no start; one that another client pruned has a value."""
    definition = define(pruner__kind="median", pruner__n_startup_trials=0)
    if is_queued:
        begin(storage_url, pruner__kind="median", pruner__n_startup_trials=0)
        read_study(storage_url).enqueue_trial({"C": "much"})
    with open_study(storage_url, definition) as ledger:
        slot = ledger.next_slot(9)
        if is_queued:
            ledger.tell(slot, [StepResult(failure=slot.failure)])
    if not is_queued:
        storage = open_storage(storage_url)
        storage.set_trial_intermediate_value(slot.trial_id, 0, 0.9)
        storage.set_trial_state_values(slot.trial_id, TrialState.PRUNED, [0.9])
        storage.engine.dispose()
    with open_study(storage_url, definition) as ledger:
        assert (ledger.n_told, ledger.best) == (1, None)
        slot = ledger.next_slot(9)
        assert not ledger.should_prune(slot, results_of(0.1))
        ledger.tell(slot, results_of(0.5, 0.5, 0.5))
        assert ledger.best == (1, 0.5)
        assert ledger.should_prune(ledger.next_slot(9), results_of(0.1))


def test_running_trial_of_somebody_else_is_refused(storage_url):
    begin(storage_url)
    read_study(storage_url).ask()
    with pytest.raises(
        IdentityError, match=r"trial 0 of study 'iris' is RUNNING and was not asked by hpo$"
    ):
        open_study(storage_url).__enter__()
    assert [trial.state.name for trial in read_trials(storage_url)] == ["RUNNING"]


# Telling.


def test_completed_trial_keeps_value_fold_scores_and_steps(storage_url):
    with open_study(storage_url) as ledger:
        slot = ledger.next_slot(5)
        assert ledger.tell(slot, results_of(0.5, 0.75, 1.0)) == (TrialState.COMPLETE, 0.75)
        assert ledger.n_told == 1
    (trial,) = read_trials(storage_url)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.75)
    assert trial.intermediate_values == {0: 0.5, 1: 0.75, 2: 1.0}
    assert trial.user_attrs[SCORES] == {
        "accuracy": [0.5, 0.75, 1.0],
        "neg_log_loss": [-0.5, -0.25, 0.0],
    }
    assert CONVERGED not in trial.user_attrs
    assert trial.datetime_start <= trial.datetime_complete


def test_value_is_the_judged_metrics(storage_url):
    with open_study(storage_url, define(study__metric="neg_log_loss")) as ledger:
        assert ledger.tell(ledger.next_slot(5), results_of(0.5, 0.75)) == (
            TrialState.COMPLETE,
            -0.375,
        )


def test_trial_with_a_fold_that_did_not_converge_is_marked(storage_url):
    with open_study(storage_url) as ledger:
        ledger.tell(ledger.next_slot(5), [*results_of(0.5), *results_of(0.5, converged=False)])
    assert read_trials(storage_url)[0].user_attrs[CONVERGED] is False


def test_failed_trial_keeps_reason_and_traceback(storage_url):
    with open_study(storage_url) as ledger:
        slot = ledger.next_slot(5)
        assert ledger.tell(slot, failure("ValueError: too wide", "Traceback: line 1\nline 2")) == (
            TrialState.FAIL,
            None,
        )
    (trial,) = read_trials(storage_url)
    assert (trial.state, trial.value) == (TrialState.FAIL, None)
    assert trial.user_attrs[FAILURE] == "ValueError: too wide"
    assert trial.user_attrs[TRACEBACK] == "Traceback: line 1\nline 2"
    assert SCORES not in trial.user_attrs


def test_failure_without_an_exception_has_no_traceback(storage_url):
    with open_study(storage_url) as ledger:
        ledger.tell(ledger.next_slot(5), failure("the score roc_auc is nan"))
    assert TRACEBACK not in read_trials(storage_url)[0].user_attrs


def test_pruned_trial_keeps_the_scores_of_its_folds_and_has_no_value(storage_url):
    with open_study(storage_url, define(pruner__kind="median")) as ledger:
        slot = ledger.next_slot(5)
        assert ledger.tell(slot, results_of(0.5, 0.25), is_pruned=True) == (TrialState.PRUNED, None)
        assert ledger.n_told == 1
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
    with open_study(storage_url, definition) as ledger:
        ledger.tell(ledger.next_slot(5), results_of(0.5, 0.5))
        slot = ledger.next_slot(5)
        assert not ledger.should_prune(slot, good[:1])
        assert ledger.should_prune(slot, results_of(0.25))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_any_interruption_prunes_the_same_trials(storage_url, tmp_path, concurrency):
    definition = define(
        study__concurrency=concurrency,
        pruner__kind="median",
        pruner__n_startup_trials=2,
        sampler__n_startup_trials=4,
    )
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    with open_study(whole_url, definition) as ledger:
        drive(ledger, 14, concurrency)
    for stop_after in [0, 1, 5, 1, None]:
        with open_study(storage_url, definition) as ledger:
            drive(ledger, 14, concurrency, stop_after=stop_after)
    whole = read_trials(whole_url)
    assert facts(read_trials(storage_url)) == facts(whole)
    assert {trial.state for trial in whole} == {
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
    }


# Stopping.


def tell_values(ledger: Any, values: list[float | None], n_trials: int = 50) -> int:
    """Tell these values in order, None being a failure; returns how many slots there were."""
    for number, value in enumerate(values):
        slot = ledger.next_slot(n_trials)
        if slot is None:
            return number
        ledger.tell(slot, failure("ValueError: bad") if value is None else results_of(value))
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
    with open_study(storage_url, define(**overrides)) as ledger:
        assert tell_values(ledger, values) == n_slots
    with open_study(storage_url, define(**overrides)) as ledger:
        assert (ledger.next_slot(50) is None) == (n_slots < len(values))


def test_patience_that_is_over_can_be_raised(storage_url):
    with open_study(storage_url, define(study__patience=2)) as ledger:
        assert tell_values(ledger, [0.9, 0.5, 0.5, 0.5]) == 3
    with open_study(storage_url, define(study__patience=3)) as ledger:
        assert ledger.next_slot(50).number == 3


def test_patience_sees_what_the_slot_sees_not_what_came_early(storage_url):
    definition = define(study__patience=2, study__concurrency=3)
    with open_study(storage_url, definition) as ledger:
        slots = [ledger.next_slot(50) for _ in range(3)]
        for slot, value in zip(slots, (0.9, 0.5, 0.5), strict=True):
            ledger.tell(slot, results_of(value))
        # Slot 3 sees slot 0 only, slot 4 sees 0 and 1, slot 5 sees 0 to 2: there patience is over.
        assert [ledger.next_slot(50).number for _ in range(2)] == [3, 4]
        assert ledger.next_slot(50) is None


def test_patience_takes_float_noise_for_no_gain(storage_url):
    with open_study(storage_url, define(study__patience=2)) as ledger:
        assert tell_values(ledger, [0.9, 0.9 + 1e-16, 0.9 + 2e-16, 0.9 + 4e-16, 1.0]) == 3


def test_study_where_most_trials_fail_stops_with_the_commonest_reason(storage_url):
    with open_study(storage_url) as ledger:
        for number in range(9):
            slot = ledger.next_slot(50)
            ledger.tell(
                slot, failure("ValueError: rare") if number == 0 else failure("ValueError: common")
            )
        slot = ledger.next_slot(50)
        line = r"10 of 10 trials failed, more than max_failed = 0\.5 allows; the commonest reason: ValueError: common$"
        with pytest.raises(TooManyFailuresError, match=line):
            ledger.tell(slot, failure("ValueError: common"))
    assert read_trials(storage_url)[9].state == TrialState.FAIL


@pytest.mark.parametrize(("n_failed", "max_failed"), [(5, 0.5), (10, 1.0), (0, 0.0), (3, 0.3)])
def test_as_many_failures_as_allowed_do_not_stop(storage_url, n_failed, max_failed):
    with open_study(storage_url, define(study__max_failed=max_failed)) as ledger:
        assert tell_values(ledger, [None] * n_failed + [0.5] * (10 - n_failed)) == 10


def test_study_stopped_for_failures_gets_no_trial_when_run_again(storage_url):
    with open_study(storage_url) as ledger, pytest.raises(TooManyFailuresError, match="10 of 10"):
        tell_values(ledger, [None] * 10)
    with open_study(storage_url) as ledger, pytest.raises(TooManyFailuresError, match="10 of 10"):
        ledger.next_slot(50)
