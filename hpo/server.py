"""Whether a tracking server answers as a run needs it to; and, where it does not, why not."""

from __future__ import annotations

from importlib import metadata
from urllib.parse import urlsplit

from hpo.errors import TrackingError
from hpo.settings import hide_password
from hpo.tracking.reader import ask_server

_REFUSALS = {
    401: (
        "needs credentials that it accepts",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    ),
    403: ("allows this user too little", "ask its administrator for permission to edit"),
}


def check_server(address: str) -> None:
    """Ask a server as a run would, and for its version.

    Raises:
        TrackingError: It is away, lets nobody in, or is of another major version.
    """
    try:
        status, body = ask_server(address, "/api/2.0/mlflow/experiments/search?max_results=1")
        version_status, version = ask_server(address, "/version")
    except TrackingError as error:
        error.hint = "start it or mend the address; a run searches on without it, and the same command catches up later"
        raise
    client, server = metadata.version("mlflow"), version.strip()
    if status == 403 and "Invalid Host header" in body:
        host = urlsplit(address).netloc.rpartition("@")[2]
        problem, hint = f"refuses requests to '{host}'", f"start it with --allowed-hosts {host} (its /health answers all the same)"
    elif status in _REFUSALS:
        problem, hint = _REFUSALS[status]
    elif status != 200 or not body.lstrip().startswith("{"):
        problem, hint = f"answers {status} where MLflow's API should be", "check the address and the server's log"
    elif version_status == 200 and server.partition(".")[0] != client.partition(".")[0]:
        problem, hint = f"is MLflow {server}, but the client here is {client}", "bring both to one major version"
    else:
        return
    raise TrackingError(f"{hide_password(address)} {problem}", hint=hint)
