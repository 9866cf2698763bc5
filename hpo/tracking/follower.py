"""Follows a ledger and keeps MLflow equal to it: the tracking side of a run.

It reads what there is to write from the ledger itself, so there is no queue and nothing to lose: it may end at any moment, and
the next one finds out what is missing. An error is waited out, with a growing pause, and never reaches the search.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module

import optuna
from optuna.trial import FrozenTrial

from hpo.errors import TrackingError
from hpo.tracking.projection import Projection
from hpo.tracking.records import ModelRecord, RunStatus, StudyRecord, TrackingState
from hpo.tracking.writer import MlflowWriter

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0


class Follower:
    """One study, from its ledger to its tracking store.

    Args:
        ledger: The study, open for reading.
        tracking_uri: MLflow's.
        study: What the parent run says.
    """

    def __init__(self, ledger: optuna.Study, tracking_uri: str, study: StudyRecord) -> None:
        self._ledger = ledger
        self._writer = MlflowWriter(tracking_uri, study)
        self._projection = Projection(self._writer, study)
        self._is_open = False
        self._problem: str | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._next_attempt = 0.0

    def follow(self) -> None:
        """Write what is missing now, unless the last attempt failed a moment ago."""
        if time.monotonic() >= self._next_attempt:
            self._attempt(self._catch_up)

    def finish(self, model: ModelRecord | None, status: RunStatus, wait_seconds: float) -> TrackingState:
        """Write everything, then the final model, then close the parent run.

        Args:
            model: The final model, or None where there is none to log.
            status: How the parent run ends.
            wait_seconds: How long to go on while nothing gets through.
        """
        model_uri: str | None = None

        def write_rest() -> None:
            nonlocal model_uri
            self._catch_up()
            if model is not None:
                model_uri = self._writer.write_model(model)
            self._writer.close(status, time.time_ns() // 1_000_000)

        give_up, n_written = time.monotonic() + wait_seconds, len(self._projection.run_ids)
        while not self._attempt(write_rest) and time.monotonic() < give_up:
            if len(self._projection.run_ids) > n_written:
                give_up, n_written = time.monotonic() + wait_seconds, len(self._projection.run_ids)
            time.sleep(min(self._pause_seconds, max(0.0, give_up - time.monotonic())))
        return TrackingState(
            experiment_id=self._writer.experiment_id or None,
            parent_run_id=self._writer.parent_run_id or None,
            run_ids=dict(self._projection.run_ids),
            n_behind=self._projection.count_behind(self._trials()),
            model_uri=model_uri,
            problem=self._problem,
        )

    def _trials(self) -> list[FrozenTrial]:
        return self._ledger.get_trials(deepcopy=False)

    def _catch_up(self) -> None:
        trials = self._trials()
        if self._is_open and not self._projection.has_work(trials):
            return
        self._writer.check_reachable()
        if not self._is_open:
            self._projection.reconcile(trials)
            self._is_open = True
        self._projection.catch_up(trials)

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Whether an action went through; after one that did not, the pause before the next one doubles."""
        n_before = len(self._projection.run_ids)
        try:
            action()
        except TrackingError as error:
            self._problem = str(error)
            got_through = len(self._projection.run_ids) > n_before
            self._pause_seconds = FIRST_PAUSE_SECONDS if got_through else min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
            self._next_attempt = time.monotonic() + self._pause_seconds
            return False
        self._problem = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        return True


def follow_ledger(storage_url: str, tracking_uri: str, study: StudyRecord) -> Follower:
    """A follower of a study that exists in a storage."""
    return Follower(optuna.load_study(study_name=study.name, storage=storage_url), tracking_uri, study)


def warm_up() -> None:
    """Import what logging a model needs, while the driver is not yet ready to be followed."""
    for module in ("mlflow.sklearn", "mlflow.pyfunc", "sklearn.pipeline", "sklearn.linear_model", "skops.io"):
        import_module(module)
