"""``--register`` on a real table: what the command says, and what is served and predicted by the
champion.
"""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from mlflow import MlflowClient

from tests.support.here import call_main, run_here
from tests.support.servers import free_port, serving
from tests.support.stores import stores_of

from .test_real_tables import REAL

USELESS = "[search_space]\npenalty = 'l1'\nC = 1e-4\nclass_weight = 'none'\n"
"""All coefficients are zero: the commonest class is what it answers."""

POOR = "[search_space]\npenalty = 'l1'\nC = 0.05\nclass_weight = 'none'\n"
GOOD = "[search_space]\npenalty = 'l2'\nC = 1.0\nclass_weight = 'none'\n"


@pytest.fixture(scope="module")
def directory(make_directory: Callable[[str], Path]) -> Path:
    """The penguins, and the models of four studies on them, registered one after the other."""
    directory = make_directory("registry")
    for name, space in {"poor": POOR, "good": GOOD, "useless": USELESS}.items():
        REAL["penguins"].write(directory)
        with (directory / "study.toml").open("a") as study:
            study.write(space)
        (directory / "study.toml").rename(directory / f"{name}.toml")
    return directory


def run(
    directory: Path, study: str, name: str, *flags: str, model: str = "penguins"
) -> subprocess.CompletedProcess[str]:
    return run_here(
        directory,
        "--study",
        f"{study}.toml",
        "--name",
        name,
        "--trials",
        "1",
        "--register",
        model,
        *flags,
    )


def registry(directory: Path) -> tuple[dict[str, int], int]:
    client = MlflowClient(stores_of(directory)["tracking_uri"])
    found = client.get_registered_model("penguins").aliases
    return {alias: int(version) for alias, version in found.items()}, len(
        client.search_model_versions("name = 'penguins'")
    )


@pytest.fixture(scope="module")
def reports(directory: Path) -> list[dict[str, Any]]:
    """What each run said, as JSON."""
    processes = [
        run(directory, *study, "--json")
        for study in (("poor", "a"), ("good", "b"), ("poor", "c"), ("poor", "c"))
    ]
    assert [(process.returncode, process.stderr) for process in processes] == [(0, "")] * 4
    return [json.loads(process.stdout)["registry"] for process in processes]


def test_champion_moves_to_the_better_model_and_stays_there(
    directory: Path, reports: list[dict[str, Any]]
) -> None:
    said = [(report["version"], report["decision"], report["champion"]) for report in reports]
    assert said == [(1, "champion", 1), (2, "champion", 2), (3, "kept", 2), (3, "kept", 2)]
    assert reports[0]["comparison"] == "there was no champion"
    assert "on the same 69 held-out rows" in reports[1]["comparison"]
    assert reports[2] == reports[3]
    assert registry(directory) == ({"champion": 2, "challenger": 3}, 3)


def test_model_that_ignores_the_columns_does_not_become_the_champion(directory: Path) -> None:
    process = run(directory, "useless", "d", model="useless")
    assert (process.returncode, process.stderr) == (0, "")
    lines = process.stdout.splitlines()
    assert lines[0] == "verdict   No better than always answering 'Adelie': do not use this model"
    (said,) = [line for line in lines if line.startswith("registry")]
    assert said.startswith(
        "registry  useless version 1 is the challenger; the champion is for you to choose:"
        " there was no champion; no better than always answering 'Adelie' (accuracy "
    )
    client = MlflowClient(stores_of(directory)["tracking_uri"])
    assert client.get_registered_model("useless").aliases.keys() == {"challenger"}


def test_report_says_it_in_words(directory: Path, reports: list[dict[str, Any]]) -> None:
    line = next(
        line
        for line in run(directory, "poor", "c").stdout.splitlines()
        if line.startswith("registry")
    )
    assert (
        line
        == f"registry  penguins version 3 is the challenger; the champion is version 2: {reports[2]['comparison']}"
    )


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"bill_length_mm": None, "sex": None}, 200),
        ({"island": "Atlantis"}, 200),
        ({"bill_length_mm": "long"}, 400),
        ({"year": [2007]}, 400),
    ],
)
@pytest.mark.usefixtures("reports")
def test_champion_is_served_and_answers_or_refuses(
    served: str, changes: dict[str, Any], status: int
) -> None:
    row = {"island": "Biscoe", "bill_length_mm": 45.0, "bill_depth_mm": 15.0, "flipper_length_mm": 215.0, "body_mass_g": 5000.0,
           "sex": "male", "year": 2008.0, **changes}  # fmt: skip
    answer = requests.post(served, json={"dataframe_records": [row]}, timeout=30)
    assert answer.status_code == status, answer.text
    assert status != 200 or answer.json() == {"predictions": ["Gentoo"]}


@pytest.fixture(scope="module")
def served(directory: Path, reports: list[dict[str, Any]]) -> Any:
    assert reports
    uri = stores_of(directory)["tracking_uri"]
    arguments = ("models", "serve", "-m", "models:/penguins@champion", "--env-manager", "local")
    with serving(
        directory, free_port(), *arguments, health="/ping", MLFLOW_TRACKING_URI=uri
    ) as address:
        yield f"{address}/invocations"


def test_predict_says_what_the_server_says(directory: Path, served: str) -> None:
    process = call_main(directory, "predict", "models:/penguins@champion", "penguins.csv")
    assert (process.returncode, process.stderr) == (0, "hpo: not used by the model: 'species'\n")
    predicted = pd.read_csv(io.StringIO(process.stdout))
    table = pd.read_csv(directory / "penguins.csv").astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    answer = requests.post(served, json={"dataframe_records": rows}, timeout=30)
    assert answer.json()["predictions"] == predicted["prediction"].tolist()
    probabilities = predicted.filter(like="probability_")
    assert (
        predicted["prediction"].tolist()
        == probabilities.idxmax(axis=1).str.removeprefix("probability_").tolist()
    )
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_registry_failure_loses_nothing_and_the_same_command_goes_on(
    make_directory: Callable[[str], Path],
) -> None:
    directory = make_directory("failing")
    flags = ("--trials", "1", "--register", "penguins", "--tracking-wait", "0")
    refuse(
        directory,
        "CREATE TRIGGER full BEFORE INSERT ON registered_model_aliases BEGIN SELECT raise(ABORT, 'disk full'); END",
    )
    process = run_here(directory, *flags)
    assert process.returncode == 3
    assert process.stderr.splitlines()[-1].startswith(
        "hpo: the final model is logged, but not all that follows is done: MLflow: "
    )
    assert "model     models:/m-" in process.stdout
    refuse(directory, "DROP TRIGGER full")
    process = run_here(directory, *flags)
    assert (process.returncode, process.stderr) == (0, "")
    assert (
        "registry  penguins version 1 became the champion: there was no champion" in process.stdout
    )
    assert registry(directory) == ({"champion": 1, "challenger": 1}, 1)


def refuse(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "mlflow.db")) as connection, connection:
        connection.execute(statement)
