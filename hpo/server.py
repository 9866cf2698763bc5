"""What a tracking server holds of a study, asked over its API; and, where it gives no answer, why not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import metadata
from typing import Any
from urllib.parse import quote, urlsplit

from hpo.errors import TrackingError
from hpo.settings import hide_password
from hpo.stores import Runs, StudyRun
from hpo.tracking import names

_API = "/api/2.0/mlflow"


def read_server(address: str, experiment: str, uid: str | None) -> Runs:
    """A study's runs; none where there is no such experiment.

    Raises:
        TrackingError: It is away, lets nobody in, or is of another major version.
    """
    _ask(address, f"{_API}/experiments/search?max_results=1")
    _check_version(address)
    found = _ask(address, f"{_API}/experiments/get-by-name?experiment_name={quote(experiment)}").get("experiment")
    if found is None:
        return Runs()
    of_study: list[StudyRun] = []
    content = {
        "experiment_ids": [found["experiment_id"]],
        "filter": f"tags.`{names.STUDY_UID}` = '{uid}'",
        "run_view_type": "ALL",
        "max_results": 1000,
    }
    while True:
        page = _ask(address, f"{_API}/runs/search", content)
        for run in page.get("runs", []):
            info, tags = run["info"], {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
            if names.KEY in tags:
                deleted, duplicate = info["lifecycle_stage"] == "deleted", tags.get(names.DUPLICATE_OF)
                of_study.append(StudyRun(info["run_id"], tags[names.KEY], info["status"], deleted, duplicate))
        if not page.get("next_page_token"):
            return Runs(found["experiment_id"], found["lifecycle_stage"] == "deleted", found["artifact_location"], tuple(of_study))
        content["page_token"] = page["next_page_token"]


def _ask(address: str, endpoint: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The server's answer; empty where what is asked for is not there."""
    status, body = _request(address, endpoint, content)
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
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or status not in {200, 404} or (status == 404 and "error_code" not in answer):
        raise TrackingError(f"{shown} answers {status} where MLflow's API should be", hint="check the address and the server's log")
    return answer if status == 200 else {}


def _check_version(address: str) -> None:
    status, body = _request(address, "/version")
    client, server = metadata.version("mlflow"), body.strip()
    if status == 200 and server.partition(".")[0] != client.partition(".")[0]:
        raise TrackingError(
            f"{hide_password(address)} is MLflow {server}, but the client here is {client}",
            hint="bring both to one major version",
        )


def _request(address: str, endpoint: str, content: Mapping[str, Any] | None = None) -> tuple[int, str]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from hpo.tracking.reader import ask_server  # noqa: PLC0415 - it loads MLflow, and a database needs none of it

    try:
        return ask_server(address, endpoint, content)
    except TrackingError as error:
        error.hint = "start it or mend the address; a run searches on without it, and the same command catches up later"
        raise
