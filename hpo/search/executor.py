"""Where folds are scored: in this process, or on processes that hold the prepared folds already.

Whichever it is, the results are the same to the last bit and are taken in the order of the folds, so the number of workers is
only a matter of time. A fold that is lost with its worker is handed out again. What travels to a worker is a trial's params and a
fold's index, and back its scores.
"""

import math
import os
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import loky
from threadpoolctl import threadpool_limits

from hpo.child_process import serve_driver
from hpo.errors import HpoError
from hpo.estimators.cross_validation import Fold, FoldResult, score_fold

MAX_BROKEN_POOLS = 5
"""So often in a row workers may die before the run ends: it is then the fold that kills them."""


_WORKER_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc gives arrays of some MB back after each use; asking for them anew took a fifth of a fit on 200,000 rows.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}


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
            raise HpoError(
                f"{workers} ended {self.n_lost} times in a row without a result", hint=hint
            )

    def close(self) -> None:  # noqa: B027 - not every executor starts something
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


class LocalExecutor(FoldExecutor):
    """Scores in this process, each fold when it is asked for."""

    def submit(self, params: Mapping[str, Any], index: int) -> SimpleNamespace:
        """A future whose result is computed when it is asked for."""
        return SimpleNamespace(result=lambda _: score_fold(params, self.folds[index], self.metrics))


class PoolExecutor(FoldExecutor):
    """Scores on processes of this machine, which map the prepared folds from one file.

    They start at once and import what they need while the folds are prepared. A process that dies is replaced and what it had is
    scored again. The processes are not forked, leave signals to the driver and end with it.

    Args:
        n_workers: How many processes.
    """

    losses = (BrokenProcessPool,)

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._directory = tempfile.TemporaryDirectory(prefix="hpo-folds-")
        self._pool = self._make_pool()

    def hold(self, folds: Sequence[Fold], metrics: Sequence[str]) -> None:
        """Write the folds, once, to a temporary file that the workers map."""
        super().hold(folds, metrics)
        # A name of its own: workers know by it which folds they have mapped.
        self._path = str(Path(self._directory.name, f"{uuid.uuid4().hex}.joblib"))
        joblib.dump(self.folds, self._path)
        self.n_useful_trials = 1 + math.ceil(self._n_workers / len(folds))

    def submit(self, params: Mapping[str, Any], index: int) -> Any:
        """Hand one fold to the workers, new ones where the others ended.

        Raises:
            HpoError: Workers keep dying.
        """
        try:
            return self._pool.submit(_score_held, self._path, self.metrics, params, index)
        except BrokenProcessPool:
            self.count_loss(
                MAX_BROKEN_POOLS,
                "worker processes",
                hint="they may run out of memory: use fewer --workers",
            )
            self._pool.shutdown(wait=False, kill_workers=True)
            self._pool = self._make_pool()
            return self.submit(params, index)

    def close(self) -> None:
        """End the workers at once and remove the folds' file."""
        self._pool.shutdown(wait=True, kill_workers=True)
        self._directory.cleanup()

    def _make_pool(self) -> loky.ProcessPoolExecutor:
        pool = loky.ProcessPoolExecutor(
            self._n_workers,
            initializer=_make_ready,
            initargs=(os.getpid(),),
            env=_WORKER_ENVIRONMENT,
        )
        pool.submit(os.getpid)  # the processes start with the first call
        return pool


def _make_ready(driver_pid: int) -> None:
    """Make a worker leave signals to the driver, end with it, and fit with one thread."""
    serve_driver(driver_pid)
    threadpool_limits(1)


_map_folds = lru_cache(maxsize=1)(partial(joblib.load, mmap_mode="r"))
"""In a worker: the folds of a file, which it maps once."""


def _score_held(
    path: str, metrics: Sequence[str], params: Mapping[str, Any], index: int
) -> FoldResult:
    """In a worker: score on folds that it mapped when it was first asked."""
    return score_fold(params, _map_folds(path)[index], metrics)
