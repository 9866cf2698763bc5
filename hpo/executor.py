"""Where folds are scored: in this process, or on processes that hold the prepared folds already.

Whichever it is, the results are the same to the last bit and are taken in the order of the folds, so the number of workers is
only a matter of time. What travels to a worker is a trial's params and a fold's index, and back its scores.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import joblib
import loky
from threadpoolctl import threadpool_limits

from hpo.child import serve_driver
from hpo.cluster import DaskExecutor
from hpo.cross_validation import Fold, FoldResult, score_fold
from hpo.errors import HpoError

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

LARGE_CELLS = 1_000_000
"""Above so many values in the training rows, fits are known to be worth workers before the first one was timed."""


class Scoring(Protocol):
    """A trial whose folds are being scored."""

    def result(self, index: int, timeout: float) -> FoldResult | None:
        """A fold's result, or None while it is not there after so many seconds."""


class FoldExecutor(Protocol):
    """Scores the folds of params; ``close`` ends what it started.

    Attributes:
        n_useful_trials: So many open trials keep it busy.
    """

    n_useful_trials: int

    def hold(self, folds: Sequence[Fold], metrics: Sequence[str]) -> None:
        """Take the prepared folds and the scorer names; comes before the first ``start``."""

    def start(self, params: Mapping[str, Any]) -> Scoring:
        """Begin to score; results are asked for one by one, in order."""

    def close(self) -> None:
        """End what was started."""


class LocalExecutor:
    """Scores in this process, each fold when it is asked for."""

    n_useful_trials = 1

    def hold(self, folds: Sequence[Fold], metrics: Sequence[str]) -> None:
        """They are here already."""
        self.folds = folds
        self.metrics = metrics

    def start(self, params: Mapping[str, Any]) -> Scoring:
        """Nothing is computed yet."""
        return _LocalScoring(self, params)

    def close(self) -> None:
        """Nothing was started."""


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
    n_workers = workers if isinstance(workers, int) else loky.cpu_count() if n_cells > LARGE_CELLS else 1
    return PoolExecutor(n_workers) if n_workers > 1 else LocalExecutor()


class _LocalScoring:
    def __init__(self, executor: LocalExecutor, params: Mapping[str, Any]) -> None:
        self._executor = executor
        self._params = params

    def result(self, index: int, timeout: float) -> FoldResult | None:  # noqa: ARG002
        return score_fold(self._params, self._executor.folds[index], self._executor.metrics)


class PoolExecutor:
    """Scores on processes of this machine, which map the prepared folds from one file.

    They start at once and import what they need while the folds are prepared. A process that dies is replaced and what it had is
    scored again. The processes are not forked, leave signals to the driver and end with it.

    Args:
        n_workers: How many processes.
    """

    def __init__(self, n_workers: int) -> None:
        self.n_folds = 0
        self.n_useful_trials = 1
        self._n_workers = n_workers
        self._directory = tempfile.TemporaryDirectory(prefix="hpo-folds-")
        self._path = ""
        self._n_held = 0
        self._metrics: tuple[str, ...] = ()
        self._n_broken = 0
        self._pool = self._make_pool()

    def hold(self, folds: Sequence[Fold], metrics: Sequence[str]) -> None:
        """Write the folds, once, to a temporary file that the workers map."""
        # A name of its own: workers know by it which folds they have mapped.
        self._n_held += 1
        self._path = str(Path(self._directory.name, f"folds-{self._n_held}.joblib"))
        joblib.dump(list(folds), self._path)
        self.n_folds, self._metrics = len(folds), tuple(metrics)
        self.n_useful_trials = 1 + math.ceil(self._n_workers / len(folds))

    def start(self, params: Mapping[str, Any]) -> Scoring:
        """Hand all folds to the workers."""
        return _PoolScoring(self, dict(params))

    def submit(self, params: Mapping[str, Any], index: int) -> Future[FoldResult]:
        """Hand one fold to the workers.

        Raises:
            HpoError: Workers keep dying.
        """
        while True:
            try:
                future: Future[FoldResult] = self._pool.submit(_score_held, self._path, self._metrics, params, index)
            except BrokenProcessPool:
                self._replace_pool()
            else:
                return future

    def note_alive(self) -> None:
        """A result came: the workers do not die of what they are given."""
        self._n_broken = 0

    def close(self) -> None:
        """End the workers at once and remove the folds' file."""
        self._pool.shutdown(wait=True, kill_workers=True)
        self._directory.cleanup()

    def _make_pool(self) -> loky.ProcessPoolExecutor:
        pool = loky.ProcessPoolExecutor(self._n_workers, initializer=_make_ready, initargs=(os.getpid(),), env=_WORKER_ENVIRONMENT)
        pool.submit(os.getpid)  # the processes start with the first call
        return pool

    def _replace_pool(self) -> None:
        self._n_broken += 1
        if self._n_broken > MAX_BROKEN_POOLS:
            raise HpoError(
                f"worker processes ended {self._n_broken} times in a row without a result",
                hint="they may run out of memory: use fewer --workers",
            )
        self._pool.shutdown(wait=False, kill_workers=True)
        self._pool = self._make_pool()


class _PoolScoring:
    """The futures of one trial; a fold whose worker died is handed out again."""

    def __init__(self, executor: PoolExecutor, params: dict[str, Any]) -> None:
        self._executor = executor
        self._params = params
        self._futures = [executor.submit(params, index) for index in range(executor.n_folds)]

    def result(self, index: int, timeout: float) -> FoldResult | None:
        try:
            result = self._futures[index].result(timeout)
        except FutureTimeoutError:
            return None
        except BrokenProcessPool:
            self._futures[index] = self._executor.submit(self._params, index)
            return None
        self._executor.note_alive()
        return result


def _make_ready(driver_pid: int) -> None:
    """Make a worker leave signals to the driver, end with it, and fit with one thread."""
    serve_driver(driver_pid)
    threadpool_limits(1)


@lru_cache(maxsize=1)
def _map_folds(path: str) -> list[Fold]:
    folds: list[Fold] = joblib.load(path, mmap_mode="r")
    return folds


def _score_held(path: str, metrics: Sequence[str], params: Mapping[str, Any], index: int) -> FoldResult:
    """In a worker: score on folds that it mapped when it was first asked."""
    return score_fold(params, _map_folds(path)[index], metrics)
