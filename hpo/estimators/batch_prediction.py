"""Batch prediction: scores a file's rows with a loaded model.

The rows are converted and checked as the training rows were.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hpo.conversion import ConversionError
from hpo.data.tables import find_line, read_table
from hpo.errors import DataError, did_you_mean, nearest
from hpo.estimators.loading import ShippedModel, refusing
from hpo.estimators.tasks import task_of

SHOWN_NAMES = 10


def predict_table(
    model: ShippedModel, path: Path, *, keep: Sequence[str] = (), keep_all: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """Score the rows of a file.

    Args:
        model: The model, from the safe loader.
        path: A CSV (also compressed), Parquet or Feather file.
        keep: Columns of the file to put before the prediction; where none is named, those that
            training dropped because they only tell rows apart.
        keep_all: Whether all columns are kept.

    Returns:
        A row for each of the file's: the kept columns, then the task's; and notes for a person.

    Raises:
        DataError: The model cannot score this table.
    """
    # A feature that is kept is read as in training all the same.
    others = {*model.columns.ids, *keep}.difference(model.columns.features)
    raw, notes = read_table(
        path, None, model.columns.read_as_text | others, model.columns.categorical
    )
    raw.columns = raw.columns.map(str)
    names = list(raw.columns)
    unknown = [name for name in keep if name not in names]
    if unknown:
        raise DataError(
            f"--keep: {path} has no column {_listed(unknown)}",
            hint=did_you_mean(unknown[0], names, f"its columns are {_listed(names)}"),
        )
    kept = keep or [name for name in model.columns.ids if name in names]
    kept = names if keep_all else list(dict.fromkeys(kept))
    notes += _check_names(path, model.columns.features, names, kept)
    try:
        as_read = model.columns.as_read
        X = model.columns.convert(raw) if as_read else model.columns.converter().convert(raw)
    except ConversionError as error:
        where = "" if error.row is None else f" {find_line(path, error.row)}"
        raise DataError(f"data: {path}{where}: {error.message}", hint=error.hint) from error
    with refusing("it does not predict"):
        table = task_of(model.recipe).predict_columns(model.pipeline, X)
    twice = [name for name in kept if name in table.columns]
    if twice:
        raise DataError(
            f"--keep: {path} has a column {_listed(twice)}, which the prediction has too",
            hint="rename it in the file, or keep others with --keep COLUMN",
        )
    return pd.concat([raw[kept], table], axis="columns"), notes


def _check_names(
    path: Path, features: Sequence[str], names: Sequence[str], kept: Sequence[str]
) -> list[str]:
    """Refuse a missing column; note those that are neither used nor kept."""
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
    lost = [name for name in unused if name not in kept]
    return [f"not used by the model: {_listed(lost)}"] if lost else []


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > SHOWN_NAMES else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN_NAMES]) + more
