"""Recipes of estimators that go by distances: support vectors, neighbours; columns are scaled."""

from typing import Any

from hpo.estimators.arguments import ArgumentEntry, ArgumentSpace, EstimatorClass, argument_recipe
from hpo.estimators.recipe import Params
from hpo.search_space import Range


class SupportVectorSpace(ArgumentSpace):
    """Van Rijn and Hutter 2018, KDD, 2367-2376, table 1; narrowed for scaled columns.

    https://arxiv.org/abs/1710.04725
    """

    C: ArgumentEntry = Range(low=1e-2, high=1e3, log=True)
    gamma: ArgumentEntry = Range(low=1e-4, high=10, log=True)


class SupportVectorClassifierSpace(SupportVectorSpace):
    """The same, with class weights."""

    class_weight: ArgumentEntry = ("none", "balanced")


class SupportVectorRegressorSpace(SupportVectorSpace):
    """The same, with the width of the tube in which errors do not count."""

    epsilon: ArgumentEntry = Range(low=1e-3, high=1, log=True)


class NeighborsSpace(ArgumentSpace):
    """Hastie, Tibshirani and Friedman 2009, section 13.3."""

    n_neighbors: ArgumentEntry = Range(low=1, high=50, log=True)
    weights: ArgumentEntry = ("uniform", "distance")
    p: ArgumentEntry = (2, 1)


_KERNELS = ("linear", "poly", "rbf", "sigmoid")


def _smoother_kernel(params: Params) -> tuple[float, ...]:
    """More regularisation, then a wider kernel."""
    gamma = params.get("gamma", "scale")
    return -params.get("C", 1.0), 0.0 if isinstance(gamma, str) else -gamma


def _more_neighbors(params: Params) -> tuple[float, ...]:
    """More rows in each answer, then all of one weight."""
    return params.get("n_neighbors", 5), params.get("weights", "uniform") == "uniform"


def check_support_vectors(model: Any) -> None:
    """Check the arrays of support vectors from a file: libsvm reads them without their bounds.

    Raises:
        ValueError: Their shapes do not fit together.
    """
    vectors, counts = model.support_vectors_, model._n_support  # noqa: SLF001 - no public name
    n_vectors, n_features = vectors.shape
    n_rows, n_pairs = len(counts) - 1, len(counts) * (len(counts) - 1) // 2
    n_classes = len(counts)
    if model._impl in ("epsilon_svr", "nu_svr"):  # noqa: SLF001
        # There libsvm counts two classes, the first with all vectors.
        n_classes, counts = 2, counts[:1]
    is_whole = (
        counts.min() >= 0
        and counts.sum() == n_vectors == len(model.support_)
        and n_features == model.n_features_in_
        and n_classes == len(model._n_support) >= 2  # noqa: SLF001
        and model.dual_coef_.shape == model._dual_coef_.shape == (n_rows, n_vectors)
        and model.intercept_.shape == model._intercept_.shape == (n_pairs,)
        and len(model._probA) == len(model._probB)  # noqa: SLF001
        and len(model._probA) in (0, n_pairs)  # noqa: SLF001
    )
    # A precomputed kernel looks up rows by the numbers in support_; the class says which machine.
    is_ours = model.kernel in _KERNELS and "_impl" not in vars(model)
    if not is_whole or not is_ours or model._sparse:  # noqa: SLF001
        raise ValueError("its support vectors do not fit together")


def check_neighbors(model: Any) -> None:
    """Check the rows of neighbours from a file.

    Raises:
        ValueError: Their shapes do not fit together.
    """
    rows = model._fit_X  # noqa: SLF001 - no public name
    is_whole = (
        rows.ndim == 2
        and rows.shape == (model.n_samples_fit_, model.n_features_in_)
        and len(model._y) == len(rows)  # noqa: SLF001
        and model._fit_method == "brute"  # noqa: SLF001
        and model._tree is None  # noqa: SLF001
    )
    if not is_whole:
        raise ValueError("its rows do not fit together")


def _neighbors(name: str) -> EstimatorClass:
    """Brute force: a saved search tree could not be loaded safely, and would answer the same."""
    return EstimatorClass(f"sklearn.neighbors.{name}", set_arguments=(("algorithm", "brute"),))


RECIPES = (
    argument_recipe(
        EstimatorClass("sklearn.svm.SVC"),
        SupportVectorClassifierSpace,
        title="support vectors",
        task="classification",
        simplicity=_smoother_kernel,
        preprocessing="distance",
        check_loaded=check_support_vectors,
        has_probabilities=False,
    ),
    argument_recipe(
        EstimatorClass("sklearn.svm.SVR"),
        SupportVectorRegressorSpace,
        title="support vectors",
        task="regression",
        simplicity=_smoother_kernel,
        preprocessing="distance",
        check_loaded=check_support_vectors,
    ),
    argument_recipe(
        _neighbors("KNeighborsClassifier"),
        NeighborsSpace,
        title="the nearest neighbours",
        task="classification",
        simplicity=_more_neighbors,
        preprocessing="distance",
        check_loaded=check_neighbors,
    ),
    argument_recipe(
        _neighbors("KNeighborsRegressor"),
        NeighborsSpace,
        title="the nearest neighbours",
        task="regression",
        simplicity=_more_neighbors,
        preprocessing="distance",
        check_loaded=check_neighbors,
    ),
)
