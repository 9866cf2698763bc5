"""The table of tasks: what recipes may predict, and which one a target is of."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from hpo.data.dataset import Dataset
from hpo.data.target import TargetChoice
from hpo.decision_section import COST
from hpo.definition import StudyDefinition
from hpo.errors import DefinitionError
from hpo.estimators.candidates import Candidates
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.own import OwnSection
from hpo.estimators.recipes import USUAL_RECIPES, candidates
from hpo.estimators.regression import REGRESSION
from hpo.estimators.task import Task

TASKS: Mapping[str, Task] = {task.name: task for task in (CLASSIFICATION, REGRESSION)}

MAX_NUMERIC_CLASSES = 20
"""A target with more distinct numbers is a regression, where no estimator is named."""


def task_of(recipe: Candidates) -> Task:
    """The task of a study's estimators."""
    return TASKS[recipe.task]


def recipe_of(definition: StudyDefinition) -> Candidates | None:
    """The recipes that a definition names, or the one that it brings; None where it does neither.

    Raises:
        DefinitionError: There is no such estimator.
    """
    section = definition.estimator
    if isinstance(section, OwnSection):
        return section.recipe
    return candidates(section.names) if section.names else None


def takes_rows_as_read(definition: StudyDefinition) -> bool:
    """Whether the estimator is one's own, which gets the table as it was read."""
    recipe = recipe_of(definition)
    return recipe is not None and any(each.preprocessing == "none" for each in recipe.recipes)


def target_of(definition: StudyDefinition) -> TargetChoice:
    """The target of a definition's estimator; where none is named, the one that a column fits."""
    recipe = recipe_of(definition)
    if recipe is not None:
        return task_of(recipe)
    # The file was read as one of the usual classifier, so its params are that one's.
    is_decided = definition.search_space.model_fields_set or dict(definition.fixed)
    return CLASSIFICATION if is_decided else _Undecided()


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


def complete(definition: StudyDefinition, task: str) -> tuple[StudyDefinition, Candidates]:
    """Fill in what a definition leaves to the target: the estimator, its space, the metric.

    Args:
        definition: What is searched.
        task: The task that the target is of.

    Returns:
        The definition with its estimator's name and rule, and what is searched.

    Raises:
        DefinitionError: There is no such estimator or rule, or it does not take a fixed value.
    """
    recipe = recipe_of(definition) or USUAL_RECIPES[task]
    section = definition.estimator
    chosen: dict[str, Any] = {"name": section.name or recipe.name}
    if not isinstance(section, OwnSection):
        recipe = recipe.of_rule(section.rule or recipe.rule)
        chosen["rule"] = recipe.rule
    changed: dict[str, Any] = {"estimator": section.model_copy(update=chosen)}
    if "metric" not in definition.study.model_fields_set:
        metric = task_of(recipe).usual_metric
        changed["study"] = definition.study.model_copy(update={"metric": metric})
    space = definition.search_space
    if not isinstance(space, recipe.space):
        if space.model_fields_set:
            raise DefinitionError(
                f"search_space: {recipe.name} has other params than this class of definition",
                hint="hpo.load_definition makes the definition of any estimator",
            )
        space = changed["search_space"] = recipe.space()
    if fixed := dict(definition.fixed):
        changed["search_space"] = recipe.fix(space, fixed)
    return definition.model_copy(update=changed), recipe


def read_decision(definition: StudyDefinition, dataset: Dataset, recipe: Candidates) -> Any:
    """Check the decision, and read what answers cost in the training rows, or None.

    Raises:
        DefinitionError: It does not fit, or trials are scored by a cost that nothing says.
    """
    study = definition.study
    costs = task_of(recipe).read_decision(
        definition.decision, dataset, has_probabilities=recipe.has_probabilities
    )
    if costs is None and COST in (study.metric, *study.metrics):
        raise DefinitionError(
            f"study.metric: {COST} needs decision.cost, which says what a mistake costs",
            hint="for example cost = { false_positive = 5, false_negative = 100 }",
        )
    return costs
