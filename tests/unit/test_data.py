"""Tables: checked, held out and named by a digest."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris

from hpo.data import Dataset, load_dataset
from hpo.definition import DataSection
from hpo.errors import DataError


def load(source: str = "iris", *, seed: int = 0, n_splits: int = 5, **keys: object) -> Dataset:
    return load_dataset(DataSection.model_validate({"source": source, **keys}), seed=seed, n_splits=n_splits)


@pytest.mark.parametrize(
    ("source", "n_rows", "n_features", "n_classes"),
    [("iris", 150, 4, 3), ("wine", 178, 13, 3), ("breast_cancer", 569, 30, 2), ("digits", 1797, 64, 10)],
)
def test_bundled_tables(source, n_rows, n_features, n_classes):
    dataset = load(source)
    assert len(dataset.X_train) + len(dataset.X_test) == n_rows
    assert dataset.X_train.shape[1] == dataset.X_test.shape[1]
    assert dataset.X_train.shape[1] + sum("dropped" in note for note in dataset.notes) == n_features
    assert len(dataset.classes) == n_classes
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
    dataset = load("digits", target="pixel_0_1", n_splits=2)
    assert dataset.target == "pixel_0_1"
    assert "pixel_0_1" not in dataset.X_train.columns
    assert "target" in dataset.X_train.columns


def test_digest_stands_for_the_table_not_for_its_split():
    digest = load().digest
    assert len(digest) == 32
    assert load(seed=3, test_size=0.4, n_splits=2).digest == digest
    assert load(drop=["sepal width (cm)"]).digest != digest
    assert load("wine").digest != digest


def test_unknown_table_is_refused_with_the_nearest():
    with pytest.raises(DataError, match=r"this should be a file or one of iris, wine, .*, but got 'irsi'$") as caught:
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
    with pytest.raises(DataError, match=r"no feature is left: all are dropped, the target or the group$"):
        load(drop=list(load_iris(as_frame=True).data.columns))


def test_one_class_is_refused():
    with pytest.raises(DataError, match=r"target 'pixel_0_0' should have at least 2 classes, but got only '0'$"):
        load("digits", target="pixel_0_0")


def test_continuous_target_is_refused():
    with pytest.raises(DataError, match=r"target 'mean radius' should be a class label, but got \d+ distinct values in 569 rows"):
        load("breast_cancer", target="mean radius")


@pytest.mark.parametrize("test_size", [0.001, 0.999])
def test_half_that_cannot_hold_every_class_is_refused(test_size):
    with pytest.raises(DataError, match=rf"a hold-out of test_size = {test_size} does not hold every class") as caught:
        load("digits", test_size=test_size)
    assert "data.test_size" in caught.value.hint


def test_class_with_fewer_rows_than_folds_is_refused_with_a_number_that_would_do():
    with pytest.raises(DataError, match="every class needs n_splits = 30 training rows, but class '0' has 10") as caught:
        load("iris", test_size=0.8, n_splits=30)
    assert caught.value.hint == "set cv.n_splits to 10, or drop the class"
    assert len(load("iris", test_size=0.8, n_splits=10).X_train) == 30
