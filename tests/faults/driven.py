"""A study that is driven by processes that come and go, and what second clients remember of it.

Every process that a driver starts carries a mark in its environment: none can hide, in whatever
group or session it is.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from tests.support.checker import read_runs
from tests.support.commands import NO_PLOTS, environment
from tests.support.processes import command_line, processes
from tests.support.stores import ask

from .converging import Kept, Place, Reference

MARK = "HPO_SOAK"
EXPECTED_CODES = {0, 3, 4, 7, 130, 143, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
"""Done, behind, ledger away, driven elsewhere, ended by a signal; all else is a finding."""


def marked_processes(mark: str) -> list[int]:
    """Every process with this mark in its environment, zombies left out."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid, _, _ in processes() if wanted in _environment(pid)]


def _environment(pid: int) -> list[bytes]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def send(pid: int, number: signal.Signals, *, group: bool = False) -> None:
    """Send a signal to a process or its group, which may have ended meanwhile."""
    with suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(pid, number)


class Driver:
    """One start of the command; what it prints goes to a file, which no reader can hold up."""

    def __init__(self, place: Place, flags: tuple[str, ...], mark: str, log: Path) -> None:
        self.log = log
        self.has_lost_workers = False
        with log.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hpo.run", *flags, NO_PLOTS],
                cwd=place.directory,
                env=environment(**place.variables, **{MARK: mark}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def children(self) -> dict[str, list[int]]:
        """Its tracking process and its workers, which are in its session."""
        found: dict[str, list[int]] = {"tracking": [], "worker": []}
        for pid, parent, _ in processes():
            if parent == self.pid:
                line = command_line(pid)
                kind = "tracking" if b"hpo.tracking.process" in line else "worker"
                if kind == "tracking" or b"loky.backend.popen_loky" in line:
                    found[kind].append(pid)
        return found

    def findings(self) -> Iterator[str]:
        """What is wrong with how it ended."""
        said = self.log.read_text(encoding="utf-8", errors="replace")
        code = self.process.returncode
        if code not in EXPECTED_CODES and not (code == 1 and self.has_lost_workers):
            yield f"exit code {code}: {said.strip()[-600:]}"
        elif "Traceback" in said and code != -signal.SIGKILL:
            yield f"traceback: {said.strip()[-2000:]}"


@dataclass
class Driven:
    """One study, from its first driver to its last.

    Attributes:
        study: Its name.
        place: Where ledger and MLflow are.
        flags: Of the command.
        reference: What the same command leaves where nobody disturbs it.
        mark: Of all its processes.
    """

    study: str
    place: Place
    flags: tuple[str, ...]
    reference: Reference
    mark: str
    drivers: list[Driver] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)

    @property
    def running(self) -> list[Driver]:
        return [driver for driver in self.drivers if driver.is_running]

    @property
    def has_ended_well(self) -> bool:
        return any(driver.process.poll() == 0 for driver in self.drivers)

    def start(self) -> Driver:
        log = self.place.directory / f"{self.study}-{len(self.drivers)}.log"
        flags = (*self.flags, "--name", self.study)
        self.drivers.append(Driver(self.place, flags, self.mark, log))
        return self.drivers[-1]

    def remember(self) -> None:
        """Keep what is finished now: none of it may be lost later."""
        self.kept |= remembered(self.place, self.study)

    def n_lost(self) -> int:
        now = remembered(self.place, self.study)
        return len(self.kept.trials - now.trials) + len(self.kept.runs.keys() - now.runs.keys())


def remembered(place: Place, study: str) -> Kept:
    """Finished trials with their params, scores and times, and finished child runs by their keys,
    as Optuna's and MLflow's clients tell them.
    """
    return Kept(set(_finished_trials(place, study)), dict(_finished_runs(place, study)))


def _finished_trials(place: Place, study: str) -> Iterator[tuple]:
    if place.ledger is None and not (place.directory / "optuna.db").exists():
        return
    # The tables or the study are not there yet, or the session was cut off.
    with ExitStack() as stack:
        stack.enter_context(
            suppress(KeyError, SQLAlchemyError, optuna.exceptions.StorageInternalError)
        )
        # Looking makes no tables: a driver may be making them.
        storage = RDBStorage(place.storage, skip_table_creation=True)
        stack.callback(storage.engine.dispose)
        for trial in optuna.load_study(study_name=study, storage=storage).trials:
            if trial.state.is_finished():
                yield (
                    *(trial.number, trial.state.name, repr(trial.params), repr(trial.values)),
                    *(trial.datetime_start, trial.datetime_complete),
                )


def _finished_runs(place: Place, study: str) -> Iterator[tuple[str, str]]:
    if not ask(place.database, f"SELECT 1 FROM experiments WHERE name = '{study}'"):
        return
    client = MlflowClient(place.tracking_uri)
    with suppress(MlflowException):  # frozen, or cut off
        for run in read_runs(client, client.get_experiment_by_name(study).experiment_id):
            if run.info.status != "RUNNING" and "mlflow.parentRunId" in run.data.tags:
                yield run.data.tags["hpo.key"], run.info.run_id
