"""Both web pages of a study, optuna-dashboard and MLflow, on this machine alone.

Each runs in a process group of its own, which ends with the block, and with this process even
where that is killed. URLs reach the programs by their environment, since they may hold passwords.
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

from hpo.errors import HpoError, InterruptedBySignal, LedgerError, SettingsError, TrackingError
from hpo.ledger.inspection import OPTUNA, read_database, read_trials
from hpo.ledger.storage import open_storage
from hpo.settings import STORAGE_VARIABLE, ServiceSettings, hide_password
from hpo.tracking.connection import check_reachable, connect
from hpo.tracking.reader import read_runs
from hpo.tracking.saved_view import reads_views, trials_path

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
"""Name to its default port, the path that answers once it is there, the error where it is not."""


class Pages(ExitStack):
    """Both pages, until the end of the ``with`` block.

    Args:
        stop_signal: The number of a signal that asked to stop, or None.
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
        """Start what is needed to show a study, which need not be there yet.

        Args:
            study: The study's name.
            settings: Where ledger and tracking are; a tracking server is used as it is.
            dashboard_port: Of optuna-dashboard; None for its default, else a free one.
            mlflow_port: Of MLflow's page, likewise.

        Returns:
            Program to the address where it shows the study.

        Raises:
            SettingsError: A port is taken.
            HpoError: A database or server cannot be read, or a program ended.
        """
        storage, tracking = settings.storage, settings.tracking_uri
        open_storage(storage).engine.dispose()
        with read_database(storage, OPTUNA) as connection:
            trials = read_trials(connection, study)
        check_reachable(tracking)
        connect(tracking)
        experiment = read_runs(tracking, study, trials.uid).experiment
        path = ""
        if experiment is not None:
            has_view = trials.uid is not None and reads_views(tracking)
            path = trials_path(experiment.experiment_id, str(trials.uid), has_view=has_view)
        dashboard = (
            self._start(
                DASHBOARD, dashboard_port, (f"${STORAGE_VARIABLE}",), {STORAGE_VARIABLE: storage}
            )
            + "/dashboard"
        )
        server = hide_password(tracking).rstrip("/")
        if not tracking.startswith("http"):
            # What "mlflow ui" reads; MLFLOW_TRACKING_URI it does not.
            variables = {
                "MLFLOW_BACKEND_STORE_URI": tracking,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            }
            server = self._start(MLFLOW, mlflow_port, ("ui", "--workers", "1"), variables)
        of_study = "" if trials.study_id is None else f"/studies/{trials.study_id}"
        return {DASHBOARD: f"{dashboard}{of_study}", MLFLOW: f"{server}/{path}"}

    def watch(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Return when a signal comes, or something else is over.

        Raises:
            HpoError: A program ended by itself.
        """
        while self._stop_signal() is None and not is_over():
            for name, (process, log) in self._started.items():
                if process.poll() is not None:
                    log.seek(0)
                    last = (
                        log.read().decode(errors="replace").strip().rpartition("\n")[2]
                        or "it said nothing"
                    )
                    raise PROGRAMS[name][2](
                        f"{name} ended with exit code {process.returncode}: {hide_password(last)}"
                    )
            time.sleep(POLL_SECONDS)

    def _start(
        self, name: str, port: int | None, arguments: Sequence[str], variables: Mapping[str, str]
    ) -> str:
        """Start a program, wait until it answers, and give its address."""
        default, page, error = PROGRAMS[name]
        port = _choose_port(name, port, default)
        log = self.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - ``with`` is the stack's
        command = [
            sys.executable,
            "-m",
            "hpo.child_process",
            str(os.getpid()),
            name,
            *arguments,
            "--host",
            HOST,
            "--port",
            str(port),
        ]
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self.callback(_stop, process)
        self._started[name] = (process, log)
        address, give_up = f"http://{HOST}:{port}", time.monotonic() + START_SECONDS
        self.watch(lambda: _answers(address + page) or time.monotonic() > give_up)
        if (number := self._stop_signal()) is not None:
            raise InterruptedBySignal(
                number, f"stopped before {name} answered", hint="run it again to open both pages"
            )
        if time.monotonic() > give_up:
            raise error(f"{name} does not answer after {START_SECONDS:.0f} s")
        return address


def _choose_port(name: str, given: int | None, default: int) -> int:
    for port in (default, 0) if given is None else (given,):
        with socket.socket() as listener, suppress(OSError, OverflowError):
            # As servers do: a port that was closed a moment ago is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            return int(listener.getsockname()[1])
    raise SettingsError(
        f"{name}: port {given} of {HOST} cannot be had",
        hint="give another, or leave it out for a free one",
    )


def _answers(url: str) -> bool:
    # Of this machine: no proxy that the environment names has a part in it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError), opener.open(url, timeout=STOP_SECONDS):
        return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and all it started: asked first, killed where it does not heed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
