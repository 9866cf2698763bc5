"""What a run says when it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import optuna
import plotly.graph_objects
import pytest

from hpo.errors import DataError, InterruptedBySignal
from hpo.estimators.final_model import FinalModel
from hpo.results.estimates import BestTrial, ConstantModel, Estimates, NestedScore
from hpo.results.intervals import Estimate, greatest_score
from hpo.results.links import mlflow_page, ui_command
from hpo.results.plots import PLOTS
from hpo.results.result import StudyResult, split_report
from hpo.results.tracking_state import RegistryState, TrackingState


def make_study() -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    study.optimize(
        lambda trial: trial.suggest_float("C", 0.1, 10) + trial.suggest_float("l1_ratio", 0, 1),
        n_trials=4,
    )
    return study


RESULT = StudyResult(
    study="iris",
    metric="accuracy",
    storage="sqlite:///optuna.db",
    tracking_uri="sqlite:///mlflow.db",
    n_trials={"complete": 48, "pruned": 0, "failed": 2},
    n_new_trials=50,
    n_wanted=50,
    best=BestTrial(
        number=17,
        value=0.975,
        std=0.0125,
        params={"penalty": "l2", "C": 0.123456789, "max_iter": 1000},
        rule="best",
        chosen={"penalty": "l2", "C": 0.123456789},
    ),
    estimates=Estimates(
        baseline_trial=0,
        n_ties=3,
        baseline_value=0.95,
        n_holdout_rows=30,
        holdout_score=Estimate(1.0, 0.875, 1.0),
        gain=Estimate(0.0625, 0.03125, 0.125),
        constant=ConstantModel(
            "always answering 'no'", {"accuracy": 0.5}, Estimate(0.5, 0.25, 0.75)
        ),
    ),
    judged=FinalModel(object(), {"accuracy": 1.0, "neg_log_loss": -0.0625}),
    tracking=TrackingState(
        experiment_id="1",
        parent_run_id="p" * 32,
        comparison="#/experiments/1/runs?workflowType=machine_learning",
        run_ids={17: "r" * 32},
        n_behind=0,
        model_uri="models:/m-1",
    ),
    search_seconds=1.23456,
    total_seconds=9.87654,
    columns={"numeric": ["a", "b"], "datetime": ["day"]},
    notes=("'id' dropped: it numbers the rows",),
    model=object(),
    open_study=make_study,
)
PAGE = "/#/experiments/1/runs?workflowType=machine_learning"


def replace_estimates(result: StudyResult, **changes: Any) -> StudyResult:
    return replace(result, estimates=replace(result.estimates, **changes))


def replace_tracking(result: StudyResult, **changes: Any) -> StudyResult:
    return replace(result, tracking=replace(result.tracking, **changes))


BEHIND = replace_tracking(
    RESULT, model_uri=None, run_ids={}, n_behind=5, tracking_problem="MLflow: away"
)


def rows(result: StudyResult) -> dict[str, str]:
    return {
        line[:9].strip(): line[10:] for line in result.to_text().splitlines() if line[:9].strip()
    }


def test_text_says_one_fact_a_line():
    assert rows(RESULT) == {
        "verdict": "Better than the defaults by 3.1 to 12 points",
        "against": "always answering 'no': accuracy 0.5000, the model 1.0000: better, +0.5000 (+0.2500 to +0.7500)",
        "study": "iris: 50 trials (48 complete, 2 failed)",
        "columns": "2 numeric, 1 datetime",
        "note": "'id' dropped: it numbers the rows",
        "best": "trial 17: penalty = l2, C = 0.1235",
        "cv": "accuracy 0.9750 ± 0.0125 (scikit-learn's defaults 0.9500); 3 of 48 trials tie within noise",
        "hold-out": "accuracy 1.0000 (95 % interval 0.8750 to 1.0000, 30 rows), neg_log_loss -0.0625",
        "gain": "+0.0625 (+0.0312 to +0.1250) on 30 held-out rows: better than the defaults",
        "optimism": "cv minus hold-out -0.0250 (-0.0250 to +0.1000): within chance",
        "model": "models:/m-1",
        "pages": "optuna-dashboard sqlite:///optuna.db  ->  http://127.0.0.1:8080",
        "next": "python -m hpo.ui  (both pages)",
    }
    assert RESULT.to_text().splitlines()[-4:] == [
        f"          mlflow ui  ->  http://127.0.0.1:5000{PAGE}",
        "next      python -m hpo.ui  (both pages)",
        "          python -m hpo.predict models:/m-1 ROWS.csv  (score a table)",
        "          the same command with --trials 100  (search on)",
    ]


def test_what_comes_next_is_catching_up_where_tracking_is_behind():
    assert (
        BEHIND.to_text().splitlines()[-1]
        == "next      the same command again: it writes what MLflow lacks"
    )


def test_next_prediction_is_with_the_registered_version():
    registry = RegistryState("flowers", 2, "champion", "x", 2)
    registered = replace_tracking(RESULT, registry=registry)
    assert "hpo.predict models:/flowers/2 ROWS.csv" in registered.to_text()
    assert registered.to_json()["registry"] == {
        "name": "flowers",
        "version": 2,
        "decision": "champion",
        "champion": 2,
        "comparison": "x",
    }


@pytest.mark.parametrize(
    ("study", "storage", "tracking_uri", "command"),
    [
        ("wine", "sqlite:///optuna.db", "sqlite:///mlflow.db", "python -m hpo.ui --name wine"),
        (
            "iris",
            "postgresql://me:secret@db/optuna",
            "http://tracking:5000",
            "python -m hpo.ui --storage postgresql://me:***@db/optuna --tracking-uri http://tracking:5000",
        ),
    ],
)
def test_command_that_opens_the_pages_has_the_settings_without_passwords(
    study, storage, tracking_uri, command
):
    assert ui_command(study, storage, tracking_uri) == command


def test_html_has_the_facts_and_runs_nothing():
    def read(html: str) -> list[tuple[str, ...]]:
        return [
            tuple("".join(cell.itertext()) for cell in row)
            for row in ET.fromstring(html).iter("tr")
        ]

    assert read(RESULT._repr_html_()) == split_report(RESULT.to_text())
    note = "'<script>alert(1)</script>&' dropped: it numbers the rows"
    html = replace(RESULT, notes=(note,))._repr_html_()
    assert "<script" not in html
    assert ("note", note) in read(html)


def test_single_best_is_not_called_a_tie():
    assert rows(replace_estimates(RESULT, n_ties=1))["cv"].endswith(
        "; no other of 48 trials ties within noise"
    )


@pytest.mark.parametrize(
    ("gain", "text"),
    [
        (
            Estimate(0.02, -0.01, 0.05),
            "+0.0200 (-0.0100 to +0.0500) on 30 held-out rows: not measurably different from",
        ),
        (
            Estimate(-0.02, -0.05, 0.01),
            "-0.0200 (-0.0500 to +0.0100) on 30 held-out rows: not measurably different from",
        ),
        (
            Estimate(-0.02, -0.05, -0.01),
            "-0.0200 (-0.0500 to -0.0100) on 30 held-out rows: worse than the defaults",
        ),
        (Estimate(0.0, 0.0, 0.0), "none: the defaults are what was chosen"),
        (None, "unknown: scikit-learn's defaults failed"),
    ],
)
def test_no_gain_is_said(gain, text):
    assert rows(replace_estimates(RESULT, gain=gain))["gain"].startswith(text)


def test_defaults_that_failed_are_left_out():
    assert rows(replace_estimates(RESULT, baseline_value=None))["cv"].startswith(
        "accuracy 0.9750 ± 0.0125; 3 of"
    )


@pytest.mark.parametrize(
    ("holdout", "text"),
    [
        (
            Estimate(0.9, 0.85, 0.95),
            "cv minus hold-out +0.0750 (+0.0250 to +0.1250): cv promises too much",
        ),
        (
            Estimate(1.0, 0.99, 1.0),
            "cv minus hold-out -0.0250 (-0.0250 to -0.0150): cv promises too little",
        ),
    ],
)
def test_optimism_is_said(holdout, text):
    assert rows(replace_estimates(RESULT, holdout_score=holdout))["optimism"] == text


def test_other_rule_is_said():
    said = rows(replace(RESULT, best=replace(RESULT.best, rule="one_standard_error")))["best"]
    assert said.startswith(
        "trial 17 (the simplest within one standard error of the highest): penalty"
    )


def test_run_that_added_nothing_says_so():
    assert rows(replace(RESULT, n_new_trials=0))["study"].endswith(
        "; all done before, nothing was changed"
    )


def test_tracking_that_is_behind_is_said():
    assert not BEHIND.is_tracking_complete
    assert "the same command catches up" in rows(BEHIND)["model"]
    assert BEHIND.to_json()["tracking"] == "behind"


def test_json_has_the_values():
    content = RESULT.to_json()
    assert json.loads(json.dumps(content)) == content
    assert content["best"] == {
        "number": 17, "value": 0.975, "std": 0.0125, "params": RESULT.best_params, "run_id": "r" * 32, "rule": "best",
        "refit": "train", "chosen": {"penalty": "l2", "C": 0.123456789}, "converged": True,
    }  # fmt: skip
    assert content["n_trials"] == {"complete": 48, "pruned": 0, "failed": 2}
    assert content["baseline"] == {"value": 0.95}
    assert content["verdict"] == "Better than the defaults by 3.1 to 12 points"
    assert content["constant"] == {
        "answer": "always answering 'no'",
        "scores": {"accuracy": 0.5},
        "gain": {"value": 0.5, "low": 0.25, "high": 0.75},
    }
    assert (content["caution"], content["ended"], content["n_missing"]) == (None, "finished", 0)
    assert content["n_not_converged"] == 0
    assert content["ties"] == {"n_tied": 3, "n_complete": 48}
    assert content["holdout_score"] == {"value": 1.0, "low": 0.875, "high": 1.0}
    assert content["gain"] == {"value": 0.0625, "low": 0.03125, "high": 0.125}
    assert content["optimism"] == {
        "value": pytest.approx(-0.025),
        "low": pytest.approx(-0.025),
        "high": pytest.approx(0.1),
    }
    assert content["holdout"] == {"accuracy": 1.0, "neg_log_loss": -0.0625}
    assert content["seconds"] == {"search": 1.235, "total": 9.877}
    assert (content["tracking"], content["model_uri"], content["parent_run_id"]) == (
        "complete",
        "models:/m-1",
        "p" * 32,
    )


def test_json_of_unknown_values_has_nulls():
    unknown_to_mlflow = replace_tracking(BEHIND, experiment_id=None, parent_run_id=None)
    content = replace_estimates(unknown_to_mlflow, baseline_value=None, gain=None).to_json()
    unknown = ("experiment_id", "parent_run_id", "model_uri")
    assert [content[key] for key in unknown] == [None] * 3
    assert (content["best"]["run_id"], content["baseline"]["value"], content["gain"]) == (
        None,
        None,
        None,
    )


def test_fit_on_all_rows_is_said():
    assert rows(replace(RESULT, refit="all"))["model"] == (
        "models:/m-1 (fitted on all rows; its scores are those of the fit without the hold-out)"
    )


@pytest.mark.parametrize("kind", PLOTS)
def test_plots_are_optunas_figures_of_the_study(kind):
    figure = RESULT.plot(kind)
    assert isinstance(figure, plotly.graph_objects.Figure)
    assert len(figure.data) > 0


def test_model_is_not_a_part_of_the_values():
    assert replace(RESULT, model=None) == RESULT
    assert replace(RESULT, judged=replace(RESULT.judged, pipeline=None)) == RESULT


def test_print_shows_one_line():
    assert repr(RESULT) == str(RESULT)
    assert (
        repr(RESULT)
        == "<StudyResult iris: 50 trials, best 17, accuracy 0.9750 cv, 1.0000 hold-out>"
    )


def test_error_as_json():
    assert DataError("no rows", hint="add some").to_json() == {
        "error": {"kind": "DataError", "message": "no rows", "hint": "add some"},
        "exit_code": 2,
    }
    assert InterruptedBySignal(15, "stopped").to_json()["exit_code"] == 143


@pytest.mark.parametrize(
    ("uri", "command"),
    [
        ("sqlite:///mlflow.db", f"mlflow ui  ->  http://127.0.0.1:5000{PAGE}"),
        (
            "sqlite:////srv/mlflow.db",
            f"mlflow ui --backend-store-uri sqlite:////srv/mlflow.db  ->  http://127.0.0.1:5000{PAGE}",
        ),
        ("http://tracking:5000", f"http://tracking:5000{PAGE}"),
        ("https://me:secret@tracking", f"https://me:***@tracking{PAGE}"),
        (
            "postgresql://me:secret@db/mlflow",
            f"mlflow ui --backend-store-uri postgresql://me:***@db/mlflow  ->  http://127.0.0.1:5000{PAGE}",
        ),
    ],
)
def test_pages_of_mlflow_are_said_without_passwords(uri, command):
    assert mlflow_page(uri, PAGE.removeprefix("/")) == command


def test_page_of_an_experiment_that_is_not_known_is_the_first():
    assert mlflow_page("http://tracking:5000/", None) == "http://tracking:5000"


def test_interval_of_a_loss_does_not_reach_above_its_greatest_value():
    estimate = NestedScore(
        (-0.01, -0.05, -0.02, -0.2, -0.01), 5, greatest_score("neg_log_loss")
    ).estimate
    assert estimate is not None
    assert estimate.low < estimate.value < estimate.high == 0.0
