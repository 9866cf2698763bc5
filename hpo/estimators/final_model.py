"""The final model: the best trial's params refitted on all training rows, scored on the hold-out.

Where the definition asks for it, a second fit ships, on all rows; its score is then that of the
first, which saw fewer.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from hpo.data.columns import Columns
from hpo.data.dataset import Dataset
from hpo.definition import PreprocessingSection, StudyDefinition
from hpo.errors import DefinitionError, ModelError, first_line
from hpo.estimators.cross_validation import did_converge, leave_out_probabilities, score_model
from hpo.estimators.free_text import make_plain
from hpo.estimators.preprocessing import TRUSTED_TYPES, build_preprocessing, categorical_positions
from hpo.estimators.recipe import Params, Recipe, TrainingShape
from hpo.estimators.space import SearchedSpace
from hpo.estimators.tasks import task_of
from hpo.search_space import choices_of

CHECKED_ROWS = 200
CHECKED_METHODS = ("predict", "predict_proba")
CONVERSION_STEP = "columns"


@dataclass(frozen=True)
class FinalModel:
    """A fitted pipeline and what is known of it.

    Attributes:
        pipeline: Preprocessing and estimator, fitted; of one's own, the estimator itself.
        holdout: Scorer name to score on the hold-out.
        converged: Whether the solver reached its tolerance.
    """

    pipeline: Pipeline = field(repr=False, compare=False)
    holdout: dict[str, float]
    converged: bool = True


def build_pipeline(
    recipe: Recipe, columns: Columns, section: PreprocessingSection, params: Params
) -> Any:
    """The whole unfitted model: cross-validation scores it in two halves, it ships in one."""
    if recipe.preprocessing == "none":
        return recipe.build(params, ())
    steps = [
        ("preprocessing", build_preprocessing(columns, section, recipe.preprocessing)),
        (
            task_of(recipe).step_name,
            recipe.build(params, categorical_positions(columns, recipe.preprocessing)),
        ),
    ]
    return Pipeline(steps)


def trusted_types(recipe: Recipe) -> tuple[str, ...]:
    """List the types that a saved model may hold beside those that skops trusts.

    A constant of ours, since a model's own file could name anything.
    """
    return (*TRUSTED_TYPES, *recipe.trusted_types)


def check_saving(recipe: Recipe, dataset: Dataset, definition: StudyDefinition) -> None:
    """Make sure before the search that its model can be saved and loaded safely.

    A few rows are fitted, saved and loaded, once with each choice that a study file names. A fit
    that raises is left to the trials, but for an estimator without a recipe of its own that cannot
    be fitted at all. Linear models of plain numbers hold arrays alone, and are not tried.

    Raises:
        DefinitionError: A model holds a type that is not trusted, the estimator cannot be fitted to
            these rows, or two fits with one seed differ.
    """
    if _holds_arrays_alone(recipe, dataset):
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


def _holds_arrays_alone(recipe: Recipe, dataset: Dataset) -> bool:
    is_known = recipe.preprocessing == "linear" and recipe.is_repeatable
    return is_known and dataset.has_plain_numbers and dataset.y_train.dtype.kind in "biuf"


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


def fit_final_model(
    recipe: Recipe,
    params: Params,
    dataset: Dataset,
    definition: StudyDefinition,
    metrics: Iterable[str],
) -> FinalModel:
    """Refit and score.

    Args:
        recipe: The estimator's.
        params: Complete params, as the trial was scored with.
        dataset: The training rows and the hold-out.
        definition: How rows are preprocessed.
        metrics: Scorer names of the trials.
    """
    task = task_of(recipe)
    unfitted = build_pipeline(recipe, dataset.columns, definition.preprocessing, params)
    with warnings.catch_warnings(record=True, action="always") as caught:
        pipeline = unfitted.fit(dataset.X_train, dataset.y_train)
    more = leave_out_probabilities(
        task.holdout_metrics(dataset.y_train), task, recipe.has_probabilities
    )
    scorers = dict.fromkeys((*metrics, *more))
    # scikit-learn warns of a score that is not defined for these rows.
    with warnings.catch_warnings(action="ignore"):
        scores = score_model(
            task,
            pipeline,
            dataset.X_test,
            dataset.y_test,
            scorers,
            positive=dataset.positive,
        )
    return FinalModel(pipeline, scores, converged=did_converge(caught))


def take_raw_rows(pipeline: Pipeline, dataset: Dataset) -> Pipeline:
    """Make a fitted pipeline one that ships: of scikit-learn's classes, for the table as it is.

    The conversion of raw rows is put before it, which plain numbers do not need.
    """
    if dataset.columns.as_read:
        return pipeline
    *steps, (name, estimator) = pipeline.steps
    if hasattr(estimator, "to_plain"):  # a class of ours, which skops does not trust
        pipeline = Pipeline([*steps, (name, estimator.to_plain())])
    if dataset.has_plain_numbers:
        return pipeline
    converter = dataset.columns.converter().fit(dataset.example)
    make_plain(pipeline[0])
    return Pipeline([(CONVERSION_STEP, converter), *pipeline.steps])


def predict_example(
    model: Any, columns: Columns, converted: pd.DataFrame, ready: pd.DataFrame
) -> dict[str, Any]:
    """Predict a few rows by each method, as the model is to do once it is loaded.

    Args:
        model: Takes raw rows.
        columns: How they are converted.
        converted: The rows, converted: the conversion that ships is held to it.
        ready: The rows as JSON holds them. How a table lies in memory shows in the last bit of what
            an estimator of one's own makes of it, and it is loaded to predict these.
    """
    steps, rows = (model, columns.convert(ready)) if columns.as_read else (model[-2:], converted)
    return {name: getattr(steps, name)(rows) for name in CHECKED_METHODS if hasattr(model, name)}


def refit_on_all(pipeline: Pipeline, dataset: Dataset) -> Pipeline:
    """Fit the same model on the training rows and the hold-out."""
    X = pd.concat([dataset.X_train, dataset.X_test])
    y = np.concatenate([dataset.y_train, dataset.y_test])
    # Whether such a fit converges is known from the one without the hold-out.
    with warnings.catch_warnings(action="ignore"):
        return clone(pipeline).fit(X, y)
