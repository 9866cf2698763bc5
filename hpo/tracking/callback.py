"""``MLflowCallback``: the tracker for people with a ``study.optimize`` of their own.

The successor that Optuna's deprecated callback lacks: one parent run whatever ``n_jobs`` is, true
times and states, and no error of MLflow's ever reaches the search. It holds an event, not a queue:
what is missing is read from the study itself, so trials that Optuna shows to no callback (an
exception that is not in ``catch``) are recorded too.
"""

import atexit
import os
import threading
import uuid
import warnings
from contextlib import AbstractContextManager, suppress

import optuna
from optuna.trial import FrozenTrial

from hpo.errors import LedgerError
from hpo.ledger.failures import repeat, translated
from hpo.results.tracking_state import TrackingState
from hpo.settings import read_settings
from hpo.tracking import keys
from hpo.tracking.follower import Follower
from hpo.tracking.run_records import StudyRecord

UID_ATTRIBUTE = "hpo.uid"


class MLflowCallback(AbstractContextManager["MLflowCallback"]):
    """Records every trial of a study as a child run of one parent run.

    Example::

        with hpo.MLflowCallback(metric_name="accuracy") as callback:
            study.optimize(objective, n_trials=50, n_jobs=2, callbacks=[callback])

    Without the ``with`` block the runs are completed when the interpreter ends. MLflow's own
    retries, which take minutes and make runs twice, are switched off in this process where its
    environment does not say how many there are to be.

    Args:
        tracking_uri: MLflow's; by default ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``.
        experiment_name: The experiment; by default the study's name.
        metric_name: What the objective returns.
        wait_seconds: How long :meth:`close` waits while MLflow is away.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment_name: str | None = None,
        *,
        metric_name: str = "value",
        wait_seconds: float = 30.0,
    ) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        self._tracking_uri = read_settings(tracking_uri=tracking_uri).tracking_uri
        self._experiment_name = experiment_name
        self._metric_name = metric_name
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._trial_ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = TrackingState()

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:  # noqa: ARG002
        """Note that a trial has ended; costs the search nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._follow, args=(study,), name="hpo-mlflow", daemon=True
                )
                self._thread.start()
                atexit.register(self.close)
        self._trial_ended.set()

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> TrackingState:
        """Write what is missing and end the parent run.

        It warns where MLflow is still away after ``wait_seconds``.
        """
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._trial_ended.set()
            thread.join()
            atexit.unregister(self.close)
            if (problem := self._state.tracking_problem) is not None:
                n_behind = "some" if self._state.n_behind is None else self._state.n_behind
                warnings.warn(f"{n_behind} trials are not in MLflow: {problem}", stacklevel=2)
        return self._state

    def _follow(self, study: optuna.Study) -> None:
        self._state = TrackingState(tracking_problem="the study's storage cannot be read")
        with suppress(LedgerError):
            follower = Follower(
                lambda: study, self._tracking_uri, repeat(lambda _: self._describe(study))
            )
            while self._thread is threading.current_thread():
                self._trial_ended.wait(timeout=1.0)
                self._trial_ended.clear()
                follower.follow()
            self._state = follower.finish(None, "FINISHED", self._wait_seconds)

    @translated("of the study")
    def _describe(self, study: optuna.Study) -> StudyRecord:
        uid = study.user_attrs.get(UID_ATTRIBUTE)
        if uid is None:
            uid = uuid.uuid4().hex
            study.set_user_attr(UID_ATTRIBUTE, uid)
        tags = {
            keys.allowed(name): str(value)
            for name, value in study.user_attrs.items()
            if name != UID_ATTRIBUTE
        }
        tags[keys.DIRECTION] = ", ".join(direction.name for direction in study.directions)
        return StudyRecord(
            uid=uid,
            name=study.study_name,
            value_name=keys.allowed(self._metric_name),
            is_maximized=study.directions[0].name == "MAXIMIZE",
            tags=tags,
            experiment=self._experiment_name,
        )
