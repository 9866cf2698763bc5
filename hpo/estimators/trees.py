"""Recipes of trees: forests and histogram gradient boosting.

They take categories as whole numbers and gaps as they are; nothing is scaled. Every fit has one
thread, so trials are the same on any number of workers.
"""

from typing import Any

from hpo.estimators.arguments import ArgumentEntry, ArgumentSpace, EstimatorClass, argument_recipe
from hpo.estimators.recipe import Params
from hpo.search_space import Range

LIMIT = "A prediction beyond the range of the training rows stays at that of the outermost ones."


class BoostingSpace(ArgumentSpace):
    """Grinsztajn, Oyallon and Varoquaux 2022, NeurIPS, appendix A.2; narrowed around the defaults.

    https://arxiv.org/abs/2207.08815
    """

    learning_rate: ArgumentEntry = Range(low=0.01, high=0.5, log=True)
    max_leaf_nodes: ArgumentEntry = Range(low=4, high=128, log=True)
    min_samples_leaf: ArgumentEntry = Range(low=2, high=100, log=True)
    l2_regularization: ArgumentEntry = Range(low=0, high=10)
    max_features: ArgumentEntry = Range(low=0.3, high=1)
    max_iter: ArgumentEntry = Range(low=50, high=400, log=True)


class ForestClassifierSpace(ArgumentSpace):
    """Probst, Wright and Boulesteix 2019, WIREs Data Mining 9, e1301: mtry matters most.

    https://arxiv.org/abs/1804.03515
    """

    max_features: ArgumentEntry = ("sqrt", 0.25, 0.5, 0.75, 1.0)
    min_samples_leaf: ArgumentEntry = Range(low=1, high=20, log=True)
    criterion: ArgumentEntry = ("gini", "entropy")
    class_weight: ArgumentEntry = ("none", "balanced")


class ForestRegressorSpace(ArgumentSpace):
    """The same source; of numbers all columns are scikit-learn's default."""

    max_features: ArgumentEntry = (1.0, "sqrt", 0.25, 0.5, 0.75)
    min_samples_leaf: ArgumentEntry = Range(low=1, high=20, log=True)


def _smaller_boosting(params: Params) -> tuple[float, ...]:
    """Fewer leaves in all, then a smaller step."""
    n_leaves = params.get("max_iter", 100) * _number(params.get("max_leaf_nodes", 31))
    return -n_leaves, -params.get("learning_rate", 0.1)


def _smaller_forest(params: Params) -> tuple[float, ...]:
    """Larger leaves, then fewer trees."""
    return params.get("min_samples_leaf", 1), -params.get("n_estimators", 100)


def _check_forest(model: Any) -> None:
    from hpo.estimators.loaded_trees import check_trees  # noqa: PLC0415 - see recipe.py

    check_trees(model)


def _check_boosted(model: Any) -> None:
    from hpo.estimators.loaded_trees import check_boosted  # noqa: PLC0415 - see recipe.py

    check_boosted(model)


def _number(value: float | str) -> float:
    return float("inf") if isinstance(value, str) else value


def _forest(name: str) -> EstimatorClass:
    return EstimatorClass(f"sklearn.ensemble.{name}")


def _boosting(name: str) -> EstimatorClass:
    return EstimatorClass(f"sklearn.ensemble.{name}", categorical_argument="categorical_features")


_OF_FORESTS: dict[str, Any] = {
    "preprocessing": "tree",
    "simplicity": _smaller_forest,
    "quick": {"n_estimators": 2},
    "trusted_types": ("sklearn.tree._tree.Tree",),
    "saved_types": (
        ("ObjectNode", "sklearn.tree._classes.DecisionTreeClassifier"),
        ("ObjectNode", "sklearn.tree._classes.DecisionTreeRegressor"),
        ("ObjectNode", "sklearn.tree._classes.ExtraTreeClassifier"),
        ("ObjectNode", "sklearn.tree._classes.ExtraTreeRegressor"),
        ("TreeNode", "sklearn.tree._tree.Tree"),
    ),
    "check_loaded": _check_forest,
    "limits": (LIMIT,),
}
_LOSSES = (
    "AbsoluteError",
    "HalfBinomialLoss",
    "HalfGammaLoss",
    "HalfMultinomialLoss",
    "HalfPoissonLoss",
    "HalfSquaredError",
    "PinballLoss",
)
_OF_BOOSTING: dict[str, Any] = {
    "preprocessing": "tree",
    "simplicity": _smaller_boosting,
    "quick": {"max_iter": 2},
    "trusted_types": (
        "functools.partial",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
    ),
    "saved_types": (
        *(
            ("ObjectNode", f"sklearn._loss.{name}")
            for name in (
                "link.IdentityLink",
                "link.Interval",
                "link.LogLink",
                "link.LogitLink",
                "link.MultinomialLogit",
                *(f"loss.{loss}" for loss in _LOSSES),
            )
        ),
        *(("LossNode", f"sklearn._loss._loss.Cy{loss}") for loss in _LOSSES),
        ("FunctionNode", "sklearn.utils.validation.check_array"),
        ("ObjectNode", "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper"),
        ("ObjectNode", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"),
        ("ObjectNode", "sklearn.preprocessing._label.LabelEncoder"),
        ("PartialNode", "functools.partial"),
        ("RandomGeneratorNode", "numpy.random._generator.Generator"),
    ),
    "check_loaded": _check_boosted,
    "limits": (LIMIT,),
}

RECIPES = (
    argument_recipe(
        _boosting("HistGradientBoostingClassifier"),
        BoostingSpace,
        title="histogram gradient boosting",
        task="classification",
        **_OF_BOOSTING,
    ),
    argument_recipe(
        _boosting("HistGradientBoostingRegressor"),
        BoostingSpace,
        title="histogram gradient boosting",
        task="regression",
        **_OF_BOOSTING,
    ),
    argument_recipe(
        _forest("RandomForestClassifier"),
        ForestClassifierSpace,
        title="a random forest",
        task="classification",
        **_OF_FORESTS,
    ),
    argument_recipe(
        _forest("RandomForestRegressor"),
        ForestRegressorSpace,
        title="a random forest",
        task="regression",
        **_OF_FORESTS,
    ),
    argument_recipe(
        _forest("ExtraTreesClassifier"),
        ForestClassifierSpace,
        title="extremely randomised trees",
        task="classification",
        **_OF_FORESTS,
    ),
    argument_recipe(
        _forest("ExtraTreesRegressor"),
        ForestRegressorSpace,
        title="extremely randomised trees",
        task="regression",
        **_OF_FORESTS,
    ),
)
