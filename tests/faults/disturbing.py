"""Runs of the command that something happens to: faults at named points, files that another process
has locked.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import COMMAND_SECONDS, kill_group, running, start_hpo, wait_until

from .points import TELL

INJECTED = {
    "PYTHONPATH": os.pathsep.join(
        filter(None, (str(Path(__file__).with_name("injection")), os.environ.get("PYTHONPATH")))
    )
}
"""Environment of a command that may be struck."""

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


def end(process: subprocess.Popen[str], started: float, timeout: float = COMMAND_SECONDS) -> Ended:
    """Wait for a run; whatever is left of it afterwards, or at the deadline, is killed."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    finally:
        kill_group(process)
    said = PROGRESS.sub("", stderr)
    return Ended(process.pid, process.returncode, stdout, said, time.monotonic() - started)


def run_disturbed(
    directory: Path, point: str, *flags: str, plots: bool = False, **variables: str
) -> Ended:
    """A run that is struck at a point, which it must have reached."""
    fault = Fault(point, directory / "struck")
    started = time.monotonic()
    ended = end(start_hpo(directory, *flags, plots=plots, **variables, **fault.variables), started)
    assert fault.has_struck, f"{point} was not reached: {ended}"
    fault.mark.unlink()
    return ended


@contextmanager
def halted(
    directory: Path, n_told: int, *flags: str, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """The command, whose driver stopped itself when so many trials were told, on however busy a
    machine; SIGCONT lets it go on.
    """
    fault = Fault(f"{TELL}:return:{n_told}:SIGSTOP:self", directory / "struck")
    with running(directory, *flags, **variables, **fault.variables) as process:
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
