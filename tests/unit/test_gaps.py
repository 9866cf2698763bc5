"""Gaps in a column of labels: what a reader takes for one is one, and no label changes for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpo.data.dataset import Dataset, load_dataset
from hpo.data.gaps import GAPS, mark_gaps
from hpo.definition import DataSection
from hpo.errors import DataError
from hpo.estimators.classification import CLASSIFICATION

BIG = 2**53


def load(source: Path | pd.DataFrame, **keys: object) -> Dataset:
    frame = source if isinstance(source, pd.DataFrame) else None
    section = DataSection.model_validate({"source": str(source), "target": "y", **keys})
    return load_dataset(section, CLASSIFICATION, seed=0, n_splits=5, frame=frame)


def labels_of(dataset: Dataset) -> list[object]:
    return np.unique(np.concatenate([dataset.y_train, dataset.y_test])).tolist()


def table(labels: list[object], gaps: list[object] = ["NA"]) -> pd.DataFrame:  # noqa: B006
    y = [*gaps * 3, *labels * 30]
    return pd.DataFrame({"x": np.arange(len(y)) % 7, "y": pd.Series(y, dtype=object)})


@pytest.mark.parametrize("gap", sorted(GAPS - {""}))
def test_text_that_a_reader_takes_for_a_gap_is_one(tmp_path, gap):
    path = tmp_path / "t.csv"
    table(["low", "high"], [gap, f" {gap} "]).to_csv(path, index=False)
    dataset = load(path)
    assert labels_of(dataset) == ["high", "low"]
    assert dataset.notes == (
        "6 of 66 rows dropped: 'y' is missing there",
        f"'y' is '{gap}' in 6 rows: a gap, no label; data.keep_labels = [\"{gap}\"] keeps it as one",
    )
    table(["low", "high"], [gap] * 3).to_csv(path, index=False)
    kept = load(path, keep_labels=[gap])
    assert labels_of(kept) == sorted([gap, "high", "low"])
    assert kept.notes == ()


@pytest.mark.parametrize("label", ["None", "none", "no", "-", "na", "0", "unknown"])
def test_word_is_a_label(label):
    assert labels_of(load(table(["other"], ["other"]).assign(y=["other", label, label] * 11))) == (
        sorted(["other", label])
    )


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        (["0", "1"], [0, 1]),
        (["0.0", "1.0"], [0, 1]),
        (["007", "8"], [7, 8]),  # as pandas reads a column without gaps
        (["01", "1"], ["01", "1"]),
        (["1", "1.0"], ["1", "1.0"]),
        ([str(BIG), str(BIG + 1)], [BIG, BIG + 1]),
        (["TRUE", "FALSE"], ["FALSE", "TRUE"]),
        (["1", "b"], ["1", "b"]),
    ],
)
def test_labels_of_a_csv_file_are_what_they_are_without_the_gaps(tmp_path, written, labels):
    path = tmp_path / "t.csv"
    table(written).to_csv(path, index=False)
    assert labels_of(load(path)) == labels


VALUES = {
    "text": (["0", "1"], ["0", "1"]),
    "whole numbers": ([0, 1], [0, 1]),
    "large whole numbers": ([BIG, BIG + 1], [BIG, BIG + 1]),
    "floats": ([0.0, 1.0], [0, 1]),
    "booleans": ([False, True], [False, True]),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("gaps", [["NA"], ["NA", None], ["?", pd.NA], [".", float("nan")]])
def test_labels_of_a_frame_keep_their_type(name, gaps):
    values, labels = VALUES[name]
    dataset = load(table(values, gaps))
    assert labels_of(dataset) == labels
    assert (
        dataset.notes[0]
        == f"{3 * len(gaps)} of {60 + 3 * len(gaps)} rows dropped: 'y' is missing there"
    )


def test_parquet_and_pandas_categories_have_gaps_too(tmp_path):
    frame = table(["low", "high"]).astype({"y": "category"})
    frame.to_parquet(tmp_path / "t.parquet")
    for source in (frame, tmp_path / "t.parquet"):
        dataset = load(source)
        assert labels_of(dataset) == ["high", "low"]
        assert "'NA' in 3 rows" in dataset.notes[1]


def test_column_of_bytes_is_left_as_it_is():
    column = pd.Series([b"\xe0l", None, b"NA"], name="y")
    marked, gaps = mark_gaps(column)
    assert marked is column
    assert gaps == {}


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float64"])
def test_nullable_column_is_left_as_it_is(dtype):
    column = pd.Series([0, 1, None] * 3, dtype=dtype, name="y")
    marked, gaps = mark_gaps(column)
    assert marked is column
    assert gaps == {}


def test_kept_label_is_the_one_it_was_for_a_study_begun_before(tmp_path):
    """The digest is that of the commit before ``keep_labels``: such a study goes on with it."""
    path = tmp_path / "t.csv"
    pd.DataFrame({"x": np.arange(60) % 7, "y": ["NA", "yes", "no"] * 20}).to_csv(path, index=False)
    assert load(path, keep_labels=["NA"]).digest == "2c0b76f75f3f56ef9c61f7a3351ace9a"


def test_gaps_that_leave_one_class_are_refused_with_the_way_to_keep_them():
    with pytest.raises(DataError, match="at least 2 classes, but got only 'yes'") as caught:
        load(table(["yes"], ["NA"]))
    assert caught.value.hint == (
        'name another with --target; a gap becomes a label with data.keep_labels = ["NA"]'
    )


def test_numbers_with_gaps_are_no_labels(tmp_path):
    path = tmp_path / "t.csv"
    table([n + 0.5 for n in range(40)]).to_csv(path, index=False)
    with pytest.raises(DataError, match="class label, but got 40 distinct values in 1200 rows"):
        load(path)


def test_label_to_keep_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(DataError, match=r"^data\.keep_labels: 'y' has no label 'N/A '$") as caught:
        load(table(["yes", "no"], ["N/a"]), keep_labels=["N/A "])
    assert "'N/a'" in caught.value.hint


@pytest.mark.parametrize("gap", ["NA", "?", "."])
def test_group_named_like_a_gap_is_a_group(gap):
    frame = table(["yes", "no"], []).assign(
        house=[gap, "a", "b", "c", "d", "e", "f", "g", "h", "i"] * 6
    )
    assert gap in load(frame, group="house").groups
