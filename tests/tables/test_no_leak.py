"""Nothing of a test row reaches a fit: fold scores are scikit-learn's on the whole unfitted
pipeline, and groups stay whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.model_selection import cross_validate

from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.final_model import build_pipeline
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.search.plan import Plan, make_plan
from hpo.study_file import load_definition

METRICS = ["f1_macro", "balanced_accuracy"]
ALL_SCORED = ["accuracy", "neg_log_loss", *METRICS]
FITS: dict[str, dict[str, Any]] = {
    "newton-cholesky": {"penalty": "l2", "C": 1.0},
    "lbfgs": {"penalty": "l2", "C": 100.0, "solver": "lbfgs"},
    "newton-cg": {"penalty": "l2", "C": 100.0, "solver": "newton-cg"},
    "none": {"penalty": "none"},
    "saga": {"penalty": "elasticnet", "C": 0.3, "l1_ratio": 0.5, "solver": "saga", "tol": 1e-3},
    "proximal-newton": {"penalty": "elasticnet", "C": 0.3, "l1_ratio": 0.5},
    "lbfgs-b": {"penalty": "l1", "C": 0.5, "solver": "lbfgs-b"},
}


def every_kind_of_column(n_rows: int, n_levels: int) -> pd.DataFrame:
    """Each kind with gaps; a category that is in few rows, so that some folds do not know it."""
    generator = np.random.default_rng(11)
    y = generator.integers(0, 3, n_rows)
    levels = np.append(
        np.array([f"level {number}" for number in range(n_levels)]), ["rare", "rarer"]
    )
    odds = np.append(np.full(n_levels, 1.0), [0.3, 0.1])
    table = pd.DataFrame(
        {
            "number": generator.lognormal(0.3 * y, 1.5),
            "whole": generator.integers(0, 40, n_rows) + y,
            "flag": np.where(generator.random(n_rows) < 0.2 + 0.3 * y, "true", "false"),
            "level": generator.choice(levels, n_rows, p=odds / odds.sum()),
            "day": pd.Timestamp("2021-01-01")
            + pd.to_timedelta(generator.integers(0, 900, n_rows) + 60 * y, "D"),
        }
    )
    for place, name in enumerate(("number", "flag", "level", "day")):
        table[name] = table[name].mask(generator.random(n_rows) < 0.04 * (place + 1))
    return table.assign(y=np.array(["low", "mid", "top"])[y])


WORDS = ["the", "dull", "lovely", "plot", "of", "a", "long", "light", "scene", "music", "is", "we"]


def with_text(table: pd.DataFrame, seed: int = 3) -> pd.DataFrame:
    """Two columns of free text with gaps; some words tell of the target, some are in one row."""
    rng = np.random.default_rng(seed)
    words = [[*rng.choice(WORDS, 12), f"name{row}", y] for row, y in enumerate(table["y"])]
    review = pd.Series([" ".join(rng.permutation(row)) for row in words])
    remark = pd.Series([" ".join(rng.choice(WORDS, 14)) for _ in words])
    return table.assign(
        review=review.mask(rng.random(len(table)) < 0.3),
        remark=remark.mask(rng.random(len(table)) < 0.1),
    )


def make_problem(directory: Path, table: pd.DataFrame, **overrides: Any) -> Plan:
    table.to_csv(directory / "t.csv", index=False)
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    base = {
        "data.source": str(directory / "t.csv"),
        "data.target": "y",
        "study.metrics": METRICS,
        "preprocessing.min_frequency": 3,
    }
    return make_plan(load_definition(overrides={**base, **keys}))


@pytest.fixture(scope="module", params=["dense", "sparse", "repeated", "text"])
def plan(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "sparse":
        return make_problem(directory, every_kind_of_column(500, 40))
    if request.param == "text":
        table = with_text(every_kind_of_column(250, 3))
        return make_problem(directory, table, preprocessing__max_words=150)
    if request.param == "repeated":
        return make_problem(
            directory, every_kind_of_column(200, 5), cv__n_splits=3, cv__n_repeats=2
        )
    return make_problem(directory, every_kind_of_column(300, 3))


def scores_of(plan: Plan, params: dict[str, Any]) -> dict[str, list[float]]:
    results = [plan.objective.evaluate(params, step) for step in range(plan.objective.n_steps)]
    assert [result.failure for result in results] == [None] * len(plan.objective.folds)
    return {name: [result.scores[name] for result in results] for name in ALL_SCORED}


def test_tables_hold_every_kind_of_column_dense_and_sparse(
    plan: Plan, request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["plan"]
    text = ["review", "remark"] if kind == "text" else []
    assert plan.dataset.columns.kinds() == {
        "numeric": ["number", "whole"],
        "boolean": ["flag"],
        "categorical": ["level"],
        "datetime": ["day"],
    } | ({"free_text": text} if text else {})
    assert plan.dataset.X_train.drop(columns=["whole", *text]).isna().any().all()
    assert (plan.dataset.X_train[text] == "").any().all()
    assert issparse(plan.objective.folds[0].X_train) == (kind in ("sparse", "text"))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings(
    "ignore:The inner solver of NewtonCholeskySolver"
)  # without a penalty; it then takes lbfgs, in both alike
@pytest.mark.parametrize("name", FITS)
def test_fold_scores_are_those_of_cross_validate_on_the_whole_pipeline(
    plan: Plan, name: str
) -> None:
    params = plan.space.complete({"class_weight": "balanced", **FITS[name]})
    definition, dataset = plan.definition, plan.dataset
    pipeline = build_pipeline(
        LOGISTIC_REGRESSION, dataset.columns, definition.preprocessing, params
    )
    splits = CLASSIFICATION.split(dataset, definition.cv, definition.study.seed)
    expected = cross_validate(
        pipeline,
        dataset.X_train,
        dataset.y_train,
        cv=splits,
        scoring=ALL_SCORED,
        error_score="raise",
    )
    assert len(splits) == definition.cv.n_splits * definition.cv.n_repeats
    assert scores_of(plan, params) == {
        scorer: expected[f"test_{scorer}"].tolist() for scorer in ALL_SCORED
    }


def test_preprocessing_fitted_on_all_rows_would_be_seen(plan: Plan) -> None:
    """What the comparison above is worth: these tables tell a leak from none."""
    params = plan.space.complete({"class_weight": "balanced", **FITS["newton-cholesky"]})
    dataset = plan.dataset
    pipeline = build_pipeline(
        LOGISTIC_REGRESSION, dataset.columns, plan.definition.preprocessing, params
    )
    leaked = pipeline["preprocessing"].fit_transform(dataset.X_train, dataset.y_train)
    splits = CLASSIFICATION.split(dataset, plan.definition.cv, plan.definition.study.seed)
    scores = cross_validate(
        clone(pipeline["classifier"]), leaked, dataset.y_train, cv=splits, scoring="neg_log_loss"
    )["test_score"]
    assert (scores != scores_of(plan, params)["neg_log_loss"]).all()


@pytest.mark.parametrize("n_repeats", [1, 2])
def test_no_group_is_on_both_sides_of_a_fold_or_of_the_holdout(
    tmp_path: Path, n_repeats: int
) -> None:
    generator = np.random.default_rng(2)
    table = every_kind_of_column(400, 4)
    table["person"] = [f"p{number}" for number in generator.integers(0, 60, len(table))]
    table["row"] = np.arange(len(table)) + 0.5  # a feature that says which row it was
    table["y"] = table["y"].mask(
        generator.random(len(table)) < 0.1
    )  # rows that are dropped must not shift the groups
    plan = make_problem(tmp_path, table, data__group="person", cv__n_repeats=n_repeats)
    dataset = plan.dataset
    person = table.set_index("row")["person"]
    in_train, in_test = (
        person[dataset.X_train["row"]].to_numpy(),
        person[dataset.X_test["row"]].to_numpy(),
    )
    assert "person" not in dataset.columns.features
    assert len(in_train) + len(in_test) == table["y"].notna().sum()
    assert len(in_test) > 0
    assert set(in_train).isdisjoint(in_test)
    assert dataset.groups is not None
    assert dataset.groups.tolist() == in_train.tolist()
    splits = CLASSIFICATION.split(dataset, plan.definition.cv, plan.definition.study.seed)
    assert len(splits) == 5 * n_repeats
    for train, test in splits:
        assert set(in_train[train]).isdisjoint(in_train[test])
        assert sorted([*train, *test]) == list(range(len(in_train)))
    if n_repeats == 2:
        assert splits[0][1].tolist() != splits[5][1].tolist()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fold_scores_with_groups_are_those_of_cross_validate(tmp_path: Path) -> None:
    table = every_kind_of_column(300, 4).assign(
        person=np.random.default_rng(5).integers(0, 40, 300)
    )
    plan = make_problem(tmp_path, table, data__group="person")
    params = plan.space.complete({"class_weight": "none", **FITS["newton-cholesky"]})
    dataset = plan.dataset
    pipeline = build_pipeline(
        LOGISTIC_REGRESSION, dataset.columns, plan.definition.preprocessing, params
    )
    splits = CLASSIFICATION.split(dataset, plan.definition.cv, plan.definition.study.seed)
    expected = cross_validate(
        pipeline,
        dataset.X_train,
        dataset.y_train,
        cv=splits,
        scoring=ALL_SCORED,
        error_score="raise",
    )
    assert scores_of(plan, params) == {
        scorer: expected[f"test_{scorer}"].tolist() for scorer in ALL_SCORED
    }
