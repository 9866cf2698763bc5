"""Optuna's storage, with verbs that write a trial, or all notes, in one transaction.

A trial's results are there whole or not at all, and in a fifth of the time that Optuna's own verbs
take, one transaction a value. The tables are those of the schema that Optuna checks when it opens a
database.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    DateTime,
    Enum,
    Select,
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
from hpo.markdown import merge_note

_STUDIES = table("studies", column("study_id"), column("study_name"))
_TRIALS = table(
    "trials",
    *map(column, ("trial_id", "study_id", "number")),
    column("state", Enum(TrialState)),
    column("datetime_start", DateTime),
    column("datetime_complete", DateTime),
)
_VALUES = table(
    "trial_values",
    *map(column, ("trial_id", "objective", "value")),
    column("value_type", Enum("FINITE", name="trialvaluetype")),
)
_STEPS = table(
    "trial_intermediate_values",
    *map(column, ("trial_id", "step", "intermediate_value")),
    column("intermediate_value_type", Enum("FINITE", name="trialintermediatevaluetype")),
)
_OF_STUDY = table("study_system_attributes", *map(column, ("study_id", "key", "value_json")))
_ATTRIBUTES = table("trial_user_attributes", *map(column, ("trial_id", "key", "value_json")))

_PARENTS = (
    *(
        (name, "study_id", "studies")
        for name in (
            "trials",
            "study_directions",
            "study_user_attributes",
            "study_system_attributes",
        )
    ),
    *(
        (name, "trial_id", "trials")
        for name in (
            "trial_user_attributes",
            "trial_system_attributes",
            "trial_params",
            "trial_values",
            "trial_intermediate_values",
            "trial_heartbeats",
        )
    ),
)
"""Table, its column that names a parent, the parent's table; parents first."""

NOTE_LENGTH = 2045
"""Characters of a note in one attribute; the page joins them (``optuna_dashboard/_note.py``)."""


class LedgerStorage(RDBStorage):
    """The storage of a study that one driver owns."""

    def remove_orphans(self) -> None:
        """Remove what is left of deleted studies and trials: SQLite gives their ids again."""
        if self.engine.dialect.name != "sqlite":
            return
        with self.engine.begin() as connection:
            for child, key, parent in _PARENTS:
                of_parent: Select[Any] = select(column(key)).select_from(table(parent))
                connection.execute(delete(table(child)).where(column(key).not_in(of_parent)))

    def check_study(self, name: str) -> None:
        """Refuse a study that holds what cannot be read.

        Raises:
            LedgerError: It does.
        """
        with self.engine.connect() as connection:
            study_id = connection.scalar(
                select(_STUDIES.c.study_id).where(_STUDIES.c.study_name == name)
            )
            check_study(connection, study_id, name)

    def count_trials(self, study_id: int) -> int:
        """Count a study's trials; ``get_n_trials`` reads them all, which takes longer with each."""
        of_study = _TRIALS.c.study_id == study_id
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(_TRIALS).where(of_study)) or 0

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
        attributes = result.user_attrs
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
        named = [
            {**trial, "key": key, "value_json": json.dumps(content)}
            for key, content in attributes.items()
        ]
        with self.engine.begin() as connection:
            is_open = (_TRIALS.c.trial_id == trial_id) & _TRIALS.c.state.in_(
                [TrialState.RUNNING, TrialState.WAITING]
            )
            if not connection.execute(
                update(_TRIALS)
                .where(is_open)
                .values(
                    state=result.state,
                    datetime_start=_as_stored(result.datetime_start),
                    datetime_complete=_as_stored(result.datetime_complete),
                )
            ).rowcount:
                return False
            # What somebody else, or an earlier version of this program, may have left of it.
            is_named = (_ATTRIBUTES.c.trial_id == trial_id) & _ATTRIBUTES.c.key.in_(
                list(attributes)
            )
            connection.execute(delete(_STEPS).where(_STEPS.c.trial_id == trial_id))
            connection.execute(delete(_ATTRIBUTES).where(is_named))
            for of_trial, rows in ((_VALUES, values), (_STEPS, steps), (_ATTRIBUTES, named)):
                if rows:
                    connection.execute(insert(of_trial), rows)
        return True

    def write_notes(self, study_id: int, notes: Mapping[int | None, str]) -> None:
        """Bring notes that optuna-dashboard shows up to date; what a person added to one stays.

        ``optuna_dashboard.save_note`` takes three transactions a note, and seconds to import.

        Args:
            study_id: The storage's own id of the study.
            notes: Trial number, or None for the study itself, to Markdown.
        """
        of_study = _OF_STUDY.c.study_id == study_id
        with self.engine.begin() as connection:
            numbered = connection.execute(
                select(_TRIALS.c.number, _TRIALS.c.trial_id).where(_TRIALS.c.study_id == study_id)
            )
            ids = {row.number: row.trial_id for row in numbered}
            rows = connection.execute(
                select(_OF_STUDY).where(of_study, _OF_STUDY.c.key.startswith("dashboard:"))
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
                    delete(_OF_STUDY).where(of_study, _OF_STUDY.c.key == bindparam("key")), written
                )
                connection.execute(insert(_OF_STUDY), written)


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
