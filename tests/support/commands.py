"""Starts the command and servers as their own processes, waits with a deadline, ends them by their id."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import requests

# What takes longer hangs: no test is about being faster.
COMMAND_SECONDS = 600
START_SECONDS = 300

# MLflow behaves otherwise below pytest; the rest would point the command elsewhere than its defaults.
_NOT_PASSED_ON = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "HPO_STORAGE", "MLFLOW_TRACKING_URI")


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true", **variables}


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
"""By default a trial that a busy machine holds up for a third of a second starts workers; tests of workers ask for them."""


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


def start_hpo(directory: Path, *flags: str, **variables: str) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a shell would start it."""
    return start_python(directory, "-m", "hpo.run", *flags, NO_PLOTS, **WITHOUT_WORKERS | variables)


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


def count_told(directory: Path) -> int:
    """Finished trials in the ledger, which may not be there yet."""
    path = directory / "optuna.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return int(
                connection.execute(
                    "SELECT count(*) FROM trials WHERE state != 'RUNNING'"
                ).fetchone()[0]
            )
        except sqlite3.OperationalError:
            return 0


def ask(database: Path, query: str) -> list[tuple]:
    """Rows of a database that may not be there yet, or have no tables."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []


def count_finished_runs(database: Path) -> int:
    """Child runs that MLflow has and that are terminated, of all studies."""
    query = (
        "SELECT count(*) FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'mlflow.parentRunId'"
        " WHERE runs.status != 'RUNNING' AND runs.lifecycle_stage = 'active'"
    )
    rows = ask(database, query)
    return rows[0][0] if rows else 0


def wait_until(
    condition: Callable[[], bool], process: subprocess.Popen[str], *, poll_seconds: float = 0.02
) -> None:
    """Wait for a condition; an early end of the process or the deadline fails the test with what it printed."""
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


def copy_directory(source: Path, target: Path) -> Path:
    """A finished run's directory, elsewhere: MLflow keeps absolute artifact paths, which are moved along."""
    shutil.copytree(source, target)
    with closing(sqlite3.connect(target / "mlflow.db")) as connection, connection:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
        ):
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(source), str(target))
            )
    return target


def stores_of(directory: Path) -> dict[str, str]:
    """The default stores of a directory, as arguments of the checker."""
    return {
        "storage": f"sqlite:///{directory}/optuna.db",
        "tracking_uri": f"sqlite:///{directory}/mlflow.db",
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def in_background(
    command: Sequence[str], log_path: Path, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A server in the directory of its log; its whole process group ends with the block."""
    with log_path.open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=log_path.parent,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


@contextmanager
def serving(
    directory: Path, port: int, *arguments: str, health: str = "/health", **variables: str
) -> Iterator[str]:
    """An ``mlflow`` command that serves HTTP, from the moment it is healthy; gives its address."""
    log_path, address = directory / f"serving-{port}.log", f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        *arguments,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    # Models are served by a shell that looks for python and uvicorn by name.
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Seven processes that nothing here needs; their imports took longer than most tests.
    variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with in_background(command, log_path, **variables) as process:
        try:
            wait_until(lambda: _is_healthy(address + health), process)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log_path.read_text()}") from None
        yield address


def _is_healthy(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.RequestException:
        return False


def serving_tracking(directory: Path, port: int) -> contextlib.AbstractContextManager[str]:
    """A tracking server on SQLite in a directory, with the artifacts passed through it."""
    stores = (
        "--backend-store-uri",
        f"sqlite:///{directory}/server.db",
        "--artifacts-destination",
        f"{directory}/artifacts",
    )
    return serving(directory, port, "server", *stores, "--workers", "1")


@contextmanager
def showing_pages(
    directory: Path,
    *flags: str,
    ports: Sequence[str] = ("--dashboard-port", "--mlflow-port"),
    **variables: str,
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """``python -m hpo.ui`` from the moment that it printed its two links; gives those. By default on ports that nobody asks for."""
    chosen = [part for flag in ports for part in (flag, str(free_port()))]
    process = start_python(directory, "-m", "hpo.ui", *flags, *chosen, **variables)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().split() for _ in range(2)]
        assert [line[:1] for line in lines] == [["optuna-dashboard"], ["mlflow"]], (
            process.communicate(timeout=COMMAND_SECONDS)
        )
        yield process, [link for _, link in lines]
    finally:
        process.kill()
        process.communicate(timeout=COMMAND_SECONDS)


@contextmanager
def serving_pages(directory: Path) -> Iterator[tuple[str, str]]:
    """Both pages of a directory's study, as ``python -m hpo.ui`` serves them: the addresses of MLflow and of optuna-dashboard."""
    with showing_pages(directory) as (_, (dashboard, mlflow)):
        yield mlflow.partition("/#")[0].rstrip("/"), dashboard.partition("/dashboard")[0]
