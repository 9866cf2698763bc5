"""How the final model answers: chosen on out-of-fold predictions, judged on the hold-out.

The ledger keeps scores alone, and a run that only adds a decision has no trial to score: the best
trial's folds are fitted once more for their predictions.
"""

from contextlib import closing
from dataclasses import replace
from typing import Any

from hpo.errors import HpoError
from hpo.estimators.out_of_fold import OutOfFold, gather
from hpo.estimators.recipe import Params, Recipe
from hpo.results.calibration import judge_probabilities
from hpo.results.decisions import DecisionChoice, choose_decision, judge_decision
from hpo.results.holdout import HoldoutModels
from hpo.search.plan import Plan
from hpo.search.pool_executor import make_single_executor


def decide(plan: Plan, params: Params) -> DecisionChoice | None:
    """Choose how the model of complete params answers; None where the definition does not ask.

    Raises:
        HpoError: A fold that was scored before cannot be fitted now.
    """
    section = plan.definition.decision
    if not section.is_set:
        return None
    seen = predict_out_of_fold(plan, params)
    return choose_decision(plan.task, section, seen, plan.dataset.positive)


def predict_out_of_fold(plan: Plan, params: Params) -> OutOfFold:
    """Predict the training rows, each by the fit that did not see it; of repeats the first.

    Args:
        plan: Of the study.
        params: Complete params.

    Raises:
        HpoError: A fold cannot be fitted.
    """
    cv = plan.definition.cv
    splits = plan.task.split(plan.dataset, cv, plan.definition.study.seed)[: cv.n_splits]
    _, own_params = plan.recipe.choose(params)
    objective = replace(plan.objective.of(params), metrics=(), keeps_predictions=True)
    results = []
    with closing(make_single_executor(plan.definition.limits)) as executor:
        executor.hold(objective)
        for step in range(len(splits)):
            results.append(executor.evaluate(own_params, step))
            if results[-1].failure is not None:
                raise HpoError(
                    "the best trial's folds, fitted again for [decision], failed:"
                    f" {results[-1].failure}",
                    hint="the same command tries again",
                )
    return gather(results, splits, plan.dataset, plan.costs)


def judge_answers(
    plan: Plan,
    recipe: Recipe,
    pipeline: Any,
    models: HoldoutModels,
    choice: DecisionChoice | None,
) -> dict[str, Any]:
    """Judge the probabilities that ship, where there are some, and what is decided by them.

    Args:
        plan: Of the study.
        recipe: Of the estimator.
        pipeline: Fitted on the training rows.
        models: It and those that it is compared with, with the held-out rows.
        choice: From :func:`decide`.

    Returns:
        The fields ``probabilities`` and ``decision`` of :class:`hpo.results.estimates.Estimates`.
    """
    task, dataset = plan.task, plan.dataset
    if task.name != "classification" or not recipe.has_probabilities:
        return {}
    final = models.final
    if choice is not None:
        decided = choice.decision.wrap(pipeline)
        final = task.predictions(decided, dataset.X_test, dataset.positive)
    calibration = None if choice is None else choice.calibration
    found: dict[str, Any] = {
        "probabilities": judge_probabilities(task, final, dataset, calibration)
    }
    section = plan.definition.decision
    if choice is not None and section.chooses:
        found["decision"] = judge_decision(
            task,
            choice,
            section,
            [final, models.final, models.defaults],
            dataset,
            plan.costs,
            seed=plan.definition.study.seed,
        )
    return found
