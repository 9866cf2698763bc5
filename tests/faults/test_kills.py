"""Signals at named points: of the search, of tracking, of model logging, of what is made at the
start.

Each test strikes one study again and again, at a later point each time, which costs one run a point
and not two; after each run it looks at how that ended and what was told, and after the last one at
the whole invariant.
"""

import importlib
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.checker import (
    check_projection,
    read_notes,
    read_stores,
    read_trials,
    trial_table,
)
from tests.support.commands import start_hpo, wait_until
from tests.support.forked import forked
from tests.support.here import run_here_well
from tests.support.processes import processor_seconds, session_of
from tests.support.stores import count_finished_runs, count_told, n_running
from tests.support.studies import ALL_RAISE, FIT_SECONDS, running_long_fits

from . import points
from .conftest import MakeReference
from .converging import Kept, Place, Reference, assert_converged, place_in, read_kept
from .disturbing import BUSY, Ended, run_disturbed

KILLED = -signal.SIGKILL


class Study:
    """A study that is struck again and again."""

    def __init__(self, place: Place, reference: Reference) -> None:
        self.place = place
        self.reference = reference
        self.kept = Kept()

    def strike(self, strike: str, **options: Any) -> Ended:
        """Run the command with one more strike."""
        ended = run_disturbed(
            self.place.directory,
            strike,
            *self.reference.flags,
            **options,
            **BUSY,
        )
        assert "Traceback" not in ended.stderr
        self.kept |= read_kept(self.place, "iris")
        return ended

    def kill(self, point: str, **options: Any) -> None:
        """One more strike, which the driver does not outlive."""
        ended = self.strike(point, **options)
        assert (point, ended.returncode) == (point, KILLED)

    def assert_converged(self, *, plots: bool = False) -> None:
        assert_converged(self.place, self.reference, kept=self.kept, plots=plots)


@pytest.fixture
def study(place: Place, reference: Reference) -> Study:
    return Study(place, reference)


@pytest.mark.parametrize("point", points.ALL)
def test_point_is_public_and_there(point: str) -> None:
    """What a refactoring moves is found here, not where a strike is waited for in vain."""
    module, _, name = point.partition(":")
    found = importlib.import_module(module)
    for part in name.split("."):
        assert not part.startswith("_")
        found = getattr(found, part)
    assert callable(found)


def test_killed_while_tables_and_study_are_made(reference: Reference, tmp_path: Path) -> None:
    study = Study(place_in(tmp_path), reference)
    study.kill(f"{points.DESCRIBE_STUDY}:call:1:SIGKILL:group")
    study.kill(f"{points.FILL_TABLES}:call:1:SIGKILL:group")
    study.kill(f"{points.FILL_TABLES}:return:1:SIGKILL:group", start=start_hpo)
    study.assert_converged()


def test_killed_in_the_search(study: Study) -> None:
    """Before a trial is written, when it is there, and between its result and its child run."""
    for strike, n_told in (
        (f"{points.CREATE_TRIAL}:call:3:SIGKILL:self", 2),
        (f"{points.CREATE_TRIAL}:return:2:SIGKILL:group", 3),
        (f"{points.TELL}:return:3:SIGKILL:group", 6),
    ):
        study.kill(strike)
        assert (strike, count_told(study.place.directory)) == (strike, n_told)
    study.assert_converged()


def test_killed_in_a_race_of_two_estimators(
    place: Place, make_directory: Callable[[str], Path], write_study: Callable[[str], str]
) -> None:
    study = write_study('[study]\nname = "iris"\n[pruner]\nkind = "race"\n')
    estimators = ("--estimator", "LogisticRegression,KNeighborsClassifier")
    flags = ("--study", study, "--trials", "14", *estimators)
    undisturbed = make_directory("two")
    run_here_well(undisturbed, *flags)
    for strike in (
        f"{points.CREATE_TRIAL}:call:2:SIGKILL:self",
        f"{points.TELL}:return:4:SIGKILL:group",
        f"{points.CREATE_TRIAL}:return:6:SIGKILL:group",
    ):
        assert run_disturbed(place.directory, strike, *flags).returncode == KILLED
    run_here_well(place.directory, *flags)
    table = trial_table(place.storage)
    assert table == trial_table(f"sqlite:///{undisturbed}/optuna.db")
    assert {row[1] for row in table} == {"COMPLETE", "PRUNED"}
    check_projection(read_stores(place.storage, place.tracking_uri))


def test_interrupted_in_the_search(study: Study) -> None:
    """A terminal's Ctrl-C reaches the whole group, ``docker stop`` the first process alone."""
    for point, name, who, n_told in (
        (f"{points.OPEN_STUDY}:call:1", "SIGTERM", "self", 0),
        (f"{points.TELL}:return:3", "SIGINT", "group", 3),
    ):
        ended = study.strike(f"{point}:{name}:{who}")
        assert (ended.returncode, ended.stdout) == (128 + signal.Signals[name], "")
        told = f"stopped by {name} with {n_told} of 12 trials done"
        assert ended.last_line == f"hpo: {told} (run the same command again to go on)"
        assert count_told(study.place.directory) == n_told
        # What was finished was flushed.
        assert count_finished_runs(study.place.database) == n_told
    finished = [trial for trial in read_trials(study.place.storage) if trial.state.is_finished()]
    best = max(finished, key=lambda trial: trial.value)
    said = f"**Best so far: trial {best.number}**, accuracy {best.value:.4f} over"
    assert said in read_notes(study.place.storage, [])[None]
    study.assert_converged()


def test_interrupted_while_the_model_is_logged(study: Study) -> None:
    """The job is nearly done: either end is right, if it is the one that is said."""
    ended = study.strike(f"{points.CREATE_MODEL}:return:1:SIGINT:parent")
    assert ended.returncode in (0, 128 + signal.SIGINT)
    study.assert_converged()


def test_tracking_killed(study: Study) -> None:
    """The search goes on without it, the exit code says so, and the next run makes it good."""
    for point in (
        f"{points.IMPORT_TRACKING}:call:1",  # before it knows the study
        f"{points.END_RUN}:call:3",
        f"{points.UPLOAD_MODEL}:return:1",
    ):
        ended = study.strike(f"{point}:SIGKILL:self")
        assert (point, ended.returncode) == (point, 3)
        assert ended.last_line.startswith("hpo: MLflow is behind")
        assert ended.last_line.endswith("(the same command catches up)")
        assert count_told(study.place.directory) == 12
    study.assert_converged()


def test_killed_while_tracking_writes(study: Study) -> None:
    """A child that is made and not written, one that is not ended, a model that is not whole.

    Where the driver alone is killed, what it leaves behind may still be writing when the next run
    starts: nothing is there twice.
    """
    for strike in (
        f"{points.CREATE_RUN}:return:3:SIGKILL:group",
        f"{points.END_RUN}:call:3:SIGKILL:group",
        f"{points.CREATE_RUN}:return:2:SIGKILL:parent",
        f"{points.UPLOAD_MODEL}:return:1:SIGKILL:group",
    ):
        study.kill(strike)
    study.assert_converged()


def test_killed_while_the_model_is_drawn_registered_and_the_run_closed(study: Study) -> None:
    flags = (*study.reference.flags, "--register", "flowers")
    study.reference = replace(study.reference, flags=flags)
    study.kill(f"{points.DRAW}:call:1:SIGKILL:group", plots=True)
    study.kill(f"{points.CLOSE}:call:1:SIGKILL:group", plots=True)
    study.kill(f"{points.CREATE_VERSION}:return:1:SIGKILL:group", plots=True)
    study.assert_converged(plots=True)
    client = MlflowClient(study.place.tracking_uri)
    (version,) = client.search_model_versions("name = 'flowers'")
    assert client.get_model_version_by_alias("flowers", "champion").version == version.version
    (plot,) = (study.place.directory / "mlruns").rglob("plots/study.html")
    assert plot.stat().st_size > 0


def test_killed_where_every_fit_raises(
    undisturbed: MakeReference, place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "failing.toml"
    path.write_text(ALL_RAISE, encoding="utf-8")
    reference = undisturbed("--study", str(path), study="failing", exit_code=6)
    strike = f"{points.TELL}:call:4:SIGKILL:self"
    assert run_disturbed(place.directory, strike, *reference.flags).returncode == KILLED
    expected = {"exit_code": 6, "parent_status": "FAILED", "has_model": False}
    assert_converged(place, reference, study="failing", **expected)


def test_killed_with_four_trials_open_then_topped_up(
    undisturbed: MakeReference, place: Place
) -> None:
    reference = undisturbed("--concurrency", "4", "--trials", "16")
    strike = f"{points.SCORE_FOLD}:call:33:SIGKILL:group"
    flags = ("--concurrency", "4", "--trials", "11")
    assert run_disturbed(place.directory, strike, *flags).returncode == KILLED
    assert (count_told(place.directory), n_running(place.directory)) == (6, 4)
    assert_converged(place, reference)


def test_worker_killed_in_a_fold(reference: Reference, place: Place) -> None:
    strike = f"{points.SCORE_FOLD}:call:7:SIGKILL:self"
    ended = run_disturbed(place.directory, strike, *reference.flags, "--workers", "2")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_converged(place, reference)


def test_killed_driver_frees_its_lock_and_its_children_end(place: Place) -> None:
    """The next driver is told of no other one, though it is started at once."""
    with running_long_fits(place.directory, start=forked) as process:
        n_processes = len(session_of(process.pid))
        process.kill()
        killed = time.monotonic()
        with forked(place.directory, "--study", "study.toml", "--workers", "1") as second:
            wait_until(lambda: session_of(process.pid) == [], second)
            assert time.monotonic() - killed < 5.0
            wait_until(lambda: processor_seconds(second.pid) > FIT_SECONDS, second)
            # What was open is scored again.
            assert count_told(place.directory) == 0
            assert n_running(place.directory) >= 1
    assert n_processes >= 4  # the driver, two workers, tracking
