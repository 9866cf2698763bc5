"""Mistakes about two classes, each with one cost: what a saving rests on."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The answers of some models to the same rows of two classes.

    Attributes:
        truth: The class of each row by position, array of shape (n_samples,).
        answers: The class that each model calls it, array of shape (n_models, n_samples).
        costs: What a mistake about a row of each class costs, array of shape (2,).
    """

    truth: np.ndarray
    answers: np.ndarray
    costs: np.ndarray

    def of_class(self) -> list[np.ndarray]:
        """For each class, which rows are of it, arrays of shape (n_samples,)."""
        return [self.truth == position for position in range(len(self.costs))]

    def called_more(self, other: int, fewest: int) -> int | None:
        """Give the class that the first model calls more rows than another, and none fewer.

        There is one between two thresholds of the same probabilities, and between a model and one
        answer for all rows.

        Args:
            other: The other model's position.
            fewest: In how many rows they have to differ: in a few they do so by chance.
        """
        step = self.answers[0] - self.answers[other]
        is_one_way = bool((step >= 0).all() or (step <= 0).all())
        if not is_one_way or np.count_nonzero(step) < fewest:
            return None
        return int(step.max() > 0)
