"""Judges a model on the held-out rows: its score, and its gain over others.

Those are scikit-learn's defaults, a model that ignores the columns, and the registry's champion.

All models predict the same rows, so a gain is a paired difference, which is far surer than two
scores side by side. The hold-out had no part in the choice, so the search inflates neither number.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from hpo.data.dataset import Dataset
from hpo.estimators.metrics import leave_out_probabilities
from hpo.estimators.preprocessing import categorical_positions
from hpo.estimators.recipe import Params, Recipe
from hpo.estimators.task import Predictions, Task
from hpo.estimators.tasks import task_of
from hpo.results.estimates import ConstantModel
from hpo.results.intervals import Estimate, estimate_paired_proportions, estimate_proportion
from hpo.results.sampling import FoldScores, Sampling
from hpo.results.score_intervals import estimate_scores

WORSE_ERRORS = 1.0
"""Standard errors below zero from which a gain is a loss.

A wrong "worse" only keeps a good champion.
"""

BETTER_ERRORS = 1.645
"""Standard errors above zero from which a gain counts: 5 % one-sided."""


@dataclass(frozen=True, eq=False)
class HoldoutModels:
    """The models that are judged, each with the held-out rows.

    Attributes:
        final: The final model.
        constant: The one that ignores the columns.
        defaults: scikit-learn's, or None where there is nothing to compare with.
    """

    final: Predictions
    constant: Predictions
    defaults: Predictions | None


def predict_holdout(
    recipe: Recipe,
    pipeline: Pipeline,
    defaults: Params | None,
    dataset: Dataset,
    metric: str,
    costs: Any = None,
) -> HoldoutModels:
    """Ask the final model, the defaults and a constant model about the held-out rows.

    Args:
        recipe: Of the estimator.
        pipeline: Fitted on the training rows.
        defaults: Complete params of the defaults, or None.
        dataset: The rows.
        metric: The judged scorer, which decides the constant model.
        costs: What answers cost in the training rows, or None.
    """
    task, X, positive = task_of(recipe), dataset.X_test, dataset.positive
    costs = costs and costs.of_table(X)
    constant = task.constant_model(dataset.y_train, metric, positive)
    theirs = None
    if defaults is not None:
        # A fit may not converge.
        with warnings.catch_warnings(action="ignore"):
            fitted, rows = _fit_defaults(recipe, pipeline, defaults, dataset)
        theirs = task.predictions(fitted, rows, positive, costs)
    return HoldoutModels(
        task.predictions(pipeline, X, positive, costs),
        task.predictions(constant, X, positive, costs),
        theirs,
    )


def judge_holdout(
    recipe: Recipe,
    models: HoldoutModels,
    dataset: Dataset,
    metric: str,
    *,
    seed: int,
    folds: FoldScores | None = None,
) -> tuple[Estimate, Estimate | None, ConstantModel]:
    """Score the final model on the held-out rows: alone, against the defaults and a constant model.

    Args:
        recipe: Of the estimator.
        models: From :func:`predict_holdout`.
        dataset: The rows.
        metric: The judged scorer.
        seed: Of the resamples of a metric that has no closed form.
        folds: Scores on the folds of the training rows: of the final model's params, of a constant
            model and, where there are any, of the defaults.

    Returns:
        The model's score by the judged metric, its gain over the defaults, or None, and the
        constant model with the gain over it.
    """
    task = task_of(recipe)
    compared = [models.final, models.constant]
    if models.defaults is not None:
        compared.append(models.defaults)
    always = leave_out_probabilities(task.always_scored, task, recipe.has_probabilities)
    # By none of these another constant does better.
    usual = task.constant_model(dataset.y_train)
    predicted = task.predictions(usual, dataset.X_test, dataset.positive)
    with warnings.catch_warnings(action="ignore"):
        scores = {
            metric: models.constant.score(metric, dataset.y_test),
            **{name: predicted.score(name, dataset.y_test) for name in always if name != metric},
        }
    score, (over_constant, *over_defaults) = judge_on_holdout(
        task, compared, dataset, metric, seed=seed, folds=folds
    )
    answer = task.describe_constant(models.constant.model, metric)
    return (
        score,
        over_defaults[0] if over_defaults else None,
        ConstantModel(answer, scores, over_constant),
    )


def _fit_defaults(
    recipe: Recipe, pipeline: Pipeline, defaults: Params, dataset: Dataset
) -> tuple[Any, Any]:
    """Fit the defaults on the training rows, behind the same preprocessing; with the held-out."""
    X_train, X_test = dataset.X_train, dataset.X_test
    if recipe.preprocessing != "none":
        X_train, X_test = map(pipeline[:-1].transform, (X_train, X_test))
    categorical = categorical_positions(dataset.columns, recipe.preprocessing)
    return recipe.build(defaults, categorical).fit(X_train, dataset.y_train), X_test


def judge_on_holdout(
    task: Task,
    models: Sequence[Predictions],
    dataset: Dataset,
    metric: str,
    *,
    seed: int,
    folds: FoldScores | None = None,
) -> tuple[Estimate, list[Estimate]]:
    """Score a model on the held-out rows of a dataset; the rest is as :func:`judge_models` has it.

    Args:
        task: What they predict.
        models: The model and those it is compared with, each with the held-out rows.
        dataset: The rows, and how they were held out.
        metric: The judged scorer.
        seed: Of the resamples of a metric that has no closed form.
        folds: Scores of the models' params on the folds of the training rows, or None.
    """
    return judge_models(
        task,
        models,
        dataset.y_test,
        dataset.groups_test,
        metric,
        seed=seed,
        n_table=len(dataset.y_train) + len(dataset.y_test),
        is_ordered=dataset.order is not None,
        folds=folds,
    )


def judge_models(
    task: Task,
    models: Sequence[Predictions],
    y: np.ndarray,
    groups: np.ndarray | None,
    metric: str,
    *,
    seed: int,
    n_table: int | None = None,
    is_ordered: bool = False,
    folds: FoldScores | None = None,
) -> tuple[Estimate, list[Estimate]]:
    """Score a model on rows that it was not fitted on, alone and against others.

    Args:
        task: What they predict.
        models: The model and those it is compared with, each with the rows.
        y: True labels, array of shape (n_samples,).
        groups: Names of shape (n_samples,), or None.
        metric: The judged scorer.
        seed: Of the resamples of a metric that has no closed form.
        n_table: The rows of the table that they were held out of; None where that is not known.
        is_ordered: Whether they are in the order of time, and were held out by it.
        folds: Scores of the models' params on the folds of the training rows, or None.

    Returns:
        The first model's score, and its gain over each of the others.
    """
    if metric != "accuracy" or groups is not None or is_ordered:
        sampling = Sampling.of(task.strata(y), groups, n_table, is_ordered=is_ordered)
        # A metric may not be defined for a resample.
        with warnings.catch_warnings(action="ignore"):
            rng = np.random.default_rng(seed)
            return estimate_scores(task, models, y, metric, sampling, rng, folds)
    ours, *others = [model.predict() == y for model in models]
    gains = [
        estimate_paired_proportions(int((ours & ~other).sum()), int((~ours & other).sum()), len(y))
        for other in others
    ]
    return estimate_proportion(int(ours.sum()), len(y)), gains


def may_take_over(gain: Estimate, rule: str) -> bool:
    """Whether a gain over the champion suffices for ``not_worse``, ``better`` or ``never``.

    Where there are too few rows to say, it does not.
    """
    if not gain.is_known:
        return False
    middle = (gain.low + gain.high) / 2
    error = gain.standard_error
    return {
        "not_worse": middle + WORSE_ERRORS * error >= 0,
        "better": middle - BETTER_ERRORS * error > 0,
    }.get(rule, False)
