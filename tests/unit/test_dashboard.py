"""Notes as optuna-dashboard itself reads and writes them."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
import pytest
import sqlalchemy
from optuna_dashboard._note import get_note_from_system_attrs, save_note_with_version

from hpo.ledger.journal import export_journal
from hpo.ledger.transactions import NOTE_LENGTH, LedgerStorage
from hpo.markdown import merge_note


@pytest.fixture
def study(tmp_path) -> Iterator[optuna.Study]:
    storage = LedgerStorage(f"sqlite:///{tmp_path}/optuna.db")
    optuna.create_study(storage=storage, study_name="other").optimize(lambda _: 1.0, n_trials=2)
    study = optuna.create_study(storage=storage, study_name="ours")
    study.optimize(lambda _: 0.0, n_trials=3)
    yield study
    storage.engine.dispose()


def write(study: optuna.Study, notes: dict[int | None, str]) -> None:
    study._storage._backend.write_notes(study._study_id, notes)


def read(study: optuna.Study, trial_id: int | None) -> str:
    return get_note_from_system_attrs(
        study._storage.get_study_system_attrs(study._study_id), trial_id
    )["body"]


def test_dashboard_reads_what_is_written(study):
    first, second, _ = (trial._trial_id for trial in study.trials)
    write(study, {None: "the study", 0: "a trial", 1: "x" * (2 * NOTE_LENGTH)})
    assert read(study, None) == merge_note("the study", "")
    assert read(study, first) == merge_note("a trial", "")
    assert read(study, second) == merge_note("x" * (2 * NOTE_LENGTH), "")


def test_a_shorter_note_leaves_nothing_of_the_longer_one(study):
    write(study, {None: "x" * (3 * NOTE_LENGTH)})
    write(study, {None: "short"})
    assert read(study, None) == merge_note("short", "")


def test_the_same_notes_again_write_nothing(study):
    notes = {None: "the study", 0: "a trial"}
    write(study, notes)
    statements: list[str] = []
    sqlalchemy.event.listen(
        study._storage._backend.engine,
        "before_cursor_execute",
        lambda *call: statements.append(call[2]),
    )
    write(study, notes)
    assert {statement.partition(" ")[0] for statement in statements} == {"SELECT"}


def test_what_a_person_added_on_the_page_stays(study):
    write(study, {None: "before"})
    save_note_with_version(study._storage, study._study_id, None, 2, read(study, None) + "mine")
    write(study, {None: "after"})
    assert read(study, None) == merge_note("after", "") + "mine"
    # The page refuses to save over a version that it has not seen.
    assert study._storage.get_study_system_attrs(study._study_id)["dashboard:note_ver"] == 3


def test_another_study_is_not_touched(study):
    write(study, {None: "the study"})
    other = optuna.load_study(study_name="other", storage=study._storage)
    assert other._storage.get_study_system_attrs(other._study_id) == {}


def test_the_journal_gives_no_trial_the_note_of_another(study):
    write(study, {None: "the study", 0: "a trial"})
    journal = export_journal(study)
    assert "the study" in journal
    assert "a trial" not in journal
