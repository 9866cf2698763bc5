"""The composition root: ``run_study`` wires the stages, for the command, for notebooks and for programs.

Data and definition are checked first, then the ledger is opened, the search runs with tracking beside it, and the best trial
becomes the final model. Running it again does what is missing and nothing else.
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
from hpo.estimators.space import replay
from hpo.ledger.ledger import Ledger
from hpo.ledger.storage import never, open_for_reading
from hpo.progress import Progress
from hpo.results.estimates import BestTrial, Estimates, NestedScore
from hpo.results.holdout import judge_holdout
from hpo.results.intervals import Estimate
from hpo.results.result import StudyResult
from hpo.results.selection import (
    count_states,
    count_ties,
    fold_scores,
    mean_and_std,
    mean_score,
    milliseconds,
    select_best,
)
from hpo.results.texts import (
    describe_best,
    describe_search,
    make_dashboard_notes,
    make_failure_dashboard_notes,
)
from hpo.search.loop import Driver, Search, baseline_value, default_params, make_executor
from hpo.search.nested import check_nested, score_nested
from hpo.search.plan import Problem, load_data, prepare_problem
from hpo.settings import ServiceSettings, hide_password
from hpo.tracking.interface import Tracking
from hpo.tracking.process import TrackingProcess
from hpo.tracking.provenance import make_final_record, make_study_record
from hpo.tracking.run_records import RunStatus
from hpo.versions import recorded_versions

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

CLOSING_SECONDS = 2.5
"""How long a run that is stopped, or whose ledger is gone, waits for tracking; what hangs then is left to the next run."""


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
        data: A table of shape (n_samples, n_columns) in the place of ``data.source``, target included; what it holds is a part of
            the study's identity, as with a file.
        progress: Is told of every trial.
        stop_signal: The number of a signal that asked the run to stop, or None; looked at between fits.
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
        follower: Tracking = tracking or TrackingProcess()
        stack.enter_context(follower)
        dataset = load_data(definition, data)
        check_nested(dataset, definition)
        executor = stack.enter_context(
            closing(make_executor(settings.workers, dataset.X_train.size))
        )
        problem = prepare_problem(definition, dataset)
        versions = recorded_versions()
        driver = Driver(settings, versions, executor, progress, stop_signal)
        ledger = stack.enter_context(driver.open(problem))
        text = describe_search(problem.definition, dataset)
        study = make_study_record(
            problem.definition, dataset, ledger.uid, ledger.study_id, versions, text
        )
        follower.open(settings.storage, settings.tracking_uri, study, progress.hear)
        if ledger.n_told == 0:
            ledger.annotate({None: text})
        with _closing_on_error(follower, ledger, settings.tracking_wait_seconds):
            searched = _search(problem, driver, ledger, text)
            executor.close()
        result = judge_study(problem, searched, settings, ledger.notes)
        ended = milliseconds(searched.best.datetime_complete)
        final = make_final_record(study, ended, result, problem.definition, dataset, settings)
        state = follower.finish(final, "FINISHED", settings.tracking_wait_seconds)
        description = final.conclusion.description
        try:
            ledger.annotate(make_dashboard_notes(description, result, state, searched.trials))
        except LedgerError as error:
            progress.note(
                f"optuna-dashboard's notes are not up to date, the same command writes them: {error}"
            )
        return replace(result, tracking=state, total_seconds=time.perf_counter() - started)


@dataclass(frozen=True)
class Searched:
    """What a search gave.

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


def _search(problem: Problem, driver: Driver, ledger: Ledger, text: str) -> Searched:
    """Fill the study, choose its best trial, and repeat the search on outer folds where that is asked for."""
    definition, n_before, started = problem.definition, ledger.n_told, time.monotonic()

    def note_best(number: int, value: float) -> None:
        ledger.annotate({None: describe_best(text, definition.study.metric, number, value)})

    Search(driver, problem, ledger, note_best).run()
    seconds = time.monotonic() - started
    trials, n_new = ledger.trials(), ledger.n_told - n_before
    best = select_best(trials, definition.selection.rule, n_splits=definition.cv.n_splits)
    n_trials = max(definition.study.n_trials, ledger.n_told)
    deadline = started + (definition.study.timeout_seconds or math.inf)
    nested, n_new_nested = score_nested(problem, driver, n_trials=n_trials, deadline=deadline)
    return Searched(trials, best, nested, n_new + n_new_nested, seconds)


def judge_study(
    problem: Problem, searched: Searched, settings: ServiceSettings, notes: tuple[str, ...] = ()
) -> StudyResult:
    """Refit the best trial, and say how good it is and how sure that is.

    Args:
        problem: What was searched.
        searched: What the search gave.
        settings: Where ledger and tracking are.
        notes: What a person should know of the ledger, one line each.
    """
    definition, dataset, trials, best = (
        problem.definition,
        problem.dataset,
        searched.trials,
        searched.best,
    )
    metric = definition.study.metric
    params = problem.derive(replay(definition.search_space, best.params))
    judged = fit_final_model(params, dataset, definition, problem.metrics)
    baseline, defaults = baseline_value(problem, trials), default_params(problem)
    score, gain = judge_holdout(
        judged.pipeline,
        None if baseline is None else defaults,
        dataset,
        metric,
        seed=definition.study.seed,
    )
    refit = definition.selection.refit
    return StudyResult(
        study=definition.name,
        metric=metric,
        storage=hide_password(settings.storage),
        tracking_uri=hide_password(settings.tracking_uri),
        n_trials=count_states(trials),
        n_new_trials=searched.n_new_trials,
        best=BestTrial(
            number=best.number,
            value=mean_score(best, metric),
            std=mean_and_std(fold_scores(best)[metric])[1],
            params=params,
            rule=definition.selection.rule,
        ),
        estimates=Estimates(
            n_ties=count_ties(trials, n_splits=definition.cv.n_splits),
            baseline_value=baseline,
            n_holdout_rows=len(dataset.y_test),
            holdout_score=score,
            gain=Estimate(0.0, 0.0, 0.0) if params == defaults else gain,
            nested=searched.nested,
        ),
        judged=judged,
        refit=refit,
        model=refit_on_all(judged.pipeline, dataset) if refit == "all" else judged.pipeline,
        columns=dataset.columns.kinds(),
        notes=(*problem.notes, *notes),
        search_seconds=searched.seconds,
        open_study=partial(open_for_reading, settings.storage, definition.name),
    )


@contextmanager
def _closing_on_error(follower: Tracking, ledger: Ledger, wait_seconds: float) -> Iterator[None]:
    """Write what is finished and close the parent run before an error leaves; a run that fails says why its trials did."""
    try:
        yield
    except (HpoError, KeyboardInterrupt) as error:
        is_stopped = isinstance(error, InterruptedBySignal | KeyboardInterrupt)
        status: RunStatus = "KILLED" if is_stopped else "FAILED"
        is_hurried = is_stopped or isinstance(error, LedgerError)
        with suppress(HpoError):
            if not is_hurried:
                ledger.annotate(make_failure_dashboard_notes(ledger.trials()))
        follower.finish(
            None, status, CLOSING_SECONDS if is_hurried else wait_seconds, is_hurried=is_hurried
        )
        raise
