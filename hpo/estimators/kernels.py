"""Recipes of estimators that go by distances: support vectors, neighbours; columns are scaled."""

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


def _smoother_kernel(params: Params) -> tuple[float, ...]:
    """More regularisation, then a wider kernel."""
    gamma = params.get("gamma", "scale")
    return -params.get("C", 1.0), 0.0 if isinstance(gamma, str) else -gamma


def _more_neighbors(params: Params) -> tuple[float, ...]:
    """More rows in each answer, then all of one weight."""
    return params.get("n_neighbors", 5), params.get("weights", "uniform") == "uniform"


def _neighbors(name: str) -> EstimatorClass:
    """Brute force: a saved search tree could not be loaded safely, and would answer the same."""
    return EstimatorClass(
        f"sklearn.neighbors.{name}", set_arguments=(("algorithm", "brute"), ("n_jobs", 1))
    )


KERNELS = (
    argument_recipe(
        EstimatorClass("sklearn.svm.SVC"),
        SupportVectorClassifierSpace,
        title="support vectors",
        task="classification",
        simplicity=_smoother_kernel,
        has_probabilities=False,
    ),
    argument_recipe(
        EstimatorClass("sklearn.svm.SVR"),
        SupportVectorRegressorSpace,
        title="support vectors",
        task="regression",
        simplicity=_smoother_kernel,
    ),
    argument_recipe(
        _neighbors("KNeighborsClassifier"),
        NeighborsSpace,
        title="the nearest neighbours",
        task="classification",
        simplicity=_more_neighbors,
    ),
    argument_recipe(
        _neighbors("KNeighborsRegressor"),
        NeighborsSpace,
        title="the nearest neighbours",
        task="regression",
        simplicity=_more_neighbors,
    ),
)
