"""The table of tasks: what recipes may predict, and which one a target is of."""

from collections.abc import Mapping

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from hpo.data.target import TargetChoice
from hpo.definition import StudyDefinition
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.recipe import Recipe
from hpo.estimators.recipes import recipe_named
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
