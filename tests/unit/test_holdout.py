"""What the held-out rows say of the final model and of the defaults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import get_scorer

from hpo.data.dataset import Dataset, load_dataset
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.final_model import build_pipeline
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.results.holdout import judge_holdout, predict_holdout
from hpo.results.intervals import estimate_paired_proportions, estimate_proportion
from tests.unit.driving import define

DEFAULTS = {
    "penalty": "l2", "C": 1.0, "class_weight": "none", "solver": "lbfgs", "max_iter": 1000, "tol": 1e-4, "random_state": 0,
}  # fmt: skip
CHOSEN = {**DEFAULTS, "C": 1e-4}
DEFINITION = define()


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset(
        DEFINITION.data.model_copy(update={"source": "breast_cancer"}),
        CLASSIFICATION,
        seed=0,
        n_splits=5,
    )


@pytest.fixture(scope="module")
def pipelines(dataset):
    made = [
        build_pipeline(LOGISTIC_REGRESSION, dataset.columns, DEFINITION.preprocessing, params)
        for params in (CHOSEN, DEFAULTS)
    ]
    return [pipeline.fit(dataset.X_train, dataset.y_train) for pipeline in made]


def judge(pipeline, defaults, dataset, metric):
    models = predict_holdout(LOGISTIC_REGRESSION, pipeline, defaults, dataset, metric)
    return judge_holdout(LOGISTIC_REGRESSION, models, dataset, metric, seed=0)


def test_accuracy_is_that_of_the_rows(dataset, pipelines):
    ours, theirs = (pipeline.predict(dataset.X_test) == dataset.y_test for pipeline in pipelines)
    score, gain, _ = judge(pipelines[0], DEFAULTS, dataset, "accuracy")
    assert (ours != theirs).any()
    assert score == estimate_proportion(int(ours.sum()), len(ours))
    assert gain == estimate_paired_proportions(
        int((ours & ~theirs).sum()), int((~ours & theirs).sum()), len(ours)
    )


@pytest.mark.parametrize("metric", ["neg_log_loss", "f1_macro", "roc_auc", "balanced_accuracy"])
def test_other_metrics_have_an_interval_around_them(dataset, pipelines, metric):
    scores = [
        get_scorer(metric)(pipeline, dataset.X_test, dataset.y_test) for pipeline in pipelines
    ]
    score, gain, _ = judge(pipelines[0], DEFAULTS, dataset, metric)
    assert score.value == pytest.approx(scores[0])
    assert gain.value == pytest.approx(scores[0] - scores[1])
    for estimate in (score, gain):
        assert estimate.low < estimate.value < estimate.high
    if metric == "neg_log_loss":
        assert (score, gain) == judge(pipelines[0], DEFAULTS, dataset, metric)[:2]


def test_nothing_to_compare_with(dataset, pipelines):
    for metric in ("accuracy", "neg_log_loss"):
        assert judge(pipelines[0], None, dataset, metric)[1] is None


def test_rows_of_one_group_are_drawn_together(dataset, pipelines):
    # Every row ten times: ten times as many rows, and not one bit more knowledge.
    rows = np.repeat(np.arange(len(dataset.y_test)), 10)
    tenfold = replace(
        dataset,
        X_test=dataset.X_test.iloc[rows],
        y_test=dataset.y_test[rows],
        groups_test=rows.astype("str"),
    )
    widths = {}
    for metric in ("accuracy", "neg_log_loss"):
        single, grouped, naive = (
            judge(pipelines[1], None, data, metric)[0]
            for data in (dataset, tenfold, replace(tenfold, groups_test=None))
        )
        widths[metric] = [estimate.high - estimate.low for estimate in (single, grouped, naive)]
        assert grouped.value == pytest.approx(single.value)
    for _, grouped_width, naive_width in widths.values():
        assert naive_width < grouped_width / 2
    # A loss has fewer degrees of freedom by rows, of which a few are all of it.
    single_width, grouped_width, _ = widths["accuracy"]
    assert grouped_width == pytest.approx(single_width, rel=0.35)
    assert widths["neg_log_loss"][1] < widths["neg_log_loss"][0]


def test_two_groups_of_a_class_each_say_nothing_of_a_gain(dataset, pipelines):
    of_class = replace(dataset, groups_test=dataset.y_test.astype("str"))
    score, gain, constant = judge(pipelines[0], DEFAULTS, of_class, "roc_auc")
    assert score.low < score.value
    assert not gain.is_known
    assert not constant.is_surely_beaten


def test_perfect_ranking_is_not_certainty(dataset):
    half = dataset.X_train.assign(
        **{dataset.columns.numeric[0]: np.where(dataset.y_train == 1, 9.0, -9.0) * 100}
    )
    test = dataset.X_test.assign(
        **{dataset.columns.numeric[0]: np.where(dataset.y_test == 1, 9.0, -9.0) * 100}
    )
    easy = replace(dataset, X_train=half, X_test=test)
    pipeline = build_pipeline(
        LOGISTIC_REGRESSION, easy.columns, DEFINITION.preprocessing, DEFAULTS
    ).fit(easy.X_train, easy.y_train)
    score = judge(pipeline, None, easy, "roc_auc")[0]
    assert (score.value, score.high) == (1.0, 1.0)
    # The rule of three on the 42 rows of the smaller class.
    assert score.low == pytest.approx(0.025 ** (1 / 42))


def test_predicted_rows_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    X, y = pd.DataFrame(rng.normal(size=(60, 3))), rng.integers(3, size=60)
    whole = CLASSIFICATION.predictions(LOGISTIC_REGRESSION.build(DEFAULTS).fit(X, y), X)
    rows = rng.integers(60, size=40)
    for method in ("predict", "predict_proba", "decision_function"):
        np.testing.assert_array_equal(
            getattr(whole.take(rows), method)(), getattr(whole, method)()[rows]
        )
    assert whole.take(rows).score("f1_macro", y[rows]) == get_scorer("f1_macro")(
        whole.model, X.iloc[rows], y[rows]
    )
