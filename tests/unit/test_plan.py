"""Everything a trial needs is loaded, checked and prepared before anything is written."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io

from hpo.data.columns import Columns
from hpo.data.dataset import load_dataset
from hpo.errors import DataError, DefinitionError
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.cross_validation import check_size
from hpo.estimators.final_model import fit_final_model, take_raw_rows
from hpo.estimators.recipes import RECIPES
from hpo.estimators.skops_file import read_skops
from hpo.search.plan import load_data, make_plan
from tests.unit.driving import define


def test_problem_is_complete():
    plan = make_plan(define(study__metric="f1_macro"))
    assert plan.objective.metrics == ("f1_macro", "accuracy", "neg_log_loss")
    assert len(plan.objective.folds) == 5
    assert (
        plan.space.shape.n_samples,
        plan.space.shape.n_features,
        plan.space.shape.n_classes,
    ) == (
        96,
        4,
        3,
    )
    assert plan.definition == define(
        study__metric="f1_macro", estimator__name=plan.recipe.name, estimator__rule=2
    )
    assert plan.notes == ()
    assert plan.space.complete({"penalty": "l2"})["solver"] == "newton-cholesky"


def test_slow_penalties_are_left_out_of_the_definition_and_said(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        rng.normal(size=(14_000, 60)), columns=[f"x{n}" for n in range(60)]
    ).assign(y=rng.integers(0, 2, 14_000))
    table.to_parquet(tmp_path / "t.parquet")
    source = {
        "data__source": str(tmp_path / "t.parquet"),
        "data__target": "y",
        "estimator__rule": 1,
    }
    plan = make_plan(define(**source))
    assert plan.space.entries.penalty == ("l2", "l1")
    assert plan.notes[0].startswith("penalty elasticnet left out: ")
    named = make_plan(define(**source, search_space__penalty=["l2", "elasticnet"]))
    assert (named.space.entries.penalty, named.notes) == (("l2", "elasticnet"), ())


@pytest.mark.parametrize(
    ("overrides", "kind", "line"),
    [
        (
            {"study__metric": "roc_auc"},
            DefinitionError,
            "metric 'roc_auc' cannot judge these classes",
        ),
        ({"study__metrics": ["r2"]}, DefinitionError, "metric 'r2' judges numbers, not classes"),
        (
            {"search_space__solver": "liblinear", "search_space__penalty": "l2"},
            DefinitionError,
            "liblinear should be used with 2",
        ),
        (
            {"preprocessing__max_features": 3},
            DataError,
            "4 columns after preprocessing, more than max_features = 3",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(overrides, kind, line):
    with pytest.raises(kind, match=line):
        make_plan(define(**overrides))


def test_categories_that_become_too_many_columns_are_refused(tmp_path):
    words = [f"w{number % 50}" for number in range(1000)]
    pd.DataFrame({"a": words, "y": [0, 1] * 500}).to_csv(tmp_path / "t.csv", index=False)
    overrides = {
        "data__source": str(tmp_path / "t.csv"),
        "data__target": "y",
        "preprocessing__min_frequency": 1,
    }
    with pytest.raises(
        DataError, match="the table has 50 columns after preprocessing, more than max_features = 49"
    ):
        make_plan(define(**overrides, preprocessing__max_features=49))
    assert (
        make_plan(define(**overrides, preprocessing__max_features=50)).space.shape.n_features == 50
    )


@pytest.mark.parametrize(
    "columns", [{"numeric": 100}, {"categorical": 100}, {"boolean": 50, "datetime": 50}], ids=str
)
def test_table_that_does_not_fit_in_memory_is_refused(columns):
    iris = load_dataset(define().data, CLASSIFICATION, seed=0, n_splits=5)
    wide = Columns(
        **{kind: tuple(f"{kind}{n}" for n in range(count)) for kind, count in columns.items()}
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # A frame without columns takes no memory, however many rows it has.
    large = replace(iris, columns=wide, X_train=pd.DataFrame(index=pd.RangeIndex(memory // 1000)))
    with pytest.raises(
        DataError, match=r"rows in 5 folds need about \d+ GiB of memory, but this machine has \d+$"
    ) as caught:
        check_size(large, define())
    assert "cv.n_splits" in caught.value.hint
    check_size(
        replace(large, X_train=pd.DataFrame(index=pd.RangeIndex(memory // 10_000))), define()
    )


def test_more_folds_need_more_memory():
    iris = load_dataset(define().data, CLASSIFICATION, seed=0, n_splits=5)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    large = replace(iris, X_train=pd.DataFrame(index=pd.RangeIndex(memory // (8 * 4 * 10))))
    check_size(large, define())
    with pytest.raises(DataError, match="training rows in 10 folds need about"):
        check_size(large, define(cv__n_repeats=2))


def test_table_with_more_features_than_allowed_is_refused_before_it_is_prepared():
    iris = load_dataset(define().data, CLASSIFICATION, seed=0, n_splits=5)
    with pytest.raises(
        DataError, match="the table has 4 columns after preprocessing, more than max_features = 3"
    ):
        check_size(iris, define(preprocessing__max_features=3))


def test_estimator_that_the_target_decides_for_is_the_one_of_its_name(tmp_path):
    path = tmp_path / "numbers.csv"
    rows = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60.0) ** 2})
    rows.to_csv(path, index=False)
    named, decided = (
        make_plan(define(data__source=str(path), data__target="y", **more)).searched_definition
        for more in ({"estimator__name": "Ridge"}, {})
    )
    assert named.identity() == decided.identity()
    assert named.identity()["search_space.alpha.high"] == 1e4


LINEAR = [
    pytest.param(recipe, target, id=f"{recipe.name}-{target}")
    for recipe in RECIPES.values()
    for target in ("int64", "float64", "bool")
    if recipe.preprocessing == "linear" and (recipe.task == "classification" or target == "float64")
]

WITHOUT_SKOPS = """
import sys
from hpo import StudyDefinition
from hpo.study_run import make_plan
make_plan(StudyDefinition.model_validate({"data": {"source": "iris"}}))
sys.exit("skops" in sys.modules)
"""


@pytest.mark.parametrize(("recipe", "target"), LINEAR)
def test_linear_model_of_plain_numbers_that_is_not_tried_first_can_be_loaded(recipe, target):
    plan = make_plan(define(data__source="iris", estimator__name=recipe.name))
    dataset = plan.dataset
    y = dataset.y_train == 1 if target == "bool" else dataset.y_train.astype(target)
    dataset = replace(dataset, y_train=y, y_test=y[: len(dataset.y_test)])
    final = fit_final_model(recipe, plan.space.default_params(), dataset, plan.definition, ())
    loaded = read_skops(skops.io.dumps(take_raw_rows(final.pipeline, dataset)))
    assert np.array_equal(loaded.predict(dataset.X_test), final.pipeline.predict(dataset.X_test))


MIXED = pd.DataFrame(
    {
        "town": ["Rome", "Oslo", None, "Lima"] * 15,
        "when": pd.date_range("2026-01-01", periods=60).astype(str),
        "is_new": [True, False, None] * 20,
        "code": ["007", "8"] * 30,
        "n": [1.5, 2.5, None, 0.0, 3.0] * 12,
        "y": ["late", "on time", "late", "late"] * 15,
    }
)


@pytest.mark.parametrize("name", ["LogisticRegression", "Ridge"])
def test_linear_model_of_any_columns_that_is_not_tried_first_can_be_loaded(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops.io", None)
    frame = MIXED if name == "LogisticRegression" else MIXED.assign(y=MIXED["n"].fillna(9.5))
    definition = define(study__name="mixed", data__target="y", estimator__name=name).for_frame()
    plan = make_plan(definition, load_data(definition, frame))
    assert {"town", "code"} <= set(plan.dataset.columns.categorical)
    monkeypatch.undo()
    final = fit_final_model(
        plan.recipe.recipes[0], plan.space.default_params(), plan.dataset, plan.definition, ()
    )
    shipped = take_raw_rows(final.pipeline, plan.dataset)
    loaded = read_skops(skops.io.dumps(shipped))
    rows = frame.drop(columns="y")
    assert np.array_equal(loaded.predict(rows), shipped.predict(rows))
    # Behind the conversion of raw rows.
    X_test = plan.dataset.X_test
    assert np.array_equal(loaded[1:].predict(X_test), final.pipeline.predict(X_test))


@pytest.mark.slow
def test_driver_does_without_skops_which_loads_all_of_scikit_learn():
    subprocess.run([sys.executable, "-c", WITHOUT_SKOPS], check=True, timeout=60)
