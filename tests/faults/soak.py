"""The command killed at random times, over and over, and what is left of the study when it is done."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.commands import COMMAND_SECONDS, run_hpo, start_hpo
from tests.support.servers import free_port, serving_tracking
from tests.support.stores import ask, count_told

from .converging import (
    Kept,
    Place,
    Reference,
    count_violations,
    make_reference,
    place_in,
    read_kept,
)
from .proxy import Proxy
from .racing import race

STAGES = ("start-up", "search", "model logging", "closing")
MAX_KILLS_OF_A_STUDY = 5
MAX_RUNS = 5
"""So many undisturbed runs may be needed until one ends with 0, where answers are lost."""

MakePlace = Callable[[str], Place]


@dataclass
class Report:
    """What a soak found."""

    n_kills: int = 0
    n_studies: int = 0
    violations: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    unfinished: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.unfinished and not self.violations.total()

    def to_text(self) -> str:
        stages = ", ".join(f"{stage} {self.stages[stage]}" for stage in STAGES)
        kinds = ("lost", "duplicated", "running", "different trials", "different models")
        found = ", ".join(f"{kind} {self.violations[kind]}" for kind in kinds)
        return "\n".join(
            [f"{self.n_kills} kills of {self.n_studies} studies: {stages}", found, *self.unfinished]
        )


@contextmanager
def places(*, server: bool, seed: int) -> Iterator[MakePlace]:
    """Makes a place for each study: SQLite files, or a server behind a proxy that loses a tenth of
    its answers.
    """
    with tempfile.TemporaryDirectory(prefix="hpo-soak-") as directory, ExitStack() as stack:
        root = Path(directory)
        if server:
            port = free_port()
            address = stack.enter_context(serving_tracking(root, port))
            proxy = stack.enter_context(Proxy(port, seed))
            proxy.set_mode("drop")

        def make(name: str) -> Place:
            where = root / name
            where.mkdir()
            return (
                Place(where, root / "server.db", address, proxy.address)
                if server
                else place_in(where)
            )

        yield make


def soak(
    n_kills: int, *, seed: int, server: bool, n_trials: int, note: Callable[[str], None]
) -> Report:
    """Kill so many runs, each study of them resumed until it is done.

    Args:
        n_kills: In all.
        seed: Decides when, how often a study, and which answers are lost.
        server: Whether MLflow is a server whose answers are lost.
        n_trials: Of each study.
        note: Is told of every study.
    """
    generator = random.Random(seed)
    report = Report()
    with places(server=False, seed=seed) as make:
        started = time.monotonic()
        reference = make_reference(make("undisturbed").directory, ("--trials", str(n_trials)))
        whole_seconds = time.monotonic() - started
    with places(server=server, seed=seed) as make:
        while report.n_kills < n_kills:
            report.n_studies += 1
            study = f"soak-{report.n_studies}"
            place = make(study)
            flags = (*reference.flags, "--name", study)
            kept = Kept()
            for _ in range(
                min(generator.randint(1, MAX_KILLS_OF_A_STUDY), n_kills - report.n_kills)
            ):
                moment = generator.uniform(0.0, whole_seconds)
                if kill_at(moment, place, flags, alone=report.n_kills % 2 == 0):
                    stage = stage_of(place, study, n_trials)
                    report.stages[stage] += 1
                    report.n_kills += 1
                    kept |= read_kept(place, study)
                    note(
                        f"{study}: killed after {moment:.2f} s in {stage}, {count_told(place.directory)} trials told"
                    )
            error = finish(place, flags)
            if error:
                report.unfinished.append(f"{study}: {error}")
            found = count_violations(place, reference, study, kept)
            report.violations.update(found)
            note(
                f"{study}: {sum(found.values())} violations {found if any(found.values()) else ''}"
            )
            shutil.rmtree(place.directory)
    return report


def kill_at(moment: float, place: Place, flags: tuple[str, ...], *, alone: bool) -> bool:
    """Start the command and kill it after so many seconds; False where it had ended before."""
    process = start_hpo(place.directory, *flags, **place.variables)
    time.sleep(moment)
    is_running = process.poll() is None
    if is_running:
        # What the driver leaves behind may still be writing when the next run starts.
        (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    process.communicate()
    return is_running


def stage_of(place: Place, study: str, n_trials: int) -> str:
    """What a killed run was doing, by what it left in the files."""
    n_told = len(read_kept(place, study).trials)
    if n_told < n_trials:
        exists = ask(place.directory / "optuna.db", "SELECT number FROM trials")
        return "search" if exists else "start-up"
    ready = ask(
        place.database,
        f"SELECT 1 FROM logged_models JOIN experiments USING (experiment_id) WHERE experiments.name = '{study}' AND status = 2",
    )
    return "closing" if ready else "model logging"


def finish(place: Place, flags: tuple[str, ...]) -> str:
    """Run the command until it ends well; what it said where it never does."""
    said = ""
    for _ in range(MAX_RUNS):
        process = start_hpo(place.directory, *flags, **place.variables)
        _, stderr = process.communicate(timeout=COMMAND_SECONDS)
        if process.returncode == 0:
            return ""
        said = f"exit code {process.returncode}: {stderr.strip()}"
        if process.returncode != 3:
            return said
    return said


def race_often(n_rounds: int, *, note: Callable[[str], None]) -> Report:
    """Two drivers at once, half of the rounds on new files, half on those of a shorter study."""
    report = Report()
    with places(server=False, seed=0) as make:
        reference: Reference = make_reference(make("undisturbed").directory, ("--trials", "12"))
        for number in range(n_rounds):
            report.n_studies += 1
            place = make(f"race-{number}")
            if number % 2:
                run_hpo(place.directory, "--trials", "2")
            error = race(place, reference.flags) or finish(place, reference.flags)
            if error:
                report.unfinished.append(f"race {number}: {error}")
            found = count_violations(place, reference, "iris", Kept())
            report.violations.update(found)
            note(f"race {number}: {error or 'one won, the other was told'}")
            shutil.rmtree(place.directory)
    return report
