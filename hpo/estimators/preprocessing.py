"""Preprocessing, fitted on training rows only.

For linear models: filled, scaled, one-hot; free text as TF-IDF. For those that go by distances: the
same without free text, never sparse. For trees: categories as whole numbers, gaps as they are,
nothing scaled. An estimator of one's own gets the table as it was read: none of this.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from hpo.calendar import CalendarParts
from hpo.data.columns import Columns
from hpo.definition import PreprocessingSection
from hpo.estimators import free_text

Kind: TypeAlias = Literal["linear", "distance", "tree", "none"]

MISSING_CATEGORY = "(missing)"

MAX_TREE_CATEGORIES = 250
"""Histogram gradient boosting has 255 bins a column."""

TRUSTED_TYPES = (
    "hpo.calendar.CalendarParts",
    "hpo.conversion.ColumnConverter",
    "numpy.dtype",
)
"""Types of conversion and preprocessing beside those that skops trusts."""

SAVED_TYPES = (
    *free_text.SAVED_TYPES,
    "sklearn.compose._column_transformer.ColumnTransformer",
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._encoders.OrdinalEncoder",
    "sklearn.preprocessing._function_transformer.FunctionTransformer",
)
"""The classes of scikit-learn that preprocessing is made of, by the paths that skops saves."""


def encode_categories(X: pd.DataFrame, columns: Columns, kind: Kind = "linear") -> pd.DataFrame:
    """Replace each category by its position among the column's sorted texts.

    Missing is a text for linear models, and stays missing for trees.

    The encoder sorts what it finds, so positions and texts give the same output, positions several
    times as fast.
    """
    encoded = X.copy(deep=False)
    for name in columns.categorical:
        if kind == "tree":
            codes = pd.factorize(X[name], sort=True)[0].astype(np.float64)
            encoded[name] = np.where(codes < 0, np.nan, codes)
            continue
        encoded[name] = pd.factorize(X[name].where(X[name].notna(), MISSING_CATEGORY), sort=True)[0]
    return encoded


def categorical_positions(columns: Columns, kind: Kind) -> range:
    """The positions of the columns that hold categories as whole numbers, after preprocessing."""
    start = len(columns.numeric) + len(columns.boolean)
    return range(start, start + len(columns.categorical) if kind == "tree" else start)


def build_preprocessing(
    columns: Columns,
    section: PreprocessingSection,
    kind: Kind = "linear",
    *,
    are_encoded: bool = False,
) -> ColumnTransformer:
    """The unfitted transformer that comes before the classifier; fitted on training rows only.

    For linear models its output is sparse where less than 30 % of it is not zero
    (``ColumnTransformer``'s own rule).

    Args:
        columns: The features by kind.
        section: How categories are pooled, how many words of a text are taken.
        kind: For which kind of estimator.
        are_encoded: Whether the rows went through :func:`encode_categories`; the output is the
            same.
    """
    if kind == "tree":
        return _build_for_trees(columns, section)
    steps = (
        ("numeric", _filled_and_scaled("median"), columns.numeric),
        ("boolean", _filled_and_scaled("most_frequent"), columns.boolean),
        ("categorical", _one_hot(section, are_encoded=are_encoded), columns.categorical),
        (
            "datetime",
            Pipeline([("parts", CalendarParts()), ("numbers", _filled_and_scaled("median"))]),
            columns.datetime,
        ),
        *_of_words(columns, section),
    )
    return _transformer(steps, sparse_threshold=0.0 if kind == "distance" else 0.3)


def feature_names(preprocessing: ColumnTransformer) -> np.ndarray:
    """The names of the columns after preprocessing; two may have one.

    The transformer's own list refuses a name that two columns give.
    """
    return np.concatenate([_names_of(step, of) for _, step, of in preprocessing.transformers_])


def _names_of(step: Any, of: str | list[str]) -> np.ndarray:
    if isinstance(of, str):
        names = [f"{of}_{word}" for word in step.get_feature_names_out()]
        return np.asarray(names, dtype=object)
    names_out: np.ndarray = step.get_feature_names_out(of)
    return names_out


def _build_for_trees(columns: Columns, section: PreprocessingSection) -> ColumnTransformer:
    """A category that training rows lack, or have in too few, is taken for missing or pooled."""
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        min_frequency=section.min_frequency,
        max_categories=min(section.max_categories, MAX_TREE_CATEGORIES),
    )
    return _transformer(
        (
            ("numeric", "passthrough", columns.numeric),
            ("boolean", "passthrough", columns.boolean),
            ("categorical", encoder, columns.categorical),
            ("datetime", CalendarParts(), columns.datetime),
        )
    )


def _of_words(
    columns: Columns, section: PreprocessingSection
) -> Iterator[tuple[str, TfidfVectorizer, str]]:
    """A step for each column of free text: the vectorizer takes one, not a table."""
    for number, name in enumerate(columns.free_text):
        yield f"free_text_{number}", free_text.build_vectorizer(section.max_words), name


def _transformer(
    steps: Iterable[tuple[str, Any, Sequence[str]]], *, sparse_threshold: float = 0.0
) -> ColumnTransformer:
    return ColumnTransformer(
        [(kind, step, of if isinstance(of, str) else list(of)) for kind, step, of in steps if of],
        sparse_threshold=sparse_threshold,
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
