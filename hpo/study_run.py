"""The composition root: ``run_study`` wires the rooms, for the command, notebooks and programs.

Definition and data are checked first, then the ledger is opened, the search runs with tracking
beside it, and the best trial becomes the final model. Running it again does what is missing and
nothing else.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from threadpoolctl import threadpool_limits

from hpo.definition import StudyDefinition
from hpo.errors import HpoError, InterruptedBySignal, LedgerError
from hpo.estimators.final_model import fit_final_model, refit_on_all
from hpo.estimators.recipe import Params, Recipe
from hpo.ledger.ledger import Ledger
from hpo.ledger.storage import never, open_for_reading
from hpo.ledger.trials import fold_scores, mean_and_std, mean_score, milliseconds
from hpo.progress import Progress
from hpo.results.estimates import BestTrial, Estimates, NestedScore
from hpo.results.holdout import judge_holdout
from hpo.results.intervals import Estimate
from hpo.results.result import StudyResult
from hpo.results.selection import count_states, count_ties, select_best
from hpo.results.texts import (
    describe_best,
    describe_search,
    make_dashboard_notes,
    make_failure_dashboard_notes,
)
from hpo.search.driver import Driver, make_executor
from hpo.search.loop import Search
from hpo.search.nested import check_nested, score_nested
from hpo.search.plan import Plan, load_data, make_plan
from hpo.settings import ServiceSettings, hide_password
from hpo.tracking.interface import Tracking
from hpo.tracking.process import TrackingProcess
from hpo.tracking.provenance import make_final_record, make_study_record
from hpo.tracking.run_records import RunStatus
from hpo.versions import recorded_versions

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from sklearn.pipeline import Pipeline

CLOSING_SECONDS = 2.5
"""How long a run that is stopped, or whose ledger is gone, waits for tracking to catch up."""


def run_study(
    definition: StudyDefinition,
    settings: ServiceSettings | None = None,
    *,
    data: pd.DataFrame | None = None,
    progress: Progress | None = None,
    stop_signal: Callable[[], int | None] = never,
    tracking: Tracking | None = None,
) -> StudyResult:
    """Search, record, refit, log: the whole job, or what is missing of it.

    Args:
        definition: What is searched and judged.
        settings: Where ledger and tracking are; by default SQLite files in the working directory.
        data: A table of shape (n_samples, n_columns) to search instead of ``data.source``, target
            included; its content is part of the study's identity, as a file's is.
        progress: Is told of every trial.
        stop_signal: Gives the number of a signal that asked the run to stop, or None; asked between
            fits.
        tracking: How the run is tracked: by default a process, started here. One that was started
            earlier saves its start-up time; ``InlineTracking()`` tracks in this process.

    Returns:
        The values of the report and the fitted model.

    Raises:
        InputError: Definition, data or settings cannot work; nothing was written.
        HpoError: See ``hpo.errors`` for the other ends.
    """
    started = time.perf_counter()
    settings = settings or ServiceSettings()
    progress = progress or Progress()
    definition = definition if data is None else definition.for_frame()
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))
        follower = stack.enter_context(tracking or TrackingProcess())
        dataset = load_data(definition, data)
        check_nested(dataset, definition)
        executor = make_executor(settings.workers, dataset.X_train.size)
        stack.enter_context(closing(executor))
        plan = make_plan(definition, dataset)
        driver = Driver(settings, recorded_versions(), executor, progress, stop_signal)
        ledger = stack.enter_context(driver.open(plan))
        text = describe_search(plan.searched_definition, dataset, plan.space)
        search = Search(driver, plan, ledger, partial(_note_best, ledger, plan, text))
        study = make_study_record(
            plan.searched_definition,
            dataset,
            plan.space,
            ledger.uid,
            ledger.study_id,
            driver.versions,
            text,
        )
        follower.open(settings.storage, settings.tracking_uri, study, progress.hear)
        if search.slots.n_told == 0:
            ledger.annotate({None: text})
        with _closing_on_error(follower, ledger, plan.recipe, settings.tracking_wait_seconds):
            searched = _search(plan, driver, ledger, search)
            executor.close()
        result = judge_study(plan, searched, settings, ledger.notes)
        ended = milliseconds(searched.best.datetime_complete)
        final = make_final_record(
            study, ended, result, plan.searched_definition, dataset, plan.recipe, settings
        )
        state = follower.finish(final, "FINISHED", settings.tracking_wait_seconds)
        description = final.conclusion.description
        notes = make_dashboard_notes(description, result, state, searched.trials, plan.recipe)
        try:
            ledger.annotate(notes)
        except LedgerError as error:
            progress.note(
                "optuna-dashboard's notes are not up to date,"
                f" the same command writes them: {error}"
            )
        return replace(result, tracking=state, total_seconds=time.perf_counter() - started)


@dataclass(frozen=True)
class Searched:
    """The outcome of a search.

    Attributes:
        trials: All, by number.
        best: The one that was chosen.
        nested: The score of search and refit on outer folds, or None.
        n_new_trials: How many were added, those of outer folds too.
        seconds: The time of the search alone.
    """

    trials: list["FrozenTrial"]
    best: "FrozenTrial"
    nested: NestedScore | None = None
    n_new_trials: int = 0
    seconds: float = 0.0


def _note_best(ledger: Ledger, plan: Plan, text: str, number: int, value: float) -> None:
    metric = plan.definition.study.metric
    ledger.annotate({None: describe_best(text, metric, number, value)})


def _search(plan: Plan, driver: Driver, ledger: Ledger, search: Search) -> Searched:
    """Fill the study, choose its best trial, repeat the search on outer folds where asked for."""
    definition = plan.definition
    started = time.monotonic()
    search.run()
    seconds = time.monotonic() - started
    trials = ledger.trials()
    best = select_best(
        trials, definition.selection.rule, recipe=plan.recipe, n_splits=definition.cv.n_splits
    )
    n_trials = max(definition.study.n_trials, search.slots.n_told)
    deadline = started + (definition.study.timeout_seconds or math.inf)
    nested, n_new_nested = score_nested(plan, driver, n_trials=n_trials, deadline=deadline)
    return Searched(trials, best, nested, search.n_new_trials + n_new_nested, seconds)


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
    judged = fit_final_model(plan.recipe, params, dataset, definition, plan.objective.metrics)
    refit = definition.selection.refit
    return StudyResult(
        study=definition.name,
        metric=metric,
        storage=hide_password(settings.storage),
        tracking_uri=hide_password(settings.tracking_uri),
        n_trials=count_states(searched.trials),
        n_new_trials=searched.n_new_trials,
        best=BestTrial(
            number=best.number,
            value=mean_score(best, metric),
            std=mean_and_std(fold_scores(best)[metric])[1],
            params=params,
            rule=definition.selection.rule,
        ),
        estimates=_estimate(plan, searched, judged.pipeline, params),
        judged=judged,
        refit=refit,
        model=refit_on_all(judged.pipeline, dataset) if refit == "all" else judged.pipeline,
        columns=dataset.columns.kinds(),
        notes=(*plan.notes, *notes),
        search_seconds=searched.seconds,
        open_study=partial(open_for_reading, settings.storage, definition.name),
    )


def _estimate(plan: Plan, searched: Searched, pipeline: "Pipeline", params: Params) -> Estimates:
    """Estimate how good the fitted model is, and what it gains over the defaults."""
    study = plan.definition.study
    baseline = plan.baseline_value(searched.trials)
    defaults = plan.space.default_params()
    score, gain = judge_holdout(
        plan.recipe,
        pipeline,
        None if baseline is None else defaults,
        plan.dataset,
        study.metric,
        seed=study.seed,
    )
    n_splits = plan.definition.cv.n_splits
    return Estimates(
        n_ties=count_ties(searched.trials, recipe=plan.recipe, n_splits=n_splits),
        baseline_value=baseline,
        n_holdout_rows=len(plan.dataset.y_test),
        holdout_score=score,
        gain=Estimate(0.0, 0.0, 0.0) if params == defaults else gain,
        nested=searched.nested,
    )


@contextmanager
def _closing_on_error(
    follower: Tracking, ledger: Ledger, recipe: Recipe, wait_seconds: float
) -> Iterator[None]:
    """Write what is finished and close the parent run before an error leaves.

    Where the run failed, the failed trials' dashboard notes say why.
    """
    try:
        yield
    except (HpoError, KeyboardInterrupt) as error:
        is_stopped = isinstance(error, InterruptedBySignal | KeyboardInterrupt)
        is_hurried = is_stopped or isinstance(error, LedgerError)
        status: RunStatus = "KILLED" if is_stopped else "FAILED"
        with suppress(HpoError):
            if not is_hurried:
                ledger.annotate(make_failure_dashboard_notes(ledger.trials(), recipe))
        seconds = CLOSING_SECONDS if is_hurried else wait_seconds
        follower.finish(None, status, seconds, is_hurried=is_hurried)
        raise
