"""Columns that give the target away: each is tried alone, by a small tree or a straight line.

A column that alone predicts the target nearly without error is rarely known when a prediction is
wanted: it may be a copy, or something that happened afterwards.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from hpo.data.columns import as_numbers, scale_numbers
from hpo.data.dataset import Dataset
from hpo.escaping import quote
from hpo.estimators.classification.rankings import auc

MAX_ROWS = 2000
"""Rows that columns are tried on; more would take longer and find the same."""

MIN_ROWS = 50
MIN_OF_CLASS = 10

TELLS = 0.98
"""AUC or R2 of a column alone from which it is told."""

SUSPECT = 0.95
"""The same from which the best column is told if its error is far below that of all others."""

FAR_BELOW = 3.0
"""How many times smaller that error is than that of all others together."""

N_TREES = 10
"""Of the forest that all others are given: enough to come near the best, in 40 ms."""

MAX_COLUMNS = 200
"""Columns that are tried; of a wider table those that go most with the target."""

MAX_TOLD = 5
LEAF_ROWS = 5

LARGEST = float(np.finfo(np.float32).max)
"""Of a number in a tree's rows."""

MEND = "drop it unless it is known when you predict"


def _draw_rows(dataset: Dataset) -> np.ndarray:
    """Positions of some training rows; of classes as many of each as there are, up to a share."""
    rng = np.random.default_rng(0)
    y = dataset.y_train
    if dataset.task == "regression":
        return np.sort(rng.permutation(len(y))[:MAX_ROWS])
    codes = np.unique(y, return_inverse=True)[1]
    share = max(MIN_OF_CLASS, MAX_ROWS // (codes.max() + 1))
    of_class = [rng.permutation(np.flatnonzero(codes == code))[:share] for code in set(codes)]
    return np.sort(np.concatenate(of_class))


@dataclass(frozen=True, eq=False)
class _Trial:
    """Rows on which columns are tried: fitted on one half, scored on the other, and back.

    Attributes:
        table: Columns as numbers.
        y: Numbers, or classes by position.
        halves: Half of each row, 0 or 1; no group is in both.
        is_regression: Whether the target is of numbers.
        target: Its name.
    """

    table: pd.DataFrame
    y: np.ndarray
    halves: np.ndarray
    is_regression: bool
    target: str

    @classmethod
    def of(cls, dataset: Dataset, table: pd.DataFrame, rows: np.ndarray) -> "_Trial":
        """The trial of some training rows."""
        y = dataset.y_train[rows]
        is_regression = dataset.task == "regression"
        if not is_regression:
            y = np.unique(y, return_inverse=True)[1]
        rng = np.random.default_rng(0)
        # Rows of a class take turns, so that each half has them all.
        order = np.lexsort((rng.random(len(y)), np.zeros(len(y)) if is_regression else y))
        halves = np.empty(len(y), dtype=int)
        halves[order] = np.arange(len(y)) % 2
        if dataset.groups is not None:
            groups = np.unique(dataset.groups[rows], return_inverse=True)[1]
            halves = rng.permutation(groups.max() + 1)[groups] % 2
        return cls(table, y, halves, is_regression, dataset.target)

    @property
    def can_say(self) -> bool:
        """Whether there are rows enough, in both halves."""
        classes = np.unique(self.y)
        return len(self.y) >= MIN_ROWS and (
            self.is_regression
            or all(len(np.unique(self.y[self.halves == half])) == len(classes) for half in (0, 1))
        )

    def score(self, columns: list[str], make: Callable[[], Any]) -> float:
        """The score on rows that a model was not fitted on.

        R2, or the AUC of the class that is told worst: of three classes one is often easy.
        """
        X = self.table[columns].to_numpy()
        predicted = [self._predict(make, X, half) for half in (0, 1)]
        n_outputs = predicted[0].shape[1]
        out = np.empty((len(self.y), n_outputs))
        for half in (0, 1):
            out[self.halves == half] = predicted[half]
        if self.is_regression:
            rest = self.y - out[:, 0]
            return float(1 - rest @ rest / ((self.y - self.y.mean()) ** 2).sum())
        counts = np.bincount(self.y)
        told = [label for label in range(n_outputs) if counts[label] >= MIN_OF_CLASS]
        areas = [auc(out[:, label], self.y == label) for label in told]
        return float(min(areas, default=0.0))

    def _predict(self, make: Callable[[], Any], X: np.ndarray, half: int) -> np.ndarray:
        """Predict one half by a model of the other; array of shape (n_samples, n_outputs)."""
        is_tested = self.halves == half
        fitted = make().fit(X[~is_tested], self.y[~is_tested])
        if self.is_regression:
            return np.asarray(fitted.predict(X[is_tested])).reshape(-1, 1)
        return np.asarray(fitted.predict_proba(X[is_tested]))

    def straight_line(self, column: str) -> float:
        """The squared correlation with a number, which a copy has however long its tail."""
        x = self.table[column].to_numpy()
        is_there = np.isfinite(x)
        if not self.is_regression or is_there.sum() < MIN_ROWS or np.ptp(x[is_there]) == 0:
            return 0.0
        share = is_there.mean()
        return float(share * np.corrcoef(x[is_there], self.y[is_there])[0, 1] ** 2)


def find_giveaways(dataset: Dataset, left_out: Collection[str] = ()) -> list[str]:
    """Columns that alone predict the target nearly without error.

    Args:
        dataset: Its training rows are looked at.
        left_out: Columns that are not.
    """
    rows = _draw_rows(dataset)
    numbers = as_numbers(dataset.X_train.iloc[rows].drop(columns=list(left_out)))
    table = numbers.clip(-LARGEST, LARGEST)
    trial = _Trial.of(dataset, table, rows)
    if not trial.can_say:
        return []
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # noqa: PLC0415

    kind = DecisionTreeRegressor if trial.is_regression else DecisionTreeClassifier
    make = partial(kind, min_samples_leaf=LEAF_ROWS, random_state=0)
    scores = {
        name: max(trial.score([name], make), trial.straight_line(name))
        for name in _choose_columns(trial)
    }
    ranked = sorted(scores, key=lambda name: -scores[name])
    given = [name for name in ranked if scores[name] >= TELLS]
    if not given and ranked and scores[ranked[0]] >= SUSPECT:
        given = ranked[:1] if _beats_others(trial, ranked[0], scores) else []
    what = "R2" if trial.is_regression else "AUC"
    lines = [
        f"{quote(name)} alone predicts {quote(trial.target)}"
        f" ({what} {scores[name]:.4f} on rows it was not fitted on): {MEND}"
        for name in given[:MAX_TOLD]
    ]
    if len(given) > MAX_TOLD:
        lines.append(f"{len(given) - MAX_TOLD} more columns alone predict {quote(trial.target)}")
    return lines


def _choose_columns(trial: _Trial) -> list[str]:
    """Names of the columns to try: all, or those that go most with a value of the target."""
    names = [str(name) for name in trial.table.columns]
    if len(names) <= MAX_COLUMNS:
        return names
    X = scale_numbers(trial.table.to_numpy())
    y = trial.y[:, None] if trial.is_regression else trial.y[:, None] == np.unique(trial.y)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    return [names[column] for column in np.argsort(-np.abs(X.T @ y).max(axis=1))[:MAX_COLUMNS]]


def _beats_others(trial: _Trial, name: str, scores: Mapping[str, float]) -> bool:
    """Whether a column's error is far below that of all others together."""
    others = [other for other in scores if other != name]
    if not others:
        return True
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor  # noqa: PLC0415

    kind = RandomForestRegressor if trial.is_regression else RandomForestClassifier
    together = trial.score(others, partial(kind, N_TREES, random_state=0))
    return 1 - together > FAR_BELOW * (1 - scores[name])
