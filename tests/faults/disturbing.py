"""Runs of the command that something happens to: faults at named points, files that another process
has locked.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import COMMAND_SECONDS, kill_group, wait_until
from tests.support.forked import ForkedProcess, fork_hpo, forked

from .points import TELL

INJECTED = {
    "PYTHONPATH": os.pathsep.join(
        filter(None, (str(Path(__file__).with_name("injection")), os.environ.get("PYTHONPATH")))
    )
}
"""Environment of a command that may be struck."""


def constants(values: Mapping[str, object]) -> dict[str, str]:
    """Environment of a command some of whose constants are others."""
    return {**INJECTED, "HPO_CONSTANTS": json.dumps(values)}


BUSY = constants({"hpo.study_run:CLOSING_SECONDS": 60.0})
"""Environment of a run that is stopped on a machine that may be busy: it waits for tracking."""

PAUSES = {
    "hpo.tracking.follower:FIRST_PAUSE_SECONDS": 0.05,
    "hpo.tracking.follower:LONGEST_PAUSE_SECONDS": 0.5,
    "hpo.tracking.follower:LONGEST_PAUSE_WHILE_THERE_SECONDS": 0.1,
}
"""Between attempts to write to MLflow, where a test would do little but wait for them."""

REQUEST_TIMEOUT = {
    "hpo.tracking.process:ENVIRONMENT": {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2"},
}
"""Of a server that hangs."""

PROGRESS = re.compile(r"^hpo: \d+ of \d+ trials[,;] .*\n", re.MULTILINE)
"""Said once a minute, which a run takes only on a busy machine."""

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended."""

    pid: int
    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def last_line(self) -> str:
        return self.stderr.splitlines()[-1]


@dataclass(frozen=True)
class Fault:
    """One strike at a named point of the command; see ``injection/sitecustomize.py``."""

    point: str
    mark: Path

    @property
    def has_struck(self) -> bool:
        return self.mark.exists()

    @property
    def variables(self) -> dict[str, str]:
        return {**INJECTED, "HPO_FAULT": self.point, "HPO_FAULT_MARK": str(self.mark)}


def end(
    process: subprocess.Popen[str] | ForkedProcess, started: float, timeout: float = COMMAND_SECONDS
) -> Ended:
    """Wait for a run; whatever is left of it afterwards, or at the deadline, is killed."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    finally:
        kill_group(process)
    said = PROGRESS.sub("", stderr)
    return Ended(process.pid, process.returncode, stdout, said, time.monotonic() - started)


def run_disturbed(
    directory: Path,
    point: str,
    *flags: str,
    plots: bool = False,
    start: Callable[..., subprocess.Popen[str] | ForkedProcess] = fork_hpo,
    **variables: str,
) -> Ended:
    """A run that is struck at a point, which it must have reached.

    Args:
        directory: The working directory.
        point: See ``injection/sitecustomize.py``.
        flags: Of the command.
        plots: Whether figures are drawn.
        start: ``start_hpo`` where the imports of a new process matter.
        variables: Of the environment.
    """
    fault = Fault(point, directory / "struck")
    started = time.monotonic()
    ended = end(start(directory, *flags, plots=plots, **variables | fault.variables), started)
    assert fault.has_struck, f"{point} was not reached: {ended}"
    fault.mark.unlink()
    return ended


@contextmanager
def halted(directory: Path, n_told: int, *flags: str, **variables: str) -> Iterator[ForkedProcess]:
    """The command, whose driver stopped itself when so many trials were told, on however busy a
    machine; SIGCONT lets it go on.
    """
    fault = Fault(f"{TELL}:return:{n_told}:SIGSTOP:self", directory / "struck")
    with forked(directory, *flags, **variables | fault.variables) as process:
        stat = Path(f"/proc/{process.pid}/stat")
        wait_until(
            lambda: stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T", process
        )
        yield process


@contextmanager
def later(seconds: float, action: Callable[..., object], *arguments: object) -> Iterator[None]:
    """Something is done in so many seconds; the block ends no earlier."""
    timer = threading.Timer(seconds, action, arguments)
    timer.start()
    yield
    timer.join()


@contextmanager
def holding(database: Path) -> Iterator[None]:
    """Another process has a lock on an SQLite file, for the length of the block."""
    command = [sys.executable, "-c", HOLDER, str(database)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield
        process.stdin.close()
        process.wait(timeout=30)


def file_bytes(directory: Path) -> dict[str, bytes]:
    """The SQLite files of a directory, each whole; locks and what lies beside them while they are
    open hold no study.
    """
    return {path.name: path.read_bytes() for path in sorted(directory.glob("[!.]*.db"))}
