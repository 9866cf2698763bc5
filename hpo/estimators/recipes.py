"""The table of recipes: what a study may search, by scikit-learn's class names.

A new estimator is a recipe in a module of its own, and its line here.
"""

from collections.abc import Mapping

from hpo.definition import StudyDefinition
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.estimators.recipe import Recipe


def _by_name(*recipes: Recipe) -> Mapping[str, Recipe]:
    """Refuse a name that two recipes have."""
    table = {recipe.name: recipe for recipe in recipes}
    if len(table) < len(recipes):
        raise ValueError(f"two recipes have one name, among {[recipe.name for recipe in recipes]}")
    return table


RECIPES = _by_name(
    LOGISTIC_REGRESSION,
)

DEFAULT_RECIPE = LOGISTIC_REGRESSION


def complete(definition: StudyDefinition) -> StudyDefinition:
    """Give a definition that was made without a search space its recipe's default space."""
    if isinstance(definition.search_space, DEFAULT_RECIPE.space):
        return definition
    return definition.model_copy(update={"search_space": DEFAULT_RECIPE.space()})
