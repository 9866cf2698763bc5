"""The logged model, as somebody else uses it: loaded in a fresh process, and served over HTTP."""

import json

import numpy as np
import pandas as pd
import requests
from mlflow.models import Model
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.support.checker import read_stores
from tests.support.commands import run_python
from tests.support.servers import free_port, serving
from tests.support.sharing import FinishedRun
from tests.support.stores import stores_of

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


def test_served_model_answers_with_the_right_class(finished: FinishedRun) -> None:
    stores = stores_of(finished.directory)
    model = read_stores(**stores).model
    X, y = load_iris(return_X_y=True, as_frame=True)
    rows = X.iloc[[0, 50, 100]]
    arguments = (
        "models",
        "serve",
        "--model-uri",
        model.model_uri,
        "--env-manager",
        "local",
        "--workers",
        "1",
    )
    with serving(
        finished.directory, free_port(), *arguments, MLFLOW_TRACKING_URI=stores["tracking_uri"]
    ) as address:
        answer = requests.post(
            f"{address}/invocations",
            json={"dataframe_split": rows.to_dict("split", index=False)},
            timeout=30,
        )
        refused = requests.post(
            f"{address}/invocations",
            json={"dataframe_split": {"columns": ["x"], "data": [[1]]}},
            timeout=30,
        )
    assert answer.json() == {"predictions": y.iloc[[0, 50, 100]].tolist()}
    assert refused.status_code == 400
