"""The table of tasks: what recipes may predict."""

from collections.abc import Mapping

from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.recipe import Recipe
from hpo.estimators.task import Task

TASKS: Mapping[str, Task] = {"classification": CLASSIFICATION}


def task_of(recipe: Recipe) -> Task:
    """The task of a recipe's estimator."""
    return TASKS[recipe.task]
