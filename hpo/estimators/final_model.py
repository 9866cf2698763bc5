"""The final model: the best trial's params refitted on all training rows, scored on the hold-out.

Where the definition asks for it, a second fit ships, on all rows; its score is then that of the
first, which saw fewer.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from hpo.data.columns import Columns
from hpo.data.dataset import Dataset
from hpo.definition import PreprocessingSection, StudyDefinition
from hpo.estimators import decision
from hpo.estimators.cross_validation import did_converge, score_model
from hpo.estimators.free_text import make_plain
from hpo.estimators.metrics import leave_out_probabilities
from hpo.estimators.preprocessing import TRUSTED_TYPES, build_preprocessing, categorical_positions
from hpo.estimators.recipe import Params, Recipe
from hpo.estimators.tasks import task_of

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
    return (*TRUSTED_TYPES, *decision.TRUSTED_TYPES, *recipe.trusted_types)


def fit_final_model(
    recipe: Recipe,
    params: Params,
    dataset: Dataset,
    definition: StudyDefinition,
    metrics: Iterable[str],
    costs: Any = None,
) -> FinalModel:
    """Refit and score.

    Args:
        recipe: The estimator's.
        params: Complete params, as the trial was scored with.
        dataset: The training rows and the hold-out.
        definition: How rows are preprocessed.
        metrics: Scorer names of the trials.
        costs: What answers cost in the training rows, or None.
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
            costs=costs and costs.of_table(dataset.X_test),
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
    if columns.as_read:
        steps, rows = model, columns.convert(ready)
    else:
        # The steps behind the conversion.
        inner = decision.without_decision(model)[-2:]
        steps, rows = decision.replace_pipeline(model, inner), converted
    return {name: getattr(steps, name)(rows) for name in CHECKED_METHODS if hasattr(model, name)}


def refit_on_all(pipeline: Pipeline, dataset: Dataset) -> Pipeline:
    """Fit the same model on the training rows and the hold-out."""
    X = pd.concat([dataset.X_train, dataset.X_test])
    y = np.concatenate([dataset.y_train, dataset.y_test])
    # Whether such a fit converges is known from the one without the hold-out.
    with warnings.catch_warnings(action="ignore"):
        return clone(pipeline).fit(X, y)
