"""Folds scored on processes of this machine."""

import math
import os
import tempfile
import uuid
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from importlib import import_module
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import joblib
import loky
from threadpoolctl import threadpool_limits

from hpo.child_process import serve_driver, starting_children
from hpo.errors import HpoError
from hpo.estimators.objective import Objective, StepResult
from hpo.search.executor import Executor

MAX_BROKEN_POOLS = 5
"""Consecutive worker deaths tolerated; after more it is the fold that kills them."""

_WORKER_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc returns arrays of some MB to the system after each use; asking for them anew took a
    # fifth of a fit on 200,000 rows.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}


class PoolExecutor(Executor):
    """Scores on processes of this machine, which map the objective's arrays from one file.

    They start at once and import what they need while the folds are prepared. A process that dies
    is replaced and what it had is scored again. The processes are not forked, leave signals to the
    driver and end with it.

    Args:
        n_workers: How many processes.
    """

    losses = (BrokenProcessPool,)

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._directory = tempfile.TemporaryDirectory(prefix="hpo-folds-")
        self._pool = self._make_pool()

    def hold(self, objective: Objective) -> None:
        """Write the objective, once, to a temporary file that the workers map."""
        super().hold(objective)
        # A name of its own: workers know by it which objective they have mapped.
        self._path = str(Path(self._directory.name, f"{uuid.uuid4().hex}.joblib"))
        try:
            joblib.dump(objective, self._path)
        except OSError as error:
            raise HpoError(
                f"the folds cannot be written to {self._path} ({error.strerror or error})",
                hint="set TMPDIR to a directory with room, or use --workers 1",
            ) from error
        self.n_useful_trials = 1 + math.ceil(self.n_workers / objective.n_steps)

    def submit(self, params: Mapping[str, Any], step: int) -> Any:
        """Hand one step to the workers, new ones where the others ended.

        Raises:
            HpoError: Workers keep dying.
        """
        try:
            return self._pool.submit(_evaluate_held, self._path, params, step)
        except BrokenProcessPool:
            self.count_loss(
                MAX_BROKEN_POOLS,
                "worker processes",
                hint="they may run out of memory: use fewer --workers",
            )
            self._pool.shutdown(wait=False, kill_workers=True)
            self._pool = self._make_pool()
            return self.submit(params, step)

    def close(self) -> None:
        """End the workers at once and remove the objective's file."""
        self._pool.shutdown(wait=True, kill_workers=True)
        self._directory.cleanup()

    def _make_pool(self) -> loky.ProcessPoolExecutor:
        pool = loky.ProcessPoolExecutor(
            self.n_workers,
            initializer=_make_ready,
            initargs=(os.getpid(),),
            env=_WORKER_ENVIRONMENT,
        )
        # The processes start with the first call, and with the first of them this tracker, which
        # would unblock the signals.
        resource_tracker.ensure_running()
        with starting_children():
            pool.submit(os.getpid)
        return pool


def _make_ready(driver_pid: int) -> None:
    """Make a worker leave signals to the driver, end with it, and fit with one thread."""
    serve_driver(driver_pid)
    # What a fold needs is loaded while the folds are prepared.
    import_module("hpo.estimators.cross_validation")
    threadpool_limits(1)


_map_objective = lru_cache(maxsize=1)(partial(joblib.load, mmap_mode="r"))
"""In a worker: the objective of a file, which it maps once."""


def _evaluate_held(path: str, params: Mapping[str, Any], step: int) -> StepResult:
    """In a worker: score on an objective that it mapped when it was first asked."""
    result: StepResult = _map_objective(path).evaluate(params, step)
    return result
