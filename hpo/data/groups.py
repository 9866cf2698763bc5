"""Groups of rows that are never split, by the texts of a column."""

import numpy as np
import pandas as pd

from hpo.data_section import DataSection
from hpo.errors import DataError
from hpo.escaping import quote
from hpo.values import BOOLEANS


def read_groups(column: pd.Series, *, is_csv: bool) -> np.ndarray:
    """Name each row's group; blanks around a name are no part of it.

    Args:
        column: As it was read.
        is_csv: Whether its text comes from a CSV file, which has no types: numbers and truth values
            are named as pandas would read them, unless two names become one.

    Raises:
        DataError: A row has none.
    """
    n_missing = int(column.isna().sum())
    if n_missing:
        raise DataError(
            f"data: the group column {quote(column.name)} has {n_missing} missing values",
            hint="name every row's group",
        )
    names = column.astype("str").str.strip()
    return (_name_values(names) if is_csv else names).to_numpy(dtype=np.str_)


def _name_values(texts: pd.Series) -> pd.Series:
    distinct = pd.Series(texts.unique(), dtype=object)
    if distinct.str.lower().isin(BOOLEANS).all():
        return texts.str.capitalize()
    numbers = pd.to_numeric(distinct, errors="coerce")
    if numbers.isna().any() or numbers.nunique() < len(distinct):
        return texts
    return texts.map(dict(zip(distinct, numbers.astype("str"), strict=True)))


def check_groups(groups: np.ndarray, section: DataSection, n_splits: int) -> None:
    """Refuse too few groups: a fold, and the hold-out, takes one or more for itself.

    Raises:
        DataError: There are too few.
    """
    needed, n_groups = max(n_splits + 1, round(1 / section.test_size)), len(np.unique(groups))
    if n_groups < needed:
        raise DataError(
            f"data.group: the hold-out and {n_splits} folds need {needed} groups,"
            f" but '{section.group}' has {n_groups}",
            hint="lower cv.n_splits, or raise data.test_size",
        )
