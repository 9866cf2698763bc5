"""The checker can fail: each way of spoiling a finished run is seen."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.checker import Picture, check_stores, read_stores, trial_table
from tests.support.sharing import FinishedRun
from tests.support.stores import stores_of

Spoil = Callable[[MlflowClient, Picture], object]

SPOILS: dict[str, tuple[str, Spoil]] = {
    "child deleted": (
        r"At index 7 diff: 8 != 7",
        lambda client, picture: client.delete_run(picture.children[7].info.run_id),
    ),
    "child not terminated": (
        r"Left contains one more item",
        lambda client, picture: client.update_run(
            picture.children[7].info.run_id, status="RUNNING"
        ),
    ),
    "child failed": (
        r"'FAILED' == 'FINISHED'",
        lambda client, picture: client.set_terminated(
            picture.children[7].info.run_id, "FAILED", picture.children[7].info.end_time
        ),
    ),
    "child late": (
        r"assert [12]\.\d+ <= 1",
        lambda client, picture: client.set_terminated(
            picture.children[7].info.run_id, "FINISHED", picture.children[7].info.end_time + 2
        ),
    ),
    "param too many": (
        r"{'x': '1'}",
        lambda client, picture: client.log_param(picture.children[7].info.run_id, "x", 1),
    ),
    "fold too many": (
        r"Left contains one more item: \(5, 1.0\)",
        lambda client, picture: client.log_metric(
            picture.children[7].info.run_id, "fold_accuracy", 1.0, step=5
        ),
    ),
    "mean another": (
        r"isclose>\(0.1, ",
        lambda client, picture: client.log_metric(
            picture.children[7].info.run_id, "cv_accuracy_mean", 0.1
        ),
    ),
    "second parent": (
        r"assert 2 == 1",
        lambda client, picture: client.create_run(picture.experiment.experiment_id),
    ),
    "child of nobody": (
        r"assert 'x' == ",
        lambda client, picture: client.set_tag(
            picture.children[7].info.run_id, "mlflow.parentRunId", "x"
        ),
    ),
    "parent killed": (
        r"'KILLED' == 'FINISHED'",
        lambda client, picture: client.set_terminated(picture.parent.info.run_id, "KILLED"),
    ),
    "run left elsewhere": (
        r"Left contains one more item",
        lambda client, _: client.create_run("0"),
    ),
    "model superseded": (
        r"assert 0 == 1",
        lambda client, picture: client.set_logged_model_tags(
            picture.model.model_id, {"hpo.superseded_by": "x"}
        ),
    ),
    "model of another trial": (
        r"assert '3' == ",
        lambda client, picture: client.set_logged_model_tags(
            picture.model.model_id, {"hpo.best_trial": "3"}
        ),
    ),
    "model pending": (
        r"PENDING",
        lambda client, picture: client.create_logged_model(
            picture.experiment.experiment_id,
            tags={"hpo.superseded_by": picture.model.model_id, "hpo.best_trial": "3"},
        ),
    ),
}


@pytest.mark.parametrize("name", SPOILS)
def test_spoiled_tracking_store_is_seen(finished_copy: Path, name: str) -> None:
    stores = stores_of(finished_copy)
    seen_as, spoil = SPOILS[name]
    spoil(MlflowClient(stores["tracking_uri"]), read_stores(**stores))
    with pytest.raises(AssertionError, match=seen_as):
        check_stores(**stores, n_trials=50)


@pytest.mark.parametrize(
    ("change", "seen_as"),
    [
        ("UPDATE trials SET state = 'RUNNING' WHERE number = 49", r"assert \[49\] == \[\]"),
        (
            "UPDATE trials SET datetime_start = datetime(datetime_start, '-1 second') WHERE number = 7",
            r"assert \d+\.\d+ <= 1",
        ),
        (
            "UPDATE trial_values SET value = value + 1e-15 WHERE trial_id = 8",
            r"assert 0\.\d+ == 0\.\d+",
        ),
        (
            "UPDATE trial_params SET param_value = param_value * (1 + 1e-15) WHERE param_name = 'C'",
            r"\('C', '1.0000",
        ),
    ],
)
def test_spoiled_ledger_is_seen(
    finished: FinishedRun, finished_copy: Path, change: str, seen_as: str
) -> None:
    with closing(sqlite3.connect(finished_copy / "optuna.db")) as connection, connection:
        connection.execute(change)
    stores = stores_of(finished_copy)
    with pytest.raises(AssertionError, match=seen_as):
        check_stores(**stores, n_trials=50)
    expected = "datetime" in change
    assert (
        trial_table(stores["storage"]) == trial_table(stores_of(finished.directory)["storage"])
    ) == expected
