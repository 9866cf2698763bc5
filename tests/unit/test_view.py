"""The saved view that compares a study's trials."""

import json

from hpo.tracking.records import StudyRecord
from hpo.tracking.view import comparison_path, view_tag

STUDY = StudyRecord(
    uid="0123456789abcdef" * 2,
    name="iris",
    value_name="cv_accuracy_mean",
    spread_name="cv_accuracy_std",
    chart_params=("C", "penalty"),
    branch_params=("l1_ratio",),
)


def state_of(study: StudyRecord) -> dict:
    return json.loads(json.loads(view_tag(study, "parent", 5)[1])["state"])


def test_the_link_names_the_tag():
    key, view = view_tag(STUDY, "parent", 5)
    assert key == "mlflow.sharedViewState.hpo-0123456789ab"
    assert comparison_path("7", STUDY.uid).endswith(
        "/7/runs?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey=hpo-0123456789ab"
    )
    # MLflow refuses longer values of an experiment's tags.
    assert len(view) <= 5000


def test_it_shows_the_parents_children_the_best_first():
    state = state_of(STUDY)
    assert state["searchFilter"] == "tags.`mlflow.parentRunId` = 'parent'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`cv_accuracy_mean`", False)


def test_a_param_that_some_trials_lack_is_a_column_but_no_axis_of_the_parallel_chart():
    state = state_of(STUDY)
    parallel, *scatters = state["compareRunCharts"]
    assert parallel["selectedParams"] == ["C", "penalty"]
    assert [chart["xaxis"]["key"] for chart in scatters] == ["trial_number", "cv_accuracy_std"]
    assert "params.`l1_ratio`" in state["selectedColumns"]


def test_a_study_of_unknown_params_has_its_values_by_trial():
    (chart,) = state_of(StudyRecord(uid="u" * 32, name="mine", value_name="loss", is_maximized=False))["compareRunCharts"]
    assert (chart["xaxis"]["key"], chart["yaxis"]["key"]) == ("trial_number", "loss")
