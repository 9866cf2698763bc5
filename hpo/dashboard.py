"""Notes that optuna-dashboard shows, in Markdown: kept where it keeps them, in the study's system attributes.

``optuna_dashboard.save_note`` writes a note in three transactions and takes seconds to import. Here all notes of a study are one
transaction, and a note that is there already is not written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy
from sqlalchemy import bindparam, column, table

from hpo.markdown import merge_note

PART_LENGTH = 2045
"""Characters of one attribute; the page puts the parts together again (``optuna_dashboard/_note.py``)."""

_ATTRIBUTES = table("study_system_attributes", column("study_id"), column("key"), column("value_json"))
_OF_STUDY = _ATTRIBUTES.c.study_id == bindparam("study")


def write_notes(engine: sqlalchemy.Engine, study_id: int, notes: Mapping[int | None, str]) -> None:
    """Bring notes up to date; what a person added to one stays.

    Args:
        engine: Of Optuna's storage.
        study_id: The study's.
        notes: Id of a trial, or None for the study itself, to the text.
    """
    with engine.begin() as connection:
        rows = connection.execute(
            sqlalchemy.select(_ATTRIBUTES.c.key, _ATTRIBUTES.c.value_json).where(
                _OF_STUDY, _ATTRIBUTES.c.key.startswith("dashboard:")
            ),
            {"study": study_id},
        )
        present = {key: json.loads(value) for key, value in rows}
        changed = dict(item for trial_id, text in notes.items() for item in _iter_changes(present, trial_id, text))
        if not changed:
            return
        values = [{"study": study_id, "name": key, "value": json.dumps(value)} for key, value in changed.items()]
        known = [row for row in values if row["name"] in present]
        new = [row for row in values if row["name"] not in present]
        if known:
            same = _ATTRIBUTES.c.key == bindparam("name")
            connection.execute(sqlalchemy.update(_ATTRIBUTES).where(_OF_STUDY, same).values(value_json=bindparam("value")), known)
        if new:
            row: dict[str, Any] = {"study_id": bindparam("study"), "key": bindparam("name"), "value_json": bindparam("value")}
            connection.execute(sqlalchemy.insert(_ATTRIBUTES).values(row), new)


def _iter_changes(present: Mapping[str, Any], trial_id: int | None, text: str) -> Iterator[tuple[str, Any]]:
    """Attributes of one note that are to be written."""
    prefix = "dashboard:" if trial_id is None else f"dashboard:{trial_id}:"
    version = f"{prefix}note_ver"
    parts: list[str] = []
    while f"{prefix}note_str:{len(parts)}" in present:
        parts.append(str(present[f"{prefix}note_str:{len(parts)}"]))
    before = "".join(parts)
    note = merge_note(text, before)
    if note == before:
        return
    yield version, int(present.get(version, 0)) + 1
    n_parts = max(len(parts), -(-len(note) // PART_LENGTH))
    for part in range(n_parts):
        yield f"{prefix}note_str:{part}", note[part * PART_LENGTH : (part + 1) * PART_LENGTH]
