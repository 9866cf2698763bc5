"""A connection to PostgreSQL on which no wait is longer than it should be.

A network that is cut ends a wait after a while by the options of ``ledger.postgresql``. A server
that is stopped, or a proxy that forwards nothing, goes on acknowledging: only a clock ends that.
"""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

from hpo.ledger.failures import never

ANSWER_SECONDS = 20.0
"""How long the server may be silent in the middle of a query; what is longer is asked again."""

HURRIED_SECONDS = 2.0
"""The same where a signal has asked to stop."""

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """Ends in an error when the server is silent for too long.

    Attributes:
        stop_signal: Gives the number of a signal that asked to stop, or None.
    """

    stop_signal: Callable[[], int | None] = staticmethod(never)

    def wait(self, gen: PQGen[T], *arguments: Any, **options: Any) -> T:
        """Wait for an answer as the base class does, but not for ever."""
        return super().wait(self._bounded(gen), *arguments, **options)

    def _bounded(self, gen: PQGen[T]) -> Generator[Any, Any, T]:
        """Pass on what psycopg says several times a second: whether anything has come."""
        since, ready = time.monotonic(), None
        try:
            state = next(gen)
            while True:
                ready = yield state
                state = gen.send(ready)
                seconds = time.monotonic() - since
                if ready:
                    since = time.monotonic()
                elif seconds > (HURRIED_SECONDS if self.stop_signal() else ANSWER_SECONDS):
                    self.close()  # else the rollback of SQLAlchemy waits as long once more
                    raise psycopg.OperationalError(f"no answer for {seconds:.0f} s")
        except StopIteration as end:
            answer: T = end.value
            return answer
