"""The outcome of a search: the chosen trial refitted, judged on the hold-out, made a result."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sklearn.pipeline import Pipeline

from hpo.errors import name_some
from hpo.escaping import hide_password, on_one_line, shorten
from hpo.estimators.decision import Decision
from hpo.estimators.final_model import fit_final_model, refit_on_all, take_raw_rows
from hpo.estimators.recipe import Params
from hpo.ledger.storage import open_for_reading
from hpo.ledger.trials import FAILURE, fold_scores, has_converged, mean_and_std, mean_score
from hpo.results.decisions import DecisionChoice
from hpo.results.estimates import BestTrial, Estimates, NestedScore
from hpo.results.holdout import judge_holdout, predict_holdout
from hpo.results.intervals import Estimate
from hpo.results.over_time import score_over_time
from hpo.results.result import StudyResult
from hpo.results.selection import compare_estimators, count_states, count_ties
from hpo.results.verdicts import Ended
from hpo.search.answers import decide, judge_answers
from hpo.search.baseline import compare_folds, score_baseline
from hpo.search.plan import Plan
from hpo.settings import ServiceSettings

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


MAX_NAMED = 10
"""Trials that a note names."""

MAX_REASON = 200
"""Characters of a reason in a note; a trial has the whole."""


@dataclass(frozen=True)
class Searched:
    """The outcome of a search.

    Attributes:
        trials: All that are hpo's own, by number.
        best: The one that was chosen.
        nested: The score of search and refit on outer folds, or None.
        n_new_trials: How many were added, those of outer folds too.
        seconds: The time of the search alone.
        ended: What ended it: ``finished``, ``timeout`` or ``patience``.
        n_missing: How many trials of the wanted total are not there.
        foreign: The numbers of the trials that another client asked or ended.
    """

    trials: list["FrozenTrial"]
    best: "FrozenTrial"
    nested: NestedScore | None = None
    n_new_trials: int = 0
    seconds: float = 0.0
    ended: Ended = "finished"
    n_missing: int = 0
    foreign: tuple[int, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines that say which trials have no part in the result, and why."""
        notes = []
        reasons = [each.user_attrs[FAILURE] for each in self.trials if FAILURE in each.user_attrs]
        if reasons:
            commonest = shorten(on_one_line(max(reasons, key=reasons.count)), MAX_REASON)
            notes.append(
                f"{len(reasons)} of {len(self.trials)} trials failed;"
                f" the commonest reason: {commonest}"
            )
        if self.foreign:
            numbers = name_some([*map(str, self.foreign)], MAX_NAMED)
            notes.append(f"another client asked or ended trial {numbers}: left out of every result")
        return tuple(notes)


def judge_study(
    plan: Plan, searched: Searched, settings: ServiceSettings, notes: tuple[str, ...] = ()
) -> StudyResult:
    """Refit the best trial, and say how good it is and how sure that is.

    Args:
        plan: What was searched.
        searched: What the search gave.
        settings: Where ledger and tracking are.
        notes: What a person should know of the ledger, one line each.
    """
    definition = plan.definition
    dataset = plan.dataset
    metric = definition.study.metric
    best = searched.best
    params = plan.space.replay(best.params)
    recipe, own_params = plan.recipe.choose(params)
    judged = fit_final_model(
        recipe, own_params, dataset, definition, plan.objective.metrics, plan.costs
    )
    refit = definition.selection.refit
    shipped = refit_on_all(judged.pipeline, dataset) if refit == "all" else judged.pipeline
    choice = decide(plan, params)
    decision = Decision() if choice is None else choice.decision
    return StudyResult(
        study=definition.name,
        metric=metric,
        storage=hide_password(settings.storage),
        tracking_uri=hide_password(settings.tracking_uri),
        n_trials=count_states(searched.trials),
        n_new_trials=searched.n_new_trials,
        n_wanted=definition.study.n_trials,
        n_missing=searched.n_missing,
        ended=searched.ended,
        best=BestTrial(
            number=best.number,
            value=mean_score(best, metric),
            std=mean_and_std(fold_scores(best)[metric])[1],
            params=params,
            rule=definition.selection.rule,
            chosen=best.params,
            converged=judged.converged and has_converged(best),
        ),
        estimates=_estimate(plan, searched, judged.pipeline, params, choice),
        judged=judged,
        refit=refit,
        decision=decision,
        model=decision.wrap(take_raw_rows(shipped, dataset)),
        columns=dataset.columns.kinds(),
        trusted_types=recipe.trusted_types if dataset.columns.as_read else (),
        notes=(*plan.notes, *notes, *searched.notes),
        search_seconds=searched.seconds,
        open_study=partial(open_for_reading, settings.storage, definition.name),
    )


def _estimate(
    plan: Plan,
    searched: Searched,
    pipeline: Pipeline,
    params: Params,
    choice: DecisionChoice | None,
) -> Estimates:
    """Estimate how good the fitted model is, and what it gains over the defaults."""
    study, dataset = plan.definition.study, plan.dataset
    recipe, own_params = plan.recipe.choose(params)
    baseline = score_baseline(plan, searched.trials, params)
    n_splits = plan.definition.cv.n_splits
    splits = plan.task.split(dataset, plan.definition.cv, study.seed)
    of_folds = fold_scores(searched.best)[study.metric]
    folds = compare_folds(plan, splits, of_folds, baseline)
    defaults = plan.space.of(params).default_params()
    models = predict_holdout(
        recipe,
        pipeline,
        None if baseline.value is None else defaults,
        dataset,
        study.metric,
        plan.costs,
    )
    score, gain, constant = judge_holdout(
        recipe, models, dataset, study.metric, seed=study.seed, folds=folds
    )
    return Estimates(
        n_ties=count_ties(searched.trials, recipe=plan.recipe, n_splits=n_splits),
        baseline_value=baseline.value,
        baseline_trial=baseline.trial,
        contest=compare_estimators(searched.trials, recipe=plan.recipe, n_splits=n_splits),
        n_holdout_rows=len(dataset.y_test),
        holdout_score=score,
        gain=Estimate(0.0, 0.0, 0.0) if own_params == defaults else gain,
        constant=constant,
        n_unconverged=sum(
            trial.state.name == "COMPLETE" and not has_converged(trial) for trial in searched.trials
        ),
        nested=searched.nested,
        defaults_title=recipe.defaults_title,
        over_time=score_over_time(
            plan.dataset,
            splits,
            of_folds,
            score,
        ),
        **judge_answers(plan, recipe, pipeline, models, choice),
    )
