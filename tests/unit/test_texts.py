"""The model card and the dashboard's notes: that they say what the report says, and that nothing in
a table's names becomes markup.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna
import pytest
from markdown_it import MarkdownIt

from hpo.data.dataset import Dataset, load_dataset
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.results.estimates import NestedScore
from hpo.results.intervals import Estimate
from hpo.results.model_card import MAX_ROWS, make_card
from hpo.results.texts import make_dashboard_notes, summarize_search
from hpo.results.tracking_state import TrackingState

from .driving import define, space_of
from .test_result import RESULT, replace_estimates

DEFINITION = define()


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset(DEFINITION.data, CLASSIFICATION, seed=0, n_splits=5)


def render(card: str) -> str:
    return MarkdownIt().enable("table").render(card)


def test_it_says_what_the_report_says(dataset):
    card = make_card(RESULT, DEFINITION, dataset, LOGISTIC_REGRESSION)
    text = RESULT.to_text()
    for fact in (
        "0.8750 to 1.0000",
        "+0.0625 (+0.0312 to +0.1250) on 30 held-out rows",
        "3 of 48 trials tie within noise",
    ):
        assert fact in text
        assert fact in card
    assert "48 complete, 0 pruned, 2 failed" in card
    assert dataset.digest in card
    assert "120 training rows and 30 held-out ones" in card
    assert "| `C` | 0.0001 to 10000, on a logarithmic scale | `0.123456789` |" in card
    assert "- 'id' dropped: it numbers the rows" in card
    assert card.count("MODEL-URI") == 3


def test_its_tables_are_tables(dataset):
    html = render(make_card(RESULT, DEFINITION, dataset, LOGISTIC_REGRESSION))
    assert html.count("<table>") == 4
    assert html.count("<h2>") == 5


def test_nested_score_and_the_fit_on_all_rows_are_said(dataset):
    card = make_card(
        replace_estimates(replace(RESULT, refit="all"), nested=NestedScore((0.9, 0.95, 1.0), 3)),
        DEFINITION,
        dataset,
        LOGISTIC_REGRESSION,
    )
    assert "| accuracy | search and refit | 0.9500 |" in card
    assert "it was fitted on all 150 rows" in card
    unfinished = make_card(
        replace_estimates(RESULT, nested=NestedScore((0.9,), 3), gain=None),
        DEFINITION,
        dataset,
        LOGISTIC_REGRESSION,
    )
    assert "search and refit" not in unfinished
    assert "defaults failed" in unfinished


def test_names_of_a_table_are_no_markup(dataset):
    names = [
        "a|b",
        "<script>",
        "two\nlines",
        "`code`",
        "# head",
        *(f"x{number}" for number in range(100)),
    ]
    labels = np.array(["<b>", "|"])[np.arange(150) % 2]
    strange = replace(dataset, target="<img src=x>", y_train=labels[:120], y_test=labels[120:])
    html = render(
        make_card(
            replace(RESULT, columns={"numeric": names}), DEFINITION, strange, LOGISTIC_REGRESSION
        )
    )
    assert html.count("<table>") == 4
    assert html.count("<h1>") == 1
    assert not any(mark in html for mark in ("<script>", "<img", "<b>"))
    assert f"and {len(names) - MAX_ROWS} more." in html


def test_interval_is_that_of_the_judged_metric(dataset):
    card = make_card(
        replace_estimates(RESULT, holdout_score=Estimate(0.5, 0.25, 0.75)),
        DEFINITION,
        dataset,
        LOGISTIC_REGRESSION,
    )
    assert "its accuracy may well be anything from 0.2500 to 0.7500" in card


def test_only_trial_0_is_the_baseline_whoever_has_its_score():
    score = RESULT.estimates.baseline_value
    trials = [optuna.create_trial(value=score) for _ in range(2)]
    for number, trial in enumerate(trials):
        trial.number = number
    notes = make_dashboard_notes("study", RESULT, TrackingState(), trials, LOGISTIC_REGRESSION)
    assert [number for number, note in notes.items() if "**Baseline**" in note] == [0]


def test_trial_that_did_not_converge_says_so_in_its_note():
    trials = [
        optuna.create_trial(value=0.5, user_attrs={"hpo.converged": converged})
        for converged in (True, False)
    ]
    for number, trial in enumerate(trials):
        trial.number = number
    notes = make_dashboard_notes("study", RESULT, TrackingState(), trials, LOGISTIC_REGRESSION)
    assert [number for number, note in notes.items() if "**Did not converge**" in note] == [1]


def test_summary_is_plain_text(dataset):
    assert summarize_search(DEFINITION, dataset, space_of(DEFINITION)) == (
        "accuracy of logistic regression, 120 training rows, 5 folds;"
        " searched: C, penalty, l1_ratio, class_weight"
    )
