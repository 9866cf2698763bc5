"""A server: a loop that looks at the queue, gives due studies to study processes, and watches them.

What is to be done is read from the ledger each time, so that any number of servers may look at one
queue, and a server may end at any moment. Two that take the same study at once find that one of
them gets its lock; the other leaves it.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Self

from hpo.errors import InputError, LedgerError, SettingsError
from hpo.ledger.failures import never
from hpo.ledger.inspection import read_drivers
from hpo.ledger.queue import Wished, read_queue
from hpo.ledger.storage import open_storage
from hpo.ledger.submitting import change_wish
from hpo.ledger.wishes import Wish
from hpo.progress import format_duration
from hpo.service.ending import Ending
from hpo.service.shares import memory_of_slot, share_workers
from hpo.service.status import is_due
from hpo.service.study_child import StudyChild, sweep
from hpo.settings import ServiceSettings

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
MEMORY_SECONDS = 1.0
AWAY_SECONDS = 10.0
"""Before a study is tried again that needs something which is away."""

LEFT_SECONDS = 1.0
"""Before this server looks again at a study that another one took."""

MOST_SLOTS = 64


class Server:
    """A server of one storage; used in a ``with`` block, whose end lets its studies go.

    Args:
        settings: Where ledger and tracking are; its workers are shared among the slots.
        n_slots: How many studies it drives at once.
        memory: Bytes that a study's processes may hold, or None for a share of this machine's.
        stop_signal: Gives the number of a signal that asked to stop, or None.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        n_slots: int,
        memory: int | None = None,
        stop_signal: Callable[[], int | None] = never,
    ) -> None:
        if not 1 <= n_slots <= MOST_SLOTS:
            raise SettingsError(
                f"--slots: this should be from 1 to {MOST_SLOTS}, but got {n_slots}"
            )
        self._n_slots = n_slots
        self._memory = memory or memory_of_slot(n_slots)
        self._stop_signal = stop_signal
        self._settings, self._variables = share_workers(settings, n_slots)
        self._children: list[StudyChild] = []
        self._left: dict[str, float] = {}
        self._unclosed: set[str] = set()
        self._next_measurement = 0.0
        self._problem: str | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        sweep()
        storage = open_storage(self._settings.storage, self._stop_signal, _log.info)
        self._stack.callback(storage.engine.dispose)
        self._storage = storage
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._stack.close()

    @property
    def running(self) -> dict[str, int]:
        """The studies that it drives, each with the id of its process."""
        return {child.study: child.pid for child in self._children if child.study is not None}

    def serve(self) -> None:
        """Drive studies until a signal asks to stop."""
        while self._stop_signal() is None:
            self.look()
            time.sleep(POLL_SECONDS)

    def look(self) -> None:
        """Look once at the queue and at the processes, and do what there is to do now."""
        try:
            self._conclude_endings()
            self._fill_slots()
            queue = self._read_queue()
        except LedgerError as error:
            if not error.may_pass:
                raise
            if self._problem is None:
                _log.info("waiting: %s", error)
            self._problem = str(error)
            return
        self._problem = None
        self._stop_unwanted(queue)
        self._bound_memory()
        self._begin(queue)

    def let_go(self) -> None:
        """Leave all studies, within seconds: those who hold them are killed."""
        driving = [child for child in self._children if child.study is not None]
        for child in driving:
            child.stop()
        while any(child.ending() is None for child in driving):
            for child in driving:
                child.kill_if_late()
            time.sleep(POLL_SECONDS / 4)
        for child in self._children:
            child.close()
        self._children = []

    def _read_queue(self) -> Sequence[Wished]:
        with self._storage.engine.connect() as connection:
            queue = read_queue(connection)
            due = [wished.name for wished in queue if is_due(wished)]
            drivers = read_drivers(self._settings.storage, connection, due)
        self._driven = drivers.keys() | self.running.keys()
        return queue

    def _fill_slots(self) -> None:
        """Have a process in every slot; one that ended is replaced."""
        for child in self._children.copy():
            if not child.is_alive and child.study is None:
                child.close()
                self._children.remove(child)
        while len(self._children) < self._n_slots:
            self._children.append(StudyChild(self._variables))

    def _begin(self, queue: Sequence[Wished]) -> None:
        """Give due studies, and parent runs to be closed, to idle processes."""
        now = time.monotonic()
        idle = [child for child in self._children if child.is_idle]
        while idle and self._unclosed:
            idle.pop().begin(self._unclosed.pop(), None, self._settings)
        for wished in queue:
            if not idle:
                return
            is_free = wished.name not in self._driven and self._left.get(wished.name, 0.0) <= now
            if is_free and is_due(wished):
                child = idle.pop()
                child.begin(wished.name, wished.wish, self._settings)
                waited = format_duration(max(0.0, time.time() - wished.wish.submitted_at))
                _log.info(
                    "study %s: taken %s after it was submitted (pid %d)",
                    wished.name,
                    waited,
                    child.pid,
                )

    def _stop_unwanted(self, queue: Sequence[Wished]) -> None:
        wanted = {wished.name for wished in queue if wished.wish.cancelled_at is None}
        for child in self._children:
            if child.study is not None and child.wish is not None and child.study not in wanted:
                child.stop()
            child.kill_if_late()

    def _bound_memory(self) -> None:
        if time.monotonic() < self._next_measurement:
            return
        self._next_measurement = time.monotonic() + MEMORY_SECONDS
        for child in self._children:
            if child.study is not None and (n_bytes := child.memory()) > self._memory:
                child.kill(
                    f"its processes held {n_bytes / 1e9:.1f} GB,"
                    f" more than the {self._memory / 1e9:.1f} GB of --memory"
                )

    def _conclude_endings(self) -> None:
        for child in self._children:
            name, wish = child.study, child.wish
            if name is None or (ending := child.ending()) is None:
                continue
            if wish is not None:
                self._conclude(name, wish, ending)
                if not child.is_alive and child.was_killed is not None:
                    self._unclosed.add(name)
            child.free()

    def _conclude(self, name: str, driven: Wish, ending: Ending) -> None:
        """Write what came of an attempt; not done because the storage is away, it is done later."""
        if ending.kind == "left":
            self._left[name] = time.monotonic() + LEFT_SECONDS
        else:
            self._write(name, driven, ending)
        _log.info("study %s: %s %s", name, ending.kind, ending.reason)

    def _write(self, name: str, driven: Wish, ending: Ending) -> None:
        n_finished = self._count_finished(name)
        changes: Mapping[str, Callable[[Wish], Wish]] = {
            "done": lambda wish: wish.done(driven, ending.outcome),
            "away": lambda wish: wish.postponed(ending.reason, AWAY_SECONDS),
            "failed": lambda wish: wish.failed(ending.reason, n_finished),
            "hopeless": lambda wish: wish.failed(ending.reason, n_finished, is_final=True),
        }
        try:
            change_wish(self._storage, name, changes[ending.kind], patience_seconds=0.0)
        except InputError:
            _log.info("study %s: it was deleted", name)

    def _count_finished(self, name: str) -> int:
        with self._storage.engine.connect() as connection:
            found = (wished for wished in read_queue(connection) if wished.name == name)
            return next((wished.n_finished for wished in found), 0)
