"""Twenty studies handed in at once, three servers that are killed at random, and what is left.

Nobody drives a study beside another: the log of its lock says so. What a process that was killed
held is free from the moment that it is dead, and what PostgreSQL held when it was restarted.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hpo.errors import LedgerError
from hpo.service.status import read_status
from hpo.settings import ServiceSettings
from tests.support.checker import check_nothing_runs, check_projection, read_stores, trial_table
from tests.support.commands import environment, start_python
from tests.support.fixtures import make_databases
from tests.support.here import run_here
from tests.support.postgres import Cluster, running_cluster
from tests.support.processes import command_line, processes
from tests.support.service import StudyServer
from tests.support.stores import close_stores, stores_of
from tests.support.studies import write_table

from .driven import MARK, marked_processes, send
from .server import Server

N_TRIALS = 15
TABLES = (
    ("--data", "iris"),
    ("--data", "wine"),
    ("--data", "breast_cancer"),
    ("--data", "t.csv", "--target", "y"),
)
ESTIMATORS = ("LogisticRegression", "KNeighborsClassifier")
N_STUDIES, N_CLIENTS, N_SERVERS, N_RESTARTS = 20, 4, 3, 2
PACE_SECONDS = 30.0
"""The longest pause between two kills."""
DONE_SECONDS = 900.0
"""All studies are done so long after the last kill, also on a busy machine."""

_CLIENT = """
import json, sys
from hpo.commands.main import main
sys.exit(max(main(["submit", *flags]) for flags in json.loads(sys.argv[1])))
"""
"""One client: one study after the other."""


@dataclass
class ServiceReport:
    """What was done and what was found."""

    kills: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    n_studies: int = 0
    n_takes: int = 0
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return not self.findings

    def to_text(self) -> str:
        kills = ", ".join(f"{kind} {n}" for kind, n in sorted(self.kills.items()))
        return "\n".join(
            [
                f"{self.n_studies} studies, {self.kills.total()} kills in {self.seconds:.0f} s: {kills}",
                f"locks taken {self.n_takes}, findings {len(self.findings)}",
                *self.findings,
            ]
        )


def flags_of(number: int) -> tuple[str, ...]:
    """The flags of a study: each table and each estimator, with other seeds from the ninth on."""
    estimator = ESTIMATORS[number // len(TABLES) % len(ESTIMATORS)]
    return (
        *TABLES[number % len(TABLES)],
        *("--estimator", estimator, "--name", f"s{number}"),
        *("--trials", str(N_TRIALS), "--seed", str(number // 8), "--no-plots"),
    )


class Servers:
    """Servers of one storage, each started again once it was killed, as an orchestrator does."""

    def __init__(self, directory: Path, mark: str, variables: dict[str, str]) -> None:
        self._directory = directory
        folders = {"HPO_CACHE": str(directory / "cache"), "TMPDIR": str(directory)}
        self._variables = {**variables, **folders, MARK: mark}
        self.started: list[StudyServer] = []
        self.running: list[StudyServer] = []

    def start(self) -> None:
        while len(self.running) < N_SERVERS:
            path = self._directory / f"serve-{len(self.started)}.log"
            with path.open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "hpo", "serve"],
                    cwd=self._directory,
                    env=environment(**self._variables),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
            self.started.append(StudyServer(process, path))
            self.running.append(self.started[-1])

    def strike(self, server: StudyServer, number: signal.Signals) -> None:
        self.running.remove(server)
        server.process.send_signal(number)
        self.start()

    def ended_by_themselves(self) -> Iterator[str]:
        """What each server said that ended though nobody asked it to."""
        for server in [each for each in self.running if each.process.poll() is not None]:
            self.running.remove(server)
            yield f"server ended with {server.process.returncode}: {server.log.strip()[-300:]}"
        self.start()


class Watch(threading.Thread):
    """Notes when each marked process was last seen alive."""

    def __init__(self, mark: str) -> None:
        super().__init__(daemon=True)
        self._mark = mark
        self.seen: dict[int, float] = {}
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            now = time.time()
            self.seen.update(dict.fromkeys(marked_processes(self._mark), now))
            time.sleep(0.1)


@dataclass
class Chaos:
    """Kills, as a seed decides."""

    settings: ServiceSettings
    servers: Servers
    mlflow: Server
    cluster: Cluster
    mark: str
    generator: random.Random
    note: Callable[[str], None]
    restarts: list[float] = field(default_factory=list)
    _back_at: float | None = None

    def kill(self, kind: str) -> bool:
        """Kill one; False where there is none of the kind just now."""
        if kind == "PostgreSQL restarted":
            self.cluster.stop()
            self.restarts.append(time.time())
            time.sleep(self.generator.uniform(0.0, 3.0))
            self.cluster.start()
        elif kind == "MLflow killed":
            if not self.mlflow.is_running:
                return False
            self.mlflow.stop()
            self._back_at = time.monotonic() + self.generator.uniform(0.5, 6.0)
        elif kind.startswith("server"):
            number = signal.SIGKILL if kind.endswith("killed") else signal.SIGTERM
            self.servers.strike(self.generator.choice(self.servers.running), number)
        else:
            module = (
                b"hpo.service.study_process"
                if kind.startswith("study")
                else b"hpo.tracking.process"
            )
            pids = [pid for pid in marked_processes(self.mark) if module in command_line(pid)]
            if not pids:
                return False
            send(self.generator.choice(pids), signal.SIGKILL)
        return True

    def wait_for_trials(self, n_told: int) -> None:
        """Wait until so many trials are told in all, but not for ever."""
        until = time.monotonic() + PACE_SECONDS
        while time.monotonic() < until:
            with suppress(LedgerError):
                if sum(status.n_trials for status in read_status(self.settings)) >= n_told:
                    return
            self.bring_back()
            time.sleep(0.2)

    def bring_back(self, *, now: bool = False) -> None:
        if self._back_at is not None and (now or time.monotonic() >= self._back_at):
            self.mlflow.start()
            self._back_at = None


def kinds_of(n_kills: int, generator: random.Random) -> list[str]:
    """So many kills in a random order, PostgreSQL's among them as often as is asked for."""
    others = (
        "server killed",
        "server terminated",
        "study process killed",
        "tracking process killed",
        "MLflow killed",
    )
    weights = (8, 3, 14, 8, 4)
    kinds = generator.choices(others, weights, k=n_kills - N_RESTARTS)
    kinds += ["PostgreSQL restarted"] * N_RESTARTS
    generator.shuffle(kinds)
    return kinds


def storm_service(n_kills: int, *, seed: int, note: Callable[[str], None]) -> ServiceReport:
    """Hand studies in, kill what drives them, and look at what is there when all are done."""
    generator = random.Random(seed)
    report = ServiceReport(n_studies=N_STUDIES)
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="hpo-service-") as name, ExitStack() as stack:
        root = Path(name)
        expected = make_references(root / "alone", note)
        cluster = stack.enter_context(running_cluster())
        mlflow = make_mlflow(root / "mlflow")
        stack.callback(mlflow.stop)
        variables = {
            "HPO_STORAGE": cluster.make_database("service"),
            "MLFLOW_TRACKING_URI": mlflow.address,
        }
        settings = ServiceSettings(variables["HPO_STORAGE"], mlflow.address)
        watch = Watch(mark)
        watch.start()
        servers = Servers(root, mark, variables)
        stack.callback(end_all, mark)
        servers.start()
        write_table(root)
        started = time.monotonic()
        with submitting(root, variables) as clients:
            chaos = Chaos(settings, servers, mlflow, cluster, mark, generator, note)
            blow(chaos, kinds_of(n_kills, generator), report)
            report.findings += [*ends_of(clients)]
        report.findings += [*wait_until_done(settings, servers, note)]
        report.seconds = time.monotonic() - started
        report.findings += [*check_studies(settings, expected)]
        watch.is_over = True
        watch.join()
        locks = sorted(
            (lock for server in servers.started for lock in server.locks()),
            key=lambda lock: lock[3],
        )
        report.n_takes = sum(what == "took" for what, *_ in locks)
        report.findings += [*driven_twice(locks, watch.seen, chaos.restarts)]
    return report


def make_references(directory: Path, note: Callable[[str], None]) -> list[list[tuple[str, ...]]]:
    """The trials of each study where ``run`` alone makes them."""
    directory.mkdir()
    make_databases(directory)
    write_table(directory)
    for number in range(N_STUDIES):
        ended = run_here(directory, *flags_of(number))
        assert ended.returncode == 0, ended.stderr
    note(f"{N_STUDIES} studies run alone")
    storage = stores_of(directory)["storage"]
    return [trial_table(storage, f"s{number}") for number in range(N_STUDIES)]


def make_mlflow(directory: Path) -> Server:
    directory.mkdir()
    server = Server(directory)
    server.start()
    return server


@contextmanager
def submitting(directory: Path, variables: dict[str, str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Clients that hand the studies in, at once."""
    clients = []
    for client in range(N_CLIENTS):
        flags = [flags_of(number) for number in range(client, N_STUDIES, N_CLIENTS)]
        clients.append(start_python(directory, "-c", _CLIENT, json.dumps(flags), **variables))
    # What a client meets that MLflow or PostgreSQL is away for is its user's to repeat: no kills yet.
    for client in clients:
        client.wait(timeout=DONE_SECONDS)
    yield clients


def ends_of(clients: Sequence[subprocess.Popen[str]]) -> Iterator[str]:
    for client in clients:
        _, said = client.communicate()
        if client.returncode != 0:
            yield f"a client ended with {client.returncode}: {said.strip()[-300:]}"


def blow(chaos: Chaos, kinds: list[str], report: ServiceReport) -> None:
    """Kill one after the other, spread over the work by how many trials are told."""
    for number, kind in enumerate(kinds):
        chaos.wait_for_trials(N_STUDIES * N_TRIALS * number // len(kinds))
        time.sleep(chaos.generator.uniform(0.0, 2.0))
        chaos.bring_back()
        report.findings += [*chaos.servers.ended_by_themselves()]
        while not chaos.kill(kind):
            time.sleep(0.1)
            chaos.bring_back()
        report.kills[kind] += 1
        chaos.note(kind)
    chaos.bring_back(now=True)


def wait_until_done(
    settings: ServiceSettings, servers: Servers, note: Callable[[str], None]
) -> Iterator[str]:
    """Wait until all studies are; say which are not."""
    until = time.monotonic() + DONE_SECONDS
    shown: Counter[str] = Counter()
    while time.monotonic() < until:
        states = Counter(status.state for status in read_status(settings))
        if states != shown:
            note(f"studies: {dict(states)}")
            shown = states
        if states["queued"] + states["running"] == 0:
            break
        yield from servers.ended_by_themselves()
        time.sleep(0.5)
    for status in read_status(settings):
        if status.state != "done":
            yield f"{status.name}: {status.state}: {status.reason}"


def check_studies(
    settings: ServiceSettings, expected: list[list[tuple[str, ...]]]
) -> Iterator[str]:
    """Each study has its trials, those of ``run`` alone, one run each, and one model."""
    found = read_status(settings)
    if len(found) != N_STUDIES:
        yield f"{len(found)} studies are there"
    for number, trials in enumerate(expected):
        name = f"s{number}"
        if trial_table(settings.storage, name) != trials:
            yield f"{name}: its trials differ from those of run alone"
        try:
            picture = read_stores(settings.storage, settings.tracking_uri, name)
            assert len(picture.trials) == N_TRIALS
            check_nothing_runs(picture.trials, settings.tracking_uri)
            check_projection(picture)
            assert len(picture.current_models) == 1
        except AssertionError as error:
            yield f"{name}: the two places disagree: {error}"
    close_stores()


def driven_twice(
    locks: Sequence[tuple[str, str, int, float]],
    seen: dict[int, float],
    restarts: Sequence[float],
) -> Iterator[str]:
    """Who took a lock while another process that was alive held it, by the lock's own log."""
    holders: dict[str, tuple[int, float]] = {}
    for what, study, pid, at in locks:
        holder, since = holders.get(study, (pid, at))
        if what == "let go":
            if holder == pid:
                holders.pop(study, None)
            continue
        is_cut = any(since <= restart <= at for restart in restarts)
        if holder != pid and seen.get(holder, 0.0) > at and not is_cut:
            yield f"{study}: pid {pid} took it {at - since:.3f} s after pid {holder}, which had it"
        holders[study] = (pid, at)


def end_all(mark: str) -> None:
    """End what is left: servers first, whose study processes then end by themselves."""
    while pids := [
        pid for pid in marked_processes(mark) if any(pid == each for each, _, _ in processes())
    ]:
        for pid in pids:
            send(pid, signal.SIGKILL)
        time.sleep(0.1)
