"""Reaches MLflow: checks a server, makes a client, translates MLflow's errors into ours."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy.exc import SQLAlchemyError

from hpo.errors import LedgerError, TrackingError, first_line
from hpo.escaping import hide_password
from hpo.ledger.failures import never, repeat
from hpo.ledger.inspection import MLFLOW, read_database
from hpo.ledger.lock import FOLDER, hold_tables
from hpo.settings import sqlite_path
from hpo.sqlite import checkpoint, use_wal
from hpo.tracking.interface import ignore
from hpo.tracking.moved_store import FOLDER as ARTIFACTS
from hpo.tracking.moved_store import move_addresses
from hpo.tracking.tables import fill_tables

REACH_SECONDS = 3.0

MAKER_SECONDS = 15.0
"""How long to wait for another process that makes the tables."""

_REFUSALS = {
    401: (
        "needs credentials that it takes",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    ),
    403: ("allows this user too little", "ask its administrator for permission to edit"),
}

T = TypeVar("T")


def connect(
    tracking_uri: str,
    stop_signal: Callable[[], int | None] = never,
    notify: Callable[[str], None] = ignore,
) -> MlflowClient:
    """Make a client; for an SQLite file, make its tables first where they are missing.

    The artifact addresses of a file that was moved or copied follow it.

    MLflow makes its tables in many steps and guards none of them: two processes that start on a new
    file would collide, and one that is killed leaves a file that no later run can use. So they are
    made under a lock, in a file that gets its name when it is whole.

    Args:
        tracking_uri: MLflow's.
        stop_signal: Gives the number of a signal that asked to stop, or None.
        notify: Takes a line for a person, where addresses were changed.

    Raises:
        TrackingError: Another process makes them, and has not ended in time.
        InterruptedBySignal: A signal came meanwhile.
    """
    path = sqlite_path(tracking_uri)
    if path is not None and not _has_tables(tracking_uri):
        try:
            repeat(
                lambda _: _make_tables(tracking_uri, path),
                stop_signal,
                patience_seconds=MAKER_SECONDS,
            )
        except LedgerError as error:
            raise TrackingError(str(error), hint=error.hint) from error
    if path is not None:
        for old, new in move_addresses(path).items():
            notify(f"MLflow's artifacts are looked for in {new / ARTIFACTS}, no longer in {old}")
    return MlflowClient(tracking_uri)


def _has_tables(tracking_uri: str) -> bool:
    with read_database(tracking_uri, MLFLOW) as connection:
        return connection is not None


def _make_tables(tracking_uri: str, path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415 - slow

    with hold_tables(path):
        if not path.exists():
            making = path.parent / FOLDER / f"{path.name}.making"
            for remnant in making.parent.glob(f"{making.name}*"):
                remnant.unlink()
            use_wal(making)
            fill_tables(making, mlflow.__version__)
            SqlAlchemyStore(
                f"sqlite:///{making}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
            ).engine.dispose()
            checkpoint(making)
            making.replace(path)
        MlflowClient(tracking_uri)  # makes what a file that is there lacks


def check_reachable(tracking_uri: str) -> None:
    """Ask a server whether it is there.

    Where it is away this takes seconds; MLflow's own client may take minutes.

    Raises:
        TrackingError: It is not.
    """
    if tracking_uri.startswith("http"):
        status, _ = ask_server(tracking_uri, "/health")
        if status >= 500:
            raise TrackingError(f"{hide_password(tracking_uri)} answers {status}")


def ask_server(address: str, endpoint: str) -> tuple[int, str]:
    """Send one request as MLflow's client does, with its credentials, but without its retries.

    Returns:
        The status and the text of the answer.

    Raises:
        TrackingError: There is none.
    """
    try:
        answer = http_request(
            get_default_host_creds(address),
            endpoint,
            "GET",
            max_retries=0,
            timeout=REACH_SECONDS,
            raise_on_status=False,
        )
    except MlflowException as error:
        # Its own text names objects, and addresses with passwords; its last cause does not.
        reason: BaseException = error
        while (deeper := reason.__cause__ or reason.__context__) is not None:
            reason = deeper
        what = getattr(reason, "strerror", None) or type(reason).__name__
        raise TrackingError(f"{hide_password(address)} does not answer: {what}") from error
    return int(answer.status_code), str(answer.text)


def check_server(address: str) -> None:
    """Ask a server what a run would ask, and its version.

    Raises:
        TrackingError: It is away, lets nobody in, or is of another major version.
    """
    try:
        status, body = ask_server(address, "/api/2.0/mlflow/experiments/search?max_results=1")
        version_status, version = ask_server(address, "/version")
    except TrackingError as error:
        error.hint = (
            "start it or mend the address; a run searches on without it,"
            " and the same command catches up later"
        )
        raise
    client = mlflow.__version__
    server = version.strip()
    if status == 403 and "Invalid Host header" in body:
        host = urlsplit(address).netloc.rpartition("@")[2]
        problem = f"refuses requests to '{host}'"
        hint = f"start it with --allowed-hosts {host} (its /health answers all the same)"
    elif status in _REFUSALS:
        problem, hint = _REFUSALS[status]
    elif status != 200 or not body.lstrip().startswith("{"):
        problem = f"answers {status} where MLflow's API should be"
        hint = "check the address and the server's log"
    elif version_status == 200 and server.partition(".")[0] != client.partition(".")[0]:
        problem = f"is MLflow {server}, but the client here is {client}"
        hint = "bring both to one major version"
    else:
        return
    raise TrackingError(f"{hide_password(address)} {problem}", hint=hint)


def translating(cls: type[T]) -> type[T]:
    """Decorate a class: its public methods raise our errors for MLflow's and the file system's."""
    for name, method in list(vars(cls).items()):
        if callable(method) and not name.startswith("_"):
            setattr(cls, name, translated()(method))
    return cls


@contextmanager
def translated() -> Iterator[None]:
    """Raise our error for MLflow's and the file system's."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, sqlite3.Error) as error:
        # The HTTP library goes on with objects and addresses.
        line = re.sub(r" failed with (timeout )?exception .*", " failed", first_line(error))
        raise TrackingError(f"MLflow: {hide_password(line)}") from error
    except Exception as error:
        # All that MLflow's file store raises where its folder is gone.
        if type(error) is not Exception:
            raise
        raise TrackingError(f"MLflow: {first_line(error)}") from error
