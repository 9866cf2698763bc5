"""Costs of answers: read from ``decision.cost``; the answer that is expected to cost least.

With probabilities that are right that is the answer of the lowest expected cost; of two classes, a
threshold (Elkan 2001, IJCAI, 973-978).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from hpo.decision_section import OF_TWO, DecisionSection
from hpo.errors import DefinitionError, did_you_mean
from hpo.escaping import quote

DEFAULT_COST = 1.0
"""The cost of a mistake that a table of classes does not name."""


@dataclass(frozen=True, eq=False)
class Costs:
    """The cost of each answer to each class, classes by position.

    Attributes:
        matrix: Of true classes in rows and answers in columns, array of shape (n_classes,
            n_classes); of an amount by row, its mean.
        columns: Class and answer to the column with each row's own amount.
        amounts: Class and answer to those amounts, array of shape (n_samples,).
    """

    matrix: np.ndarray
    columns: Mapping[tuple[int, int], str] = field(default_factory=dict)
    amounts: Mapping[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def of_table(self, X: pd.DataFrame) -> "Costs":
        """The same for the rows of a table; the matrix stays that of the training rows.

        Raises:
            DefinitionError: A row has no amount.
        """
        return replace(
            self, amounts={cell: _read_amounts(name, X) for cell, name in self.columns.items()}
        )

    def mean(self) -> "Costs":
        """The same with the mean amount for every row."""
        return Costs(self.matrix)

    def take(self, rows: np.ndarray) -> "Costs":
        """The same of some rows, by position."""
        amounts = {cell: values[rows] for cell, values in self.amounts.items()}
        return replace(self, amounts=amounts)

    def of_rows(self, truth: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """The cost of given answers, array of shape (n_samples,)."""
        costs = self.matrix[truth, answers]
        for (true, answer), values in self.amounts.items():
            costs = np.where((truth == true) & (answers == answer), values, costs)
        return np.asarray(costs)

    def answer(self, probabilities: np.ndarray) -> np.ndarray:
        """The answers of the lowest expected cost, by position, array of shape (n_samples,)."""
        return np.asarray((probabilities @ self.matrix).argmin(axis=1))

    def threshold(self, positive: int) -> float:
        """The probability of the positive class from which calling it is expected to cost less."""
        false_positive = self.matrix[1 - positive, positive]
        false_negative = self.matrix[positive, 1 - positive]
        return float(false_positive / (false_positive + false_negative))


def read_costs(
    section: DecisionSection, classes: np.ndarray, positive: Any, X: pd.DataFrame
) -> Costs | None:
    """Read the costs of classes; None where the section has none.

    Args:
        section: What mistakes cost.
        classes: Labels, sorted.
        positive: The positive one of two, or None.
        X: The training rows, which have the amounts of rows.

    Raises:
        DefinitionError: They do not fit these classes or columns.
    """
    cost = section.cost
    if cost is None:
        return None
    if cost.keys() == set(OF_TWO):
        if len(classes) != 2:
            raise DefinitionError(
                f"decision.cost: {' and '.join(OF_TWO)} are of two classes,"
                f" but the target has {len(classes)}",
                hint=f"give a table a class, for example cost = {{ {quote(classes[0])} ="
                f" {{ {quote(classes[1])} = 5 }} }}",
            )
        return _read_two(cost, int(np.searchsorted(classes, positive)), X)
    matrix = np.full((len(classes), len(classes)), DEFAULT_COST)
    np.fill_diagonal(matrix, 0)
    for label, row in cost.items():
        true = _find(label, classes)
        for called, amount in row.items():
            if called == label:
                raise DefinitionError(
                    f"decision.cost: {quote(label)} called {quote(called)} is no mistake",
                    hint="leave it out: what is right costs nothing",
                )
            matrix[true, _find(called, classes)] = amount
    if not matrix.any():
        raise DefinitionError("decision.cost: no mistake costs anything", hint="give one a number")
    return Costs(matrix)


def _read_two(cost: Mapping[str, Any], positive: int, X: pd.DataFrame) -> Costs:
    matrix = np.zeros((2, 2))
    columns = {}
    for key, cell in zip(OF_TWO, ((1 - positive, positive), (positive, 1 - positive)), strict=True):
        given = cost[key]
        if isinstance(given, str):
            columns[cell] = given
            given = _read_amounts(given, X).mean()
        matrix[cell] = given
    if not matrix.any():
        raise DefinitionError(
            "decision.cost: neither mistake costs anything", hint="give one of them a number"
        )
    return Costs(matrix, columns).of_table(X)


def _read_amounts(name: str, X: pd.DataFrame) -> np.ndarray:
    """The amounts of rows.

    Raises:
        DefinitionError: There is no such column of the model, or it holds other than amounts.
    """
    if name not in X.columns:
        raise DefinitionError(
            f"decision.cost: the model has no column {quote(name)}",
            hint=did_you_mean(
                name, list(X.columns), "name a column of numbers that is neither dropped nor text"
            ),
        )
    amounts = pd.to_numeric(X[name], errors="coerce").to_numpy(dtype=float)
    is_amount = np.isfinite(amounts) & (amounts >= 0)
    if not is_amount.all():
        raise DefinitionError(
            f"decision.cost: {quote(name)} should be a number from 0 up in every row,"
            f" but {int((~is_amount).sum())} of {len(amounts)} are not",
            hint="mend them, or give one number for all rows",
        )
    return amounts


def _find(label: str, classes: np.ndarray) -> int:
    texts = [str(each) for each in classes]
    if label not in texts:
        raise DefinitionError(
            f"decision.cost: the target has no class {quote(label)}",
            hint=did_you_mean(label, texts, f"its classes are {', '.join(texts[:10])}"),
        )
    return texts.index(label)
