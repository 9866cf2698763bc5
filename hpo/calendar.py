"""Dates as numbers for a linear model.

Models ship with this module and name its class by this path, so beside :mod:`hpo.values` it
imports scikit-learn and pandas alone, and it does not move.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from hpo.values import take_table

PARTS = ("year", "month", "day", "day_of_week", "hour")


class CalendarParts(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Year, month, day, day of the week and hour of each date column; missing stays missing."""

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Remember the column names."""
        take_table(self, X, is_fit=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Array of shape (n_samples, 5 * n_features), float64."""
        check_is_fitted(self)
        table = take_table(self, X, is_fit=False)
        names = getattr(self, "feature_names_in_", table.columns)
        dates = [pd.to_datetime(table[name], errors="coerce").dt for name in names]
        parts = [
            getattr(date, part).to_numpy(dtype=np.float64, na_value=np.nan)
            for date in dates
            for part in PARTS
        ]
        return np.column_stack(parts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """``<column>_<part>`` for each."""
        names = super().get_feature_names_out(input_features)
        return np.asarray([f"{name}_{part}" for name in names for part in PARTS], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags
