"""Saves a view with its experiment, where MLflow's page is known to read it.

The page's format is not documented and ours is that of one version. On any other version no view is
saved, and links lead to the plain table of runs.
"""

import json
import re

import mlflow

from hpo.errors import TrackingError
from hpo.escaping import hide_password
from hpo.results.links import comparison_path, runs_path, view_id
from hpo.tracking.connection import ask_server

PAGE_VERSION = "3.17"
"""The MLflow whose page the view was read from."""


def reads_views(tracking_uri: str) -> bool:
    """Whether the page of this store reads our views: a server's page, or the one installed here.

    Raises:
        TrackingError: The server does not answer.
    """
    version = mlflow.__version__
    if tracking_uri.startswith("http"):
        status, text = ask_server(tracking_uri, "/version")
        if status >= 500:
            raise TrackingError(f"{hide_password(tracking_uri)} answers {status}")
        version = text.strip() if status == 200 else ""
    return re.match(rf"{re.escape(PAGE_VERSION)}(\D|$)", version) is not None


def trials_path(experiment_id: str, study_uid: str, *, has_view: bool) -> str:
    """The path of the page that shows a study's trials: compared, or else as a plain table."""
    return comparison_path(experiment_id, study_uid) if has_view else runs_path(experiment_id)


def make_view_tag(study: str, study_uid: str, view: str, time_ms: int) -> tuple[str, str]:
    """Name and content of the experiment's tag that holds a view.

    Args:
        study: The study's name.
        study_uid: Its uid.
        view: What the page is to show, from ``comparison.make_view``.
        time_ms: When it was made, milliseconds since 1970, UTC.
    """
    content = {
        "name": f"{study}: all trials",
        "createdAt": time_ms,
        "updatedAt": time_ms,
        "state": view,
    }
    return f"mlflow.sharedViewState.{view_id(study_uid)}", json.dumps(content)
