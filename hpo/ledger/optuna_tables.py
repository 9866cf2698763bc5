"""Optuna's tables as far as we write them; Optuna checks their schema when it opens a database."""

from optuna.trial import TrialState
from sqlalchemy import Column, DateTime, Enum, Integer, MetaData, String, Table, column, table

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
