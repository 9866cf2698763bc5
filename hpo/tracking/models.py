"""Writes logged models: the final one of a study is checked by loading it back before it is READY.

It is created, uploaded, loaded back, compared, linked to the parent run, then finalized. A model
that is not READY does not count as there.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema

import hpo
from hpo import serving
from hpo.errors import TrackingError
from hpo.tracking import keys
from hpo.tracking.entities import make_params
from hpo.tracking.model_files import INCOMPLETE, find_problem, load_logged_model
from hpo.tracking.parent_run import ParentRun
from hpo.tracking.reader import all_pages
from hpo.tracking.run_records import ModelRecord, StudyRecord

SHIPPED_MODULES = ("__init__", "calendar", "conversion", "serving", "values")
"""The modules of this package that any loaded model imports."""


class ModelWriter:
    """One study's logged models.

    Args:
        client: Of the store.
        tracking_uri: The store's.
        study: What the parent run says.
        parent: The parent run, found or created.
        on_step: Called whenever a part of a model got through; a later attempt goes on after it.
        on_loss: Called with what MLflow has lost and is about to get again.
    """

    def __init__(
        self,
        client: MlflowClient,
        tracking_uri: str,
        study: StudyRecord,
        parent: ParentRun,
        on_step: Callable[[], None],
        on_loss: Callable[[str], None],
    ) -> None:
        self._client = client
        self._tracking_uri = tracking_uri
        self._study = study
        self._parent = parent
        self._on_step = on_step
        self._on_loss = on_loss
        self._begun_id = ""
        self._done: set[str] = set()

    def write(self, record: ModelRecord, step: int) -> str:
        """Log a model once, and mark the study's other models as superseded by it.

        Args:
            record: The fitted model; one that is READY under its key stays as it is.
            step: The step of its metrics.

        Returns:
            The model's id.
        """
        search = f"tags.`{keys.STUDY_UID}` = '{self._study.uid}'"
        of_study: list[LoggedModel] = all_pages(
            self._client.search_logged_models, [self._parent.experiment_id], search
        )
        ready = [model for model in of_study if model.status == LoggedModelStatus.READY]
        unready = [model for model in of_study if model.status != LoggedModelStatus.READY]
        current = next((model for model in ready if model.tags.get(keys.KEY) == record.key), None)
        begun = next((model for model in unready if model.model_id == self._begun_id), None)
        for model in unready:
            # Even for another trial: after a top-up nobody would go on with it.
            if model is not begun:
                self._client.delete_logged_model(model.model_id)
        if current is None:
            self._parent.reopen()
            current = self._log(record, begun or self._begin(record), step)
        else:
            self._restore_lost(record, current)
            if current.source_run_id != self._parent.run_id:
                # The parent run was purged, and this is another.
                self._parent.link_model(current.model_id)
        for model in ready:
            if model.model_id != current.model_id and keys.SUPERSEDED_BY not in model.tags:
                self._client.set_logged_model_tags(
                    model.model_id, {keys.SUPERSEDED_BY: current.model_id}
                )
        if keys.SUPERSEDED_BY in current.tags:
            # The selection rule was changed and changed back.
            self._client.delete_logged_model_tag(current.model_id, keys.SUPERSEDED_BY)
        return str(current.model_id)

    def _restore_lost(self, record: ModelRecord, model: LoggedModel) -> None:
        """Write a model's files again, in their place, where it cannot be loaded any more."""
        problem = find_problem(model.artifact_location, self._tracking_uri, record.trusted_types)
        if keys.INCOMPLETE in model.tags:
            problem = INCOMPLETE
        if problem is None:
            return
        self._on_loss(f"the logged model {model.model_uri} cannot be loaded ({problem})")
        self._parent.reopen()
        self._client.set_logged_model_tags(model.model_id, {keys.INCOMPLETE: "true"})
        self._upload(record, model)
        self._check(record, model)
        self._client.delete_logged_model_tag(model.model_id, keys.INCOMPLETE)
        self._on_step()

    def _begin(self, record: ModelRecord) -> LoggedModel:
        tags = {
            keys.KEY: record.key,
            keys.STUDY_UID: self._study.uid,
            keys.REFIT: record.refit,
            keys.BEST_TRIAL: str(record.trial_number),
        }
        model = self._client.create_logged_model(
            self._parent.experiment_id,
            keys.MODEL_NAME,
            source_run_id=self._parent.run_id,
            model_type="classifier",
            params={param.key: param.value for param in make_params(record.params)},
            tags=tags,
        )
        # A later attempt of this process can go on with it.
        self._begun_id = model.model_id
        self._done = set()
        self._on_step()
        return model

    def _log(self, record: ModelRecord, model: LoggedModel, step: int) -> LoggedModel:
        if "uploaded" not in self._done:
            self._upload(record, model)
            self._count("uploaded")
        if "checked" not in self._done:
            self._check(record, model)
            self._count("checked")
        self._parent.link_model(model.model_id)
        dataset = self._study.dataset
        about = {"dataset_name": dataset.name, "dataset_digest": dataset.digest} if dataset else {}
        metrics = [
            Metric(name, value, record.time_ms, step, model_id=model.model_id, **about)
            for name, value in record.metrics.items()
        ]
        self._client.log_batch(self._parent.run_id, metrics=metrics)
        return self._client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)

    def _upload(self, record: ModelRecord, model: LoggedModel) -> None:
        described = Model(
            run_id=self._parent.run_id,
            model_id=model.model_id,
            artifact_path=model.artifact_location,
        )
        with tempfile.TemporaryDirectory(prefix="hpo-") as directory:
            save_model(record, Path(directory, "saved"), described)
            self._client.log_model_artifacts(model.model_id, f"{directory}/saved")

    def _check(self, record: ModelRecord, model: LoggedModel) -> None:
        """Load a model back and compare what it predicts.

        Raises:
            ModelError: It is not what was uploaded.
            TrackingError: It predicts otherwise.
        """
        location, trusted = model.artifact_location, record.trusted_types
        loaded = load_logged_model(location, self._tracking_uri, trusted)
        for method, expected in record.expected.items():
            if not np.array_equal(loaded.predict(record.input_example, method), expected):
                raise TrackingError(
                    "the logged model, loaded back, predicts otherwise than the fitted one",
                    hint="report this as a bug",
                )

    def _count(self, part: str) -> None:
        self._done.add(part)
        self._on_step()


def save_model(record: ModelRecord, path: Path, described: Model) -> None:
    """Save a model's files.

    Args:
        record: The fitted model.
        path: A directory that is not there yet.
        described: What its ``MLmodel`` says of where it comes from; the rest is added.
    """
    with tempfile.TemporaryDirectory(prefix="hpo-") as directory:
        mlflow.sklearn.save_model(
            record.model,
            path=str(path),
            mlflow_model=described,
            serialization_format="skops",
            signature=_sign(record),
            skops_trusted_types=list(record.trusted_types),
            code_paths=[_gather_code(Path(directory), record.modules)],
            input_example=record.input_example,
            pip_requirements=list(record.requirements),
        )
    described.flavors["python_function"]["loader_module"] = serving.__name__
    described.save(path / "MLmodel")
    for name, text in record.files.items():
        (path / name).write_text(text, encoding="utf-8")


def _sign(record: ModelRecord) -> ModelSignature:
    """Say what goes in and out.

    A column of whole numbers is read as integers, but as floats where these rows have a gap, and
    MLflow 3.17 has no type for both: ``double`` refuses integers, ``long`` refuses floats, and with
    ``AnyType`` its server takes no CSV. So a signature names inputs only where all columns are
    floats; elsewhere the model converts what comes, and refuses what it cannot.
    """
    params = ParamSchema([ParamSpec(serving.PREDICT_METHOD, DataType.string, "predict")])
    outputs = mlflow.models.infer_signature(model_output=record.expected["predict"]).outputs
    inputs = Schema([ColSpec(DataType[kind], name) for name, kind in record.input_types.items()])
    return ModelSignature(inputs if record.has_typed_inputs else None, outputs, params)


def _gather_code(directory: Path, more: Iterable[str]) -> str:
    """Copy the modules that a saved model names, and what makes them a package."""
    package = directory / "hpo"
    package.mkdir()
    for name in (*SHIPPED_MODULES, *more):
        shutil.copy(Path(hpo.__file__).with_name(f"{name}.py"), package)
    return str(package)


def rehearse(model: Any) -> None:
    """Save a model and throw it away: the modules and the package list it takes cost a second."""
    # A full disk is reported when there is something to write.
    with (
        suppress(OSError, MlflowException),
        tempfile.TemporaryDirectory(prefix="hpo-") as directory,
    ):
        mlflow.sklearn.save_model(
            model, f"{directory}/model", serialization_format="skops", pip_requirements=["mlflow"]
        )
