"""The job from Python: the same study as the command's, with a table of one's own, and a result to look at."""

import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optuna import load_study
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

import hpo
from hpo.progress import Progress
from hpo.tracking.inline import InlineTracking
from tests.support.checker import check_stores, read_notes, read_stores, read_trials
from tests.support.commands import COMMAND_SECONDS, start_python, wait_until
from tests.support.here import run_here_well
from tests.support.servers import free_port
from tests.support.stores import count_finished_runs, count_told, stores_of

OVERRIDES = {"study.name": "mine", "data.target": "target", "study.n_trials": 4}


def settings(directory: Path) -> hpo.ServiceSettings:
    return hpo.ServiceSettings(**stores_of(directory), workers=1, plots=False)


def test_study_has_its_dashboard_note_before_its_first_trial(directory: Path) -> None:
    with pytest.raises(hpo.HpoError, match="stopped by SIGTERM with 0 of 50 trials done"):
        hpo.run_study(
            hpo.load_definition(),
            settings(directory),
            stop_signal=lambda: signal.SIGTERM,
            tracking=InlineTracking(),
        )
    assert count_told(directory) == 0
    assert "Searched: `C`" in read_notes(stores_of(directory)["storage"], [])[None]


def test_study_goes_on_under_the_rule_that_it_was_begun_under(directory: Path) -> None:
    """Before there was a choice of rules every study was of the first, and said nothing of it."""

    def run(n_trials: int, **overrides: int) -> list[str]:
        more = {f"estimator.{key}": value for key, value in overrides.items()}
        result = hpo.run_study(
            hpo.load_definition(
                overrides={
                    "study.n_trials": n_trials,
                    "search_space.penalty": "elasticnet",
                    "study.name": "old",
                    **more,
                }
            ),
            settings(directory),
            tracking=InlineTracking(),
        )
        assert type(result.model[-1]) is LogisticRegression
        derived = result.trials_dataframe()["user_attrs_hpo.derived"]
        return [params["solver"] for params in derived]

    assert run(1, rule=1) == ["saga"]
    study = load_study(study_name="old", storage=stores_of(directory)["storage"])
    assert "estimator.rule" not in study.user_attrs["hpo.identity"]["definition"]
    assert run(2) == ["saga", "saga"]
    with pytest.raises(
        hpo.HpoError, match=r"begun with something else: estimator\.rule absent -> 2"
    ):
        run(3, rule=2)


def test_frame_goes_on_with_the_study_of_its_file(directory: Path) -> None:
    frame = load_wine(as_frame=True).frame
    frame.to_parquet(directory / "mine.parquet")
    run_here_well(directory, "--data", "mine.parquet", "--target", "target", "--trials", "3")
    definition = hpo.load_definition(overrides=OVERRIDES)
    result = hpo.run_study(definition, settings(directory), data=frame, tracking=InlineTracking())
    assert (result.n_trials["complete"], result.n_new_trials) == (4, 1)
    check_stores(**stores_of(directory), n_trials=4, study="mine")
    predicted = result.model.predict(frame.drop(columns="target"))
    assert np.mean(predicted == frame["target"]) > 0.9
    trials = result.trials_dataframe()
    assert (
        trials.loc[result.best_number, "value_accuracy"]
        == trials["value_accuracy"].max()
        == result.best_value
    )
    assert np.allclose(
        [np.mean(scores["accuracy"]) for scores in trials["user_attrs_hpo.scores"]],
        trials["value_accuracy"],
    )
    assert trials.loc[0, "params_penalty"] == "l2"
    frame.loc[0, "alcohol"] += 1
    with pytest.raises(
        hpo.HpoError, match=r"study 'mine' was begun with something else: data \w+ -> \w+"
    ):
        hpo.run_study(definition, settings(directory), data=frame, tracking=InlineTracking())


def test_frame_without_a_name_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    definition = hpo.load_definition(overrides={"data.target": "target"})
    with pytest.raises(hpo.HpoError, match="a study of a DataFrame needs a name"):
        hpo.run_study(definition, settings(tmp_path), data=pd.DataFrame({"target": [0, 1]}))
    assert list(tmp_path.iterdir()) == []


class Breaking(Progress):
    """Breaks the ledger after the first trial."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def trial_told(self, *_: object) -> None:
        with closing(sqlite3.connect(self._directory / "optuna.db")) as database:
            database.execute("DROP TABLE trial_params")


def test_broken_ledger_waits_for_no_server(directory: Path) -> None:
    away = replace(
        settings(directory),
        tracking_uri=f"http://127.0.0.1:{free_port()}",
        tracking_wait_seconds=600.0,
    )
    started = time.monotonic()
    with pytest.raises(hpo.HpoError, match="trial_params"):
        hpo.run_study(hpo.load_definition(), away, progress=Breaking(directory))
    assert time.monotonic() - started < 300


def test_nested_searches_are_as_long_as_the_study_that_they_judge(directory: Path) -> None:
    for overrides in ({"study.n_trials": 3}, {"study.n_trials": 2, "study.nested": 2}):
        result = hpo.run_study(
            hpo.load_definition(overrides=overrides),
            settings(directory),
            tracking=InlineTracking(),
        )
    assert (result.n_trials["complete"], result.n_new_trials) == (3, 6)
    for index in (1, 2):
        assert len(read_trials(stores_of(directory)["storage"], f"iris.nested-{index}-of-2")) == 3


INTERRUPTED = """
import hpo, hpo.study_run
hpo.study_run.CLOSING_SECONDS = 60.0  # the machine may be busy
hpo.run_study(
    hpo.load_definition(overrides={"study.n_trials": 4000}),
    hpo.ServiceSettings(workers=1),
)
"""


def test_interrupt_in_a_notebook_closes_the_parent_run(directory: Path) -> None:
    """There Ctrl-C raises KeyboardInterrupt wherever the search is."""
    process = start_python(directory, "-c", INTERRUPTED)
    wait_until(lambda: count_finished_runs(directory / "mlflow.db") >= 3, process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=COMMAND_SECONDS)
    assert stderr.splitlines()[-1] == "KeyboardInterrupt"
    picture = read_stores(**stores_of(directory))
    assert picture.parent.info.status == "KILLED"
    assert len(picture.children) == count_told(directory)
    run_here_well(directory, "--trials", str(count_told(directory) + 1))
    check_stores(**stores_of(directory), n_trials=count_told(directory))
