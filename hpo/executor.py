"""Where folds are scored: in this process, or on processes that hold the prepared folds already.

Whichever it is, the results are the same to the last bit and are taken in the order of the folds, so the number of workers is
only a matter of time. What travels to a worker is a trial's params and a fold's index, and back its scores.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

import joblib
import loky
from threadpoolctl import threadpool_limits

from hpo.child import serve_driver
from hpo.cross_validation import Fold, FoldResult, score_fold
from hpo.errors import HpoError

MAX_BROKEN_POOLS = 5
"""So often in a row workers may die before the run ends: it is then the fold that kills them."""


class Scoring(Protocol):
    """A trial whose folds are being scored."""

    def result(self, index: int, timeout: float) -> FoldResult | None:
        """A fold's result, or None while it is not there after so many seconds."""


class FailedScoring:
    """A trial that fails before its first fit."""

    def __init__(self, failure: str) -> None:
        self._failure = failure

    def result(self, index: int, timeout: float) -> FoldResult | None:  # noqa: ARG002
        """The reason, at once."""
        return FoldResult(failure=self._failure)


class FoldExecutor(Protocol):
    """Scores the folds of params; ``close`` ends what it started."""

    def start(self, params: Mapping[str, Any]) -> Scoring:
        """Begin to score; results are asked for one by one, in order."""

    def close(self) -> None:
        """End what was started."""


class LocalExecutor:
    """Scores in this process, each fold when it is asked for."""

    def __init__(self, folds: Sequence[Fold], metrics: Sequence[str]) -> None:
        self.folds = folds
        self.metrics = metrics

    def start(self, params: Mapping[str, Any]) -> Scoring:
        """Nothing is computed yet."""
        return _LocalScoring(self, params)

    def close(self) -> None:
        """Nothing was started."""


class _LocalScoring:
    def __init__(self, executor: LocalExecutor, params: Mapping[str, Any]) -> None:
        self._executor = executor
        self._params = params

    def result(self, index: int, timeout: float) -> FoldResult | None:  # noqa: ARG002
        return score_fold(self._params, self._executor.folds[index], self._executor.metrics)


class PoolExecutor:
    """Scores on processes of this machine, which map the prepared folds from one file.

    A process that dies is replaced and what it had is scored again. The processes are not forked, leave signals to the driver
    and end with it.

    Args:
        folds: Prepared folds; written once to a temporary directory.
        metrics: Scorer names.
        n_workers: How many processes.
    """

    def __init__(self, folds: Sequence[Fold], metrics: Sequence[str], n_workers: int) -> None:
        self.n_folds = len(folds)
        self._n_workers = n_workers
        self._directory = tempfile.TemporaryDirectory(prefix="hpo-folds-")
        path = Path(self._directory.name, "folds.joblib")
        joblib.dump(list(folds), path)
        self._arguments = (str(path), tuple(metrics), os.getpid())
        self._pool = self._make_pool()
        self._n_broken = 0

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
                future: Future[FoldResult] = self._pool.submit(_score_resident, params, index)
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
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        return loky.ProcessPoolExecutor(self._n_workers, initializer=_hold_folds, initargs=self._arguments, env=threads)

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


_resident: LocalExecutor | None = None
"""In a worker: the folds that it holds."""


def _hold_folds(path: str, metrics: tuple[str, ...], driver_pid: int) -> None:
    """Make a worker ready: map the folds, leave signals to the driver, end with it."""
    global _resident  # noqa: PLW0603 - a worker process holds one table, for its whole life
    serve_driver(driver_pid)
    threadpool_limits(1)
    _resident = LocalExecutor(joblib.load(path, mmap_mode="r"), metrics)


def _score_resident(params: Mapping[str, Any], index: int) -> FoldResult:
    assert _resident is not None
    return score_fold(params, _resident.folds[index], _resident.metrics)
