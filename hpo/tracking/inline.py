"""Tracking in this process: the follower without a process of its own.

For a notebook, a program that holds many studies, and tests: nothing is started, and MLflow is
imported here. MLflow gets the same content, but all of it once the search has ended, so the search
pays for none of it and MLflow's page shows the trials a little later.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hpo.results.tracking_state import TrackingState
from hpo.settings import sqlite_path
from hpo.tracking.interface import Tracking, ignore, quiet
from hpo.tracking.process import ENVIRONMENT
from hpo.tracking.run_records import FinalRecord, Notify, RunStatus, StudyRecord

if TYPE_CHECKING:
    from hpo.tracking.follower import Follower


class InlineTracking(Tracking):
    """A follower that writes once the search has ended; used as :class:`TrackingProcess` is."""

    def __init__(self) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._follower: Follower | None = None
        self._notify: Notify = ignore

    def __exit__(self, *error: object) -> None:
        """Nothing was started."""

    def open(
        self,
        storage_url: str,
        tracking_uri: str,
        study: StudyRecord,
        notify: Notify = ignore,
    ) -> None:
        """Take up a study; nothing is written yet."""
        path = sqlite_path(tracking_uri)
        if path is not None:
            # MLflow keeps a store for each URI, whatever the working directory is by then.
            tracking_uri = f"sqlite:///{path}"
        with quiet():
            from hpo.ledger.storage import open_for_reading  # noqa: PLC0415 - as below
            from hpo.tracking.follower import Follower  # noqa: PLC0415 - it loads MLflow

            open_study = partial(open_for_reading, storage_url, study.name)
            self._notify = notify
            self._follower = Follower(open_study, tracking_uri, study, self._hear)

    def finish(
        self,
        final: FinalRecord | None,
        status: RunStatus,
        wait_seconds: float,
        *,
        is_hurried: bool = False,  # noqa: ARG002 - there is no other process that could hang
        stop_signal: Callable[[], int | None] = lambda: None,
    ) -> TrackingState:
        """Write everything, or go on until nothing got through for so many seconds."""
        if self._follower is None:
            return TrackingState(tracking_problem="no study was opened")
        if final is None:
            self._notify = ignore
        with quiet():
            return self._follower.finish(final, status, wait_seconds, stop_signal)

    def _hear(self, message: str | int) -> None:
        self._notify(message)
