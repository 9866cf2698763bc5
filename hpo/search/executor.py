"""The interface of where trials are scored, and the plainest of them: this process.

Whichever it is, the results are the same to the last bit and are taken in the order of the steps,
so the number of workers is only a matter of time. A step that is lost with its worker is handed out
again. What travels to a worker is a trial's params and a step's index, and back its scores.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from hpo.errors import HpoError
from hpo.estimators.objective import Objective, StepResult


class Executor(ABC):
    """Scores params on the steps of an objective.

    Attributes:
        n_useful_trials: So many open trials keep it busy.
        n_workers: So many steps are scored at once.
        losses: What the future of a step raises that is lost with its worker.
        objective: What ``hold`` was given.
        n_lost: How often workers were lost since the last result.
        lost_since: When they were first, on the clock of ``time.monotonic``.
    """

    n_useful_trials = 1
    n_workers = 1
    losses: tuple[type[BaseException], ...] = ()
    n_lost = 0
    lost_since: float | None = None

    def hold(self, objective: Objective) -> None:
        """Take the objective; comes before the first ``start``."""
        self.objective = objective

    def start(self, params: Mapping[str, Any], *, may_stop: bool = False) -> "Scoring":
        """Begin to score all steps; results are asked for one by one, in order.

        Args:
            params: Complete ones.
            may_stop: Whether the last steps may not be wanted: no more are handed out at once than
                are scored at once.
        """
        n_ahead = self.n_workers if may_stop else self.n_steps
        return Scoring(self, dict(params), n_ahead)

    @abstractmethod
    def submit(self, params: Mapping[str, Any], step: int) -> Any:
        """Hand out one step; gives a future."""

    def cancel(self, futures: Sequence[Any]) -> None:  # noqa: B027 - not every executor can
        """Leave out those steps of a trial that is over that nobody has begun."""

    @property
    def n_steps(self) -> int:
        """Steps of a trial."""
        return self.objective.n_steps

    def evaluate(self, params: Mapping[str, Any], step: int) -> StepResult:
        """Score one step of the objective and wait for it."""
        result: StepResult = self.submit(params, step).result(None)
        return result

    def recover(self) -> bool:
        """After a loss: whether steps can be handed out again.

        Raises:
            HpoError: They keep being lost.
        """
        return True

    def count_loss(self, limit: int, workers: str, *, hint: str) -> None:
        """Count that workers ended without a result.

        Raises:
            HpoError: They did so more than ``limit`` times in a row.
        """
        self.n_lost += 1
        if self.n_lost > limit:
            raise HpoError(
                f"{workers} ended {self.n_lost} times in a row without a result", hint=hint
            )

    def close(self) -> None:  # noqa: B027 - not every executor starts something
        """End what was started."""


class Scoring:
    """A trial whose steps are being scored."""

    def __init__(self, executor: Executor, params: dict[str, Any], n_ahead: int) -> None:
        self._executor = executor
        self._params = params
        self._n_ahead = n_ahead
        self._futures: list[Any] = []
        self._hand_out(n_ahead)

    def result(self, step: int, timeout: float) -> StepResult | None:
        """A step's result, or None while it is not there after so many seconds."""
        executor = self._executor
        try:
            self._hand_out(step + self._n_ahead)
            result: StepResult = self._futures[step].result(timeout)
        except TimeoutError:
            return None
        except executor.losses:
            executor.lost_since = executor.lost_since or time.monotonic()
            if executor.recover():
                self._futures[step] = executor.submit(self._params, step)
            else:
                time.sleep(timeout)
            return None
        executor.n_lost = 0
        executor.lost_since = None
        return result

    def cancel(self) -> None:
        """Give up the steps that nobody has begun: the trial is over."""
        self._executor.cancel(self._futures)

    def _hand_out(self, end: int) -> None:
        """Hand out the steps before ``end`` that are not."""
        n_steps = self._executor.n_steps
        for step in range(len(self._futures), min(end, n_steps)):
            self._futures.append(self._executor.submit(self._params, step))


class LocalExecutor(Executor):
    """Scores in this process, each step when it is asked for."""

    def submit(self, params: Mapping[str, Any], step: int) -> SimpleNamespace:
        """Make a future whose result is computed when it is asked for."""
        return SimpleNamespace(result=lambda _: self.objective.evaluate(params, step))
