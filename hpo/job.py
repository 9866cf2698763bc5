"""The composition root: ``run_study`` wires the stages, for the command, for notebooks and for programs.

Data and definition are checked first, then the ledger is opened, the search runs with tracking beside it, and the best trial
becomes the final model. Running it again does what is missing and nothing else.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from threadpoolctl import threadpool_limits

from hpo.cross_validation import Fold, FoldResult, check_metrics, prepare_folds, resolve_metrics, score_fold
from hpo.data import Dataset, load_dataset
from hpo.definition import StudyDefinition
from hpo.errors import HpoError, InterruptedBySignal
from hpo.estimator import check_solvers, derive_params
from hpo.final_model import fit_final_model
from hpo.provenance import make_model_record, make_study_record, recorded_versions
from hpo.report import StudyResult
from hpo.search_space import DEFAULT_PARAMS, baseline, replay
from hpo.selection import count_states, count_ties, end_time_ms, fold_scores, mean_and_std, mean_score, select_best
from hpo.settings import ServiceSettings, hide_password
from hpo.study import Ledger, Slot, no_completed_trial, open_ledger
from hpo.tracking.process import TrackingProcess
from hpo.tracking.records import RunStatus

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

CLOSING_SECONDS = 3.0
"""How long a run that ends in an error or a signal waits for tracking."""


class Progress(Protocol):
    """What a run tells while it goes on."""

    def begin(self, n_told: int, n_trials: int) -> None:
        """The search starts with so many trials finished, of so many in all."""

    def trial_told(self, number: int, state: str, value: float | None) -> None:
        """A trial is finished."""


class SilentProgress:
    """Tells nobody."""

    def begin(self, n_told: int, n_trials: int) -> None:
        """Do nothing."""

    def trial_told(self, number: int, state: str, value: float | None) -> None:
        """Do nothing."""


def never() -> int | None:
    """No signal has asked the run to stop."""
    return None


@dataclass(frozen=True)
class Problem:
    """A definition and its data, ready to be searched.

    Attributes:
        definition: What is searched.
        dataset: The rows.
        folds: Prepared once.
        metrics: Scorer names of every trial, the judged one first.
    """

    definition: StudyDefinition
    dataset: Dataset
    folds: list[Fold]
    metrics: tuple[str, ...]

    def derive(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Complete a trial's params by the fixed rule."""
        n_samples, n_features = self.dataset.X_train.shape
        n_classes, seed = len(self.dataset.classes), self.definition.study.seed
        return derive_params(params, n_samples=n_samples, n_features=n_features, n_classes=n_classes, seed=seed)

    def iter_scores(self, params: Mapping[str, Any]) -> Iterator[FoldResult]:
        """Fold results, in the order of the folds; a failed one is the last."""
        for fold in self.folds:
            result = score_fold(params, fold, self.metrics)
            yield result
            if result.failure is not None:
                return


def run_study(
    definition: StudyDefinition,
    settings: ServiceSettings | None = None,
    *,
    progress: Progress | None = None,
    stop_signal: Callable[[], int | None] = never,
    tracking: TrackingProcess | None = None,
) -> StudyResult:
    """Search, record, refit, log: the whole job, or what is missing of it.

    Args:
        definition: What is searched and judged.
        settings: Where ledger and tracking are; by default SQLite files in the working directory.
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
    progress = progress or SilentProgress()
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))
        follower = stack.enter_context(tracking or TrackingProcess())
        problem = prepare_problem(definition)
        versions = recorded_versions()
        ledger = stack.enter_context(open_ledger(settings.storage, definition, problem.dataset.digest, versions, problem.derive))
        follower.open(settings.storage, settings.tracking_uri, make_study_record(definition, problem.dataset, ledger.uid, versions))
        n_before, search_started = ledger.n_told, time.perf_counter()
        with _closing_on_error(follower):
            search(problem, ledger, progress, stop_signal)
            search_seconds = time.perf_counter() - search_started
            trials = ledger.trials()
            best = select_best(trials)
            if best is None:
                raise no_completed_trial(trials)
        params = problem.derive(replay(definition.search_space, best.params))
        model = fit_final_model(params, problem.dataset, problem.metrics)
        record = make_model_record(ledger.uid, best.number, end_time_ms(best), params, model, settings.register)
        state = follower.finish(record, "FINISHED", settings.tracking_wait_seconds)
        metric = definition.study.metric
        return StudyResult(
            study=definition.name,
            metric=metric,
            storage=hide_password(settings.storage),
            tracking_uri=hide_password(settings.tracking_uri),
            experiment_id=state.experiment_id,
            parent_run_id=state.parent_run_id,
            n_trials=count_states(trials),
            n_new_trials=ledger.n_told - n_before,
            n_ties=count_ties(trials, best),
            baseline_value=baseline_value(problem, trials),
            best_number=best.number,
            best_value=mean_score(best, metric),
            best_std=mean_and_std(fold_scores(best)[metric])[1],
            best_params=params,
            best_run_id=state.run_ids.get(best.number),
            holdout=model.holdout,
            model_uri=state.model_uri,
            n_behind=state.n_behind,
            tracking_problem=state.problem,
            search_seconds=search_seconds,
            total_seconds=time.perf_counter() - started,
            model=model.pipeline,
        )


def prepare_problem(definition: StudyDefinition) -> Problem:
    """Load and check everything that a trial needs; writes nothing.

    Raises:
        DefinitionError: The metric is unknown, or does not fit the classes.
        DataError: The table cannot be used.
    """
    study = definition.study
    metrics = resolve_metrics(study.metric, study.metrics)
    dataset = load_dataset(definition.data, seed=study.seed, n_splits=definition.cv.n_splits)
    check_solvers(definition.search_space, n_classes=len(dataset.classes))
    folds = prepare_folds(dataset, definition.cv, study.seed)
    check_metrics(metrics, folds[0])
    return Problem(definition, dataset, folds, metrics)


def search(problem: Problem, ledger: Ledger, progress: Progress, stop_signal: Callable[[], int | None]) -> None:
    """Fill the study up to its total, unless a stop rule, the timeout or a signal ends it.

    The timeout ends between fits too, but not before one trial is finished: else a study whose trials are longer than the
    timeout would never get on. What is open then stays RUNNING in the ledger, and the next run takes it up.

    Raises:
        InterruptedBySignal: ``stop_signal`` gave a number.
        TooManyFailuresError: More failed than ``max_failed`` allows.
    """
    study = problem.definition.study
    deadline = time.monotonic() + study.timeout_seconds if study.timeout_seconds is not None else float("inf")
    n_before = ledger.n_told
    progress.begin(n_before, study.n_trials)

    def is_over() -> bool:
        signal_number = stop_signal()
        if signal_number is not None:
            raise InterruptedBySignal(
                signal_number,
                f"stopped by {signal.Signals(signal_number).name} with {ledger.n_told} of {study.n_trials} trials done",
                hint="run the same command again to go on",
            )
        return time.monotonic() >= deadline and ledger.n_told > n_before

    open_slots: deque[Slot] = deque()
    while True:
        while len(open_slots) < study.concurrency and not is_over():
            slot = ledger.next_slot(study.n_trials)
            if slot is None:
                break
            open_slots.append(slot)
        if not open_slots:
            return
        slot = open_slots.popleft()
        results = []
        for result in problem.iter_scores(slot.params):
            results.append(result)
            if len(results) < len(problem.folds) and result.failure is None and is_over():
                return
        state, value = ledger.tell(slot, results)
        progress.trial_told(slot.number, state.name, value)
        if is_over():
            return


def baseline_value(problem: Problem, trials: Sequence[FrozenTrial]) -> float | None:
    """The mean CV score of scikit-learn's defaults: trial 0's, or scored beside the study where the space does not hold them."""
    if baseline(problem.definition.search_space) is not None:
        return trials[0].value
    results = list(problem.iter_scores(problem.derive(DEFAULT_PARAMS)))
    if results[-1].failure is not None:
        return None
    return mean_and_std([result.scores[problem.definition.study.metric] for result in results])[0]


@contextmanager
def _closing_on_error(follower: TrackingProcess) -> Iterator[None]:
    """Write what is finished and close the parent run before an error leaves."""
    try:
        yield
    except HpoError as error:
        status: RunStatus = "KILLED" if isinstance(error, InterruptedBySignal) else "FAILED"
        follower.finish(None, status, CLOSING_SECONDS)
        raise
