"""The target as the data room sees it: read, its gaps noted, held out; the task knows the rest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd

from hpo.data.order import Order
from hpo.data_section import CvSection, DataSection
from hpo.errors import DataError
from hpo.escaping import quote


@dataclass(frozen=True)
class Folds:
    """The folds that the training rows must serve.

    Attributes:
        cv: Those of a trial.
        seed: Of the hold-out and the folds.
        nested: How many outer folds there are, each with a search of its own, or None.
        order: The order of all rows by time, or None where they are shuffled.
    """

    cv: CvSection
    seed: int
    nested: int | None = None
    order: Order | None = None

    def of_rows(self, rows: np.ndarray) -> Self:
        """The same for some of the rows, by position or mask."""
        return replace(self, order=None if self.order is None else self.order.take(rows))


class TargetChoice(Protocol):
    """A choice of the target by its column."""

    def of_column(self, column: pd.Series) -> "Target":
        """The target that fits a column; a target is its own choice."""
        ...


class Target(TargetChoice, Protocol):
    """How a target is read and held out: a part of what a task knows.

    Attributes:
        name: Of the task.
    """

    name: str

    def read(self, present: pd.Series, notes: list[str]) -> np.ndarray:
        """Read the target of the rows that have one, noting what a person should know.

        Raises:
            DataError: It cannot be predicted.
        """
        ...

    def treat_rare(
        self,
        y: np.ndarray,
        groups: np.ndarray | None,
        section: DataSection,
        folds: Folds,
        notes: list[str],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Drop or pool what has too few rows for the hold-out or a fold, where the section says so.

        Returns:
            The target, and whether each row is kept, array of shape (n_samples,).

        Raises:
            DataError: What is pooled has too few rows still.
        """
        ...

    def find_positive(self, y: np.ndarray, section: DataSection) -> Any:
        """The positive one of two classes, or None where there are not two.

        Raises:
            DataError: The section names one that is not there, or there are not two.
        """
        ...

    def hold_out(
        self,
        y: np.ndarray,
        groups: np.ndarray | None,
        section: DataSection,
        seed: int,
        order: Order | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the training and of the held-out rows; no group is in both.

        In the order of time the last rows are held out.

        Raises:
            DataError: One of the two would hold too little of the target.
        """
        ...

    def check(self, y_train: np.ndarray, n_splits: int) -> None:
        """Refuse training rows that do not serve so many folds.

        Raises:
            DataError: They do not.
        """
        ...


def read_target(
    column: pd.Series, gaps: Mapping[str, int], target: Target, notes: list[str]
) -> np.ndarray:
    """Read a target whose gaps are marked as missing; note how to keep them as labels.

    Args:
        column: The target, its gaps marked as missing.
        gaps: Each text that was taken for a gap, with its number of rows.
        target: Reads it.
        notes: Gets what a person should know, one line each.

    Raises:
        DataError: It cannot be predicted.
    """
    present = column.dropna()
    n_missing = len(column) - len(present)
    if n_missing:
        notes.append(
            f"{n_missing} of {len(column)} rows dropped: {quote(column.name)} is missing there"
        )
    keep = f"data.keep_labels = {json.dumps(list(gaps), ensure_ascii=False)}"
    try:
        labels = target.read(present, notes)
    except DataError as error:
        if not gaps:
            raise
        hint = f"{error.hint}; a gap becomes a label with {keep}"
        raise DataError(str(error), hint=hint) from error
    if gaps:
        rows = ", ".join(f"{quote(text)} in {n_rows} rows" for text, n_rows in gaps.items())
        notes.append(f"{quote(column.name)} is {rows}: a gap, no label; {keep} keeps it as one")
    return labels
