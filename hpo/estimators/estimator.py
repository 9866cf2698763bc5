"""The one recipe: params to preprocessing and ``LogisticRegression``, shared by cross-validation and the final model.

Params here are ``hpo``'s words (``penalty``, ``l1_ratio``, ...), complete or not; :func:`derive_params` completes them by a fixed
rule on the data's shape, :func:`build_classifier` turns them into scikit-learn's arguments. scikit-learn 1.9 deprecates its own
``penalty``: there, ``l1_ratio`` 0 is L2, 1 is L1, and an infinite ``C`` is no penalty at all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from hpo.calendar import CalendarParts
from hpo.data.columns import Columns
from hpo.definition import PreprocessingSection, SearchSpace, choices_of
from hpo.errors import DefinitionError

MISSING_CATEGORY = "(missing)"

MAX_NEWTON_COEFFICIENTS = 150
"""Up to so many coefficients, on dense rows, a Newton step with a Cholesky factor is cheaper than L-BFGS at every C."""

SAGA_CELL_PASSES = 2e8
"""saga gets about this many passes over single values: the cap that keeps a fit on digits below a second."""

MAX_SAGA_CELLS = 5e5
"""Above so many values (times classes) a saga fit takes some fifty times as long as one of L-BFGS on the same rows."""

MAX_LIBLINEAR_CELLS = 5e6
"""The same for liblinear with L1, some ten times as long."""


@dataclass(frozen=True)
class TrainingShape:
    """What a fit's cost depends on, of the first fold's training rows.

    Attributes:
        n_samples: Rows.
        n_features: Columns after preprocessing.
        n_classes: Classes.
        n_values: Stored values: all of a dense table, those that are not zero of a sparse one.
        is_sparse: Whether the rows are sparse.
    """

    n_samples: int
    n_features: int
    n_classes: int
    n_values: int
    is_sparse: bool

    @property
    def n_outputs(self) -> int:
        """Rows of the coefficient matrix that a multinomial fit works on."""
        return self.n_classes if self.n_classes > 2 else 1

    @property
    def n_cells(self) -> int:
        """Values that one pass over the rows touches."""
        return self.n_values * self.n_outputs


def derive_params(params: Mapping[str, Any], shape: TrainingShape, *, seed: int) -> dict[str, Any]:
    """Complete params by the rule; what is given stays.

    The loss is convex: solver, iterations and tolerance change how long a fit takes, not where it ends, so they are derived
    rather than searched.

    Args:
        params: What a trial chose or a definition fixed.
        shape: Of the training rows.
        seed: Becomes ``random_state`` (saga and liblinear shuffle).

    Returns:
        Params with ``solver``, ``max_iter``, ``tol`` and ``random_state``.
    """
    solver = params.get("solver") or _solver(params["penalty"], shape)
    derived: dict[str, Any] = {
        "solver": solver,
        "max_iter": 1000,
        "tol": 1e-4,
        "random_state": seed,
    }
    if solver in ("saga", "sag"):
        derived |= {
            "max_iter": int(min(1000, max(100, SAGA_CELL_PASSES // shape.n_cells))),
            "tol": 1e-3,
        }
    return {**params, **{name: value for name, value in derived.items() if name not in params}}


def resolve_space(space: SearchSpace, shape: TrainingShape) -> tuple[SearchSpace, list[str]]:
    """Leave out of the *default* penalties those whose fits would cost far more than the rest; a named penalty stays.

    Returns:
        The space that is searched, and what a person should know of it.
    """
    by_default = () if "penalty" in space.model_fields_set else choices_of(space.penalty)
    limits = {"saga": MAX_SAGA_CELLS, "liblinear": MAX_LIBLINEAR_CELLS}
    left_out = [
        penalty
        for penalty in by_default
        if shape.n_cells > limits.get(_solver(penalty, shape), math.inf)
    ]
    if not left_out:
        return space, []
    note = f"penalty {' and '.join(left_out)} left out: slow on so many values; search_space.penalty can name them"
    kept = tuple(penalty for penalty in by_default if penalty not in left_out)
    return space.model_copy(update={"penalty": kept}), [note]


def check_solvers(space: SearchSpace, *, n_classes: int) -> None:
    """Refuse a solver that a definition names and that cannot fit so many classes.

    Raises:
        DefinitionError: liblinear with three classes or more.
    """
    if n_classes > 2 and "liblinear" in choices_of(space.solver):
        raise DefinitionError(
            f"search_space.solver: liblinear should be used with 2 classes, but got {n_classes}",
            hint="leave solver out: it is derived from the penalty and the data",
        )


def _solver(penalty: str, shape: TrainingShape) -> str:
    if penalty == "elasticnet" or (penalty == "l1" and shape.n_classes > 2):
        return "saga"
    if penalty == "l1":
        return "liblinear"
    is_small = shape.n_features * shape.n_outputs <= MAX_NEWTON_COEFFICIENTS
    return "newton-cholesky" if is_small and not shape.is_sparse else "lbfgs"


def build_classifier(params: Mapping[str, Any]) -> LogisticRegression:
    """An unfitted classifier from complete params."""
    penalty = params["penalty"]
    return LogisticRegression(
        C=math.inf if penalty == "none" else params["C"],
        l1_ratio={"none": 0.0, "l2": 0.0, "l1": 1.0}.get(penalty, params.get("l1_ratio")),
        class_weight=None if params["class_weight"] == "none" else params["class_weight"],
        **{name: params[name] for name in ("solver", "max_iter", "tol", "random_state")},
    )


def encode_categories(X: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The rows with each category as its position in the sorted order of the column's texts, missing being a text.

    The encoder sorts what it finds, so it makes the same of positions as of texts, several times as fast.
    """
    encoded = X.copy(deep=False)
    for name in columns.categorical:
        encoded[name] = pd.factorize(X[name].where(X[name].notna(), MISSING_CATEGORY), sort=True)[0]
    return encoded


def build_preprocessing(
    columns: Columns, section: PreprocessingSection, *, are_encoded: bool = False
) -> ColumnTransformer:
    """The unfitted transformer that comes before the classifier; fitted on training rows only.

    Its output is sparse where less than 30 % of it is not zero (``ColumnTransformer``'s own rule).

    Args:
        columns: The features by kind.
        section: How categories are pooled.
        are_encoded: Whether the rows went through :func:`encode_categories`; the output is the same.
    """
    steps = (
        ("numeric", _filled_and_scaled("median"), columns.numeric),
        ("boolean", _filled_and_scaled("most_frequent"), columns.boolean),
        ("categorical", _one_hot(section, are_encoded=are_encoded), columns.categorical),
        (
            "datetime",
            Pipeline([("parts", CalendarParts()), ("numbers", _filled_and_scaled("median"))]),
            columns.datetime,
        ),
    )
    return ColumnTransformer(
        [(kind, step, list(names)) for kind, step, names in steps if names],
        verbose_feature_names_out=False,
    )


def _filled_and_scaled(strategy: str) -> Pipeline:
    fill = SimpleImputer(strategy=strategy, add_indicator=True, keep_empty_features=True)
    return Pipeline([("fill", fill), ("scale", StandardScaler())])


def _one_hot(section: PreprocessingSection, *, are_encoded: bool) -> OneHotEncoder | Pipeline:
    """Missing is a category of its own, whether a server hands it over as NaN or as None."""
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=section.min_frequency,
        max_categories=section.max_categories,
    )
    fill = partial(
        SimpleImputer, strategy="constant", fill_value=MISSING_CATEGORY, keep_empty_features=True
    )
    steps = [
        ("fill_nan", fill(missing_values=np.nan)),
        ("fill_none", fill(missing_values=None)),
        ("encode", encoder),
    ]
    return encoder if are_encoded else Pipeline(steps)


def build_pipeline(
    columns: Columns, section: PreprocessingSection, params: Mapping[str, Any]
) -> Pipeline:
    """The whole unfitted model: what cross-validation scores in two halves and what ships in one."""
    return Pipeline(
        [
            ("preprocessing", build_preprocessing(columns, section)),
            ("classifier", build_classifier(params)),
        ]
    )
