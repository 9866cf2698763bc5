"""Tables: checked, held out and named by a digest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from hpo.data.dataset import Dataset, load_dataset
from hpo.definition import CvSection, DataSection
from hpo.errors import DataError
from hpo.estimators.classification import CLASSIFICATION


def load(source: str = "iris", *, seed: int = 0, n_splits: int = 5, **keys: object) -> Dataset:
    return load_dataset(
        DataSection.model_validate({"source": source, **keys}),
        CLASSIFICATION,
        seed=seed,
        n_splits=n_splits,
    )


@pytest.mark.parametrize(
    ("source", "n_rows", "n_features", "n_classes"),
    [
        ("iris", 150, 4, 3),
        ("wine", 178, 13, 3),
        ("breast_cancer", 569, 30, 2),
        ("digits", 1797, 64, 10),
    ],
)
def test_bundled_tables(source, n_rows, n_features, n_classes):
    dataset = load(source)
    assert len(dataset.X_train) + len(dataset.X_test) == n_rows
    assert dataset.X_train.shape[1] == dataset.X_test.shape[1]
    assert dataset.X_train.shape[1] + sum("dropped" in note for note in dataset.notes) == n_features
    assert len(np.unique(dataset.y_train)) == n_classes
    assert dataset.target == "target"


@pytest.mark.parametrize("source", ["iris", "digits"])
def test_features_are_float64(source):
    dataset = load(source)
    assert {*dataset.X_train.dtypes, *dataset.X_test.dtypes} == {np.dtype(np.float64)}


def test_every_row_is_in_exactly_one_half_with_its_own_label():
    dataset = load(test_size=0.3)
    table = load_iris(as_frame=True).frame
    train, test = set(dataset.X_train.index), set(dataset.X_test.index)
    assert (len(train), len(test)) == (105, 45)
    assert train | test == set(table.index)
    assert dataset.y_train.tolist() == table.loc[dataset.X_train.index, "target"].tolist()
    assert dataset.y_test.tolist() == table.loc[dataset.X_test.index, "target"].tolist()


def test_hold_out_keeps_the_shares_of_the_classes():
    dataset = load(test_size=0.2)
    assert np.bincount(dataset.y_test).tolist() == [10, 10, 10]
    assert np.bincount(dataset.y_train).tolist() == [40, 40, 40]


def test_same_seed_same_hold_out():
    assert load(seed=7).X_test.equals(load(seed=7).X_test)
    assert not load(seed=7).X_test.equals(load(seed=8).X_test)


def test_dropped_column_is_gone():
    assert load(drop=["sepal width (cm)"]).X_train.shape[1] == 3


def test_another_column_can_be_the_target():
    dataset = load("digits", target="pixel_0_2")
    assert dataset.target == "pixel_0_2"
    assert "pixel_0_2" not in dataset.X_train.columns
    assert "target" in dataset.X_train.columns


def test_digest_stands_for_the_table_not_for_its_split():
    digest = load().digest
    assert len(digest) == 32
    assert load(seed=3, test_size=0.4, n_splits=2).digest == digest
    assert load(drop=["sepal width (cm)"]).digest != digest
    assert load("wine").digest != digest


def test_unknown_table_is_refused_with_the_nearest():
    with pytest.raises(
        DataError, match=r"this should be a file or one of iris, wine, .*, but got 'irsi'$"
    ) as caught:
        load("irsi")
    assert caught.value.hint == "did you mean 'iris'?"


@pytest.mark.parametrize(
    ("keys", "subject", "hint"),
    [
        ({"target": "tagret"}, "target", "did you mean 'target'?"),
        ({"drop": ["sepal widht (cm)"]}, "drop", "did you mean 'sepal width (cm)'"),
        ({"target": "zzz"}, "target", "its columns are sepal length (cm), "),
    ],
)
def test_unknown_column_is_refused_with_the_nearest(keys, subject, hint):
    with pytest.raises(DataError, match=rf"^data\.{subject}: iris has no column '.*'$") as caught:
        load(**keys)
    assert caught.value.hint.startswith(hint)


def test_target_in_the_drop_list_is_refused():
    with pytest.raises(DataError, match=r"^data\.drop: 'target' is the target$"):
        load(drop=["target"])


def test_no_feature_left_is_refused():
    with pytest.raises(
        DataError, match=r"no feature is left: all are dropped, the target or the group$"
    ):
        load(drop=list(load_iris(as_frame=True).data.columns))


def test_one_class_is_refused():
    with pytest.raises(
        DataError, match=r"target 'pixel_0_0' should have at least 2 classes, but got only '0'$"
    ):
        load("digits", target="pixel_0_0")


def test_continuous_target_is_refused():
    with pytest.raises(
        DataError,
        match=r"target 'mean radius' should be a class label, but got \d+ distinct values in 569 rows",
    ):
        load("breast_cancer", target="mean radius")


@pytest.mark.parametrize("test_size", [0.001, 0.999])
def test_half_that_cannot_hold_every_class_is_refused(test_size):
    with pytest.raises(
        DataError, match=rf"a hold-out of test_size = {test_size} do not both hold every class"
    ) as caught:
        load("digits", test_size=test_size)
    assert "data.test_size" in caught.value.hint


@pytest.mark.parametrize("has_groups", [False, True])
def test_hold_out_without_a_class_is_refused(has_groups):
    """Else its scores, with a column a class, would end the run after the whole search."""
    labels = ["a"] * 150 + ["b"] * 150 + ["c"] * 8
    frame = pd.DataFrame(
        {"x": np.arange(308) % 7, "house": ["other"] * 300 + ["one"] * 8, "y": labels}
    )
    if has_groups:
        frame.loc[:299, "house"] = [f"house {row % 20}" for row in range(300)]
    section = DataSection(
        source="f", target="y", test_size=0.05, group="house" if has_groups else None
    )
    with pytest.raises(DataError, match="do not both hold every class") as caught:
        load_dataset(
            section,
            CLASSIFICATION,
            seed=0,
            n_splits=5,
            frame=frame if has_groups else frame.drop(columns="house"),
        )
    assert caught.value.hint == 'change data.test_size, or set data.rare to "drop" or "pool"'


def test_class_with_fewer_rows_than_folds_is_refused_with_a_number_that_would_do():
    with pytest.raises(
        DataError, match="every class needs n_splits = 30 training rows, but class '0' has 10"
    ) as caught:
        load("iris", test_size=0.8, n_splits=30)
    assert caught.value.hint == 'set cv.n_splits to 10, or set data.rare to "drop" or "pool"'
    assert len(load("iris", test_size=0.8, n_splits=10).X_train) == 30


# Files.

N = 60
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "size": RNG.normal(size=N).round(3),
        "colour": RNG.choice(["red", "green", "blue"], N),
        "house": np.repeat([f"h{number}" for number in range(20)], 3),
        "y": np.tile(["no", "yes"], N // 2),
    }
)


def load_table(directory: Path, table: pd.DataFrame = TABLE, **keys: object) -> Dataset:
    path = directory / "t.parquet"
    table.to_parquet(path)
    return load(str(path), **{"target": "y", **keys})


def test_file_is_loaded_with_its_kinds(tmp_path):
    dataset = load_table(tmp_path)
    assert (dataset.name, dataset.target) == ("t.parquet", "y")
    assert dataset.columns.kinds() == {"numeric": ["size"], "categorical": ["colour", "house"]}
    assert np.unique(dataset.y_train).tolist() == ["no", "yes"]
    assert dataset.groups is None


def test_csv_and_parquet_of_one_table_are_the_same_data(tmp_path):
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    assert load(str(tmp_path / "t.csv"), target="y").digest == load_table(tmp_path).digest


def test_directory_is_refused(tmp_path):
    with pytest.raises(DataError, match=rf"^data: {tmp_path} is a directory$"):
        load(str(tmp_path), target="y")


def test_file_without_a_target_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"^data: \S+t\.parquet needs a target column$") as caught:
        load_table(tmp_path, target=None)
    assert "--target" in caught.value.hint


@pytest.mark.parametrize("key", ["numeric", "categorical", "drop"])
def test_column_that_is_not_there_is_refused_under_its_key(tmp_path, key):
    with pytest.raises(DataError, match=rf"^data\.{key}: \S+ has no column 'sise'$") as caught:
        load_table(tmp_path, **{key: ["sise"]})
    assert caught.value.hint == "did you mean 'size'?"


def test_column_of_two_kinds_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"^data\.numeric: 'size' is in data\.categorical too$"):
        load_table(tmp_path, numeric=["size"], categorical=["size"])


def test_group_that_is_not_there_or_is_the_target_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"^data\.group: \S+ has no column 'hous'$"):
        load_table(tmp_path, group="hous")
    with pytest.raises(DataError, match=r"^data\.group: 'y' is the target$"):
        load_table(tmp_path, group="y")


@pytest.mark.parametrize("n_splits", [2, 4])
@pytest.mark.parametrize("test_size", [0.2, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_group_is_split_neither_by_the_hold_out_nor_by_a_fold(tmp_path, seed, test_size, n_splits):
    dataset = load_table(tmp_path, group="house", seed=seed, test_size=test_size, n_splits=n_splits)
    houses = TABLE["house"]
    assert set(houses[dataset.X_train.index]).isdisjoint(houses[dataset.X_test.index])
    assert dataset.groups.tolist() == houses[dataset.X_train.index].tolist()
    assert "house" not in dataset.X_train.columns
    splits = CLASSIFICATION.split(dataset, CvSection(n_splits=n_splits, n_repeats=2), seed)
    assert len(splits) == 2 * n_splits
    for train, test in splits:
        assert set(dataset.groups[train]).isdisjoint(dataset.groups[test])
        assert len(train) + len(test) == len(dataset.groups)
    assert sorted(np.concatenate([test for _, test in splits[:n_splits]])) == list(
        range(len(dataset.groups))
    )


def test_too_few_groups_are_refused(tmp_path):
    table = TABLE.assign(house=np.repeat(["a", "b", "c"], N // 3))
    line = r"^data\.group: the hold-out and 5 folds need 6 groups, but 'house' has 3$"
    with pytest.raises(DataError, match=line) as caught:
        load_table(tmp_path, table, group="house")
    assert "cv.n_splits" in caught.value.hint


def test_rows_without_a_target_are_dropped_and_said(tmp_path):
    table = TABLE.copy()
    table.loc[[3, 17, 40], "y"] = None
    dataset = load_table(tmp_path, table, group="house")
    assert dataset.notes[0] == "3 of 60 rows dropped: 'y' is missing there"
    kept = dataset.X_train.index.union(dataset.X_test.index)
    assert kept.equals(TABLE.index.drop([3, 17, 40]))
    assert dataset.y_train.tolist() == TABLE.loc[dataset.X_train.index, "y"].tolist()
    assert dataset.groups.tolist() == TABLE.loc[dataset.X_train.index, "house"].tolist()


def test_target_that_is_all_missing_is_refused(tmp_path):
    with pytest.raises(
        DataError, match="target 'y' should have at least 2 classes, but got no label at all"
    ):
        load_table(tmp_path, TABLE.assign(y=pd.Series([None] * N, dtype="str")))


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 1], [0, 1]),
        ([1.0, 2.0], [1, 2]),
        ([True, False], [False, True]),
        (["b", "a"], ["a", "b"]),
        (["1", "x"], ["1", "x"]),
    ],
)
def test_labels_are_integers_or_text(tmp_path, values, labels):
    dataset = load_table(tmp_path, TABLE.assign(y=values * (N // 2)))
    assert np.unique(dataset.y_train).tolist() == labels
    assert dataset.y_train.dtype != object


def test_labels_that_are_integers_but_for_a_gap_stay_integers(tmp_path):
    dataset = load_table(tmp_path, TABLE.assign(y=[None, *[0, 1] * ((N - 2) // 2), 1]))
    assert np.unique(dataset.y_train).tolist() == [0, 1]
    assert dataset.y_train.dtype == np.int64


def test_more_classes_than_a_classification_has_are_refused(tmp_path):
    table = pd.DataFrame(
        {"a": RNG.normal(size=1010), "y": np.repeat([f"c{number}" for number in range(101)], 10)}
    )
    with pytest.raises(
        DataError,
        match="target 'y' should be a class label, but got 101 distinct values in 1010 rows",
    ):
        load_table(tmp_path, table)


def changed_value(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(size=table["size"].where(table.index != 7, 99.0))


def changed_category(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(colour=table["colour"].where(table.index != 7, "black"))


def changed_gap(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(size=table["size"].where(table.index != 7))


def changed_label(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(y=table["y"].where(table.index != 7, "no"))


def changed_header(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"size": "length"})


def changed_dtype(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(size=(table["size"] * 1000).round().astype("int64").astype("str") + "cm")


def changed_order(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[::-1].reset_index(drop=True)


def one_row_less(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[:-1]


@pytest.mark.parametrize(
    "change",
    [
        changed_value,
        changed_category,
        changed_gap,
        changed_label,
        changed_header,
        changed_dtype,
        changed_order,
        one_row_less,
    ],
)
def test_digest_changes_with_the_table(tmp_path, change):
    assert load_table(tmp_path, change(TABLE)).digest != load_table(tmp_path).digest


def test_digest_changes_with_the_kind_and_with_the_group(tmp_path):
    table = TABLE.assign(step=np.tile([1, 2, 3, 4, 5, 6], 10))
    digest = load_table(tmp_path, table).digest
    assert load_table(tmp_path, table).digest == digest
    assert load_table(tmp_path, table, categorical=["step"]).digest != digest
    grouped = load_table(tmp_path, table, group="house").digest
    swapped = table.assign(house=table["house"].where(table.index != 7, "h9"))
    assert load_table(tmp_path, swapped, group="house").digest != grouped


def test_what_the_columns_said_is_in_the_notes(tmp_path):
    dataset = load_table(tmp_path, TABLE.assign(id=range(N), always="x"))
    assert dataset.notes == (
        "'id' dropped: it numbers the rows",
        "'always' dropped: it is 'x' in every row",
    )
    assert dataset.columns.notes == dataset.notes


def test_wrong_value_in_the_hold_out_is_refused_too(tmp_path):
    row = int(load_table(tmp_path).X_test.index[0])
    table = TABLE.assign(size=TABLE["size"].where(TABLE.index != row, np.inf))
    with pytest.raises(DataError, match=r"column 'size' holds infinite values.*\(1\)"):
        load_table(tmp_path, table)
