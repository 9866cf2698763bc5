"""A study with limits from end to end: what a limit ended is FAILED everywhere, and a model ships."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import hpo
from hpo.search.worker import own_memory
from hpo.tracking.inline import InlineTracking
from tests.support.checker import read_stores
from tests.support.here import run_here
from tests.support.stores import stores_of

REASON = "the fit took longer than limits.fit_seconds = 2"
MEMORY = 280 * 10**6


class Paced(LogisticRegression):
    """Fits at once, or never ends."""

    def __init__(self, pace: str = "never", random_state: int | None = None) -> None:
        super().__init__(random_state=random_state)
        self.pace = pace

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Paced:
        if self.pace != "quick":
            time.sleep(600)
        super().fit(X, y, sample_weight)
        return self


def test_trials_that_a_limit_ended_say_so_and_the_model_ships(directory: Path) -> None:
    """The defaults, which are not in the space, never end either: they are no baseline.

    The refit is not limited: the process that does it holds more all along.
    """
    overrides = {
        "study.name": "paced",
        "study.n_trials": 2,
        "cv.n_splits": 3,
        "data.target": "target",
        "limits.fit_seconds": 2.0,
        "limits.fit_memory": MEMORY,
    }
    result = hpo.run_study(
        hpo.load_definition(overrides=overrides),
        hpo.ServiceSettings(**stores_of(directory), plots=False, workers=1),
        data=load_iris(as_frame=True).frame,
        estimator=Paced(),
        space={"pace": ["quick", "hang"]},
        trusted_types=[Paced],
        tracking=InlineTracking(),
    )
    stores = stores_of(directory)
    picture = read_stores(**stores, study="paced")
    states = {trial.params["pace"]: trial.state.name for trial in picture.trials}
    assert states == {"quick": "COMPLETE", "hang": "FAIL"}
    for trial in picture.trials:
        run = picture.children[trial.number]
        is_ended = trial.params["pace"] == "hang"
        assert run.info.status == ("FAILED" if is_ended else "FINISHED")
        assert run.data.tags.get("hpo.failure") == (REASON if is_ended else None)
        # The dates of a trial are those of its fits.
        seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
        assert (seconds >= 2.0) == is_ended
    assert result.notes[-1] == f"1 of 2 trials failed; the commonest reason: {REASON}"
    assert own_memory(os.getpid()) > MEMORY
    assert result.estimates.baseline_value is None
    assert result.model.predict(load_iris(as_frame=True).data).shape == (150,)
    assert MlflowClient(stores["tracking_uri"]).search_logged_models(
        [run.info.experiment_id], filter_string="name = 'model'"
    )


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_study_with_limits_is_refused_on_a_cluster_before_it_is_asked(
    directory: Path, more: tuple[str, ...]
) -> None:
    """Nobody listens there."""
    (directory / "study.toml").write_text('[limits]\nfit_memory = "2 GB"\n')
    before = sorted(directory.iterdir())
    ended = run_here(directory, "--study", "study.toml", "--workers", "tcp://127.0.0.1:1", *more)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("hpo: limits: a Dask worker cannot end one fit")
    assert ended.stderr.count("\n") == 1
    assert sorted(directory.iterdir()) == before
