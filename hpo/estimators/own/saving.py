"""Whether the model of an estimator of one's own can be saved and loaded, known before trial 0.

It is cloned, fitted on a few rows, saved and loaded back as the final model will be. The loader
trusts what skops trusts, and beyond that only the types that its caller names: what a file says of
itself counts for nothing.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

from hpo.data.dataset import Dataset
from hpo.errors import DefinitionError, ModelError, UntrustedTypesError, first_line
from hpo.estimators.decision import TRUSTED_TYPES, without_decision
from hpo.estimators.free_text import check_reader
from hpo.estimators.kernels import check_support_vectors
from hpo.estimators.loaded_trees import check_boosted, check_trees
from hpo.estimators.own import make_recipe
from hpo.estimators.own.params import OwnEstimator
from hpo.estimators.recipe import Params, Recipe
from hpo.estimators.skops_file import check_archive
from hpo.estimators.space import is_allowed
from hpo.search_space import Range, SearchSpace, choices_of, conditions_of, is_fulfilled

TRIED_ROWS = 200

METHODS = ("predict", "predict_proba", "decision_function")


def try_saving(recipe: Recipe, space: SearchSpace, dataset: Dataset) -> None:
    """Fit on a few rows with the first params, save, load back, and predict the same.

    Raises:
        DefinitionError: It cannot be fitted, saved or loaded, or two fits of it differ.
    """
    params = _first_params(recipe, space)
    fitted, again, X = _fit_twice(recipe, params, dataset)
    with warnings.catch_warnings(action="ignore"):
        expected, repeated = _predict_all(fitted, X), _predict_all(again, X)
    if not _are_same(expected, repeated):
        raise DefinitionError(
            f"estimator: two fits of {recipe.title} on the same rows predict otherwise, so no trial"
            " could be repeated",
            hint="let it draw from a random_state param only",
        )
    loaded = _save_and_load(recipe, fitted)
    with warnings.catch_warnings(action="ignore"):
        if not _are_same(expected, _predict_all(loaded, X)):
            raise DefinitionError(
                f"estimator: {recipe.title}, saved and loaded back, predicts otherwise",
                hint="what a fit learns should be in plain attributes",
            )


def read_own(content: bytes, trusted: Sequence[str] = ()) -> tuple[Any, Recipe]:
    """Load the content of a file that holds an estimator of one's own.

    Args:
        content: Of the file.
        trusted: Types that it may hold beside those that skops trusts; their modules are imported.

    Returns:
        The fitted estimator, and its recipe.

    Raises:
        ModelError: It holds other types; nothing of it was run.
        Exception: Of many kinds, where it is damaged.
    """
    check_archive(content)
    trusted = [*trusted, *TRUSTED_TYPES]
    untrusted = sorted(set(skops.io.get_untrusted_types(data=content)) - set(trusted))
    if untrusted:
        raise UntrustedTypesError(untrusted)
    try:
        whole = skops.io.loads(content, trusted=trusted)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"model: one of its types cannot be imported: {first_line(error)}",
            hint="install its module here, or name its directory in PYTHONPATH",
        ) from error
    for part in _iter_parts(whole):
        for kind, check in _checks():
            if isinstance(part, kind):
                check(part)
    try:
        return whole, make_recipe(OwnEstimator(without_decision(whole)))
    except DefinitionError as error:
        raise ModelError(
            f"model: this should be a classifier or a regressor, but got {type(whole).__name__}"
        ) from error


@cache
def _checks() -> tuple[tuple[Any, Callable[[Any], None]], ...]:
    """Classes of which a part may be crafted, each with the check that it must pass.

    Compiled code reads the arrays of most without their bounds; readers of text may read files.
    """
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import (  # noqa: PLC0415
        BaseHistGradientBoosting,  # as those below, what few models need
    )
    from sklearn.svm._base import BaseLibSVM  # noqa: PLC0415
    from sklearn.tree import BaseDecisionTree  # noqa: PLC0415

    return (
        (BaseLibSVM, check_support_vectors),
        (BaseDecisionTree, check_trees),
        (BaseHistGradientBoosting, check_boosted),
        (CountVectorizer | HashingVectorizer, check_reader),
    )


def _save_and_load(recipe: Recipe, fitted: Any) -> Any:
    try:
        content = skops.io.dumps(fitted)
        return read_own(content, recipe.trusted_types)[0]
    except UntrustedTypesError as error:
        names = sorted({*error.untrusted, *recipe.trusted_types})
        raise DefinitionError(
            f"estimator: a saved {recipe.title} holds types that skops does not trust:"
            f" {list(error.untrusted)}",
            hint=f"if you trust them: run_study(..., trusted_types={names})",
        ) from error
    except Exception as error:  # of many kinds
        raise DefinitionError(
            f"estimator: {recipe.title} cannot be saved and loaded: {first_line(error)}",
            hint="skops saves estimators, arrays, functions of a module and plain values",
        ) from error


def _first_params(recipe: Recipe, space: SearchSpace) -> dict[str, Any]:
    """The params as given where the space holds them, else what it names first."""
    params: dict[str, Any] = {}
    entries = dict(space)
    for name in space.in_order(list(entries)):
        entry = entries[name]
        if not is_fulfilled(conditions_of(entry), params):
            continue
        params[name] = recipe.defaults[name]
        if not is_allowed(entry, params[name]):
            first = choices_of(entry)[0]
            is_whole = isinstance(entry, Range) and recipe.takes_whole_numbers(name, entry)
            params[name] = int(first) if is_whole else first
    return params


def _fit_twice(recipe: Recipe, params: Params, dataset: Dataset) -> tuple[Any, Any, pd.DataFrame]:
    """Fit on a few rows, or on all where those are too few; gives the rows too."""
    few, whole = _few_rows(dataset), np.arange(len(dataset.y_train))
    with warnings.catch_warnings(action="ignore"):
        for rows in (few, whole):
            X, y = dataset.X_train.iloc[rows], dataset.y_train[rows]
            try:
                first, second = (recipe.build(params, ()).fit(X, y) for _ in range(2))
                if recipe.task == "classification":
                    _ = first.classes_  # what scores ask for
                _predict_all(first, X)
            except Exception as error:  # noqa: BLE001 - whatever a fit raises
                problem = error
            else:
                return first, second, X
    raise DefinitionError(
        f"estimator: {recipe.title} cannot be fitted with {params}:"
        f" {type(problem).__name__}: {first_line(problem)}",
        hint="it gets the table as it is: gaps, texts and dates are its own to treat",
    ) from problem


def _few_rows(dataset: Dataset) -> np.ndarray:
    """The first rows, of classes the first of each."""
    y = dataset.y_train
    if dataset.task != "classification":
        return np.arange(min(len(y), TRIED_ROWS))
    classes = np.unique(y)
    n_rows = max(10, TRIED_ROWS // len(classes))
    return np.sort(np.concatenate([np.flatnonzero(y == label)[:n_rows] for label in classes]))


def _predict_all(model: Any, X: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(model, name)(X)) for name in METHODS if hasattr(model, name)}


def _are_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f")
        for name in one
    )


def _iter_parts(whole: Any) -> Iterator[Any]:
    """An object and all that it holds."""
    waiting, seen = [whole], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type | None):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype == object else ()
        elif isinstance(part, partial):
            waiting += [part.func, part.args, part.keywords]
        else:
            waiting += getattr(part, "__dict__", {}).values()
