"""Fold scores are those of scikit-learn's ``cross_validate`` on the whole pipeline, to the last
bit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna import create_study
from optuna.samplers import RandomSampler
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer_names, log_loss
from sklearn.model_selection import cross_validate

from hpo.data.dataset import Dataset, load_dataset
from hpo.definition import DataSection, StudyDefinition
from hpo.errors import DefinitionError
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.cross_validation import (
    CrossValidation,
    Fold,
    prepare_folds,
    score_model,
)
from hpo.estimators.final_model import build_pipeline
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.estimators.metrics import resolve_metrics
from hpo.estimators.objective import StepResult
from hpo.estimators.recipe import TrainingShape
from hpo.estimators.space import SearchedSpace
from hpo.search_space import SearchSpace
from hpo.study_file import load_definition
from tests.unit.driving import define

STUDY_FILES = sorted(Path(__file__).parents[2].glob("studies/*.toml"))
N_PARAMS = 10


def shape_of(dataset: Dataset) -> TrainingShape:
    n_samples, n_features = dataset.X_train.shape
    n_classes = CLASSIFICATION.count_classes(dataset.y_train)
    return TrainingShape(n_samples, n_features, n_classes, n_samples * n_features, is_sparse=False)


def complete(params: dict, dataset: Dataset, seed: int = 0) -> dict:
    shape = shape_of(dataset)
    return LOGISTIC_REGRESSION.derive(params, shape, seed)


def draw_params(space: SearchSpace, dataset: Dataset, n: int) -> list[dict]:
    study = create_study(sampler=RandomSampler(seed=1))
    searched = SearchedSpace(LOGISTIC_REGRESSION, space, shape_of(dataset), seed=0)
    return [searched.complete(searched.suggest(study.ask())) for _ in range(n)]


def evaluate(params: dict, folds: Sequence[Fold], metrics: tuple[str, ...]) -> list[StepResult]:
    objective = CrossValidation(LOGISTIC_REGRESSION, folds, metrics)
    return [objective.evaluate(params, step) for step in range(objective.n_steps)]


def scores_of_cross_validate(
    params: dict, dataset: Dataset, definition: StudyDefinition, metrics: tuple[str, ...]
) -> dict[str, list[float]]:
    pipeline = build_pipeline(
        LOGISTIC_REGRESSION, dataset.columns, definition.preprocessing, params
    )
    splits = CLASSIFICATION.split(dataset, definition.cv, definition.study.seed)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # a fit that does not converge has the same scores in both
        scores = cross_validate(
            pipeline,
            dataset.X_train,
            dataset.y_train,
            cv=splits,
            scoring=list(metrics),
            error_score="raise",
        )
    return {metric: scores[f"test_{metric}"].tolist() for metric in metrics}


def load(source: str) -> Dataset:
    return load_dataset(DataSection(source=source), CLASSIFICATION, seed=0, n_splits=5)


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load("iris")


@pytest.fixture(scope="module")
def iris_folds(iris):
    return prepare_folds(iris, define(), CLASSIFICATION)


@pytest.fixture(scope="module")
def binary_folds():
    return prepare_folds(load("breast_cancer"), define(), CLASSIFICATION)


def test_there_are_study_files():
    assert {"iris.toml", "digits.toml"} <= {path.name for path in STUDY_FILES}


@pytest.mark.parametrize("path", STUDY_FILES, ids=lambda path: path.stem)
def test_scores_equal_cross_validate_exactly(path):
    definition = load_definition(path)
    seed = definition.study.seed
    dataset = load_dataset(
        definition.data, CLASSIFICATION, seed=seed, n_splits=definition.cv.n_splits
    )
    ranking = "roc_auc" if CLASSIFICATION.count_classes(dataset.y_train) == 2 else "roc_auc_ovr"
    metrics = resolve_metrics(
        definition.study.metric, ("balanced_accuracy", "f1_macro", ranking), CLASSIFICATION
    )
    folds = prepare_folds(dataset, definition, CLASSIFICATION)
    for params in draw_params(definition.search_space, dataset, N_PARAMS):
        results = evaluate(params, folds, metrics)
        ours = {metric: [result.scores[metric] for result in results] for metric in metrics}
        assert ours == scores_of_cross_validate(params, dataset, definition, metrics), params


def test_scores_equal_cross_validate_with_repeats(iris):
    definition, metrics = (
        define(cv__n_splits=3, cv__n_repeats=2, study__seed=4),
        ("accuracy", "neg_log_loss"),
    )
    params = complete({"penalty": "l1", "C": 0.5, "class_weight": "balanced"}, iris)
    folds = prepare_folds(iris, definition, CLASSIFICATION)
    ours = [result.scores for result in evaluate(params, folds, metrics)]
    theirs = scores_of_cross_validate(params, iris, definition, metrics)
    assert len(folds) == 6
    assert {metric: [scores[metric] for scores in ours] for metric in metrics} == theirs


def test_folds_are_stratified_and_each_row_is_tested_once(iris, iris_folds):
    assert [len(fold.y_test) for fold in iris_folds] == [24] * 5
    assert all(np.bincount(fold.y_test).tolist() == [8, 8, 8] for fold in iris_folds)
    assert sum(len(fold.y_test) for fold in iris_folds) == len(iris.y_train)


def test_preprocessing_is_fitted_on_training_rows_only(iris_folds):
    for fold in iris_folds:
        np.testing.assert_allclose(fold.X_train.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(fold.X_train.std(axis=0), 1, atol=1e-12)
        assert np.abs(fold.X_test.mean(axis=0)).max() > 1e-3


def test_other_seed_other_folds(iris, iris_folds):
    assert np.array_equal(
        prepare_folds(iris, define(), CLASSIFICATION)[0].X_test, iris_folds[0].X_test
    )
    assert not np.array_equal(
        prepare_folds(iris, define(study__seed=1), CLASSIFICATION)[0].X_test, iris_folds[0].X_test
    )


def test_scores_come_in_the_order_of_the_metrics(iris, iris_folds):
    params = complete({"penalty": "l2", "C": 1.0, "class_weight": "none"}, iris)
    result = evaluate(params, [iris_folds[0]], ("f1_macro", "accuracy"))[0]
    assert list(result.scores) == ["f1_macro", "accuracy"]
    assert (result.converged, result.failure, result.traceback) == (True, None, None)
    assert all(type(score) is float for score in result.scores.values())


def test_fit_that_stops_early_is_marked(iris, iris_folds):
    params = complete(
        {
            "penalty": "elasticnet",
            "C": 100.0,
            "l1_ratio": 0.5,
            "class_weight": "none",
            "max_iter": 1,
        },
        iris,
    )
    result = evaluate(params, [iris_folds[0]], ("accuracy",))[0]
    assert result.failure is None
    assert not result.converged


def test_fit_that_raises_is_a_failure_with_reason_and_traceback(iris, iris_folds):
    params = complete({"penalty": "l1", "C": 1.0, "class_weight": "none", "solver": "lbfgs"}, iris)
    result = evaluate(params, [iris_folds[0]], ("accuracy",))[0]
    assert result.scores == {}
    assert result.failure.startswith("ValueError: ")
    assert "\n" not in result.failure
    assert result.traceback.startswith("Traceback (most recent call last):")
    assert result.failure in result.traceback


def test_step_knows_when_it_began_and_ended(iris, iris_folds):
    params = complete({"penalty": "l2", "C": 1.0, "class_weight": "none"}, iris)
    before = time.time()
    step = evaluate(params, [iris_folds[0]], ("accuracy",))[0]
    assert before <= step.started < step.ended <= time.time()
    failed = evaluate({**params, "C": "much"}, [iris_folds[0]], ("accuracy",))[0]
    assert step.ended <= failed.started <= failed.ended <= time.time()


def test_score_that_is_not_finite_is_a_failure(binary_folds):
    fold = binary_folds[0]
    one_class = replace(
        fold, X_test=fold.X_test[fold.y_test == 1], y_test=fold.y_test[fold.y_test == 1]
    )
    params = complete({"penalty": "l2", "C": 1.0, "class_weight": "none"}, load("breast_cancer"))
    result = evaluate(params, [one_class], ("accuracy", "roc_auc"))[0]
    assert (result.scores, result.failure) == ({}, "the score roc_auc is nan")
    with pytest.raises(DefinitionError, match="metric 'roc_auc' cannot judge these classes: "):
        CLASSIFICATION.check_metrics(("accuracy", "roc_auc"), one_class.y_test)


def test_warnings_of_a_fit_stay_inside(iris, iris_folds, recwarn):
    params = complete({"penalty": "l2", "C": 1.0, "class_weight": "none", "max_iter": 1}, iris)
    evaluate(params, iris_folds[:1], ("accuracy",))
    assert list(recwarn) == []


@pytest.mark.parametrize(
    ("metric", "extra", "names"),
    [
        ("accuracy", (), ("accuracy", "neg_log_loss")),
        ("f1_macro", (), ("f1_macro", "accuracy", "neg_log_loss")),
        ("neg_log_loss", ("f1_macro", "accuracy"), ("neg_log_loss", "accuracy", "f1_macro")),
    ],
)
def test_judged_metric_comes_first_and_none_twice(metric, extra, names):
    assert resolve_metrics(metric, extra, CLASSIFICATION) == names


@pytest.mark.parametrize(("metric", "extra"), [("acuracy", ()), ("accuracy", ("acuracy",))])
def test_unknown_metric_is_refused_with_the_nearest(metric, extra):
    with pytest.raises(
        DefinitionError, match="should be the name of a scikit-learn scorer, but got 'acuracy'"
    ) as caught:
        resolve_metrics(metric, extra, CLASSIFICATION)
    assert "'accuracy'" in caught.value.hint


def test_metric_like_no_other_is_refused_with_the_way_to_the_list():
    with pytest.raises(DefinitionError, match="but got 'zzz'") as caught:
        resolve_metrics("zzz", (), CLASSIFICATION)
    assert "get_scorer_names" in caught.value.hint


@pytest.mark.parametrize(
    "metric", ["roc_auc", "f1", "precision", "recall", "jaccard", "positive_likelihood_ratio"]
)
def test_binary_metric_is_refused_for_three_classes_only(metric, iris):
    with pytest.raises(
        DefinitionError, match=f"metric '{metric}' cannot judge these classes: "
    ) as caught:
        CLASSIFICATION.check_metrics([metric], iris.y_train)
    assert "f1_macro" in caught.value.hint
    CLASSIFICATION.check_metrics([metric], iris.y_train[iris.y_train > 0])


@pytest.mark.parametrize(
    "metric",
    [
        name
        for name in get_scorer_names()
        if name.startswith("neg_mean")
        or name.endswith("error")
        or name in ("r2", "explained_variance")
    ],
)
def test_regression_metric_is_refused(metric, iris):
    with pytest.raises(DefinitionError, match=f"metric '{metric}' judges numbers, not classes"):
        CLASSIFICATION.check_metrics([metric], iris.y_train)


@pytest.mark.parametrize(
    "metric",
    [
        *(
            "accuracy",
            "neg_log_loss",
            "balanced_accuracy",
            "roc_auc_ovr",
            "roc_auc_ovo",
            "f1_macro",
            "neg_brier_score",
        ),
        *("d2_brier_score", "matthews_corrcoef", "average_precision", "top_k_accuracy"),
    ],
)
def test_metric_of_classes_is_accepted_and_equals_scikit_learns(metric, iris, iris_folds):
    CLASSIFICATION.check_metrics([metric], iris.y_train)
    params = complete({"penalty": "l2", "C": 1.0, "class_weight": "none"}, iris)
    theirs = scores_of_cross_validate(params, iris, define(), (metric,))[metric]
    results = evaluate(params, iris_folds, (metric,))
    assert [result.scores[metric] for result in results] == theirs


def test_log_loss_of_a_certain_and_wrong_model_is_finite_and_scikit_learns(iris):
    params = complete({"penalty": "none", "class_weight": "none", "tol": 1e-10}, iris)
    two = iris.y_train < 2  # separable: probabilities reach 0 and 1
    pipeline = build_pipeline(
        LOGISTIC_REGRESSION, iris.columns, define().preprocessing, params
    ).fit(iris.X_train[two], iris.y_train[two])
    swapped = 1 - iris.y_train[two]
    ours = score_model(CLASSIFICATION, pipeline, iris.X_train[two], swapped, ("neg_log_loss",))[
        "neg_log_loss"
    ]
    assert ours == -log_loss(swapped, pipeline.predict_proba(iris.X_train[two]))
    assert -40 < ours < -1
