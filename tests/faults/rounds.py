"""Rounds of a storm over several studies at once, and what second clients find when it is over."""

import random
import shutil
import signal
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.checker import check_stores
from tests.support.postgres import Cluster, running_cluster
from tests.support.stores import close_stores
from tests.support.studies import write_table

from .converging import Kept, Place, Reference, count_violations, make_reference
from .driven import Driven, Driver, marked_processes, send
from .server import Server
from .soak import MAX_RUNS
from .storm import Storm

BOUND_SECONDS = 180.0
"""A driver that nobody disturbs any more has ended after so long, also on a busy machine."""
ORPHAN_SECONDS = 20.0
"""What a driver leaves behind ends by itself within this."""

STUDY_FILE = """
[study]
n_trials = 24
concurrency = 2
[data]
source = "t.csv"
target = "y"
"""
COMMANDS = (
    ("--trials", "40", "--workers", "1"),
    ("--study", "study.toml", "--workers", "2"),
)
"""A search in the driver, and one in workers with two trials open at once."""


@dataclass
class Tally:
    """What the rounds did and found."""

    n_rounds: int = 0
    n_studies: int = 0
    n_drivers: int = 0
    disturbances: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.findings and not self.violations.total()

    def to_text(self) -> str:
        kinds = ("lost", "duplicated", "running", "different trials", "different models")
        rows = [
            ("rounds", self.n_rounds),
            ("studies", self.n_studies),
            ("drivers", self.n_drivers),
            ("disturbances", self.disturbances.total()),
            *((f"  {kind}", n) for kind, n in self.disturbances.most_common()),
            *((kind, self.violations[kind]) for kind in kinds),
            ("other findings", len(self.findings)),
        ]
        return "\n".join([*(f"{name:<24} {n:>6}" for name, n in rows), *self.findings])


@dataclass(frozen=True)
class Ground:
    """What the studies of all rounds stand on."""

    root: Path
    server: Server
    cluster: Cluster
    references: tuple[Reference, ...]


@contextmanager
def prepared() -> Iterator[Ground]:
    """A server, a PostgreSQL cluster, and what each command leaves undisturbed."""
    with tempfile.TemporaryDirectory(prefix="hpo-storm-") as name, ExitStack() as stack:
        root = Path(name)
        references = []
        for number, flags in enumerate(COMMANDS):
            where = make_directory(root / f"undisturbed-{number}")
            study = "iris" if number == 0 else "t"
            references.append(make_reference(where, flags, study))
        cluster = stack.enter_context(running_cluster())
        server = Server(make_directory(root / "server"))
        server.start()
        stack.callback(server.stop)
        yield Ground(root, server, cluster, tuple(references))


def make_directory(directory: Path) -> Path:
    """A directory with the table and the study file."""
    directory.mkdir()
    write_table(directory)
    (directory / "study.toml").write_text(STUDY_FILE, encoding="utf-8")
    return directory


def storm_for(seconds: float, *, seed: int, note: Callable[[str], None]) -> Tally:
    """Rounds for so long; round k has the seed ``seed + k``, and ends what it began.

    Args:
        seconds: No round begins later.
        seed: Of the first round.
        note: Is told what happens.
    """
    tally = Tally()
    with prepared() as ground:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            play_round(ground, seed + tally.n_rounds, tally, note)
            tally.n_rounds += 1
    return tally


def play_round(ground: Ground, seed: int, tally: Tally, note: Callable[[str], None]) -> None:
    """Drive some studies at once in a storm, let each end in peace, and look at what is there."""
    generator = random.Random(seed)
    mark = uuid.uuid4().hex
    directory = make_directory(ground.root / f"round-{seed}")
    studies = list(make_studies(ground, directory, seed, mark, generator))
    storm = Storm(studies, ground.server, ground.cluster, mark, seed, note)
    started = time.monotonic()
    for study in studies:
        study.start()
    storm.blow(generator.uniform(15.0, 40.0))
    storm.end()
    findings = [*rest(studies, mark)]
    findings += [*finish(studies, mark)]
    for study in studies:
        if study.has_ended_well:
            findings += [*check(study, tally)]
        tally.n_drivers += len(study.drivers)
    tally.n_studies += len(studies)
    tally.disturbances.update(storm.counted)
    tally.findings += [f"seed {seed}, {finding}" for finding in findings]
    seconds = time.monotonic() - started
    note(f"seed {seed}: {storm.counted.total()} disturbances in {seconds:.0f} s, {findings}")
    close_stores()
    shutil.rmtree(directory)


def make_studies(
    ground: Ground, directory: Path, seed: int, mark: str, generator: random.Random
) -> Iterator[Driven]:
    """Each command on SQLite and on PostgreSQL; MLflow is the server, or sometimes a file."""
    ledger = ground.cluster.make_database(f"storm-{seed}")
    for on_postgresql in (False, True):
        for number, reference in enumerate(ground.references):
            has_server = generator.random() < 0.75
            place = Place(
                directory,
                (ground.server.directory / "server.db") if has_server else directory / "mlflow.db",
                ground.server.address if has_server else None,
                ledger=ledger if on_postgresql else None,
            )
            name = f"storm-{seed}-{'pg' if on_postgresql else 'sqlite'}-{number}"
            yield Driven(name, place, reference.flags, reference, mark)


def rest(
    studies: list[Driven],
    mark: str,
    bound_seconds: float = BOUND_SECONDS,
    orphan_seconds: float = ORPHAN_SECONDS,
) -> Iterator[str]:
    """Let every driver end, then every process; name what is older than its bound and kill it."""
    until = time.monotonic() + bound_seconds
    while time.monotonic() < until and any(study.running for study in studies):
        time.sleep(0.2)
    for study in studies:
        for driver in study.running:
            age = time.monotonic() - driver.started
            yield f"{study.study}: pid {driver.pid} runs for {age:.0f} s: {said(driver)}"
            send(driver.pid, signal.SIGKILL, group=True)
            driver.process.wait()
    until = time.monotonic() + orphan_seconds
    while time.monotonic() < until and marked_processes(mark):
        time.sleep(0.2)
    for pid in marked_processes(mark):
        yield f"process {pid} is left of a driver that has ended"
        send(pid, signal.SIGKILL)


def said(driver: Driver) -> str:
    return driver.log.read_text(encoding="utf-8", errors="replace").strip()[-300:]


def finish(studies: list[Driven], mark: str) -> Iterator[str]:
    """Run the command of each study until it ends well, and look at how every driver ended."""
    for _ in range(MAX_RUNS):
        for study in studies:
            if study.drivers[-1].process.returncode != 0:
                study.start()
        yield from rest(studies, mark)
    for study in studies:
        last = study.drivers[-1]
        if last.process.returncode != 0:
            yield f"{study.study}: never ends well: {last.process.returncode}: {said(last)}"
        for driver in study.drivers:
            for finding in driver.findings():
                yield f"{study.study}: {finding}"


def check(study: Driven, tally: Tally) -> Iterator[str]:
    """Compare a finished study with the undisturbed one, and its two places with each other."""
    violations = Counter(count_violations(study.place, study.reference, study.study, Kept()))
    violations["lost"] += study.n_lost()
    tally.violations.update(violations)
    for kind, n in violations.items():
        if n:
            yield f"{study.study}: {kind} {n}"
    try:
        check_stores(
            study.place.storage,
            study.place.tracking_uri,
            n_trials=len(study.reference.table),
            study=study.study,
        )
    except AssertionError as error:
        yield f"{study.study}: the two places disagree: {error}"
