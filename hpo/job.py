"""The composition root: ``run_study`` wires the stages, for the command, for notebooks and for programs.

Data and definition are checked first, then the ledger is opened, the search runs with tracking beside it, and the best trial
becomes the final model. Running it again does what is missing and nothing else.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
from threadpoolctl import threadpool_limits

from hpo.definition import StudyDefinition
from hpo.errors import HpoError, InterruptedBySignal, LedgerError
from hpo.executor import LocalExecutor
from hpo.final_model import FinalModel, fit_final_model, refit_on_all
from hpo.holdout import judge_holdout
from hpo.intervals import Estimate
from hpo.nested import check_nested, score_nested
from hpo.notes import describe_search, make_notes
from hpo.problem import Problem, load_data, prepare_problem
from hpo.progress import Progress
from hpo.provenance import make_model_record, make_study_record
from hpo.report import StudyResult
from hpo.search import Driver, Search, baseline_value, default_params, make_executor
from hpo.search_space import replay
from hpo.selection import count_states, count_ties, fold_scores, mean_and_std, mean_score, milliseconds, select_best
from hpo.settings import ServiceSettings, hide_password
from hpo.storage import never, open_for_reading
from hpo.tracking.process import TrackingProcess
from hpo.tracking.records import RunStatus
from hpo.versions import recorded_versions

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

CLOSING_SECONDS = 3.0
"""How long a run that is stopped, or whose ledger is gone, waits for tracking; what hangs then is left to the next run."""


def run_study(
    definition: StudyDefinition,
    settings: ServiceSettings | None = None,
    *,
    data: pd.DataFrame | None = None,
    progress: Progress | None = None,
    stop_signal: Callable[[], int | None] = never,
    tracking: TrackingProcess | None = None,
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
        follower = stack.enter_context(tracking or TrackingProcess())
        dataset = load_data(definition, data)
        check_nested(dataset, definition)
        executor = stack.enter_context(closing(make_executor(settings.workers, dataset.X_train.size)))
        problem = prepare_problem(definition, dataset)
        definition = problem.definition
        versions = recorded_versions()

        driver = Driver(
            settings.storage,
            versions,
            executor,
            progress=progress,
            stop_signal=stop_signal,
            read_notes=follower.read_notes,
            waits=settings.wait,
            may_start_workers=settings.workers == "auto" and isinstance(executor, LocalExecutor),
        )
        ledger = stack.enter_context(driver.open(problem))
        search = describe_search(definition, dataset)
        study = make_study_record(definition, dataset, ledger.uid, ledger.study_id, versions, search)
        follower.open(settings.storage, settings.tracking_uri, study)
        if ledger.n_told == 0:
            ledger.annotate({None: search})
        n_before, search_started = ledger.n_told, time.monotonic()
        with _closing_on_error(follower, settings.tracking_wait_seconds):
            Search(driver, problem, ledger).run()
            search_seconds = time.monotonic() - search_started
            trials = ledger.trials()
            best = select_best(trials, definition.selection.rule, n_splits=definition.cv.n_splits)
            n_trials = max(definition.study.n_trials, ledger.n_told)
            deadline = search_started + (definition.study.timeout_seconds or math.inf)
            nested, n_new_nested = score_nested(problem, driver, n_trials=n_trials, deadline=deadline)
            executor.close()
        params = problem.derive(replay(definition.search_space, best.params))
        final = fit_final_model(params, dataset, definition, problem.metrics)
        result = StudyResult(
            study=definition.name,
            storage=hide_password(settings.storage),
            tracking_uri=hide_password(settings.tracking_uri),
            n_new_trials=ledger.n_told - n_before + n_new_nested,
            nested=nested,
            search_seconds=search_seconds,
            notes=(*problem.notes, *ledger.notes),
            open_study=partial(open_for_reading, settings.storage, definition.name),
            **judge_study(problem, trials, best, params, final),
        )
        shipped = refit_on_all(final, dataset) if result.refit == "all" else final
        record = make_model_record(ledger.uid, milliseconds(best.datetime_complete), result, problem, final, shipped, settings)
        state = follower.finish(record, "FINISHED", settings.tracking_wait_seconds, notify=progress.hear)
        result = replace(result, **vars(state), model=shipped.pipeline)
        try:
            ledger.annotate(make_notes(record.description, result, trials))
        except LedgerError as error:
            progress.note(f"optuna-dashboard's notes are not up to date, the same command writes them: {error}")
        return replace(result, total_seconds=time.perf_counter() - started)


def judge_study(
    problem: Problem, trials: Sequence["FrozenTrial"], best: "FrozenTrial", params: dict[str, Any], final: FinalModel
) -> dict[str, Any]:
    """The fields of the result that say which trial was chosen, how good it is and how sure that is."""
    study, dataset = problem.definition.study, problem.dataset
    baseline, defaults = baseline_value(problem, trials), default_params(problem)
    score, gain = judge_holdout(final.pipeline, defaults if baseline is not None else None, dataset, study.metric, seed=study.seed)
    return {
        "metric": study.metric,
        "n_trials": count_states(trials),
        "n_ties": count_ties(trials, n_splits=problem.definition.cv.n_splits),
        "baseline_value": baseline,
        "rule": problem.definition.selection.rule,
        "refit": problem.definition.selection.refit,
        "best_number": best.number,
        "best_value": mean_score(best, study.metric),
        "best_std": mean_and_std(fold_scores(best)[study.metric])[1],
        "best_params": params,
        "holdout": final.holdout,
        "n_holdout_rows": len(dataset.y_test),
        "holdout_score": score,
        "gain": Estimate(0.0, 0.0, 0.0) if params == defaults else gain,
        "columns": dataset.columns.kinds(),
        "model": final.pipeline,
    }


@contextmanager
def _closing_on_error(follower: TrackingProcess, wait_seconds: float) -> Iterator[None]:
    """Write what is finished and close the parent run before an error leaves."""
    try:
        yield
    except HpoError as error:
        status: RunStatus = "KILLED" if isinstance(error, InterruptedBySignal) else "FAILED"
        is_hurried = isinstance(error, InterruptedBySignal | LedgerError)
        follower.finish(None, status, CLOSING_SECONDS if is_hurried else wait_seconds, is_hurried=is_hurried)
        raise
