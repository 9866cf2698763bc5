"""The params of any estimator as plain values: what a study of it is told apart by.

Classes and functions are named by their module and name, arrays by a digest; what has no such name,
or draws random numbers of its own, is refused, since no later run could tell whether it is the
same.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from hpo.errors import DefinitionError

SET_PARAMS = ("n_jobs",)
"""Last parts of the names of params that hpo sets, whatever they were."""

_DRAWING = (np.random.RandomState, np.random.Generator)


def describe_params(estimator: BaseEstimator) -> dict[str, Any]:
    """State every param, nested ones too, by its ``set_params`` name.

    Raises:
        DefinitionError: One cannot be stated.
    """
    params = estimator.get_params(deep=True)
    # Their own params are listed under longer names.
    listed = {id(value) for value in params.values() if hasattr(value, "get_params")}
    return {
        name: _describe(value, name, listed)
        for name, value in sorted(params.items())
        if last_part(name) not in SET_PARAMS
    }


def describe_value(value: Any, name: str) -> Any:
    """State the value of one param."""
    return _describe(value, name, set())


def last_part(name: str) -> str:
    """The argument that a ``set_params`` name ends with."""
    return name.rpartition("__")[2]


def path_of(thing: Any) -> str:
    """The module and name of a class or function."""
    name = getattr(thing, "__qualname__", thing.__name__)
    return f"{thing.__module__}.{name}"


def check_importable(thing: Any, name: str) -> str:
    """Give the path of a class or function that other processes can import.

    Raises:
        DefinitionError: They cannot.
    """
    path = path_of(thing)
    if "<" in path:
        raise DefinitionError(
            f"{name}: {path} has no name by which another process could import it",
            hint="define it with class or def in a module, not in a function",
        )
    if thing.__module__ == "__main__":
        raise DefinitionError(
            f"{name}: {thing.__name__} is defined in a notebook or script (__main__), where neither"
            " workers nor whoever loads the model can import it",
            hint=f"move it to a module: from my_steps import {thing.__name__}",
        )
    return path


def _describe(value: Any, name: str, listed: set[int]) -> Any:
    """Plain values as they are, all else as text or lists."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_describe(item, name, listed) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_describe(item, name, listed) for item in value), key=repr)
    if isinstance(value, Mapping):
        items = [f"{key!r}: {_describe(item, name, listed)!r}" for key, item in value.items()]
        return f"{{{', '.join(items)}}}"
    return _describe_object(value, name, listed)


def _describe_object(value: Any, name: str, listed: set[int]) -> Any:
    if isinstance(value, np.dtype | slice | range | re.Pattern):
        return repr(value)
    if isinstance(value, np.ndarray | pd.Series | pd.DataFrame | pd.Index):
        return _describe_array(value)
    if isinstance(value, _DRAWING):
        raise DefinitionError(
            f"estimator: {name} should be a whole number or None,"
            f" but got a {type(value).__name__}, which goes on drawing from fit to fit",
            hint="leave it out: it gets the study's seed",
        )
    if isinstance(value, partial):
        inner = [_describe(each, name, listed) for each in (value.func, value.args, value.keywords)]
        return f"partial({', '.join(map(repr, inner))})"
    if isinstance(value, type | np.ufunc) or _is_function(value):
        return check_importable(value, f"estimator: {name}")
    path = check_importable(type(value), f"estimator: {name}")
    if hasattr(value, "get_params"):
        return path if id(value) in listed else f"{path}({describe_params(value)})"
    if hasattr(value, "__self__") or not hasattr(value, "__dict__"):
        raise _nameless(value, name)
    state = {key: _describe(item, name, listed) for key, item in sorted(vars(value).items())}
    return f"{path}({state})"


def _is_function(value: Any) -> bool:
    """Whether it is one of a module; a method is one of an object, which its name does not tell."""
    has_name = callable(value) and hasattr(value, "__qualname__")
    owner = getattr(value, "__self__", None)
    return has_name and (owner is None or isinstance(owner, ModuleType))


def _describe_array(value: Any) -> str:
    """Type, shape and a digest of the content."""
    array = np.asarray(value)
    if array.dtype == object:
        content = pd.util.hash_array(array.ravel()).tobytes()
    else:
        content = np.ascontiguousarray(array).tobytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{type(value).__name__} {array.dtype} {array.shape} {digest}"


def _nameless(value: object, name: str) -> DefinitionError:
    return DefinitionError(
        f"estimator: {name} is a {type(value).__name__}, which cannot be told apart from another",
        hint="give plain values, estimators, or functions of a module",
    )
