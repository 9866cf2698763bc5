"""Records as MLflow takes them."""

from __future__ import annotations

import json

from mlflow import MlflowClient

from hpo.tracking import keys
from hpo.tracking.entities import make_dataset_input
from hpo.tracking.run_records import DatasetRecord
from tests.support.stores import close_stores


def test_schema_longer_than_mlflow_takes(tracking_uri):
    columns = {f"{number}-{'n' * 700}": "double" for number in range(3000)}
    client = MlflowClient(tracking_uri)
    run = client.create_run("0")
    record = DatasetRecord("t.csv", "0" * 32, "t.csv", columns, 10)
    client.log_inputs(run.info.run_id, datasets=[make_dataset_input(record)])
    (given,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    close_stores()
    shown = json.loads(given.dataset.schema)["mlflow_colspec"]
    assert [column["name"] for column in shown] == [*columns][: len(shown)]
    assert 1000 < len(shown) < 3000
    tags = {tag.key: tag.value for tag in given.tags}
    assert tags[keys.COLUMNS] == f"the first {len(shown)} of 3000; all are in data/columns.json"


def test_schema_that_fits_is_whole():
    given = make_dataset_input(DatasetRecord("t", "0", "t", {"a": "double"}, 10))
    assert [column["name"] for column in json.loads(given.dataset.schema)["mlflow_colspec"]] == [
        "a"
    ]
    assert [tag.key for tag in given.tags] == [keys.DATASET_CONTEXT]
