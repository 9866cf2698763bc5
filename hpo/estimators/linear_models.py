"""Recipes of linear models for numbers."""

from hpo.estimators.arguments import ArgumentEntry, ArgumentSpace, EstimatorClass, argument_recipe
from hpo.estimators.recipe import Params
from hpo.search_space import Range


class RidgeSpace(ArgumentSpace):
    """Hoerl and Kennard 1970, Technometrics 12, 55-67; the columns are scaled."""

    alpha: ArgumentEntry = Range(low=1e-4, high=1e4, log=True)


class ElasticNetSpace(ArgumentSpace):
    """Zou and Hastie 2005, JRSS B 67, 301-320; the columns are scaled."""

    alpha: ArgumentEntry = Range(low=1e-4, high=1e2, log=True)
    l1_ratio: ArgumentEntry = Range(low=0.05, high=0.95)


def _penalty(params: Params) -> tuple[float]:
    """More regularisation is simpler."""
    return (params.get("alpha", 1.0),)


RIDGE = argument_recipe(
    EstimatorClass("sklearn.linear_model.Ridge"),
    RidgeSpace,
    title="ridge regression",
    task="regression",
    simplicity=_penalty,
)

LINEAR_MODELS = (
    RIDGE,
    argument_recipe(
        EstimatorClass("sklearn.linear_model.ElasticNet"),
        ElasticNetSpace,
        title="elastic net",
        task="regression",
        simplicity=_penalty,
    ),
)
