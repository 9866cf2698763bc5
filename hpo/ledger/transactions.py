"""Optuna's storage, with verbs that write a trial, or all notes, in one transaction.

A trial's results are there whole or not at all, and in a fifth of the time that Optuna's own verbs
take, one transaction a value.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    Connection,
    Select,
    TableClause,
    bindparam,
    column,
    delete,
    func,
    insert,
    select,
    table,
    update,
)

from hpo.ledger.damage import check_study
from hpo.ledger.optuna_tables import (
    PARENTS,
    STUDIES,
    STUDY_ATTRIBUTES,
    TRIAL_ATTRIBUTES,
    TRIAL_PARAMS,
    TRIAL_STEPS,
    TRIAL_VALUES,
    TRIALS,
    insert_one,
    lock_study,
)
from hpo.markdown import merge_note

NOTE_LENGTH = 2045
"""Characters of a note in one attribute; the page joins them (``optuna_dashboard/_note.py``)."""


class LedgerStorage(RDBStorage):
    """The storage of a study that one driver owns."""

    def remove_orphans(self) -> None:
        """Remove what is left of deleted studies and trials: SQLite gives their ids again."""
        if self.engine.dialect.name != "sqlite":
            return
        with self.engine.begin() as connection:
            for child, key, parent in PARENTS:
                of_parent: Select[Any] = select(column(key)).select_from(table(parent))
                connection.execute(delete(table(child)).where(column(key).not_in(of_parent)))

    def check_study(self, name: str) -> None:
        """Refuse a study that holds what cannot be read.

        Raises:
            LedgerError: It does.
        """
        with self.engine.connect() as connection:
            study_id = connection.scalar(
                select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
            )
            check_study(connection, study_id, name)

    def count_trials(self, study_id: int) -> int:
        """Count a study's trials; ``get_n_trials`` reads them all, which takes longer with each."""
        with self.engine.connect() as connection:
            return _count_trials(connection, study_id)

    def start_trial(self, study_id: int, trial: FrozenTrial) -> tuple[int, int]:
        """Store a trial with its params, user attributes and state, as the study's next one.

        Returns:
            The storage's own id of it, and its number.

        Raises:
            KeyError: There is no such study.
        """
        with self.engine.begin() as connection:
            # Locked, so that nobody else counts meanwhile.
            if not lock_study(connection, STUDIES.c.study_id == study_id):
                raise KeyError(study_id)
            number = _count_trials(connection, study_id)
            row = {
                "study_id": study_id,
                "number": number,
                "state": trial.state,
                "datetime_start": _as_stored(trial.datetime_start),
            }
            trial_id = insert_one(connection, TRIALS, row)
            params = [
                {
                    "trial_id": trial_id,
                    "param_name": name,
                    "param_value": distribution.to_internal_repr(trial.params[name]),
                    "distribution_json": distribution_to_json(distribution),
                }
                for name, distribution in trial.distributions.items()
            ]
            attributes = _as_rows(trial_id, trial.user_attrs)
            _insert(connection, {TRIAL_PARAMS: params, TRIAL_ATTRIBUTES: attributes})
        return trial_id, number

    def finish_trial(self, trial_id: int, result: FrozenTrial) -> bool:
        """Store the results of a trial.

        Args:
            trial_id: The storage's own id of it.
            result: The state it ends in, its value and intermediate values, which are finite, its
                user attributes, and its start and end in local time, as Optuna keeps them.

        Returns:
            False where it is finished already; then nothing is changed.
        """
        trial = {"trial_id": trial_id}
        values = (
            []
            if result.value is None
            else [{**trial, "objective": 0, "value": result.value, "value_type": "FINITE"}]
        )
        steps = [
            {
                **trial,
                "step": step,
                "intermediate_value": score,
                "intermediate_value_type": "FINITE",
            }
            for step, score in result.intermediate_values.items()
        ]
        attributes = _as_rows(trial_id, result.user_attrs)
        with self.engine.begin() as connection:
            is_open = (TRIALS.c.trial_id == trial_id) & TRIALS.c.state.in_(
                [TrialState.RUNNING, TrialState.WAITING]
            )
            if not connection.execute(
                update(TRIALS)
                .where(is_open)
                .values(
                    state=result.state,
                    datetime_start=_as_stored(result.datetime_start),
                    datetime_complete=_as_stored(result.datetime_complete),
                )
            ).rowcount:
                return False
            # What somebody else, or an earlier version of this program, may have left of it.
            of_steps = TRIAL_STEPS.c.trial_id == trial_id
            of_attributes = TRIAL_ATTRIBUTES.c.trial_id == trial_id
            is_written = TRIAL_ATTRIBUTES.c.key.in_(result.user_attrs)
            connection.execute(delete(TRIAL_STEPS).where(of_steps))
            connection.execute(delete(TRIAL_ATTRIBUTES).where(of_attributes, is_written))
            _insert(
                connection,
                {TRIAL_VALUES: values, TRIAL_STEPS: steps, TRIAL_ATTRIBUTES: attributes},
            )
        return True

    def write_notes(self, study_id: int, notes: Mapping[int | None, str]) -> None:
        """Bring notes that optuna-dashboard shows up to date; what a person added to one stays.

        ``optuna_dashboard.save_note`` takes three transactions a note, and seconds to import.

        Args:
            study_id: The storage's own id of the study.
            notes: Trial number, or None for the study itself, to Markdown.
        """
        kept = STUDY_ATTRIBUTES["system"]
        of_study = kept.c.study_id == study_id
        with self.engine.begin() as connection:
            numbered = connection.execute(
                select(TRIALS.c.number, TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
            )
            ids = {row.number: row.trial_id for row in numbered}
            rows = connection.execute(
                select(kept).where(of_study, kept.c.key.startswith("dashboard:"))
            )
            present = {row.key: json.loads(row.value_json) for row in rows}
            changed: dict[str, Any] = {}
            for number, text in notes.items():
                changed |= _note_changes(
                    present, "dashboard:" if number is None else f"dashboard:{ids[number]}:", text
                )
            if changed:
                written = [
                    {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
                    for key, value in changed.items()
                ]
                connection.execute(
                    delete(kept).where(of_study, kept.c.key == bindparam("key")), written
                )
                connection.execute(insert(kept), written)


def _count_trials(connection: Connection, study_id: int) -> int:
    of_study = select(func.count()).where(TRIALS.c.study_id == study_id)
    return connection.execute(of_study).scalar_one()


def _insert(connection: Connection, rows: Mapping[TableClause, list[dict[str, Any]]]) -> None:
    """Insert rows into each table that there are some for."""
    for of_trial, each in rows.items():
        if each:
            connection.execute(insert(of_trial), each)


def _as_rows(trial_id: int, attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(content)}
        for key, content in attributes.items()
    ]


def _as_stored(moment: datetime | None) -> datetime | None:
    """A local time as the tables have it: Optuna converts to UTC, and back where it reads."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _note_changes(present: Mapping[str, Any], prefix: str, text: str) -> dict[str, Any]:
    """Attributes of one note that are to be written."""
    parts: list[str] = []
    while f"{prefix}note_str:{len(parts)}" in present:
        parts.append(str(present[f"{prefix}note_str:{len(parts)}"]))
    note = merge_note(text, "".join(parts))
    if note == "".join(parts):
        return {}
    n_parts = max(len(parts), -(-len(note) // NOTE_LENGTH))
    written = {
        f"{prefix}note_str:{part}": note[part * NOTE_LENGTH : (part + 1) * NOTE_LENGTH]
        for part in range(n_parts)
    }
    return {f"{prefix}note_ver": int(present.get(f"{prefix}note_ver", 0)) + 1, **written}
