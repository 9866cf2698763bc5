"""Whether a tracking server answers as a run needs it to; and, where it does not, why not."""

from __future__ import annotations

import json
from importlib import metadata
from urllib.parse import urlsplit

from hpo.errors import TrackingError
from hpo.settings import hide_password


def check_server(address: str) -> None:
    """Ask a server as a run would, and for its version.

    Raises:
        TrackingError: It is away, lets nobody in, or is of another major version.
    """
    status, body = _request(address, "/api/2.0/mlflow/experiments/search?max_results=1")
    _check_answer(address, status, body)
    client, (status, body) = metadata.version("mlflow"), _request(address, "/version")
    server = body.strip()
    if status == 200 and server.partition(".")[0] != client.partition(".")[0]:
        raise TrackingError(
            f"{hide_password(address)} is MLflow {server}, but the client here is {client}",
            hint="bring both to one major version",
        )


def _check_answer(address: str, status: int, body: str) -> None:
    shown = hide_password(address)
    if status == 401:
        raise TrackingError(
            f"{shown} needs credentials that it accepts",
            hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        )
    if status == 403 and "Invalid Host header" in body:
        host = urlsplit(address).netloc.rpartition("@")[2]
        raise TrackingError(
            f"{shown} refuses requests to '{host}'",
            hint=f"start it with --allowed-hosts {host} (its /health answers all the same)",
        )
    if status == 403:
        raise TrackingError(f"{shown} allows this user too little", hint="ask its administrator for permission to edit")
    try:
        is_right = status == 200 and isinstance(json.loads(body), dict)
    except ValueError:
        is_right = False
    if not is_right:
        raise TrackingError(f"{shown} answers {status} where MLflow's API should be", hint="check the address and the server's log")


def _request(address: str, endpoint: str) -> tuple[int, str]:
    from hpo.tracking.reader import ask_server  # noqa: PLC0415 - it loads MLflow, and a database needs none of it

    try:
        return ask_server(address, endpoint)
    except TrackingError as error:
        error.hint = "start it or mend the address; a run searches on without it, and the same command catches up later"
        raise
