"""The comparison of a study's trials on MLflow's page, as a view that is saved with the experiment.

Its menu "Views" lists it and a link opens it: exactly this study's child runs, the best first, with the columns and charts that say
something. It is a tag of the experiment, whose value is what the page itself writes there.
"""

from __future__ import annotations

import json

from hpo.rendering import render
from hpo.tracking import names
from hpo.tracking.records import StudyRecord


def runs_path(experiment_id: str, run_id: str = "") -> str:
    """What follows the server's address in the link to the runs, or to one; the page is for language models unless told."""
    return f"#/experiments/{experiment_id}/runs{f'/{run_id}' if run_id else ''}?workflowType=machine_learning"


def comparison_path(experiment_id: str, study_uid: str) -> str:
    """The same of the link that opens the comparison."""
    return f"{runs_path(experiment_id)}&compareRunsMode=CHART&viewStateShareKey={_view_id(study_uid)}"


def view_tag(study: StudyRecord, parent_run_id: str, time_ms: int) -> tuple[str, str]:
    """Key and value of the experiment's tag that holds the view.

    Args:
        study: Whose trials are compared.
        parent_run_id: The parent of their runs.
        time_ms: When the view counts as made, milliseconds since 1970.
    """
    values = {"parent_tag": names.PARENT_RUN_ID, "parent_run_id": parent_run_id, "trial_number": names.TRIAL_NUMBER}
    state = json.dumps(json.loads(render("comparison.json.jinja", study=study, **values)))
    view = {"name": f"{study.name}: all trials", "createdAt": time_ms, "updatedAt": time_ms, "state": state}
    return f"mlflow.sharedViewState.{_view_id(study.uid)}", json.dumps(view)


def _view_id(study_uid: str) -> str:
    return f"hpo-{study_uid[:12]}"
