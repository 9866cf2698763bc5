"""``MLflowCallback``: the tracker for people with a ``study.optimize`` of their own.

The successor that Optuna's deprecated callback lacks, with its arguments: true times and states,
one parent whatever ``n_jobs`` is, and no error of MLflow's ever reaches the search. What is missing
is read from the study itself, so trials that Optuna shows to no callback (an exception that is not
in ``catch``) are recorded too. ``docs/migrating.md`` has the way over.
"""

import atexit
import functools
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import optuna
from optuna.trial import FrozenTrial

from hpo.errors import SettingsError
from hpo.ledger.failures import repeat
from hpo.results.tracking_state import TrackingState
from hpo.tracking.callback_options import (
    TrialOptions,
    as_tags,
    read_experiment,
    read_metric_name,
    read_run_arguments,
    read_tracking_uri,
)
from hpo.tracking.callback_projection import CallbackProjection
from hpo.tracking.callback_study import Target, describe_study, find_outer_run
from hpo.tracking.callback_thread import CallbackThread, Following
from hpo.tracking.follower import Follower
from hpo.tracking.objective_run import objective_run
from hpo.tracking.run_records import Notify, StudyRecord
from hpo.tracking.writer import MlflowWriter

Values = TypeVar("Values")
Objective = Callable[[optuna.Trial], Values]


class MLflowCallback(AbstractContextManager["MLflowCallback"]):
    """Records every trial of a study as a run.

    Example::

        with hpo.MLflowCallback(metric_name="accuracy") as callback:
            study.optimize(objective, n_trials=50, n_jobs=2, callbacks=[callback])

    In a ``with`` block the study gets a parent run, which ends with the block. Without one, the
    runs stand alone, as those of Optuna's callback did, unless the study has a parent run already.
    Under an active run of yours they go below that one, with a block or without.

    A call returns when the trial's run is complete. It waits ten seconds for that at most, and no
    more while MLflow is away: what is missing is written when MLflow is back, at the end of the
    block or of the interpreter. MLflow's own retries, which take minutes and make runs twice, are
    switched off in this process where its environment does not say how many there are to be.

    Args:
        tracking_uri: MLflow's; by default ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``.
        metric_name: What the objective returns: one name, which is numbered where it returns
            several values, or a list with a name for each.
        create_experiment: Whether the runs go to an experiment of the study's name, created where
            it is not there. False takes that of ``mlflow.set_experiment``, else MLflow's default.
        mlflow_kwargs: ``experiment_id``, which takes precedence over all of that; ``run_name`` and
            ``tags`` of every run; ``nested``, which has no effect: below an active run they always
            are.
        tag_study_user_attrs: Whether the study's user attributes are tags of every run.
        tag_trial_user_attrs: Whether a trial's user attributes are tags of its run.
        experiment_name: An experiment of another name than the study's.
        wait_seconds: How long :meth:`close` waits while MLflow is away.

    Raises:
        TypeError: ``metric_name`` is neither a string nor a sequence of them.
        ValueError: Two arguments name an experiment.
        SettingsError: The tracking URI is of a kind that MLflow or ``hpo`` does not take.
    """

    def __init__(
        self,
        tracking_uri: str | Path | None = None,
        metric_name: str | Sequence[str] = "value",
        create_experiment: bool = True,
        mlflow_kwargs: Mapping[str, Any] | None = None,
        tag_study_user_attrs: bool = False,
        tag_trial_user_attrs: bool = True,
        *,
        experiment_name: str | None = None,
        wait_seconds: float = 30.0,
    ) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        run_arguments = read_run_arguments(mlflow_kwargs)
        self._experiment = read_experiment(
            run_arguments, experiment_name, is_created=create_experiment
        )
        self._options = TrialOptions(
            metric_name=read_metric_name(metric_name),
            run_name=run_arguments.get("run_name"),
            tags=as_tags(run_arguments.get("tags") or {}),
            has_study_attributes=tag_study_user_attrs,
            has_trial_attributes=tag_trial_user_attrs,
        )
        self._given_uri = None if tracking_uri is None else str(tracking_uri)
        self._tracking_uri = read_tracking_uri(self._given_uri)
        self._wait_seconds = wait_seconds
        self._makes_parent = False
        self._lock = threading.Lock()
        self._thread: CallbackThread | None = None
        self._state = TrackingState()

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Record a trial that has ended, and wait until its run is complete, unless MLflow is away.

        Raises:
            ValueError: ``metric_name`` does not have one name for each value of the objective.
        """
        self._options.check_values(trial.values)
        self._start_thread().ask(self._target(study), trial.number)

    def track_in_mlflow(self) -> Callable[[Objective[Values]], Objective[Values]]:
        """Decorate an objective that logs to MLflow itself: what it logs goes to its trial's run.

        Give the objective to ``study.optimize`` together with the callback, which completes the
        run. While MLflow is away the objective is called without one. MLflow's own tracking URI
        becomes the callback's.

        Example::

            callback = hpo.MLflowCallback("sqlite:///mlflow.db", metric_name="loss")

            @callback.track_in_mlflow()
            def objective(trial):
                x = trial.suggest_float("x", -10, 10)
                mlflow.log_metric("distance", abs(x - 2))
                return (x - 2) ** 2

            study.optimize(objective, n_trials=10, callbacks=[callback])

        Returns:
            The decorator.
        """

        def decorate(objective: Objective[Values]) -> Objective[Values]:
            @functools.wraps(objective)
            def tracked(trial: optuna.Trial) -> Values:
                with self._run_of(trial):
                    return objective(trial)

            return tracked

        return decorate

    def __enter__(self) -> Self:
        self._makes_parent = True
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        self._makes_parent = False

    def close(self) -> TrackingState:
        """Write what is missing and end the parent run, if the study has one.

        Warns where MLflow is still away after ``wait_seconds``. The callback may be used again.

        Returns:
            The state of the last study in MLflow.
        """
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread.is_here:
            atexit.unregister(self.close)
            states = thread.end()
            self._state = states[-1]
            for state in states:
                if state.tracking_problem is not None:
                    n_behind = "some" if state.n_behind is None else state.n_behind
                    message = f"{n_behind} trials are not in MLflow: {state.tracking_problem}"
                    warnings.warn(message, stacklevel=2)
        return self._state

    def _start_thread(self) -> CallbackThread:
        with self._lock:
            if self._thread is None or not self._thread.is_here:
                self._thread = CallbackThread(self._follow, self._wait_seconds)
                atexit.register(self.close)
            return self._thread

    def _target(self, study: optuna.Study) -> Target:
        if self._given_uri is None:
            # mlflow.set_tracking_uri may have changed it; what cannot be used changes nothing.
            with suppress(SettingsError):
                self._tracking_uri = read_tracking_uri(None)
        return Target(study, self._tracking_uri, find_outer_run(self._tracking_uri))

    def _follow(self, target: Target, notify: Notify) -> Following:
        """Begin to follow a study; runs in the callback's thread."""
        record = repeat(
            lambda _: describe_study(
                target, self._options, self._experiment, makes_parent=self._makes_parent
            )
        )
        projections: list[CallbackProjection] = []

        def make_projection(writer: MlflowWriter, study: StudyRecord) -> CallbackProjection:
            projections.append(CallbackProjection(writer, study, target.study, self._options))
            return projections[0]

        follower = Follower(
            lambda: target.study, target.tracking_uri, record, notify, make_projection
        )
        return Following(target, follower, projections[0])

    @contextmanager
    def _run_of(self, trial: optuna.Trial) -> Iterator[None]:
        """The trial's run, active in this thread; nothing where it cannot be started."""
        target = self._target(trial.study)
        place = self._start_thread().expect_run(target, trial.number)
        if place is None:
            yield
            return
        with objective_run(target.tracking_uri, place, trial.number, self._options) as run_id:
            if run_id is not None:
                self._start_thread().note_run(target, trial.number, run_id)
            yield
