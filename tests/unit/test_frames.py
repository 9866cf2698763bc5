"""A user's own DataFrame: what a file of it would be, with the same refusals."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.data.dataset import Dataset, load_dataset
from hpo.definition import DataSection
from hpo.errors import DataError, DefinitionError
from hpo.estimators.classification import CLASSIFICATION
from hpo.study_file import load_definition

N_ROWS = 60
RNG = np.random.default_rng(0)


def table(**columns: Any) -> pd.DataFrame:
    made = {
        "length": RNG.normal(size=N_ROWS),
        "plan": ["a", "b", "c"] * (N_ROWS // 3),
        "species": ["cat", "dog"] * (N_ROWS // 2),
    }
    return pd.DataFrame({**made, **columns})


def load(frame: Any, **keys: Any) -> Dataset:
    section = DataSection.model_validate({"source": "DataFrame", "target": "species", **keys})
    return load_dataset(section, CLASSIFICATION, seed=0, n_splits=5, frame=frame)


def test_frame_and_file_are_the_same_data(tmp_path: Path) -> None:
    frame = table(
        number=np.arange(N_ROWS) % 7, flag=RNG.random(N_ROWS) > 0.5, day=pd.Timestamp("2026-01-01")
    )
    frame.to_parquet(tmp_path / "t.parquet")
    section = DataSection(source=str(tmp_path / "t.parquet"), target="species")
    from_file, from_frame = load_dataset(section, CLASSIFICATION, seed=0, n_splits=5), load(frame)
    assert from_frame.digest == from_file.digest
    assert from_frame.columns == from_file.columns
    pd.testing.assert_frame_equal(from_frame.X_train, from_file.X_train)


def test_frame_is_left_as_it_is_and_its_index_has_no_part() -> None:
    frame = table().rename(columns={"length": 7})
    frame.index = pd.Index(range(N_ROWS, 0, -1), name="species")
    before = frame.copy(deep=True)
    dataset = load(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert dataset.columns.features == ("7", "plan")
    assert dataset.digest == load(frame.reset_index(drop=True)).digest
    assert dataset.name == "DataFrame"


def test_another_value_is_other_data() -> None:
    frame = table()
    other = frame.copy()
    other.loc[3, "plan"] = "b" if frame.loc[3, "plan"] != "b" else "a"
    assert load(frame).digest != load(other).digest


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Series(RNG.integers(0, 5, N_ROWS), dtype="Int64").mask(lambda s: s == 1), "numeric"),
        (pd.Series(["x", "y"] * 30, dtype="category"), "categorical"),
        (pd.Series(["x", None, "z"] * 20, dtype="string"), "categorical"),
        (pd.Series([True, None, False] * 20, dtype="boolean"), "boolean"),
        (pd.Series(pd.date_range("2026-01-01", periods=N_ROWS, tz="Europe/Berlin")), "datetime"),
        (pd.Series([dt.date(2026, 1, 1 + n % 9) for n in range(N_ROWS)]), "datetime"),
        (pd.Series([1, "two", 3.5, None] * 15, dtype=object), "categorical"),
    ],
)
def test_dtypes_that_only_a_frame_has(column: pd.Series, kind: str) -> None:
    dataset = load(table(extra=column))
    assert "extra" in dataset.columns.kinds()[kind]
    assert len(dataset.X_train) + len(dataset.X_test) == N_ROWS


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (np.zeros((3, 2)), "data: DataFrame: this should be a pandas DataFrame, but got ndarray"),
        (table().set_axis(["a", "a", "species"], axis=1), "a DataFrame has the column 'a' twice"),
        (table().set_axis(["1", 1, "species"], axis=1), "a DataFrame has the column '1' twice"),
        (table().head(0), "a DataFrame has a header but no rows"),
        (table(length=[np.inf, 1.0] * (N_ROWS // 2)), "column 'length' holds infinite values"),
        (table(extra=[[1, 2]] * N_ROWS), "column 'extra' holds lists"),
        (table(species="cat"), "should have at least 2 classes, but got only 'cat'"),
        (table(species=RNG.normal(size=N_ROWS)), "should be a class label, but got"),
        (table().drop(columns="species"), "DataFrame has no column 'species'"),
    ],
)
def test_refusals_are_those_of_a_file(frame: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        load(frame)
    assert said.removeprefix("data: DataFrame: ") in str(caught.value)
    assert caught.value.hint


def test_target_is_needed() -> None:
    with pytest.raises(DataError, match="data: a DataFrame needs a target column"):
        load(table(), target=None)


def test_study_of_a_frame_needs_a_name() -> None:
    with pytest.raises(DefinitionError, match=r"study\.name: a study of a DataFrame needs a name"):
        load_definition().for_frame()
    named = load_definition(overrides={"study.name": "mine"})
    assert named.for_frame().identity() == named.identity()
    assert named.for_frame().name == "mine"
