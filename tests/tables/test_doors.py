"""Whatever the table: a row gets from a logged model, by every door, what it got in training."""

from __future__ import annotations

import tempfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn import datasets

from hpo.errors import HpoError
from tests.support.doors import check_table

PENGUINS = "palmerpenguins/data/penguins.csv"
RAW_PENGUINS = "palmerpenguins/data/penguins-raw.csv"
WEATHER = "vega_datasets/_data/seattle-weather.csv"
CARS = "vega_datasets/_data/cars.json"


@pytest.mark.parametrize(
    ("package", "path", "target", "drop"),
    [
        ("palmerpenguins", PENGUINS, "species", []),
        ("palmerpenguins", PENGUINS, "island", ["year"]),
        ("palmerpenguins", RAW_PENGUINS, "Species", ["Comments"]),
        ("vega_datasets", WEATHER, "weather", []),
        ("vega_datasets", CARS, "Origin", ["Name"]),
    ],
)
def test_real_table(tmp_path: Path, package: str, path: str, target: str, drop: list[str]) -> None:
    file = Path(str(distribution(package).locate_file(path)))
    table = pd.read_json(file) if file.suffix == ".json" else pd.read_csv(file)
    table.to_csv(tmp_path / "table.csv", index=False)
    check_table(tmp_path / "table.csv", target, drop=drop)


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_table_of_plain_numbers(tmp_path: Path, name: str) -> None:
    getattr(datasets, f"load_{name}")(as_frame=True).frame.to_csv(
        tmp_path / "table.csv", index=False
    )
    check_table(tmp_path / "table.csv", "target")


def test_number_that_is_named_as_a_category(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grade = rng.integers(1, 5, 300)
    table = pd.DataFrame({"x": rng.normal(size=300), "grade": grade})
    table["target"] = np.where(table["x"] + (grade == 2) + rng.normal(size=300) > 0.5, "yes", "no")
    table.to_csv(tmp_path / "table.csv", index=False)
    check_table(tmp_path / "table.csv", "target", categorical=("grade",))


CELLS = {
    "whole": ["1", "2", "30", "-4"],
    "whole with gaps": ["1", "2", "30", ""],
    "decimal": ["0.5", "1.25", "3.0", "7"],
    "truth": ["TRUE", "FALSE", "true", ""],
    "blanks": ["No ", " yes", "yes", "NA"],
    "codes": ["007", "7", "A1", "1.50"],
    "codes of digits": ["01234", "1234", "7", "00"],
    "words for gaps": ["a", "N/A", "null", "b"],
    "mostly numbers": ["1", "2", "none of them", "3"],
    "dates": ["2026-01-31", "2025-12-01T10:00", "2024-02-29", ""],
    "thousands": ["1,234", "5", "12,345.5", ""],
    "decimal comma": ["1,5", "2,25", "1.234,5", "3"],
}
"""What a column may hold, as text in a file."""

N_ROWS = 60


@settings(
    deadline=None,
    max_examples=8,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    kinds=st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 2**16),
)
def test_any_table(kinds: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({kind: rng.choice(CELLS[kind], N_ROWS) for kind in kinds})
    table["target"] = rng.permutation(["x", "y"] * (N_ROWS // 2))
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "table.csv")
        table.to_csv(file, index=False)
        try:
            check_table(file, "target")
        except HpoError as refusal:
            assert "\n" not in str(refusal)  # noqa: PT017 - a model or one line


def test_free_text(tmp_path: Path) -> None:
    notes = ["A dull, long plot.", "", "12", "NA", "one lovely scene", "__loader__ is a word", "é"]
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"note": rng.choice(notes, N_ROWS), "more": rng.choice(notes, N_ROWS)})
    table["target"] = rng.permutation(["x", "y"] * (N_ROWS // 2))
    table.to_csv(tmp_path / "table.csv", index=False)
    check_table(tmp_path / "table.csv", "target", text=("note", "more"))


@pytest.mark.parametrize("kind", CELLS)
def test_each_kind_of_column(tmp_path: Path, kind: str) -> None:
    cells = CELLS[kind] * (N_ROWS // 4)
    table = pd.DataFrame(
        {"a": cells, "target": np.random.default_rng(0).permutation(["x", "y"] * (N_ROWS // 2))}
    )
    table.to_csv(tmp_path / "table.csv", index=False)
    check_table(tmp_path / "table.csv", "target")
