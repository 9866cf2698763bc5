"""Asks MLflow: whether a server is there, and for the files of a logged model; nothing of them is loaded here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy.exc import SQLAlchemyError

from hpo.errors import ModelError, SettingsError, TrackingError
from hpo.settings import hide_password, sqlite_path

REACH_SECONDS = 3.0


def fetch_model(uri: str, tracking_uri: str, directory: Path) -> Path:
    """Download a model's files.

    Args:
        uri: ``models:/...`` or ``runs:/...``.
        tracking_uri: The store that knows it.
        directory: An empty directory for them.

    Returns:
        Where they are.

    Raises:
        SettingsError: There is no such SQLite file; it is not made.
        TrackingError: The server is away.
        ModelError: There is no such model, or its files cannot be had.
    """
    path = sqlite_path(tracking_uri)
    if path is not None and not path.exists():
        raise SettingsError(f"tracking URI: {path} is not there", hint="name MLflow's store with --tracking-uri")
    check_reachable(tracking_uri)
    # MLflow looks a model's URI up in the process's own store, whatever is passed along.
    mlflow.set_tracking_uri(tracking_uri)
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(directory), tracking_uri=tracking_uri))
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"model: {uri} cannot be fetched from {hide_password(tracking_uri)}: {reason}") from error


def check_reachable(tracking_uri: str) -> None:
    """Ask a server whether it is there, which takes seconds where it is away; MLflow's own client may take minutes.

    Raises:
        TrackingError: It is not.
    """
    if tracking_uri.startswith("http"):
        ask_server(tracking_uri, "/health")


def ask_server(address: str, endpoint: str, content: Mapping[str, Any] | None = None) -> tuple[int, str]:
    """One request as MLflow's client makes it, with its credentials and certificates, but not repeated for minutes.

    Returns:
        The status and the text of the answer.

    Raises:
        TrackingError: There is none.
    """
    method = "GET" if content is None else "POST"
    try:
        answer = http_request(
            get_default_host_creds(address),
            endpoint,
            method,
            max_retries=0,
            timeout=REACH_SECONDS,
            raise_on_status=False,
            json=content,
        )
    except MlflowException as error:
        # What it says itself names objects and addresses with their passwords; what the operating system said is at the bottom.
        reason: BaseException = error
        while (deeper := reason.__cause__ or reason.__context__) is not None:
            reason = deeper
        raise TrackingError(
            f"{hide_password(address)} does not answer: {getattr(reason, 'strerror', None) or type(reason).__name__}"
        ) from error
    return int(answer.status_code), str(answer.text)
