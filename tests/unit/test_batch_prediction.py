"""Rows of a file through a shipped model: the same numbers as its pipeline gives, or one line that
says why not.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from hpo.commands.predict import load
from hpo.data.columns import COLUMNS_FILE, Columns
from hpo.data.dataset import Dataset, load_dataset
from hpo.data.tables import write_table
from hpo.definition import DataSection, PreprocessingSection
from hpo.errors import DataError, ModelError
from hpo.estimators.batch_prediction import predict_table
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.final_model import build_pipeline
from hpo.estimators.loading import MODEL_FILE, load_model
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.settings import DEFAULT_TRACKING_URI

PARAMS = {
    "penalty": "l2",
    "C": 1.0,
    "class_weight": "none",
    "solver": "lbfgs",
    "max_iter": 1000,
    "tol": 1e-4,
    "random_state": 0,
}
N_ROWS = 240


def shop() -> pd.DataFrame:
    """Every kind of column as text that is easy to misread."""
    rng = np.random.default_rng(0)
    price = rng.uniform(1, 9999, N_ROWS)
    table = pd.DataFrame({
        "price": [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in price],
        "stock": [f"{value:,}" for value in rng.integers(1, 99_999, N_ROWS)],
        "code": rng.choice(["007", "7", "A1", "1.50"], N_ROWS),
        "member": rng.choice(["true", "False", ""], N_ROWS),
        "day": pd.date_range("2026-01-31", periods=N_ROWS).strftime("%Y-%m-%d"),
        "weight": rng.normal(size=N_ROWS).round(3),
    })  # fmt: skip
    table["buys"] = np.where(price + 4000 * (table["code"] == "007") > 6000, "=1+1", "no")
    return table


@dataclass(frozen=True)
class Shipped:
    directory: Path
    dataset: Dataset
    pipeline: Pipeline


def ship(directory: Path, pipeline: object, columns: Columns) -> Path:
    directory.mkdir(exist_ok=True)
    skops.io.dump(pipeline, directory / MODEL_FILE)
    (directory / COLUMNS_FILE).write_text(columns.model_dump_json(), encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    directory = tmp_path_factory.mktemp("shop")
    shop().to_csv(directory / "shop.csv", index=False, sep=";")
    dataset = load_dataset(
        DataSection(source=str(directory / "shop.csv"), target="buys"),
        CLASSIFICATION,
        seed=0,
        n_splits=5,
    )
    pipeline = build_pipeline(
        LOGISTIC_REGRESSION, dataset.columns, PreprocessingSection(), PARAMS
    ).fit(dataset.X_train, dataset.y_train)
    ship(directory / "model", pipeline, dataset.columns)
    return Shipped(directory / "model", dataset, pipeline)


def predict(model: Path | str, path: Path) -> tuple[pd.DataFrame, list[str]]:
    return predict_table(load(str(model), DEFAULT_TRACKING_URI), path)


def write(directory: Path, table: pd.DataFrame, name: str = "rows.csv") -> Path:
    table.to_csv(directory / name, index=False, sep=";")
    return directory / name


def test_predictions_are_those_of_the_pipeline_on_the_training_rows(shipped, tmp_path):
    table, notes = predict(shipped.directory, write(tmp_path, shop()))
    X = shipped.dataset.X_train
    assert notes == ["read with ';' between the values", "not used by the model: 'buys'"]
    assert table.columns.tolist() == ["prediction", "probability_=1+1", "probability_no"]
    assert table["prediction"].iloc[X.index].tolist() == shipped.pipeline.predict(X).tolist()
    assert (table.iloc[X.index, 1:].to_numpy() == shipped.pipeline.predict_proba(X)).all()


@pytest.mark.parametrize("row", range(6))
def test_a_row_alone_gets_what_it_gets_among_others(shipped, tmp_path, row):
    # Alone, "007" looks like 7, "1.234" like a fraction, "True" like a boolean.
    whole, _ = predict(shipped.directory, write(tmp_path, shop()))
    alone, _ = predict(shipped.directory, write(tmp_path, shop().iloc[[row]]))
    pd.testing.assert_frame_equal(
        alone, whole.iloc[[row]].reset_index(drop=True), check_exact=False, rtol=1e-12
    )


def test_numbers_that_look_like_others_alone_are_read_as_in_training(shipped, tmp_path):
    rows = (
        shop()
        .iloc[[0, 0, 0, 0]]
        .assign(
            price=["1.234", "1234", "1234,0", "1.234,00"], stock=["5,000", "5000", "5000", "5000"]
        )
    )
    table, _ = predict(shipped.directory, write(tmp_path, rows))
    assert table.nunique().tolist() == [1, 1, 1]


def test_what_is_kept_changes_no_prediction(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": [f"{row:03d}" for row in range(N_ROWS)]})
    table["grade"] = rng.choice([1.0, 2.0, np.nan], N_ROWS)
    table["size"] = rng.choice([5.5, 6.0], N_ROWS)
    table["weight"] = rng.normal(size=N_ROWS)
    table["buys"] = np.where(table["weight"] + (table["size"] == 6) > 0.5, "yes", "no")
    rows = write(tmp_path, table)
    rows.write_text(rows.read_text().replace("6.0", "6"))
    section = DataSection(source=str(rows), target="buys", categorical=("grade", "size"))
    dataset = load_dataset(section, CLASSIFICATION, seed=0, n_splits=5)
    pipeline = build_pipeline(
        LOGISTIC_REGRESSION, dataset.columns, PreprocessingSection(), PARAMS
    ).fit(dataset.X_train, dataset.y_train)
    model = load_model(ship(tmp_path / "model", pipeline, dataset.columns))
    expected, _ = predict_table(model, rows, keep=["id"])
    kept, _ = predict_table(model, rows, keep=["id", "grade", "size", "weight"])
    assert kept["id"].tolist() == table["id"].tolist()
    pd.testing.assert_frame_equal(kept[expected.columns], expected, check_exact=True)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.feather", "rows.csv.gz"])
def test_every_format_gives_the_same(shipped, tmp_path, name):
    write_table(shop(), tmp_path / name)
    expected, _ = predict(shipped.directory, write(tmp_path, shop()))
    pd.testing.assert_frame_equal(predict(shipped.directory, tmp_path / name)[0], expected)


def test_index_of_a_file_has_no_part_in_its_predictions(shipped, tmp_path):
    rows = shop().iloc[10:15]
    rows.to_parquet(tmp_path / "rows.parquet")
    expected, _ = predict(shipped.directory, write(tmp_path, rows))
    pd.testing.assert_frame_equal(
        predict(shipped.directory, tmp_path / "rows.parquet")[0], expected
    )


def test_gaps_and_unseen_categories_are_answered(shipped, tmp_path):
    rows = shop().head(3).astype(object)
    rows.loc[0, :] = None
    rows.loc[1, "code"] = "never seen"
    table, _ = predict(shipped.directory, write(tmp_path, rows))
    assert len(table) == 3
    assert np.allclose(table.iloc[:, 1:].sum(axis=1), 1)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (
            {"price": "Price"},
            "has no column 'price', which the model needs",
            "did you mean 'Price' for 'price'?",
        ),
        (
            {"price": "a", "code": "cod"},
            "has no column 'price', 'code', which",
            "did you mean 'cod' for 'code'?",
        ),
        (
            {"weight": "zzz"},
            "has no column 'weight', which",
            "its columns are 'price', 'stock', 'code', 'member', 'day', 'zzz'",
        ),
    ],
)
def test_missing_column_is_named_with_what_comes_near(shipped, tmp_path, change, message, hint):
    path = write(tmp_path, shop().drop(columns="buys").rename(columns=change))
    with pytest.raises(DataError, match=message) as caught:
        predict(shipped.directory, path)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("weight", "heavy", r"rows.csv line 3: column 'weight' should be numbers, but got 'heavy'"),
        ("weight", "inf", r"rows.csv line 3: column 'weight' holds infinite values"),
        ("price", "1.5", r"column 'price' should be numbers, but got '1.5'"),
        ("stock", "1,5", r"column 'stock' should be numbers, but got '1,5'"),
        ("member", "yes", r"column 'member' should be true or false, but got 'yes'"),
        (
            "day",
            "31.01.2026",
            r"column 'day' should be dates such as 2026-01-31, but got '31.01.2026'",
        ),
    ],
)
def test_wrong_value_is_refused(shipped, tmp_path, column, value, message):
    rows = shop().head(3).astype(object)
    rows.loc[1, column] = value
    path = write(tmp_path, rows)
    with pytest.raises(DataError, match=message):
        predict(shipped.directory, path)


def test_columns_survive_their_json(shipped):
    columns = shipped.dataset.columns
    assert Columns.model_validate_json(columns.model_dump_json()) == columns
    assert columns.read_as_text == {"price", "stock", "code", "day"}


@pytest.mark.parametrize(
    "uri", ["nowhere", "s3://bucket/model", "models:", "models:/", "file:///etc"]
)
def test_other_addresses_are_refused(tmp_path, uri):
    with pytest.raises(ModelError, match="this should be models:/NAME@ALIAS"):
        predict(uri, tmp_path / "rows.csv")


def run_code(X):
    Path("executed").touch()
    return X


def other_models(columns: Columns) -> dict[str, object]:
    logistic = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    process = GaussianProcessRegressor().fit([[0.0], [1.0]], [0, 1])
    return {
        "a function": Pipeline(
            [("preprocessing", FunctionTransformer(run_code)), ("classifier", logistic)]
        ),
        "a process": Pipeline([("preprocessing", StandardScaler()), ("regressor", process)]),
        "another pipeline": Pipeline(
            [("preprocessing", StandardScaler()), ("classifier", logistic)]
        ),
        "no pipeline": logistic,
        "no estimator": {"a": 1},
        "not fitted": build_pipeline(LOGISTIC_REGRESSION, columns, PreprocessingSection(), PARAMS),
    }


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "a function",
            r"holds types that are not trusted: \['tests.unit.test_batch_prediction.run_code'\]",
        ),
        (
            "a process",
            r"holds types that are not trusted: \['numpy.random.mtrand.RandomState', 'sklearn.gaussian_process.kernels.ConstantKernel', ",
        ),
        ("another pipeline", "should be preprocessing and an estimator that hpo searches"),
        (
            "no pipeline",
            "should be preprocessing and an estimator that hpo searches, but got LogisticRegression",
        ),
        (
            "no estimator",
            "should be preprocessing and an estimator that hpo searches, but got dict",
        ),
        ("not fitted", "it does not predict"),
    ],
)
def test_other_model_is_refused_and_nothing_of_it_runs(
    shipped, tmp_path, monkeypatch, kind, message
):
    monkeypatch.chdir(tmp_path)
    model = ship(
        tmp_path / "model", other_models(shipped.dataset.columns)[kind], shipped.dataset.columns
    )
    rows = write(tmp_path, shop())
    with pytest.raises(ModelError, match=message):
        predict(model, rows)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"{}"], ids=["empty", "start of a zip", "JSON"]
)
def test_damaged_model_is_refused(shipped, tmp_path, content):
    shutil.copytree(shipped.directory, tmp_path / "model")
    (tmp_path / "model" / MODEL_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="its files are damaged"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    "content", ["", "[]", '{"numeric": 5}', '{"numeric": [["a"]]}', "[" * 100_000]
)
def test_damaged_columns_are_refused(shipped, tmp_path, content):
    shutil.copytree(shipped.directory, tmp_path / "model")
    (tmp_path / "model" / COLUMNS_FILE).write_text(content)
    with pytest.raises(ModelError, match="its files are damaged"):
        load_model(tmp_path / "model")


def test_columns_of_another_model_are_refused(shipped, tmp_path):
    model = ship(tmp_path / "model", shipped.pipeline, Columns(numeric=("weight",)))
    rows = write(tmp_path, shop())
    with pytest.raises(ModelError, match="it does not predict"):
        predict(model, rows)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["model.pkl"],
            "this should hold model.skops, but got only model.pkl, and loading a pickle runs whatever code it holds",
        ),
        ([], "this should hold model.skops, but got nothing of the kind"),
        ([MODEL_FILE], "how its rows are converted is not with it"),
    ],
)
def test_missing_files_are_named(tmp_path, files, message):
    for name in files:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path)
