"""Batch prediction: scores a file's rows with a loaded model.

The rows are converted and checked as the training rows were.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hpo.data.columns import refuse_lost
from hpo.data.dataset import naming
from hpo.data.tables import read_table
from hpo.errors import DataError, nearest
from hpo.estimators.loading import ShippedModel, refusing
from hpo.estimators.tasks import task_of

SHOWN_NAMES = 10


def predict_table(model: ShippedModel, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Score the rows of a file.

    Args:
        model: The model, from the safe loader.
        path: A CSV (also compressed), Parquet or Feather file.

    Returns:
        The task's columns for every row, in the file's order; and notes for a person.

    Raises:
        DataError: The model cannot score this table.
    """
    raw, notes = read_table(path, None, model.columns.read_as_text)
    raw.columns = raw.columns.map(str)
    notes += _check_names(path, model.columns.features, list(raw.columns))
    with naming(str(path)):
        X = model.columns.convert(raw)
        # The conversion has already checked the numbers.
        for kind, what in (("boolean", "true or false"), ("datetime", "dates such as 2026-01-31")):
            for name in getattr(model.columns, kind):
                refuse_lost(raw[name], X[name], what, hint="mend the value, or leave it empty")
    with refusing("it does not predict"):
        table = task_of(model.recipe).predict_columns(model.pipeline, X)
    return table, notes


def _check_names(path: Path, features: Sequence[str], names: Sequence[str]) -> list[str]:
    """Refuse a missing column; note the unused ones."""
    missing = [name for name in features if name not in names]
    unused = [name for name in names if name not in features]
    if missing:
        guesses = [f"'{near}' for '{name}'" for name in missing for near in nearest(name, unused)]
        hint = f"its columns are {_listed(names)}"
        if guesses:
            hint = f"did you mean {', '.join(guesses[:SHOWN_NAMES])}?"
        raise DataError(
            f"data: {path} has no column {_listed(missing)}, which the model needs", hint=hint
        )
    return [f"not used by the model: {_listed(unused)}"] if unused else []


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > SHOWN_NAMES else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN_NAMES]) + more
