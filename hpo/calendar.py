"""Dates as numbers for a linear model.

Models ship with this module and name its class by this path, so it imports scikit-learn and pandas
alone, and it does not move.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

PARTS = ("year", "month", "day", "day_of_week", "hour")


class CalendarParts(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Year, month, day, day of the week and hour of each date column; missing stays missing."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002
        """Remember the column names."""
        validate_data(self, X, skip_check_array=True)
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Array of shape (n_samples, 5 * n_features), float64."""
        check_is_fitted(self)
        dates = [pd.to_datetime(X[name], errors="coerce").dt for name in self.feature_names_in_]
        parts = [
            getattr(date, part).to_numpy(dtype=np.float64, na_value=np.nan)
            for date in dates
            for part in PARTS
        ]
        return np.column_stack(parts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002
        """``<column>_<part>`` for each."""
        return np.asarray(
            [f"{name}_{part}" for name in self.feature_names_in_ for part in PARTS], dtype=object
        )
