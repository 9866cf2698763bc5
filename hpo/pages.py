"""Both web pages of a study: optuna-dashboard and MLflow, started for the settings at hand, on this machine alone.

Each runs in a process group of its own, which ends with the block, and with this process even where that is killed. URLs reach
the programs by their environment: they may hold passwords.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import IO, Any

from hpo.errors import SettingsError
from hpo.report import dashboard_link, mlflow_link
from hpo.server import read_server
from hpo.settings import STORAGE_VARIABLE, ServiceSettings, hide_password
from hpo.stores import MLFLOW, OPTUNA, Library, Runs, Trials, read_database, read_runs, read_trials

HOST = "127.0.0.1"
DASHBOARD_PORT = 8080
MLFLOW_PORT = 5000
START_SECONDS = 60.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.1

MLFLOW_STORE = "MLFLOW_BACKEND_STORE_URI"
"""What ``mlflow ui`` reads; MLFLOW_TRACKING_URI it does not."""


@dataclass(frozen=True)
class Page:
    """A web page of a study.

    Attributes:
        name: The program's.
        link: Where it shows the study.
        port: Of this machine, where the program was started here.
        process: The program, or None where a server has it already.
        log: What it printed.
        library: Whose page it is.
        url: Of the database it shows.
    """

    name: str
    link: str
    library: Library
    url: str
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    log: IO[bytes] | None = None

    def check_running(self) -> None:
        """Raise the library's error where the program ended by itself."""
        if self.process is None or self.process.poll() is None:
            return
        raise self.library.error(f"{self.name} ended with exit code {self.process.returncode}: {self._last_line()}")

    def answers(self) -> bool:
        """Whether a browser would see something."""
        if self.process is None:
            return True
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/health" if self.library is MLFLOW else "/dashboard")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _last_line(self) -> str:
        assert self.log is not None
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").replace(self.url, hide_password(self.url)).strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@contextmanager
def serve_pages(
    study: str, settings: ServiceSettings, dashboard_port: int | None = None, mlflow_port: int | None = None
) -> Iterator[list[Page]]:
    """Start what is needed to show a study; what was started ends with the block.

    Args:
        study: The study's name.
        settings: Where ledger and tracking are; a tracking server is used as it is.
        dashboard_port: Of optuna-dashboard; by default 8080, or a free one where that is taken.
        mlflow_port: Of MLflow's page; by default 5000, or a free one.

    Raises:
        SettingsError: A port is taken, or a program is not installed.
        HpoError: There is nothing to show yet, or a database or server cannot be read.
    """
    storage, tracking = settings.storage, settings.tracking_uri
    trials = _read(storage, OPTUNA, lambda connection: read_trials(connection, study))
    is_server = tracking.startswith("http")
    if is_server:
        runs = read_server(tracking, study, trials.uid)
    else:
        runs = _read(tracking, MLFLOW, lambda connection: read_runs(connection, study, trials.uid))
    with ExitStack() as stack:
        pages = [_start_dashboard(stack, storage, trials, _choose_port("--dashboard-port", dashboard_port, DASHBOARD_PORT))]
        if is_server:
            link = mlflow_link(hide_password(tracking), runs.experiment_id)
            pages.append(Page("mlflow", link, MLFLOW, tracking))
        else:
            pages.append(_start_mlflow(stack, tracking, runs, _choose_port("--mlflow-port", mlflow_port, MLFLOW_PORT)))
        yield pages


def wait_for_pages(pages: Sequence[Page], stop_signal: Callable[[], int | None]) -> bool:
    """Wait until all answer; False where a signal came first.

    Raises:
        HpoError: One ended, or does not answer within a minute.
    """
    deadline = time.monotonic() + START_SECONDS
    for page in pages:
        while not page.answers():
            page.check_running()
            if stop_signal() is not None:
                return False
            if time.monotonic() > deadline:
                raise page.library.error(f"{page.name} does not answer after {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
    return stop_signal() is None


def watch_pages(pages: Sequence[Page], stop_signal: Callable[[], int | None]) -> None:
    """Return when a signal comes.

    Raises:
        HpoError: A page ended by itself.
    """
    while stop_signal() is None:
        for page in pages:
            page.check_running()
        time.sleep(POLL_SECONDS)


def _read(url: str, library: Library, read: Callable[[Any], Any]) -> Any:
    with read_database(url, library) as connection:
        if connection is None:
            raise library.error(
                f"{hide_password(url)} has no tables of {library.package} yet: there is nothing to show",
                hint="python -m hpo.run makes them; or name another with --storage or --tracking-uri",
            )
        return read(connection)


def _choose_port(flag: str, given: int | None, default: int) -> int:
    for port in (default, 0) if given is None else (given,):
        with socket.socket() as listener:
            # As servers do: a port that was closed a moment ago is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError, OverflowError):
                listener.bind((HOST, port))
                return int(listener.getsockname()[1])
    raise SettingsError(f"{flag}: port {given} of {HOST} cannot be had", hint="give another, or leave it out for a free one")


def _start_dashboard(stack: ExitStack, storage: str, trials: Trials, port: int) -> Page:
    arguments = (f"${STORAGE_VARIABLE}", "--host", HOST, "--port", str(port))
    process, log = _start(stack, "optuna-dashboard", arguments, {STORAGE_VARIABLE: storage})
    link = dashboard_link(f"http://{HOST}:{port}", trials.study_id)
    return Page("optuna-dashboard", link, OPTUNA, storage, port, process, log)


def _start_mlflow(stack: ExitStack, tracking_uri: str, runs: Runs, port: int) -> Page:
    arguments = ("ui", "--host", HOST, "--port", str(port), "--workers", "1")
    variables = {MLFLOW_STORE: tracking_uri, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process, log = _start(stack, "mlflow", arguments, variables)
    return Page("mlflow", mlflow_link(f"http://{HOST}:{port}", runs.experiment_id), MLFLOW, tracking_uri, port, process, log)


def _start(
    stack: ExitStack, name: str, arguments: Sequence[str], variables: dict[str, str]
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    if not entry_points(group="console_scripts", name=name):
        raise SettingsError(f"the program {name} is not installed here", hint=f"pip install {name}")
    log = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack is its block
    process = subprocess.Popen(
        [sys.executable, "-m", "hpo.child", str(os.getpid()), name, *arguments],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    stack.callback(_stop, process)
    return process, log


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and all it started: asked first, killed where it does not heed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
