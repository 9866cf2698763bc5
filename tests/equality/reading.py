"""Reads all that a run left behind, through clients of its own, as texts by path.

The ledger is read with Optuna, MLflow's store with its client, the artifacts as files, and both
databases once more with ``sqlite3``, which shows rows that no client asks for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from mlflow import MlflowClient
from mlflow.entities import Experiment, LoggedModel, Metric, Run, ViewType
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from tests.equality.naming import Names, judged, read_artifact

MANY = 1000


@dataclass
class Picture:
    """What is in a directory.

    Attributes:
        facts: Texts by path, such as ``ledger/iris/trials/3/params``.
        n_trials: In the ledger, of all studies.
        n_runs: In MLflow, of all experiments.
        n_artifacts: Files of runs and of logged models.
    """

    facts: dict[str, str] = field(default_factory=dict)
    n_trials: int = 0
    n_runs: int = 0
    n_artifacts: int = 0

    def note(self, path: str, value: object) -> None:
        """Keep a value under a path; a second one with the same path stands beside the first."""
        while path in self.facts:
            path += " (another)"
        if not isinstance(value, str):
            value = json.dumps(value, sort_keys=True, default=repr)
        self.facts[path] = value


@dataclass
class Reader:
    """Reads one directory.

    Attributes:
        directory: Where the commands ran.
        checkout: Whose commands they were.
        names: Learns the ids that are found.
        began_ms: When the first command was started, milliseconds since 1970.
        ended_ms: When the last command had ended.
        picture: What was found so far.
        trials: Those of the ledger by study and number.
    """

    directory: Path
    checkout: Path
    names: Names
    began_ms: float
    ended_ms: float
    picture: Picture = field(default_factory=Picture)
    trials: dict[tuple[str, int], FrozenTrial] = field(default_factory=dict)

    def read(self) -> Picture:
        """Everything, its ids and times by name."""
        self._read_names_of_files()
        if (self.directory / "optuna.db").exists():
            self._read_rows("optuna.db")
            self._read_ledger()
        if (self.directory / "mlflow.db").exists():
            self._read_rows("mlflow.db")
            self._read_mlflow()
        apply, facts = self.names.apply, self.picture.facts
        self.picture.facts = {apply(path): apply(text) for path, text in facts.items()}
        return self.picture

    def _read_names_of_files(self) -> None:
        """What lies in the directory; the artifacts are read with their runs."""
        found = (path.name for path in self.directory.iterdir())
        # SQLite's own, there or not as the last process was done with them; locks are hidden.
        kept = sorted(name for name in found if not name.endswith(("-wal", "-shm")))
        kept = [name for name in kept if not name.startswith(".")]
        self.picture.note("files", kept)

    def _read_rows(self, database: str) -> None:
        with closing(sqlite3.connect(self.directory / database)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in sorted(tables):
                (n_rows,) = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
                self.picture.note(f"{database}/{table}", f"{n_rows} rows")

    def _read_ledger(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = RDBStorage(f"sqlite:///{self.directory}/optuna.db")
        try:
            for name in sorted(optuna.get_all_study_names(storage)):
                self._read_study(optuna.load_study(study_name=name, storage=storage), storage)
        finally:
            storage.engine.dispose()

    def _read_study(self, study: optuna.Study, storage: RDBStorage) -> None:
        name, note = study.study_name, self.picture.note
        if "uid" in study.user_attrs.get("hpo.identity", {}):
            uid = study.user_attrs["hpo.identity"]["uid"]
            self.names.call(uid, f"uid of {name}")
            self.names.call(uid[:12], f"uid of {name}, shortened")
        note(f"ledger/{name}/directions", [direction.name for direction in study.directions])
        for attribute, value in study.user_attrs.items():
            note(f"ledger/{name}/user attributes/{attribute}", value)
        # The dashboard's notes are among them.
        for attribute, value in storage.get_study_system_attrs(study._study_id).items():
            note(f"ledger/{name}/system attributes/{attribute}", value)
        for trial in study.trials:
            self.trials[name, trial.number] = trial
            self._read_trial(f"ledger/{name}/trials/{trial.number}", trial)
        self.picture.n_trials += len(study.trials)

    def _read_trial(self, path: str, trial: FrozenTrial) -> None:
        note, start, end = self.picture.note, trial.datetime_start, trial.datetime_complete
        note(f"{path}/state", trial.state.name)
        note(f"{path}/values", trial.values)
        note(f"{path}/params", trial.params)
        note(f"{path}/distributions", trial.distributions)
        note(f"{path}/intermediate values", trial.intermediate_values)
        note(f"{path}/user attributes", judged(trial.user_attrs))
        note(f"{path}/system attributes", trial.system_attrs)
        note(f"{path}/started", "no" if start is None else self._moment(_ms(start)))
        is_in_order = start is not None and end is not None and start <= end
        note(f"{path}/ended", self._moment(_ms(end)) if is_in_order else "not after its start")

    def _read_mlflow(self) -> None:
        client = MlflowClient(f"sqlite:///{self.directory}/mlflow.db")
        for experiment in client.search_experiments(view_type=ViewType.ALL):
            self._read_experiment(experiment)
            ids = [experiment.experiment_id]
            runs = list(client.search_runs(ids, run_view_type=ViewType.ALL, max_results=MANY))
            for run in runs:
                self._read_run(client, experiment.name, run)
            self.picture.n_runs += len(runs)
            models = list(client.search_logged_models(ids))
            models.sort(key=lambda model: model.creation_timestamp)
            for number, model in enumerate(models, start=1):
                self.names.call(model.model_id, f"model {experiment.name}/{number}")
                self._read_model(experiment.name, model)
        for registered in client.search_registered_models():
            self._read_registered(registered)
        for version in client.search_model_versions():
            self._read_version(version)

    def _read_experiment(self, experiment: Experiment) -> None:
        path, note = f"mlflow/{experiment.name}", self.picture.note
        note(f"{path}/id", experiment.experiment_id)
        note(f"{path}/stage", experiment.lifecycle_stage)
        note(f"{path}/place", experiment.artifact_location)
        note(f"{path}/made", self._moment(experiment.creation_time))
        for name, value in experiment.tags.items():
            note(f"{path}/tags/{name}", value)

    def _read_run(self, client: MlflowClient, experiment: str, run: Run) -> None:
        info, data, note = run.info, run.data, self.picture.note
        path = f"mlflow/{experiment}/{info.run_name}"
        self.names.call(info.run_id, f"run {experiment}/{info.run_name}")
        trial = self._trial(experiment, data.metrics.get("trial_number"))
        if trial is None:
            # The page of a comparison says when its study began.
            self.names.call(info.start_time, f"start of {info.run_name}")
        best = self._trial(experiment, data.tags.get("hpo.best_trial"))
        note(f"{path}/status", f"{info.status}, {info.lifecycle_stage}")
        note(f"{path}/user", info.user_id)
        note(f"{path}/place", info.artifact_uri)
        note(f"{path}/started", self._moment(info.start_time, trial, is_start=True))
        note(f"{path}/ended", self._moment(info.end_time, trial))
        for name, value in data.params.items():
            note(f"{path}/params/{name}", value)
        for name, value in data.tags.items():
            note(f"{path}/tags/{name}", value)
        for name in data.metrics:
            history = client.get_metric_history(info.run_id, name)
            note(f"{path}/metrics/{name}", self._points(history, experiment, trial or best))
        note(f"{path}/inputs", [each.to_dictionary() for each in run.inputs.dataset_inputs])
        for output in run.outputs.model_outputs if run.outputs else ():
            # MLflow gives them in the order of their random ids.
            note(f"{path}/outputs/{output.model_id}", output.to_dictionary())
        self._read_artifacts(f"{path}/artifacts", Path(info.artifact_uri))

    def _read_model(self, experiment: str, model: LoggedModel) -> None:
        path, note = f"mlflow/{experiment}/{model.model_id}", self.picture.note
        best = self._trial(experiment, model.tags.get("hpo.best_trial"))
        about = (model.name, model.model_type, str(model.status), model.status_message)
        note(f"{path}/is", about)
        note(f"{path}/place", model.artifact_location)
        note(f"{path}/run", model.source_run_id)
        note(f"{path}/made", self._moment(model.creation_timestamp))
        for name, value in model.params.items():
            note(f"{path}/params/{name}", value)
        for name, value in model.tags.items():
            note(f"{path}/tags/{name}", value)
        for name in sorted({metric.key for metric in model.metrics}):
            of_name = [metric for metric in model.metrics if metric.key == name]
            note(f"{path}/metrics/{name}", self._points(of_name, experiment, best))
        self._read_artifacts(f"{path}/artifacts", Path(model.artifact_location))

    def _read_registered(self, registered: RegisteredModel) -> None:
        path = f"mlflow/registered/{registered.name}"
        self.picture.note(f"{path}/tags", registered.tags)
        self.picture.note(f"{path}/aliases", registered.aliases)
        self.picture.note(f"{path}/description", registered.description)

    def _read_version(self, version: ModelVersion) -> None:
        path, note = f"mlflow/registered/{version.name}/{version.version}", self.picture.note
        note(f"{path}/is", (version.status, version.current_stage, version.description))
        note(f"{path}/source", (version.source, version.run_id, version.model_id))
        note(f"{path}/aliases", sorted(version.aliases))
        for name, value in version.tags.items():
            note(f"{path}/tags/{name}", value)

    def _read_artifacts(self, path: str, home: Path) -> None:
        package = self.checkout / "hpo"
        for file in sorted(each for each in home.rglob("*") if each.is_file()):
            name = file.relative_to(home)
            if name.parts[:2] == ("code", "hpo"):
                continue
            self.picture.note(f"{path}/{name}", read_artifact(file))
            self.picture.n_artifacts += 1
        copy = home / "code" / "hpo"
        if copy.is_dir():
            # A model that needs our code brings it along: each its own, file by file.
            is_same = _read_sources(copy) == _read_sources(package)
            self.picture.note(f"{path}/code", f"as in the checkout: {is_same}")

    def _trial(self, study: str, number: object) -> FrozenTrial | None:
        """A study's trial by a number as MLflow has it."""
        return None if number is None else self.trials.get((study, int(float(str(number)))))

    def _points(
        self, metrics: Iterable[Metric], study: str, trial: FrozenTrial | None
    ) -> list[tuple[Any, ...]]:
        """Step, value, when, and what of, of each point of a metric.

        Args:
            metrics: The points.
            study: Whose they are.
            trial: The one that the run or the model is of, or None.
        """
        points = []
        for metric in sorted(metrics, key=lambda point: (point.step, point.timestamp)):
            # The best so far is logged with the trial's number as its step.
            when = self._moment(metric.timestamp, trial, self._trial(study, metric.step))
            data = (metric.dataset_name, metric.dataset_digest, metric.model_id)
            points.append((metric.step, repr(metric.value), when, *data))
        return points

    def _moment(self, ms: float | None, *trials: FrozenTrial | None, is_start: bool = False) -> str:
        """A time by what happened then: a trial's end or start, or only that something ran."""
        if ms is None:
            return "never"
        for trial in filter(None, trials):
            known = trial.datetime_start if is_start else trial.datetime_complete
            if known is not None and ms == _ms(known):
                return f"{'start' if is_start else 'end'} of trial {trial.number}"
        return "during the run" if self.began_ms <= ms <= self.ended_ms else "at another time"


def _ms(moment: datetime) -> int:
    """Optuna's naive local time as MLflow has it."""
    return round(moment.timestamp() * 1000)


def _read_sources(package: Path) -> dict[str, bytes]:
    """The content of each file of a package, by its name there."""
    return {
        str(path.relative_to(package)): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
