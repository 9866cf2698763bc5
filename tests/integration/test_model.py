"""The logged model, as somebody else uses it: loaded in a fresh process, and served over HTTP."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import skops.io
from mlflow.entities import LoggedModel
from mlflow.models import Model
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hpo.estimators.batch_prediction import predict_table
from hpo.estimators.loading import load_model
from hpo.tracking.models import SHIPPED_MODULES
from tests.support.checker import read_stores
from tests.support.commands import run_python
from tests.support.doors import post
from tests.support.here import call_main, run_here_well
from tests.support.servers import free_port, serving
from tests.support.sharing import FinishedRun
from tests.support.stores import stores_of

SERVE = ("models", "serve", "--env-manager", "local", "--workers", "1")

LOADED_FIRST = """
import sys, mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(model.input_example).tolist(), end=" ")
import hpo
assert hpo.__file__.startswith(sys.argv[1]), hpo.__file__
print(hpo.run_study.__name__)
"""

WITHOUT_HPO = """
import sys, mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
import hpo
assert hpo.__path__ == [sys.argv[1] + "/code/hpo"], hpo.__path__
print(model.predict(model.input_example).tolist(), end=" ")
raw = mlflow.sklearn.load_model(sys.argv[1])
print(sorted({type(step).__module__.partition(".")[0] for _, step in raw.steps}))
"""

LOAD = """
import json, sys, mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
example = model.input_example
print(json.dumps({"example": example.to_dict("list"), "predicted": model.predict(example).tolist()}))
"""


def refit(params: dict[str, str]) -> tuple[LogisticRegression, np.ndarray, np.ndarray]:
    """The best params fitted with scikit-learn alone; gives the model and the hold-out."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=0
    )
    classifier = LogisticRegression(
        C=float(params["C"]),
        l1_ratio=float({"l2": 0, "l1": 1}.get(params["penalty"], params.get("l1_ratio"))),
        class_weight={"none": None}.get(params["class_weight"], params["class_weight"]),
        solver=params["solver"],
        max_iter=int(params["max_iter"]),
        tol=float(params["tol"]),
        random_state=int(params["random_state"]),
    )
    return make_pipeline(StandardScaler(), classifier).fit(X_train, y_train), X_test, y_test


def test_model_loads_and_predicts_in_a_fresh_process(finished: FinishedRun) -> None:
    model = read_stores(**stores_of(finished.directory)).model
    process = run_python(finished.directory, "-c", LOAD, model.model_uri)
    assert process.returncode == 0, process.stderr
    answer = json.loads(process.stdout)
    example = pd.DataFrame(answer["example"])
    assert list(example) == list(load_iris(as_frame=True).data)
    fitted, _, _ = refit(model.params)
    assert answer["predicted"] == fitted.predict(example).tolist()


def test_holdout_score_is_that_of_an_independent_refit(finished: FinishedRun) -> None:
    model = read_stores(**stores_of(finished.directory)).model
    fitted, X_test, y_test = refit(model.params)
    recorded = {point.key: point.value for point in model.metrics}
    assert recorded["test_accuracy"] == accuracy_score(y_test, fitted.predict(X_test))


def test_signature_names_every_input_and_an_output(finished: FinishedRun) -> None:
    logged = read_stores(**stores_of(finished.directory)).model
    signature = Model.load(f"{logged.artifact_location}/MLmodel").signature
    columns = [(column.name, column.type.name, column.required) for column in signature.inputs]
    assert columns == [(name, "double", True) for name in load_iris(as_frame=True).data.columns]
    assert len(signature.outputs.inputs) == 1


def test_model_of_plain_numbers_holds_classes_of_scikit_learn_alone(finished: FinishedRun) -> None:
    directory = read_stores(**stores_of(finished.directory)).model.artifact_location
    assert skops.io.get_untrusted_types(file=f"{directory}/model.skops") == ["numpy.dtype"]


@pytest.fixture(scope="module")
def shop(make_directory: Callable[[str], Path]) -> Path:
    """A finished run on a table with every kind of column, registered."""
    directory = make_directory("shop")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "whole": rng.integers(0, 50, 120),
        "flag": rng.choice(["TRUE", "FALSE"], 120),
        "word": rng.choice(["No ", "yes"], 120),
        "day": pd.date_range("2026-01-31", periods=120).strftime("%Y-%m-%d"),
        "gappy": np.where(rng.random(120) < 0.9, np.nan, rng.integers(0, 9, 120)),
        "id": [f"customer-{number}" for number in range(120)],
    })  # fmt: skip
    table["buys"] = np.where(table["whole"] + 20 * (table["word"] == "yes") > 30, "y", "n")
    table.to_csv(directory / "shop.csv", index=False)
    flags = ("--data", "shop.csv", "--target", "buys", "--trials", "2", "--register", "shop")
    run_here_well(directory, *flags)
    return directory


def model_of(directory: Path) -> LoggedModel:
    return read_stores(**stores_of(directory), study="shop").model


def test_package_works_in_the_process_of_a_model_that_was_first(shop: Path) -> None:
    """Most other tests load a model where the package is already."""
    location = model_of(shop).artifact_location
    process = run_python(shop, "-W", "ignore", "-c", LOADED_FIRST, location)
    assert process.returncode == 0, process.stderr
    assert process.stdout.endswith(" run_study\n")


def test_model_brings_what_it_needs_where_the_package_is_not(shop: Path) -> None:
    location = model_of(shop).artifact_location
    process = run_python(shop, "-W", "ignore", "-c", WITHOUT_HPO, location, PYTHONPATH="")
    assert process.returncode == 0, process.stderr
    assert process.stdout.endswith("] ['hpo', 'sklearn']\n")
    shipped = {path.stem for path in Path(location, "code/hpo").glob("*.py")}
    assert shipped == set(SHIPPED_MODULES)


def refuse_constant(constant: str) -> None:
    raise ValueError(constant)


def test_examples_are_strict_json_that_the_server_takes(shop: Path) -> None:
    location = Path(model_of(shop).artifact_location)
    text = (location / "serving_input_example.json").read_text(encoding="utf-8")
    strict = json.loads(text, parse_constant=refuse_constant)
    assert any(None in row for row in strict["dataframe_split"]["data"])
    json.loads((location / "input_example.json").read_text(), parse_constant=refuse_constant)
    model = mlflow.pyfunc.load_model(str(location))
    answer = post(model, model.metadata.get_input_schema(), text, "application/json")
    assert set(answer) <= {"y", "n"}


def test_logged_model_names_its_registered_version(shop: Path) -> None:
    tags = model_of(shop).tags
    assert json.loads(tags["mlflow.modelVersions"]) == [{"name": "shop", "version": 1}]
    flags = ("--data", "shop.csv", "--target", "buys", "--trials", "2", "--register", "shop")
    run_here_well(shop, *flags)
    assert model_of(shop).tags == tags


def test_served_model_gives_the_probabilities_of_hpo_predict(shop: Path) -> None:
    location = model_of(shop).artifact_location
    table, _ = predict_table(load_model(Path(location)), shop / "shop.csv")
    raw = pd.read_csv(shop / "shop.csv").drop(columns="buys")
    cells = raw.astype(object).where(raw.notna(), None)
    body = {
        "dataframe_split": cells.to_dict("split", index=False),
        "params": {"predict_method": "predict_proba"},
    }
    uri = model_of(shop).model_uri
    store = stores_of(shop)["tracking_uri"]
    serve = (*SERVE, "--model-uri", uri)
    with serving(shop, free_port(), *serve, MLFLOW_TRACKING_URI=store) as address:
        told = requests.post(f"{address}/invocations", json=body, timeout=30)
        csv = requests.post(
            f"{address}/invocations",
            data=raw.to_csv(index=False),
            headers={"Content-Type": "text/csv"},
            timeout=30,
        )
        body["params"] = {"predict_method": "fit"}
        refused = requests.post(f"{address}/invocations", json=body, timeout=30)
        other = requests.post(
            f"{address}/invocations",
            json={"dataframe_split": {"columns": ["x"], "data": [[1]]}},
            timeout=30,
        )
    assert (np.array(told.json()["predictions"]) == table.filter(like="probability_")).all(
        axis=None
    )
    assert csv.json()["predictions"] == table["prediction"].tolist()
    assert (refused.status_code, other.status_code) == (400, 400)
    assert "predict_method should be one of predict, predict_proba" in refused.json()["message"]


def test_predictions_have_something_to_join_on(shop: Path) -> None:
    location = model_of(shop).artifact_location

    def columns(*flags: str) -> list[str]:
        process = call_main(shop, "predict", location, "shop.csv", *flags)
        assert process.returncode == 0, process.stderr
        return process.stdout.partition("\n")[0].replace('"', "").split(",")

    predicted = ["prediction", "probability_n", "probability_y"]
    assert columns() == ["id", *predicted]
    assert columns("--keep", "whole", "--keep", "buys") == ["whole", "buys", *predicted]
    raw = list(pd.read_csv(shop / "shop.csv"))
    assert columns("--keep-all") == [*raw, *predicted]
    refused = call_main(shop, "predict", location, "shop.csv", "--keep", "hole")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "hpo: --keep: shop.csv has no column 'hole' (did you mean 'whole'?)\n"
    )


def test_error_names_the_line_of_the_file(shop: Path) -> None:
    raw = pd.read_csv(shop / "shop.csv", dtype=str).head(4)
    raw["note"] = ["one\nlong cell", "", "", ""]
    raw.loc[2, "whole"] = "many"
    text = raw.to_csv(index=False).replace("\ncustomer", "\n\ncustomer")
    (shop / "wrong.csv").write_text(text, encoding="utf-8")
    refused = call_main(shop, "predict", model_of(shop).artifact_location, "wrong.csv")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "many" in line)
    assert f"wrong.csv line {line}: column 'whole' should be numbers, but got" in refused.stderr


def test_requirements_are_pinned_and_without_what_serving_does_not_need(
    finished: FinishedRun,
) -> None:
    logged = read_stores(**stores_of(finished.directory)).model
    with open(f"{logged.artifact_location}/requirements.txt", encoding="utf-8") as file:  # noqa: PTH123 - MLflow gives text
        lines = file.read().split()
    assert {line.split("==")[0] for line in lines} == {
        "mlflow",
        "scikit-learn",
        "skops",
        "numpy",
        "scipy",
        "pandas",
    }
    assert all("==" in line for line in lines)


HELD_AS_OBJECTS: dict[str, list[Any]] = {
    "decimals": [Decimal("1.50"), Decimal("2.25"), None, Decimal("-3.00")],
    "durations": [dt.timedelta(days=1), dt.timedelta(hours=5), None, dt.timedelta(seconds=7)],
    "times": [dt.time(1, 30), dt.time(2), None, dt.time(3)],
    "days": [dt.date(2026, 1, 31), dt.date(2025, 2, 28), None, dt.date(2024, 12, 1)],
    "moments": [dt.datetime(2026, 1, 31, 5, tzinfo=dt.UTC), None, None, None],
    "grades": [1.0, 2.0, None, 30.0],
}
"""Values of a Parquet file that JSON has no form for, and whole numbers with gaps."""


@pytest.mark.parametrize("kind", HELD_AS_OBJECTS)
def test_table_of_values_that_json_has_not_gets_its_model(directory: Path, kind: str) -> None:
    y = np.random.default_rng(0).integers(0, 2, 120)
    table = pd.DataFrame({"x": y + np.linspace(0, 2, 120), "a": HELD_AS_OBJECTS[kind] * 30, "y": y})
    table.to_parquet(directory / "shop.parquet")
    flags = ("--data", "shop.parquet", "--target", "y", "--trials", "2")
    if kind == "grades":
        (directory / "study.toml").write_text('[data]\ncategorical = ["a"]\n')
        flags += ("--study", "study.toml")
    run_here_well(directory, *flags)
    location = Path(model_of(directory).artifact_location)
    model = mlflow.pyfunc.load_model(str(location))
    text = (location / "serving_input_example.json").read_text(encoding="utf-8")
    answer = post(model, None, text, "application/json")
    assert answer.tolist() == model.predict(model.input_example).tolist()
