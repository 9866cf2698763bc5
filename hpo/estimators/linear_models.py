"""Recipes of linear models for numbers."""

from typing import TYPE_CHECKING, Any

from hpo.estimators.arguments import ArgumentEntry, ArgumentSpace, EstimatorClass, argument_recipe
from hpo.estimators.recipe import BarChart, Params
from hpo.search_space import Range

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


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


def list_coefficients(pipeline: "Pipeline") -> "pd.DataFrame":
    """The coefficients by feature, the largest first; numbers are scaled."""
    import pandas as pd  # noqa: PLC0415 - see recipe.py

    from hpo.estimators.preprocessing import feature_names  # noqa: PLC0415 - see recipe.py

    table = pd.DataFrame(
        {"feature": feature_names(pipeline[-2]), "coefficient": pipeline[-1].coef_.ravel()}
    )
    return table.sort_values(
        "coefficient", key=abs, ascending=False, kind="stable", ignore_index=True
    )


_LIMIT = (
    "Coefficients say what goes with the target in these rows, not what causes it;"
    " interactions of columns are not seen."
)

_OF_LINEAR_MODELS: dict[str, Any] = {
    "task": "regression",
    "simplicity": _penalty,
    "charts": (
        BarChart(
            name="coefficients",
            title="Coefficients",
            tabulate=list_coefficients,
            labels=("feature",),
            value="coefficient",
            xlabel="change of the target; of a number, by standard deviation",
        ),
    ),
    "limits": (_LIMIT,),
}

RIDGE = argument_recipe(
    EstimatorClass("sklearn.linear_model.Ridge"),
    RidgeSpace,
    title="ridge regression",
    **_OF_LINEAR_MODELS,
)

RECIPES = (
    RIDGE,
    argument_recipe(
        EstimatorClass("sklearn.linear_model.ElasticNet"),
        ElasticNetSpace,
        title="elastic net",
        **_OF_LINEAR_MODELS,
    ),
)
