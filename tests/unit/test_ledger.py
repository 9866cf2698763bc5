"""The ledger, on a real SQLite file: opened, resumed, refused; what others see of its trials."""

from __future__ import annotations

import signal
import sqlite3
import threading
from contextlib import closing

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

import hpo.ledger.failures
import hpo.ledger.storage
from hpo.errors import (
    IdentityError,
    InterruptedBySignal,
    LedgerError,
    SettingsError,
    StudyLockedError,
)
from hpo.ledger.storage import open_storage
from hpo.ledger.transactions import LedgerStorage
from hpo.settings import sqlite_path
from tests.unit.driving import begin, define, drive, open_study, read_study, read_trials

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


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "maximize"]], ids=len)
def test_empty_study_of_another_goal_is_refused(storage_url, directions):
    """One that minimizes, or has several objectives."""
    optuna.create_study(storage=storage_url, study_name="iris", directions=directions)
    with pytest.raises(
        IdentityError, match="study 'iris' exists in this storage and was not made by hpo"
    ):
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
    with open_study(storage_url, versions=versions) as study:
        return study.notes


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


# Keeping trials.


def test_no_reader_ever_sees_a_trial_without_its_params(storage_url):
    seen, has_ended = [], threading.Event()
    n_params = "SELECT count(*) FROM trial_params p WHERE p.trial_id = t.trial_id"
    query = f"SELECT t.number, ({n_params}) FROM trials t"

    def watch() -> None:
        is_last = False
        with closing(sqlite3.connect(sqlite_path(storage_url))) as connection:
            while not is_last:
                is_last = has_ended.is_set()
                seen.extend(connection.execute(query).fetchall())

    with open_study(storage_url) as slots:
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        drive(slots, 12)
        has_ended.set()
        watcher.join()
    assert len({number for number, _ in seen}) == 12
    assert min(n_params for _, n_params in seen) >= 3


def test_trial_that_is_added_between_the_look_and_our_own_is_noticed(storage_url, monkeypatch):
    create = LedgerStorage.start_trial

    def race(self, study_id, template):
        monkeypatch.undo()
        read_study(storage_url).add_trial(create_trial(value=1.0))
        return create(self, study_id, template)

    with open_study(storage_url) as slots:
        drive(slots, 1)
        monkeypatch.setattr(LedgerStorage, "start_trial", race)
        with pytest.raises(
            LedgerError,
            match=r"trial 1 was stored as number 2: trials were added to this study meanwhile",
        ):
            slots.next_slot(5)
    with open_study(storage_url) as slots:
        drive(slots, 5)
        assert slots.n_told == 5


def test_running_trial_of_somebody_else_is_left_alone(storage_url):
    begin(storage_url)
    read_study(storage_url).ask()
    with open_study(storage_url) as slots:
        drive(slots, 3)
    states = [trial.state.name for trial in read_trials(storage_url)]
    assert states == ["RUNNING", "COMPLETE", "COMPLETE"]


def test_foreign_trials_are_no_failures(storage_url):
    begin(storage_url)
    for _ in range(20):
        read_study(storage_url).add_trial(create_trial(state=TrialState.FAIL))
    with open_study(storage_url) as slots:
        assert slots.next_slot(25).number == 20
