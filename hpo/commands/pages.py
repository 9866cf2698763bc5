"""Starts both web pages of a study, optuna-dashboard and MLflow, for this machine alone.

Each page runs in a process group of its own, which ends with the ``with`` block, and with this
process even if that is killed. The programs get URLs through their environment, since a URL may
hold a password.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import IO

from hpo.commands.output import say_error
from hpo.errors import HpoError, InterruptedBySignal, LedgerError, SettingsError, TrackingError
from hpo.escaping import hide_password
from hpo.ledger.inspection import OPTUNA, read_database, read_trials
from hpo.ledger.listing import list_studies, missing_study
from hpo.ledger.storage import open_storage
from hpo.settings import STORAGE_VARIABLE, ServiceSettings
from hpo.sqlite import remove_logs
from hpo.tracking.connection import check_reachable, connect
from hpo.tracking.saved_view import reads_views, trials_path
from hpo.tracking.study_runs import read_runs

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.1

DASHBOARD = "optuna-dashboard"
MLFLOW = "mlflow"
PROGRAMS: Mapping[str, tuple[int, str, type[HpoError]]] = {
    DASHBOARD: (8080, "/dashboard", LedgerError),
    MLFLOW: (5000, "/health", TrackingError),
}
"""Each program's default port, the path that answers once it is up, and the error if it is not."""


class Pages(ExitStack):
    """Both pages, up until the end of the ``with`` block.

    Args:
        stop_signal: Returns the number of a signal that asked to stop, or None.
    """

    def __init__(self, stop_signal: Callable[[], int | None]) -> None:
        super().__init__()
        self._stop_signal = stop_signal
        self._started: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}

    def show(
        self,
        study: str,
        settings: ServiceSettings,
        dashboard_port: int | None,
        mlflow_port: int | None,
    ) -> dict[str, str]:
        """Start the programs that show a study, which need not exist yet.

        Args:
            study: The study's name.
            settings: Where ledger and tracking are; a tracking server is used as it is.
            dashboard_port: Port of optuna-dashboard; None takes its default, or a free port if
                that is taken.
            mlflow_port: Port of MLflow's page, likewise.

        Returns:
            Each program's address of the study.

        Raises:
            SettingsError: A port is taken.
            HpoError: A database or server cannot be read, or a program ended.
        """
        storage = settings.storage
        tracking = settings.tracking_uri
        self.callback(remove_logs, settings.sqlite_files())
        open_storage(storage, self._stop_signal).engine.dispose()
        with read_database(storage, OPTUNA) as connection:
            trials = read_trials(connection, study)
            studies = list_studies(connection)
        if studies and trials.study_id is None:
            say_error(missing_study(study, studies, storage))
        check_reachable(tracking)
        connect(tracking, self._stop_signal)
        experiment = read_runs(tracking, study, trials.uid).experiment
        path = ""
        if experiment is not None:
            has_view = trials.uid is not None and reads_views(tracking)
            path = trials_path(experiment.experiment_id, str(trials.uid), has_view=has_view)
        arguments = [f"${STORAGE_VARIABLE}"]
        dashboard = self._start(DASHBOARD, dashboard_port, arguments, {STORAGE_VARIABLE: storage})
        server = hide_password(tracking).rstrip("/")
        if not tracking.startswith("http"):
            # "mlflow ui" reads these, but not MLFLOW_TRACKING_URI.
            variables = {
                "MLFLOW_BACKEND_STORE_URI": tracking,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            }
            server = self._start(MLFLOW, mlflow_port, ["ui", "--workers", "1"], variables)
        of_study = "" if trials.study_id is None else f"/studies/{trials.study_id}"
        return {DASHBOARD: f"{dashboard}/dashboard{of_study}", MLFLOW: f"{server}/{path}"}

    def watch(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Wait until a signal comes, or something else is over.

        Raises:
            HpoError: A program ended by itself.
        """
        while self._stop_signal() is None and not is_over():
            for name, (process, log) in self._started.items():
                if process.poll() is not None:
                    ended = f"{name} ended with exit code {process.returncode}"
                    raise PROGRAMS[name][2](f"{ended}: {hide_password(_last_line(log))}")
            time.sleep(POLL_SECONDS)

    def _start(
        self, name: str, port: int | None, arguments: Sequence[str], variables: Mapping[str, str]
    ) -> str:
        """Start a program, wait until it answers, and return its address."""
        default, page, error = PROGRAMS[name]
        chosen = _choose_port(name, port, default)
        log = self.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - ``with`` is the stack's
        child = [sys.executable, "-m", "hpo.child_process", str(os.getpid())]
        process = subprocess.Popen(
            [*child, name, *arguments, "--host", HOST, "--port", str(chosen)],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self.callback(_stop, process)
        self._started[name] = (process, log)
        address = f"http://{HOST}:{chosen}"
        give_up = time.monotonic() + START_SECONDS
        self.watch(lambda: _answers(address + page) or time.monotonic() > give_up)
        if (number := self._stop_signal()) is not None:
            raise InterruptedBySignal(
                number, f"stopped before {name} answered", hint="run it again to open both pages"
            )
        if time.monotonic() > give_up:
            raise error(f"{name} does not answer after {START_SECONDS:.0f} s")
        return address


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    text = log.read().decode(errors="replace").strip()
    return text.rpartition("\n")[2] or "it said nothing"


def _choose_port(name: str, given: int | None, default: int) -> int:
    for port in (default, 0) if given is None else (given,):
        with socket.socket() as listener, suppress(OSError, OverflowError):
            # As servers do, so that a port that was closed a moment ago counts as free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            return int(listener.getsockname()[1])
    raise SettingsError(
        f"{name}: port {given} of {HOST} cannot be had",
        hint="give another, or leave it out for a free one",
    )


def _answers(url: str) -> bool:
    # The page is on this machine: a proxy that the environment names does not apply.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError), opener.open(url, timeout=STOP_SECONDS):
        return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a program and all that it started to end, then kill what is left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
