"""The follower in a process of its own, and the driver's end of the connection to it.

MLflow's import, its schema and its runs take as much processor time as a whole search; in another
process, beside the search, they cost it nothing. A plain subprocess is used, since
``multiprocessing`` would run the user's main module again. This module imports nothing heavy: the
process is started before the driver's own imports, so that the two overlap.

Nothing that the driver does with the connection may block it. One thread sends, and another reads
and hands each message on, so the process never waits for the driver either.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe

from hpo.child_process import starting_children
from hpo.results.tracking_state import TrackingState
from hpo.tracking.interface import CLOSING_SECONDS, POLL_SECONDS, Tracking, ignore
from hpo.tracking.process_loop import DRAW, main
from hpo.tracking.run_records import FinalRecord, Notify, RunStatus, StudyRecord

HANG_SECONDS = 20.0
"""How much longer than agreed the driver waits for an answer: two calls that hang take as long."""

HURRIED_HANG_SECONDS = 1.0
"""The same where a run is stopped: what hangs is left to the next run."""

EXIT_SECONDS = 5.0
"""How long a process that has hung up may take to end, and a message to be handed on at the end."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow's retries take minutes, and repeat a create whose answer was lost.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Printing a run's address takes one more request a run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
}
"""Environment variables that MLflow reads when it is imported."""


class TrackingProcess(Tracking):
    """A follower that runs beside the driver; the end of its ``with`` block ends the process.

    Args:
        is_kept: Whether the process follows one study after another, each in a ``with`` block,
            until :meth:`close`.
    """

    def __init__(self, *, is_kept: bool = False) -> None:
        self._connection, theirs = Pipe()
        command = [
            sys.executable,
            "-m",
            "hpo.tracking.process",
            str(theirs.fileno()),
            str(os.getpid()),
        ]
        with starting_children():
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **ENVIRONMENT},
            )
        theirs.close()
        self._is_kept = is_kept
        self._is_closed = False
        self._sender: threading.Thread | None = None
        self._drawer: threading.Thread | None = None
        self._reader: threading.Thread | None = None
        self._notify: Notify = ignore
        self._heard_at = 0.0
        self._state: TrackingState | None = None
        self._final: FinalRecord | None = None

    def __exit__(self, *error: object) -> None:
        self._notify = ignore
        if not (self._is_kept and self._is_ready()):
            self.close()

    @property
    def is_open(self) -> bool:
        """Whether it can follow another study."""
        return not self._is_closed

    def close(self) -> None:
        """End the process."""
        self._is_closed = True
        # First: sending to a process that hangs then fails, and reading from it ends.
        self._process.kill()
        self._process.wait()
        for thread in (self._sender, self._reader):
            if thread is not None:
                thread.join(EXIT_SECONDS)
        self._connection.close()

    def open(
        self,
        storage_url: str,
        tracking_uri: str,
        study: StudyRecord,
        notify: Notify = ignore,
    ) -> None:
        """Begin to follow a study; :meth:`finish` says whether the process is gone."""
        self._notify = notify
        self._state = self._final = None
        # A model of the user's own classes is unpickled where their modules are found.
        self._send((storage_url, tracking_uri, study, sys.path))
        self._reader = threading.Thread(target=self._read, name="hpo-tracking", daemon=True)
        self._reader.start()

    def finish(
        self,
        final: FinalRecord | None,
        status: RunStatus,
        wait_seconds: float,
        *,
        is_hurried: bool = False,
        stop_signal: Callable[[], int | None] = lambda: None,
    ) -> TrackingState:
        """Wait until everything is written, or nothing got through for so many seconds."""
        if self._reader is None:
            return TrackingState(tracking_problem="no study was opened")
        if final is None:
            self._notify = ignore
        self._final = final
        patience = wait_seconds + (HURRIED_HANG_SECONDS if is_hurried else HANG_SECONDS)
        started = time.monotonic()
        self._send((final, status, wait_seconds))
        while self._reader.is_alive():
            if stop_signal() is not None and not is_hurried:
                is_hurried, started = True, time.monotonic()
                patience = CLOSING_SECONDS + HURRIED_HANG_SECONDS
            since = started if is_hurried else max(started, self._heard_at)
            seconds = since + patience - time.monotonic()
            if seconds <= 0:
                return _NO_ANSWER
            self._reader.join(min(seconds, POLL_SECONDS))
        return self._state or self._describe_end()

    def _send(self, message: tuple[object, ...]) -> None:
        """Send in a thread, after what is being sent: a process that hangs takes nothing."""
        before = self._sender

        def send() -> None:
            if before is not None:
                before.join()
            with suppress(OSError):
                self._connection.send(message)

        self._sender = threading.Thread(target=send, daemon=True)
        self._sender.start()

    def _read(self) -> None:
        """Hand on each message, until the final state comes or the process ends."""
        while self._state is None:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                return
            self._heard_at = time.monotonic()
            if isinstance(message, TrackingState):
                self._state = message
            elif message == DRAW:
                self._drawer = threading.Thread(target=self._draw, daemon=True)
                self._drawer.start()
            else:
                self._notify(message)

    def _draw(self) -> None:
        """Draw the figures of the model here: the driver waits, and the process has more to do."""
        from hpo.tracking.drawings import draw_model_figures

        if self._final is not None:
            self._send((draw_model_figures(self._final),))

    def _is_ready(self) -> bool:
        """Whether the process has said how the study ended, and nothing of it is on the way."""
        busy = (each for each in (self._reader, self._drawer) if each is not None)
        is_idle = not any(each.is_alive() for each in busy)
        return is_idle and (self._reader is None or self._state is not None)

    def _describe_end(self) -> TrackingState:
        try:
            code = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:  # it has not ended: whoever takes its messages failed
            return _NO_ANSWER
        return TrackingState(tracking_problem=f"the tracking process ended with exit code {code}")


_NO_ANSWER = TrackingState(tracking_problem="the tracking process does not answer")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
