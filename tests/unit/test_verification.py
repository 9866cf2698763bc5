"""Slots that are not those of the search are refused on resume; no other study is."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from hpo.errors import IdentityError, LedgerError
from hpo.settings import sqlite_path
from tests.unit.driving import define, drive, facts, open_study, read_study, read_trials

N_TRIALS = 14


def change(storage_url: str, statement: str) -> None:
    with closing(sqlite3.connect(sqlite_path(storage_url))) as connection, connection:
        assert connection.execute(statement).rowcount


def change_param(storage_url: str, number: int, param: str, value: float) -> None:
    change(
        storage_url,
        f"UPDATE trial_params SET param_value = {value} WHERE param_name = '{param}' AND trial_id"
        f" = (SELECT trial_id FROM trials WHERE number = {number})",
    )


def begin(storage_url: str, **options: object) -> None:
    with open_study(storage_url, **options) as slots:
        drive(slots, N_TRIALS)


@pytest.mark.parametrize(
    ("number", "param"), [(13, "C"), (11, "C"), (9, "C"), (13, "class_weight")]
)
def test_slot_that_the_search_does_not_ask_is_refused_with_a_way_on(storage_url, number, param):
    begin(storage_url)
    before = read_trials(storage_url)[number].params[param]
    change_param(storage_url, number, param, 0.5 if param == "C" else 1 - (before != "none"))
    line = rf"^trial {number} of study 'iris' is not the one that its search asks \({param} "
    with pytest.raises(IdentityError, match=line) as caught, open_study(storage_url):
        pass
    assert "python -m hpo delete iris" in caught.value.hint
    optuna.delete_study(study_name="iris", storage=storage_url)
    begin(storage_url)


def test_two_drivers_that_interleaved_are_found(storage_url, tmp_path):
    """What the trials of a driver with another view came to."""
    begin(storage_url)
    other = f"sqlite:///{tmp_path}/other.db"
    with open_study(other, define(study__seed=1)) as slots:
        drive(slots, N_TRIALS + 1)
    read_study(storage_url).add_trial(read_trials(other)[N_TRIALS - 1])
    with pytest.raises(IdentityError, match="trial 14 of study 'iris'"), open_study(storage_url):
        pass


def queue(storage_url: str) -> None:
    read_study(storage_url).enqueue_trial({"C": 0.5})
    read_study(storage_url).enqueue_trial({"C": "much"})


def add_foreign(storage_url: str) -> None:
    study = read_study(storage_url)
    study.add_trial(create_trial(value=9.0))
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.ask()


def delete_trial(storage_url: str) -> None:
    change(storage_url, "DELETE FROM trials WHERE number = 12")


def change_early(storage_url: str) -> None:
    """Not the last slots: each of them is what a search asks that sees this."""
    change_param(storage_url, 2, "C", 0.5)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("disturb", [queue, add_foreign])
def test_what_other_clients_may_do_is_no_alarm(storage_url, disturb, concurrency):
    definition = define(study__concurrency=concurrency, sampler__n_startup_trials=4)
    with open_study(storage_url, definition) as slots:
        drive(slots, 8, concurrency)
    for n_trials in (N_TRIALS, N_TRIALS + 3, N_TRIALS + 6):
        disturb(storage_url)
        with open_study(storage_url, definition) as slots:
            drive(slots, n_trials, concurrency)
            assert slots.n_told >= n_trials


def test_deleted_trial_is_damage(storage_url):
    begin(storage_url)
    delete_trial(storage_url)
    with pytest.raises(LedgerError, match="damaged: it has no trial"), open_study(storage_url):
        pass


def test_other_versions_are_no_alarm_then_or_later(storage_url):
    first = {"optuna": "5.0.0"}
    begin(storage_url, versions=first)
    change_param(storage_url, 13, "C", 0.5)
    for versions in ({"optuna": "5.1.0"}, first):
        with open_study(storage_url, versions=versions) as slots:
            assert slots.n_told == N_TRIALS


def test_verifying_changes_no_trial(storage_url):
    begin(storage_url)
    before = facts(read_trials(storage_url))
    with open_study(storage_url):
        assert facts(read_trials(storage_url)) == before
