"""The search loop: slots are asked, scored step by step and told, until a rule says stop."""

import math
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing

import loky

from hpo.errors import HpoError, InterruptedBySignal
from hpo.estimators.objective import StepResult
from hpo.estimators.tasks import takes_rows_as_read
from hpo.ledger.ledger import Ledger
from hpo.search.driver import Driver
from hpo.search.executor import Executor, LocalExecutor, Scoring
from hpo.search.plan import Plan
from hpo.search.pool_executor import PoolExecutor
from hpo.search.slots import Slot, Slots

POLL_SECONDS = 0.2
"""How long a signal waits while folds are scored on other processes."""

WORTH_SECONDS = 10.0
"""Seconds that the rest of a search must take before "auto" starts workers."""

CHEAP_SECONDS = 0.25
"""A trial that takes less gains nothing from workers: handing it over costs as much."""

START_SECONDS = 2.0
"""About how long workers take to start; a trial that takes longer waits for them."""

OpenSlots = deque[tuple[Slot, Scoring | None]]
"""Slots that are open, the oldest first; one without a scoring was over before its first step."""


def are_workers_worth_starting(trial_seconds: float, n_trials: int) -> bool:
    """Whether workers save time on so many trials, each of which takes so long in this process."""
    return trial_seconds > CHEAP_SECONDS and n_trials * trial_seconds > WORTH_SECONDS


class Search:
    """One run of a study's search.

    Args:
        driver: Where folds are scored, who is told, who may stop it.
        plan: What is searched.
        ledger: Where slots are kept.
        on_best: Is given number and value of the highest trial so far, first with the run's first
            trial, then with each higher one.

    Attributes:
        slots: Hands slots out and takes their results.
    """

    def __init__(
        self,
        driver: Driver,
        plan: Plan,
        ledger: Ledger,
        on_best: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        self.slots = Slots(ledger, plan.definition, plan.space)
        self._driver = driver
        self._objective = plan.objective
        self._on_best = on_best
        self._study = plan.definition.study
        self._may_stop = plan.definition.pruner.kind != "none"
        self._progress = driver.progress
        self._executor = driver.executor
        self._is_holding = False
        self._may_take_workers = (
            driver.settings.workers == "auto"
            and isinstance(driver.executor, LocalExecutor)
            and loky.cpu_count() > 1
        )
        self._pool: PoolExecutor | None = None
        # What runs beside this process makes no trial longer; an estimator of one's own may wait.
        takes_rows = takes_rows_as_read(plan.definition)
        self._clock = time.perf_counter if takes_rows else time.process_time
        self._n_before = self.slots.n_told
        self._best: tuple[int, float] | None = None
        self._deadline = time.monotonic() + (self._study.timeout_seconds or math.inf)

    @property
    def n_new_trials(self) -> int:
        """How many trials this run has finished."""
        return self.slots.n_told - self._n_before

    def run(self) -> bool:
        """Fill the study up to its total, unless a stop rule, the timeout or a signal ends it.

        The timeout ends between fits too, but not before one trial is finished: else a study whose
        trials are longer than the timeout would never get on. What is open then stays RUNNING in
        the ledger, and the next run takes it up.

        Returns:
            False where it was the timeout.

        Raises:
            InterruptedBySignal: ``stop_signal`` gave a number.
            TooManyFailuresError: More failed than ``max_failed`` allows.
        """
        self._progress.begin(self.slots.told(), self._study.n_trials, self._objective.n_steps)
        open_slots: OpenSlots = deque()
        started = self._clock()
        with ExitStack() as stack:
            while self._fill(open_slots):
                slot, scoring = open_slots.popleft()
                if not self._finish(slot, scoring):
                    return False
                trial_seconds = (self._clock() - started) / self.n_new_trials
                n_left = self._study.n_trials - self.slots.n_told
                try:
                    self._take_workers(stack, trial_seconds, n_left, n_left - len(open_slots))
                except HpoError as error:
                    self._may_take_workers = False
                    self._progress.note(f"going on without workers: {error}")
        is_full = self.slots.n_told >= self._study.n_trials
        return is_full or time.monotonic() < self._deadline

    def _fill(self, open_slots: OpenSlots) -> bool:
        """Open slots up to the concurrency; whether one is open.

        More are opened where that feeds the executor and changes no slot.
        """
        while not self._is_over() and (
            len(open_slots) < self._study.concurrency
            or (len(open_slots) < self._executor.n_useful_trials and self.slots.can_look_ahead())
        ):
            slot = self.slots.next_slot(self._study.n_trials)
            if slot is None:
                break
            open_slots.append((slot, self._start(slot)))
        return bool(open_slots) and not self._is_over()

    def _start(self, slot: Slot) -> Scoring | None:
        """Begin to score a slot; None where it was over before its first step."""
        if slot.failure is not None or slot.result is not None:
            return None
        if not self._is_holding:
            self._use(self._executor)
        return self._executor.start(slot.params, may_stop=self._may_stop)

    def _use(self, executor: Executor) -> None:
        """Score here from now on."""
        executor.hold(self._objective)
        self._executor = executor
        self._is_holding = True

    def _finish(self, slot: Slot, scoring: Scoring | None) -> bool:
        """Take a slot's results in the order of its steps and tell them.

        Returns:
            False where time is over before the last step.
        """
        if scoring is None:
            self._tell(slot, [StepResult(failure=slot.failure)] if slot.failure else [])
            return True
        n_steps = self._objective.n_steps
        results: list[StepResult] = []
        is_pruned = False
        while len(results) < n_steps and not is_pruned and not (results and results[-1].failure):
            if self._is_over():
                return False
            result = scoring.result(len(results), POLL_SECONDS)
            if result is None:
                continue
            results.append(result)
            self._progress.fold_scored(slot.number, len(results))
            if result.failure is None and len(results) < n_steps:
                is_pruned = self.slots.should_prune(slot, results)
        scoring.cancel()
        self._tell(slot, results, is_pruned=is_pruned)
        return True

    def _tell(self, slot: Slot, results: list[StepResult], *, is_pruned: bool = False) -> None:
        state, value = self.slots.tell(slot, results, is_pruned=is_pruned)
        self._progress.trial_told(slot.number, state.name, value)
        best = self.slots.best
        if best is not None and best != self._best:
            self._best = best
            self._on_best(*best)

    def _is_over(self) -> bool:
        if (number := self._driver.stop_signal()) is not None:
            raise InterruptedBySignal(
                number,
                f"stopped by {signal.Signals(number).name}"
                f" with {self.slots.n_told} of {self._study.n_trials} trials done",
            )
        return time.monotonic() >= self._deadline and self.n_new_trials > 0

    def _take_workers(
        self, stack: ExitStack, trial_seconds: float, n_left: int, n_unopened: int
    ) -> None:
        """Start workers once they would save time on the rest, and score there once they are ready.

        A clock may decide this, since it changes no result.

        Args:
            stack: Ends them.
            trial_seconds: The mean time of a trial so far.
            n_left: Trials that are not told.
            n_unopened: Those among them that nobody has begun.

        Raises:
            HpoError: There is no room for their folds.
        """
        if not self._may_take_workers:
            return
        if self._pool is None and are_workers_worth_starting(trial_seconds, n_left):
            self._pool = stack.enter_context(closing(PoolExecutor(loky.cpu_count())))
        if self._pool is None or n_unopened <= 0:
            return
        # This process goes on while they import what they need.
        if self._pool.is_ready or trial_seconds > START_SECONDS:
            self._use(self._pool)
            self._may_take_workers = False
