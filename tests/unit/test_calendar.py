"""Dates become calendar parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from hpo.calendar import PARTS, CalendarParts

# A Monday, and a leap day.
DATES = pd.DataFrame(
    {
        "a": pd.to_datetime(["2024-01-01 13:59", "2024-02-29 00:00", None]),
        "b": pd.to_datetime(["1999-12-31 23:59"] * 3),
    }
)


def test_parts_of_each_column_in_order():
    parts = CalendarParts().fit(DATES).transform(DATES)
    assert parts.dtype == np.float64
    last = [1999, 12, 31, 4, 23]
    np.testing.assert_array_equal(
        parts, [[2024, 1, 1, 0, 13, *last], [2024, 2, 29, 3, 0, *last], [np.nan] * 5 + last]
    )


def test_names_are_the_columns_and_the_part():
    fitted = CalendarParts().fit(DATES)
    assert fitted.get_feature_names_out().tolist() == [
        f"{column}_{part}" for column in "ab" for part in PARTS
    ]
    assert fitted.n_features_in_ == 2


def test_text_of_a_server_is_read_and_what_is_no_date_is_missing():
    fitted = CalendarParts().fit(DATES[["a"]])
    served = pd.DataFrame({"a": ["2024-01-01T13:00:00", "soon"]})
    np.testing.assert_array_equal(fitted.transform(served), [[2024, 1, 1, 0, 13], [np.nan] * 5])


def test_columns_are_taken_by_name():
    fitted = CalendarParts().fit(DATES)
    np.testing.assert_array_equal(fitted.transform(DATES[["b", "a"]]), fitted.transform(DATES))


def test_unfitted_is_refused():
    with pytest.raises(NotFittedError, match="CalendarParts instance is not fitted"):
        clone(CalendarParts().fit(DATES)).transform(DATES)
