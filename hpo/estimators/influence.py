"""Influence values: how much each row moves a score.

Any smooth score of n rows is its value on endless rows plus the mean of one number a row, up to
terms of order 1 / n: the row's influence value (Hampel 1974, Journal of the American Statistical
Association 69, 383-393). Their spread is the score's standard error; those of two models on the
same rows, subtracted, are those of the gain; those of a group's rows, summed, are the group's.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Smoothed:
    """Scores of rows and some made-up ones, so that what was never seen counts for a little.

    Attributes:
        scores: Of each model.
        influence: Of each row on each score, array of shape (n_models, n_rows).
        strata: The class of each row by position, array of shape (n_rows,).
        weights: Of each row; less than 1 for made-up ones.
    """

    scores: tuple[float, ...]
    influence: np.ndarray
    strata: np.ndarray
    weights: np.ndarray


def influence_on_mean(values: np.ndarray) -> np.ndarray:
    """Of the mean of a value a row, array of shape (n_samples,)."""
    return np.asarray(values - values.mean())


def influence_on_ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Of the ratio of two means, ``mean(top) / mean(bottom)``."""
    mean = bottom.mean()
    return np.asarray((top - top.mean() / mean * bottom) / mean)


def influence_on_root(values: np.ndarray) -> np.ndarray:
    """Of the square root of a mean."""
    mean = values.mean()
    return np.zeros(len(values)) if mean == 0 else (values - mean) / (2 * np.sqrt(mean))
