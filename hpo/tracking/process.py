"""The follower in a process of its own, and the driver's end of the connection to it.

MLflow's import, its schema and its runs take as much processor time as a whole search; beside it, in another process, they cost
the search nothing. A plain subprocess is used rather than ``multiprocessing``, which would run the user's main module again.
This module imports nothing heavy: the process is started before the driver's own imports, so that the two overlap.
"""

import gc
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from contextlib import AbstractContextManager, suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from hpo.child_process import serve_driver
from hpo.tracking.run_records import ModelRecord, Notify, RunStatus, StudyRecord, TrackingState

POLL_SECONDS = 0.1
"""How long a finished trial waits, at the most, before its run is written."""

HANG_SECONDS = 20.0
"""How much longer than agreed the driver waits for an answer: the length of a call that hangs, twice."""

HURRIED_HANG_SECONDS = 1.0
"""The same where a run is stopped: what hangs is left to the next one."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow's own retries take minutes and repeat creates whose answer was lost; the follower has retries of its own.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # The address of each run, for which its client would ask the server once more a run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
}
"""What MLflow is told before it is imported."""


class TrackingProcess(AbstractContextManager["TrackingProcess"]):
    """A follower that runs beside the driver; use it in a ``with`` block, whose end ends the process."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        command = [
            sys.executable,
            "-m",
            "hpo.tracking.process",
            str(theirs.fileno()),
            str(os.getpid()),
        ]
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT},
        )
        theirs.close()

    def __exit__(self, *error: object) -> None:
        # First: what is still being sent to a process that hangs then fails, and is not cut off in this one.
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def open(self, storage_url: str, tracking_uri: str, study: StudyRecord) -> None:
        """Begin to follow a study; returns at once. A process that is gone is said by :meth:`finish`."""
        self._send((storage_url, tracking_uri, study))

    def _send(self, message: tuple[object, ...]) -> None:
        with suppress(OSError):
            self._connection.send(message)

    def read_notes(self) -> list[str | int]:
        """What the follower has to say since the last call: a line for a person, or how many trials MLflow has."""
        notes = []
        with suppress(EOFError, OSError):
            while self._connection.poll():
                notes.append(self._connection.recv())
        return notes

    def finish(
        self,
        model: ModelRecord | None,
        status: RunStatus,
        wait_seconds: float,
        *,
        notify: Notify = lambda _: None,
        is_hurried: bool = False,
    ) -> TrackingState:
        """Wait until everything is written, or nothing got through for so many seconds.

        Args:
            model: The final model, or None where there is none to log.
            status: How the parent run ends.
            wait_seconds: How long the follower goes on while nothing gets through.
            notify: Takes what the follower has to say meanwhile.
            is_hurried: Whether the wait ends then though much gets through: the rest is left to the next run.
        """
        patience = wait_seconds + (HURRIED_HANG_SECONDS if is_hurried else HANG_SECONDS)
        give_up = time.monotonic() + patience
        try:
            # Beside what is read: the follower takes nothing while what it says itself is not taken.
            threading.Thread(
                target=self._send, args=((model, status, wait_seconds),), daemon=True
            ).start()
            while self._connection.poll(max(0.0, give_up - time.monotonic())):
                reply = self._connection.recv()
                if isinstance(reply, TrackingState):
                    return reply
                notify(reply)
                if not is_hurried:
                    give_up = time.monotonic() + patience
        except (EOFError, OSError):
            return TrackingState(
                tracking_problem=f"the tracking process ended with exit code {self._process.wait()}"
            )
        return TrackingState(tracking_problem="the tracking process does not answer")


def main(descriptor: int, driver_pid: int) -> None:
    """Follow until the driver hangs up or dies."""
    serve_driver(driver_pid)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    # Imports and MLflow's tables leave nothing to collect, and looking for it took a third of their time.
    gc.disable()
    from hpo.ledger.storage import open_for_reading
    from hpo.tracking.follower import Follower, warm_up

    # Beside what follows, which mostly waits: for the driver, then for MLflow.
    warming = threading.Thread(target=warm_up, daemon=True)
    warming.start()
    connection = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        storage_url, tracking_uri, study = connection.recv()
        follower = Follower(
            partial(open_for_reading, storage_url, study.name), tracking_uri, study, connection.send
        )
        follower.follow()
        while not connection.poll(POLL_SECONDS):
            follower.follow()
        model, status, wait_seconds = connection.recv()
        warming.join(None if model is not None else 0)  # a run that is stopped does not wait for it
        connection.send(follower.finish(model, status, wait_seconds))
        connection.poll(None)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
