"""The table of tasks: what recipes may predict, and which one a target is of."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from hpo.data.target import TargetChoice
from hpo.definition import StudyDefinition
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.recipe import Recipe
from hpo.estimators.recipes import USUAL_RECIPES, recipe_named
from hpo.estimators.regression import REGRESSION
from hpo.estimators.task import Task

TASKS: Mapping[str, Task] = {task.name: task for task in (CLASSIFICATION, REGRESSION)}

MAX_NUMERIC_CLASSES = 20
"""A target with more distinct numbers is a regression, where no estimator is named."""


def task_of(recipe: Recipe) -> Task:
    """The task of a recipe's estimator."""
    return TASKS[recipe.task]


def target_of(definition: StudyDefinition) -> TargetChoice:
    """The target of a definition's estimator; where none is named, the one that a column fits."""
    if definition.estimator.name is not None:
        return task_of(recipe_named(definition.estimator.name))
    # The file was read as one of the usual classifier, so its search space is that one's.
    return CLASSIFICATION if definition.search_space.model_fields_set else _Undecided()


class _Undecided:
    """The choice where no estimator is named."""

    def of_column(self, column: pd.Series) -> Task:
        """Regression for numbers of which many differ, else classification."""
        is_regression = (
            is_numeric_dtype(column)
            and not is_bool_dtype(column)
            and column.nunique() > MAX_NUMERIC_CLASSES
        )
        return REGRESSION if is_regression else CLASSIFICATION


def complete(definition: StudyDefinition, task: str) -> tuple[StudyDefinition, Recipe]:
    """Fill in what a definition leaves to the target: the estimator, its space, the metric.

    Args:
        definition: What is searched.
        task: The task that the target is of.

    Returns:
        The definition with its estimator's name, and that estimator's recipe.

    Raises:
        DefinitionError: There is no such estimator.
    """
    name = definition.estimator.name
    recipe = USUAL_RECIPES[task] if name is None else recipe_named(name)
    changed: dict[str, Any] = {
        "estimator": definition.estimator.model_copy(update={"name": recipe.name})
    }
    if "metric" not in definition.study.model_fields_set:
        metric = task_of(recipe).usual_metric
        changed["study"] = definition.study.model_copy(update={"metric": metric})
    if not isinstance(definition.search_space, recipe.space):
        changed["search_space"] = recipe.space()
    return definition.model_copy(update=changed), recipe
