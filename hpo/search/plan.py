"""The plan of a search: a definition and its data, checked and prepared; nothing is written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hpo.data.dataset import Dataset, load_dataset
from hpo.data.order import advise_time
from hpo.data_section import DataSection
from hpo.definition import StudyDefinition
from hpo.errors import DefinitionError
from hpo.escaping import quote
from hpo.estimators.candidates import Candidates
from hpo.estimators.cross_validation import (
    CrossValidation,
    check_size,
    prepare_folds,
    training_shape,
)
from hpo.estimators.metrics import check_metric_names, resolve_metrics
from hpo.estimators.preprocessing import categorical_positions
from hpo.estimators.recipes import DEFAULT_RECIPE, USUAL_RECIPES
from hpo.estimators.saving import check_saving
from hpo.estimators.several import (
    SeveralObjectives,
    StudyObjective,
    StudySpace,
    search_space,
)
from hpo.estimators.task import Task
from hpo.estimators.tasks import (
    complete,
    read_decision,
    recipe_of,
    takes_rows_as_read,
    target_of,
    task_of,
)
from hpo.ledger.identity import StudyIdentity
from hpo.search.leaks import find_leaks
from hpo.versions import version_of

_GOES_ON = "free text was not used then: data.text = [] in a study file goes on without it"


@dataclass(frozen=True)
class Plan:
    """All that a search needs.

    Attributes:
        definition: As it was given.
        recipe: What is searched.
        dataset: The rows.
        objective: What a trial is scored by: the folds, prepared once for each kind of
            preprocessing.
        space: What a trial is asked: the definition's space, less what costs too much of a default
            one.
        notes: What was done that a person should know, one line each.
        costs: What answers cost in the training rows, or None.
    """

    definition: StudyDefinition
    recipe: Candidates
    dataset: Dataset
    objective: StudyObjective
    space: StudySpace
    notes: tuple[str, ...]
    costs: Any = None

    @property
    def task(self) -> Task:
        """The task of the recipe."""
        return task_of(self.recipe)

    @property
    def searched_definition(self) -> StudyDefinition:
        """The definition with the space that is searched, as it is recorded."""
        return self.definition.model_copy(update={"search_space": self.space.entries})

    def identity(self, versions: Mapping[str, str]) -> StudyIdentity:
        """The identity of a study of this plan."""
        before = self.dataset.digest_without_text
        packages = {recipe.package for recipe in self.recipe.recipes} - {""}
        return StudyIdentity(
            name=self.definition.name,
            metric=self.definition.study.metric,
            definition=self.searched_definition.identity(),
            data_digest=self.dataset.digest,
            versions={**versions, **{name: version_of(name) for name in packages}},
            earlier={} if before is None else {before: _GOES_ON},
        )


def load_data(definition: StudyDefinition, frame: pd.DataFrame | None = None) -> Dataset:
    """Load the table and check that it can be searched by this definition; writes nothing.

    Args:
        definition: What is searched.
        frame: The table, in the place of ``data.source``.

    Raises:
        DefinitionError: The metric is unknown, or does not fit the target.
        DataError: The table cannot be used.
    """
    study = definition.study
    check_metric_names((study.metric, *study.metrics))
    dataset = load_dataset(
        _settle_text(definition),
        target_of(definition),
        seed=study.seed,
        n_splits=definition.cv.n_splits,
        n_repeats=definition.cv.n_repeats,
        gap=definition.cv.gap,
        nested=study.nested,
        frame=frame,
        as_read=takes_rows_as_read(definition),
    )
    is_named = definition.estimator.name is not None or dataset.task == DEFAULT_RECIPE.task
    definition, recipe = complete(definition, dataset.task)
    study, task = definition.study, task_of(recipe)
    metrics = resolve_metrics(
        study.metric, study.metrics, task, has_probabilities=recipe.has_probabilities
    )
    task.check_metrics(metrics, dataset.y_train, dataset.positive)
    read_decision(definition, dataset, recipe)
    advice = [] if is_named else [_describe_choice(recipe, dataset)]
    advice += task.advise(metrics, dataset.y_train, dataset.positive, definition.data)
    advice += advise_time(dataset.X_train, dataset.order) + find_leaks(dataset)
    dataset = replace(dataset, notes=(*dataset.notes, *advice))
    recipe.check(definition.search_space, task.count_classes(dataset.y_train))
    check_size(dataset, definition)
    return dataset


def _settle_text(definition: StudyDefinition) -> DataSection:
    """The definition of the data, without free text where an estimator does not take it.

    Raises:
        DefinitionError: A study file names it all the same.
    """
    section, searched = definition.data, recipe_of(definition)
    recipes = searched.recipes if searched else ()  # the usual ones are linear
    unable = [recipe for recipe in recipes if not recipe.takes_text]
    if unable and section.text:
        listed = ", ".join(map(quote, section.text))
        raise DefinitionError(
            f"data.text: {unable[0].name} takes no free text, but got {listed}",
            hint=f"name it in data.drop instead, or take {USUAL_RECIPES[unable[0].task].name}",
        )
    return section.model_copy(update={"text": ()}) if unable else section


def _describe_choice(recipe: Candidates, dataset: Dataset) -> str:
    return (
        f"{quote(dataset.target)} is a number, so {recipe.name} is searched;"
        " --estimator names another, a classifier too"
    )


def make_plan(definition: StudyDefinition, dataset: Dataset | None = None) -> Plan:
    """Prepare everything that a trial needs; writes nothing.

    Args:
        definition: What is searched.
        dataset: Its table, where :func:`load_data` was called before.

    Raises:
        InputError: As :func:`load_data`.
    """
    dataset = dataset or load_data(definition)
    definition, recipe = complete(definition, dataset.task)
    task = task_of(recipe)
    study = definition.study
    metrics = resolve_metrics(
        study.metric, study.metrics, task, has_probabilities=recipe.has_probabilities
    )
    positive = dataset.positive
    if positive is not None and not takes_rows_as_read(definition):
        positive = int(task.encode(np.array([positive]), dataset.y_train)[0])
    folds = {}
    for each in recipe.recipes:
        check_saving(each, dataset, definition)
        if each.preprocessing not in folds:
            folds[each.preprocessing] = prepare_folds(dataset, definition, task, each.preprocessing)
    costs = read_decision(definition, dataset, recipe)
    splits = [] if costs is None else task.split(dataset, definition.cv, study.seed)
    objectives = {
        each.name: CrossValidation(
            each,
            folds[each.preprocessing],
            metrics,
            positive,
            categorical_positions(dataset.columns, each.preprocessing),
            [costs.take(test) for _, test in splits],
        )
        for each in recipe.recipes
    }
    n_classes = task.count_classes(dataset.y_train)
    shapes = {kind: training_shape(of_kind[0], n_classes) for kind, of_kind in folds.items()}
    space, notes = search_space(recipe, definition.search_space, shapes, study.seed)
    return Plan(
        definition=definition,
        recipe=recipe,
        dataset=dataset,
        objective=(
            objectives[recipe.name] if len(objectives) == 1 else SeveralObjectives(objectives)
        ),
        space=space,
        notes=(*dataset.notes, *notes),
        costs=costs,
    )
