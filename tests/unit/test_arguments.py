"""Recipes whose params are a class's own arguments: what a study file may say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.errors import DefinitionError
from hpo.estimators.recipes import RECIPES, recipe_named
from hpo.estimators.space import SearchedSpace
from hpo.search_space import Range
from hpo.study_file import load_definition

from .test_recipes import SHAPE


def space_of(tmp_path: Path, estimator: str, search_space: str = "") -> Any:
    path = tmp_path / "study.toml"
    path.write_text(f'[estimator]\nname = "{estimator}"\n[search_space]\n{search_space}')
    return load_definition(path).search_space


def test_only_the_keys_that_differ_are_named(tmp_path: Path) -> None:
    space = dict(space_of(tmp_path, "ElasticNet", "alpha = { low = 0.5, high = 2 }"))
    assert space == {"alpha": Range(low=0.5, high=2), "l1_ratio": Range(low=0.05, high=0.95)}


def test_false_leaves_an_argument_out(tmp_path: Path) -> None:
    space = space_of(tmp_path, "ElasticNet", "l1_ratio = false")
    searched = SearchedSpace(RECIPES["ElasticNet"], space, SHAPE, seed=0)
    assert searched.searched == ["alpha"]
    assert searched.recipe.build(searched.default_params(), ()).get_params()["l1_ratio"] == 0.5


def test_any_argument_of_the_class_may_be_searched(tmp_path: Path) -> None:
    text = 'max_depth = ["none", 3, 5]\nn_estimators = { low = 10, high = 20 }'
    space = space_of(tmp_path, "RandomForestClassifier", text)
    recipe = RECIPES["RandomForestClassifier"]
    recipe.check(space, 2)
    searched = SearchedSpace(recipe, space, SHAPE, seed=0)
    assert searched.searched[-2:] == ["max_depth", "n_estimators"]
    params = {"max_depth": "none", "n_estimators": 12}
    assert recipe.build(params, ()).get_params()["max_depth"] is None


@pytest.mark.parametrize(
    ("name", "low", "high", "is_whole"),
    [
        ("max_leaf_nodes", 4, 128, True),
        ("max_depth", 2, 8, True),  # its default is None
        ("l2_regularization", 0, 10, False),
        ("learning_rate", 1, 2, False),
        ("min_samples_leaf", 1.5, 3, False),
    ],
)
def test_a_range_is_of_whole_numbers_where_ends_and_argument_are(
    name: str, low: float, high: float, is_whole: bool
) -> None:
    recipe = RECIPES["HistGradientBoostingClassifier"]
    assert recipe.takes_whole_numbers(name, Range(low=low, high=high)) == is_whole


@pytest.mark.parametrize(
    ("estimator", "text", "line", "hint"),
    [
        (
            "Ridge",
            "alhpa = 1.0",
            "search_space.alhpa: 'alhpa' is no argument of Ridge",
            "did you mean 'alpha'?",
        ),
        (
            "RandomForestRegressor",
            "random_state = 1",
            "search_space.random_state: 'random_state' is set by hpo",
            "leave it out",
        ),
        (
            "KNeighborsClassifier",
            'algorithm = "kd_tree"',
            "search_space.algorithm: 'algorithm' is set by hpo",
            "leave it out",
        ),
        (
            "HistGradientBoostingRegressor",
            "learning_rate = -1",
            "search_space.learning_rate: The 'learning_rate' parameter of HistGradientBoosting",
            None,
        ),
        (
            "ElasticNet",
            "copy_X = [true, false]",
            "search_space.copy_X: 'copy_X' is set by hpo",
            "leave it out",
        ),
        (
            "SVC",
            'kernel = ["rbf", "gaussian"]',
            "search_space.kernel: The 'kernel' parameter of SVC must be a str among",
            None,
        ),
    ],
)
def test_wrong_argument_is_one_line(
    tmp_path: Path, estimator: str, text: str, line: str, hint: str | None
) -> None:
    space = space_of(tmp_path, estimator, text)
    with pytest.raises(DefinitionError) as caught:
        RECIPES[estimator].check(space, 2)
    assert str(caught.value).startswith(line)
    assert (caught.value.hint or "").startswith(hint or "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["os.system", "Pipeline", "ridge", "", "sklearn.svm.SVC"])
def test_only_names_of_the_table_are_estimators(name: str) -> None:
    with pytest.raises(DefinitionError, match=r"estimator\.name: there is no estimator"):
        recipe_named(name)
    with pytest.raises(DefinitionError, match="there is no estimator"):
        load_definition(overrides={"estimator.name": name})


def test_nearest_name_is_offered() -> None:
    with pytest.raises(DefinitionError) as caught:
        recipe_named("RandomForestClasifier")
    assert caught.value.hint == "did you mean 'RandomForestClassifier'?"
