"""Folds scored on processes of this machine."""

import math
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

import joblib

from hpo.definition import LimitsSection
from hpo.errors import HpoError
from hpo.estimators.objective import Objective, StepResult
from hpo.search.executor import Executor, LocalExecutor
from hpo.search.worker import Worker

Task: TypeAlias = tuple["Future[StepResult]", str, Mapping[str, Any], int]
"""A future, the file of an objective, params and a step."""

NO_LIMITS = LimitsSection()


class PoolExecutor(Executor):
    """Scores on processes of this machine, which map the objective's arrays from one file.

    They start at once and import what they need while the folds are prepared. A process that dies
    is replaced and what it had is scored again. The processes are not forked, leave signals to the
    driver and end with it. Each is served by a thread, which waits for it and bounds its fits.

    Args:
        n_workers: How many processes.
        limits: Of one fit.

    Raises:
        HpoError: There is no room for a temporary directory.
    """

    def __init__(self, n_workers: int, limits: LimitsSection = NO_LIMITS) -> None:
        self.n_workers = n_workers
        with _writing_folds("a temporary directory"):
            self._directory = tempfile.TemporaryDirectory(prefix="hpo-folds-")
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._workers = [Worker(limits) for _ in range(n_workers)]
        self._threads = [
            Thread(target=self._serve, args=(worker,), name="hpo-worker", daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether all processes have imported what they need."""
        return all(worker.is_ready for worker in self._workers)

    def hold(self, objective: Objective) -> None:
        """Write the objective, once, to a temporary file that the workers map.

        Raises:
            HpoError: There is no room for it.
        """
        super().hold(objective)
        # A name of its own: workers know by it which objective they have mapped.
        self._path = str(Path(self._directory.name, f"{uuid.uuid4().hex}.joblib"))
        with _writing_folds(self._path):
            joblib.dump(objective, self._path)
        self.n_useful_trials = 1 + math.ceil(self.n_workers / objective.n_steps)

    def submit(self, params: Mapping[str, Any], step: int) -> "Future[StepResult]":
        """Hand one step to the workers; its future raises HpoError where they keep dying."""
        future: Future[StepResult] = Future()
        self._tasks.put((future, self._path, params, step))
        return future

    def cancel(self, futures: Sequence[Any]) -> None:
        """Leave out what no worker has begun."""
        for future in futures:
            future.cancel()

    def close(self) -> None:
        """End the workers at once and remove the objective's file."""
        for worker in self._workers:
            self._tasks.put(None)
            worker.close()
        for thread in self._threads:
            thread.join()
        self._directory.cleanup()

    def _serve(self, worker: Worker) -> None:
        """In a thread: give a worker one task after the other."""
        while (task := self._tasks.get()) is not None:
            future, path, params, step = task
            try:
                worker.hold(path)
                # A worker that is renewed takes a moment, in which a failed trial is given up.
                if future.set_running_or_notify_cancel():
                    future.set_result(worker.evaluate(path, params, step))
            except BaseException as error:  # noqa: BLE001 - raised where the result is taken
                if future.running() or future.set_running_or_notify_cancel():
                    future.set_exception(error)


@contextmanager
def _writing_folds(to: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HpoError(
            f"the folds cannot be written to {to} ({error.strerror or error})",
            hint="set TMPDIR to a directory with room, or use --workers 1",
        ) from error


def make_single_executor(limits: LimitsSection) -> Executor:
    """Make an executor that scores one fold at a time: in this process, unless there are limits."""
    return PoolExecutor(1, limits) if limits.are_set else LocalExecutor()
