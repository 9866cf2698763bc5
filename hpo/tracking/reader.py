"""Fetches the files of a logged model from MLflow; nothing of them is loaded here."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
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
        try:
            # The scheme is http or https: the settings allow no other.
            urllib.request.urlopen(tracking_uri.rstrip("/") + "/health", timeout=REACH_SECONDS).close()  # noqa: S310
        except OSError as error:
            raise TrackingError(f"MLflow: {error}") from error
