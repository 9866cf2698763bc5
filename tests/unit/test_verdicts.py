"""The sentences that a person reads first: each says what its interval allows, and no more."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo.data.dataset import Dataset, load_dataset
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.final_model import FinalModel
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.results.estimates import ConstantModel
from hpo.results.intervals import Estimate, too_few_to_say
from hpo.results.model_card import make_card
from hpo.results.result import StudyResult
from hpo.results.texts import describe_study

from .driving import define
from .test_result import BEHIND, RESULT, replace_estimates, rows

NO = "always answering 'no'"


def against(model: float, constant: float, gain: Estimate, **scores: float) -> StudyResult:
    """A result with so much accuracy, where the constant model has so much."""
    held_out = Estimate(model, model - 0.1, model + 0.1)
    result = replace_estimates(
        RESULT,
        holdout_score=held_out,
        constant=ConstantModel(NO, {"accuracy": constant, **scores}, gain),
    )
    return replace(result, judged=FinalModel(object(), {"accuracy": model}))


CHURN = against(0.827, 0.833, Estimate(-0.006, -0.02, 0.01))
UNSURE = against(0.84, 0.833, Estimate(0.007, -0.01, 0.02))


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (Estimate(0.04, 0.0312, 0.0512), "Better than the defaults by 3.1 to 5.1 points"),
        (Estimate(0.3, 0.1, 1.0), "Better than the defaults by 10 to 100 points"),
        (
            Estimate(0.02, -0.01, 0.05),
            "Tuning made no measurable difference: the defaults do as well",
        ),
        (Estimate(-0.02, -0.05, -0.01), "Worse than the defaults by 1 to 5 points: keep those"),
        (Estimate(0.0, 0.0, 0.0), "Tuning changed nothing: the defaults are what was chosen"),
        (None, "The defaults failed: there is nothing to compare the model with"),
        (too_few_to_say(0.04), "Whether tuning helped, 30 held-out rows are too few to say"),
    ],
)
def test_verdict_is_the_first_line(gain: Any, verdict: str) -> None:
    result = replace_estimates(RESULT, gain=gain)
    assert result.to_text().splitlines()[0] == f"verdict   {verdict}"
    assert result.to_json()["verdict"] == verdict


def test_a_loss_is_not_counted_in_points() -> None:
    result = replace_estimates(
        replace(RESULT, metric="neg_log_loss"),
        constant=ConstantModel(NO, {"neg_log_loss": -0.7}, Estimate(0.5, 0.4, 0.6)),
    )
    assert result.describe_verdict() == "Better than the defaults by 0.031 to 0.12 of neg_log_loss"


def test_model_that_a_constant_answer_beats_is_called_that() -> None:
    said = rows(CHURN)
    assert said["verdict"] == f"No better than {NO}: do not use this model"
    assert (
        said["against"]
        == f"{NO}: accuracy 0.8330, the model 0.8270: no better, -0.0060 (-0.0200 to +0.0100)"
    )
    assert said["warning"] == f"no better than {NO} (accuracy 0.8270 against 0.8330)"
    assert CHURN.to_json()["caution"] == said["warning"]


def test_model_that_may_be_no_better_is_called_that() -> None:
    said = rows(UNSURE)
    assert said["verdict"] == f"Perhaps no better than {NO}: 30 held-out rows cannot tell"
    assert said["warning"].startswith(f"not measurably better than {NO} (accuracy 0.8400")


def test_accuracy_is_looked_at_whatever_is_judged() -> None:
    good = Estimate(0.3, 0.2, 0.4)
    result = replace(against(0.827, 0.833, good, roc_auc=0.5), metric="roc_auc")
    assert rows(result)["verdict"].startswith("Better than the defaults")
    assert rows(result)["warning"].endswith("(accuracy 0.8270 against 0.8330)")
    better = replace(against(0.85, 0.833, good, roc_auc=0.5), metric="roc_auc")
    assert "warning" not in rows(better)
    assert better.to_json()["caution"] is None


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset(define().data, CLASSIFICATION, seed=0, n_splits=5)


@pytest.mark.parametrize("result", [RESULT, CHURN, UNSURE])
def test_card_and_notes_say_the_same(dataset: Dataset, result: StudyResult) -> None:
    card = make_card(result, define(), dataset, LOGISTIC_REGRESSION)
    note = describe_study("search", result)
    for text in (card, note):
        assert f"**{result.describe_verdict()}" in text
        assert result.describe_constant() in text
        assert ("**Warning**" in text) == bool(result.describe_caution())
        assert result.describe_caution() in text


def test_too_few_rows_are_called_that(dataset: Dataset) -> None:
    few = too_few_to_say(0.125)
    result = against(0.827, 0.7, few)
    result = replace_estimates(result, holdout_score=too_few_to_say(0.827), gain=few)
    said = rows(result)
    sure = "too few rows held out to say how sure"
    assert said["verdict"] == f"Perhaps no better than {NO}: 30 held-out rows cannot tell"
    assert said["against"].endswith(f"perhaps no better, +0.1250 ({sure})")
    assert said["hold-out"].startswith(f"accuracy 0.8270 ({sure}, 30 rows)")
    assert said["gain"] == "+0.1250 on 30 held-out rows: too few to say"
    assert said["optimism"] == f"cv minus hold-out +0.1480 ({sure})"
    card = make_card(result, define(), dataset, LOGISTIC_REGRESSION)
    assert f"| accuracy | held-out rows | 0.8270 | {sure} |" in card
    assert "It was scored on 30 rows: too few to say how far its accuracy" in card
    assert f"0.8270 ({sure})" in describe_study("search", result)
    content = result.to_json()
    assert content["gain"] == {"value": 0.125, "low": None, "high": None}
    assert json.loads(json.dumps(content, allow_nan=False))["optimism"]["low"] is None
    assert "inf" not in result.to_text() + card


def test_label_is_no_markup_and_no_line() -> None:
    labels = np.array(["<b>*x*</b>\n\x1b[31m", "no"])[np.array([0, 0, 1])]
    model = CLASSIFICATION.constant_model(labels)
    answer = CLASSIFICATION.describe_constant(model, "accuracy")
    assert answer == "always answering '<b>*x*</b> \\x1b[31m'"
    result = replace_estimates(
        RESULT, constant=ConstantModel(answer, {"accuracy": 0.9}, Estimate(-0.1, -0.2, 0.0))
    )
    note = describe_study("search", result)
    assert "<b>" not in note.replace("\\<b\\>", "")
    assert "*x*" not in note


def test_probabilities_are_compared_with_the_shares_of_the_classes() -> None:
    model = CLASSIFICATION.constant_model(np.array([0, 0, 1]))
    said = {
        metric: CLASSIFICATION.describe_constant(model, metric)
        for metric in ("f1_macro", "roc_auc", "neg_log_loss", "neg_brier_score", "accuracy")
    }
    assert set(said.values()) == {"always answering '0'", "knowing only how common each class is"}
    assert said["accuracy"] == said["f1_macro"] == "always answering '0'"


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "jaccard"])
def test_scores_of_the_positive_class_are_compared_with_always_answering_it(metric: str) -> None:
    """By them the other one scores nothing, which noise beats."""
    y = np.array(["no", "no", "no", "yes", "yes"])
    model = CLASSIFICATION.constant_model(y, metric, "yes")
    assert CLASSIFICATION.describe_constant(model, metric) == "always answering 'yes'"
    commonest = CLASSIFICATION.constant_model(y, metric, "no")
    assert CLASSIFICATION.describe_constant(commonest, metric) == "always answering 'no'"
    for other in ("accuracy", "balanced_accuracy", "neg_log_loss", "average_precision"):
        assert set(CLASSIFICATION.constant_model(y, other, "yes").predict([[0]])) == {"no"}
    three = CLASSIFICATION.constant_model(np.array([0, 1, 1, 2]), "f1_macro")
    assert set(three.predict([[0]])) == {1}


def test_fit_that_did_not_converge_never_wins_in_silence(dataset: Dataset) -> None:
    unconverged = replace(
        replace_estimates(RESULT, n_unconverged=12), best=replace(RESULT.best, converged=False)
    )
    said = "DID NOT CONVERGE, as 12 of 48 trials: its scores are those of an unfinished fit"
    assert rows(unconverged)["best"].endswith(f"; {said}")
    assert said in make_card(unconverged, define(), dataset, LOGISTIC_REGRESSION)
    assert said in describe_study("search", unconverged)
    assert unconverged.to_json()["best"]["converged"] is False
    others = replace_estimates(RESULT, n_unconverged=12)
    assert rows(others)["best"].endswith("; 12 of 48 trials did not converge")
    assert rows(others)["cv"].endswith("; 3 of 36 trials that converged tie within noise")
    assert "converge" not in RESULT.to_text()


def test_trials_that_were_stopped_neither_tie_nor_count_among_those_that_could() -> None:
    raced = replace(RESULT, n_trials={"complete": 12, "pruned": 36, "failed": 2})
    assert rows(raced)["cv"].endswith("; 3 of 12 complete trials tie within noise")
    assert rows(raced)["study"] == "iris: 50 trials (12 complete, 36 pruned, 2 failed)"
    alone = replace_estimates(raced, n_ties=1)
    assert rows(alone)["cv"].endswith("; no other of 12 complete trials ties within noise")


def test_what_ended_the_search_is_said_and_what_goes_on() -> None:
    late = replace(RESULT, n_wanted=500, n_missing=450, ended="timeout")
    assert rows(late)["study"] == (
        "iris: 50 trials (48 complete, 2 failed);"
        " the timeout ended the search, 450 of 500 trials are missing"
    )
    assert late.to_text().splitlines()[-1].strip() == (
        "the same command  (goes on: 450 trials are missing;"
        " with a longer --timeout it does more of them)"
    )
    assert (late.to_json()["ended"], late.to_json()["n_missing"]) == ("timeout", 450)
    assert "450 of 500 trials are missing" in describe_study("search", late)
    tired = replace(RESULT, n_wanted=500, n_missing=450, ended="patience")
    assert "ended by study.patience" in rows(tired)["study"]
    assert tired.to_text().endswith("with a larger study.patience  (search on)")
    behind = replace(BEHIND, n_wanted=500, n_missing=450, ended="timeout")
    assert behind.to_text().endswith("it writes what MLflow lacks and goes on with the search")


def test_study_whose_params_are_all_fixed_says_so() -> None:
    fixed = replace(RESULT, best=replace(RESULT.best, chosen={}))
    assert rows(fixed)["best"] == "trial 17: every param is fixed"
