"""Addresses in the two web pages, and the commands that serve them; printed without passwords.

MLflow's pages are fragments (``#/...``) of the server's address. Each names the workflow, because
MLflow opens its pages for language models unless told otherwise.
"""

from hpo.escaping import hide_password
from hpo.settings import DEFAULT_STORAGE, DEFAULT_TRACKING_URI

DASHBOARD = "http://127.0.0.1:8080"
"""Where ``optuna-dashboard`` serves its page by default."""

MLFLOW_UI = "http://127.0.0.1:5000"
"""Where ``mlflow ui`` serves its page by default."""

DEFAULT_STUDY = "iris"


def dashboard_study(study_id: int) -> str:
    """The address of a study in optuna-dashboard, by the storage's own id of it."""
    return f"{DASHBOARD}/dashboard/studies/{study_id}"


def dashboard_trial(study: str, number: int) -> str:
    """The address of one trial, given that of its study."""
    return f"{study}/trials?numbers={number}"


def mlflow_page(tracking_uri: str, path: str | None) -> str:
    """The address to open, after the command that serves it where one is needed."""
    address = mlflow_server(tracking_uri) + (f"/{path}" if path else "")
    if tracking_uri.startswith("http"):
        return address
    store = ""
    if tracking_uri != DEFAULT_TRACKING_URI:
        store = f" --backend-store-uri {hide_password(tracking_uri)}"
    return f"mlflow ui{store}  ->  {address}"


def mlflow_server(tracking_uri: str) -> str:
    """The server's own address, or the one where ``mlflow ui`` serves a database."""
    return hide_password(tracking_uri).rstrip("/") if tracking_uri.startswith("http") else MLFLOW_UI


def runs_path(experiment_id: str, run_id: str = "") -> str:
    """The path of an experiment's table of runs, or of one run."""
    run = f"/{run_id}" if run_id else ""
    return f"#/experiments/{experiment_id}/runs{run}?workflowType=machine_learning"


def comparison_path(experiment_id: str, study_uid: str) -> str:
    """The path of the comparison of a study's trials, a view saved with the experiment."""
    view = f"&compareRunsMode=CHART&viewStateShareKey={view_id(study_uid)}"
    return f"{runs_path(experiment_id)}{view}"


def view_id(study_uid: str) -> str:
    """The saved view's id, by which the comparison's path finds it."""
    return f"hpo-{study_uid[:12]}"


def ui_command(study: str, storage: str, tracking_uri: str) -> str:
    """The command that opens both pages of a study; the user fills in the passwords."""
    flags = {
        "--name": (study, DEFAULT_STUDY),
        "--storage": (storage, DEFAULT_STORAGE),
        "--tracking-uri": (tracking_uri, DEFAULT_TRACKING_URI),
    }
    given = [
        f" {flag} {hide_password(value)}"
        for flag, (value, default) in flags.items()
        if value != default
    ]
    return f"python -m hpo.ui{''.join(given)}"
