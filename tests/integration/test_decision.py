"""Decisions with the real command: what ships answers by them, wherever it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from mlflow.entities import LoggedModel
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import FixedThresholdClassifier

from hpo.estimators.batch_prediction import predict_table
from hpo.estimators.loading import load_model
from hpo.expected_cost import ExpectedCostClassifier
from tests.support.checker import read_stores
from tests.support.here import call_main, run_here, run_here_well
from tests.support.servers import free_port, serving
from tests.support.stores import stores_of

SERVE = ("models", "serve", "--env-manager", "local", "--workers", "1")
COST = 'cost = { false_positive = 5, false_negative = "amount" }\n'


def write_study(directory: Path, decision: str, *, target: str = "left", study: str = "") -> None:
    rng = np.random.default_rng(0)
    n = 400
    table = pd.DataFrame({
        "age": rng.normal(50, 15, n),
        "plan": rng.choice(["basic", "plus", "pro"], n),
        "amount": rng.gamma(2, 20, n).round(2) + 0.01,
    })  # fmt: skip
    shift = (table["age"] - 65) / 10 + (table["plan"] == "pro") + rng.logistic(size=n)
    table["left"] = np.where(shift > 0, "yes", "no")
    table["when"] = np.array(["never", "soon", "now"])[np.digitize(shift, [0, 1.5])]
    other = "when" if target == "left" else "left"
    table.drop(columns=other).to_csv(directory / "rows.csv", index=False)
    text = (
        f"[study]\nname = 'rows'\nn_trials = 3\n{study}"
        f"[data]\nsource = 'rows.csv'\ntarget = '{target}'\n[decision]\n{decision}"
    )
    (directory / "rows.toml").write_text(text, encoding="utf-8")


def run(directory: Path, *flags: str, plots: bool = False) -> str:
    return run_here_well(directory, "--study", "rows.toml", *flags, plots=plots)


def model_of(directory: Path) -> LoggedModel:
    return read_stores(**stores_of(directory), study="rows").model


def test_what_ships_answers_by_the_threshold_wherever_it_is_loaded(directory: Path) -> None:
    write_study(directory, COST + 'calibration = "sigmoid"\n')
    told = json.loads(run(directory, "--json", plots=True))
    decision, calibration = told["decision"], told["calibration"]
    threshold = decision["threshold"]
    assert (decision["positive"], decision["objective"]) == ("yes", "neg_cost")
    assert 0.05 < threshold < 0.3
    assert calibration["method"] == "sigmoid"
    assert calibration["brier"]["low"] < calibration["brier"]["value"]

    model = model_of(directory)
    location = Path(model.artifact_location)
    assert float(model.params["decision.threshold"]) == threshold
    assert model.params["decision.calibration"] == "sigmoid"
    card = (location / "model_card.md").read_text(encoding="utf-8")
    assert "## How it answers" in card
    assert (location / "figures" / "threshold.png").stat().st_size > 5000
    raw = mlflow.sklearn.load_model(str(location))
    assert type(raw) is FixedThresholdClassifier
    assert type(raw.estimator) is CalibratedClassifierCV

    table, _ = predict_table(load_model(location), directory / "rows.csv")
    is_called = table["probability_yes"] >= threshold
    assert (table["prediction"] == np.where(is_called, "yes", "no")).all()
    assert (is_called & (table["probability_yes"] < 0.5)).sum() > 0
    rows = pd.read_csv(directory / "rows.csv").drop(columns="left").head(20)
    with serving(directory, free_port(), *SERVE, "--model-uri", str(location)) as address:
        body = {"dataframe_split": rows.to_dict("split", index=False)}
        answer = requests.post(f"{address}/invocations", json=body, timeout=30)
    assert answer.json()["predictions"] == table["prediction"].head(20).tolist()


def test_a_decision_may_change_and_the_trials_stay(directory: Path) -> None:
    write_study(directory, "")
    first = json.loads(run(directory, "--json"))
    assert "decision" not in first
    write_study(directory, 'maximize = "recall"\nsubject_to = { precision = 0.6 }\n')
    text = run(directory)
    assert "all done before" in text
    assert "decision  'yes' from a probability of " in text
    assert ", precision " in text
    second = json.loads(run(directory, "--json"))
    assert second["best"]["number"] == first["best"]["number"]
    assert second["model_uri"] != first["model_uri"]
    write_study(directory, "")
    third = json.loads(run(directory, "--json"))
    assert third["model_uri"] == first["model_uri"]
    runs = read_stores(**stores_of(directory), study="rows")
    assert "decision_threshold" in runs.parent.data.metrics


def test_three_classes_are_answered_by_expected_cost_which_is_the_metric(directory: Path) -> None:
    cost = "cost = { now = { never = 30, soon = 10 }, soon = { never = 4 } }\n"
    write_study(directory, cost, target="when", study="metric = 'cost'\n")
    told = json.loads(run(directory, "--json", "--register", "rows"))
    assert told["best"]["value"] < 0
    assert told["decision"]["threshold"] is None
    model = mlflow.sklearn.load_model(model_of(directory).artifact_location)
    assert type(model) is ExpectedCostClassifier
    rows = pd.read_csv(directory / "rows.csv")
    expected = model.predict_proba(rows) @ [[0, 1, 1], [30, 0, 10], [4, 1, 0]]
    assert (model.predict(rows) == model.classes_[expected.argmin(axis=1)]).all()
    write_study(directory, cost.replace("30", "40"), target="when", study="metric = 'cost'\n")
    refused = run_here(directory, "--study", "rows.toml")
    assert refused.returncode == 2
    assert "decision.cost.now.never 30 -> 40" in refused.stderr


@pytest.mark.parametrize(
    ("decision", "study", "line"),
    [
        ("cost = { false_positive = 5 }", "", "decision.cost: should have false_positive and"),
        ("cost = 5", "", "decision.cost: "),
        ('maximize = "roc_auc"', "", "'roc_auc' is no scorer that a threshold changes"),
        ("", "metric = 'cost'\n", "neg_cost needs decision.cost"),
        ('calibration = "platt"', "", "decision.calibration: "),
    ],
)
def test_a_bad_decision_ends_before_trial_0(
    directory: Path, decision: str, study: str, line: str
) -> None:
    write_study(directory, decision, study=study)
    for command in (["run", "--dry-run"], ["run"]):
        ended = call_main(directory, *command, "--study", "rows.toml")
        assert ended.returncode == 2
        assert line in ended.stderr
    assert not (directory / "mlruns").exists()
