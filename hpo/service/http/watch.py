"""Watch: what the ledger says of the studies, read once for all who look.

Pages and event streams are many, and each wants the same answer within half a second. They share
one reading: nobody starts another while one is going on or fresh.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from hpo.service.status import StudyStatus

POLL_SECONDS = 0.5


class Watch:
    """Reads the studies' states for every page and stream of this server.

    Args:
        read: Gives all studies; called in a thread.
        is_over: Whether the server stops: then every stream ends.
    """

    def __init__(
        self, read: Callable[[], Sequence[StudyStatus]], is_over: Callable[[], bool]
    ) -> None:
        self._read = read
        self.is_over = is_over
        self._lock = asyncio.Lock()
        self._read_at = -POLL_SECONDS
        self._studies: tuple[StudyStatus, ...] = ()

    async def studies(self) -> tuple[StudyStatus, ...]:
        """Give all studies as they were less than half a second ago.

        Raises:
            HpoError: The storage cannot be read.
        """
        async with self._lock:
            if time.monotonic() - self._read_at >= POLL_SECONDS:
                self._studies = tuple(await asyncio.to_thread(self._read))
                self._read_at = time.monotonic()
            return self._studies

    async def changes(self) -> AsyncIterator[tuple[StudyStatus, ...]]:
        """Give all studies, now and whenever one has changed, until the server stops.

        Raises:
            HpoError: The storage cannot be read.
        """
        known = None
        while not self.is_over():
            studies = await self.studies()
            # The time left is guessed anew at every look, and is no change.
            seen = tuple(replace(study, seconds_left=None) for study in studies)
            if seen != known:
                known = seen
                yield studies
            await asyncio.sleep(POLL_SECONDS)
