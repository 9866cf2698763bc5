"""The trials of a study for other programs: as plain values, and as a table."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from hpo.escaping import as_utf8
from hpo.ledger.trials import DERIVED, FAILURE, fold_scores


def describe_trial(trial: FrozenTrial, run_id: str | None) -> dict[str, Any]:
    """Give a trial as plain values.

    Args:
        trial: Of any study; of several objectives it has no one value.
        run_id: Its run in MLflow, or None where it has none.
    """
    values = trial.values or [None]  # noqa: PD011 - a trial is no DataFrame
    start, end = trial.datetime_start, trial.datetime_complete
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": values[0] if len(values) == 1 else None,
        "params": {**trial.params, **trial.user_attrs.get(DERIVED, {})},
        "scores": fold_scores(trial),
        "start": _utc(start),
        "end": _utc(end),
        "seconds": None if start is None or end is None else (end - start).total_seconds(),
        "failure": trial.user_attrs.get(FAILURE),
        "run_id": run_id,
    }


def make_table(trials: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a table of what :func:`describe_trial` gives, a trial a row.

    Params and the scores of folds get a column each.
    """
    trials = [{name: _storable(value) for name, value in trial.items()} for trial in trials]
    parts = [
        pd.DataFrame(trials, columns=["number", "state", "value"]),
        pd.DataFrame([_prefixed("params_", trial["params"]) for trial in trials]),
        pd.DataFrame([_fold_columns(trial["scores"]) for trial in trials]),
        pd.DataFrame(trials, columns=["start", "end", "seconds", "failure", "run_id"]),
    ]
    return pd.concat(parts, axis="columns")


def _storable(value: Any) -> Any:
    """A value as a table can hold it: another client's text may have halves of characters."""
    if isinstance(value, Mapping):
        return {as_utf8(name): _storable(inner) for name, inner in value.items()}
    return as_utf8(value) if isinstance(value, str) else value


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in values.items()}


def _fold_columns(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {
        f"fold_{scorer}_{fold}": score
        for scorer, of_folds in scores.items()
        for fold, score in enumerate(of_folds)
    }


def _utc(moment: datetime | None) -> str | None:
    """Optuna's naive local time in UTC, in ISO 8601."""
    return None if moment is None else moment.astimezone(UTC).isoformat()
