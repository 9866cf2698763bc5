"""Leaks, looked for before trial 0: each is told in a note, none is refused.

Nothing here decides anything; a person does, who knows when a column is filled in, and for whom
predictions will be wanted.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn import config_context

from hpo.data.dataset import Dataset
from hpo.escaping import quote
from hpo.search.giveaways import MEND, find_giveaways
from hpo.search.repeats import find_copies, find_subjects

ALMOST_ALL = 0.99
MIN_ROWS = 10


def find_leaks(dataset: Dataset) -> list[str]:
    """Look for columns that give the target away, and for held-out rows that training knows.

    Returns:
        One line a finding, which names the column and what to do.
    """
    with warnings.catch_warnings(action="ignore"), config_context(skip_parameter_validation=True):
        gaps = _find_telling_gaps(dataset.X_train, dataset.y_train, dataset.target)
        found = [
            *gaps.values(),
            *find_giveaways(dataset, gaps),
            *find_copies(dataset),
            *find_subjects(dataset),
        ]
    return [f"possible leak: {line}" for line in found]


def _find_telling_gaps(X: pd.DataFrame, y: np.ndarray, target: str) -> dict[str, str]:
    """Columns that are missing exactly where the target has one value, or has another."""
    values, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    found = {}
    is_missing = X.isna()
    for name in X.columns[is_missing.sum().between(MIN_ROWS, len(X) - MIN_ROWS)]:
        for what, is_so in (("there", ~is_missing[name]), ("missing", is_missing[name])):
            both = np.bincount(codes, is_so)
            is_alike = both >= np.maximum(ALMOST_ALL * np.maximum(counts, is_so.sum()), MIN_ROWS)
            for value in values[is_alike]:
                where = f"exactly where {quote(target)} is {quote(value)}"
                found[name] = f"{quote(name)} is {what} {where}: {MEND}"
    return found
