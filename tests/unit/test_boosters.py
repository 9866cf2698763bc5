"""LightGBM and XGBoost as estimators of ours: the same predictions, saved as text that is checked."""

from __future__ import annotations

import json
import pickle
import random
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io

from hpo import boosters
from hpo.errors import DefinitionError, ModelError
from hpo.estimators import boosters as booster_recipes
from hpo.estimators.recipe import Recipe
from hpo.estimators.recipes import RECIPES
from hpo.estimators.skops_file import check_skops
from hpo.lightgbm_text import rebuild_text
from hpo.xgboost_json import rebuild_json
from tests.support.here import run_here
from tests.support.libraries import need_library

RNG = np.random.default_rng(0)
N_ROWS = 400
N_FUZZED = 100
X = np.column_stack([RNG.normal(size=(N_ROWS, 2)), RNG.integers(0, 6, N_ROWS)])
X[RNG.random(X.shape) < 0.1] = np.nan
CATEGORICAL = [2]
SIGNAL = np.nan_to_num(X[:, 0]) + 2 * (np.nan_to_num(X[:, 2]) > 2) + RNG.normal(size=N_ROWS)
ROWS = np.vstack([X[:40], [[np.nan] * 3], [[1e300, -1e300, 1e300]], [[0, 0, -5]], [[0, 0, 2**40]]])

every_booster = pytest.mark.parametrize(
    "recipe", booster_recipes.RECIPES, ids=lambda recipe: recipe.name
)


def target_of(recipe: Recipe, n_classes: int) -> np.ndarray:
    if recipe.task == "regression":
        return SIGNAL
    bounds = np.quantile(SIGNAL, np.linspace(0, 1, n_classes + 1)[1:-1])
    return np.array(["a", "b", "c"])[np.searchsorted(bounds, SIGNAL)]


def fitted(recipe: Recipe, n_classes: int = 2, **params: Any) -> Any:
    need_library(recipe.package)
    model: Any = recipe.build({"random_state": 1, **params}, CATEGORICAL)
    return model.fit(X, target_of(recipe, n_classes))


@every_booster
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_model_is_that_of_the_librarys_own_class_and_defaults(
    recipe: Recipe, n_classes: int
) -> None:
    model, y = fitted(recipe, n_classes), target_of(recipe, n_classes)
    library = import_module(recipe.package)
    codes = y if recipe.task == "regression" else np.unique(y, return_inverse=True)[1]
    own = getattr(library, recipe.name)
    if recipe.package == "lightgbm":
        own = own(random_state=1, n_jobs=1, verbosity=-1, deterministic=True, force_row_wise=True)
        own.fit(X, codes, categorical_feature=CATEGORICAL)
    else:
        kinds = ["q", "q", "c"]
        own = own(random_state=1, n_jobs=1, enable_categorical=True, feature_types=kinds)
        own.fit(X, codes)
    expected = own.predict(ROWS)
    if recipe.task == "classification":
        assert (model.predict_proba(ROWS) == own.predict_proba(ROWS)).all()
        expected = model.classes_[expected]
    assert (model.predict(ROWS) == expected).all()


@every_booster
@pytest.mark.parametrize("n_classes", [2, 3])
def test_saved_model_predicts_the_same_to_the_last_bit(recipe: Recipe, n_classes: int) -> None:
    model = fitted(recipe, n_classes, n_estimators=30)
    content = skops.io.dumps(model)
    loaded = skops.io.loads(content, trusted=list(recipe.trusted_types))
    assert loaded.get_params() == model.get_params()
    for method in ("predict", "predict_proba"):
        if hasattr(model, method):
            expected = getattr(model, method)(ROWS)
            assert (getattr(loaded, method)(ROWS) == expected).all()
            assert (getattr(pickle.loads(pickle.dumps(loaded)), method)(ROWS) == expected).all()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("max_feature_idx=2", "max_feature_idx=1", "an odd head: max_feature_idx"),
        ("num_class=1", "num_class=9", "an odd head: num_class"),
        ("binary sigmoid:1", "multiclass num_class:7", "an odd objective: multiclass"),
        ("label_index=0", "label_index=0\nlabel_index=0", "an odd line: label_index=0"),
        (r"num_leaves=\d+", "num_leaves=9999", "an odd split_gain"),
        (r"num_leaves=\d+", "num_leaves=1", "1 leaves"),
        (r"num_cat=\d+", "num_cat=2147483647", "leaves, or is linear"),
        (r"split_feature=\d", "split_feature=3", "a feature that is not there"),
        (r"left_child=-?\d+", "left_child=0", "whose child is not after it"),
        (r"right_child=-?\d+", "right_child=-99", "whose child is not after it"),
        (r"decision_type=\d+", "decision_type=64", "splits in an odd way"),
        (r"cat_threshold=\d+", "cat_threshold=-1", "odd sets of categories"),
        (r"cat_boundaries=0", "cat_boundaries=1", "odd sets of categories"),
        (r"leaf_value=[^ ]+", "leaf_value=nan", "an odd leaf_value"),
        ("is_linear=0", "is_linear=1", "or is linear"),
        ("shrinkage", "num_features", "odd lines"),
    ],
)
def test_text_of_lightgbm_that_leads_astray_is_refused(old: str, new: str, line: str) -> None:
    text = fitted(RECIPES["LGBMClassifier"], n_estimators=3)._save()
    rebuild_text(text, 3, 2)
    changed = re.sub(old, new, text, count=1)
    assert changed != text
    with pytest.raises(ValueError, match=line):
        rebuild_text(changed, 3, 2)


def set_in_tree(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(learner: dict[str, Any]) -> None:
        tree = learner["gradient_booster"]["model"]["trees"][1]
        tree[name] = value if isinstance(value, str | dict) else [value, *tree[name][1:]]

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda learner: learner.update(feature_types=["q"]), "odd columns"),
        (lambda learner: learner.update(feature_types=["q"] * 3), "splits a number by categories"),
        (lambda learner: learner.update(more=1), "should have attributes"),
        (lambda learner: learner["objective"].update(name="multi:softprob"), "an odd objective"),
        (lambda learner: learner["learner_model_param"].update(num_class="7"), "an odd start"),
        (lambda learner: learner["learner_model_param"].update(base_score="[1,2]"), "an odd start"),
        (lambda learner: learner["gradient_booster"].update(name="gblinear"), "one of trees"),
        (
            lambda learner: learner["gradient_booster"]["model"].update(tree_info=[0, 0, 9]),
            "trees in an odd order",
        ),
        (set_in_tree("left_children", 99), "whose child is not after it"),
        (set_in_tree("right_children", 0), "whose child is not after it"),
        (set_in_tree("parents", 0), "a child of another parent"),
        (set_in_tree("split_indices", 3), "a feature that is not there"),
        (set_in_tree("split_type", 7), "splits a number by categories"),
        (set_in_tree("default_left", -1), "sends gaps nowhere"),
        (set_in_tree("categories", 2**30), "odd sets of categories"),
        (set_in_tree("categories_sizes", 0), "odd sets of categories"),
        (set_in_tree("split_conditions", 1e39), "an odd split_conditions"),
        (set_in_tree("split_conditions", float("nan")), "an odd split_conditions"),
        (set_in_tree("sum_hessian", "text"), "an odd sum_hessian"),
        (set_in_tree("left_children", 2**70), "an odd left_children"),
        (set_in_tree("tree_param", {}), "other params"),
    ],
)
def test_json_of_xgboost_that_leads_astray_is_refused(
    change: Callable[[dict[str, Any]], None], line: str
) -> None:
    text = fitted(RECIPES["XGBClassifier"], n_estimators=3)._save()
    rebuild_json(text, 3, 2)
    read = json.loads(text)
    change(read["learner"])
    with pytest.raises(ValueError, match=line):
        rebuild_json(json.dumps(read), 3, 2)


ODD = ("0", "1", "-1", "7", "2147483647", "-2147483648", "9" * 30, "1e308", "nan", "", "[]", "x")


@every_booster
def test_fuzzed_texts_are_refused_or_predict(recipe: Recipe) -> None:
    """A text that passes the check predicts without harm: this process would end otherwise."""
    chance = random.Random(3)
    model = fitted(recipe, 3, n_estimators=2)
    text, n_classes = model._save(), 3 if recipe.task == "classification" else 0
    n_passed = 0
    for _ in range(N_FUZZED):
        number = chance.choice(list(re.finditer(r"-?[0-9][-+0-9.eE]*", text)))
        value = chance.choice((*ODD, f"{chance.uniform(-9, 9)}", f"{chance.randrange(9)}"))
        start, end = number.span()
        if chance.random() < 0.2:
            end = min(len(text), start + chance.randrange(200))
        try:
            model._booster = model._load(f"{text[:start]}{value}{text[end:]}", n_classes)
        except ValueError:
            continue
        model.predict(ROWS)
        n_passed += 1
    assert 0 < n_passed < N_FUZZED


@every_booster
def test_state_of_another_make_is_refused(recipe: Recipe) -> None:
    state = fitted(recipe, n_estimators=2).__getstate__()
    new = type(fitted(recipe, n_estimators=2)).__new__
    kind = getattr(boosters, recipe.name)
    with pytest.raises(ValueError, match=r"a booster does not have \['predict'\]"):
        new(kind).__setstate__({**state, "predict": "os.system"})
    with pytest.raises(ValueError, match="a booster should know its columns"):
        new(kind).__setstate__({**state, "n_features_in_": "3"})
    with pytest.raises(ValueError, match="a booster has odd"):
        new(kind).__setstate__({**state, "n_features_in_": 2**40})
    if recipe.task == "classification":
        with pytest.raises(ValueError, match="a booster has"):
            new(kind).__setstate__({**state, "classes_": np.array(["a", "b", "c"])})


@every_booster
def test_arguments_are_checked_by_name_and_value(recipe: Recipe) -> None:
    need_library(recipe.package)
    for key, value, line in (
        ("n_estimators", 0, r"must be an int in the range \[1, inf\)"),
        ("learning_rate", -1.0, r"must be a float in the range \(0\.0, inf\)"),
        ("device_type", "gpu", "is no argument of"),
        ("callbacks", "os.system", "is no argument of"),
        ("random_state", 1, "is set by hpo"),
        ("categorical_features", 1, "is set by hpo"),
    ):
        with pytest.raises(DefinitionError, match=line):
            recipe.check(recipe.space.model_validate({key: value}), 2)


@every_booster
def test_absent_library_is_one_line(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    content = skops.io.dumps(fitted(recipe, n_estimators=2))
    monkeypatch.setitem(sys.modules, recipe.package, None)  # as Python marks what is not there
    target = (
        ("--target", "target")
        if recipe.task == "classification"
        else ("--target", "sepal length (cm)")
    )
    ended = run_here(directory, "--data", "iris", *target, "--estimator", recipe.name)
    assert ended.returncode == 2
    assert ended.stdout == ""
    line = f"hpo: estimator.name: {recipe.name} needs {recipe.package}, which is not installed"
    assert ended.stderr.splitlines() == [f"{line} (pip install hpo[{recipe.package}])"]
    with pytest.raises(ModelError, match=f"it needs {recipe.package}, which is not installed"):
        check_skops(content)
