"""Keeps submitted tables in MLflow's artifact store, each once, by the digest of its file."""

import os
import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from hpo.errors import TrackingError
from hpo.escaping import hide_password
from hpo.tracking import keys
from hpo.tracking.connection import check_reachable, connect, translated
from hpo.tracking.reader import (
    is_deleted,
    is_finished,
    is_made,
    order_of_keeping,
    search_runs,
)

EXPERIMENT = "hpo-tables"
"""Holds a run for each table; its name is no study's, since a study's own would collide."""

_FOLDER = "table"


@translated()
def keep_table(tracking_uri: str, path: Path, digest: str) -> None:
    """Upload a table, unless it is there.

    Args:
        tracking_uri: MLflow's.
        path: The table's file.
        digest: The SHA-256 of the file, hexadecimal.

    Raises:
        TrackingError: MLflow is away, or takes no more.
    """
    check_reachable(tracking_uri)
    client = connect(tracking_uri)
    experiment_id = _find_or_create_experiment(client)
    run = _find(client, experiment_id, digest)
    if run is not None and is_finished(run):
        return
    if run is None:
        tags = {keys.TABLE_DIGEST: digest}
        run = client.create_run(experiment_id, tags=tags, run_name=path.name)
    client.log_artifact(run.info.run_id, str(path), _FOLDER)
    # A run that is not terminated is not there yet: killed before, it is uploaded again.
    client.set_terminated(run.info.run_id)


@translated()
def fetch_table(tracking_uri: str, digest: str, target: Path) -> None:
    """Download a table to a file, whole or not at all.

    Args:
        tracking_uri: MLflow's.
        digest: Its file's.
        target: The file; its directory is made.

    Raises:
        TrackingError: MLflow is away, or does not have it.
    """
    check_reachable(tracking_uri)
    client = connect(tracking_uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    run = None if experiment is None else _find(client, experiment.experiment_id, digest)
    if run is None or not is_finished(run):
        raise TrackingError(
            f"MLflow does not have the table {digest[:8]} any more",
            hint="submit the study again: that uploads it",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as directory:
            (found,) = client.list_artifacts(run.info.run_id, _FOLDER)
            # The client's own verb does not say why it failed.
            fetched = download_artifacts(
                artifact_uri=f"{run.info.artifact_uri}/{found.path}",
                dst_path=directory,
                tracking_uri=tracking_uri,
            )
            shutil.copyfile(fetched, Path(directory, "whole"))
            os.replace(Path(directory, "whole"), target)  # noqa: PTH105 - says that it replaces
    except (OSError, MlflowException) as error:
        # MLflow lists what failed; the reason of the last one comes last.
        reason = getattr(error, "strerror", None) or str(error).strip().rpartition("\n")[2]
        raise TrackingError(
            f"the table cannot be fetched to {target.parent}: {hide_password(reason)}",
            hint="make room there, or set HPO_CACHE to another folder",
        ) from error


@translated()
def forget_table(tracking_uri: str, digest: str) -> bool:
    """Move a table to MLflow's trash; says whether there was one."""
    if not is_made(tracking_uri):
        return False
    client = connect(tracking_uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    run = None if experiment is None else _find(client, experiment.experiment_id, digest)
    if run is not None:
        client.delete_run(run.info.run_id)
    return run is not None


def _find(client: MlflowClient, experiment_id: str, digest: str) -> Run | None:
    """Find the run of a table: a finished one, else one that an upload left that was cut off."""
    runs = search_runs(client, [experiment_id], keys.TABLE_DIGEST, digest)
    active = [run for run in runs if not is_deleted(run)]
    return min(active, key=order_of_keeping, default=None)


def _find_or_create_experiment(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        return str(experiment.experiment_id)
    try:
        return str(client.create_experiment(EXPERIMENT))
    except MlflowException:
        # Another client created it at this moment.
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            raise
        return str(experiment.experiment_id)
