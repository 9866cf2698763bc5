"""Writes a study to MLflow; a record that is written again adds nothing.

The verbs that the follower has, over the three kinds of things that are written: the parent run,
child runs, logged models. MLflow's client API is used throughout, since the fluent one keeps its
active run in the thread.
"""

import time
from collections.abc import Callable, Collection, Iterable

import mlflow

from hpo.results.tracking_state import RegistryState
from hpo.settings import sqlite_path
from hpo.sqlite import checkpoint
from hpo.tracking import keys
from hpo.tracking.child_runs import ChildRuns
from hpo.tracking.connection import check_reachable, connect, translating
from hpo.tracking.entities import make_metrics, make_tags
from hpo.tracking.interface import ignore
from hpo.tracking.lost_files import forget_lost
from hpo.tracking.models import ModelWriter
from hpo.tracking.parent_run import ParentRun
from hpo.tracking.run_records import Drawings, FinalRecord, Notify, StudyRecord, TrialRecord


@translating
class MlflowWriter:
    """One study's runs in one tracking store.

    Args:
        tracking_uri: MLflow's.
        study: What the parent run says.

    Attributes:
        n_steps: Counts what got through: each child run, and each part of the final model; what is
            counted is not done again.
        on_step: Called whenever ``n_steps`` grows.
        on_loss: Called with a line on what MLflow has lost and is about to get again.
        notify: Takes a line for a person: what was put right that a person should know of.

    Raises:
        TrackingError: From every method, where MLflow refuses or is away.
    """

    def __init__(self, tracking_uri: str, study: StudyRecord) -> None:
        self.n_steps = 0
        self.on_step: Callable[[], None] = lambda: None
        self.on_loss: Callable[[str], None] = lambda _: None
        self.notify: Notify = ignore
        self._study = study
        self._tracking_uri = tracking_uri
        self._parent = ParentRun(tracking_uri, study)
        self._model_id = ""

    @property
    def experiment_id(self) -> str:
        """The experiment's id; empty while unknown."""
        return self._parent.experiment_id

    @property
    def parent_run_id(self) -> str:
        """The parent run's id; empty while unknown."""
        return self._parent.run_id

    @property
    def parent_is_open(self) -> bool:
        """Whether the parent run is being written to."""
        return self._parent.is_open

    @property
    def written(self) -> frozenset[int]:
        """The trials whose runs were finished when the parent run was last closed."""
        return self._parent.written

    @property
    def trials_path(self) -> str:
        """The path of the page that shows all trials; empty while unknown."""
        return self._parent.trials_path

    def check_reachable(self) -> None:
        """Ask a server whether it is there."""
        check_reachable(self._tracking_uri)

    def open(self, start_time_ms: int) -> None:
        """Find or create the experiment and the parent run.

        Args:
            start_time_ms: When the study began, milliseconds since 1970, UTC.
        """
        self._client = connect(self._tracking_uri, notify=self.notify)
        self._parent.open(self._client, start_time_ms, self.notify)
        self._children = ChildRuns(self._client, self._study.uid, self._parent, self.on_loss)
        self._models = ModelWriter(
            self._client,
            self._tracking_uri,
            self._study,
            self._parent,
            self._count_step,
            self.on_loss,
        )

    def find_trials(self) -> tuple[dict[int, str], dict[int, str]]:
        """Ask MLflow what it holds, and put it right: of runs with one key one stays.

        Returns:
            Trial number to run id, of every finished child run and of every unfinished one.
        """
        return self._children.find()

    def find_trial(self, key: str) -> str | None:
        """The id of the run with this key, or None."""
        return self._children.find_one(key)

    def find_elsewhere(self) -> frozenset[int]:
        """The numbers of the trials whose runs are in another experiment of the store."""
        return self._children.find_elsewhere()

    def write_trial(self, record: TrialRecord, run_id: str | None) -> str:
        """Write a child run, and terminate it.

        Args:
            record: What it says.
            run_id: A run with this key that an earlier attempt left, or None to create one.

        Returns:
            The run's id.
        """
        self._parent.reopen()
        run_id = self._children.write(record, run_id)
        self._count_step()
        return run_id

    def write_text(self, path: str, text: str) -> None:
        """Log a text as an artifact of the parent run."""
        self._client.log_text(self._parent.run_id, text, path)

    def write_parent_metric(self, name: str, points: Iterable[tuple[int, float, int]]) -> None:
        """Log a metric of the parent run: step, value and time (milliseconds) of each point."""
        self._parent.log_metric(name, points)

    def forget_lost(self, final: FinalRecord) -> None:
        """Look whether the files of a finished study are there; else they will be written again."""
        forget_lost(self._client, self._parent, self._study, final, self.on_loss)

    def write_model(self, final: FinalRecord, best_run_id: str | None = None) -> str:
        """Log the final model, unless it is there under its key, and say so on the parent run.

        Args:
            final: The model and what is known of the study.
            best_run_id: The child run of its trial, to be linked to.

        Returns:
            The model's URI.
        """
        self._model_id = self._models.write(final.model, final.n_finished)
        self._parent.conclude(final, self._model_id, best_run_id)
        return f"models:/{self._model_id}"

    def has_drawn(self, key: str) -> bool:
        """Whether the parent run has the drawings of this key."""
        return bool(self._client.get_run(self._parent.run_id).data.tags.get(keys.DRAWN) == key)

    def write_drawings(self, drawings: Drawings, key: str, step: int) -> None:
        """Log figures and tables, then the key that says they are there.

        Args:
            drawings: Those of the model that was written, and of its study.
            key: Names the model and the trials that they show.
            step: The step of the metrics.
        """
        metrics = make_metrics(drawings.metrics, time.time_ns() // 1_000_000, step)
        self._parent.log_files(self._model_id, drawings.of_model, drawings.of_study)
        self._client.log_batch(
            self._parent.run_id, metrics=metrics, tags=make_tags({keys.DRAWN: key})
        )
        self._count_step()
        self._checkpoint()

    def register(self, final: FinalRecord) -> RegistryState | None:
        """Make the model that was written a version of a registered model, if it is to be one."""
        if final.registered_name is None or final.held_out is None:
            return None
        from hpo.tracking.registry import Registry  # noqa: PLC0415 - it loads scikit-learn

        # MLflow looks a model's URI up in the process's own store, whatever the client's is.
        mlflow.set_tracking_uri(self._tracking_uri)
        registry = Registry(
            self._client, self._tracking_uri, final.registered_name, final, final.held_out
        )
        state = registry.register(self._model_id, self._parent.run_id)
        self._checkpoint()
        return state

    def close(self, status: str, end_time_ms: int, written: Collection[int] = ()) -> None:
        """Terminate the parent run, if anything was written to it.

        Args:
            status: FINISHED, KILLED or FAILED.
            end_time_ms: Milliseconds since 1970, UTC.
            written: The trials whose runs are finished, or were.
        """
        if self._parent.is_open:
            self._parent.close(status, end_time_ms, written)
            self._checkpoint()

    def _count_step(self) -> None:
        self.n_steps += 1
        self.on_step()

    def _checkpoint(self) -> None:
        path = sqlite_path(self._tracking_uri)
        if path is not None:
            checkpoint(path)
