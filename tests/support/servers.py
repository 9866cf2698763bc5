"""Servers as processes on free ports, from the moment that they answer to the end of a block."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from .commands import COMMAND_SECONDS, environment, start_python, wait_until

PORTS = range(20_000, 32_000)
"""Below those that Linux gives to connections: none of them takes a port before its server does."""

_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on and that was not given before."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


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
    """``python -m hpo.ui`` from the moment that it printed its two links; gives those. By default
    on ports that nobody asks for.
    """
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
    """Both pages of a directory's study, as ``python -m hpo.ui`` serves them: the addresses of
    MLflow and of optuna-dashboard.
    """
    with showing_pages(directory) as (_, (dashboard, mlflow)):
        yield mlflow.partition("/#")[0].rstrip("/"), dashboard.partition("/dashboard")[0]
