"""Dataset: a table, checked, split into training rows and a hold-out that is seen once.

Takes the ``[data]`` section of a definition; gives frames whose columns have the kinds that the
training rows decided, and a digest that stands for the data in the study's identity.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpo.data.columns import Columns
from hpo.data.gaps import mark_gaps
from hpo.data.groups import check_groups, read_groups
from hpo.data.kinds import decide_columns, keep_columns
from hpo.data.order import Order, read_times
from hpo.data.sources import load_table
from hpo.data.tables import BINARY_FORMATS
from hpo.data.target import Folds, TargetChoice, read_target
from hpo.data_section import CvSection, DataSection
from hpo.errors import DataError
from hpo.escaping import quote

EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Dataset:
    """A table, held out in part.

    Attributes:
        name: The bundled table's name, or the file's.
        target: The target column's name.
        task: What is predicted, by the name of the task.
        columns: The features by kind.
        X_train: DataFrame of shape (n_train, n_features).
        y_train: Labels, array of shape (n_train,).
        X_test, y_test: The held-out rows, in the same columns.
        groups: Group of each training row, array of shape (n_train,), or None.
        digest: 32 hexadecimal digits of the whole table: values, column names and dtypes.
        notes: What was done to the table that a person should know, one line each.
        groups_test: Group of each held-out row, array of shape (n_test,), or None.
        positive: The positive one of two classes, as the labels have it, or None.
        example: A few training rows as they were read, features alone.
        digest_without_text: The digest of the table without its free text, or None where a study
            file names it, or there is none.
        dropped: The columns of ``data.drop`` as they were read, training rows first.
        order: The order of the training rows by time, or None where they are shuffled.
        order_test: That of the held-out rows, which are later, or None.
    """

    name: str
    target: str
    task: str
    columns: Columns
    X_train: pd.DataFrame
    y_train: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    groups: np.ndarray | None
    digest: str
    notes: tuple[str, ...] = ()
    groups_test: np.ndarray | None = None
    positive: Any = None
    example: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    digest_without_text: str | None = None
    dropped: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    order: Order | None = None
    order_test: Order | None = None

    @property
    def has_plain_numbers(self) -> bool:
        """Whether preprocessing takes rows as they are read: integers or floats, as numbers."""
        is_all_numeric = self.columns.features == self.columns.numeric
        return is_all_numeric and all(
            isinstance(dtype, np.dtype) and (dtype.kind in "iu" or dtype == np.float64)
            for dtype in self.example.dtypes
        )

    @property
    def has_only_floats(self) -> bool:
        """Whether all columns are float64, none of them only for a gap among whole numbers."""
        if not self.has_plain_numbers or (self.example.dtypes != np.float64).any():
            return False
        gaps = self.X_train.isna()
        return not (gaps.any() & ((self.X_train % 1 == 0) | gaps).all()).any()


def load_dataset(
    section: DataSection,
    choice: TargetChoice,
    *,
    seed: int,
    n_splits: int,
    n_repeats: int = 1,
    gap: int = 0,
    nested: int | None = None,
    frame: pd.DataFrame | None = None,
    as_read: bool = False,
) -> Dataset:
    """Load, check and split a table.

    Args:
        section: Which table, which target, how much to hold out, what to drop.
        choice: How the target is read and held out, or what says so of its column.
        seed: Seed of the hold-out split.
        n_splits: Number of folds that the training rows must serve.
        n_repeats: How often they are split.
        gap: Rows left out before those that are scored, where they are in the order of time.
        nested: Number of outer folds, or None.
        frame: A table of shape (n_samples, n_columns) to use instead of ``source``; it is not
            changed.
        as_read: Whether the features stay as they were read, all of them.

    Raises:
        DataError: The table, its target or a column cannot be used, with what to do about it.
    """
    table, name, notes = load_table(section, frame)
    with naming(section.source):
        is_csv = frame is None and Path(section.source).suffix.lower() not in BINARY_FORMATS
        column, gaps = mark_gaps(table[name], section.keep_labels, is_csv=is_csv)
        target = choice.of_column(column)
        labels = read_target(column, gaps, target, notes)
        table = table[column.notna()]
        table, labels, order = _put_in_order(table, labels, section.time, gap)
        groups = None if section.group is None else read_groups(table[section.group], is_csv=is_csv)
        cv = CvSection(n_splits=n_splits, n_repeats=n_repeats, gap=gap)
        folds = Folds(cv, seed, nested, order)
        labels, is_kept = target.treat_rare(labels, groups, section, folds, notes)
        if not is_kept.all():
            table, groups = table[is_kept], None if groups is None else groups[is_kept]
            order = None if order is None else order.take(is_kept)
        if groups is not None:
            check_groups(groups, section, n_splits)
        train, test = target.hold_out(labels, groups, section, seed, order)
        notes += _describe_left_out(len(labels) - len(train) - len(test), section, gap)
        target.check(labels[train], n_splits)
        positive = target.find_positive(labels, section)
        raw = table.drop(columns=[name, *section.drop, *_named(section.group, section.time)])
        columns = keep_columns(raw) if as_read else _decide_columns(raw.iloc[train], section)
        X = columns.convert(raw)
        found = [] if section.text else list(columns.free_text)
    return Dataset(
        name=Path(section.source).name,
        target=name,
        task=target.name,
        columns=columns,
        X_train=X.iloc[train],
        y_train=labels[train],
        X_test=X.iloc[test],
        y_test=labels[test],
        groups=None if groups is None else groups[train],
        digest=_digest(X, labels, groups, order),
        notes=(*notes, *columns.notes),
        groups_test=None if groups is None else groups[test],
        positive=positive,
        example=raw.iloc[train[:EXAMPLE_ROWS]][list(columns.features)].reset_index(drop=True),
        digest_without_text=(
            _digest(X.drop(columns=found), labels, groups, order) if found else None
        ),
        dropped=table[list(dict.fromkeys(section.drop))]
        .iloc[[*train, *test]]
        .reset_index(drop=True),
        order=None if order is None else order.take(train),
        order_test=None if order is None else order.take(test),
    )


def _put_in_order(
    table: pd.DataFrame, labels: np.ndarray, time: str | None, gap: int
) -> tuple[pd.DataFrame, np.ndarray, Order | None]:
    """Sort rows by the column of their time, if there is one."""
    if time is None:
        return table, labels, None
    times = read_times(table[time])
    rows = times.argsort(kind="stable")
    return table.iloc[rows], labels[rows], Order(time, times[rows], gap)


def _decide_columns(train: pd.DataFrame, section: DataSection) -> Columns:
    return decide_columns(
        train, numeric=section.numeric, categorical=section.categorical, text=section.text
    )


def _named(*names: str | None) -> list[str]:
    return [name for name in names if name is not None]


def _describe_left_out(n_rows: int, section: DataSection, gap: int) -> list[str]:
    """Say which rows are neither trained on nor held out; that happens in the order of time."""
    if not n_rows:
        return []
    reasons = [f"cv.gap = {gap}"] if gap else []
    if section.group is not None:
        reasons.append(f"their {quote(section.group)} comes again among the held-out rows")
    return [f"{n_rows} rows before the held-out ones are left out: {', or '.join(reasons)}"]


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Say in an error which table it is about."""
    try:
        yield
    except DataError as error:
        raise DataError(
            str(error).replace("data: ", f"data: {source}: ", 1), hint=error.hint
        ) from error


def _digest(
    X: pd.DataFrame, labels: np.ndarray, groups: np.ndarray | None, order: Order | None
) -> str:
    sha = hashlib.sha256(
        repr([(str(name), str(dtype)) for name, dtype in X.dtypes.items()]).encode()
    )
    sha.update(pd.util.hash_pandas_object(X, index=False).to_numpy().tobytes())
    for extra in (labels, groups, None if order is None else order.times):
        if extra is not None:
            sha.update(pd.util.hash_array(extra.astype(object)).tobytes())
    return sha.hexdigest()[:32]
