"""Leaks are told before trial 0, each in a line that names the column; clean tables say nothing."""

import numpy as np
import pandas as pd
import pytest

from hpo.data.dataset import Dataset
from hpo.search import repeats
from hpo.search.leaks import find_leaks
from hpo.search.plan import load_data
from hpo.study_file import load_definition

N = 600


def table(n: int = N, *, is_number: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "income": rng.lognormal(8, 1, n),
            "city": rng.choice(["Rome", "Oslo", "Lima"], n),
        }
    )
    value = rows["age"] / 20 + (rows["city"] == "Oslo") + rng.normal(size=n)
    return rows.assign(y=value if is_number else np.where(value > 3, "late", "on time"))


def load(frame: pd.DataFrame, **overrides: object) -> Dataset:
    given = {name.replace("__", "."): value for name, value in overrides.items()}
    definition = load_definition(
        overrides={"study.name": "t", "data.target": "y", **given}
    ).for_frame()
    return load_data(definition, frame)


def told(frame: pd.DataFrame, **overrides: object) -> list[str]:
    dataset = load(frame, **overrides)
    found = [note for note in dataset.notes if note.startswith("possible leak: ")]
    assert found == find_leaks(dataset)
    return [note.removeprefix("possible leak: ") for note in found]


@pytest.mark.parametrize("is_number", [False, True])
def test_clean_table_says_nothing(is_number):
    assert told(table(is_number=is_number)) == []
    assert told(table(60, is_number=is_number)) == []


@pytest.mark.parametrize("as_text", [False, True])
def test_consequence_of_a_class_is_told(as_text):
    rows = table()
    delay = np.where(rows["y"] == "late", 30.0, 5.0) + np.random.default_rng(1).normal(0, 5, N)
    rows["delay"] = np.where(delay > 17, "big", "small") if as_text else delay
    (line,) = told(rows)
    assert line.startswith("'delay' alone predicts 'y' (AUC 0.9")
    assert line.endswith("drop it unless it is known when you predict")
    assert told(rows, data__drop=["delay"]) == []


@pytest.mark.parametrize("make", [np.exp, lambda y: 3 - 2 * y, np.round])
def test_column_that_a_number_follows_from_is_told(make):
    rows = table(is_number=True)
    (line,) = told(rows.assign(bill=make(rows["y"])))
    assert line.startswith("'bill' alone predicts 'y' (R2 ")


def test_copy_with_a_long_tail_is_told():
    rows = table(is_number=True)
    rows["y"] = np.exp(2 * rows["y"])
    (line,) = told(rows.assign(copy=rows["y"] + 1))
    assert line.startswith("'copy' alone predicts 'y' (R2 1.0000")


def test_best_column_is_told_where_all_others_know_far_less():
    rows = table(is_number=True)
    rng = np.random.default_rng(1)
    rows["bill"] = rows["y"] + rng.normal(0, 0.2 * rows["y"].std(), N)
    (line,) = told(rows)
    assert line.startswith("'bill' alone predicts 'y' (R2 0.9")
    # As good again: perhaps both are legitimate.
    rows["receipt"] = rows["y"] + rng.normal(0, 0.2 * rows["y"].std(), N)
    assert told(rows) == []


def test_one_easy_class_of_three_is_no_leak():
    rows = table()
    rng = np.random.default_rng(1)
    rows["y"] = rng.choice(["a", "b", "c"], N)
    rows["petal"] = rows["y"].map({"a": 0.0, "b": 5.0, "c": 7.0}) + rng.normal(size=N) * 0.8
    assert told(rows) == []


def test_many_columns_that_tell_are_counted():
    rows = table()
    more = {f"copy{number}": (rows["y"] == "late") + 0 for number in range(8)}
    lines = told(rows.assign(**more))
    assert len(lines) == 6
    assert lines[-1] == "3 more columns alone predict 'y'"


def test_wide_table_is_searched_for_what_goes_with_the_target():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(200, 1000)), columns=[f"x{n}" for n in range(1000)])
    rows["y"] = np.where(rng.random(200) < 0.5, "a", "b")
    rows["x777"] = (rows["y"] == "a") + rng.normal(0, 0.1, 200)
    (line,) = told(rows)
    assert line.startswith("'x777' alone predicts")


@pytest.mark.parametrize(("kept", "other"), [("late", "on time"), ("on time", "late")])
def test_gap_where_the_target_has_one_value_is_told(kept, other):
    rows = table()
    rows["closed"] = rows["income"].where(rows["y"] == kept)
    (line,) = told(rows)
    assert line.startswith(f"'closed' is missing exactly where 'y' is '{other}': drop it")


def test_value_that_is_there_for_one_of_three_classes_alone_is_told():
    rows = table()
    rows["y"] = np.random.default_rng(1).choice(["a", "b", "c"], N)
    rows["reason"] = rows["city"].where(rows["y"] == "b")
    (line,) = told(rows)
    assert line.startswith("'reason' is there exactly where 'y' is 'b': drop it")


def test_gaps_that_hardly_follow_the_target_say_nothing():
    rows = table()
    is_gap = (rows["y"] == "late") & (np.random.default_rng(1).random(N) < 0.6)
    assert told(rows.assign(closed=rows["income"].mask(is_gap))) == []


def test_copies_of_rows_are_told_and_equal_coarse_rows_are_not():
    rows = table()
    (line,) = told(pd.concat([rows, rows[:60]], ignore_index=True))
    assert "held-out rows equal a training row in every column: remove the copies" in line
    coarse = rows.drop(columns=["age", "income"]).assign(
        sex=np.random.default_rng(1).choice(["f", "m"], N)
    )
    assert told(coarse) == []


def again(name: str, *, noise: float = 0.05, n_each: int = 5) -> pd.DataFrame:
    """Subjects with several rows each, who resemble themselves, in features and target."""
    rng = np.random.default_rng(2)
    person = rng.normal(size=(120, 4)).repeat(n_each, axis=0)
    rows = pd.DataFrame(person + rng.normal(0, noise, person.shape), columns=list("abcd"))
    rows["y"] = np.where((rng.random(120) < 0.5).repeat(n_each), "ill", "well")
    return rows.assign(**{name: np.arange(120).repeat(n_each) * 7 % 1009})


@pytest.mark.parametrize("name", ["patient_id", "PatientID", "subject", "id", "household no"])
def test_id_that_comes_again_is_told_by_its_name(name):
    rows = table().assign(**{name: np.random.default_rng(0).permutation(N) // 3})
    (line,) = told(rows)
    assert f"held-out rows share their '{name}' with training rows: set data.group = " in line


def test_rows_without_an_id_share_it_with_nobody():
    rows = table().assign(user_id=np.random.default_rng(0).permutation(N) // 3)
    rows.loc[rows.index % 3 == 0, "user_id"] = np.nan
    dataset = load(rows)
    train, test = (each["user_id"].dropna() for each in (dataset.X_train, dataset.X_test))
    (line,) = find_leaks(dataset)
    assert f" {test.isin(train).sum()} of {len(dataset.y_test)} held-out rows share" in line


@pytest.mark.parametrize("name", ["valid", "paid", "number_of_children", "acid"])
def test_column_of_another_name_is_told_by_what_it_does(name):
    rows = table().assign(**{name: np.random.default_rng(0).permutation(N) // 3})
    assert told(rows) == []
    (line,) = told(again(name))
    assert "and the nearest rows predict better where they are of the same one (accuracy" in line


def test_subject_with_most_rows_of_a_large_table_is_looked_at_in_a_few():
    """Rows are compared with each other, two by two."""
    subjects = np.repeat(np.arange(-1, 3_000), [100, 200_000, *[3] * 2_999])
    rows = repeats._draw_subjects(subjects)
    counts = np.bincount(subjects[rows], minlength=3_000)
    assert repeats.MAX_ROWS - repeats.MAX_ROWS_EACH <= len(rows) <= repeats.MAX_ROWS
    assert set(counts[1:]) == {0, 3}
    alone = repeats._draw_subjects(np.zeros(200_000, dtype=int))
    assert len(alone) == repeats.MAX_ROWS_EACH


def test_id_that_is_left_out_of_the_features_is_looked_at_too():
    (line,) = told(again("who"), data__drop=["who"])
    assert "share their 'who' with training rows" in line


@pytest.mark.parametrize("key", ["data__group", "data__time"])
def test_named_group_or_time_settles_it(key):
    assert told(again("patient_id"), **{key: "patient_id"}) == []
