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
from hpo.estimators.final_model import FinalModel, fit_final_model, refit_on_all
from hpo.estimators.recipe import Recipe
from hpo.ledger.ledger import Ledger
from hpo.ledger.storage import never, open_for_reading
from hpo.ledger.trials import fold_scores, mean_and_std, mean_score, milliseconds
from hpo.progress import Progress
from hpo.results.holdout import judge_holdout
from hpo.results.intervals import Estimate
from hpo.results.result import NestedScore, StudyResult
from hpo.results.selection import count_states, count_ties, select_best
from hpo.results.texts import describe_best, describe_search, make_notes, note_failures
from hpo.search.driver import Driver, make_executor
from hpo.search.loop import Search
from hpo.search.nested import check_nested, score_nested
from hpo.search.plan import Plan, load_data, make_plan
from hpo.settings import ServiceSettings, hide_password
from hpo.tracking.inline import InlineTracking
from hpo.tracking.process import TrackingProcess
from hpo.tracking.provenance import make_model_record, make_study_record
from hpo.tracking.run_records import RunStatus
from hpo.versions import recorded_versions

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

CLOSING_SECONDS = 2.5
"""How long a run that is stopped, or whose ledger is gone, waits for tracking to catch up."""


def run_study(
    definition: StudyDefinition,
    settings: ServiceSettings | None = None,
    *,
    data: pd.DataFrame | None = None,
    progress: Progress | None = None,
    stop_signal: Callable[[], int | None] = never,
    tracking: TrackingProcess | InlineTracking | None = None,
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
        tracking: A tracking process that was started earlier, to save its start-up time.

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
        follower: TrackingProcess | InlineTracking = tracking or TrackingProcess()
        stack.enter_context(follower)
        dataset = load_data(definition, data)
        check_nested(dataset, definition)
        executor = stack.enter_context(
            closing(make_executor(settings.workers, dataset.X_train.size))
        )
        plan = make_plan(definition, dataset)
        searched_definition = plan.searched_definition
        versions = recorded_versions()
        driver = Driver(settings, versions, executor, progress, stop_signal)
        ledger = stack.enter_context(driver.open(plan))
        text = describe_search(searched_definition, dataset, plan.space)

        def note_best(number: int, value: float) -> None:
            metric = definition.study.metric
            ledger.annotate({None: describe_best(text, metric, number, value)})

        search = Search(driver, plan, ledger, note_best)
        study = make_study_record(
            searched_definition,
            dataset,
            plan.space,
            ledger.uid,
            ledger.study_id,
            versions,
            text,
        )
        follower.open(settings.storage, settings.tracking_uri, study)
        if search.slots.n_told == 0:
            ledger.annotate({None: text})
        with _closing_on_error(follower, ledger, plan.recipe, settings.tracking_wait_seconds):
            searched = _search(plan, driver, ledger, search)
            executor.close()
        result, final = judge_study(plan, searched, settings, ledger.notes)
        if result.refit == "all":
            result = replace(result, model=refit_on_all(final.pipeline, dataset))
        ended = milliseconds(searched.best.datetime_complete)
        record = make_model_record(
            study, ended, result, searched_definition, dataset, plan.recipe, final, settings
        )
        state = follower.finish(
            record, "FINISHED", settings.tracking_wait_seconds, notify=progress.hear
        )
        result = replace(result, **vars(state))
        try:
            ledger.annotate(make_notes(record.description, result, searched.trials, plan.recipe))
        except LedgerError as error:
            progress.note(
                "optuna-dashboard's notes are not up to date,"
                f" the same command writes them: {error}"
            )
        return replace(result, total_seconds=time.perf_counter() - started)


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
) -> tuple[StudyResult, FinalModel]:
    """Refit the best trial, and say how good it is and how sure that is.

    Args:
        plan: What was searched.
        searched: What the search gave.
        settings: Where ledger and tracking are.
        notes: What a person should know of the ledger, one line each.
    """
    definition = plan.definition
    dataset = plan.dataset
    trials = searched.trials
    best = searched.best
    metric = definition.study.metric
    params = plan.space.replay(best.params)
    final = fit_final_model(plan.recipe, params, dataset, definition, plan.objective.metrics)
    baseline = plan.baseline_value(trials)
    defaults = plan.space.default_params()
    score, gain = judge_holdout(
        plan.recipe,
        final.pipeline,
        None if baseline is None else defaults,
        dataset,
        metric,
        seed=definition.study.seed,
    )
    result = StudyResult(
        study=definition.name,
        metric=metric,
        storage=hide_password(settings.storage),
        tracking_uri=hide_password(settings.tracking_uri),
        n_trials=count_states(trials),
        n_new_trials=searched.n_new_trials,
        n_ties=count_ties(trials, recipe=plan.recipe, n_splits=definition.cv.n_splits),
        baseline_value=baseline,
        rule=definition.selection.rule,
        refit=definition.selection.refit,
        best_number=best.number,
        best_value=mean_score(best, metric),
        best_std=mean_and_std(fold_scores(best)[metric])[1],
        best_params=params,
        holdout=final.holdout,
        n_holdout_rows=len(dataset.y_test),
        holdout_score=score,
        gain=Estimate(0.0, 0.0, 0.0) if params == defaults else gain,
        nested=searched.nested,
        search_seconds=searched.seconds,
        columns=dataset.columns.kinds(),
        notes=(*plan.notes, *notes),
        model=final.pipeline,
        open_study=partial(open_for_reading, settings.storage, definition.name),
    )
    return result, final


@contextmanager
def _closing_on_error(
    follower: TrackingProcess | InlineTracking, ledger: Ledger, recipe: Recipe, wait_seconds: float
) -> Iterator[None]:
    """Write what is finished and close the parent run before an error leaves.

    Where the run failed, the failed trials' dashboard notes say why.
    """
    try:
        yield
    except (HpoError, KeyboardInterrupt) as error:
        is_stopped = isinstance(error, InterruptedBySignal | KeyboardInterrupt)
        status: RunStatus = "KILLED" if is_stopped else "FAILED"
        is_hurried = is_stopped or isinstance(error, LedgerError)
        with suppress(HpoError):
            if not is_hurried:
                ledger.annotate(note_failures(ledger.trials(), recipe))
        follower.finish(
            None, status, CLOSING_SECONDS if is_hurried else wait_seconds, is_hurried=is_hurried
        )
        raise
