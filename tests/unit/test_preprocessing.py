"""Preprocessing: every kind of column becomes numbers, fitted on training rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from hpo.data.columns import Columns
from hpo.definition import PreprocessingSection
from hpo.estimators.final_model import build_pipeline
from hpo.estimators.logistic_regression import (
    LOGISTIC_REGRESSION,
)
from hpo.estimators.preprocessing import build_preprocessing
from hpo.estimators.recipe import TrainingShape


def dense(n_samples: int = 120, n_features: int = 4, n_classes: int = 3) -> TrainingShape:
    return TrainingShape(
        n_samples, n_features, n_classes, n_values=n_samples * n_features, is_sparse=False
    )


def derive(
    penalty: str,
    *,
    n_samples: int = 120,
    n_features: int = 4,
    n_classes: int = 3,
    seed: int = 0,
    **params: object,
) -> dict:
    params = {"penalty": penalty, "C": 1.0, "class_weight": "none", **params}
    return LOGISTIC_REGRESSION.derive(params, dense(n_samples, n_features, n_classes), seed)


TABLE = pd.DataFrame(
    {
        "size": [1.0, 3.0, np.nan, 5.0] * 10,
        "flag": [1.0, np.nan, 1.0, 0.0] * 10,
        "colour": np.array(["red", "green", np.nan, "red"] * 10, dtype=object),
        "day": pd.to_datetime(["2024-01-01", "2024-03-05", None, "2023-07-09"] * 10),
    }
)
COLUMNS = Columns(numeric=("size",), boolean=("flag",), categorical=("colour",), datetime=("day",))


def fit(columns: Columns = COLUMNS, table: pd.DataFrame = TABLE, **section: int):
    return build_preprocessing(columns, PreprocessingSection(**section)).fit(table)


def only(column: str, value: object) -> pd.DataFrame:
    return pd.DataFrame({column: np.array([value], dtype=object)})


def test_every_kind_becomes_numbers_without_a_gap():
    fitted = fit()
    rows = fitted.transform(TABLE)
    names = fitted.get_feature_names_out().tolist()
    assert rows.shape == (40, len(names))
    assert np.isfinite(np.asarray(rows)).all()
    assert [name for name in names if name.startswith(("size", "missingindicator_size"))] == [
        "size",
        "missingindicator_size",
    ]
    assert [name for name in names if name.startswith("colour")] == [
        "colour_(missing)",
        "colour_green",
        "colour_red",
    ]
    assert "day_month" in names


def test_missing_number_is_the_median_with_an_indicator():
    columns = Columns(numeric=("size",))
    rows = fit(columns).transform(pd.DataFrame({"size": [np.nan, 3.0]}))
    assert rows[0, 0] == rows[1, 0]
    assert rows[0, 1] > 0 > rows[1, 1]


def test_missing_value_that_training_never_had_is_served():
    columns = Columns(numeric=("size",), categorical=("colour",))
    whole = TABLE.dropna()
    model = build_pipeline(
        LOGISTIC_REGRESSION,
        columns,
        PreprocessingSection(min_frequency=1),
        derive("l2", n_classes=2),
    )
    model.fit(whole, np.arange(len(whole)) % 2)
    served = pd.DataFrame({"size": [np.nan], "colour": np.array([None], dtype=object)})
    assert np.isfinite(model.predict_proba(served)).all()


@pytest.mark.parametrize("fitted_with", [np.nan, None])
def test_nan_and_none_are_one_category(fitted_with):
    column = TABLE["colour"].where(TABLE["colour"].notna(), fitted_with).astype(object)
    encoder = fit(
        Columns(categorical=("colour",)), pd.DataFrame({"colour": column}), min_frequency=1
    )
    ours = [encoder.transform(only("colour", missing)) for missing in (np.nan, None)]
    assert encoder.get_feature_names_out()[np.argmax(ours[0])] == "colour_(missing)"
    np.testing.assert_array_equal(ours[0], ours[1])


def test_nan_and_none_in_one_column_are_counted_together():
    values = np.array(["red"] * 10 + [np.nan] * 5 + [None] * 5, dtype=object)
    encoder = fit(
        Columns(categorical=("colour",)), pd.DataFrame({"colour": values}), min_frequency=10
    )
    assert encoder.get_feature_names_out().tolist() == ["colour_(missing)", "colour_red"]


def test_rare_categories_are_pooled_and_an_unseen_one_is_of_the_pool():
    values = np.array(["a"] * 10 + ["b"] * 10 + ["c", "d"], dtype=object)
    encoder = fit(
        Columns(categorical=("colour",)), pd.DataFrame({"colour": values}), min_frequency=10
    )
    assert encoder.get_feature_names_out().tolist() == [
        "colour_a",
        "colour_b",
        "colour_infrequent_sklearn",
    ]
    np.testing.assert_array_equal(
        encoder.transform(only("colour", "never seen")), encoder.transform(only("colour", "c"))
    )


def test_unseen_category_without_a_pool_is_none_of_the_columns():
    encoder = fit(Columns(categorical=("colour",)), min_frequency=1)
    np.testing.assert_array_equal(
        encoder.transform(only("colour", "never seen")), [[0.0, 0.0, 0.0]]
    )


def test_most_categories_are_kept_up_to_the_limit():
    values = np.array([f"c{number % 8}" for number in range(80)], dtype=object)
    encoder = fit(
        Columns(categorical=("colour",)),
        pd.DataFrame({"colour": values}),
        min_frequency=1,
        max_categories=5,
    )
    assert len(encoder.get_feature_names_out()) == 5


@pytest.mark.parametrize(("n_categories", "is_sparse"), [(2, False), (20, True)])
def test_output_is_sparse_where_it_pays(n_categories, is_sparse):
    values = np.array([f"c{number % n_categories}" for number in range(400)], dtype=object)
    rows = fit(Columns(categorical=("colour",)), pd.DataFrame({"colour": values})).transform(
        pd.DataFrame({"colour": values})
    )
    assert isinstance(rows, csr_matrix) == is_sparse
