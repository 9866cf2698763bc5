"""Estimators without a recipe of their own, by scikit-learn's names: a model, or one clean line."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import optuna
import pytest
import skops.io
from sklearn.model_selection import cross_validate

from hpo.errors import DefinitionError
from hpo.estimators.final_model import build_pipeline, take_raw_rows
from hpo.estimators.named import find_recipe, listed_classes
from hpo.estimators.recipes import RECIPES
from hpo.estimators.skops_file import read_skops
from hpo.search.plan import Plan, make_plan
from hpo.study_file import load_definition
from tests.support.estimators import TABLE, run_estimator, write_customers

N_TRIALS = 3
N_ROWS = 100

MODELS = {
    "SGDClassifier": "alpha = { low = 1e-5, high = 1e-2, log = true }",
    "RidgeClassifier": "alpha = { low = 0.1, high = 10, log = true }",
    "LinearSVC": "C = { low = 0.1, high = 10, log = true }",
    "Perceptron": 'penalty = ["none", "l2"]',
    "Lasso": "alpha = { low = 0.1, high = 10, log = true }",
    "HuberRegressor": "epsilon = { low = 1.1, high = 2 }",
    "BayesianRidge": "lambda_1 = { low = 1e-7, high = 1e-3, log = true }",
    "LassoLarsCV": "max_n_alphas = { low = 10, high = 100 }",
    "RidgeCV": "fit_intercept = [true, false]",
    "TweedieRegressor": "power = [0, 1, 1.5, 2, 3]",
    "OrthogonalMatchingPursuit": "n_nonzero_coefs = { low = 1, high = 5 }",
    "RANSACRegressor": "min_samples = { low = 0.3, high = 0.9 }",
    "GaussianNB": "var_smoothing = { low = 1e-10, high = 1e-6, log = true }",
    "BernoulliNB": "alpha = { low = 0.1, high = 10, log = true }",
    "LinearDiscriminantAnalysis": 'solver = ["svd", "lsqr"]',
    "QuadraticDiscriminantAnalysis": "reg_param = { low = 0.1, high = 0.9 }",
    "DecisionTreeClassifier": "max_depth = { low = 2, high = 8 }",
    "DecisionTreeRegressor": 'max_depth = ["none", 2, 4]',
    "GradientBoostingClassifier": "n_estimators = { low = 3, high = 6 }",
    "GradientBoostingRegressor": 'loss = ["squared_error", "huber", "quantile"]',
    "AdaBoostClassifier": "n_estimators = { low = 3, high = 6 }",
    "BaggingRegressor": "max_features = { low = 0.5, high = 1 }",
    "MLPClassifier": "hidden_layer_sizes = [4, 8]\nmax_iter = [5]",
    "NuSVC": "nu = { low = 0.2, high = 0.6 }",
    "NuSVR": 'kernel = ["rbf", "poly"]',
    "RadiusNeighborsRegressor": "radius = { low = 50, high = 100 }",
    "NearestCentroid": 'metric = ["euclidean", "manhattan"]',
    "DummyClassifier": 'strategy = ["prior", "uniform"]',
    "CCA": "n_components = 1\nscale = [true, false]",
    "PLSRegression": "n_components = { low = 1, high = 4 }",
    "KernelRidge": "alpha = { low = 0.1, high = 10, log = true }",
    "LabelSpreading": "gamma = { low = 0.01, high = 1, log = true }",
}

LINES = {
    "StackingClassifier": (
        "cv = [3, 5]",
        "'StackingClassifier' is made of other estimators (estimators), which a study file",
    ),
    "SelfTrainingClassifier": ("k_best = [3, 5]", "'SelfTrainingClassifier' is made of other"),
    "MultiTaskLasso": ("alpha = [1, 2]", "'MultiTaskLasso' predicts several columns at once"),
    "PassiveAggressiveClassifier": ("C = [1, 2]", "scikit-learn deprecates 'PassiveAggressive"),
    "IsotonicRegression": (
        "increasing = [true, false]",
        "cannot be fitted to these rows: Isotonic",
    ),
    "MultinomialNB": ("alpha = [1, 2]", "cannot be fitted to these rows: Negative values in data"),
    "GaussianProcessRegressor": (
        "alpha = [0.1, 1]",
        "could not be loaded safely: it holds types that are not trusted: ['numpy.random.mtrand",
    ),
    "CalibratedClassifierCV": (
        'method = ["sigmoid", "isotonic"]',
        "could not be loaded safely: it holds types that are not trusted: ['sklearn.svm._classes.Lin",
    ),
    "Lasso": ("", "search_space: Lasso has no default space: name what to search"),
    "PLSRegression": ("copy = [true, false]", "search_space.copy: 'copy' is set by hpo"),
    "KMeans": ("n_clusters = [2, 3]", "estimator.name: there is no estimator 'KMeans'"),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("named") / TABLE
    write_customers(path, N_ROWS)
    return path


def plan_of(name: str, space: str, table: Path, more: str = "") -> Plan:
    recipe = RECIPES.get(name) or find_recipe(name)
    is_classifier = recipe is not None and recipe.task == "classification"
    target, other = ("churned", "spent") if is_classifier else ("spent", "churned")
    path = table.with_name("study.toml")
    path.write_text(
        f'[estimator]\nname = "{name}"\n[cv]\nn_splits = 2\n[search_space]\n{space}\n'
        f'[data]\nsource = "{TABLE}"\ntarget = "{target}"\ndrop = ["{other}"]\n{more}'
    )
    return make_plan(load_definition(path))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_listed_estimator_becomes_a_model(table: Path, name: str) -> None:
    plan = plan_of(name, MODELS[name], table)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = [plan.space.complete(plan.space.suggest(study.ask())) for _ in range(N_TRIALS)]
    for params in trials:
        results = [plan.objective.evaluate(params, step) for step in range(2)]
        assert [result.failure for result in results] == [None, None]
        assert [plan.objective.evaluate(params, step).scores for step in range(2)] == [
            result.scores for result in results
        ]
    dataset = plan.dataset
    pipeline = build_pipeline(
        plan.recipe, dataset.columns, plan.definition.preprocessing, trials[-1]
    )
    splits = plan.task.split(dataset, plan.definition.cv, plan.definition.study.seed)
    metric = plan.objective.metrics[0]
    expected = cross_validate(pipeline, dataset.X_train, dataset.y_train, cv=splits, scoring=metric)
    assert [result.scores[metric] for result in results] == expected["test_score"].tolist()
    pipeline.fit(dataset.X_train, dataset.y_train)
    loaded = read_skops(skops.io.dumps(take_raw_rows(pipeline, dataset)))
    plan.recipe.check_loaded(loaded[-1])
    assert np.array_equal(
        loaded.predict(dataset.example), pipeline.predict(dataset.X_train[: len(dataset.example)])
    )


@pytest.mark.parametrize("name", LINES)
def test_other_estimator_is_refused_in_one_line(table: Path, name: str) -> None:
    space, line = LINES[name]
    with pytest.raises(DefinitionError) as caught:
        plan_of(name, space, table)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_every_listed_class_has_a_recipe_or_one_line() -> None:
    ends = {}
    for name in listed_classes():
        try:
            recipe = find_recipe(name)
        except DefinitionError as error:
            ends[name] = str(error)
            continue
        assert recipe is not None
        assert recipe.name == name
    assert len(listed_classes()) - len(ends) > 70
    assert all("\n" not in line and name in line for name, line in ends.items())


def test_choice_that_cannot_be_loaded_safely_is_named_before_the_first_trial(table: Path) -> None:
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(DefinitionError, match="LabelPropagation could not be loaded safely"),
    ):
        plan_of("LabelPropagation", 'kernel = ["rbf", "knn"]', table)


@pytest.mark.parametrize(
    ("name", "losses"),
    [
        ("SGDClassifier", ("hinge", "log_loss", "modified_huber", "huber")),
        ("HistGradientBoostingRegressor", ("absolute_error", "poisson", "gamma")),
    ],
)
def test_models_of_other_losses_are_loaded(table: Path, name: str, losses: tuple[str, ...]) -> None:
    assert plan_of(name, f"loss = {list(losses)}", table).space.searched[-1] == "loss"


def test_metric_that_needs_probabilities_is_refused(table: Path) -> None:
    with pytest.raises(DefinitionError, match="metric 'neg_log_loss' judges probabilities"):
        plan_of("LinearSVC", "C = [1, 2]", table, '[study]\nmetric = "neg_log_loss"')


@pytest.mark.parametrize(
    ("name", "space", "more"),
    [
        ("PLSRegression", "n_components = { low = 1, high = 4 }", ""),
        ("GradientBoostingClassifier", "max_depth = [2, 3]", "[fixed]\nn_estimators = 5"),
    ],
)
def test_run_ends_in_a_model(directory: Path, name: str, space: str, more: str) -> None:
    write_customers(directory / TABLE, N_ROWS)
    end, said = run_estimator(directory, name, space, more)
    assert end == "model", said
