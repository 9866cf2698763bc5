"""The saved view that compares a study's trials."""

import json

from hpo.results.links import comparison_path, view_id
from hpo.study_file import load_definition
from hpo.tracking.comparison import make_view
from tests.unit.driving import space_of

UID = "0123456789abcdef" * 2


def state_of(**overrides: object) -> dict:
    definition = load_definition(
        overrides={key.replace("__", "."): value for key, value in overrides.items()}
    )
    return json.loads(make_view(definition, space_of(definition), UID))


def test_the_link_names_the_view():
    assert view_id(UID) == "hpo-0123456789ab"
    assert comparison_path("7", UID).endswith(
        "/7/runs?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey=hpo-0123456789ab"
    )


def test_it_fits_into_a_tag_of_an_experiment():
    definition = load_definition(
        overrides={"study.name": "n" * 128, "study.metric": "neg_negative_likelihood_ratio"}
    )
    view = make_view(definition, space_of(definition), UID)
    assert (
        len(
            json.dumps({"name": "n" * 140, "createdAt": 10**13, "updatedAt": 10**13, "state": view})
        )
        <= 5000
    )


def test_it_shows_the_studys_child_runs_the_best_first():
    state = state_of()
    assert state["searchFilter"] == f"tags.`hpo.study` = '{UID}' AND tags.`optuna.state` LIKE '%'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`cv_accuracy_mean`", False)


def test_a_param_that_some_trials_lack_is_a_column_but_no_axis_of_the_parallel_chart():
    state = state_of()
    parallel, *scatters = state["compareRunCharts"]
    assert parallel["selectedParams"] == ["C", "penalty", "class_weight"]
    assert [chart["xaxis"]["key"] for chart in scatters] == ["trial_number", "cv_accuracy_std"]
    assert "params.`l1_ratio`" in state["selectedColumns"]
    (parallel, *_) = state_of(search_space__penalty=["l2", "none"])["compareRunCharts"]
    assert parallel["selectedParams"] == ["penalty", "class_weight"]


def test_a_space_of_one_point_has_its_values_by_trial():
    space = {
        "search_space__C": 1.0,
        "search_space__penalty": "l2",
        "search_space__class_weight": "none",
        "search_space__l1_ratio": 0.5,
    }
    assert [chart["type"] for chart in state_of(**space)["compareRunCharts"]] == [
        "SCATTER",
        "SCATTER",
    ]
