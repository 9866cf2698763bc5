"""What all executors have in common: a trial's folds are handed out, and one that is lost with its worker is handed out again."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.cross_validation import Fold, FoldResult
from hpo.errors import HpoError


class FoldExecutor(ABC):
    """Scores the folds of params.

    Attributes:
        n_useful_trials: So many open trials keep it busy.
        losses: What the future of a fold raises that is lost with its worker.
        folds: What ``hold`` was given.
        metrics: The names of the scorers.
        n_lost: How often workers were lost since the last result.
        lost_since: When they were first, on the clock of ``time.monotonic``.
    """

    n_useful_trials = 1
    losses: tuple[type[BaseException], ...] = ()
    folds: list[Fold]
    metrics: tuple[str, ...]
    n_lost = 0
    lost_since: float | None = None

    def hold(self, folds: Sequence[Fold], metrics: Sequence[str]) -> None:
        """Take the prepared folds and the scorer names; comes before the first ``start``."""
        self.folds, self.metrics = list(folds), tuple(metrics)

    def start(self, params: Mapping[str, Any]) -> "Scoring":
        """Begin to score all folds; results are asked for one by one, in order."""
        return Scoring(self, dict(params))

    @abstractmethod
    def submit(self, params: Mapping[str, Any], index: int) -> Any:
        """Hand out one fold; gives a future."""

    def recover(self) -> bool:
        """After a loss: whether folds can be handed out again.

        Raises:
            HpoError: They keep being lost.
        """
        return True

    def count_loss(self, limit: int, workers: str, *, hint: str) -> None:
        """Count that workers ended, which they may do so often in a row.

        Raises:
            HpoError: It was once more.
        """
        self.n_lost += 1
        if self.n_lost > limit:
            raise HpoError(f"{workers} ended {self.n_lost} times in a row without a result", hint=hint)

    @abstractmethod
    def close(self) -> None:
        """End what was started."""


class Scoring:
    """A trial whose folds are being scored."""

    def __init__(self, executor: FoldExecutor, params: dict[str, Any]) -> None:
        self._executor = executor
        self._params = params
        self._futures = [executor.submit(params, index) for index in range(len(executor.folds))]

    def result(self, index: int, timeout: float) -> FoldResult | None:
        """A fold's result, or None while it is not there after so many seconds."""
        executor = self._executor
        try:
            result: FoldResult = self._futures[index].result(timeout)
        except TimeoutError:
            return None
        except executor.losses:
            executor.lost_since = executor.lost_since or time.monotonic()
            if executor.recover():
                self._futures[index] = executor.submit(self._params, index)
            else:
                time.sleep(timeout)
            return None
        executor.n_lost, executor.lost_since = 0, None
        return result
