"""Whether a model can be saved and loaded safely, tried on a few rows before the search."""

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from hpo.data.dataset import Dataset
from hpo.definition import StudyDefinition
from hpo.errors import DefinitionError, ModelError, first_line
from hpo.estimators.final_model import build_pipeline, take_raw_rows
from hpo.estimators.recipe import Params, Recipe, TrainingShape
from hpo.estimators.space import SearchedSpace
from hpo.estimators.tasks import task_of
from hpo.search_space import choices_of

CHECKED_ROWS = 200


def check_saving(recipe: Recipe, dataset: Dataset, definition: StudyDefinition) -> None:
    """Make sure before the search that its model can be saved and loaded safely.

    A few rows are fitted, saved and loaded, once with each choice that a study file names. A fit
    that raises is left to the trials, but for an estimator without a recipe of its own that cannot
    be fitted at all. Linear models that read no free text hold only numbers and texts, and are
    not tried.

    Raises:
        DefinitionError: A model holds a type that is not trusted, the estimator cannot be fitted to
            these rows, or two fits with one seed differ.
    """
    if _holds_plain_values(recipe, dataset):
        return
    import skops.io  # noqa: PLC0415 - it loads all of scikit-learn

    from hpo.estimators.own.saving import try_saving  # noqa: PLC0415
    from hpo.estimators.skops_file import read_skops  # noqa: PLC0415

    if recipe.preprocessing == "none":
        try_saving(recipe, definition.search_space, dataset)
        return
    order = np.argsort(task_of(recipe).encode(dataset.y_train), kind="stable")
    few = np.linspace(0, len(order) - 1, min(len(order), CHECKED_ROWS)).astype(int)
    models, reason = _fit_choices(recipe, dataset, definition, np.sort(order[few]))
    if not models and not recipe.is_repeatable:
        models, reason = _fit_choices(recipe, dataset, definition, np.sort(order))
        if not models:
            raise DefinitionError(
                f"estimator.name: {recipe.name} cannot be fitted to these rows: {reason}",
                hint="name another, or change [search_space] or [fixed]",
            )
    for model in models:
        try:
            loaded = read_skops(skops.io.dumps(take_raw_rows(model, dataset)))
            recipe.check_loaded(loaded[-1])
        except (ModelError, TypeError, ValueError) as error:
            raise DefinitionError(
                f"estimator.name: a model of {recipe.name} could not be loaded safely:"
                f" {first_line(error).removeprefix('model: ')}",
                hint="name another estimator, or other values in [search_space] or [fixed]",
            ) from error


def _holds_plain_values(recipe: Recipe, dataset: Dataset) -> bool:
    """Whether fitted models hold only numbers and texts, as converted columns do."""
    is_known = recipe.preprocessing == "linear" and recipe.is_repeatable
    has_plain_labels = dataset.y_train.dtype.kind in "biufU"
    return is_known and not dataset.columns.free_text and has_plain_labels


def _fit_choices(
    recipe: Recipe, dataset: Dataset, definition: StudyDefinition, rows: np.ndarray
) -> tuple[list[Pipeline], str]:
    """Fit some rows with each choice that the definition names, the others as in the baseline.

    Returns:
        The fitted models, and why the last fit that raised did.
    """
    # Whatever the words are: those of some rows may be none.
    words = dict.fromkeys(dataset.columns.free_text, "some words")
    X, y = dataset.X_train.iloc[rows].assign(**words), dataset.y_train[rows]
    shape = TrainingShape(*X.shape, task_of(recipe).count_classes(y), X.size, is_sparse=False)
    # A study of several estimators has a table for each.
    entries = getattr(definition.search_space, recipe.name, definition.search_space)
    space = SearchedSpace(recipe, entries, shape, definition.study.seed)
    models, reason = [], ""
    for params in _each_choice(space):
        unfitted = build_pipeline(
            recipe, dataset.columns, definition.preprocessing, {**params, **recipe.quick}
        )
        try:
            with warnings.catch_warnings(action="ignore"):
                models.append(unfitted.fit(X, y))
        except Exception as error:  # noqa: BLE001 - whatever a fit raises
            reason = first_line(error)
            continue
        if not recipe.is_repeatable:
            _check_repeatable(recipe, models[-1], X, y)
    return models, reason


def _each_choice(space: SearchedSpace) -> Iterator[Params]:
    """Complete params: the baseline's or the first of each entry, then each choice that is named.

    Numbers do not change what a model is made of; texts and truth values may.
    """
    entries = dict(space.entries)
    first = {name: choices_of(entries[name])[0] for name in space.searched}
    first |= space.baseline() or {}
    yield space.replay(first)
    for name in [name for name in first if name in space.entries.model_fields_set]:
        for value in choices_of(entries[name]):
            if isinstance(value, str | bool) and value != first[name]:
                yield space.replay({**first, name: value})


def _check_repeatable(recipe: Recipe, model: Pipeline, X: pd.DataFrame, y: np.ndarray) -> None:
    method = next(
        each for each in ("predict_proba", "decision_function", "predict") if hasattr(model, each)
    )
    with warnings.catch_warnings(action="ignore"):
        again = clone(model).fit(X, y)
        is_same = np.array_equal(getattr(model, method)(X), getattr(again, method)(X))
    if not is_same:
        raise DefinitionError(
            f"estimator.name: two fits of {recipe.name} with one seed differ",
            hint="trials could not be repeated: name another",
        )
