"""Targets as real tables have them: gaps, rare classes, a positive class of text, all the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.metrics import average_precision_score, f1_score

from hpo.identity import digest_of
from hpo.ledger.identity import IDENTITY
from hpo.search.plan import load_data, make_plan
from hpo.study_file import load_definition
from tests.support.checker import read_trials
from tests.support.here import call_main, run_here, run_here_well
from tests.support.stores import stores_of

RNG = np.random.default_rng(1)
N = 200
X = RNG.normal(size=N)
IS_FRAUD = X + 0.5 * RNG.normal(size=N) > 0.8
TABLE = pd.DataFrame(
    {
        "x": X.round(3),
        "z": RNG.normal(size=N).round(3),
        "code": RNG.choice(["p", "q"], N),
        "y": np.where(IS_FRAUD, "fraud", "honest"),
    }
)
FLAGS = ("--data", "t.csv", "--target", "y", "--trials", "2")


def write(directory: Path, table: pd.DataFrame = TABLE) -> None:
    table.to_csv(directory / "t.csv", index=False)


def identity_of(directory: Path, study: str = "t") -> dict[str, Any]:
    import optuna  # noqa: PLC0415

    loaded = optuna.load_study(study_name=study, storage=stores_of(directory)["storage"])
    definition: dict[str, Any] = loaded.user_attrs[IDENTITY]["definition"]
    return definition


@pytest.fixture(scope="module")
def judged(make_directory: Callable[[str], Path]) -> tuple[Path, dict[str, Any]]:
    """A run judged by the f1 of a text label that comes first; a second one compares with it."""
    directory = make_directory("positive")
    write(directory)
    flags = (*FLAGS, "--metric", "f1", "--register", "fraud", "--json")
    run_here_well(directory, *flags)
    second = run_here_well(directory, *flags, "--name", "second", "--seed", "1", plots=True)
    return directory, json.loads(second)


def test_score_everywhere_is_that_of_the_positive_class(judged):
    directory, result = judged
    definition = load_definition(
        None,
        {
            "data.source": str(directory / "t.csv"),
            "data.target": "y",
            "study.metric": "f1",
            "study.seed": 1,
        },
    )
    plan = make_plan(definition)
    assert plan.dataset.positive == "fraud"
    params = result["best"]["params"]
    fold_scores = [plan.objective.evaluate(params, step).scores["f1"] for step in range(5)]
    assert result["best"]["value"] == np.mean(fold_scores)
    # Folds are fitted on positions: that of "fraud" is 0.
    fold = plan.objective.folds[0]
    model = plan.recipe.build(params).fit(fold.X_train, fold.y_train)
    assert fold_scores[0] == f1_score(fold.y_test, model.predict(fold.X_test), pos_label=0)
    assert result["holdout"]["f1"] == result["holdout_score"]["value"]
    # Of the rows held out too few are fraud for an interval.
    assert result["holdout_score"] == {"value": result["holdout"]["f1"], "low": None, "high": None}
    assert result["registry"]["comparison"].startswith(f"f1 {result['holdout']['f1']:.4f} against ")


def test_model_predicts_its_labels_and_the_holdout_score_is_theirs(judged, tmp_path):
    directory, result = judged
    definition = load_definition(
        None, {"data.source": str(directory / "t.csv"), "data.target": "y", "study.seed": 1}
    )
    dataset = load_data(definition)
    TABLE.loc[dataset.X_test.index].drop(columns="y").to_csv(tmp_path / "rows.csv", index=False)
    ended = call_main(directory, "predict", result["model_uri"], str(tmp_path / "rows.csv"))
    (tmp_path / "predicted.csv").write_text(ended.stdout, encoding="utf-8")
    predicted = pd.read_csv(tmp_path / "predicted.csv")
    assert list(predicted) == ["prediction", "probability_fraud", "probability_honest"]
    score = f1_score(dataset.y_test, predicted["prediction"], pos_label="fraud")
    assert score == result["holdout"]["f1"]


def test_importance_and_card_are_of_the_positive_class(judged):
    directory, result = judged
    client = MlflowClient(stores_of(directory)["tracking_uri"])
    run = client.get_run(result["parent_run_id"])
    importances = {name: value for name, value in run.data.metrics.items() if "importance" in name}
    assert max(importances, key=importances.__getitem__).endswith("x")
    assert max(importances.values()) > 0.2
    client.download_artifacts(run.info.run_id, "model_card.md", str(directory))
    card = (directory / "model_card.md").read_text(encoding="utf-8")
    assert "The positive class, which metrics such as f1 and the curves are of, is `fraud`." in card


def test_dry_run_says_which_class_is_positive(directory: Path) -> None:
    write(directory)
    said = run_here_well(directory, *FLAGS, "--metric", "average_precision", "--dry-run")
    assert "; 'fraud' is positive\n" in said
    note = "the positive class of average_precision is 'fraud': data.positive (--positive)"
    assert f"note      {note} names the other" in said.splitlines()
    named = run_here_well(directory, *FLAGS, "--positive", "honest", "--dry-run", "--json")
    content = json.loads(named)
    assert content["data"]["positive"] == "honest"


def test_named_class_is_part_of_the_identity_and_scored(directory: Path) -> None:
    write(directory)
    flags = (*FLAGS, "--metric", "average_precision", "--json")
    by_rule = json.loads(run_here_well(directory, *flags))
    refused = run_here(directory, *flags, "--positive", "honest")
    assert refused.returncode == 2
    assert "data.positive absent -> honest" in refused.stderr
    named = json.loads(run_here_well(directory, *flags, "--positive", "honest", "--name", "h"))
    assert identity_of(directory, "h")["data.positive"] == "honest"
    y = TABLE["y"] == "honest"
    assert named["best"]["value"] > by_rule["best"]["value"]  # the commoner class is easier
    assert named["best"]["value"] > average_precision_score(y, np.zeros(N))


RECORDED = (
    ((0, 1), "568647a44a42af57c8b440e2873fd5f3", 0.75),
    ((1, 2), "8ad7f8c33930feea913d32985a6c1937", 0.4),
    ((False, True), "034f36ba24bbc1efcdcbd949e2b0c978", 0.0),
)
"""Labels, drawn in this order, data digest and the f1 of the defaults on the first fold, as they were
before there was a choice of the positive class."""


def test_study_begun_before_there_was_a_positive_class_goes_on() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=120)
    for labels, digest, score in RECORDED:
        y = np.where(x + rng.normal(size=120) > 0.9, labels[1], labels[0])
        table = pd.DataFrame({"x": x, "z": rng.normal(size=120).round(2), "y": y})
        definition = load_definition(
            None,
            {
                "study.name": "s",
                "data.target": "y",
                "study.metric": "f1",
                "study.metrics": ["precision", "average_precision", "roc_auc", "neg_brier_score"],
                "estimator.rule": 1,
            },
        )
        dataset = load_data(definition.for_frame(), table)
        plan = make_plan(definition, dataset)
        assert dataset.digest == digest
        identity = plan.searched_definition.identity()
        assert digest_of(identity) == "0721d97ad3ef8085550e0e21fb855b82"
        assert not {"data.positive", "data.rare", "data.keep_labels"} & set(identity)
        scores = plan.objective.evaluate(plan.space.default_params(), 0).scores
        assert scores["f1"] == pytest.approx(score, abs=1e-9)


def test_dropped_columns_are_those_of_the_file_and_of_the_flags(directory: Path) -> None:
    write(directory, TABLE.assign(w=TABLE["z"] * 2))
    (directory / "study.toml").write_text(
        "[data]\nsource = 't.csv'\ntarget = 'y'\ndrop = ['code']\n", encoding="utf-8"
    )
    flags = ("--study", "study.toml", "--trials", "1")
    said = run_here_well(directory, *flags, "--drop", "z", "--drop", "w", "--drop", "code")
    assert "columns   1 numeric" in said.splitlines()
    assert identity_of(directory)["data.drop"] == ["code", "w", "z"]
    again = run_here_well(directory, *flags, "--drop", "w", "--drop", "z")
    assert "nothing was changed" in again
    wrong = run_here(directory, *flags, "--drop", "kode")
    assert "has no column 'kode' (did you mean 'code'?)" in wrong.stderr


def test_table_with_rare_classes_and_gaps_is_searched_and_nested(directory: Path) -> None:
    y = TABLE["y"].where(TABLE.index > 1, "odd").where(TABLE.index < N - 7, "NA")
    write(directory, TABLE.assign(y=y))
    refused = run_here(directory, *FLAGS)
    assert refused.returncode == 2
    assert "class 'odd' has 2" in refused.stderr
    assert 'data.rare to "drop" or "pool"' in refused.stderr
    (directory / "study.toml").write_text(
        "[study]\nn_trials = 1\nnested = 3\n[data]\nsource = 't.csv'\ntarget = 'y'\nrare = 'drop'\n",
        encoding="utf-8",
    )
    said = run_here_well(directory, "--study", "study.toml", "--quiet")
    lines = said.splitlines()
    assert "note      7 of 200 rows dropped: 'y' is missing there" in lines
    assert (
        "note      2 of 193 rows dropped: classes with too few rows: 'odd' (2) (data.rare)" in lines
    )
    assert len(read_trials(stores_of(directory)["storage"], "t.nested-3-of-3")) == 1
