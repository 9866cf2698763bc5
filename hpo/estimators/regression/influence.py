"""Influence values of the scores of numbers."""

from collections.abc import Callable

import numpy as np
from scipy.special import xlogy

from hpo.estimators.influence import influence_on_mean, influence_on_ratio, influence_on_root

OfNumbers = Callable[[np.ndarray, np.ndarray], np.ndarray]


def influence(metric: str, y: np.ndarray, predicted: np.ndarray) -> np.ndarray | None:
    """How much each row moves a score.

    Args:
        metric: A scorer's name.
        y: True numbers, array of shape (n_samples,).
        predicted: Predicted ones.

    Returns:
        Array of shape (n_samples,), or None for a scorer that is not known here.
    """
    if loss := _LOSSES.get(metric):
        return -influence_on_mean(loss(y, predicted))
    if loss := _ROOTS.get(metric):
        return np.asarray(-influence_on_root(loss(y, predicted)))
    if parts := _SHARES.get(metric):
        return -influence_on_ratio(*parts(y, predicted))
    return None


def _squared_error(y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.asarray((y - predicted) ** 2)


def _squared_log_error(y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.asarray((np.log1p(y) - np.log1p(predicted)) ** 2)


def _absolute_error(y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(y - predicted))


def _absolute_percentage_error(y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(y - predicted) / np.maximum(np.abs(y), np.finfo(np.float64).eps))


def _poisson_deviance(y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.asarray(2 * (xlogy(y, y / predicted) - y + predicted))


def _gamma_deviance(y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.asarray(2 * (np.log(predicted / y) + y / predicted - 1))


_LOSSES: dict[str, OfNumbers] = {
    "neg_mean_squared_error": _squared_error,
    "neg_mean_absolute_error": _absolute_error,
    "neg_mean_squared_log_error": _squared_log_error,
    "neg_mean_absolute_percentage_error": _absolute_percentage_error,
    "neg_mean_poisson_deviance": _poisson_deviance,
    "neg_mean_gamma_deviance": _gamma_deviance,
}
"""A mean of one loss a row."""

_ROOTS: dict[str, OfNumbers] = {
    "neg_root_mean_squared_error": _squared_error,
    "neg_root_mean_squared_log_error": _squared_log_error,
}

_SHARES: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "r2": lambda y, predicted: ((y - predicted) ** 2, (y - y.mean()) ** 2),
    "explained_variance": lambda y, predicted: (
        (y - predicted - (y - predicted).mean()) ** 2,
        (y - y.mean()) ** 2,
    ),
    "d2_absolute_error_score": lambda y, predicted: (
        np.abs(y - predicted),
        np.abs(y - np.median(y)),
    ),
}
"""One minus a loss as a share of the best constant's; that constant moves too, by a second-order
term only, since it is the best."""
