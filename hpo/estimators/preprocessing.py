"""Preprocessing for linear models: filled, scaled, one-hot; fitted on training rows only."""

from functools import partial

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from hpo.calendar import CalendarParts
from hpo.data.columns import Columns
from hpo.definition import PreprocessingSection

MISSING_CATEGORY = "(missing)"

TRUSTED_TYPES = (
    "hpo.calendar.CalendarParts",
    "hpo.conversion.ColumnConverter",
    "numpy.dtype",
)
"""Types of conversion and preprocessing beside those that skops trusts."""

SAVED_TYPES = (
    "sklearn.compose._column_transformer.ColumnTransformer",
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._encoders.OneHotEncoder",
)
"""The classes of scikit-learn that preprocessing is made of, by the paths that skops saves."""


def encode_categories(X: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Replace each category by its position among the column's sorted texts, missing being a text.

    The encoder sorts what it finds, so positions and texts give the same output, positions several
    times as fast.
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
        are_encoded: Whether the rows went through :func:`encode_categories`; the output is the
            same.
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
