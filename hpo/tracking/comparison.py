"""The view that compares a study's trials on MLflow's page, in the form the page itself saves.

The form is not documented: it was read in the script of the version that ``saved_view`` names.
"""

import json
from typing import Any

from hpo.definition import StudyDefinition
from hpo.estimators.several import StudySpace
from hpo.tracking import keys


def make_view(definition: StudyDefinition, space: StudySpace, uid: str) -> str:
    """Write the state of the page that compares a study's trials.

    It shows this study's child runs and no other, the best first, with the columns and charts that
    tell them apart.

    Args:
        definition: What is judged.
        space: What is searched.
        uid: The study's.
    """
    value = keys.cv_mean(definition.study.metric)
    std = keys.cv_std(definition.study.metric)
    params = space.searched
    # A run that lacks one of a chart's params is not drawn in it.
    charts = [
        _parallel(uid, together, value, index)
        for index, together in enumerate(space.asked_together)
    ]
    charts += [_scatter(uid, name, value) for name in (keys.TRIAL_NUMBER, std)]
    state = {
        "searchFilter": f"tags.`{keys.STUDY_UID}` = '{uid}' AND tags.`{keys.TRIAL_STATE}` LIKE '%'",
        "orderByKey": f"metrics.`{value}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "runsHiddenMode": "SHOW_ALL",
        "selectedColumns": [
            f"metrics.`{value}`",
            f"metrics.`{std}`",
            *(f"params.`{name}`" for name in params),
        ],
        "compareRunCharts": charts,
        "compareRunSections": [_section(uid, definition.name)],
    }
    return json.dumps(state)


def _parallel(uid: str, params: list[str], value: str, index: int) -> dict[str, Any]:
    return {
        "type": "PARALLEL",
        **_chart(uid, f"parallel-{index}" if index else "parallel"),
        "selectedParams": params,
        "selectedMetrics": [value],
        "showAllRuns": True,
    }


def _scatter(uid: str, name: str, value: str) -> dict[str, Any]:
    return {
        "type": "SCATTER",
        **_chart(uid, name),
        "xaxis": {"key": name, "type": "METRIC"},
        "yaxis": {"key": value, "type": "METRIC"},
    }


def _chart(uid: str, kind: str) -> dict[str, Any]:
    return {
        "uuid": f"{uid}-{kind}",
        "metricSectionId": uid,
        "runsCountToCompare": 1000,
        "deleted": False,
        "isGenerated": False,
    }


def _section(uid: str, study: str) -> dict[str, Any]:
    return {
        "uuid": uid,
        "name": f"Study {study}",
        "display": True,
        "columns": 2,
        "cardHeight": 400,
        "isReordered": False,
        "deleted": False,
        "isGenerated": False,
    }
