"""Optuna's tables as far as we write them; Optuna checks their schema when it opens a database."""

from collections.abc import Mapping
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Enum,
    Integer,
    MetaData,
    String,
    Table,
    column,
    insert,
    table,
    update,
)

_METADATA = MetaData()

STUDIES = Table(
    "studies",
    _METADATA,
    Column("study_id", Integer, primary_key=True),
    Column("study_name", String),
)
STUDY_DIRECTIONS = table("study_directions", *map(column, ("study_id", "objective", "direction")))
STUDY_ATTRIBUTES = {
    kind: table(f"study_{kind}_attributes", *map(column, ("study_id", "key", "value_json")))
    for kind in ("user", "system")
}
TRIALS = Table(
    "trials",
    _METADATA,
    Column("trial_id", Integer, primary_key=True),
    Column("study_id", Integer),
    Column("number", Integer),
    Column("state", Enum(TrialState)),
    Column("datetime_start", DateTime),
    Column("datetime_complete", DateTime),
)
TRIAL_PARAMS = table(
    "trial_params",
    *map(column, ("trial_id", "param_name", "param_value", "distribution_json")),
)
TRIAL_VALUES = table(
    "trial_values",
    *map(column, ("trial_id", "objective", "value")),
    column("value_type", Enum("FINITE", name="trialvaluetype")),
)
TRIAL_STEPS = table(
    "trial_intermediate_values",
    *map(column, ("trial_id", "step", "intermediate_value")),
    column("intermediate_value_type", Enum("FINITE", name="trialintermediatevaluetype")),
)
TRIAL_ATTRIBUTES = table("trial_user_attributes", *map(column, ("trial_id", "key", "value_json")))

PARENTS = (
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


def lock_study(connection: Connection, which: ColumnElement[bool]) -> bool:
    """Keep other writers away from a study until the transaction ends; whether there is one.

    Writing comes first: a transaction of SQLite that has read cannot wait for another writer.
    """
    same = update(STUDIES).where(which).values(study_name=STUDIES.c.study_name)
    return connection.execute(same).rowcount > 0


def insert_one(connection: Connection, into: Table, row: Mapping[str, Any]) -> int:
    """Insert a row; gives its id, also with an SQLite that is older than ``RETURNING``."""
    key = connection.execute(insert(into), row).inserted_primary_key
    assert key is not None
    return int(key[0])
