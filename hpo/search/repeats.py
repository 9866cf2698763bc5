"""Rows of the hold-out that are known from training: copies, and further rows of a subject."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from pandas.api import types

from hpo.data.columns import as_numbers, scale_numbers
from hpo.data.dataset import Dataset
from hpo.escaping import quote

MIN_COPIES = 3
MIN_SHARE = 0.01
"""Share of the held-out rows that are copies."""

BY_CHANCE = 0.1
"""Share of the equal rows that chance may have made."""

MIN_SUBJECTS = 20
MIN_ROWS_EACH = 1.5

MAX_ROWS = 2000
"""Rows that are compared with each other, two by two."""

MAX_ROWS_EACH = MAX_ROWS // MIN_SUBJECTS
"""Of one subject: the commonest alone may have most rows of a table."""

MAX_TRIED = 5
N_NEIGHBORS = 3

OWN_SHARE = 0.25
"""Nearest rows that are of the same subject, from which a model can tell subjects apart."""

CLEARLY = 3.0
"""Standard errors by which nearest rows of the same subject predict better than others do."""

MIN_LOSS = 0.02

_SUBJECTS = (
    "subject|subj|patient|person|people|customer|client|user|member|household|participant"
    "|respondent|student|pupil|account|passenger|animal"
)
_ID = re.compile(
    rf"(.*_)?(id|uuid|guid|ident|identifier)|({_SUBJECTS})_?(id|no|nr|num|number|key|code|name)?"
)


def find_copies(dataset: Dataset) -> Iterator[str]:
    """Held-out rows that equal a training row in every column and the target.

    Where columns have few values rows are equal by chance. How often is told by the pairs of rows
    that agree in all columns but the one with the most values: of these, as many agree in that one
    too as two rows of the table do.
    """
    train, test = _hash(dataset.X_train, dataset.y_train), _hash(dataset.X_test, dataset.y_test)
    n_copies = int(np.isin(test.sum(axis=1), train.sum(axis=1)).sum())
    if n_copies < max(MIN_COPIES, MIN_SHARE * len(test)):
        return
    counts = [np.unique(column, return_counts=True)[1] for column in train.T]
    finest = int(np.argmax([len(count) for count in counts]))
    agreeing = float(((counts[finest] / len(train)) ** 2).sum())
    n_pairs = _count_pairs(*(np.delete(rows, finest, axis=1).sum(axis=1) for rows in (test, train)))
    if agreeing * n_pairs < BY_CHANCE * n_copies:
        yield (
            f"{n_copies} of {len(test)} held-out rows equal a training row in every column:"
            " remove the copies, or name what they share in data.group"
        )


def _count_pairs(some: np.ndarray, others: np.ndarray) -> int:
    """Count the pairs of equal values, one from each."""
    values, counts = np.unique(others, return_counts=True)
    place = np.minimum(np.searchsorted(values, some), len(values) - 1)
    return int(counts[place][values[place] == some].sum())


def _hash(X: pd.DataFrame, y: np.ndarray) -> np.ndarray:
    """A number for each value, array of shape (n_samples, n_features + 1); they may be summed."""
    columns = [*(X[name] for name in X.columns), pd.Series(y)]
    hashed = [
        pd.util.hash_pandas_object(column, index=False).to_numpy() * np.uint64(2 * position + 1)
        for position, column in enumerate(columns)
    ]
    return np.column_stack(hashed)


def find_subjects(dataset: Dataset) -> Iterator[str]:
    """Columns whose values come again, as those of an id: rows of one subject on both sides.

    A column is told by its name, or where the rows nearest to one are often of the same subject and
    predict it better than the nearest of others do.

    Args:
        dataset: The rows; where they have groups, or an order, that is settled.
    """
    if dataset.groups is not None or dataset.order is not None:
        return
    n_train = len(dataset.y_train)
    whole = pd.concat([dataset.X_train, dataset.X_test]).reset_index(drop=True)
    table = whole.join(dataset.dropped)
    tried = [name for name in map(str, table.columns) if _may_be_id(table[name][:n_train])]
    tried.sort(key=lambda name: (not _is_named_id(name), -table[name].nunique()))
    for name in tried[:MAX_TRIED]:
        subjects = pd.factorize(table[name])[0]
        # A missing value has code -1, and is nobody's.
        held_out = subjects[n_train:]
        known = np.isin(held_out, subjects[:n_train]) & (held_out >= 0)
        others = dataset.X_train.drop(columns=name, errors="ignore")
        gain = _gain_by_subject(others, dataset, subjects[:n_train])
        if known.any() and (gain or _is_named_id(name)):
            yield (
                f"{known.sum()} of {len(known)} held-out rows share their {quote(name)} with"
                f" training rows{gain}:"
                f" set data.group = {quote(name)} if you will predict for others"
            )


def _is_named_id(name: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _ID.fullmatch(re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")) is not None


def _may_be_id(column: pd.Series) -> bool:
    """Whether a column has many values, most of them a few times."""
    present = column.dropna()
    if types.is_datetime64_any_dtype(present) or types.is_bool_dtype(present):
        return False
    if types.is_float_dtype(present) and (present % 1 != 0).any():
        return False
    counts = present.value_counts()
    return (
        len(counts) >= MIN_SUBJECTS
        and MIN_ROWS_EACH <= len(present) / len(counts) <= len(present) / MIN_SUBJECTS
        and int(counts[counts > 1].sum()) >= len(present) / 2
    )


def _gain_by_subject(others: pd.DataFrame, dataset: Dataset, subjects: np.ndarray) -> str:
    """Say how much better the nearest rows predict with those of the same subject; or nothing."""
    rows = _draw_subjects(subjects)
    if others.shape[1] == 0 or len(rows) < MIN_SUBJECTS:
        return ""
    X = scale_numbers(as_numbers(others.iloc[rows]).to_numpy())
    y, subjects = dataset.y_train[rows], subjects[rows]
    squares = (X**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * X @ X.T
    np.fill_diagonal(distances, np.inf)
    is_same = subjects[:, None] == subjects
    nearest = np.argpartition(distances, N_NEIGHBORS, axis=1)[:, :N_NEIGHBORS]
    own = np.take_along_axis(is_same, nearest, axis=1).mean()
    if own < OWN_SHARE:
        return ""
    distances[is_same] = np.inf
    of_others = np.argpartition(distances, N_NEIGHBORS, axis=1)[:, :N_NEIGHBORS]
    with_own, without = (_judge(y, found, dataset.task) for found in (nearest, of_others))
    difference = np.bincount(np.unique(subjects, return_inverse=True)[1], with_own - without)
    error = np.sqrt((difference**2).sum()) / len(y)
    gained = float((with_own - without).mean())
    if gained < max(MIN_LOSS, CLEARLY * error):
        return ""
    what = "R2" if dataset.task == "regression" else "accuracy"
    return (
        f", and the nearest rows predict better where they are of the same one"
        f" ({what} {with_own.mean():.3f} against {without.mean():.3f})"
    )


def _draw_subjects(subjects: np.ndarray) -> np.ndarray:
    """Positions of the rows of some subjects, all rows of each but for those that have many."""
    rng = np.random.default_rng(0)
    counts = np.minimum(np.bincount(subjects[subjects >= 0]), MAX_ROWS_EACH)
    drawn = rng.permutation(len(counts))
    kept = drawn[: max(1, int(np.searchsorted(counts[drawn].cumsum(), MAX_ROWS)))]
    rows = rng.permutation(np.flatnonzero(np.isin(subjects, kept)))
    before = pd.Series(subjects[rows]).groupby(subjects[rows]).cumcount()
    return np.sort(rows[before < MAX_ROWS_EACH])


def _judge(y: np.ndarray, nearest: np.ndarray, task: str) -> np.ndarray:
    """How well neighbors predict each row: a mean of these is an accuracy, or R2."""
    if task == "regression":
        rest = (y - y[nearest].mean(axis=1)) ** 2
        return np.asarray(1 - rest / y.var())
    return np.asarray((y[nearest] == y[:, None]).mean(axis=1))
