"""Recipes by rule, for the classifiers and regressors of scikit-learn that have none of their own.

Only names that ``sklearn.utils.all_estimators()`` lists are known: a study file names no code. Such
a recipe has no default space, and of equally good models takes the earlier trial's for the simpler
one. What its models may hold beside arrays and plain values is listed here; a class whose models
hold more is refused before the first trial, since nobody could tell its file from a crafted one.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from sklearn.utils import all_estimators

from hpo.errors import DefinitionError, first_line
from hpo.escaping import quote
from hpo.estimators.arguments import ArgumentSpace, EstimatorClass, argument_recipe
from hpo.estimators.kernels import check_neighbors, check_support_vectors
from hpo.estimators.loaded_trees import check_gradient_boosting, check_trees
from hpo.estimators.recipe import Recipe, accept
from hpo.search_space import SearchSpace, is_searched

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

_TREES = "sklearn.ensemble", "sklearn.tree"
_DISTANCES = "sklearn.gaussian_process", "sklearn.neighbors", "sklearn.neural_network"

_SAVED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "sklearn.ensemble": (
        ("LossNode", "sklearn._loss._loss.CyAbsoluteError"),
        ("LossNode", "sklearn._loss._loss.CyExponentialLoss"),
        ("LossNode", "sklearn._loss._loss.CyHalfBinomialLoss"),
        ("LossNode", "sklearn._loss._loss.CyHalfMultinomialLoss"),
        ("LossNode", "sklearn._loss._loss.CyHalfSquaredError"),
        ("LossNode", "sklearn._loss._loss.CyHuberLoss"),
        ("LossNode", "sklearn._loss._loss.CyPinballLoss"),
        ("ObjectNode", "sklearn._loss.link.HalfLogitLink"),
        ("ObjectNode", "sklearn._loss.link.IdentityLink"),
        ("ObjectNode", "sklearn._loss.link.Interval"),
        ("ObjectNode", "sklearn._loss.link.LogitLink"),
        ("ObjectNode", "sklearn._loss.link.MultinomialLogit"),
        ("ObjectNode", "sklearn._loss.loss.AbsoluteError"),
        ("ObjectNode", "sklearn._loss.loss.ExponentialLoss"),
        ("ObjectNode", "sklearn._loss.loss.HalfBinomialLoss"),
        ("ObjectNode", "sklearn._loss.loss.HalfMultinomialLoss"),
        ("ObjectNode", "sklearn._loss.loss.HalfSquaredError"),
        ("ObjectNode", "sklearn._loss.loss.HuberLoss"),
        ("ObjectNode", "sklearn._loss.loss.PinballLoss"),
        ("ObjectNode", "sklearn.dummy.DummyClassifier"),
        ("ObjectNode", "sklearn.dummy.DummyRegressor"),
        ("ObjectNode", "sklearn.tree._classes.DecisionTreeClassifier"),
        ("ObjectNode", "sklearn.tree._classes.DecisionTreeRegressor"),
        ("RandomStateNode", "numpy.random.mtrand.RandomState"),
        ("TreeNode", "sklearn.tree._tree.Tree"),
    ),
    "sklearn.linear_model": (
        ("LossNode", "sklearn._loss._loss.CyHalfBinomialLoss"),
        ("LossNode", "sklearn._loss._loss.CyHalfGammaLoss"),
        ("LossNode", "sklearn._loss._loss.CyHalfPoissonLoss"),
        ("LossNode", "sklearn._loss._loss.CyHalfSquaredError"),
        ("LossNode", "sklearn._loss._loss.CyHalfTweedieLoss"),
        ("LossNode", "sklearn._loss._loss.CyHalfTweedieLossIdentity"),
        ("LossNode", "sklearn._loss._loss.CyHuberLoss"),
        ("LossNode", "sklearn.linear_model._sgd_fast.EpsilonInsensitive"),
        ("LossNode", "sklearn.linear_model._sgd_fast.Hinge"),
        ("LossNode", "sklearn.linear_model._sgd_fast.ModifiedHuber"),
        ("LossNode", "sklearn.linear_model._sgd_fast.SquaredEpsilonInsensitive"),
        ("LossNode", "sklearn.linear_model._sgd_fast.SquaredHinge"),
        ("ObjectNode", "sklearn._loss.link.IdentityLink"),
        ("ObjectNode", "sklearn._loss.link.Interval"),
        ("ObjectNode", "sklearn._loss.link.LogLink"),
        ("ObjectNode", "sklearn._loss.loss.HalfGammaLoss"),
        ("ObjectNode", "sklearn._loss.loss.HalfPoissonLoss"),
        ("ObjectNode", "sklearn._loss.loss.HalfSquaredError"),
        ("ObjectNode", "sklearn._loss.loss.HalfTweedieLoss"),
        ("ObjectNode", "sklearn._loss.loss.HalfTweedieLossIdentity"),
        ("ObjectNode", "sklearn.preprocessing._label.LabelBinarizer"),
    ),
    "sklearn.neural_network": (
        ("ObjectNode", "sklearn.neural_network._stochastic_optimizers.AdamOptimizer"),
        ("ObjectNode", "sklearn.neural_network._stochastic_optimizers.SGDOptimizer"),
        ("ObjectNode", "sklearn.preprocessing._label.LabelBinarizer"),
        ("RandomStateNode", "numpy.random.mtrand.RandomState"),
    ),
    "sklearn.tree": (("TreeNode", "sklearn.tree._tree.Tree"),),
    "RANSACRegressor": (("ObjectNode", "sklearn.linear_model._base.LinearRegression"),),
    "TransformedTargetRegressor": (("ObjectNode", "sklearn.linear_model._base.LinearRegression"),),
}
"""Kinds of skops nodes and classes in fitted estimators, by module or by name."""


class GivenSpace(ArgumentSpace):
    """``[search_space]`` where there is no default one: a study file names every entry."""


@dataclass(frozen=True)
class NamedClass(EstimatorClass):
    """A class of scikit-learn's list, of which a study file gives the space."""

    def check(self, space: SearchSpace, n_classes: int) -> None:
        """Refuse a space in which nothing is searched too."""
        if not any(is_searched(entry) for _, entry in space):
            raise DefinitionError(
                f"search_space: {self.name} has no default space: name what to search",
                hint=f"its arguments are {', '.join(self.known())}",
            )
        super().check(space, n_classes)


@cache
def listed_classes() -> Mapping[str, type["BaseEstimator"]]:
    """The classes of scikit-learn's own list, by name."""
    return dict(all_estimators(type_filter=["classifier", "regressor"]))


@cache
def find_recipe(name: str) -> Recipe | None:
    """Make the recipe of a class by its name; None where scikit-learn lists no such class.

    Raises:
        DefinitionError: The class cannot be searched.
    """
    kind = listed_classes().get(name)
    if kind is None:
        return None
    arguments = inspect.signature(kind).parameters
    needed = [name for name, each in arguments.items() if each.default is each.empty]
    if needed or name == "SelfTrainingClassifier":
        raise DefinitionError(
            f"estimator.name: {quote(name)} is made of other estimators"
            f" ({', '.join(needed) or 'estimator'}), which a study file cannot name",
            hint="name the inner estimator itself",
        )
    tags = _make(name, kind).__sklearn_tags__()
    if not tags.target_tags.single_output:
        raise DefinitionError(
            f"estimator.name: {quote(name)} predicts several columns at once, a study one",
            hint=f"did you mean {name.removeprefix('MultiTask')!r}?",
        )
    module = ".".join(kind.__module__.split(".")[:2])
    is_classifier = tags.estimator_type == "classifier"
    saved_types = (*_SAVED.get(module, ()), *_SAVED.get(name, ()))
    return argument_recipe(
        NamedClass(f"{kind.__module__}.{name}", _set_arguments(module, arguments)),
        GivenSpace,
        title=name,
        task="classification" if is_classifier else "regression",
        preprocessing=_preprocessing(module, arguments, tags.input_tags),
        has_probabilities=not is_classifier or _has_probabilities(kind),
        quick={"n_estimators": 2} if "n_estimators" in arguments else {},
        is_repeatable=False,
        trusted_types=tuple(path for _, path in saved_types),
        saved_types=saved_types,
        check_loaded=_check_of(name, module, arguments),
    )


def _make(name: str, kind: type["BaseEstimator"]) -> Any:
    """One with scikit-learn's defaults.

    Raises:
        DefinitionError: scikit-learn is about to remove the class.
    """
    with warnings.catch_warnings(action="error", category=FutureWarning):
        try:
            return kind()
        except FutureWarning as warning:
            raise DefinitionError(
                f"estimator.name: scikit-learn deprecates {quote(name)}",
                hint=first_line(warning).partition("; ")[2],
            ) from warning


def _has_probabilities(kind: type["BaseEstimator"]) -> bool:
    """Whether there are probabilities with any arguments: some classes give them with a few."""
    return inspect.isfunction(inspect.getattr_static(kind, "predict_proba", None))


def _set_arguments(module: str, arguments: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Neighbours by brute force: a saved search tree could not be checked, and answers the same."""
    is_tree = module == "sklearn.neighbors" and "algorithm" in arguments
    return (("algorithm", "brute"),) if is_tree else ()


def _preprocessing(
    module: str, arguments: Mapping[str, Any], tags: Any
) -> Literal["linear", "distance", "tree"]:
    """Trees that take gaps get them; what goes by distances or takes no sparse rows, dense ones."""
    if module in _TREES and tags.allow_nan:
        return "tree"
    is_dense = module in _DISTANCES or "kernel" in arguments or not tags.sparse
    return "distance" if is_dense else "linear"


def _check_of(name: str, module: str, arguments: Mapping[str, Any]) -> Callable[[Any], None]:
    if name.startswith("GradientBoosting"):
        return check_gradient_boosting
    if module in _TREES:
        return check_trees
    if module == "sklearn.svm" and "kernel" in arguments:
        return check_support_vectors
    if module == "sklearn.neighbors" and "algorithm" in arguments:
        return check_neighbors
    return accept  # predictions are NumPy's alone, which looks at bounds itself
