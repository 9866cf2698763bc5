"""The active runs of a person's own code: the one it is in, and one that an objective logs to.

MLflow keeps them in the thread that started them. Where ``n_jobs`` is more than one, objectives run
in threads of Optuna's, which know nothing of the run in the main thread; MLflow's public functions
do not show it to them, hence the import of its private stack.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import mlflow
from mlflow.entities import Run
from mlflow.tracking.fluent import _active_run_stack

from hpo.errors import TrackingError
from hpo.tracking import connection, keys
from hpo.tracking.callback_options import TrialOptions, is_same_store

_logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where the runs of a study go.

    Attributes:
        study_uid: The study's uid.
        experiment_id: The experiment's id.
        parent_run_id: The run that they go below; empty where they stand alone.
    """

    study_uid: str
    experiment_id: str
    parent_run_id: str


def active_run() -> Run | None:
    """The user's active run: this thread's, else the main thread's."""
    if (run := mlflow.active_run()) is not None:
        return run
    of_main = _active_run_stack.get_all_thread_values().get(threading.main_thread().ident)
    return of_main[-1] if of_main else None


@contextmanager
def objective_run(
    tracking_uri: str, place: Place, number: int, options: TrialOptions
) -> Iterator[str | None]:
    """Make a trial's run the active one of this thread, unless MLflow is away.

    It gets its trial, its times and its status from the callback, once the trial has ended.

    Yields:
        The run's id, or None where there is none.
    """
    run = None
    try:
        run = _start_run(tracking_uri, place, number, options)
    except TrackingError as error:
        _logger.warning("trial %d is evaluated without a run: %s", number, error)
    status = "FAILED"
    try:
        yield None if run is None else run.info.run_id
        status = "FINISHED"
    finally:
        if run is not None:
            _end_run(run, status)


@connection.translated()
def _start_run(tracking_uri: str, place: Place, number: int, options: TrialOptions) -> Run:
    if not is_same_store(mlflow.get_tracking_uri(), tracking_uri):
        mlflow.set_tracking_uri(tracking_uri)
    tags = {
        **options.tags,
        keys.OBJECTIVE_KEY: keys.trial_key(place.study_uid, number),
        keys.STUDY_UID: place.study_uid,
    }
    if place.parent_run_id:
        tags[keys.PARENT_RUN_ID] = place.parent_run_id
    return mlflow.start_run(
        experiment_id=place.experiment_id,
        run_name=options.run_name or str(number),
        nested=True,
        tags=tags,
    )


def _end_run(run: Run, status: str) -> None:
    """Take a run off this thread's stack, and what an objective left above it."""
    while any(active.info.run_id == run.info.run_id for active in _active_run_stack.get()):
        # It is off the stack even where MLflow does not answer.
        with suppress(TrackingError), connection.translated():
            mlflow.end_run(status)
