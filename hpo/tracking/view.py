"""The comparison of a study's trials on MLflow's page, as a view that is saved with the experiment.

Its menu "Views" lists it and a link opens it: exactly this study's child runs, the best first, with the columns and charts that say
something. It is a tag of the experiment whose value is what the page itself writes there (MLflow 3.17, read in its script).
"""

from __future__ import annotations

import json
from typing import Any

from hpo.tracking import names
from hpo.tracking.records import StudyRecord


def comparison_path(experiment_id: str, study_uid: str) -> str:
    """What follows the server's address in the link that opens the comparison."""
    return f"{experiment_path(experiment_id)}&compareRunsMode=CHART&viewStateShareKey={_view_id(study_uid)}"


def experiment_path(experiment_id: str) -> str:
    """What follows the server's address in the link to the runs; the page opens for language models unless told otherwise."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def run_path(experiment_id: str, run_id: str) -> str:
    """What follows the server's address in the link to a run."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


def view_tag(study: StudyRecord, parent_run_id: str, time_ms: int) -> tuple[str, str]:
    """Key and value of the experiment's tag that holds the view.

    Args:
        study: Whose trials are compared.
        parent_run_id: The parent of their runs.
        time_ms: When the view counts as made, milliseconds since 1970.
    """
    state = {
        "searchFilter": f"tags.`{names.PARENT_RUN_ID}` = '{parent_run_id}'",
        "orderByKey": f"metrics.`{study.value_name}`",
        "orderByAsc": not study.is_maximized,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "runsHiddenMode": "SHOW_ALL",
        "selectedColumns": [f"metrics.`{name}`" for name in (study.value_name, study.spread_name) if name]
        + [f"params.`{name}`" for name in (*study.chart_params, *study.branch_params)],
        "compareRunCharts": list(_iter_charts(study)),
        "compareRunSections": [
            {"uuid": study.uid, "name": f"Study {study.name}", "display": True, "columns": 2, "cardHeight": 400}
            | dict.fromkeys(("isReordered", "deleted", "isGenerated"), False)
        ],
    }
    view = {"name": f"{study.name}: all trials", "createdAt": time_ms, "updatedAt": time_ms, "state": json.dumps(state)}
    return f"mlflow.sharedViewState.{_view_id(study.uid)}", json.dumps(view)


def _view_id(study_uid: str) -> str:
    return f"hpo-{study_uid[:12]}"


def _iter_charts(study: StudyRecord) -> Any:
    value = study.value_name
    if study.chart_params:
        # A run without one of the params would not be drawn.
        yield _chart(study, "PARALLEL", selectedParams=list(study.chart_params), selectedMetrics=[value], showAllRuns=True)
    yield _scatter(study, (names.TRIAL_NUMBER, "METRIC"))
    if study.spread_name:
        yield _scatter(study, (study.spread_name, "METRIC"))
    yield from (_scatter(study, (name, "PARAM")) for name in study.linear_params)


def _scatter(study: StudyRecord, x: tuple[str, str]) -> dict[str, Any]:
    axes = {"xaxis": {"key": x[0], "type": x[1]}, "yaxis": {"key": study.value_name, "type": "METRIC"}}
    return _chart(study, "SCATTER", f"-{x[0]}", **axes)


def _chart(study: StudyRecord, kind: str, suffix: str = "", **content: Any) -> dict[str, Any]:
    own = {
        "uuid": f"{study.uid}-{kind}{suffix}",
        "type": kind,
        "metricSectionId": study.uid,
        "deleted": False,
        "isGenerated": False,
    }
    return {"runsCountToCompare": 1000, **own, **content}
