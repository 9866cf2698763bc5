"""Real tables with gaps, categories and several classes: each runs to a model that answers for rows
as they come.

They lie in the packages palmerpenguins and vega_datasets, and are read as files: nothing of the
packages is imported.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from mlflow.exceptions import MlflowException

from tests.support.checker import check_stores, read_stores
from tests.support.here import run_here
from tests.support.servers import free_port, serving
from tests.support.stores import stores_of


def read_packaged(package: str, path: str) -> pd.DataFrame:
    file = Path(str(distribution(package).locate_file(path)))
    return pd.read_json(file) if file.suffix == ".json" else pd.read_csv(file)


@dataclass(frozen=True)
class Real:
    """A real table, the file that it becomes, and what is asked of its model.

    Attributes:
        package: Where it comes from.
        path: Its place there.
        file: The file that is searched on, as which format.
        target: The column to predict.
        section: More lines of ``[data]``.
        kinds: What the report says of the columns.
        number: A numeric column, which gets a missing value and a wrong type.
        category: A categorical column, which gets a value that no row has.
    """

    package: str
    path: str
    file: str
    target: str
    section: str
    kinds: str
    number: str
    category: str

    def read(self) -> pd.DataFrame:
        return read_packaged(self.package, self.path)

    def write(self, directory: Path) -> None:
        path = directory / self.file
        if path.suffix == ".parquet":
            self.read().to_parquet(path)
        elif path.suffix == ".feather":
            self.read().to_feather(path)
        else:
            self.read().to_csv(path, index=False)
        study = f'[data]\nsource = "{self.file}"\ntarget = "{self.target}"\n{self.section}\n'
        (directory / "study.toml").write_text(study, encoding="utf-8")


REAL = {
    "penguins": Real(
        "palmerpenguins",
        "palmerpenguins/data/penguins.csv",
        "penguins.csv",
        "species",
        "",
        "5 numeric, 2 categorical",
        "bill_length_mm",
        "island",
    ),
    "penguins-raw": Real(
        "palmerpenguins",
        "palmerpenguins/data/penguins-raw.csv",
        "penguins-raw.csv.gz",
        "Species",
        'drop = ["studyName", "Individual ID"]',
        "7 numeric, 4 categorical, 1 datetime",
        "Delta 15 N (o/oo)",
        "Island",
    ),
    "cars": Real(
        "vega_datasets",
        "vega_datasets/_data/cars.json",
        "cars.parquet",
        "Origin",
        'categorical = ["Cylinders"]',
        "5 numeric, 2 categorical, 1 datetime",
        "Horsepower",
        "Name",
    ),
    "la-riots": Real(
        "vega_datasets",
        "vega_datasets/_data/la-riots.csv",
        "la-riots.feather",
        "type",
        'drop = ["first_name", "last_name", "address"]',
        "3 numeric, 3 categorical, 1 datetime",
        "age",
        "neighborhood",
    ),
}
N_TRIALS = 3
Runs = dict[str, tuple[Path, subprocess.CompletedProcess[str]]]


@pytest.fixture(scope="module")
def runs(make_directory: Callable[[str], Path]) -> Runs:
    """A run of each table."""
    runs = {}
    for name, table in REAL.items():
        directory = make_directory(name)
        table.write(directory)
        flags = ("--study", "study.toml", "--trials", str(N_TRIALS))
        runs[name] = (directory, run_here(directory, *flags))
    return runs


def stores(directory: Path, name: str) -> dict[str, str]:
    return {**stores_of(directory), "study": name}


def raw_rows(name: str) -> pd.DataFrame:
    """Whole raw rows as people have them, without the target: a gap, a new category, both,
    everything missing, and one as it is.
    """
    real = REAL[name]
    table = real.read().drop(columns=real.target).dropna(subset=[real.number])
    rows = pd.concat([table.head(1)] * 5, ignore_index=True)
    rows.loc[[0, 2], real.number] = np.nan
    rows.loc[[1, 2], real.category] = "never seen"
    rows.loc[3, :] = np.nan
    return rows


def model_rows(name: str, features: list[str]) -> pd.DataFrame:
    """The same as a data frame of other dtypes that hold the same values."""
    rows = raw_rows(name)[features]
    for column in features:
        if pd.api.types.is_numeric_dtype(rows[column]) and column != "Cylinders":
            rows[column] = rows[column].astype(np.float64)
        elif column in ("Date Egg", "Year", "death_date"):
            rows[column] = pd.to_datetime(rows[column])
        else:
            rows[column] = rows[column].astype(object).where(rows[column].notna(), None)
    if "Cylinders" in features:
        rows["Cylinders"] = ["8", "8", "8", None, "8"]
    return rows


def classes(name: str) -> set[str]:
    return set(REAL[name].read()[REAL[name].target])


@pytest.mark.parametrize("name", REAL)
def test_table_is_real(name: str) -> None:
    table = REAL[name].read()
    assert len(classes(name)) > 2
    assert table.isna().any().any()
    assert not pd.api.types.is_numeric_dtype(table[REAL[name].category])
    assert pd.api.types.is_numeric_dtype(table[REAL[name].number])
    assert table[REAL[name].number].isna().any()


@pytest.mark.parametrize("name", REAL)
def test_table_runs_to_a_model(runs: Runs, name: str) -> None:
    directory, process = runs[name]
    assert (process.returncode, process.stderr) == (0, ""), process.stderr
    assert f"columns   {REAL[name].kinds}\n" in process.stdout
    check_stores(**stores(directory, name), n_trials=N_TRIALS)


def test_constant_columns_of_a_real_table_are_dropped_and_said(runs: Runs) -> None:
    report = runs["penguins-raw"][1].stdout
    assert "note      'Region' dropped: it is 'Anvers' in every row\n" in report
    assert "note      'Stage' dropped: it is 'Adult, 1 Egg Stage' in every row\n" in report


@pytest.mark.parametrize("name", REAL)
def test_logged_model_answers_for_gaps_and_unseen_categories(runs: Runs, name: str) -> None:
    model = mlflow.pyfunc.load_model(
        read_stores(**stores(runs[name][0], name)).model.artifact_location
    )
    rows = model_rows(name, list(model.input_example))
    predicted = model.predict(rows)
    assert len(predicted) == len(rows)
    assert set(predicted) <= classes(name)


@pytest.mark.parametrize("name", REAL)
def test_logged_model_refuses_a_wrong_type(runs: Runs, name: str) -> None:
    model = mlflow.pyfunc.load_model(
        read_stores(**stores(runs[name][0], name)).model.artifact_location
    )
    rows = model_rows(name, list(model.input_example))
    rows[REAL[name].number] = "much"
    with pytest.raises(
        MlflowException,
        match=re.escape(f"column '{REAL[name].number}' should be numbers, but got 'much'"),
    ):
        model.predict(rows)


@pytest.mark.parametrize(
    "name", ["penguins", "penguins-raw", "cars"]
)  # of the riots' 63 deaths there is little to learn
def test_model_is_better_than_the_commonest_class(runs: Runs, name: str) -> None:
    trials = read_stores(**stores(runs[name][0], name)).trials
    share = REAL[name].read()[REAL[name].target].value_counts(normalize=True).max()
    assert max(trial.value for trial in trials) > share


@pytest.fixture(scope="module")
def served(runs: Runs) -> Iterator[str]:
    directory, _ = runs["penguins"]
    uri = read_stores(**stores(directory, "penguins")).model.artifact_location
    with serving(
        directory,
        free_port(),
        "models",
        "serve",
        "-m",
        uri,
        "--env-manager",
        "local",
        health="/ping",
    ) as address:
        yield f"{address}/invocations"


def post(address: str, rows: list[dict[str, Any]]) -> requests.Response:
    return requests.post(address, json={"dataframe_records": rows}, timeout=30)


def records(n_rows: int) -> list[dict[str, Any]]:
    """Raw rows as a program sends them: null for what is missing, whole numbers among the others."""
    rows = raw_rows("penguins").head(n_rows)
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in rows.to_dict("records")
    ]


def test_served_model_answers_for_gaps_and_unseen_categories(served: str) -> None:
    answer = post(served, records(5))
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    assert len(predictions) == 5
    assert set(predictions) <= classes("penguins")
    assert predictions[4] == "Adelie"


def test_served_model_is_as_good_as_it_said(served: str) -> None:
    table = REAL["penguins"].read()
    rows = [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]
    answer = post(served, rows)
    assert answer.status_code == 200, answer.text
    assert (np.asarray(answer.json()["predictions"]) == table["species"]).mean() > 0.95


@pytest.mark.parametrize(
    ("column", "value"), [("bill_length_mm", "long"), ("year", "MMVII"), ("bill_length_mm", [1.0])]
)
def test_served_model_refuses_a_wrong_type(served: str, column: str, value: Any) -> None:
    answer = post(served, [{**records(5)[4], column: value}])
    assert answer.status_code == 400, answer.text
    assert f"column '{column}' should be numbers, but got" in answer.json()["message"]


def test_served_model_refuses_a_missing_column(served: str) -> None:
    row = records(5)[4]
    del row["island"]
    answer = post(served, [row])
    assert answer.status_code == 400, answer.text
    assert "island" in answer.text
