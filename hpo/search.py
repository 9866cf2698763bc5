"""The loop between ledger and executor: slots are asked, their folds scored, their results told, until a rule says stop."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Protocol

import loky

from hpo.cross_validation import FoldResult
from hpo.errors import InterruptedBySignal
from hpo.executor import FailedScoring, FoldExecutor, LocalExecutor, PoolExecutor, Scoring
from hpo.problem import Problem
from hpo.search_space import DEFAULT_PARAMS, baseline, replay
from hpo.selection import mean_and_std
from hpo.study import Ledger, Slot

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

POLL_SECONDS = 0.2
"""How long a signal waits while folds are scored on other processes."""

WORTH_SECONDS = 10.0
"""What the rest of a search must take in this process before "auto" starts workers, which takes some seconds itself."""

CHEAP_SECONDS = 0.25
"""A trial that takes less in this process would take no less on workers: what is handed to and fro costs as much."""


class Progress(Protocol):
    """What a run tells while it goes on."""

    def begin(self, told: Sequence[tuple[str, float | None]], n_trials: int, n_folds: int) -> None:
        """A search starts: state and value of each trial that is finished, how many there are to be, folds of each."""

    def fold_scored(self, number: int, n_scored: int) -> None:
        """Of a trial so many folds are scored."""

    def trial_told(self, number: int, state: str, value: float | None) -> None:
        """A trial is finished."""

    def tracked(self, n_written: int) -> None:
        """MLflow has so many trials."""

    def note(self, line: str) -> None:
        """Something that a person should know now."""


class SilentProgress:
    """Tells nobody."""

    def begin(self, told: Sequence[tuple[str, float | None]], n_trials: int, n_folds: int) -> None:
        """Do nothing."""

    def fold_scored(self, number: int, n_scored: int) -> None:
        """Do nothing."""

    def trial_told(self, number: int, state: str, value: float | None) -> None:
        """Do nothing."""

    def tracked(self, n_written: int) -> None:
        """Do nothing."""

    def note(self, line: str) -> None:
        """Do nothing."""


class Search:
    """One run of a study's search.

    Args:
        problem: What is searched.
        ledger: Where slots come from and results go.
        progress: Is told of folds and trials.
        stop_signal: The number of a signal that asked to stop, or None; looked at between fits.
        read_notes: Gives what tracking has to say since it was last asked.
        executor: Where folds are scored; closed by the caller.
        may_start_workers: Whether workers take over where the rest of the search turns out to be long.
    """

    def __init__(
        self,
        problem: Problem,
        ledger: Ledger,
        *,
        progress: Progress,
        stop_signal: Callable[[], int | None],
        read_notes: Callable[[], Sequence[str]] = tuple,
        executor: FoldExecutor,
        may_start_workers: bool,
    ) -> None:
        self._problem = problem
        self._ledger = ledger
        self._study = problem.definition.study
        self._progress = progress
        self._stop_signal = stop_signal
        self._read_notes = read_notes
        self._executor = executor
        self._is_holding = False
        self._may_start_workers = may_start_workers
        self._n_before = ledger.n_told
        timeout = self._study.timeout_seconds
        self._deadline = float("inf") if timeout is None else time.monotonic() + timeout

    def run(self) -> bool:
        """Fill the study up to its total, unless a stop rule, the timeout or a signal ends it; false where it was the timeout.

        The timeout ends between fits too, but not before one trial is finished: else a study whose trials are longer than the
        timeout would never get on. What is open then stays RUNNING in the ledger, and the next run takes it up.

        Raises:
            InterruptedBySignal: ``stop_signal`` gave a number.
            TooManyFailuresError: More failed than ``max_failed`` allows.
        """
        self._progress.begin(self._ledger.told(), self._study.n_trials, len(self._problem.folds))
        open_slots: deque[tuple[Slot, Scoring]] = deque()
        with ExitStack() as stack:
            while self._fill(open_slots):
                slot, scoring = open_slots.popleft()
                started = time.perf_counter()
                if not self._finish(slot, scoring):
                    return False
                if self._may_start_workers and not open_slots and self._is_long(time.perf_counter() - started):
                    self._may_start_workers = False
                    self._executor = stack.enter_context(closing(PoolExecutor(loky.cpu_count())))
                    self._executor.hold(self._problem.folds, self._problem.metrics)
        return self._ledger.n_told >= self._study.n_trials or time.monotonic() < self._deadline

    def _fill(self, open_slots: deque[tuple[Slot, Scoring]]) -> bool:
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

    def _start(self, slot: Slot) -> Scoring:
        if slot.failure is not None:
            return FailedScoring(slot.failure)
        if not self._is_holding:
            self._executor.hold(self._problem.folds, self._problem.metrics)
            self._is_holding = True
        return self._executor.start(slot.params)

    def _finish(self, slot: Slot, scoring: Scoring) -> bool:
        """Take a slot's results in the order of its folds and tell them; False where time is over before the last."""
        n_folds = len(self._problem.folds)
        results: list[FoldResult] = []
        is_pruned = False
        while len(results) < n_folds and not is_pruned and not (results and results[-1].failure):
            if results and self._is_over():
                return False
            for line in self._read_notes():
                self._progress.note(line)
            result = scoring.result(len(results), POLL_SECONDS)
            if result is None:
                if self._is_over():
                    return False
                continue
            results.append(result)
            self._progress.fold_scored(slot.number, len(results))
            is_pruned = result.failure is None and len(results) < n_folds and self._ledger.should_prune(slot, results)
        state, value = self._ledger.tell(slot, results, is_pruned=is_pruned)
        self._progress.trial_told(slot.number, state.name, value)
        return True

    def _is_over(self) -> bool:
        number = self._stop_signal()
        if number is not None:
            raise InterruptedBySignal(
                number,
                f"stopped by {signal.Signals(number).name} with {self._ledger.n_told} of {self._study.n_trials} trials done",
                hint="run the same command again to go on",
            )
        return time.monotonic() >= self._deadline and self._ledger.n_told > self._n_before

    def _is_long(self, trial_seconds: float) -> bool:
        """Whether workers would save time on the rest; a clock may decide this, since it changes no result."""
        n_left = self._study.n_trials - self._ledger.n_told
        return loky.cpu_count() > 1 and trial_seconds > CHEAP_SECONDS and n_left * trial_seconds > WORTH_SECONDS


def default_params(problem: Problem) -> dict[str, Any]:
    """Complete params of scikit-learn's defaults, as trial 0 has them where the space holds them."""
    space = problem.definition.search_space
    defaults = baseline(space)
    return problem.derive(DEFAULT_PARAMS if defaults is None else replay(space, defaults))


def baseline_value(problem: Problem, trials: Sequence[FrozenTrial]) -> float | None:
    """The mean CV score of scikit-learn's defaults: trial 0's, or scored beside the study where the space does not hold them."""
    defaults = baseline(problem.definition.search_space)
    if defaults is not None and defaults.items() <= trials[0].params.items():
        return trials[0].value
    executor = LocalExecutor()
    executor.hold(problem.folds, problem.metrics)
    scoring = executor.start(default_params(problem))
    results = [scoring.result(index, POLL_SECONDS) for index in range(len(problem.folds))]
    if any(result is None or result.failure is not None for result in results):
        return None
    return mean_and_std([result.scores[problem.definition.study.metric] for result in results if result is not None])[0]
