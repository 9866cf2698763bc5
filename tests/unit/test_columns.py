"""What each column is: decided once, said, and applied to every row after."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.data.columns import Columns
from hpo.data.kinds import decide_columns
from hpo.errors import DataError

N = 40
NOISE = np.random.default_rng(0).normal(size=N)


def table(values: Any) -> pd.DataFrame:
    """The column under test beside one that is kept in any case."""
    return pd.DataFrame({"noise": NOISE[: len(values)], "a": values})


def kind_of(columns: Columns) -> str | None:
    return next((kind for kind, names in columns.kinds().items() if "a" in names), None)


KINDS = {
    "integers": (list(range(10)) * 4, "numeric"),
    "floats": (NOISE * 2, "numeric"),
    "floats with gaps": ([1.5, None, 2.5, 3.5] * 10, "numeric"),
    "numbers as text": (["1", "2.5", " 3", "1e5"] * 10, "numeric"),
    "codes": (["01234", "1234", " 7", "8"] * 10, "categorical"),
    "zeros": (["0", "0.5", "-07", "8"] * 10, "numeric"),
    "booleans": ([True, False] * 20, "boolean"),
    "booleans with gaps": ([True, None, False, True] * 10, "boolean"),
    "booleans as text": (["True", "FALSE", "false", " true "] * 10, "boolean"),
    "text": (["yes", "no"] * 20, "categorical"),
    "pandas categories": (pd.Categorical(["a", "b"] * 20), "categorical"),
    "mixed": ([1, "x", 2.5, None] * 10, "categorical"),
    "text and a gap": (["x", None] * 20, "categorical"),
    "numbers and one word": (["1", "2", "3", "none of them"] * 10, "categorical"),
    "dates": (pd.date_range("2024-01-01", periods=N), "datetime"),
    "dates with zone": (pd.date_range("2024-01-01", periods=N, tz="Europe/Berlin"), "datetime"),
    "dates as text": (
        ["2024-01-02", "2023-05-06T10:00:00", "2024-01-02 11:30Z", "2024-01-02T11:30:00.5+02:00"]
        * 10,
        "datetime",
    ),
    "date objects": ([date(2024, 1, day % 20 + 1) for day in range(N)], "datetime"),
    "dates with gaps": (["2024-01-02", None, "2023-05-06", "2024-01-03"] * 10, "datetime"),
    "dates and one word": (["2024-01-02", "soon"] * 20, "categorical"),
}


def test_codes_may_be_numbers():
    assert kind_of(decide_columns(table(KINDS["codes"][0]), numeric=["a"])) == "numeric"


@pytest.mark.parametrize("name", KINDS)
def test_kind_is_decided_from_the_values(name):
    values, kind = KINDS[name]
    columns = decide_columns(table(values))
    assert kind_of(columns) == kind
    why = {
        "mixed": "'x' is no number",
        "numbers and one word": "'none of them' is no number",
        "codes": "'01234' begins with a zero; data.numeric takes it as numbers",
    }.get(name)
    assert columns.notes == (() if why is None else (f"'a' taken as categories: {why}",))
    assert columns.features.count("a") == 1


@pytest.mark.parametrize("name", KINDS)
def test_decision_and_values_do_not_depend_on_the_order_of_the_rows(name):
    raw = table(KINDS[name][0])
    shuffled = raw.sample(frac=1, random_state=1)
    columns = decide_columns(raw)
    assert decide_columns(shuffled) == columns
    pd.testing.assert_frame_equal(columns.convert(shuffled).sort_index(), columns.convert(raw))


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([None] * N, "'a' dropped: it is empty"),
        (["x"] * N, "'a' dropped: it is 'x' in every row"),
        ([1.5] * N, "'a' dropped: it is '1.5' in every row"),
        (list(range(1, N + 1)), "'a' dropped: it numbers the rows"),
        (list(range(5000 + N, 5000, -1)), "'a' dropped: it numbers the rows"),
        ([f"id-{number}" for number in range(N)], "'a' dropped: a different value in every row"),
    ],
)
def test_column_that_says_nothing_is_dropped_and_said(values, note):
    raw = table(values)
    columns = decide_columns(raw)
    assert (columns.features, columns.notes) == (("noise",), (note,))
    assert decide_columns(raw.sample(frac=1, random_state=1)) == columns


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (list(range(20)), "numeric"),  # so few rows may have distinct numbers by chance
        ([f"id-{number}" for number in range(20)], "categorical"),
        ([*range(N - 1), 0], "numeric"),
        ([number * 3 for number in range(N)], "numeric"),
        ([float(number) for number in range(N)], "numeric"),
        ([*(f"id-{number}" for number in range(N - 1)), "id-0"], "categorical"),
        (["x"] * (N - 1) + [None], "categorical"),
    ],
)
def test_column_that_nearly_says_nothing_is_kept(values, kind):
    columns = decide_columns(table(values))

    assert kind_of(columns) == kind


@pytest.mark.parametrize(
    ("values", "note", "numbers"),
    [
        (
            ["1,234", "5", "12,345.5", "-7"],
            "'a' read with a comma between thousands",
            [1234.0, 5.0, 12345.5, -7.0],
        ),
        (["1,234,567", "1"], "'a' read with a comma between thousands", [1234567.0, 1.0]),
        (["1,5", "2,25", "3", "-0,5"], "'a' read with a decimal comma", [1.5, 2.25, 3.0, -0.5]),
        (["1,5", "1,234"], "'a' read with a decimal comma", [1.5, 1.234]),
    ],
)
@pytest.mark.parametrize("forced", [(), ("a",)])
def test_commas_in_numbers_are_read_and_said(values, note, numbers, forced):
    raw = table([*values * (N // len(values))])
    columns = decide_columns(raw, numeric=forced)
    assert (kind_of(columns), columns.notes) == ("numeric", (note,))
    assert columns.convert(raw)["a"].tolist() == numbers * (N // len(values))


def test_number_with_both_readings_mixed_is_no_number():
    assert kind_of(decide_columns(table(["1,5", "1.5"] * 20))) == "categorical"


PROSE = [f"row {number}: something that nobody will ever write again" for number in range(N)]
CODES = [f"https://example.org/a/long/address/of/page?id={number}" for number in range(N)]
DROPPED = (
    r"'a' dropped: it is text \(40 distinct values of \d\d characters\); data\.text takes its"
    r" words, data\.categorical uses it as it is"
)


def test_long_distinct_text_is_free_text_and_said():
    columns = decide_columns(table(PROSE))
    assert kind_of(columns) == "free_text"
    said = r"'a' taken as text, word by word: 40 distinct values of 5\d characters"
    assert re.fullmatch(said, *columns.notes)
    assert decide_columns(table(PROSE).sample(frac=1, random_state=1)) == columns
    assert kind_of(decide_columns(table(PROSE), categorical=["a"])) == "categorical"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (CODES, None),
        (["~ ~ ~ ~ ~ é " * 4 + "!" * number for number in range(N)], None),
        (PROSE, []),
    ],
    ids=["no blanks", "no words", "no text wanted"],
)
def test_text_that_is_not_read_is_dropped_with_the_way_to_use_it(values, text):
    columns = decide_columns(table(values), text=text)
    assert columns.features == ("noise",)
    assert re.fullmatch(DROPPED, *columns.notes)
    with pytest.raises(DataError, match=r"no feature is left: 'a' dropped: it is text"):
        decide_columns(table(values)[["a"]], text=text)


@pytest.mark.parametrize("values", [CODES, ["yes", "no"] * 20, list(range(10, 10 + N)), PROSE])
def test_named_text_is_free_text_whatever_it_looks_like(values):
    raw = table(values).assign(b=PROSE)
    columns = decide_columns(raw, text=["a"])
    assert columns.kinds() == {"numeric": ["noise"], "free_text": ["a"]}
    assert columns.convert(raw)["a"].tolist() == [str(value) for value in values]


def test_gap_in_free_text_is_an_empty_text():
    columns = Columns(free_text=("a",))
    raw = pd.DataFrame({"a": [None, np.nan, "NA", "  ", "None", " a text ", 7, 1.5]}, dtype=object)
    assert columns.convert(raw)["a"].tolist() == ["", "", "", "", "", "a text", "7", "1.5"]
    assert columns.convert(raw.iloc[:0])["a"].tolist() == []
    no_text = pd.DataFrame({"a": [np.nan, 3.0]})
    assert columns.convert(no_text, is_strict=True)["a"].tolist() == ["", "3"]


def test_long_text_of_few_distinct_values_is_a_category():
    assert (
        kind_of(
            decide_columns(
                table(["one long answer of a questionnaire, always the same words", "no"] * 20)
            )
        )
        == "categorical"
    )


@pytest.mark.parametrize(
    "values",
    [[1, 2] * 20, [True, False] * 20, ["2024-01-01", "2024-01-02"] * 20, list(range(N)), ["x"] * N],
)
def test_forced_categorical_is_categorical_whatever_it_looks_like(values):
    raw = table(values)
    columns = decide_columns(raw, categorical=["a"])
    assert (kind_of(columns), columns.notes) == ("categorical", ())
    assert set(columns.convert(raw)["a"]) == {str(value) for value in values}


@pytest.mark.parametrize("values", [list(range(N)), [3] * N, [True, False] * 20, ["1", "2"] * 20])
def test_forced_numeric_is_numeric_whatever_it_looks_like(values):
    raw = table(values)
    columns = decide_columns(raw, numeric=["a"])
    assert (kind_of(columns), columns.notes) == ("numeric", ())
    assert columns.convert(raw)["a"].tolist() == [float(value) for value in values]


@pytest.mark.parametrize("wrong", ["x", "1;5", "1,5,", "--1"])
def test_forced_numeric_with_a_word_is_refused_naming_it(wrong):
    raw = table(["1", "2", wrong, "3"] * 10)
    columns = decide_columns(raw, numeric=["a"])
    with pytest.raises(
        DataError, match=f"^data: column 'a' should be numbers, but got '{wrong}'$"
    ) as caught:
        columns.convert(raw)
    assert "data.categorical" in caught.value.hint


@pytest.mark.parametrize(
    "values",
    [
        [1.0, np.inf] * 20,
        [1.0, -np.inf] * 20,
        [1.0, 1e151] * 20,
        ["1", "inf"] * 20,
        ["1", "-Infinity"] * 20,
    ],
)
def test_infinities_are_refused_with_their_number(values):
    raw = table(values)
    columns = decide_columns(raw)
    with pytest.raises(DataError, match=r"^data: column 'a' holds infinite values.*\(20\)"):
        columns.convert(raw)


def test_no_feature_left_says_why_each_went():
    raw = pd.DataFrame({"a": ["x"] * N, "b": [None] * N})
    with pytest.raises(
        DataError,
        match=r"no feature is left: 'a' dropped: it is 'x' in every row; 'b' dropped: it is empty$",
    ):
        decide_columns(raw)


def test_features_are_ordered_by_kind_then_as_in_the_table():
    raw = pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=N),
            "word": ["x", "y"] * 20,
            "b": NOISE,
            "flag": [True, False] * 20,
            "a": NOISE * 2,
        }
    )
    columns = decide_columns(raw)
    assert columns.features == ("b", "a", "flag", "word", "when")
    assert columns.kinds() == {
        "numeric": ["b", "a"],
        "boolean": ["flag"],
        "categorical": ["word"],
        "datetime": ["when"],
    }
    converted = columns.convert(raw)
    assert tuple(converted.columns) == columns.features
    assert [str(dtype) for dtype in converted.dtypes] == [
        "float64",
        "float64",
        "float64",
        "object",
        "datetime64[us]",
    ]


# Conversion of rows that were not there when the kinds were decided.


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("numeric", ["1", "", None, " ", "2.5"], [1.0, np.nan, np.nan, np.nan, 2.5]),
        ("numeric", [1, 2], [1.0, 2.0]),
        ("boolean", ["TRUE", " false", "perhaps", None], [1.0, 0.0, np.nan, np.nan]),
        ("boolean", [True, False], [1.0, 0.0]),
        ("categorical", ["never seen", " x ", "", None], ["never seen", "x", np.nan, np.nan]),
        ("categorical", [5, 6], ["5", "6"]),
        ("categorical", [5.0, None], ["5", np.nan]),
        ("categorical", [5.5, 6.0], ["5.5", "6"]),
        ("categorical", [None, None], [np.nan, np.nan]),
        ("datetime", ["2024-01-02", "soon", None], [pd.Timestamp("2024-01-02"), pd.NaT, pd.NaT]),
        ("datetime", ["2024-01-02T01:00+02:00"], [pd.Timestamp("2024-01-01 23:00")]),
    ],
)
def test_unseen_and_missing_values_are_converted(kind, values, expected):
    columns = Columns(**{kind: ("a",)})
    converted = columns.convert(pd.DataFrame({"a": values}, index=range(7, 7 + len(values))))["a"]
    assert converted.index.tolist() == list(range(7, 7 + len(values)))
    assert [None if pd.isna(value) else value for value in converted] == [
        None if pd.isna(value) else value for value in expected
    ]


def test_gap_in_an_integer_column_changes_no_category():
    columns = Columns(categorical=("a",))
    whole, gappy = pd.DataFrame({"a": [1, 2, 3]}), pd.DataFrame({"a": [1, 2, None]})
    assert (
        columns.convert(whole)["a"].tolist()[:2]
        == columns.convert(gappy)["a"].tolist()[:2]
        == ["1", "2"]
    )


@pytest.mark.parametrize("values", [["1", " "] * 20, ["x", "  ", "y", "x"] * 10])
def test_blank_among_numbers_or_words_is_missing(values):
    raw = table(values)
    assert decide_columns(raw) == decide_columns(raw.replace({" ": None, "  ": None}))
    assert decide_columns(raw).convert(raw)["a"].isna().tolist() == [
        not value.strip() for value in values
    ]


BLANK = "a cell of blanks becomes missing in _to_text after dropna: the patterns get a NaN"


@pytest.mark.parametrize("values", [["true", " "] * 20, ["2024-01-01", " "] * 20, [" ", "  "] * 20])
def test_cell_of_blanks_is_missing(values):
    raw = table(values)
    assert decide_columns(raw) == decide_columns(raw.replace({" ": None, "  ": None}))


def test_column_of_lists_is_refused():
    with pytest.raises(DataError, match="'a'"):
        decide_columns(table([[1], [2]] * 20))


def test_text_like_dates_that_are_none_is_a_category():
    assert kind_of(decide_columns(table(["2024-13-45", "2024-99-01"] * 20))) == "categorical"


def test_points_between_thousands_with_a_decimal_comma_are_read_or_said():
    columns = decide_columns(table(["1.234,56", "2.345,67", "10,5", "1.000.000,0"] * 10))
    assert kind_of(columns) == "numeric"
    assert columns.notes


def test_word_among_numbers_that_is_said_does_not_depend_on_the_order_of_the_rows():
    raw = table(["1", "2", "3", "4", "5", "6", "high", "low"] * 5)
    assert decide_columns(raw.iloc[::-1]) == decide_columns(raw)


@pytest.mark.parametrize(
    ("values", "later"), [(["1,5", "2,25"], "1.5"), (["1,234", "5,678"], "1,5")]
)
def test_later_value_with_the_other_mark_is_refused_not_read_ten_times_as_large(values, later):
    columns = decide_columns(table(values * 20))
    with pytest.raises(DataError, match=f"column 'a' should be numbers, but got '{later}'"):
        columns.convert(table([later]))
