"""``hpo predict`` on models from a real store, on crafted ones, with exit codes and one line."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import requests
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.support.checker import read_stores
from tests.support.commands import environment, run_python
from tests.support.here import Ended, call_main
from tests.support.servers import free_port, serving
from tests.support.sharing import FinishedRun
from tests.support.stores import stores_of


def run_predict(directory: Path, *arguments: str, **variables: str) -> Ended:
    return call_main(directory, "predict", *arguments, **variables)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    load_iris(as_frame=True).data.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def uris(directory: Path) -> dict[str, str]:
    model = read_stores(**stores_of(directory)).model
    return {
        "model": model.model_uri,
        "run": f"runs:/{model.source_run_id}/model",
        "directory": model.artifact_location,
    }


@pytest.mark.parametrize("kind", ["model", "run", "directory"])
def test_every_address_gives_the_predictions_of_the_model(
    finished: FinishedRun, rows: Path, kind: str
) -> None:
    process = run_predict(finished.directory, uris(finished.directory)[kind], str(rows))
    assert (process.returncode, process.stderr) == (0, "")
    table = pd.read_csv(io.StringIO(process.stdout))
    model = mlflow.pyfunc.load_model(uris(finished.directory)["directory"])
    assert table.columns.tolist() == [
        "prediction",
        "probability_0",
        "probability_1",
        "probability_2",
    ]
    assert table["prediction"].tolist() == model.predict(pd.read_csv(rows)).tolist()
    expected = model.get_raw_model().predict_proba(pd.read_csv(rows))
    assert (table.iloc[:, 1:].to_numpy() == expected).all()


def test_output_is_written_as_its_ending_says(
    finished: FinishedRun, rows: Path, tmp_path: Path
) -> None:
    model = uris(finished.directory)["directory"]
    printed = run_predict(tmp_path, model, str(rows)).stdout
    for name in ("out.csv.gz", "out.parquet"):
        process = run_predict(tmp_path, model, str(rows), "--output", name)
        assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).decode() == printed
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "out.parquet"), pd.read_csv(io.StringIO(printed))
    )


def test_reader_that_has_had_enough_is_no_error(finished: FinishedRun, rows: Path) -> None:
    command = f"'{sys.executable}' -m hpo.predict '{uris(finished.directory)['directory']}' '{rows}' | head -n 1"
    process = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.usefixtures("tracking_uri")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("models:/nope@champion", "rows.csv"),
            "model: models:/nope@champion cannot be fetched from sqlite:///mlflow.db: ",
        ),
        (
            ("models:/m-nope", "rows.csv"),
            "model: models:/m-nope cannot be fetched from sqlite:///mlflow.db: ",
        ),
        (
            ("models:/m-nope", "rows.csv", "--tracking-uri", "sqlite:///elsewhere.db"),
            "elsewhere.db is not there",
        ),
        (("nope", "rows.csv"), "model: this should be models:/NAME@ALIAS"),
        (("MODEL", "nope.csv"), "data: nope.csv is not there"),
        (("MODEL", "rows.csv", "--output", "out.xlsx"), "data: a table's file should end in .csv"),
        (
            ("MODEL", "other.csv"),
            "data: other.csv has no column 'sepal length (cm)', 'sepal width (cm)', ",
        ),
        (("MODEL",), "the following arguments are required: FILE"),
    ],
)
def test_bad_input_ends_in_one_line(
    finished: FinishedRun, rows: Path, arguments: tuple[str, ...], message: str
) -> None:
    directory = rows.parent
    (directory / "other.csv").write_text("Sepal length,x\n1,2\n")
    model = uris(finished.directory)["directory"]
    process = run_predict(
        directory, *(model if argument == "MODEL" else argument for argument in arguments)
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith("hpo: ")
    assert message in process.stderr
    assert process.stderr.count("\n") == 1
    assert not (directory / "elsewhere.db").exists()


def test_server_that_is_away_is_said_at_once(rows: Path) -> None:
    away = f"http://user:secret@127.0.0.1:{free_port()}"
    process = run_predict(rows.parent, "models:/m-1", str(rows), MLFLOW_TRACKING_URI=away)
    assert (process.returncode, process.stdout) == (3, "")
    assert process.stderr.endswith("does not answer: Connection refused\n")
    assert process.stderr.count("\n") == 1
    assert "secret" not in process.stderr


class Trap(BaseEstimator):
    """Unpickled, it leaves a file: what a crafted model would do that means harm."""

    def fit(self, X: object, y: object) -> Trap:  # noqa: ARG002
        return self

    def predict(self, X: object) -> list[int]:
        return [0 for _ in X]

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def craft(directory: Path, kind: str) -> str:
    """Log a crafted model with MLflow itself, and give its address."""
    path = directory / "crafted"
    if kind == "pickle":
        mlflow.sklearn.save_model(
            Trap(), str(path), serialization_format="cloudpickle", pip_requirements=[]
        )
    else:
        shell = FunctionTransformer(os.system)
        model = Pipeline(
            [
                ("preprocessing", shell),
                ("classifier", LogisticRegression().fit([[0.0], [1.0]], [0, 1])),
            ]
        )
        trusted = ["posix.system"]
        mlflow.sklearn.save_model(
            model,
            str(path),
            serialization_format="skops",
            skops_trusted_types=trusted,
            pip_requirements=[],
        )
        assert "posix.system" in (path / "MLmodel").read_text()
    (path / "hpo_columns.json").write_text(json.dumps({"categorical": ["command"]}))
    client = mlflow.MlflowClient()
    model = client.create_logged_model(client.create_experiment("crafted"), name="model")
    client.log_model_artifacts(model.model_id, str(path))
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model("crafted")
    client.create_model_version("crafted", source=model.model_uri, model_id=model.model_id)
    client.set_registered_model_alias("crafted", "champion", "1")
    return "models:/crafted@champion"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "pickle",
            "hpo: model: this should hold model.skops, but got only model.pkl, and loading a pickle runs whatever code",
        ),
        (
            "trusts itself",
            "hpo: model: it holds types that are not trusted: ['posix.system'] (nothing of it was run)",
        ),
    ],
)
def test_crafted_model_is_refused_and_runs_nothing(
    tmp_path: Path, tracking_uri: str, monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    uri = craft(tmp_path, kind)
    (tmp_path / "rows.csv").write_text("command\ntouch executed\n")
    process = run_predict(tmp_path, uri, "rows.csv")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith(message)
    assert process.stderr.count("\n") == 1
    assert not (tmp_path / "executed").exists()
    # MLflow's own loader takes both: the trap is a real one.
    harm = "import mlflow, pandas, sys\nm = mlflow.sklearn.load_model(sys.argv[1])\nm.steps[0][1].func('touch executed')"
    run_python(tmp_path, "-c", harm, uri, MLFLOW_TRACKING_URI=tracking_uri)
    assert (tmp_path / "executed").exists()


def test_server_and_predict_say_the_same(finished: FinishedRun, rows: Path) -> None:
    model = uris(finished.directory)["model"]
    printed = run_predict(finished.directory, model, str(rows)).stdout
    arguments = (
        "models",
        "serve",
        "--model-uri",
        model,
        "--env-manager",
        "local",
        "--workers",
        "1",
    )
    uri = stores_of(finished.directory)["tracking_uri"]
    with serving(finished.directory, free_port(), *arguments, MLFLOW_TRACKING_URI=uri) as address:
        split = pd.read_csv(rows).to_dict("split", index=False)
        answer = requests.post(
            f"{address}/invocations", json={"dataframe_split": split}, timeout=30
        )
    assert answer.json()["predictions"] == pd.read_csv(io.StringIO(printed))["prediction"].tolist()
