"""Labels are told apart as the file has them, whatever pandas would make of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.data.dataset import Dataset, load_dataset
from hpo.definition import DataSection
from hpo.estimators.classification import CLASSIFICATION

N_ROWS = 60
BIG = 2**53


def load(path: Path, labels: list[str | int | None]) -> Dataset:
    """Write a table whose target repeats some labels, None being a gap, and load it."""
    column = [labels[row % len(labels)] for row in range(N_ROWS)]
    frame = pd.DataFrame({"x": [row % 17 for row in range(N_ROWS)]})
    if path.suffix == ".csv":
        cells = ["" if label is None else str(label) for label in column]
        lines = [f'{x},"{cell}"' for x, cell in zip(frame["x"], cells, strict=True)]
        path.write_text("\n".join(["x,y", *lines]) + "\n")
    else:
        is_number = all(label is None or isinstance(label, int) for label in labels)
        frame["y"] = pd.array(column, dtype="Int64" if is_number else "str")
        getattr(frame, f"to_{path.suffix[1:]}")(path)
    section = DataSection(source=str(path), target="y", rare="drop")
    return load_dataset(section, CLASSIFICATION, seed=0, n_splits=2)


def classes(dataset: Dataset) -> set[object]:
    return set(dataset.y_train.tolist())


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".feather"])
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["1", "2"], None),
        ([BIG, BIG + 1, None], {BIG, BIG + 1}),
        ([BIG, BIG + 1], {BIG, BIG + 1}),
        ([1, 2, None], {1, 2}),
        (["01", "1"], {"01", "1"}),
        (["1e19", "2e19", "5"], {"1e19", "2e19", "5"}),
        (["9" * 30, "9" * 29 + "8"], {"9" * 30, "9" * 29 + "8"}),
        (["yes", "yes ", "\tno"], {"yes", "no"}),
    ],
)
def test_labels_neither_merge_nor_overflow(
    tmp_path: Path, ending: str, labels: list[str | int | None], expected: set[object] | None
) -> None:
    # A CSV file has no types: what is a number there is one.
    expected = expected or ({1, 2} if ending == ".csv" else {"1", "2"})
    assert classes(load(tmp_path / f"table{ending}", labels)) == expected


def test_blanks_around_labels_are_noted(tmp_path: Path) -> None:
    notes = load(tmp_path / "table.csv", ["yes", "yes ", "no"]).notes
    assert "'y' has blanks around 20 labels: left out" in notes


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([str(BIG), str(BIG + 1), None], {str(BIG), str(BIG + 1)}),
        ([str(BIG), str(BIG + 1)], {str(BIG), str(BIG + 1)}),
        (["1", "2", None], {"1", "2"}),
        (["01234", "1234"], {"01234", "1234"}),
    ],
)
def test_categories_do_not_merge(
    tmp_path: Path, ending: str, cells: list[str | None], expected: set[str]
) -> None:
    is_code = "01234" in cells
    values = [cells[row % len(cells)] for row in range(N_ROWS)]
    frame = pd.DataFrame({"code": values, "y": ["a", "b", "b"] * 20})
    frame["code"] = frame["code"].astype("str" if is_code else "Int64")
    path = tmp_path / f"table{ending}"
    frame.to_csv(path, index=False) if ending == ".csv" else frame.to_parquet(path)
    section = DataSection(source=str(path), target="y", categorical=() if is_code else ("code",))
    dataset = load_dataset(section, CLASSIFICATION, seed=0, n_splits=2)
    assert {*dataset.X_train["code"].dropna()} == expected
    assert dataset.X_train["code"].isna().any() == (None in cells)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.integers(-(10**20), 10**20).map(str),
            st.from_regex(r"0{0,2}[0-9]{1,3}", fullmatch=True),
            st.sampled_from(["yes", "no", "1e19", "2e19", "True", "true", "1e3", "-0", "nein"]),
        ),
        min_size=2,
        max_size=4,
        unique=True,
    ),
    st.booleans(),
)
def test_two_labels_are_one_class_only_where_their_values_are(
    tmp_path: Path, labels: list[str], has_gap: bool
) -> None:
    """Truth in two spellings, and one number in two, are one class; nothing else is."""
    given_labels: list[str | int | None] = [*labels, *([None] if has_gap else [])]
    is_truth = all(label.lower() in ("true", "false") for label in labels)
    is_same_number = {int(label) if label != "1e3" else 1000 for label in labels if is_plain(label)}
    n_plain = sum(map(is_plain, labels))
    if is_truth or len(is_same_number) < n_plain:
        return
    assert len(classes(load(tmp_path / "table.csv", given_labels))) == len(labels)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["01", "1", "2", "3"], {"01", "1", "2", "3"}),
        (["1.0", "2.0", "3.0", "4.0"], {"1.0", "2.0", "3.0", "4.0"}),
        (["001", "002", "003", "004"], {"1", "2", "3", "4"}),  # as pandas reads them
        (["a", "a ", " b", "c", "d"], {"a", "b", "c", "d"}),
    ],
)
def test_groups_neither_merge_nor_split_by_blanks(
    tmp_path: Path, names: list[str], expected: set[str]
) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{row % 17},{names[row % len(names)]},{'ab'[row % 7 % 2]}" for row in range(N_ROWS)]
    path.write_text("\n".join(["x,g,y", *rows]) + "\n")
    section = DataSection(source=str(path), target="y", group="g", test_size=0.4)
    dataset = load_dataset(section, CLASSIFICATION, seed=0, n_splits=2)
    assert {*dataset.groups, *dataset.groups_test} == expected


def is_plain(label: str) -> bool:
    """Whether a label is a number without leading zeros."""
    digits = label.removeprefix("-")
    return label == "1e3" or (digits.isdigit() and (digits == "0" or digits[0] != "0"))
