"""The target of a classification: labels read, held out by class, refused where too few."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.model_selection import (
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)

from hpo.data.dataset import Dataset
from hpo.definition import CvSection, DataSection
from hpo.errors import DataError

MAX_CLASSES = 100


def read_labels(column: pd.Series, notes: list[str]) -> np.ndarray:
    """Read the labels that are there: integers stay numbers, everything else is text."""
    present = column.dropna()
    n_missing = len(column) - len(present)
    if n_missing:
        notes.append(f"{n_missing} of {len(column)} rows dropped: '{column.name}' is missing there")
    if present.dtype.kind == "f" and (present % 1 == 0).all():
        present = present.astype(np.int64)
    labels = (
        present.to_numpy()
        if present.dtype.kind in "iubf"
        else present.astype("str").to_numpy(dtype=np.str_)
    )
    subject, n_classes = f"data: target '{column.name}'", len(np.unique(labels))
    if n_classes < 2:
        shown = "no label at all" if n_classes == 0 else f"only '{labels[0]}'"
        raise DataError(
            f"{subject} should have at least 2 classes, but got {shown}",
            hint="name another with --target",
        )
    if labels.dtype.kind == "f" or n_classes > MAX_CLASSES:
        raise DataError(
            f"{subject} should be a class label,"
            f" but got {n_classes} distinct values in {len(labels)} rows",
            hint="numbers to be predicted are a regression, which this project does not search;"
            " or name another with --target",
        )
    return labels


def hold_out(
    labels: np.ndarray, groups: np.ndarray | None, section: DataSection, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hold rows out by class; no group is split."""
    if groups is None:
        splitter = StratifiedShuffleSplit(1, test_size=section.test_size, random_state=seed)
    else:
        splitter = StratifiedGroupKFold(
            max(2, round(1 / section.test_size)), shuffle=True, random_state=seed
        )
    cause: ValueError | None = None
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # of a class with fewer rows than there are parts
            train, test = next(splitter.split(labels, labels, groups))
        if all(len(np.unique(labels[rows])) == len(np.unique(labels)) for rows in (train, test)):
            return train, test
    except ValueError as error:
        cause = error
    raise DataError(
        f"data: training rows and a hold-out of test_size = {section.test_size:g}"
        " do not both hold every class"
        f" ({cause or 'one has no row in one of the two'})",
        hint="change data.test_size, or drop the rarest class",
    ) from cause


def check_classes(labels: np.ndarray, n_splits: int) -> None:
    """Refuse a class with fewer training rows than folds.

    Raises:
        DataError: There is one.
    """
    classes, counts = np.unique(labels, return_counts=True)
    label, rows = classes[counts.argmin()], int(counts.min())
    if rows < n_splits:
        raise DataError(
            f"data: every class needs n_splits = {n_splits} training rows,"
            f" but class '{label}' has {rows}",
            hint=f"set cv.n_splits to {rows}, or drop the class" if rows >= 2 else "drop the class",
        )


def make_splits(
    dataset: Dataset, section: CvSection, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split into ``n_splits * n_repeats`` folds by class; no group is split.

    Raises:
        DataError: All groups with a class would be in one fold: the fit on the others would not
            know it.
    """
    n_splits, n_repeats = section.n_splits, section.n_repeats
    if dataset.groups is None:
        splitters = [
            RepeatedStratifiedKFold(n_splits=n_splits, n_repeats=n_repeats, random_state=seed)
        ]
    else:
        splitters = [
            StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed + repeat)
            for repeat in range(n_repeats)
        ]
    splits = [
        split
        for splitter in splitters
        for split in splitter.split(dataset.X_train, dataset.y_train, dataset.groups)
    ]
    for train, _ in splits if dataset.groups is not None else ():
        if (lacking := np.setdiff1d(dataset.y_train, dataset.y_train[train])).size:
            raise DataError(
                f"data: class '{lacking[0]}' is in so few groups"
                " that a fold would be fitted without it",
                hint="drop the class, or group the rows by something finer",
            )
    return splits


def check_outer_folds(dataset: Dataset, n_folds: int, section: CvSection, seed: int) -> None:
    """Make sure before the search that every outer fold can be searched.

    Raises:
        DataError: A class has too few rows, or there are too few groups.
    """
    n_splits = section.n_splits
    fewest = int(np.unique(dataset.y_train, return_counts=True)[1].min())
    found = f"the smallest class has {fewest} training rows"
    if dataset.groups is not None:
        fewest = min(
            len(np.unique(dataset.groups[dataset.y_train == label]))
            for label in np.unique(dataset.y_train)
        )
        found = f"one class is in {fewest} groups"
    try:
        is_possible = n_folds <= fewest and all(
            _has_classes(dataset, train, n_splits)
            and _has_classes(dataset, test, 1)
            and _can_be_split(dataset, train, section, seed)
            for train, test in make_splits(dataset, CvSection(n_splits=n_folds), seed)
        )
    except DataError:
        is_possible = False
    if not is_possible:
        raise DataError(
            f"data: study.nested = {n_folds} needs outer folds that hold every class,"
            f" with {n_splits} training rows and groups of each, but {found}",
            hint="change --nested, lower cv.n_splits, or drop the class",
        )


def _has_classes(dataset: Dataset, rows: np.ndarray, n_rows: int) -> bool:
    labels, counts = np.unique(dataset.y_train[rows], return_counts=True)
    return len(labels) == len(np.unique(dataset.y_train)) and int(counts.min()) >= n_rows


def _can_be_split(dataset: Dataset, rows: np.ndarray, section: CvSection, seed: int) -> bool:
    """Whether a search on these rows has its folds; raises where one of them would lack a class."""
    if dataset.groups is None:
        return True
    groups = dataset.groups[rows]
    taken = replace(
        dataset,
        X_train=dataset.X_train.iloc[rows, :0],
        y_train=dataset.y_train[rows],
        groups=groups,
    )
    has_groups = len(np.unique(groups)) >= section.n_splits
    return has_groups and bool(make_splits(taken, section, seed))
