"""``Tracking``: what a run needs of whatever writes its study to MLflow."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from hpo.results.tracking_state import TrackingState
from hpo.tracking.run_records import FinalRecord, Notify, RunStatus, StudyRecord

POLL_SECONDS = 0.1
"""How long a finished trial waits, at most, before its run is written, and a signal in a pause."""

CLOSING_SECONDS = 2.5
"""How long a run that is stopped, or whose ledger is gone, waits for tracking to catch up."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and logs of the libraries that a person can do nothing about."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def ignore(_: str | int) -> None:
    """Take a message that nobody wants."""


class Tracking(AbstractContextManager["Tracking"], Protocol):
    """Writes one study to MLflow; used in a ``with`` block, whose end ends it."""

    def open(
        self,
        storage_url: str,
        tracking_uri: str,
        study: StudyRecord,
        notify: Notify = ignore,
    ) -> None:
        """Begin to follow a study; returns at once.

        Args:
            storage_url: The ledger's.
            tracking_uri: MLflow's.
            study: What the parent run says.
            notify: Takes each message, perhaps in another thread, until :meth:`finish` returns.
        """

    def finish(
        self,
        final: FinalRecord | None,
        status: RunStatus,
        wait_seconds: float,
        *,
        is_hurried: bool = False,
        stop_signal: Callable[[], int | None] = lambda: None,
    ) -> TrackingState:
        """Wait until everything is written, or nothing got through for so many seconds.

        Args:
            final: What the end of the search brought, or None where the run has failed: its error
                is then what a person should see, and no message is delivered any more.
            status: How the parent run ends.
            wait_seconds: How long to go on while nothing gets through.
            is_hurried: Whether to stop after ``wait_seconds`` even while writes get through; the
                next run does the rest.
            stop_signal: Gives the number of a signal that asked to stop, or None; once it does, the
                wait is over within ``CLOSING_SECONDS`` and one more write.
        """
