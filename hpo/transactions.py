"""Optuna's storage with what it lacks: verbs that write in one transaction what its own take one a value for.

A trial's results are there whole or not at all, and in a fifth of the time. The tables are those of the schema that Optuna checks
when it opens a database.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import DateTime, Enum, column, delete, insert, table, update

_TRIALS = table("trials", column("trial_id"), column("state", Enum(TrialState)), column("datetime_complete", DateTime))
_VALUES = table(
    "trial_values", *map(column, ("trial_id", "objective", "value")), column("value_type", Enum("FINITE", name="trialvaluetype"))
)
_STEPS = table(
    "trial_intermediate_values",
    *map(column, ("trial_id", "step", "intermediate_value")),
    column("intermediate_value_type", Enum("FINITE", name="trialintermediatevaluetype")),
)
_ATTRIBUTES = table("trial_user_attributes", *map(column, ("trial_id", "key", "value_json")))


class LedgerStorage(RDBStorage):
    """The storage of a study that one driver owns."""

    def finish_trial(
        self, trial_id: int, state: TrialState, value: float | None, scores: Sequence[float], attributes: Mapping[str, Any]
    ) -> bool:
        """Store the results of a trial.

        Args:
            trial_id: The storage's own id of it.
            state: The one it ends in.
            value: What the objective returned, finite, or None.
            scores: Its intermediate values, finite, from step 0.
            attributes: User attributes.

        Returns:
            False where it is finished already; then nothing is changed.
        """
        trial, now = {"trial_id": trial_id}, datetime.now(UTC).replace(tzinfo=None)
        values = [] if value is None else [{**trial, "objective": 0, "value": value, "value_type": "FINITE"}]
        steps = [
            {**trial, "step": step, "intermediate_value": score, "intermediate_value_type": "FINITE"}
            for step, score in enumerate(scores)
        ]
        named = [{**trial, "key": key, "value_json": json.dumps(content)} for key, content in attributes.items()]
        with self.engine.begin() as connection:
            is_open = (_TRIALS.c.trial_id == trial_id) & _TRIALS.c.state.in_([TrialState.RUNNING, TrialState.WAITING])
            if not connection.execute(update(_TRIALS).where(is_open).values(state=state, datetime_complete=now)).rowcount:
                return False
            # What somebody else, or an earlier version of this program, may have left of it.
            is_named = (_ATTRIBUTES.c.trial_id == trial_id) & _ATTRIBUTES.c.key.in_(list(attributes))
            connection.execute(delete(_STEPS).where(_STEPS.c.trial_id == trial_id))
            connection.execute(delete(_ATTRIBUTES).where(is_named))
            for of_trial, rows in ((_VALUES, values), (_STEPS, steps), (_ATTRIBUTES, named)):
                if rows:
                    connection.execute(insert(of_trial), rows)
        return True
