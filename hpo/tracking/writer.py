"""Writes a study to MLflow; a record that is written again adds nothing.

A child run is created with its key, gets one batch, then is terminated: a run that is not terminated is not there yet. The client
API is used throughout, since the fluent one keeps its active run in the thread.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import mlflow
from mlflow import entities
from mlflow.entities import Metric, Run, RunTag

from hpo.markdown import merge_note
from hpo.settings import sqlite_path
from hpo.sqlite import checkpoint
from hpo.tracking import keys, reader
from hpo.tracking.connection import check_reachable, connect, translating
from hpo.tracking.models import ModelWriter
from hpo.tracking.run_records import (
    DatasetRecord,
    Drawings,
    ModelRecord,
    RegistryState,
    StudyRecord,
    TrialRecord,
)

_PARAM_LENGTH = 6000
_TAG_LENGTH = 8000


@translating
class MlflowWriter:
    """One study's runs in one tracking store.

    Args:
        tracking_uri: MLflow's.
        study: What the parent run says.

    Attributes:
        n_steps: Counts what got through: each child run, and each part of the final model; what is counted is not done again.
        on_step: Called whenever it is counted up.

    Raises:
        TrackingError: From every method, where MLflow refuses or is away.
    """

    def __init__(self, tracking_uri: str, study: StudyRecord) -> None:
        self.n_steps = 0
        self.on_step: Callable[[], None] = lambda: None
        self._study = study
        self._tracking_uri = tracking_uri
        self.experiment_id = ""
        self.parent_run_id = ""
        self.comparison = ""
        self.parent_is_open = False

    def check_reachable(self) -> None:
        """Ask a server whether it is there."""
        check_reachable(self._tracking_uri)

    def open(self, start_time_ms: int) -> None:
        """Find or make the experiment and the parent run; one that was left unfinished is described again.

        Args:
            start_time_ms: When the study began, milliseconds since 1970: the start of a parent run that is made.
        """
        self._client = connect(self._tracking_uri)
        self.experiment_id = self._find_or_create_experiment()
        parent = self._keep_one(self._search(keys.KEY, self._study.uid))
        if parent is not None and reader.is_deleted(parent):
            raise reader.deleted_parent(self._study.name, parent.info.run_id)
        if parent is None:
            parent = self._create_run(self._study.uid, self._study.name, start_time_ms)
        self.parent_run_id = parent.info.run_id
        self._models = ModelWriter(
            self._client, self._tracking_uri, self._study, parent, self._count_step
        )
        self.comparison = keys.comparison_path(self.experiment_id, self._study.uid)
        if not reader.is_finished(parent):
            self._describe_parent()
            if self._study.view:
                view = {
                    "name": f"{self._study.name}: all trials",
                    "createdAt": start_time_ms,
                    "updatedAt": start_time_ms,
                }
                key = f"mlflow.sharedViewState.{keys.view_id(self._study.uid)}"
                self._client.set_experiment_tag(
                    self.experiment_id, key, json.dumps({**view, "state": self._study.view})
                )
            if self._study.description and keys.NOTE not in parent.data.tags:
                self._client.set_tag(
                    self.parent_run_id, keys.NOTE, merge_note(self._linked(self._study.description))
                )

    def find_trials(self) -> tuple[dict[int, str], dict[int, str]]:
        """Ask MLflow what it holds, and put it right: of runs with one key the finished, then the earliest one stays.

        A finished run that a person deleted counts as there: it stays deleted.

        Returns:
            Trial number to run id of every finished child run, and the same of every unfinished one.
        """
        found: dict[str, list[Run]] = {}
        for run in self._search(keys.STUDY_UID, self._study.uid):
            key = reader.key_of(run)
            if key.startswith(f"{self._study.uid}/"):
                found.setdefault(key, []).append(run)
        finished: dict[int, str] = {}
        unfinished: dict[int, str] = {}
        for key, runs in found.items():
            run = self._keep_one(runs)
            if run is None:
                continue
            if run.data.tags.get(
                keys.PARENT_RUN_ID
            ) != self.parent_run_id and not reader.is_deleted(run):
                self._client.set_tag(run.info.run_id, keys.PARENT_RUN_ID, self.parent_run_id)
            home = finished if reader.is_finished(run) else unfinished
            home[keys.number_of(key)] = run.info.run_id
        return finished, unfinished

    def _keep_one(self, runs: list[Run]) -> Run | None:
        """Of runs with one key delete all but the finished, then the earliest, then the one with the smallest id.

        Returns:
            The one that stays; one that a person deleted, where there is no other and it was finished.
        """
        active = [run for run in runs if not reader.is_deleted(run)]
        active.sort(
            key=lambda run: (not reader.is_finished(run), run.info.start_time, run.info.run_id)
        )
        for duplicate in active[1:]:
            # The tag tells it from a run that a person deletes.
            self._client.set_tag(duplicate.info.run_id, keys.DUPLICATE_OF, active[0].info.run_id)
            self._client.delete_run(duplicate.info.run_id)
        if active:
            return active[0]
        return next(filter(reader.was_deleted_by_hand, runs), None)

    def find_trial(self, key: str) -> str | None:
        """The id of the run with this key, or None."""
        return next(
            (run.info.run_id for run in self._search(keys.KEY, key) if not reader.is_deleted(run)),
            None,
        )

    def write_trial(self, record: TrialRecord, run_id: str | None) -> str:
        """Create, fill and terminate a child run.

        Args:
            record: What it says.
            run_id: A run with this key that an earlier attempt left behind, or None to create one.

        Returns:
            The run's id.
        """
        self._reopen_parent()
        # A server takes tags with a new run at a fraction of what they cost it later.
        tags = {} if run_id is None else record.tags
        run_id = run_id or self._create_child(record)
        metrics = _metrics(record.metrics, record.end_time_ms)
        for name, steps in record.steps.items():
            metrics.extend(
                Metric(name, value, record.end_time_ms, step) for step, value in steps.items()
            )
        self._client.log_batch(
            run_id, metrics=metrics, params=_params(record.params), tags=_tags(tags)
        )
        if record.traceback is not None:
            self._client.log_text(run_id, record.traceback, keys.TRACEBACK_FILE)
        self._client.set_terminated(run_id, status=record.status, end_time=record.end_time_ms)
        self._count_step()
        return run_id

    def write_text(self, path: str, text: str) -> None:
        """Log a text as an artifact of the parent run."""
        self._client.log_text(self.parent_run_id, text, path)

    def write_parent_metric(self, name: str, points: Iterable[tuple[int, float, int]]) -> None:
        """Log a metric of the parent run: step, value and time (milliseconds since 1970, UTC) of each point."""
        self._client.log_batch(
            self.parent_run_id,
            metrics=[Metric(name, value, time_ms, step) for step, value, time_ms in points],
        )

    def write_model(self, record: ModelRecord, best_run_id: str | None = None) -> str:
        """Log the final model once; what is there already under its key is left as it is.

        Args:
            record: The fitted model and what is known of it.
            best_run_id: The child run of its trial, to be linked to.

        Returns:
            The model's URI.
        """
        self._model_id = self._models.write(record, self._reopen_parent)
        uri = f"models:/{self._model_id}"
        self._conclude(record, uri, best_run_id)
        return uri

    def has_drawn(self, key: str) -> bool:
        """Whether the parent run has the drawings of this key."""
        return bool(self._client.get_run(self.parent_run_id).data.tags.get(keys.DRAWN) == key)

    def write_drawings(self, drawings: Drawings, key: str, step: int) -> None:
        """Log figures and tables, then the key that says they are there.

        Args:
            drawings: Of the model that was written, and of its study.
            key: Names model and trials that they are of.
            step: Of the metrics.
        """
        now = time.time_ns() // 1_000_000
        self._log_files(drawings.of_model, drawings.of_study)
        self._client.log_batch(
            self.parent_run_id,
            metrics=_metrics(drawings.metrics, now, step),
            tags=_tags({keys.DRAWN: key}),
        )
        self._count_step()
        self._checkpoint()

    def register(self, record: ModelRecord) -> RegistryState | None:
        """Make the model that was written a version of a registered model, if it is to be one; what is done is left as it is."""
        if record.registered_name is None or record.held_out is None:
            return None
        from hpo.tracking.registry import Registry  # noqa: PLC0415 - it loads scikit-learn, which most runs need none of here

        # MLflow looks a model's URI up in the process's own store, whatever the client's is.
        mlflow.set_tracking_uri(self._tracking_uri)
        registry = Registry(
            self._client, self._tracking_uri, record.registered_name, record, record.held_out
        )
        state = registry.register(self._model_id, self.parent_run_id)
        self._checkpoint()
        return state

    def close(self, status: str, end_time_ms: int) -> None:
        """Terminate the parent run, if anything was written to it.

        Args:
            status: FINISHED, KILLED or FAILED.
            end_time_ms: Milliseconds since 1970.
        """
        if self.parent_is_open:
            self._client.set_terminated(self.parent_run_id, status=status, end_time=end_time_ms)
            self.parent_is_open = False
            self._checkpoint()

    def _checkpoint(self) -> None:
        path = sqlite_path(self._tracking_uri)
        if path is not None:
            checkpoint(path)

    def _create_run(
        self, key: str, name: str, start_time_ms: int, tags: Mapping[str, str] | None = None
    ) -> Run:
        every = {
            **(tags or {}),
            keys.KEY: key,
            keys.STUDY_UID: self._study.uid,
            keys.SOURCE_NAME: "hpo",
        }
        cut = {tag.key: tag.value for tag in _tags(every)}
        return self._client.create_run(
            self.experiment_id, start_time=start_time_ms, run_name=name, tags=cut
        )

    def _create_child(self, record: TrialRecord) -> str:
        name, tags = (
            keys.trial_run_name(record.number),
            {**record.tags, keys.PARENT_RUN_ID: self.parent_run_id},
        )
        return str(self._create_run(record.key, name, record.start_time_ms, tags).info.run_id)

    def _find_or_create_experiment(self) -> str:
        name = self._study.experiment or self._study.name
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            tags = {keys.EXPERIMENT_KIND: keys.MODEL_TRAINING, keys.NOTE: self._study.description}
            return str(
                self._client.create_experiment(
                    name, tags={key: value for key, value in tags.items() if value}
                )
            )
        if experiment.lifecycle_stage == "deleted":
            raise reader.trashed_experiment(experiment)
        return str(experiment.experiment_id)

    def _describe_parent(self) -> None:
        study = self._study
        self.parent_is_open = True
        self._client.log_batch(
            self.parent_run_id, params=_params(study.params), tags=_tags(study.tags)
        )
        if study.dataset is not None:
            self._client.log_inputs(self.parent_run_id, datasets=[_dataset_input(study.dataset)])
        for path, text in study.texts.items():
            self._client.log_text(self.parent_run_id, text, path)

    def _linked(self, description: str, best_run_id: str | None = None) -> str:
        """A description below links to what is shown beside the parent run: the page folds what is long."""
        links = [f"[All trials compared]({self.comparison})"]
        if best_run_id is not None:
            links.append(f"[best trial]({keys.runs_path(self.experiment_id, best_run_id)})")
        if self._study.dashboard is not None:
            links.append(f"[the study in optuna-dashboard]({self._study.dashboard})")
        return f"{' · '.join(links)}\n\n{description}"

    def _reopen_parent(self) -> None:
        if not self.parent_is_open:
            self._client.update_run(self.parent_run_id, status="RUNNING")
            self._describe_parent()

    def _search(self, tag: str, value: str) -> list[Run]:
        return reader.search_runs(self._client, self.experiment_id, tag, value)

    def _count_step(self) -> None:
        self.n_steps += 1
        self.on_step()

    def _log_files(
        self, of_model: Mapping[str, bytes], of_study: Mapping[str, bytes] | None = None
    ) -> None:
        """Log files on the parent run, those of the model with the model too."""
        with tempfile.TemporaryDirectory(prefix="hpo-") as directory:
            _write_files(Path(directory), of_model)
            self._client.log_model_artifacts(self._model_id, directory)
            _write_files(Path(directory), of_study or {})
            self._client.log_artifacts(self.parent_run_id, directory)

    def _conclude(self, record: ModelRecord, uri: str, best_run_id: str | None) -> None:
        """Say on the parent run what is known of the study now, where it does not say so already."""
        run = self._client.get_run(self.parent_run_id)
        metrics = {**record.metrics, **record.study_metrics}
        tags = {keys.BEST_TRIAL: str(record.trial_number), keys.MODEL_URI: uri, **record.study_tags}
        note = merge_note(
            self._linked(record.description, best_run_id), run.data.tags.get(keys.NOTE, "")
        )
        if (
            record.description and len(note) <= _TAG_LENGTH
        ):  # one that is too long to add to is left as it is
            tags[keys.NOTE] = note
        if metrics.items() <= run.data.metrics.items() and tags.items() <= run.data.tags.items():
            return
        self._reopen_parent()
        if record.card:
            self._log_files(
                {keys.MODEL_CARD_FILE: record.card.replace(keys.MODEL_URI_MARK, uri).encode()}
            )
        now, step = time.time_ns() // 1_000_000, record.n_finished
        changed = _metrics(
            {name: value for name, value in metrics.items() if run.data.metrics.get(name) != value},
            now,
            step,
        )
        for name, values in record.study_steps.items():
            known = {
                (metric.step, metric.value)
                for metric in self._client.get_metric_history(self.parent_run_id, name)
            }
            changed.extend(
                Metric(name, value, now, at)
                for at, value in values.items()
                if (at, value) not in known
            )
        self._client.log_batch(self.parent_run_id, metrics=changed, tags=_tags(tags))


def _write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _dataset_input(record: DatasetRecord) -> entities.DatasetInput:
    columns = [
        {"type": kind, "name": name, "required": True} for name, kind in record.columns.items()
    ]
    dataset = entities.Dataset(
        name=record.name,
        digest=record.digest,
        source_type="local",
        source=json.dumps({"uri": record.source}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(
            {"num_rows": record.n_rows, "num_elements": record.n_rows * len(columns)}
        ),
    )
    return entities.DatasetInput(
        dataset, tags=[entities.InputTag(keys.DATASET_CONTEXT, "training")]
    )


def _metrics(metrics: Mapping[str, float], time_ms: int, step: int = 0) -> list[Metric]:
    return [Metric(name, value, time_ms, step) for name, value in metrics.items()]


def _params(params: Mapping[str, str]) -> list[entities.Param]:
    return [entities.Param(name, value[:_PARAM_LENGTH]) for name, value in params.items()]


def _tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(name, value[:_TAG_LENGTH]) for name, value in tags.items()]
