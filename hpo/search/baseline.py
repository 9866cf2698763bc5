"""Scores the models that the chosen trial is compared with: the defaults and a constant one."""

import math
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from hpo.estimators.recipe import Params
from hpo.estimators.task import Split
from hpo.ledger.trials import fold_scores, mean_and_std
from hpo.results.intervals import score_range
from hpo.results.sampling import FoldScores
from hpo.search.plan import Plan
from hpo.search.pool_executor import make_single_executor


@dataclass(frozen=True)
class Baseline:
    """The cross-validation of the defaults.

    Attributes:
        value: Their mean score, or None where a fit failed.
        scores: Of the folds; empty where a fit failed.
        trial: The number of the trial that has them, or None: where the space lacks the defaults,
            they are scored beside the study.
    """

    value: float | None = None
    scores: Sequence[float] = ()
    trial: int | None = None


def score_baseline(plan: Plan, trials: Sequence[FrozenTrial], params: Params) -> Baseline:
    """Score the defaults of the estimator that params are of."""
    space, objective = plan.space.of(params), plan.objective.of(params)
    metric = plan.definition.study.metric
    for trial in trials[: len(plan.recipe.recipes)]:
        given = plan.space.given(trial.number)
        is_its = given is not None and plan.space.of(given) is space
        # One that was stopped has no value that compares.
        is_whole = trial.state != TrialState.PRUNED
        if given is not None and is_its and is_whole and given.items() <= trial.params.items():
            scores = () if trial.value is None else fold_scores(trial)[metric]
            return Baseline(trial.value, scores, trial.number)
    defaults = space.default_params()
    results = []
    with closing(make_single_executor(plan.definition.limits)) as executor:
        executor.hold(objective)
        for step in range(executor.n_steps):
            results.append(executor.evaluate(defaults, step))
            if results[-1].failure is not None:
                return Baseline()
    scores = [result.scores[metric] for result in results]
    return Baseline(mean_and_std(scores)[0], scores)


def compare_folds(
    plan: Plan, splits: Sequence[Split], best: Sequence[float], baseline: Baseline
) -> FoldScores | None:
    """Put the fold scores of the judged models side by side; None where the folds say nothing.

    Args:
        plan: What was searched.
        splits: Of the training rows into folds.
        best: Scores of the chosen trial.
        baseline: Those of the defaults.

    Returns:
        Those of the chosen trial, of a constant model and, where there are any, of the defaults.
    """
    dataset = plan.dataset
    # Folds in the order of time differ by their times, too.
    has_bound = math.isfinite(score_range(plan.definition.study.metric)[0])
    if has_bound or dataset.order is not None:
        return None
    scores = [best, _score_constant(plan, splits)]
    if baseline.scores:
        scores.append(baseline.scores)
    n_splits = plan.definition.cv.n_splits
    return FoldScores(
        np.array(scores), n_splits, len(dataset.y_train) / n_splits / len(dataset.y_test)
    )


def _score_constant(plan: Plan, splits: Sequence[Split]) -> list[float]:
    """Score a model that ignores the columns on each fold."""
    task, dataset, costs = plan.task, plan.dataset, plan.costs
    metric = plan.definition.study.metric
    scores = []
    for train, test in splits:
        X, y = dataset.X_train.iloc[test], dataset.y_train[test]
        predicted = task.predictions(
            task.constant_model(dataset.y_train[train], metric, dataset.positive),
            X,
            dataset.positive,
            costs and costs.of_table(X),
        )
        with warnings.catch_warnings(action="ignore"):
            scores.append(predicted.score(metric, y))
    return scores
