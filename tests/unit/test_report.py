"""What a run says when it ends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hpo.errors import DataError, InterruptedBySignal
from hpo.report import StudyResult, dashboard_command, error_to_json, mlflow_page

RESULT = StudyResult(
    study="iris",
    metric="accuracy",
    storage="sqlite:///optuna.db",
    tracking_uri="sqlite:///mlflow.db",
    experiment_id="1",
    parent_run_id="p" * 32,
    n_trials={"complete": 48, "pruned": 0, "failed": 2},
    n_new_trials=50,
    n_ties=3,
    baseline_value=0.95,
    best_number=17,
    best_value=0.975,
    best_std=0.0125,
    best_params={"penalty": "l2", "C": 0.123456789, "max_iter": 1000},
    best_run_id="r" * 32,
    holdout={"accuracy": 1.0, "neg_log_loss": -0.0625},
    model_uri="models:/m-1",
    registry=None,
    n_behind=0,
    tracking_problem=None,
    search_seconds=1.23456,
    total_seconds=9.87654,
    columns={"numeric": ["a", "b"], "datetime": ["day"]},
    notes=("'id' dropped: it numbers the rows",),
    model=object(),
)
PAGE = "/#/experiments/1/runs?workflowType=machine_learning"
BEHIND = replace(RESULT, model_uri=None, best_run_id=None, n_behind=5, tracking_problem="MLflow: away")


def rows(result: StudyResult) -> dict[str, str]:
    return {line[:9].strip(): line[10:] for line in result.to_text().splitlines()}


def test_text_says_one_fact_a_line():
    assert rows(RESULT) == {
        "study": "iris: 50 trials (48 complete, 2 failed)",
        "columns": "2 numeric, 1 datetime",
        "note": "'id' dropped: it numbers the rows",
        "best": "trial 17: penalty = l2, C = 0.1235, max_iter = 1000",
        "cv": "accuracy 0.9750 ± 0.0125, shared by 3 trials (log loss decides)",
        "gain": "+0.0250 over scikit-learn's defaults (0.9500)",
        "hold-out": "accuracy 1.0000, neg_log_loss -0.0625",
        "model": "models:/m-1",
        "pages": "optuna-dashboard sqlite:///optuna.db  ->  http://127.0.0.1:8080",
        "": f"mlflow ui  ->  http://127.0.0.1:5000{PAGE}",
    }


def test_single_best_is_not_called_a_tie():
    assert rows(replace(RESULT, n_ties=1))["cv"] == "accuracy 0.9750 ± 0.0125"


@pytest.mark.parametrize(
    ("baseline", "gain", "text"),
    [
        (0.975, 0.0, "none over scikit-learn's defaults (0.9750)"),
        (0.985, pytest.approx(-0.01), "none over scikit-learn's defaults (0.9850)"),
        (None, None, "unknown: scikit-learn's defaults failed"),
    ],
)
def test_no_gain_is_said(baseline, gain, text):
    result = replace(RESULT, baseline_value=baseline)
    assert result.gain == gain
    assert rows(result)["gain"] == text


def test_run_that_added_nothing_says_so():
    assert rows(replace(RESULT, n_new_trials=0))["study"].endswith("; all done before, nothing was changed")


def test_tracking_that_is_behind_is_said():
    assert not BEHIND.is_tracking_complete
    assert "the same command catches up" in rows(BEHIND)["model"]
    assert BEHIND.to_json()["tracking"] == "behind"


def test_json_has_the_values():
    content = RESULT.to_json()
    assert json.loads(json.dumps(content)) == content
    assert content["best"] == {
        "number": 17, "value": 0.975, "std": 0.0125, "params": RESULT.best_params, "run_id": "r" * 32,
    }  # fmt: skip
    assert content["n_trials"] == {"complete": 48, "pruned": 0, "failed": 2}
    assert content["baseline"] == {"value": 0.95}
    assert content["holdout"] == {"accuracy": 1.0, "neg_log_loss": -0.0625}
    assert content["seconds"] == {"search": 1.235, "total": 9.877}
    assert (content["tracking"], content["model_uri"], content["parent_run_id"]) == ("complete", "models:/m-1", "p" * 32)


def test_json_of_unknown_values_has_nulls():
    content = replace(BEHIND, experiment_id=None, parent_run_id=None, baseline_value=None).to_json()
    unknown = ("experiment_id", "parent_run_id", "model_uri")
    assert [content[key] for key in unknown] == [None] * 3
    assert (content["best"]["run_id"], content["baseline"]["value"]) == (None, None)


def test_model_is_not_a_part_of_the_values():
    assert replace(RESULT, model=None) == RESULT
    assert "object" not in repr(RESULT)


def test_error_as_json():
    assert error_to_json(DataError("no rows", hint="add some")) == {
        "error": {"kind": "DataError", "message": "no rows", "hint": "add some"},
        "exit_code": 2,
    }
    assert error_to_json(InterruptedBySignal(15, "stopped"))["exit_code"] == 143


@pytest.mark.parametrize(
    ("uri", "command"),
    [
        ("sqlite:///mlflow.db", f"mlflow ui  ->  http://127.0.0.1:5000{PAGE}"),
        ("sqlite:////srv/mlflow.db", f"mlflow ui --backend-store-uri sqlite:////srv/mlflow.db  ->  http://127.0.0.1:5000{PAGE}"),
        ("http://tracking:5000", f"http://tracking:5000{PAGE}"),
        ("https://me:secret@tracking", f"https://me:***@tracking{PAGE}"),
        (
            "postgresql://me:secret@db/mlflow",
            f"mlflow ui --backend-store-uri postgresql://me:***@db/mlflow  ->  http://127.0.0.1:5000{PAGE}",
        ),
    ],
)
def test_pages_of_mlflow_are_said_without_passwords(uri, command):
    assert mlflow_page(uri, "1") == command


def test_page_of_an_experiment_that_is_not_known_is_the_first():
    assert mlflow_page("http://tracking:5000/", None) == "http://tracking:5000"


def test_dashboard_is_said_without_passwords():
    assert dashboard_command("postgresql://me:secret@db/optuna") == "optuna-dashboard postgresql://me:***@db/optuna"
