"""A definition and its data, loaded, checked and prepared: everything that a trial needs. Writes nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hpo.data.dataset import Dataset, load_dataset
from hpo.definition import StudyDefinition
from hpo.errors import DataError
from hpo.estimators.cross_validation import (
    Fold,
    check_metrics,
    check_width,
    prepare_folds,
    resolve_metrics,
    training_shape,
)
from hpo.estimators.estimator import TrainingShape, check_solvers, derive_params, resolve_space
from hpo.estimators.final_model import check_saving


@dataclass(frozen=True)
class Problem:
    """A definition and its data, ready to be searched.

    Attributes:
        definition: What is searched; penalties that cost too much are left out of a default space.
        dataset: The rows.
        folds: Prepared once.
        metrics: Scorer names of every trial, the judged one first.
        shape: Of the first fold's training rows.
        notes: What was done that a person should know, one line each.
    """

    definition: StudyDefinition
    dataset: Dataset
    folds: list[Fold]
    metrics: tuple[str, ...]
    shape: TrainingShape
    notes: tuple[str, ...]

    def derive(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Complete a trial's params by the fixed rule."""
        return derive_params(params, self.shape, seed=self.definition.study.seed)


def load_data(definition: StudyDefinition, frame: pd.DataFrame | None = None) -> Dataset:
    """Load the table and check that it can be searched by this definition; writes nothing.

    Args:
        definition: What is searched.
        frame: The table, in the place of ``data.source``.

    Raises:
        DefinitionError: The metric is unknown, or does not fit the classes.
        DataError: The table cannot be used.
    """
    study = definition.study
    metrics = resolve_metrics(study.metric, study.metrics)
    dataset = load_dataset(
        definition.data, seed=study.seed, n_splits=definition.cv.n_splits, frame=frame
    )
    check_metrics(metrics, dataset.y_train)
    check_solvers(definition.search_space, n_classes=len(dataset.classes))
    check_size(dataset, definition)
    return dataset


def prepare_problem(definition: StudyDefinition, dataset: Dataset | None = None) -> Problem:
    """Prepare everything that a trial needs; writes nothing.

    Args:
        definition: What is searched.
        dataset: Its table, where :func:`load_data` was called before.

    Raises:
        InputError: As :func:`load_data`.
    """
    dataset = dataset or load_data(definition)
    check_saving(dataset, definition)
    folds = prepare_folds(dataset, definition)
    shape = training_shape(folds[0], len(dataset.classes))
    space, notes = resolve_space(definition.search_space, shape)
    definition = definition.model_copy(update={"search_space": space})
    metrics = resolve_metrics(definition.study.metric, definition.study.metrics)
    return Problem(definition, dataset, folds, metrics, shape, (*dataset.notes, *notes))


def check_size(dataset: Dataset, definition: StudyDefinition) -> None:
    """Refuse before it starts a table whose prepared folds would not fit in this machine's memory.

    Raises:
        DataError: It is too wide or too large.
    """
    columns = dataset.columns
    check_width(len(columns.features), definition.preprocessing.max_features)
    # Eight bytes a value, and a four-byte position for each category's one value; a fold holds every row once.
    row_bytes = 8 * len(columns.features) + 4 * len(columns.categorical)
    n_copies = definition.cv.n_splits * definition.cv.n_repeats + 2
    needed, there = (
        len(dataset.X_train) * row_bytes * n_copies,
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )
    if needed > there:
        raise DataError(
            f"data: {len(dataset.X_train)} training rows in {n_copies - 2} folds need about {needed / 2**30:.0f} GiB of memory,"
            f" but this machine has {there / 2**30:.0f}",
            hint="take a sample of the rows, drop columns, or lower cv.n_splits or cv.n_repeats",
        )
