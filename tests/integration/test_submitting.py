"""``submit``, ``status`` and ``cancel`` without a server: what is in the ledger afterwards."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient

from hpo.errors import TrackingError
from hpo.ledger.inspection import OPTUNA, read_database
from hpo.ledger.queue import read_queue
from hpo.ledger.wishes import MAX_ATTEMPTS, Wish
from hpo.service.status import read_status, sample
from hpo.service.submitting import read_definition, submit_study
from hpo.service.tables import fetch
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition
from hpo.tracking.kept_tables import fetch_table
from tests.support.checker import read_trials
from tests.support.commands import start_python
from tests.support.here import Ended, call_main, run_here_well
from tests.support.stores import stores_of
from tests.support.studies import write_table

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.toml"))


def well(ended: Ended) -> str:
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout


def submit(directory: Path, *flags: str) -> dict:
    return json.loads(well(call_main(directory, "submit", "--no-plots", "--json", *flags)))


def status(directory: Path) -> list[dict]:
    return json.loads(well(call_main(directory, "status", "--json")))["studies"]


def content(directory: Path) -> tuple:
    storage = optuna.storages.RDBStorage(f"sqlite:///{directory}/optuna.db")
    study = optuna.load_study(study_name="iris", storage=storage)
    found = (study.user_attrs, storage.get_study_system_attrs(study._study_id), study.metric_names)
    storage.engine.dispose()
    return found


def test_same_submission_changes_nothing_and_more_trials_raise_the_total(directory):
    first = submit(directory, "--trials", "3", "--priority", "2")
    assert (first["state"], first["n_trials"], first["n_wanted"]) == ("queued", 0, 3)
    before = content(directory)
    assert submit(directory, "--trials", "3", "--priority", "2") == first
    assert submit(directory, "--trials", "2", "--priority", "2") == first
    assert content(directory) == before
    assert submit(directory, "--trials", "7", "--priority", "2")["n_wanted"] == 7
    (only,) = status(directory)
    assert (only["name"], only["n_wanted"], only["priority"]) == ("iris", 7, 2)


def test_submitted_study_is_the_one_that_run_would_make(directory, make_directory):
    submit(directory, "--trials", "3")
    other = make_directory("alone")
    run_here_well(other, "--trials", "3")
    submitted, run = content(directory), content(other)
    assert submitted[0]["hpo.identity"].keys() == run[0]["hpo.identity"].keys()
    for key in ("definition", "data_digest", "versions"):
        assert submitted[0]["hpo.identity"][key] == run[0]["hpo.identity"][key]
    assert submitted[2] == run[2]
    run_here_well(directory, "--trials", "3")  # opens it as its own


def test_another_definition_is_refused_in_the_words_of_run(directory):
    submit(directory, "--trials", "3")
    before = content(directory)
    refused = call_main(directory, "submit", "--seed", "1")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == call_main(directory, "run", "--seed", "1").stderr
    assert "study.seed 0 -> 1" in refused.stderr
    assert content(directory) == before


def test_bad_input_writes_nothing(tmp_path):
    for flags in (("--data", "none.csv", "--target", "y"), ("--metric", "acuracy")):
        refused = call_main(tmp_path, "submit", *flags)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert len(refused.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_cancelled_study_is_queued_again_by_submitting_it(directory):
    submit(directory, "--trials", "3")
    assert well(call_main(directory, "cancel", "iris")) == "iris: cancelled, 0 of 3 trials\n"
    assert [each["state"] for each in status(directory)] == ["cancelled"]
    assert submit(directory, "--trials", "3")["state"] == "queued"


@pytest.mark.parametrize("command", ["cancel", "status"])
def test_study_that_was_not_submitted_is_named(directory, command):
    run_here_well(directory, "--trials", "1")
    refused = call_main(directory, command, "iris")
    assert refused.returncode == 2
    line = "study 'iris' was not submitted (hpo status shows the studies that were)"
    assert refused.stderr == f"hpo: {line}\n"


def test_table_is_kept_once_and_found_again(directory, monkeypatch):
    path = write_table(directory)
    for name in ("one", "two"):
        submit(directory, "--data", "t.csv", "--target", "y", "--name", name)
    client = MlflowClient(f"sqlite:///{directory}/mlflow.db")
    experiment = client.get_experiment_by_name("hpo-tables")
    (run,) = client.search_runs([experiment.experiment_id])
    settings = ServiceSettings(**stores_of(directory))
    monkeypatch.setenv("HPO_CACHE", str(directory / "cache"))
    table = {"digest": run.data.tags["hpo.table"], "name": "t.csv"}
    fetched = Path(fetch(table, settings))
    assert fetched.name == "t.csv"
    assert fetched.read_bytes() == path.read_bytes()
    fetched.write_text("spoilt")
    assert Path(fetch(table, settings)).read_bytes() == path.read_bytes()


def test_deleting_moves_a_table_to_the_trash_once_nobody_uses_it(directory):
    write_table(directory)
    for name in ("one", "two"):
        submit(directory, "--data", "t.csv", "--target", "y", "--name", name)
    said = well(call_main(directory, "delete", "one", "--yes"))
    assert said.splitlines()[-1] == "kept      the table t.csv, which study 'two' uses too"
    settings = ServiceSettings(**stores_of(directory))
    table = read_queue_of(directory)["two"].table
    well(call_main(directory, "delete", "two", "--yes"))
    with pytest.raises(TrackingError, match="MLflow does not have the table"):
        fetch_table(settings.tracking_uri, table["digest"], directory / "none" / "t.csv")


def read_queue_of(directory: Path) -> dict[str, Wish]:
    with read_database(f"sqlite:///{directory}/optuna.db", OPTUNA) as connection:
        return {wished.name: wished.wish for wished in read_queue(connection)}


def test_two_clients_with_one_name_and_other_tables_leave_one_study(directory):
    path = write_table(directory)
    shorter = path.with_name("u.csv")
    shorter.write_text("\n".join(path.read_text().splitlines()[:200]))
    flags = ("-m", "hpo", "submit", "--target", "y", "--name", "same", "--no-plots", "--data")
    clients = [start_python(directory, *flags, name) for name in ("t.csv", "u.csv")]
    ended = [(client.communicate()[1], client.returncode) for client in clients]
    assert sorted(code for _, code in ended) == [0, 2], ended
    (refusal,) = [said for said, code in ended if code]
    assert "study 'same' was begun with something else: data " in refusal
    assert [each["name"] for each in status(directory)] == ["same"]


def test_table_that_is_too_large_is_refused_unless_it_stays(directory):
    write_table(directory)
    flags = ("--data", "t.csv", "--target", "y", "--json")
    refused = call_main(directory, "submit", *flags, HPO_MAX_TABLE_BYTES="1000")
    assert refused.returncode == 2
    assert "and a table that is submitted may have 1000" in refused.stderr
    assert status(directory) == []
    well(call_main(directory, "submit", *flags, "--data-in-place", HPO_MAX_TABLE_BYTES="1000"))
    assert [each["name"] for each in status(directory)] == ["t"]


def test_full_queue_takes_no_other_study(directory):
    submit(directory, "--name", "one")
    refused = call_main(directory, "submit", "--name", "two", HPO_MAX_QUEUED="1")
    assert refused.returncode == 2
    assert "the queue is full: 1 studies are submitted and not done" in refused.stderr
    well(call_main(directory, "submit", "--name", "one", HPO_MAX_QUEUED="1"))


def test_wish_that_somebody_changed_fails_alone(directory):
    submit(directory, "--name", "whole", "--trials", "3")
    submit(directory, "--name", "damaged", "--trials", "3")
    with closing(sqlite3.connect(directory / "optuna.db")) as connection, connection:
        connection.execute(
            "UPDATE study_system_attributes SET value_json = '[]' WHERE key = 'hpo.wish'"
            " AND study_id = (SELECT study_id FROM studies WHERE study_name = 'damaged')"
        )
    states = {each["name"]: (each["state"], each["reason"]) for each in status(directory)}
    assert states["whole"] == ("queued", None)
    assert states["damaged"] == ("failed", "its wish cannot be read: hpo.wish is []")


def test_values_of_a_status_are_the_best_so_far(directory):
    submit(directory, "--trials", "5")
    well(call_main(directory, "run", "--trials", "5", "--no-plots", "--quiet"))
    (only,) = status(directory)
    trials = read_trials(f"sqlite:///{directory}/optuna.db")
    assert only["values"] == [*np.maximum.accumulate([trial.value for trial in trials])]
    assert only["best_value"] == only["values"][-1]


@pytest.mark.parametrize("n_trials", [1, 7, 50, 60, 1000])
def test_values_of_many_trials_are_taken_at_equal_distances(n_trials):
    scores = np.random.default_rng(n_trials).random(n_trials).round(2)
    best = np.maximum.accumulate(scores)
    improvements = [
        (number, float(scores[number]))
        for number in range(n_trials)
        if number == 0 or scores[number] > best[number - 1]
    ]
    n_values = min(50, n_trials)
    expected = [best[(index + 1) * n_trials // n_values - 1] for index in range(n_values)]
    assert sample(improvements, n_trials) == tuple(expected)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_definition_comes_back_as_it_was_submitted(path, directory):
    definition = load_definition(path)
    if not Path(definition.data.source).suffix:
        settings = ServiceSettings(**stores_of(directory), plots=False)
        submit_study(definition, settings)
        (found,) = read_status(settings)
        assert found.n_wanted == definition.study.n_trials
    named = definition.study.model_copy(update={"name": definition.name})
    given = definition.model_copy(update={"study": named})
    content = json.loads(json.dumps(given.model_dump(mode="json", exclude_unset=True)))
    assert read_definition(Wish(definition.study.n_trials, content, 0.0)) == given


def test_study_that_gets_on_is_not_given_up():
    wish = Wish(10, {"study": {}}, 0.0)
    for n_trials in range(3 * MAX_ATTEMPTS):
        wish = wish.failed("lost", n_trials + 1)
    assert not wish.is_failed
    for _ in range(MAX_ATTEMPTS - 1):
        wish = wish.failed("lost", 3 * MAX_ATTEMPTS)
    assert wish.is_failed
    assert not wish.submitted_again(Wish(10, {"study": {}}, 1.0)).is_failed
