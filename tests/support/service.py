"""Servers of submitted studies as processes, and what their clients see."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hpo.service.status import StudyStatus, read_status
from hpo.settings import ServiceSettings

from .commands import START_SECONDS
from .servers import in_background

_LOCK = re.compile(r"hpo: lock (took|let go) (\S+) host (\S+) pid (\d+) time ([\d.]+)")


@dataclass(frozen=True)
class StudyServer:
    """A running ``hpo serve``, and its log."""

    process: subprocess.Popen[str]
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def locks(self) -> list[tuple[str, str, int, float]]:
        """What the lock's log says: took or let go, study, process id, time."""
        return [
            (what, study, int(pid), float(at))
            for what, study, _, pid, at in _LOCK.findall(self.log)
        ]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=30) == 0, self.log


@contextmanager
def serving_studies(
    directory: Path, *flags: str, name: str = "serve", **variables: str
) -> Iterator[StudyServer]:
    """``hpo serve`` in a directory; it and its study processes end with the block."""
    log_path = directory / f"{name}.log"
    command = [sys.executable, "-m", "hpo", "serve", *flags]
    with in_background(command, log_path, **variables) as process:
        server = StudyServer(process, log_path)
        try:
            wait(lambda: "hpo: serving" in server.log, server)
            yield server
        finally:
            # Its study processes lead groups of their own, and end once it is gone.
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)


def wait(condition: Callable[[], bool], *servers: StudyServer) -> None:
    """Wait for a condition; the deadline fails the test with what the servers logged."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        logs = "\n".join(server.log for server in servers)
        assert time.monotonic() < deadline, f"not reached in time\n{logs}"
        time.sleep(0.05)


def status_of(settings: ServiceSettings, name: str) -> StudyStatus:
    (status,) = read_status(settings, name)
    return status


def wait_for(
    settings: ServiceSettings, name: str, state: str, *servers: StudyServer
) -> StudyStatus:
    """Wait until a study is in a state."""
    wait(lambda: status_of(settings, name).state == state, *servers)
    return status_of(settings, name)
