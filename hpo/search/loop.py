"""The loop between ledger and executor: slots are asked, their folds scored, their results told, until a rule says stop."""

import math
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import loky

from hpo.errors import InterruptedBySignal, StudyLockedError
from hpo.estimators.cross_validation import FoldResult, score_fold
from hpo.estimators.space import DEFAULT_PARAMS, baseline, replay
from hpo.ledger.ledger import Ledger, Slot, open_ledger
from hpo.ledger.storage import never
from hpo.progress import Progress
from hpo.results.selection import mean_and_std
from hpo.search.dask_executor import DaskExecutor
from hpo.search.executor import FoldExecutor, LocalExecutor, PoolExecutor, Scoring
from hpo.search.plan import Problem
from hpo.settings import ServiceSettings

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

POLL_SECONDS = 0.2
"""How long a signal waits while folds are scored on other processes."""

WORTH_SECONDS = 10.0
"""What the rest of a search must take in this process before "auto" starts workers, which takes some seconds itself."""

CHEAP_SECONDS = 0.25
"""A trial that takes less in this process would take no less on workers: what is handed to and fro costs as much."""

LARGE_CELLS = 1_000_000
"""Above so many values in the training rows, fits are known to be worth workers before the first one was timed."""


def make_executor(workers: int | str, n_cells: int) -> FoldExecutor:
    """The executor that a run starts with.

    Args:
        workers: Processes, 1 for this one, "auto" for one a core where the table is large, or a Dask scheduler's address.
        n_cells: Values in the training rows.

    Raises:
        SettingsError: The Dask cluster cannot be used.
    """
    if isinstance(workers, str) and workers != "auto":
        return DaskExecutor(workers)
    n_workers = (
        workers if isinstance(workers, int) else loky.cpu_count() if n_cells > LARGE_CELLS else 1
    )
    return PoolExecutor(n_workers) if n_workers > 1 else LocalExecutor()


@dataclass(frozen=True)
class Driver:
    """What all searches of one run share: one, or with ``nested`` several, each a study of its own.

    Attributes:
        settings: Where the ledger is, whether to wait while another driver has a study, and whether workers may be started.
        versions: Package name to version, kept with each study.
        executor: Where folds are scored; closed by the caller.
        progress: Is told of folds and trials.
        stop_signal: The number of a signal that asked to stop, or None; looked at between fits.
    """

    settings: ServiceSettings
    versions: Mapping[str, str]
    executor: FoldExecutor
    progress: Progress = field(default_factory=Progress)
    stop_signal: Callable[[], int | None] = never

    def open(self, problem: Problem) -> AbstractContextManager[Ledger]:
        """The problem's study, made or resumed, locked for the length of the ``with`` block.

        Raises:
            StudyLockedError: Another driver has it.
            IdentityError: It was begun with another definition or other data.
            LedgerError: The storage cannot be opened.
        """
        said: set[str] = set()

        def wait(error: StudyLockedError) -> bool:
            if self.settings.wait and str(error) not in said:
                said.add(str(error))
                self.progress.note(f"waiting: {error}")
            if (number := self.stop_signal()) is not None:
                raise InterruptedBySignal(number, "stopped before the search began")
            return self.settings.wait

        return open_ledger(
            self.settings.storage,
            problem.definition,
            problem.dataset.digest,
            self.versions,
            problem.derive,
            stop_signal=self.stop_signal,
            wait=wait,
        )


class Search:
    """One run of a study's search.

    Args:
        driver: Where folds are scored, who is told, who may stop it.
        problem: What is searched.
        ledger: Where slots come from and results go.
        on_best: Is given number and value of the highest trial so far, first with the run's first trial, then with each higher one.
    """

    def __init__(
        self,
        driver: Driver,
        problem: Problem,
        ledger: Ledger,
        on_best: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        self._driver = driver
        self._problem = problem
        self._ledger = ledger
        self._on_best = on_best
        self._study = problem.definition.study
        self._progress = driver.progress
        self._executor = driver.executor
        self._is_holding = False
        self._n_before = ledger.n_told
        self._best: tuple[int, float] | None = None
        self._deadline = time.monotonic() + (self._study.timeout_seconds or math.inf)

    def run(self) -> bool:
        """Fill the study up to its total, unless a stop rule, the timeout or a signal ends it; false where it was the timeout.

        The timeout ends between fits too, but not before one trial is finished: else a study whose trials are longer than the
        timeout would never get on. What is open then stays RUNNING in the ledger, and the next run takes it up.

        Raises:
            InterruptedBySignal: ``stop_signal`` gave a number.
            TooManyFailuresError: More failed than ``max_failed`` allows.
        """
        self._progress.begin(self._ledger.told(), self._study.n_trials, len(self._problem.folds))
        open_slots: deque[tuple[Slot, Scoring | None]] = deque()
        with ExitStack() as stack:
            while self._fill(open_slots):
                slot, scoring = open_slots.popleft()
                started = time.perf_counter()
                if not self._finish(slot, scoring):
                    return False
                may_start_workers = self._driver.settings.workers == "auto" and isinstance(
                    self._executor, LocalExecutor
                )
                if (
                    may_start_workers
                    and not open_slots
                    and self._is_long(time.perf_counter() - started)
                ):
                    self._executor = stack.enter_context(closing(PoolExecutor(loky.cpu_count())))
                    self._executor.hold(self._problem.folds, self._problem.metrics)
        return self._ledger.n_told >= self._study.n_trials or time.monotonic() < self._deadline

    def _fill(self, open_slots: deque[tuple[Slot, Scoring | None]]) -> bool:
        """Open slots up to the concurrency, and beyond where that feeds the executor and changes nothing; whether one is open."""
        while not self._is_over() and (
            len(open_slots) < self._study.concurrency
            or (len(open_slots) < self._executor.n_useful_trials and self._ledger.can_look_ahead())
        ):
            slot = self._ledger.next_slot(self._study.n_trials)
            if slot is None:
                break
            open_slots.append((slot, self._start(slot)))
        return bool(open_slots) and not self._is_over()

    def _start(self, slot: Slot) -> Scoring | None:
        """Begin to score a slot; None where it has failed before its first fit."""
        if slot.failure is not None:
            return None
        if not self._is_holding:
            self._executor.hold(self._problem.folds, self._problem.metrics)
            self._is_holding = True
        return self._executor.start(slot.params)

    def _finish(self, slot: Slot, scoring: Scoring | None) -> bool:
        """Take a slot's results in the order of its folds and tell them; False where time is over before the last."""
        n_folds = len(self._problem.folds)
        results = [] if scoring is not None else [FoldResult(failure=slot.failure)]
        is_pruned = False
        while (
            scoring is not None
            and len(results) < n_folds
            and not is_pruned
            and not (results and results[-1].failure)
        ):
            if self._is_over():
                return False
            result = scoring.result(len(results), POLL_SECONDS)
            if result is None:
                continue
            results.append(result)
            self._progress.fold_scored(slot.number, len(results))
            is_pruned = (
                result.failure is None
                and len(results) < n_folds
                and self._ledger.should_prune(slot, results)
            )
        state, value = self._ledger.tell(slot, results, is_pruned=is_pruned)
        self._progress.trial_told(slot.number, state.name, value)
        if self._ledger.best is not None and self._ledger.best != self._best:
            self._best = self._ledger.best
            self._on_best(*self._best)
        return True

    def _is_over(self) -> bool:
        if (number := self._driver.stop_signal()) is not None:
            raise InterruptedBySignal(
                number,
                f"stopped by {signal.Signals(number).name} with {self._ledger.n_told} of {self._study.n_trials} trials done",
            )
        return time.monotonic() >= self._deadline and self._ledger.n_told > self._n_before

    def _is_long(self, trial_seconds: float) -> bool:
        """Whether workers would save time on the rest; a clock may decide this, since it changes no result."""
        n_left = self._study.n_trials - self._ledger.n_told
        return (
            loky.cpu_count() > 1
            and trial_seconds > CHEAP_SECONDS
            and n_left * trial_seconds > WORTH_SECONDS
        )


def default_params(problem: Problem) -> dict[str, Any]:
    """Complete params of scikit-learn's defaults, as trial 0 has them where the space holds them."""
    space = problem.definition.search_space
    defaults = baseline(space)
    return problem.derive(DEFAULT_PARAMS if defaults is None else replay(space, defaults))


def baseline_value(problem: Problem, trials: Sequence["FrozenTrial"]) -> float | None:
    """The mean CV score of scikit-learn's defaults: trial 0's, or scored beside the study where the space does not hold them."""
    defaults = baseline(problem.definition.search_space)
    if defaults is not None and defaults.items() <= trials[0].params.items():
        return trials[0].value
    results = [score_fold(default_params(problem), fold, problem.metrics) for fold in problem.folds]
    if any(result.failure is not None for result in results):
        return None
    return mean_and_std([result.scores[problem.definition.study.metric] for result in results])[0]
