"""Recipes of linear models for numbers."""

from hpo.estimators.arguments import argument_recipe
from hpo.search_space import Range

RIDGE = argument_recipe(
    "sklearn.linear_model.Ridge",
    title="ridge regression",
    task="regression",
    space={"alpha": Range(low=1e-4, high=1e4, log=True)},
    simplicity=lambda params: (params["alpha"],),
)
"""Hoerl and Kennard 1970, Technometrics 12, 55-67; the columns are scaled."""
