"""Every door by which a logged model predicts, and what each says of the same rows.

``check_table`` is the whole property for one CSV file; a command can run it over many.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import scoring_server

from hpo.data.dataset import Dataset
from hpo.definition import DataSection, PreprocessingSection
from hpo.estimators.batch_prediction import predict_table
from hpo.estimators.final_model import build_pipeline, take_raw_rows, trusted_types
from hpo.estimators.loading import COLUMNS_FILE, load_model
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.search.plan import load_data
from hpo.study_file import StudyDefinition
from hpo.tracking.models import save_model
from hpo.tracking.run_records import ModelRecord

PARAMS = {
    "penalty": "l2",
    "C": 1.0,
    "class_weight": "none",
    "solver": "lbfgs",
    "max_iter": 100,
    "tol": 1e-4,
    "random_state": 0,
}
PROBABILITIES = {"predict_method": "predict_proba"}
ALONE = 3
"""Rows that are asked for one at a time too."""


def save_fitted(dataset: Dataset, directory: Path) -> Any:
    """Fit a table's model, save it as a run does; gives the pipeline that takes converted rows."""
    pipeline = build_pipeline(LOGISTIC_REGRESSION, dataset.columns, PreprocessingSection(), PARAMS)
    with warnings.catch_warnings(action="ignore"):
        pipeline.fit(dataset.X_train, dataset.y_train)
    shipped = take_raw_rows(pipeline, dataset)
    record = ModelRecord(
        key="",
        trial_number=0,
        model=shipped,
        input_example=dataset.example,
        expected={"predict": shipped.predict(dataset.example)},
        input_types=dataset.columns.signature(),
        has_typed_inputs=dataset.has_only_floats,
        metrics={},
        params={},
        time_ms=0,
        requirements=("mlflow",),
        trusted_types=trusted_types(LOGISTIC_REGRESSION),
        files={COLUMNS_FILE: dataset.columns.model_dump_json()},
    )
    save_model(record, directory, Model())
    return pipeline


def predict_by_doors(
    directory: Path, file: Path, text: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Door to what it says of the rows of a file.

    Args:
        directory: The model's.
        file: CSV, read with ``pandas.read_csv`` where a door takes a table.
        text: Columns that are read as text. MLflow's server reads CSV without, and may refuse.
    """
    raw = pd.read_csv(file, dtype=dict.fromkeys(text, "str"))
    served = mlflow.pyfunc.load_model(str(directory))
    schema = served.metadata.get_input_schema()
    cells = raw.astype(object).where(raw.notna(), None)
    bodies: Mapping[str, Any] = {
        "dataframe_split": cells.to_dict("split", index=False),
        "dataframe_records": cells.to_dict("records"),
        "inputs": cells.to_dict("list"),
    }
    said = {
        "hpo predict": _probabilities(predict_table(load_model(directory), file)[0]),
        "mlflow.sklearn": mlflow.sklearn.load_model(str(directory)).predict_proba(raw),
        "pyfunc": np.asarray(served.predict(raw, params=PROBABILITIES)),
    }
    for form, body in bodies.items():
        request = json.dumps({form: body, "params": PROBABILITIES}, allow_nan=False)
        said[form] = post(served, schema, request, "application/json")
    try:
        labels = post(served, schema, file.read_text(encoding="utf-8"), "text/csv")
    except MlflowException as refusal:
        if not text:
            raise AssertionError("text/csv") from refusal
    else:
        expected = served.predict(raw)
        assert labels.astype(str).tolist() == expected.astype(str).tolist(), "text/csv"
    return said


def _probabilities(table: pd.DataFrame) -> np.ndarray:
    return table.filter(regex="^probability_").to_numpy()


def post(model: Any, schema: Any, body: str, kind: str) -> np.ndarray:
    answer = scoring_server.invocations(body, kind, model, schema)
    assert answer.status == 200, answer.response
    return np.asarray(json.load(io.StringIO(answer.response))["predictions"])


def check_table(file: Path, target: str, **section: Any) -> None:
    """The rows of a table predicted in training are those predicted at every door, to the last bit.

    A row that is asked for alone may differ in the last digits, as it may in training: BLAS adds
    up otherwise. It is the same at every door.

    Raises:
        AssertionError: A door says otherwise, naming it.
        HpoError: No model can be made from this table.
    """
    definition = StudyDefinition(data=DataSection(source=str(file), target=target, **section))
    dataset = load_data(definition)
    # MLflow 3.17 compares columns with a range, which pandas 3 deprecates.
    with (
        warnings.catch_warnings(action="ignore", category=DeprecationWarning),
        tempfile.TemporaryDirectory(prefix="doors-") as name,
    ):
        directory = Path(name)
        pipeline = save_fitted(dataset, directory / "model")
        X = pd.concat([dataset.X_train, dataset.X_test])
        text = pd.read_csv(file, dtype=str, keep_default_na=False)
        text.columns = text.columns.map(str)
        rows = text.loc[X.index, [*dataset.columns.features]]
        # Codes of nothing but digits, which pandas takes for numbers in any rows.
        codes = {name for name in dataset.columns.exact if rows[name].str.isdecimal().all()}
        _check(directory, rows, pipeline.predict_proba(X), codes)
        for position in range(ALONE):
            alone = pipeline.predict_proba(X.iloc[[position]])
            columns = dataset.columns
            text = columns.exact | columns.decimal_comma
            _check(directory, rows.iloc[[position]], alone, text)


def _check(
    directory: Path, rows: pd.DataFrame, expected: np.ndarray, text: Collection[str] = ()
) -> None:
    file = directory / "rows.csv"
    rows.to_csv(file, index=False)
    for door, said in predict_by_doors(directory / "model", file, text).items():
        assert np.array_equal(said, expected), f"{door}: {np.abs(said - expected).max()}"
