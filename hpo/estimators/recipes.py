"""The table of recipes: what a study may search, by scikit-learn's class names.

A new estimator is a module with its ``RECIPES``, and its name in :data:`FAMILIES`.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from hpo.errors import DefinitionError, did_you_mean
from hpo.escaping import quote
from hpo.estimators.candidates import Candidates, SeveralRecipes
from hpo.estimators.linear_models import RIDGE
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.estimators.recipe import Recipe


def _by_name(*recipes: Recipe) -> Mapping[str, Recipe]:
    """Refuse a name that two recipes have."""
    table = {recipe.name: recipe for recipe in recipes}
    if len(table) < len(recipes):
        raise ValueError(f"two recipes have one name, among {[recipe.name for recipe in recipes]}")
    return table


FAMILIES = (
    "logistic_regression",
    "linear_models",
    "trees",
    "kernels",
    "boosters",
)
"""Modules of ``hpo.estimators``, each with a tuple of its ``RECIPES``."""

RECIPES = _by_name(
    *(recipe for name in FAMILIES for recipe in import_module(f"hpo.estimators.{name}").RECIPES)
)

DEFAULT_RECIPE = LOGISTIC_REGRESSION

USUAL_RECIPES: Mapping[str, Recipe] = {"classification": DEFAULT_RECIPE, "regression": RIDGE}
"""What is searched where no estimator is named, by task."""


def recipe_named(name: str) -> Recipe:
    """The recipe of an estimator; one that is not in the table is made from scikit-learn's list.

    Raises:
        DefinitionError: There is none.
    """
    recipe = find_recipe(name)
    if recipe is None:
        known = [*RECIPES, *_listed().listed_classes()]
        raise DefinitionError(
            f"estimator.name: there is no estimator {quote(name)}",
            hint=did_you_mean(name, known, f"for example {', '.join(list(RECIPES)[:4])}"),
        )
    return recipe


def find_recipe(name: str) -> Recipe | None:
    """The same, or None where there is no such classifier or regressor.

    Raises:
        DefinitionError: There is one, but it cannot be searched.
    """
    return RECIPES.get(name) or _listed().find_recipe(name)


def _listed() -> Any:
    from hpo.estimators import named  # noqa: PLC0415 - it loads all of scikit-learn

    return named


@cache
def candidates(names: tuple[str, ...]) -> Candidates:
    """The candidates of a study by name.

    Raises:
        DefinitionError: There is no such estimator, one is named twice, or some predict numbers and
            others classes.
    """
    recipes = tuple(map(recipe_named, names))
    if len(recipes) == 1:
        return recipes[0]
    if len({*names}) < len(names):
        raise DefinitionError(f"estimator.name: {', '.join(names)} names an estimator twice")
    by_task = {recipe.task: recipe.name for recipe in recipes}
    if len(by_task) > 1:
        raise DefinitionError(
            "estimator.name: the estimators of a study should predict the same, but got"
            f" {by_task['classification']} for classes and {by_task['regression']} for numbers"
        )
    return SeveralRecipes(recipes)
