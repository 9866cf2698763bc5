"""A worker: a process of this machine that scores one fold at a time, made anew where it ended.

Its own process is what bounds a fit: one that takes longer or holds more memory than ``[limits]``
allow is ended with it, and so is one that a process ends in again and again. Each worker has a pool
of its own, so nobody else loses a fold by that.
"""

import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from importlib import import_module
from multiprocessing import resource_tracker
from typing import Any

import joblib
import loky
import psutil
from threadpoolctl import threadpool_limits

from hpo.child_process import serve_driver, starting_children
from hpo.definition import LimitsSection
from hpo.errors import HpoError
from hpo.estimators.objective import StepResult

MAX_BROKEN_POOLS = 5
"""Consecutive deaths of a worker tolerated before it has the folds; no fit is to blame for them."""

MAX_DEATHS = 3
"""Deaths of its worker that a fit is allowed, as many as Dask allows a task; then it failed."""

POLL_SECONDS = 0.1
"""How often a fit is held against its limits."""

_WORKER_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc returns arrays of some MB to the system after each use; asking for them anew took a
    # fifth of a fit on 200,000 rows.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    # loky would replace a worker that grew, and the next fit would be charged with its start-up.
    "LOKY_MAX_MEMORY_LEAK_SIZE": str(2**62),
}


class Worker:
    """One process, which starts at once and imports what it needs while the folds are prepared.

    Args:
        limits: Of each fit.
    """

    def __init__(self, limits: LimitsSection) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._is_closed = False
        self._held: str | None = None
        self._pool, self._started = _make_pool()
        self._pid = 0

    @property
    def is_ready(self) -> bool:
        """Whether the process has imported what it needs."""
        return self._started.done() and self._started.exception() is None

    def hold(self, path: str) -> None:
        """Make the process map the objective of a file, in a new process where it ended.

        Raises:
            HpoError: It keeps dying.
        """
        if self._held == path:
            return
        for _ in range(MAX_BROKEN_POOLS + 1):
            try:
                self._pid = self._pool.submit(_hold, path).result()
            except BrokenProcessPool:
                self._renew()
            else:
                self._held = path
                return
        raise HpoError(
            f"worker processes ended {MAX_BROKEN_POOLS + 1} times in a row without a result",
            hint="they may run out of memory: use fewer --workers",
        )

    def evaluate(self, path: str, params: Mapping[str, Any], step: int) -> StepResult:
        """Score params on one step of the objective that it holds, within the limits.

        Raises:
            HpoError: The process keeps dying before it has the objective.
        """
        started = time.time()
        for _ in range(MAX_DEATHS + 1):
            self.hold(path)
            try:
                failure = self._wait(future := self._pool.submit(_evaluate, path, params, step))
            except BrokenProcessPool:
                self._renew()
                continue
            if failure is not None:
                self._renew()
                return StepResult(failure=failure, started=started)
            result: StepResult = future.result()
            return result
        failure = f"its worker process ended {MAX_DEATHS + 1} times: it may have run out of memory"
        return StepResult(failure=failure, started=started)

    def close(self) -> None:
        """End the process at once."""
        with self._lock:
            self._is_closed = True
            self._pool.shutdown(wait=True, kill_workers=True)

    def _wait(self, future: "Future[StepResult]") -> str | None:
        """Wait for a fit; gives the limit that it went beyond, or None where it is over.

        Time is counted in waits: none passes while both processes are stopped (Ctrl-Z).

        Raises:
            BrokenProcessPool: The process ended.
        """
        limits = self._limits
        waits = 0
        while True:
            is_over = True
            try:
                future.result(POLL_SECONDS if limits.are_set else None)
            except TimeoutError:
                is_over = False
                waits += 1
            if limits.fit_seconds is not None and waits * POLL_SECONDS > limits.fit_seconds:
                return f"the fit took longer than limits.fit_seconds = {limits.fit_seconds:g}"
            if limits.fit_memory is not None and own_memory(self._pid) > limits.fit_memory:
                size = limits.fit_memory.human_readable(decimal=True, separator=" ")
                return f"the fit used more than limits.fit_memory = {size}"
            if is_over:
                return None

    def _renew(self) -> None:
        """End the process, if it has not ended, and start another."""
        with self._lock:
            self._held = None
            self._pool.shutdown(wait=True, kill_workers=True)
            if not self._is_closed:
                self._pool, self._started = _make_pool()


def own_memory(pid: int) -> int:
    """Measure the memory that a process holds for itself, in bytes; 0 where it has ended.

    Resident memory without what it maps from files, which are the folds that all workers share;
    macOS counts those in. The address space, which ``RLIMIT_AS`` would bound, is five times as
    much: libraries map more than they use.
    """
    try:
        info = psutil.Process(pid).memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(info.rss - getattr(info, "shared", 0))


def _make_pool() -> "tuple[loky.ProcessPoolExecutor, Future[int]]":
    """Start a process; gives its pool, and a future that is done once it is ready."""
    pool = loky.ProcessPoolExecutor(
        1, initializer=_make_ready, initargs=(os.getpid(),), env=_WORKER_ENVIRONMENT
    )
    # The process starts with the first call, and with the first of all this tracker, which would
    # unblock the signals.
    resource_tracker.ensure_running()
    with starting_children():
        started = pool.submit(os.getpid)
    return pool, started


def _make_ready(driver_pid: int) -> None:
    """Make a worker leave signals to the driver, end with it, and fit with one thread."""
    serve_driver(driver_pid)
    # What a fold needs is loaded while the folds are prepared.
    import_module("hpo.estimators.cross_validation")
    threadpool_limits(1)


_map_objective = lru_cache(maxsize=1)(partial(joblib.load, mmap_mode="r"))
"""In a worker: the objective of a file, which it maps once."""


def _hold(path: str) -> int:
    """In a worker: map an objective; gives the process's id."""
    _map_objective(path)
    return os.getpid()


def _evaluate(path: str, params: Mapping[str, Any], step: int) -> StepResult:
    """In a worker: score on the objective that it holds."""
    result: StepResult = _map_objective(path).evaluate(params, step)
    return result
