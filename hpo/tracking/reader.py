"""Asks MLflow what a store holds of a study; changes nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.credentials import get_default_host_creds

from hpo.errors import TrackingError, first_line
from hpo.ledger.inspection import MLFLOW, read_database
from hpo.settings import sqlite_path
from hpo.sqlite import url_unchanged
from hpo.tracking import keys
from hpo.tracking.connection import check_server, translated

_RUNS_PAGE = 50_000


def is_made(tracking_uri: str) -> bool:
    """Whether MLflow's tables are there, which a server that answers has.

    Raises:
        HpoError: The server is away, or the database cannot be read.
    """
    if tracking_uri.startswith("http"):
        check_server(tracking_uri)
        return True
    with read_database(tracking_uri, MLFLOW) as connection:
        return connection is not None


@contextmanager
def open_store(tracking_uri: str) -> Iterator[Any]:
    """Open MLflow's store for reading, without making or changing anything."""
    path = sqlite_path(tracking_uri)
    with ExitStack() as stack, translated():
        store: Any
        if tracking_uri.startswith("http"):
            store = RestStore(partial(get_default_host_creds, tracking_uri))
        else:
            from mlflow.store.tracking import sqlalchemy_store  # noqa: PLC0415 - slow to load

            store = sqlalchemy_store.SqlAlchemyStore(
                tracking_uri if path is None else url_unchanged(path),
                DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH,
            )
            stack.callback(store.engine.dispose)
        yield store


def search_runs(
    store: Any, experiment_ids: Sequence[str], tag: str, value: str, *, comparator: str = "="
) -> list[Run]:
    """Find all runs with a tag, in the trash or not, the earliest first.

    Args:
        store: A store of MLflow's, or a client.
        experiment_ids: Where to look.
        tag: The tag's name.
        value: Its value, which holds no quote.
        comparator: One of MLflow's, between the tag and the value.
    """
    try:
        return all_pages(
            store.search_runs,
            list(experiment_ids),
            f"tags.`{tag}` {comparator} '{value}'",
            run_view_type=ViewType.ALL,
            max_results=_RUNS_PAGE,
            order_by=["start_time", "run_id"],
        )
    except ValueError as error:
        # A file store reads what another thread or process has not written to its end.
        raise TrackingError(f"MLflow's file store: {first_line(error)}") from error


def all_pages(search: Callable[..., Any], *arguments: Any, **options: Any) -> list[Any]:
    """Collect the pages of a search of MLflow's."""
    page = search(*arguments, **options)
    found = list(page)
    while page.token:
        page = search(*arguments, **options, page_token=page.token)
        found.extend(page)
    return found


def is_trashed(experiment: Experiment) -> bool:
    """Whether a person deleted the experiment."""
    return bool(experiment.lifecycle_stage == LifecycleStage.DELETED)


def trashed_experiment(experiment: Experiment) -> TrackingError:
    """The error for an experiment that a person deleted."""
    return TrackingError(
        f"the MLflow experiment '{experiment.name}' is in the trash",
        hint=f"mlflow experiments restore --experiment-id {experiment.experiment_id},"
        " or choose another --name",
    )


def deleted_parent(study: str, run_id: str) -> TrackingError:
    """The error for a parent run that a person deleted."""
    return TrackingError(
        f"the parent run of study '{study}' was deleted in MLflow",
        hint=f"mlflow runs restore --run-id {run_id}, or choose another --name",
    )


def key_of(run: Run) -> str:
    """The run's key; empty where a person took it away, and the run with it from our care."""
    key = str(run.data.tags.get(keys.KEY, ""))
    return key if keys.is_key(key) else ""


def is_deleted(run: Run) -> bool:
    """Whether the run is in the trash."""
    return bool(run.info.lifecycle_stage == LifecycleStage.DELETED)


def is_finished(run: Run) -> bool:
    """Whether the run was terminated: everything was written to it."""
    return bool(run.info.status != "RUNNING")


def is_gone(client: MlflowClient, run_id: str) -> bool:
    """Whether there is no such run, as after ``mlflow gc``."""
    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return True
    return False


def was_deleted_by_hand(run: Run) -> bool:
    """Whether a person deleted the run: it was finished, and is no duplicate."""
    return is_deleted(run) and is_finished(run) and keys.DUPLICATE_OF not in run.data.tags


def order_of_keeping(run: Run) -> tuple[bool, bool, int, str]:
    """Of runs with one key the least stays: a finished one, then the earliest, then by its id."""
    return is_deleted(run), not is_finished(run), run.info.start_time, run.info.run_id
