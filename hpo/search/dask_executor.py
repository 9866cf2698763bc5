"""Folds scored on the workers of a Dask cluster, with the same results to the last bit.

Dask schedules, transports and notices lost workers. This module sends the prepared folds to every
worker once, hands out again what is lost with all of its copies, and refuses a worker with other
library versions, whose scores could differ.
"""

import copy
import logging
import math
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, wait
from contextlib import ExitStack, suppress
from functools import cache, partial
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from hpo.errors import HpoError, InterruptedBySignal, SettingsError, first_line
from hpo.estimators.objective import Objective, StepResult
from hpo.ledger.failures import never
from hpo.search.executor import Executor
from hpo.versions import describe_changes, recorded_versions

CONNECT_SECONDS = 10
WORKERS_SECONDS = 30
LOST_SECONDS = 60.0
"""How long a scheduler may be away in the middle of a run."""

SEND_SECONDS = 300.0
"""How long the folds may take to reach the workers; Dask itself gives up a worker after so long."""

CLOSE_SECONDS = 3.0
POLL_SECONDS = 0.2
"""How long a signal waits while the cluster does not answer."""

MAX_LOSSES = 20
"""Consecutive losses of a fold tolerated; after more it is the fold that kills its workers."""

START_HINT = "start one: dask scheduler, and workers: dask worker ADDRESS --nthreads 1"

T = TypeVar("T")


class DaskExecutor(Executor):
    """Scores on the workers of a Dask cluster; they may come and go.

    Args:
        address: Of the scheduler, ``tcp://host:port``.
        stop_signal: Gives the number of a signal that asked to stop, or None.

    Raises:
        SettingsError: No scheduler answers, it has no workers, or one of them has other versions.
    """

    def __init__(self, address: str, stop_signal: Callable[[], int | None] = never) -> None:
        try:
            # A quarter of a second that a run without a cluster does not spend.
            import distributed  # noqa: PLC0415
        except ImportError as error:
            raise SettingsError(
                "--workers: a cluster needs the package distributed", hint="pip install distributed"
            ) from error
        _silence_distributed()
        self.address = address
        self._stop_signal = stop_signal
        self.losses = (
            CancelledError,
            distributed.scheduler.KilledWorker,
            distributed.comm.CommClosedError,
            # distributed's ``sync`` raises it for a call that is cancelled as the wait for it ends.
            UnboundLocalError,
        )
        try:
            # It warns of versions; those that matter are compared below.
            with warnings.catch_warnings(action="ignore"):
                self._client = self._ask(
                    partial(
                        distributed.Client, address, timeout=CONNECT_SECONDS, set_as_default=False
                    ),
                    2 * CONNECT_SECONDS,
                )
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"--workers: no Dask scheduler answers at {address}", hint=START_HINT
            ) from error
        with ExitStack() as stack:
            stack.callback(self.close)
            self._check_workers()
            stack.pop_all()

    def _check_workers(self) -> None:
        try:
            self._ask(
                lambda: self._client.wait_for_workers(1, timeout=WORKERS_SECONDS),
                2 * WORKERS_SECONDS,
            )
            self._ask(lambda: self._client.run(_check_versions, recorded_versions()))
        except TimeoutError as error:
            raise SettingsError(
                f"--workers: the Dask scheduler at {self.address} has no workers", hint=START_HINT
            ) from error
        except ImportError as error:
            raise SettingsError(
                f"--workers: a worker lacks the package {error.name}", hint="install hpo there too"
            ) from error

    def hold(self, objective: Objective) -> None:
        """Send the objective to every worker; one that joins later gets it from the others."""
        super().hold(objective)
        self._scatter()
        self.n_workers = max(1, sum(self._ask(self._client.nthreads).values()))
        self.n_useful_trials = 1 + math.ceil(self.n_workers / objective.n_steps)

    def submit(self, params: Mapping[str, Any], step: int) -> Any:
        """Hand one step to the workers."""
        return self._client.submit(
            _evaluate, self._parts[step], params, recorded_versions(), pure=False
        )

    def recover(self) -> bool:
        """After a loss: whether steps can be handed out again; lost parts are sent anew.

        Raises:
            HpoError: The scheduler stays away, or steps keep being lost.
        """
        if self.lost_since is not None and time.monotonic() - self.lost_since > LOST_SECONDS:
            raise HpoError(
                f"the Dask cluster at {self.address} is gone",
                hint="run the same command again to go on",
            )
        if self._client.status != "running" or not self._ask(self._client.nthreads):
            return False
        self.count_loss(MAX_LOSSES, "Dask workers", hint="they may run out of memory")
        if any(part.status != "finished" for part in self._parts):
            self._scatter()
        return True

    def close(self) -> None:
        """Leave the cluster; what it still scores for this run is cancelled."""
        with suppress(HpoError):  # a cluster that hangs is left as it is
            self._ask(self._client.close, CLOSE_SECONDS, is_closing=True)

    def _scatter(self) -> None:
        parts = [self.objective.part(step) for step in range(self.objective.n_steps)]
        try:
            self._parts = self._ask(
                lambda: self._client.scatter(parts, broadcast=True, hash=False), SEND_SECONDS
            )
        except Exception as error:
            # A worker's own error comes as a plain one with its text.
            if "ModuleNotFoundError" not in str(error):
                raise
            raise HpoError(
                f"--workers: a Dask worker cannot import the estimator: {first_line(error)}",
                hint="install its module there, or name its directory in the workers' PYTHONPATH",
            ) from error

    def _ask(
        self, call: Callable[[], T], seconds: float | None = None, *, is_closing: bool = False
    ) -> T:
        """Call the cluster in a thread, which is left behind where no answer comes.

        Raises:
            HpoError: None came in so many seconds, by default ``LOST_SECONDS``.
            InterruptedBySignal: A signal came meanwhile.
        """
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised where the answer is taken
                answer.set_exception(error)

        threading.Thread(target=run, name="hpo-dask", daemon=True).start()
        give_up = time.monotonic() + (LOST_SECONDS if seconds is None else seconds)
        while not wait([answer], POLL_SECONDS).done:
            if not is_closing and (number := self._stop_signal()) is not None:
                raise InterruptedBySignal(
                    number, f"stopped while the Dask cluster at {self.address} did not answer"
                )
            if time.monotonic() > give_up:
                raise HpoError(
                    f"the Dask cluster at {self.address} does not answer",
                    hint="end a scheduler or worker of it that is stopped,"
                    " then run the same command again",
                )
        return answer.result()


def _silence_distributed() -> None:
    """Stop distributed from logging; what a person needs to know is said here."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


_one_fit = threading.Lock()
"""In a worker: warnings are caught for the whole process, so one fit a process at a time."""


_limit_threads = cache(threadpool_limits)
"""In a worker: done once, since looking through all libraries takes a while."""


def _evaluate(part: Objective, params: Mapping[str, Any], versions: dict[str, str]) -> StepResult:
    """In a worker: score on the one step of a part that it holds."""
    _check_versions(versions, HpoError)  # it may have joined in the middle of the run
    _limit_threads(1)
    with _one_fit:
        # Arrays that came over a wire begin anywhere in memory, where a sum may take another order:
        # the last bit would differ.
        return copy.deepcopy(part).evaluate(params, 0)


def _check_versions(versions: dict[str, str], error: type[HpoError] = SettingsError) -> None:
    """In a worker: refuse to score with other versions than the driver's."""
    changes = describe_changes(versions, recorded_versions())
    if changes:
        raise error(
            f"--workers: a Dask worker has other versions than this process: {', '.join(changes)}",
            hint="use one image or one requirements.txt for both",
        )
