"""Rows in the order of time: held out at the end, split forward, no time and no group split."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import TimeSeriesSplit

from hpo.data.dataset import load_dataset
from hpo.data.order import Order, read_times
from hpo.data_section import CvSection, DataSection
from hpo.errors import DataError, DefinitionError
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.regression import REGRESSION
from hpo.study_file import load_definition


def daily(n_days: int, a_day: int, *, gap: int = 0) -> Order:
    return Order("day", np.repeat(np.arange(float(n_days)), a_day), gap)


def table(n_days: int = 60, a_day: int = 5) -> pd.DataFrame:
    n = n_days * a_day
    rng = np.random.default_rng(0)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.repeat(np.arange(n_days), a_day), "D")
    rows = pd.DataFrame({"x": rng.normal(size=n), "day": day.strftime("%Y-%m-%d")})
    rows["y"] = np.where(rows["x"] + rng.normal(size=n) > 0, "yes", "no")
    return rows.sample(frac=1, random_state=0, ignore_index=True)


def load(frame, choice=CLASSIFICATION, *, n_splits=5, gap=0, nested=None, **section):
    given = DataSection(source="t", **{"target": "y", "time": "day", **section})
    return load_dataset(
        given, choice, seed=0, n_splits=n_splits, gap=gap, nested=nested, frame=frame
    )


def test_last_rows_are_held_out_and_rows_are_sorted():
    dataset = load(table())
    assert dataset.columns.features == ("x",)
    assert (len(dataset.y_train), len(dataset.y_test)) == (240, 60)
    assert dataset.order.times[-1] < dataset.order_test.times[0]
    assert (np.diff(dataset.order.times) >= np.timedelta64(0)).all()
    by_x = table().set_index("x")["y"]
    assert (by_x[dataset.X_train["x"]].to_numpy() == dataset.y_train).all()


def test_folds_are_those_of_scikit_learn_where_times_differ():
    folds = Order("t", np.arange(103.0), gap=4).split(5, None)
    theirs = list(TimeSeriesSplit(5, gap=4).split(np.zeros(103)))
    assert all(
        (a == c).all() and (b == d).all() for (a, b), (c, d) in zip(folds, theirs, strict=True)
    )


@pytest.mark.parametrize("a_day", [1, 3, 7, 11])
def test_no_time_is_split(a_day):
    order = daily(65, a_day)
    for train, test in [order.hold_out(0.2, None), *order.split(5, None)]:
        assert order.times[train].max() < order.times[test].min()
    tests = np.concatenate([test for _, test in order.split(5, None)])
    assert (tests == np.arange(tests[0], 65 * a_day)).all()


def test_gap_is_left_out_before_folds_and_hold_out():
    order = daily(60, 5, gap=7)
    for train, test in [order.hold_out(0.2, None), *order.split(5, None)]:
        assert test[0] - train[-1] == 8
    dataset = load(table(), gap=7)
    assert len(dataset.y_train) == 233
    assert dataset.notes[-1] == "7 rows before the held-out ones are left out: cv.gap = 7"


def test_group_that_comes_again_is_left_out_of_the_fit():
    order = daily(60, 5)
    groups = np.arange(300) // 7
    for train, test in [order.hold_out(0.2, groups), *order.split(5, groups)]:
        assert not set(groups[train]) & set(groups[test])
        assert len(train) >= test[0] - 7
    frame = table().sort_values("day", ignore_index=True)
    frame["who"] = [f"w{row // 7}" for row in range(300)]
    dataset = load(frame, group="who")
    assert not set(dataset.groups) & set(dataset.groups_test)
    assert (
        "rows before the held-out ones are left out: their 'who' comes again" in (dataset.notes[-1])
    )


def test_groups_that_all_come_again_are_refused():
    frame = table().assign(who=[f"w{row % 10}" for row in range(300)])
    with pytest.raises(DataError, match="every group before the hold-out comes again") as caught:
        load(frame, group="who")
    assert "leave data.group out" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([None, *["2024-01-01"] * 299], "has 1 missing values"),
        (["soon"] * 300, "should be numbers, or dates such as 2024-03-31 .*, but got 'soon'"),
        ([True] * 300, "holds truth values"),
        ([np.inf] * 300, "holds infinite values"),
        ([7] * 300, "has only one time"),
        ([2020] * 200 + [2021] * 100, "has 1 distinct times in 200 training"),
    ],
)
def test_times_that_cannot_order_rows_are_refused(values, line):
    frame = table().assign(day=values)
    with pytest.raises(DataError, match=f"data.time: .*{line}"):
        load(frame, REGRESSION, target="x").order.split(2, None)


def test_times_are_read_as_they_are_written():
    texts = ["2024-03-31T10:00+02:00", "2024-03-31 09:00Z", "2024-03-31"]
    assert read_times(pd.Series(texts)).argsort().tolist() == [2, 0, 1]
    assert read_times(pd.Series([20240101, 20231231])).argsort().tolist() == [1, 0]
    assert read_times(pd.Series(["2024-02", "2023-11"])).argsort().tolist() == [1, 0]


def late_class(first_day: int) -> pd.DataFrame:
    frame = table().sort_values("day", ignore_index=True)
    late = (np.arange(300) // 5 >= first_day) & (np.arange(300) % 3 == 0)
    return frame.assign(y=np.where(late, "new", frame["y"]))


def test_class_that_an_early_fold_lacks_is_refused_with_what_would_do():
    dataset = load(late_class(14))
    with pytest.raises(
        DataError, match="fold 1 of 5 by 'day' has no training row of class 'new'"
    ) as (caught):
        CLASSIFICATION.split(dataset, CvSection(n_splits=5), 0)
    assert caught.value.hint == 'set cv.n_splits to 2, or set data.rare to "drop" or "pool"'
    assert len(CLASSIFICATION.split(dataset, CvSection(n_splits=2), 0)) == 2


def test_class_that_comes_too_late_is_dropped_where_that_is_asked_for():
    with pytest.raises(DataError, match="no training row of class 'new'"):
        load(late_class(50))
    dataset = load(late_class(50), rare="drop")
    assert set(dataset.y_train) == {"yes", "no"}
    assert len(CLASSIFICATION.split(dataset, CvSection(n_splits=5), 0)) == 5
    assert len(dataset.order.times) == len(dataset.y_train)


@pytest.mark.parametrize(("task", "target"), [(CLASSIFICATION, "y"), (REGRESSION, "x")])
def test_outer_folds_that_cannot_be_searched_are_refused(task, target):
    dataset = load(table(n_days=12), task, target=target, n_splits=3)
    task.check_outer_folds(dataset, 2, CvSection(n_splits=2), 0)
    with pytest.raises(DataError, match="folds"):
        task.check_outer_folds(dataset, 5, CvSection(n_splits=5), 0)


def test_digest_knows_the_times():
    frame = table()
    later = frame.assign(day=frame["day"].str.replace("2024", "2028"))
    digests = {load(each).digest for each in (frame, later)}
    assert len(digests) == 2
    assert load(frame.drop(columns="day"), time=None).order is None


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ({"data.time": "day", "cv.n_repeats": 2}, "cv.n_repeats should be 1 with data.time"),
        ({"cv.gap": 3}, "cv.gap is of folds that go forward"),
    ],
)
def test_keys_that_contradict_are_refused(overrides, line):
    with pytest.raises(DefinitionError, match=line):
        load_definition(overrides=overrides)


def test_time_is_part_of_the_identity_and_older_studies_go_on():
    plain = load_definition().identity()
    assert not {"data.time", "cv.gap"} & set(plain)
    forward = load_definition(overrides={"data.time": "day", "cv.gap": 2}).identity()
    assert forward == {**plain, "data.time": "day", "cv.gap": 2}
