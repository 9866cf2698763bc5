"""Dataset: a table, checked and split into training rows and a hold-out that is seen once, at the end.

Takes the ``[data]`` section of a definition; gives frames of float64 features (an integer column would make MLflow's signature
refuse missing values when served) and a digest that stands for the data in the study's identity.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

from hpo.definition import DataSection
from hpo.errors import DataError

BUNDLED = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}


@dataclass(frozen=True)
class Dataset:
    """A table, held out in part.

    Attributes:
        name: The bundled table's name.
        target: The target column's name.
        X_train: DataFrame of shape (n_train, n_features), float64.
        y_train: Array of shape (n_train,).
        X_test: The held-out rows, DataFrame of shape (n_test, n_features), float64.
        y_test: Array of shape (n_test,).
        digest: 32 hexadecimal digits of the whole table: values, column names and dtypes.
    """

    name: str
    target: str
    X_train: pd.DataFrame
    y_train: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    digest: str

    @property
    def classes(self) -> np.ndarray:
        """The distinct labels, sorted; array of shape (n_classes,)."""
        return np.unique(self.y_train)


def load_dataset(section: DataSection, *, seed: int, n_splits: int) -> Dataset:
    """Load, check and split a table.

    Args:
        section: Which table, which target, how much to hold out, what to drop.
        seed: Seed of the hold-out split.
        n_splits: Number of folds that the training rows must serve.

    Raises:
        DataError: The table, its target or a class cannot be used, with what to do about it.
    """
    X, y = _load_bundled(section)
    digest = _digest(X, y)
    X_train, X_test, y_train, y_test = _hold_out(X, y, section, seed)
    _check_classes(section.source, y_train, n_splits)
    return Dataset(section.source, str(y.name), X_train, y_train.to_numpy(), X_test, y_test.to_numpy(), digest)


def _load_bundled(section: DataSection) -> tuple[pd.DataFrame, pd.Series]:
    if section.source not in BUNDLED:
        near = difflib.get_close_matches(section.source, BUNDLED, n=1)
        raise DataError(
            f"data: the bundled tables are {', '.join(BUNDLED)}, but got '{section.source}'",
            hint=f"did you mean '{near[0]}'?" if near else "give one of them with --data NAME",
        )
    table = BUNDLED[section.source](as_frame=True).frame
    target = section.target or "target"
    for column in (target, *section.drop):
        if column not in table.columns:
            near = difflib.get_close_matches(column, table.columns, n=3)
            subject = "target" if column == target else "drop"
            raise DataError(
                f"data: {section.source} has no column '{column}' ({subject})",
                hint=f"did you mean {' or '.join(map(repr, near))}?" if near else f"its columns are {', '.join(table.columns)}",
            )
    if target in section.drop:
        raise DataError(f"data: '{target}' is both the target and in the drop list", hint="take it out of drop")
    X = table.drop(columns=[target, *section.drop]).astype(np.float64)
    if X.shape[1] == 0:
        raise DataError(f"data: {section.source} has no feature left", hint="shorten the drop list")
    return X, table[target]


def _hold_out(
    X: pd.DataFrame, y: pd.Series, section: DataSection, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    counts = y.value_counts()
    if len(counts) < 2:
        raise DataError(f"data: target '{y.name}' should have at least 2 classes, but got {len(counts)}")
    if len(counts) > max(100, len(y) // 10) or (y.dtype.kind == "f" and len(counts) > 100):
        raise DataError(
            f"data: target '{y.name}' should be a class label, but got {len(counts)} distinct values in {len(y)} rows",
            hint="a continuous target is a regression, which this project does not search",
        )
    try:
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=section.test_size, stratify=y, random_state=seed)
    except ValueError as error:
        raise DataError(
            f"data: a hold-out of test_size = {section.test_size:g} does not hold every class of '{y.name}' ({error})",
            hint="change data.test_size, or drop the rarest class",
        ) from error
    return X_train, X_test, y_train, y_test


def _check_classes(source: str, y_train: pd.Series, n_splits: int) -> None:
    counts = y_train.value_counts()
    label, rows = counts.index[-1], int(counts.iloc[-1])
    if rows < n_splits:
        raise DataError(
            f"data: in {source} every class needs n_splits = {n_splits} training rows, but class '{label}' has {rows}",
            hint=f"set cv.n_splits to {rows}, or drop the class" if rows >= 2 else "drop the class",
        )


def _digest(X: pd.DataFrame, y: pd.Series) -> str:
    table = X.assign(**{str(y.name): y})
    sha = hashlib.sha256(repr([(str(c), str(t)) for c, t in table.dtypes.items()]).encode())
    sha.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return sha.hexdigest()[:32]
