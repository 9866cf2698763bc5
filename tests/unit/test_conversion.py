"""Raw columns become what the model takes, or are refused in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import skops.io
from pandas._libs.parsers import STR_NA_VALUES
from sklearn.utils.estimator_checks import check_estimator

from hpo.calendar import CalendarParts
from hpo.conversion import ColumnConverter, ConversionError
from hpo.data.kinds import decide_columns
from hpo.estimators.preprocessing import TRUSTED_TYPES
from hpo.values import MISSING, changes_as_number

N = 40


def test_missing_texts_are_those_of_pandas() -> None:
    assert set(MISSING) == STR_NA_VALUES


@pytest.mark.parametrize("estimator", [CalendarParts(), ColumnConverter()])
def test_estimator_passes_the_checks_of_scikit_learn(estimator) -> None:
    # Skipped by scikit-learn itself: arrays that are not numpy's.
    check_estimator(estimator, on_skip=None)


def test_converter_is_saved_and_loaded_with_trusted_types() -> None:
    converter = ColumnConverter(numeric=["a"], exact=["b"]).fit(pd.DataFrame({"a": ["1"]}))
    loaded = skops.io.loads(skops.io.dumps(converter), trusted=list(TRUSTED_TYPES))
    assert loaded.get_params() == converter.get_params()
    assert loaded.transform(pd.DataFrame({"a": [" 2 "]}))["a"].tolist() == [2.0]


def convert(values, **kinds):
    table = pd.DataFrame({"a": values})
    return ColumnConverter(**kinds).fit(table).transform(table)["a"].tolist()


@pytest.mark.parametrize("kind", ["numeric", "boolean", "categorical", "datetime"])
@pytest.mark.parametrize("missing", [*MISSING, " ", None, np.nan])
def test_what_a_reader_takes_for_a_gap_is_one(kind, missing) -> None:
    assert pd.isna(convert([missing, missing], **{kind: ["a"]})).all()


def test_text_for_a_gap_is_a_category_where_training_had_it_as_one() -> None:
    namibia = pd.DataFrame({"a": ["NA", "DE"] * 20})
    columns = decide_columns(namibia)
    assert columns.literal == {"a"}
    assert set(columns.convert(namibia)["a"]) == {"NA", "DE"}
    assert set(columns.converter().fit(namibia).transform(namibia)["a"]) == {"NA", "DE"}


@pytest.mark.parametrize(
    ("values", "kinds", "message"),
    [
        ([1.0, np.inf], {"numeric": ["a"]}, "column 'a' holds infinite values"),
        (["1", "x"], {"numeric": ["a"]}, "column 'a' should be numbers, but got 'x'"),
        (["true", "perhaps"], {"boolean": ["a"]}, "should be true or false, but got 'perhaps'"),
        (["2026-01-31", "soon"], {"datetime": ["a"]}, "should be dates such as 2026-01-31"),
        ([20260131], {"datetime": ["a"]}, "should be dates such as 2026-01-31"),
        ([7], {"categorical": ["a"], "exact": ["a"]}, "should be text, but got"),
        ([True], {"categorical": ["a"], "exact": ["a"]}, "should be text, but got"),
        ([1.234], {"numeric": ["a"], "decimal_comma": ["a"]}, "numbers as text with a decimal"),
    ],
)
def test_value_that_its_column_cannot_hold_is_refused_in_one_line(values, kinds, message) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        convert(values, **kinds)
    assert "\n" not in str(caught.value)
    assert caught.value.row == len(values) - 1


def test_whole_number_in_a_column_with_a_decimal_comma_is_unambiguous() -> None:
    assert convert([7, 8], numeric=["a"], decimal_comma=["a"]) == [7.0, 8.0]


def test_missing_column_is_named() -> None:
    converter = ColumnConverter(numeric=["a", "b"]).fit(pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(ConversionError, match="column 'b' is not there"):
        converter.transform(pd.DataFrame({"a": [1]}))


def test_columns_are_taken_by_name_and_others_ignored() -> None:
    table = pd.DataFrame({"b": [1], "a": [2], "target": ["x"]})
    converter = ColumnConverter(numeric=["a", "b"]).fit(table[["a", "b"]])
    assert converter.transform(table).columns.tolist() == ["a", "b"]
    assert converter.get_feature_names_out().tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("texts", "changes"),
    [
        (["a", "b"], False),
        (["5", "A1", "-3", "0"], False),
        (["007", "A1"], True),
        (["1.0", "A1"], True),
        (["1e5", "A1"], True),
        (["-0", "A1"], True),
        (["12345678901234567", "A1"], True),
        (["True", "maybe"], False),
        (["TRUE", "maybe"], True),
        (["nan", "inf", "A1"], True),
    ],
)
def test_text_that_pandas_would_change_is_known(texts, changes) -> None:
    assert changes_as_number(pd.Series(texts, dtype="str")) == changes


@pytest.mark.parametrize("values", [[5.5, 6.0] * 20, [1.0, 2.0, np.nan, 3.0] * 10, [1, 2] * 20])
def test_number_that_is_a_category_is_the_same_category_alone(values) -> None:
    table = pd.DataFrame({"a": values})
    columns = decide_columns(table, categorical=["a"])
    together = columns.convert(table)["a"].tolist()
    converter = columns.converter().fit(table)
    for position in range(4):
        alone = converter.transform(table.iloc[[position]])["a"].tolist()
        np.testing.assert_array_equal(alone, together[position : position + 1])


@pytest.mark.parametrize("dtype", ["float64", "Float64"])
def test_number_that_is_a_category_is_the_same_category_among_unseen_ones(dtype) -> None:
    values = pd.Series([1.0, np.nan, 2.0, -0.0, 2.5, 2.0**53, 1.0], index=[5, 5, 0, 1, 2, 3, 4])
    table = pd.DataFrame({"a": values.astype(dtype)})
    text = ColumnConverter(categorical=["a"]).convert(table)["a"]
    expected = ["1", np.nan, "2", "0", "2.5", "9007199254740992.0", "1"]
    np.testing.assert_array_equal(text.tolist(), expected)
    assert text.index.equals(table.index)
