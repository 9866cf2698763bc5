"""Starts the command as a process of its own, waits with a deadline, ends it by its id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .stores import count_told

# What takes longer hangs: no test is about being faster.
COMMAND_SECONDS = 600
START_SECONDS = 300

# MLflow behaves otherwise below pytest; the rest would point the command elsewhere than its
# defaults.
_NOT_PASSED_ON = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "HPO_STORAGE", "MLFLOW_TRACKING_URI")


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true", **variables}


def set_environment(variables: dict[str, str]) -> None:
    """Make these the variables of this process, and no others."""
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def run_python(
    directory: Path, *arguments: str, timeout: float = COMMAND_SECONDS, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


NO_PLOTS = "--no-plots"
"""Of the many runs of the tests only those that are about figures draw them."""

WITHOUT_WORKERS = {"HPO_WORKERS": "1"}
"""By default a trial that a busy machine holds up for a third of a second starts workers; tests of
workers ask for them.
"""


def run_hpo(
    directory: Path, *flags: str, plots: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    return run_python(
        directory,
        "-m",
        "hpo.run",
        *flags,
        *(() if plots else (NO_PLOTS,)),
        **WITHOUT_WORKERS | variables,
    )


def run_hpo_well(directory: Path, *flags: str, plots: bool = False, **variables: str) -> str:
    """What a run that must go well printed."""
    process = run_hpo(directory, *flags, plots=plots, **variables)
    assert (process.returncode, process.stderr) == (0, ""), process.stderr
    return process.stdout


def start_hpo(
    directory: Path, *flags: str, plots: bool = False, **variables: str
) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a shell would start it."""
    more = () if plots else (NO_PLOTS,)
    return start_python(directory, "-m", "hpo.run", *flags, *more, **WITHOUT_WORKERS | variables)


def start_python(directory: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """An interpreter in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(
    condition: Callable[[], bool], process: subprocess.Popen[str], *, poll_seconds: float = 0.02
) -> None:
    """Wait for a condition; an early end of the process or the deadline fails the test with what it
    printed.
    """
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert process.poll() is None, (
            f"ended early with {process.returncode}: {process.communicate()}"
        )
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(poll_seconds)


def kill_when_told(directory: Path, n_told: int, *flags: str) -> None:
    """Start the command and SIGKILL its driver alone once so many trials are finished."""
    process = start_hpo(directory, *flags)
    wait_until(lambda: count_told(directory) >= n_told, process)
    process.kill()
    process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == -signal.SIGKILL


@contextmanager
def running(directory: Path, *flags: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The command, which does not outlive the block."""
    process = start_hpo(directory, *flags, **variables)
    try:
        yield process
    finally:
        kill_group(process)


def kill_group(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=COMMAND_SECONDS)
