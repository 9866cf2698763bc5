"""Fetches a logged model's files for the safe loader; the only way from MLflow to a loaded model.

The files that the loader reads are asked for by their names, so nothing that a store answers can
name a path, and no more of them is read than a model of ours may have.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import augmented_raise_for_status, http_request
from sqlalchemy.exc import SQLAlchemyError

from hpo.errors import (
    ModelError,
    SettingsError,
    TrackingError,
    UntrustedTypesError,
    first_line,
)
from hpo.escaping import hide_password
from hpo.settings import sqlite_path
from hpo.tracking import keys
from hpo.tracking.connection import check_reachable
from hpo.tracking.moved_store import address_after, move_addresses, read_moves
from hpo.tracking.reader import open_store

if TYPE_CHECKING:
    from hpo.estimators.loading import ShippedModel

DOWNLOAD_SECONDS = 600.0
"""How long the files of a model may take from a server that goes on sending."""

EXPECTED_NAMES = ("MLmodel", "code", "hpo_columns.json", "model.skops")
"""What is in the folder of every model that a run logged."""

INCOMPLETE = "it was not written to its end"

_CHUNK_BYTES = 2**20


def load_logged_model(uri: str, tracking_uri: str, trusted: Sequence[str] = ()) -> "ShippedModel":
    """Load a logged model with the safe loader.

    Args:
        uri: ``models:/...``, ``runs:/...``, or where the files are, as MLflow says it.
        tracking_uri: The store that knows it.
        trusted: Types that an estimator of one's own may hold, beside those that skops trusts.

    Raises:
        SettingsError: There is no such SQLite file; it is not made.
        TrackingError: The server is away.
        ModelError: There is no such model, its files cannot be had, or it is not safe to load.
    """
    from hpo.estimators.loading import load_model  # noqa: PLC0415 - it loads scikit-learn

    path = sqlite_path(tracking_uri)
    if path is not None and path.exists():
        with suppress(sqlite3.Error):  # a store that may only be read stays as it is
            move_addresses(path)
    with tempfile.TemporaryDirectory(prefix="hpo-") as directory:
        with translating(uri, tracking_uri):
            files = _fetch(open_repository(uri, tracking_uri), Path(directory))
        return load_model(files, trusted)


def find_problem(
    location: str,
    tracking_uri: str,
    trusted: Sequence[str] | None = None,
    names: Collection[str] = EXPECTED_NAMES,
) -> str | None:
    """Say why a model that MLflow knows cannot be loaded; None where it can.

    Args:
        location: Where its files are, as MLflow says it.
        tracking_uri: The store that knows it.
        trusted: As :func:`load_logged_model` takes them; None where nobody knows them, and a model
            that needs some is left alone.
        names: What is to be in its folder.

    Raises:
        TrackingError: The server is away, or the files can neither be had nor be missed.
    """
    from hpo.estimators.loading import load_model  # noqa: PLC0415 - it loads scikit-learn

    with tempfile.TemporaryDirectory(prefix="hpo-") as directory:
        try:
            with translating(location, tracking_uri):
                repository = open_repository(location, tracking_uri)
                files = _fetch(repository, Path(directory))
                missing = sorted(set(names).difference(_sizes(repository)))
        except ModelError as error:
            raise TrackingError(str(error), hint=error.hint) from error
        if missing:
            return f"it lacks {', '.join(missing)}"
        try:
            load_model(files, trusted or ())
        except UntrustedTypesError as error:
            return None if trusted is None else str(error).removeprefix("model: ")
        except ModelError as error:
            return str(error).removeprefix("model: ")
    return None


def find_problem_of(model_id: str, tracking_uri: str) -> str | None:
    """Say why the final model of a study cannot be loaded; None where it can.

    Args:
        model_id: The logged model's.
        tracking_uri: A store that has its tables.

    Raises:
        TrackingError: MLflow is away.
    """
    with open_store(tracking_uri) as store:
        try:
            model = store.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return "MLflow does not have it"
    if keys.INCOMPLETE in model.tags:
        return INCOMPLETE
    names = (*EXPECTED_NAMES, keys.MODEL_CARD_FILE)
    location = address_after(read_moves(tracking_uri), model.artifact_location)
    return find_problem(location, tracking_uri, names=names)


@contextmanager
def translating(uri: str, tracking_uri: str) -> Iterator[None]:
    """Say of a foreign error that the model cannot be fetched."""
    from hpo.estimators.loading import FROM_ODD_FILES  # noqa: PLC0415 - it loads scikit-learn

    try:
        yield
    except (MlflowException, SQLAlchemyError, *FROM_ODD_FILES) as error:
        reason = hide_password(first_line(error))
        raise ModelError(
            f"model: {uri} cannot be fetched from {hide_password(tracking_uri)}: {reason}"
        ) from error


def open_repository(uri: str, tracking_uri: str) -> Any:
    """Open the place where a model's files are.

    Raises:
        SettingsError: There is no such SQLite file; it is not made.
        TrackingError: The server is away.
    """
    path = sqlite_path(tracking_uri)
    if path is not None and not os.path.exists(path):
        raise SettingsError(
            f"tracking URI: {path} is not there", hint="name MLflow's store with --tracking-uri"
        )
    check_reachable(tracking_uri)
    if uri.startswith(("models:", "runs:")):
        # MLflow looks them up in the process's own store, whatever the argument says.
        mlflow.set_tracking_uri(tracking_uri)
    if RunsArtifactRepository.is_runs_uri(uri):
        uri = _find_model_of_run(uri, tracking_uri)
    repository = get_artifact_repository(uri, tracking_uri=tracking_uri)
    while isinstance(repository, ModelsArtifactRepository):
        repository = repository.repo
    return repository


def _find_model_of_run(uri: str, tracking_uri: str) -> str:
    """Give the place of the newest model of this name that a run logged, or of its own files."""
    client = MlflowClient(tracking_uri)
    run_id, path = RunsArtifactRepository.parse_runs_uri(uri)
    run = client.get_run(run_id)
    outputs = run.outputs.model_outputs if run.outputs else ()
    logged = [client.get_logged_model(output.model_id) for output in outputs]
    named = [model for model in logged if model.name == path]
    if named:
        return str(max(named, key=lambda model: model.creation_timestamp).artifact_location)
    return f"{run.info.artifact_uri}/{path or ''}"


def _fetch(repository: Any, directory: Path) -> Path:
    """Give a directory with the files that the loader reads: a local store's own, or copies.

    Raises:
        ModelError: A file is larger than any of ours.
    """
    from hpo.estimators.loading import LARGEST_FILES, too_large  # noqa: PLC0415 - scikit-learn

    if isinstance(repository, LocalArtifactRepository):
        return Path(repository.artifact_dir)
    sizes = _sizes(repository)
    end = time.monotonic() + DOWNLOAD_SECONDS
    for name, largest in LARGEST_FILES.items():
        if sizes.get(name, 0) > largest:
            raise too_large(name)
        if name not in sizes:
            # The listing may name them in words of its own, such as "evil/../model.skops".
            continue
        if not isinstance(repository, HttpArtifactRepository):
            repository.download_artifacts(name, dst_path=str(directory))
        elif _download(repository.artifact_uri, directory / name, largest, end) > largest:
            raise too_large(name)
    return directory


def _sizes(repository: Any) -> dict[str, int]:
    """Give the names in a model's folder, and how many bytes each is said to have."""
    listed = repository.list_artifacts("")
    return {PurePosixPath(entry.path).name: entry.file_size or 0 for entry in listed}


def _download(address: str, path: Path, largest: int, end: float) -> int:
    """Write a file of a server; gives how many bytes it sent until they were more than allowed.

    MLflow's own client writes whatever comes, for as long as it comes.
    """
    n_bytes = 0
    answer = http_request(get_default_host_creds(address), f"/{path.name}", "GET", stream=True)
    with closing(answer), path.open("wb") as file:
        augmented_raise_for_status(answer)
        for chunk in answer.iter_content(_CHUNK_BYTES):
            n_bytes += len(chunk)
            if n_bytes > largest:
                break
            if time.monotonic() > end:
                raise TrackingError(
                    f"{hide_password(address)} has been sending {path.name}"
                    f" for {DOWNLOAD_SECONDS:.0f} s",
                    hint="try again when it is faster",
                )
            file.write(chunk)
    return n_bytes
