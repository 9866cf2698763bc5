"""The target of a classification: labels read, held out by class, refused where too few."""

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import (
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)

from hpo.data.order import Order
from hpo.data_section import CvSection, DataSection
from hpo.errors import DataError
from hpo.escaping import quote
from hpo.estimators.classification import forward
from hpo.values import LARGEST_WHOLE_FLOAT

MAX_CLASSES = 100


def read_labels(present: pd.Series, notes: list[str]) -> np.ndarray:
    """Read labels without gaps: integers stay numbers, everything else is text."""
    if _is_whole(present):
        present = present.astype(np.int64)
    if present.dtype.kind in "iub" or (present.dtype.kind == "f" and (present % 1 != 0).any()):
        labels = present.to_numpy()
    else:
        texts = present.astype("str")
        stripped = texts.str.strip()
        n_blank = int((stripped != texts).sum())
        if n_blank:
            notes.append(f"{quote(present.name)} has blanks around {n_blank} labels: left out")
        labels = stripped.to_numpy(dtype=np.str_)
    subject, n_classes = f"data: target '{present.name}'", len(np.unique(labels))
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
            hint="numbers are predicted by a regressor, for example --estimator Ridge;"
            " or name another with --target",
        )
    return labels


def _is_whole(numbers: pd.Series) -> bool:
    """Whether floats are whole numbers, and none is rounded."""
    if numbers.dtype.kind != "f":
        return False
    return bool((numbers % 1 == 0).all() and (numbers.abs() < LARGEST_WHOLE_FLOAT).all())


def hold_out(
    labels: np.ndarray,
    groups: np.ndarray | None,
    section: DataSection,
    seed: int,
    order: Order | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Hold rows out by class, or the last ones by time; no group is split."""
    if order is not None:
        return forward.hold_out(
            labels, groups, section.test_size, order, spare=_spare_rare(len(np.unique(labels)))
        )
    if groups is None:
        splitter = StratifiedShuffleSplit(1, test_size=section.test_size, random_state=seed)
    else:
        splitter = StratifiedGroupKFold(
            max(2, round(1 / section.test_size)), shuffle=True, random_state=seed
        )
    cause: ValueError | None = None
    classes, counts = np.unique(labels, return_counts=True)
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # of a class with fewer rows than there are parts
            train, test = next(splitter.split(labels, labels, groups))
        if all(len(np.unique(labels[rows])) == len(classes) for rows in (train, test)):
            return train, test
    except ValueError as error:
        cause = error
    raise DataError(
        f"data: training rows and a hold-out of test_size = {section.test_size:g}"
        " do not both hold every class:"
        f" class '{classes[counts.argmin()]}' has {counts.min()} of {len(labels)} rows",
        hint=f"change data.test_size, or {_spare_rare(len(classes))}",
    ) from cause


def check_classes(labels: np.ndarray, n_splits: int) -> None:
    """Refuse a class with fewer training rows than folds.

    Raises:
        DataError: There is one.
    """
    classes, counts = np.unique(labels, return_counts=True)
    label, rows = classes[counts.argmin()], int(counts.min())
    if rows < n_splits:
        spare = _spare_rare(len(classes))
        raise DataError(
            f"data: every class needs n_splits = {n_splits} training rows,"
            f" but class '{label}' has {rows}",
            hint=f"set cv.n_splits to {rows}, or {spare}" if rows >= 2 else spare,
        )


def _spare_rare(n_classes: int) -> str:
    """Say how to do without a class that is too rare; of two, both are needed."""
    return 'set data.rare to "drop" or "pool"' if n_classes > 2 else "add rows of that class"


def make_splits(
    y: np.ndarray,
    groups: np.ndarray | None,
    section: CvSection,
    seed: int,
    order: Order | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split into ``n_splits * n_repeats`` folds by class, or forward in time; no group is split.

    Raises:
        DataError: All groups with a class would be in one fold: the fit on the others would not
            know it.
    """
    n_splits, n_repeats = section.n_splits, section.n_repeats
    if order is not None:
        return forward.split(y, groups, n_splits, order, spare=_spare_rare(len(np.unique(y))))
    if groups is None:
        splitters = [
            RepeatedStratifiedKFold(n_splits=n_splits, n_repeats=n_repeats, random_state=seed)
        ]
    else:
        splitters = [
            StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed + repeat)
            for repeat in range(n_repeats)
        ]
    splits = [split for splitter in splitters for split in splitter.split(y, y, groups)]
    for train, _ in splits if groups is not None else ():
        if (lacking := np.setdiff1d(y, y[train])).size:
            raise DataError(
                f"data: class '{lacking[0]}' is in so few groups"
                " that a fold would be fitted without it",
                hint=f"{_spare_rare(len(np.unique(y)))}, or group the rows by something finer",
            )
    return splits


def check_outer_folds(
    y: np.ndarray,
    groups: np.ndarray | None,
    n_folds: int,
    section: CvSection,
    seed: int,
    order: Order | None = None,
) -> None:
    """Make sure before the search that every outer fold can be searched.

    Raises:
        DataError: A class has too few rows, or there are too few groups.
    """
    n_splits = section.n_splits
    classes, counts = np.unique(y, return_counts=True)
    fewest = int(counts.min())
    found = f"the smallest class, '{classes[counts.argmin()]}', has {fewest} training rows"
    if groups is not None:
        n_groups = [len(np.unique(groups[y == label])) for label in classes]
        fewest = min(n_groups)
        found = f"class '{classes[np.argmin(n_groups)]}' is in {fewest} groups"
    try:
        is_possible = n_folds <= fewest and all(
            _has_classes(y, train, n_splits)
            and _has_classes(y, test, 1)
            and _can_be_split(
                y[train],
                None if groups is None else groups[train],
                section,
                seed,
                None if order is None else order.take(train),
            )
            for train, test in make_splits(y, groups, CvSection(n_splits=n_folds), seed, order)
        )
    except DataError:
        is_possible = False
    if not is_possible:
        raise DataError(
            f"data: study.nested = {n_folds} needs outer folds that hold every class,"
            f" with {n_splits} training rows and groups of each, but {found}",
            hint=f"change --nested, lower cv.n_splits, or {_spare_rare(len(classes))}",
        )


def _has_classes(y: np.ndarray, rows: np.ndarray, n_rows: int) -> bool:
    labels, counts = np.unique(y[rows], return_counts=True)
    return len(labels) == len(np.unique(y)) and int(counts.min()) >= n_rows


def _can_be_split(
    y: np.ndarray,
    groups: np.ndarray | None,
    section: CvSection,
    seed: int,
    order: Order | None,
) -> bool:
    """Whether a search on these rows has its folds; raises where one of them would lack a class."""
    if order is not None:
        return bool(make_splits(y, groups, section, seed, order))
    if groups is None:
        return True
    has_groups = len(np.unique(groups)) >= section.n_splits
    return has_groups and bool(make_splits(y, groups, section, seed))
