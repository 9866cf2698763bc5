"""Recipes of LightGBM and XGBoost, where they are installed: extras of their names.

They take categories as whole numbers and gaps as they are. Every fit has one thread, the study's
seed and no early stopping, so trials are the same on any number of workers.
"""

from collections.abc import Callable
from typing import Literal

from hpo.estimators.arguments import ArgumentEntry, ArgumentSpace, EstimatorClass, argument_recipe
from hpo.estimators.recipe import Params, Recipe
from hpo.estimators.trees import LIMIT
from hpo.search_space import Range

_HOME = "hpo.boosters"

MODULES = ("boosted", "boosters", "lightgbm_text", "xgboost_json")
"""What saved models import."""

_KINDS: tuple[tuple[str, Literal["classification", "regression"]], ...] = (
    ("Classifier", "classification"),
    ("Regressor", "regression"),
)


class LightGBMSpace(ArgumentSpace):
    """LightGBM's own page on tuning: leaves, rows a leaf, step and rounds; see ``BoostingSpace``.

    https://lightgbm.readthedocs.io/en/stable/Parameters-Tuning.html
    """

    learning_rate: ArgumentEntry = Range(low=0.01, high=0.5, log=True)
    num_leaves: ArgumentEntry = Range(low=4, high=128, log=True)
    min_child_samples: ArgumentEntry = Range(low=2, high=100, log=True)
    reg_lambda: ArgumentEntry = Range(low=0, high=10)
    colsample_bytree: ArgumentEntry = Range(low=0.3, high=1)
    n_estimators: ArgumentEntry = Range(low=50, high=400, log=True)


class XGBoostSpace(ArgumentSpace):
    """Grinsztajn, Oyallon and Varoquaux 2022, NeurIPS, appendix A.2; narrowed around the defaults.

    https://arxiv.org/abs/2207.08815
    """

    learning_rate: ArgumentEntry = Range(low=0.01, high=0.5, log=True)
    max_depth: ArgumentEntry = Range(low=1, high=11)
    min_child_weight: ArgumentEntry = Range(low=1, high=100, log=True)
    subsample: ArgumentEntry = Range(low=0.5, high=1)
    colsample_bytree: ArgumentEntry = Range(low=0.5, high=1)
    reg_lambda: ArgumentEntry = Range(low=0.1, high=10, log=True)
    n_estimators: ArgumentEntry = Range(low=50, high=400, log=True)


def _fewer_leaves(params: Params) -> tuple[float, ...]:
    """Fewer leaves in all, then a smaller step."""
    n_leaves = params.get("n_estimators", 100) * params.get("num_leaves", 31)
    return -n_leaves, -params.get("learning_rate", 0.1)


def _shallower(params: Params) -> tuple[float, ...]:
    """Fewer leaves at most in all, then a smaller step; a depth of 0 is none."""
    n_leaves = 2.0 ** min(params.get("max_depth", 6) or 64, 64)
    return -params.get("n_estimators", 100) * n_leaves, -params.get("learning_rate", 0.3)


def _describe_loading(title: str) -> str:
    return (
        f"It is saved as {title}'s own text. Loading checks the text and writes it anew, but what"
        f" reads it then is compiled code of {title}: load only a model whose origin you know."
    )


def _booster(
    package: str,
    title: str,
    name: str,
    task: Literal["classification", "regression"],
    space: type[ArgumentSpace],
    simplicity: Callable[[Params], tuple[float, ...]],
) -> Recipe:
    path = f"{_HOME}.{name}"
    return argument_recipe(
        EstimatorClass(path, categorical_argument="categorical_features", package=package),
        space,
        title=title,
        task=task,
        simplicity=simplicity,
        preprocessing="tree",
        defaults_title=f"{title}'s defaults",
        quick={"n_estimators": 2},
        home=_HOME,
        modules=MODULES,
        trusted_types=(path,),
        limits=(LIMIT, _describe_loading(title)),
    )


RECIPES = tuple(
    _booster(package, title, f"{prefix}{kind}", task, space, simplicity)
    for package, title, prefix, space, simplicity in (
        ("lightgbm", "LightGBM", "LGBM", LightGBMSpace, _fewer_leaves),
        ("xgboost", "XGBoost", "XGB", XGBoostSpace, _shallower),
    )
    for kind, task in _KINDS
)
