"""Classes with too few rows: refused, dropped or pooled, so that every split holds the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hpo.data.dataset import Dataset, load_dataset
from hpo.definition import CvSection, DataSection
from hpo.errors import DataError
from hpo.estimators.classification import CLASSIFICATION

RNG = np.random.default_rng(0)


def table(**counts: int) -> pd.DataFrame:
    y = RNG.permutation(np.repeat(list(counts), list(counts.values())))
    return pd.DataFrame({"x": RNG.normal(size=len(y)), "y": y})


def load(
    frame: pd.DataFrame, *, nested: int | None = None, n_splits: int = 5, **keys: object
) -> Dataset:
    section = DataSection.model_validate({"source": "t", "target": "y", **keys})
    return load_dataset(
        section, CLASSIFICATION, seed=0, n_splits=n_splits, nested=nested, frame=frame
    )


def counts_of(dataset: Dataset) -> dict[str, int]:
    labels, counts = np.unique(
        np.concatenate([dataset.y_train, dataset.y_test]), return_counts=True
    )
    return dict(zip(labels.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("n", [1, 3])
def test_refusal_names_the_class_and_the_line_that_does_without_it(n):
    with pytest.raises(DataError, match=f"class 'rare' has {n - (n > 1)}") as caught:
        load(table(big=80, small=40, rare=n))
    assert 'set data.rare to "drop" or "pool"' in caught.value.hint


def test_of_two_classes_both_are_needed():
    with pytest.raises(DataError, match="class 'rare' has 2") as caught:
        load(table(big=80, rare=3), rare="drop")
    assert caught.value.hint == "set cv.n_splits to 2, or add rows of that class"


def test_rows_of_rare_classes_are_dropped_and_counted():
    dataset = load(table(big=80, small=40, rare=3, lone=1), rare="drop")
    assert counts_of(dataset) == {"big": 80, "small": 40}
    assert dataset.notes == (
        "4 of 124 rows dropped: classes with too few rows: 'lone' (1), 'rare' (3) (data.rare)",
    )


def test_rare_classes_are_pooled_and_counted():
    dataset = load(table(big=80, a=4, b=4, c=3), rare="pool")
    assert counts_of(dataset) == {"(rare)": 11, "big": 80}
    assert dataset.notes == (
        "classes with too few rows are one class '(rare)': 'c' (3), 'a' (4), 'b' (4) (data.rare)",
    )


def test_numbers_that_are_pooled_become_text_and_others_stay():
    frame = table(big=80, small=40, a=5, b=5).assign(
        y=lambda frame: frame["y"].map({"big": 10, "small": 9, "a": 1, "b": 2})
    )
    assert counts_of(load(frame, rare="pool")) == {"(rare)": 10, "10": 80, "9": 40}
    assert counts_of(load(frame, rare="drop")) == {9: 40, 10: 80}


def test_pool_that_is_too_small_is_refused():
    with pytest.raises(
        DataError, match=r"the pooled class of 'b' \(1\), 'a' \(2\) has 3 rows, still too few$"
    ):
        load(table(big=80, small=40, a=2, b=1), rare="pool")


@pytest.mark.parametrize("rare", ["refuse", "drop", "pool"])
def test_table_without_rare_classes_is_what_it_is(rare):
    frame = table(big=80, small=40, least=7)
    dataset = load(frame, rare=rare)
    assert dataset.digest == load(frame).digest
    assert dataset.notes == ()


@pytest.mark.parametrize("rare", ["drop", "pool"])
@pytest.mark.parametrize("nested", [None, 2, 7])
@pytest.mark.parametrize("has_groups", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_split_holds_what_is_left(rare, nested, has_groups, seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 25, 12)
    y = rng.permutation(np.repeat([f"c{n}" for n in range(14)], [*sizes, 90, 120]))
    frame = pd.DataFrame(
        {"x": rng.normal(size=len(y)), "y": y, "house": rng.integers(0, 40, len(y))}
    )
    group = {"group": "house"} if has_groups else {}
    dataset = load(
        frame if has_groups else frame.drop(columns="house"),
        nested=nested,
        n_splits=4,
        rare=rare,
        **group,
    )
    left = set(counts_of(dataset))
    assert {"c12", "c13"} <= left
    assert len(left) < 14
    assert set(dataset.y_train) == set(dataset.y_test) == left
    cv = CvSection(n_splits=4)
    for train, _ in CLASSIFICATION.split(dataset, cv, 0):
        assert set(dataset.y_train[train]) == left
    if nested is not None:
        CLASSIFICATION.check_outer_folds(dataset, nested, cv, 0)


def test_too_few_groups_are_said_where_dropping_does_not_help():
    frame = table(big=80, small=40, rare=9).assign(house=lambda frame: frame["x"] > 0)
    with pytest.raises(DataError, match="need 6 groups, but 'house' has 2"):
        load(frame, rare="drop", group="house")
