"""The server's end of a study process: started warm, given studies, watched, stopped, killed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

import psutil

from hpo.child_process import starting_children
from hpo.ledger.wishes import Wish
from hpo.search.worker import own_memory
from hpo.service.ending import Ending
from hpo.service.study_process import READY
from hpo.settings import ServiceSettings
from hpo.tracking.process import ENVIRONMENT

STOP_SECONDS = 4.0
"""A process that was asked to leave its study is killed after so long: a fit may hold it."""

PREFIX = "hpo-study-"
"""Of the folders for temporary files, each a process's own; the server's id follows."""


class StudyChild:
    """A study process.

    Args:
        variables: Of its environment, beside those of the server.

    Attributes:
        study: The name of the study that it drives, or None.
        wish: The wish that it was given, or None.
        was_killed: Why this end killed it, or None.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.study: str | None = None
        self.wish: Wish | None = None
        self.was_killed: str | None = None
        self._is_ready = False
        self._ended: Ending | None = None
        self._kill_at: float | None = None
        self._folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
        self._connection, theirs = Pipe()
        module = "hpo.service.study_process"
        with starting_children():
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **ENVIRONMENT, "TMPDIR": self._folder, **variables},
                start_new_session=True,
            )
        theirs.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def is_idle(self) -> bool:
        """Whether it can take a study now."""
        if not self._is_ready and self._has_sent():
            with suppress(EOFError, OSError):
                self._is_ready = self._connection.recv() == READY
        return self._is_ready and self.study is None and self.is_alive

    def begin(self, name: str, wish: Wish | None, settings: ServiceSettings) -> None:
        """Give it a study to drive, or without a wish one whose parent run is to be closed."""
        self.study, self.wish, self._kill_at = name, wish, None
        with suppress(OSError):  # it has just ended, which the next look sees
            self._connection.send((name, wish, settings))

    def ending(self) -> Ending | None:
        """How it ended with its study, or None while it drives it; the same until :meth:`free`."""
        if self._has_sent():
            with suppress(EOFError, OSError):
                self._ended, self._is_ready = self._connection.recv()
                return self._ended
        if self._ended is None and not self.is_alive:
            self._ended = self._describe_end()
        return self._ended

    def free(self) -> None:
        """Take note that its ending is dealt with."""
        self.study = self.wish = self._ended = self._kill_at = None

    def stop(self) -> None:
        """Ask it to leave its study; it is killed where it does not."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + STOP_SECONDS
            self._process.send_signal(signal.SIGTERM)

    def kill_if_late(self) -> None:
        """Kill it where it was asked to leave its study and takes too long."""
        if self._kill_at is not None and time.monotonic() >= self._kill_at and self.is_alive:
            self.kill("it did not leave the study in time")

    def kill(self, reason: str) -> None:
        """End it at once, with all that it started."""
        self.was_killed = self.was_killed or reason
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """End it and remove its temporary files."""
        self.kill("its server ended it")
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def memory(self) -> int:
        """Measure what it and all that it started hold for themselves, in bytes."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return sum(own_memory(each.pid) for each in (process, *process.children(True)))
        return 0

    def _has_sent(self) -> bool:
        try:
            return self._connection.poll()
        except OSError:
            return False

    def _describe_end(self) -> Ending:
        if self.was_killed is not None:
            return Ending("failed", self.was_killed)
        code = self._process.returncode
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return Ending("failed", f"its process ended with {how}")


def sweep(prefix: str = PREFIX) -> None:
    """Remove the temporary folders that servers left which were killed.

    Args:
        prefix: The beginning of their names; the server's id follows.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        server = path.name.removeprefix(prefix).partition("-")[0]
        # In a container this server may have the id of the one before it.
        if (
            not server.isdecimal()
            or int(server) == os.getpid()
            or not psutil.pid_exists(int(server))
        ):
            shutil.rmtree(path, ignore_errors=True)
