"""Disturbances at random: which, of whom and when is decided by a seed.

Nothing waits for what it did: what is stopped, frozen or away comes back when its time is up, or
when the storm is over.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from tests.support.postgres import Cluster

from .driven import Driven, Driver, marked_processes, send
from .server import Server

Back = Callable[[], object]


@dataclass
class Storm:
    """What happens to some studies, their drivers and servers.

    Args:
        studies: Driven at once.
        server: MLflow's.
        cluster: PostgreSQL's.
        mark: Of every process of these studies.
        seed: Decides everything but how fast the processes are.
        note: Is told of every disturbance.
    """

    studies: list[Driven]
    server: Server
    cluster: Cluster
    mark: str
    seed: int
    note: Callable[[str], None]
    counted: Counter[str] = field(default_factory=Counter)
    _due: list[tuple[float, Back]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def blow(self, seconds: float) -> None:
        """Disturb for so long."""
        kinds = dict(self._kinds())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(self._random.uniform(0.02, 0.8))
            self._bring_back()
            (kind,) = self._random.choices(list(kinds), [weight for weight, _ in kinds.values()])
            study = self._random.choice(self.studies)
            if kinds[kind][1](study):
                self.counted[kind] += 1
                self.note(f"{study.study}: {kind}")

    def end(self) -> None:
        """Bring everything back, and every process to life."""
        self._bring_back(everything=True)
        for pid in marked_processes(self.mark):
            send(pid, signal.SIGCONT)

    def _kinds(self) -> dict[str, tuple[int, Callable[[Driven], bool]]]:
        """Each disturbance with its weight; it says whether there was anything to disturb."""
        kill, stop, terminate = signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM
        return {
            "driver started": (10, self._start_again),
            "second driver": (4, self._start_second),
            "driver killed": (4, lambda study: self._strike(study, kill)),
            "group killed": (4, lambda study: self._strike(study, kill, group=True)),
            "driver terminated": (3, lambda study: self._strike(study, terminate)),
            "group interrupted": (2, lambda study: self._strike(study, signal.SIGINT, group=True)),
            "driver stopped": (4, lambda study: self._strike(study, stop)),
            "group stopped": (2, lambda study: self._strike(study, stop, group=True)),
            "tracking killed": (3, lambda study: self._strike_child(study, "tracking", kill)),
            "tracking stopped": (3, lambda study: self._strike_child(study, "tracking", stop)),
            "worker killed": (3, lambda study: self._strike_child(study, "worker", kill)),
            "worker stopped": (2, lambda study: self._strike_child(study, "worker", stop)),
            "sessions terminated": (4, self._terminate_sessions),
            "PostgreSQL restarted": (1, self._restart_cluster),
            "server killed": (1, self._kill_server),
            "server frozen": (1, self._freeze_server),
            "looked at": (4, self._look),
        }

    def _later(self, back: Back, most: float = 8.0) -> None:
        self._due.append((time.monotonic() + self._random.uniform(0.2, most), back))

    def _bring_back(self, *, everything: bool = False) -> None:
        now = time.monotonic()
        due = [back for when, back in self._due if everything or when <= now]
        self._due = [(when, back) for when, back in self._due if not everything and when > now]
        for back in due:
            back()

    def _start_again(self, study: Driven) -> bool:
        if study.running or study.has_ended_well:
            return False
        study.start()
        return True

    def _start_second(self, study: Driven) -> bool:
        if len(study.running) != 1:
            return False
        study.start()
        return True

    def _some_driver(self, study: Driven) -> Driver | None:
        return self._random.choice(study.running) if study.running else None

    def _strike(self, study: Driven, number: signal.Signals, *, group: bool = False) -> bool:
        driver = self._some_driver(study)
        if driver is None:
            return False
        send(driver.pid, number, group=group)
        if number == signal.SIGSTOP:
            self._later(lambda: send(driver.pid, signal.SIGCONT, group=group))
        return True

    def _strike_child(self, study: Driven, kind: str, number: signal.Signals) -> bool:
        driver = self._some_driver(study)
        found = driver.children[kind] if driver else []
        if not found:
            return False
        pid = self._random.choice(found)
        send(pid, number)
        driver.has_lost_workers |= kind == "worker"
        if number == signal.SIGSTOP:
            self._later(lambda: send(pid, signal.SIGCONT))
        return True

    def _terminate_sessions(self, study: Driven) -> bool:
        if study.place.ledger is None:
            return False
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
        address = study.place.ledger.replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            return bool(connection.execute(query).fetchall())

    def _restart_cluster(self, _: Driven) -> bool:
        self.cluster.stop()
        time.sleep(self._random.uniform(0.0, 3.0))
        self.cluster.start()
        return True

    def _kill_server(self, _: Driven) -> bool:
        if not self.server.is_answering:
            return False
        self.server.stop()
        self._later(self.server.start)
        return True

    def _freeze_server(self, _: Driven) -> bool:
        if not self.server.is_answering:
            return False
        self.server.freeze()
        self._later(self.server.thaw, 15.0)
        return True

    def _look(self, study: Driven) -> bool:
        if study.place.address is not None and not self.server.is_answering:
            return False
        study.remember()
        return True
