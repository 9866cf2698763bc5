"""The table of recipes, and what every recipe in it must be."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
from sklearn.linear_model import LogisticRegression

from hpo.estimators.arguments import ArgumentSpace
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.estimators.recipe import TrainingShape
from hpo.estimators.recipes import DEFAULT_RECIPE, RECIPES, _by_name

SHAPE = TrainingShape(n_samples=120, n_features=4, n_classes=3, n_values=480, is_sparse=False)
SEED = 7
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def estimator_of(recipe, params):
    return recipe.build(recipe.derive(params, SHAPE, SEED))


def test_two_recipes_of_one_name_are_refused():
    twin = replace(LOGISTIC_REGRESSION, title="another one")
    with pytest.raises(ValueError, match=r"two recipes have one name, among .*LogisticRegression"):
        _by_name(LOGISTIC_REGRESSION, twin)
    other = replace(LOGISTIC_REGRESSION, name="Another")
    assert list(_by_name(LOGISTIC_REGRESSION, other)) == ["LogisticRegression", "Another"]


def test_default_recipe_is_in_the_table():
    assert RECIPES[DEFAULT_RECIPE.name] is DEFAULT_RECIPE


@every_recipe
def test_recipe_is_found_by_the_name_of_its_class(recipe):
    kind = type(estimator_of(recipe, recipe.defaults))
    assert RECIPES[kind.__name__] is recipe
    assert recipe.is_of(f"{kind.__module__}.{kind.__name__}")
    assert kind.__module__.partition(".")[0] in {"sklearn", "hpo"}


@every_recipe
@pytest.mark.parametrize(
    "again",
    [lambda recipe: pickle.loads(pickle.dumps(recipe)), copy.deepcopy],
    ids=["pickle", "deepcopy"],
)
def test_recipe_travels_to_a_worker_whole(recipe, again):
    other = again(recipe)
    # Bound methods of equal values are equal only where the value is one and the same.
    assert repr(other) == repr(recipe)
    ours, theirs = (estimator_of(each, recipe.defaults) for each in (recipe, other))
    assert type(ours) is type(theirs)
    assert ours.get_params() == theirs.get_params()


@every_recipe
def test_defaults_are_those_of_scikit_learn(recipe):
    estimator = estimator_of(recipe, recipe.defaults)
    theirs = type(estimator)().get_params()
    # scikit-learn's own draws differ from fit to fit; ours are seeded.
    ours = {"random_state": SEED, "algorithm": "brute", "categorical_features": []}
    changed = {name: ours.get(name, value) for name, value in theirs.items()}
    assert estimator.get_params() == changed


def test_defaults_of_logistic_regression_are_scikit_learns_in_our_words():
    theirs = LogisticRegression().get_params()
    assert LOGISTIC_REGRESSION.defaults == {
        "C": theirs["C"],
        "penalty": {0.0: "l2", 1.0: "l1"}[theirs["l1_ratio"]],
        "class_weight": theirs["class_weight"] or "none",
        "solver": theirs["solver"],
        "max_iter": theirs["max_iter"],
        "tol": theirs["tol"],
    }


@every_recipe
def test_every_param_is_asked_once(recipe):
    assert sorted(recipe.asking_order) == sorted(recipe.space.model_fields)
    if not issubclass(recipe.space, ArgumentSpace):
        assert set(recipe.defaults) <= set(recipe.space.model_fields)
