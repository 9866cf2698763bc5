"""Every recipe on a table with gaps, categories, truth values and dates: scored, saved, loaded."""

from __future__ import annotations

import io
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import skops.io
from sklearn.model_selection import cross_validate

from hpo.estimators.final_model import build_pipeline, take_raw_rows
from hpo.estimators.recipe import Recipe
from hpo.estimators.recipes import RECIPES
from hpo.estimators.skops_file import read_skops
from hpo.search.plan import Plan, make_plan
from hpo.study_file import load_definition
from tests.support.estimators import TABLE, write_customers
from tests.support.here import call_main, run_here_well
from tests.support.libraries import need_library

N_ROWS = 400
SHORT = {"max_iter": 20, "n_estimators": 10}
"""Fewer rounds and trees, where the class has the argument: a second in place of a minute."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("estimators") / TABLE
    write_customers(path, N_ROWS)
    return path


def plan_of(recipe: Recipe, table: Path) -> Plan:
    need_library(recipe.package)
    target, other = ("churned", "spent")
    if recipe.task == "regression":
        target, other = other, target
    overrides = {
        "data.source": str(table),
        "data.target": target,
        "data.drop": [other],
        "estimator.name": recipe.name,
    }
    return make_plan(load_definition(overrides=overrides))


every_recipe = pytest.mark.parametrize("name", RECIPES)


def params_of(plan: Plan, number: int) -> dict[str, object]:
    """The defaults, or what a trial may draw, with few rounds."""
    import optuna  # noqa: PLC0415

    params = plan.space.default_params()
    if number:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number))
        params = plan.space.complete(plan.space.suggest(study.ask()))
    known = plan.recipe.build(params, ()).get_params()
    if plan.recipe.preprocessing == "tree":
        params |= {key: value for key, value in SHORT.items() if key in known}
    return params


@every_recipe
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fold_scores_are_those_of_cross_validate(table: Path, name: str, number: int) -> None:
    plan = plan_of(RECIPES[name], table)
    params = params_of(plan, number)
    pipeline = build_pipeline(
        plan.recipe, plan.dataset.columns, plan.definition.preprocessing, params
    )
    splits = plan.task.split(plan.dataset, plan.definition.cv, plan.definition.study.seed)
    expected = cross_validate(
        pipeline,
        plan.dataset.X_train,
        plan.dataset.y_train,
        cv=splits,
        scoring=list(plan.objective.metrics),
        error_score="raise",
    )
    results = [plan.objective.evaluate(params, step) for step in range(plan.objective.n_steps)]
    assert [result.failure for result in results] == [None] * len(splits)
    for metric in plan.objective.metrics:
        ours = [result.scores[metric] for result in results]
        assert ours == expected[f"test_{metric}"].tolist(), metric


@every_recipe
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_model_is_saved_and_loaded_by_the_safe_loader(table: Path, name: str) -> None:
    plan = plan_of(RECIPES[name], table)
    dataset, params = plan.dataset, params_of(plan, 1)
    pipeline = build_pipeline(plan.recipe, dataset.columns, plan.definition.preprocessing, params)
    pipeline.fit(dataset.X_train, dataset.y_train)
    loaded = read_skops(skops.io.dumps(take_raw_rows(pipeline, dataset)))[-2:]
    plan.recipe.check_loaded(loaded[-1])
    assert (loaded.predict(dataset.X_test) == pipeline.predict(dataset.X_test)).all()


@pytest.mark.parametrize("name", ["LGBMClassifier", "XGBRegressor"])
def test_logged_booster_predicts_raw_rows_wherever_it_is_loaded(
    table: Path, name: str, directory: Path
) -> None:
    need_library(RECIPES[name].package)
    target, other = ("churned", "spent") if "Classifier" in name else ("spent", "churned")
    (directory / "study.toml").write_text(
        f'[estimator]\nname = "{name}"\n[search_space]\nn_estimators = [5, 10]\n'
        f'[data]\nsource = "{table}"\ntarget = "{target}"\ndrop = ["{other}"]\n'
    )
    run_here_well(directory, "--study", "study.toml", "--trials", "2")
    (model,) = directory.glob("mlruns/*/models/m-*/artifacts")
    rows = pd.read_csv(table).drop(columns=[target, other])
    rows.to_csv(directory / "rows.csv", index=False)
    ended = call_main(directory, "predict", str(model), "rows.csv")
    assert ended.stderr == ""
    ours = pd.read_csv(io.StringIO(ended.stdout))["prediction"]
    served = mlflow.pyfunc.load_model(str(model))
    assert (served.predict(rows) == ours.to_numpy()).all()
    assert f"{RECIPES[name].package}==" in (model / "requirements.txt").read_text()
