"""The composition root: ``run_study`` wires the rooms, for the command, notebooks and programs.

Definition and data are checked first, then the ledger is opened, the search runs with tracking
beside it, and the best trial becomes the final model. Running it again does what is missing and
nothing else.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from hpo.definition import StudyDefinition
from hpo.errors import (
    HpoError,
    InterruptedBySignal,
    LedgerError,
    LedgerGoneError,
    StudyLockedError,
)
from hpo.estimators.candidates import Candidates
from hpo.estimators.own import bring_estimator
from hpo.ledger.failures import never
from hpo.ledger.identity import keep_rule
from hpo.ledger.ledger import Ledger
from hpo.ledger.trials import is_foreign, milliseconds, without_foreign
from hpo.progress import Progress
from hpo.results.result import StudyResult
from hpo.results.selection import select_best
from hpo.results.texts import (
    describe_best,
    describe_search,
    make_dashboard_notes,
    make_failure_dashboard_notes,
)
from hpo.results.tracking_state import TrackingState
from hpo.search.driver import Driver, make_executor
from hpo.search.loop import Search
from hpo.search.nested import check_nested, score_nested
from hpo.search.outcome import Searched, judge_study
from hpo.search.plan import Plan, load_data, make_plan
from hpo.settings import ServiceSettings, digest_of_place
from hpo.sqlite import remove_logs
from hpo.tracking.interface import CLOSING_SECONDS, Tracking
from hpo.tracking.process import TrackingProcess
from hpo.tracking.provenance import make_final_record, make_study_record
from hpo.tracking.run_records import FinalRecord, RunStatus
from hpo.versions import recorded_versions


def run_study(
    definition: StudyDefinition,
    settings: ServiceSettings | None = None,
    *,
    data: pd.DataFrame | None = None,
    progress: Progress | None = None,
    stop_signal: Callable[[], int | None] = never,
    tracking: Tracking | None = None,
    estimator: Any = None,
    space: Mapping[str, Any] | None = None,
    trusted_types: Sequence[str | type] = (),
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
        estimator: An object with scikit-learn's interface to search in the place of one that the
            definition names; it gets the table as it is.
        space: Its params, by ``set_params`` name: each a :class:`hpo.Range` or a list of choices.
        trusted_types: Types that its saved model may hold beside those that skops trusts.

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
    definition = bring_estimator(definition, estimator, space, trusted_types)
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))
        stack.callback(remove_logs, settings.sqlite_files())
        follower = stack.enter_context(tracking or TrackingProcess())
        dataset = load_data(definition, data)
        check_nested(dataset, definition)
        executor = make_executor(
            settings.workers, dataset.X_train.size, stop_signal, definition.limits
        )
        stack.enter_context(closing(executor))
        definition = keep_rule(definition, settings.storage, stop_signal, progress.note)
        plan = make_plan(definition, dataset)
        driver = Driver(settings, recorded_versions(), executor, progress, stop_signal)
        ledger = stack.enter_context(driver.open(plan))
        text = describe_search(plan.searched_definition, dataset, plan.space)
        search = Search(driver, plan, ledger, partial(_note_best, ledger, plan, text))
        study = make_study_record(
            plan.searched_definition,
            dataset,
            plan.space,
            ledger.settle(digest_of_place(settings.storage), makes_uid=settings.new_uid),
            ledger.study_id,
            driver.versions,
            settings.storage,
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
        chosen, _ = plan.recipe.choose(result.best.params)
        final = make_final_record(
            study, ended, result, plan.searched_definition, dataset, chosen, settings
        )
        state = _finish(follower, final, settings.tracking_wait_seconds, stop_signal)
        description = final.conclusion.description
        notes = make_dashboard_notes(
            description, result, state, searched.trials, plan.recipe, searched.foreign
        )
        _annotate(ledger, notes, progress)
        return replace(result, tracking=state, total_seconds=time.perf_counter() - started)


def _finish(
    follower: Tracking,
    final: FinalRecord,
    wait_seconds: float,
    stop_signal: Callable[[], int | None],
) -> TrackingState:
    """Have everything written; a signal that comes before it is ends the run."""
    state = follower.finish(final, "FINISHED", wait_seconds, stop_signal=stop_signal)
    number = stop_signal()
    if number is not None and state.tracking_problem is not None:
        raise InterruptedBySignal(
            number, f"stopped before MLflow had everything: {state.tracking_problem}"
        )
    return state


def _annotate(ledger: Ledger, notes: Mapping[int | None, str], progress: Progress) -> None:
    """Write the dashboard notes; a ledger that fails now takes nothing from the result."""
    try:
        ledger.annotate(notes)
    except LedgerGoneError:
        raise
    except LedgerError as error:
        progress.note(
            f"optuna-dashboard's notes are not up to date, the same command writes them: {error}"
        )


def _note_best(ledger: Ledger, plan: Plan, text: str, number: int, value: float) -> None:
    metric = plan.definition.study.metric
    ledger.annotate({None: describe_best(text, metric, number, value)})


def _search(plan: Plan, driver: Driver, ledger: Ledger, search: Search) -> Searched:
    """Fill the study, choose its best trial, repeat the search on outer folds where asked for."""
    definition = plan.definition
    started = time.monotonic()
    is_in_time = search.run()
    seconds = time.monotonic() - started
    everything = ledger.trials()
    trials = without_foreign(everything)
    best = select_best(
        trials, definition.selection.rule, recipe=plan.recipe, n_splits=definition.cv.n_splits
    )
    n_trials = max(definition.study.n_trials, search.slots.n_told)
    deadline = started + (definition.study.timeout_seconds or math.inf)
    nested, n_new_nested = score_nested(plan, driver, n_trials=n_trials, deadline=deadline)
    n_missing = max(0, definition.study.n_trials - search.slots.n_told)
    return Searched(
        trials,
        best,
        nested,
        search.n_new_trials + n_new_nested,
        seconds,
        ended="finished" if not n_missing else "patience" if is_in_time else "timeout",
        n_missing=n_missing,
        foreign=tuple(trial.number for trial in everything if is_foreign(trial)),
    )


@contextmanager
def _closing_on_error(
    follower: Tracking, ledger: Ledger, recipe: Candidates, wait_seconds: float
) -> Iterator[None]:
    """Write what is finished and close the parent run before an error leaves.

    Where the run failed, the failed trials' dashboard notes say why.
    """
    try:
        yield
    except (HpoError, KeyboardInterrupt) as error:
        is_stopped = isinstance(error, InterruptedBySignal | KeyboardInterrupt)
        is_hurried = is_stopped or isinstance(error, LedgerError | StudyLockedError)
        status: RunStatus = "KILLED" if is_stopped else "FAILED"
        with suppress(HpoError):
            if not is_hurried:
                ledger.annotate(make_failure_dashboard_notes(ledger.trials(), recipe))
        seconds = CLOSING_SECONDS if is_hurried else wait_seconds
        follower.finish(None, status, seconds, is_hurried=is_hurried)
        raise
