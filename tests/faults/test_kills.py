"""Signals at named points: of the search, of tracking, of model logging, of what is made at the start.

Each test strikes one study again and again, at a later point each time, which costs one run a point and not two; after each run it
looks at how that ended and what was told, and after the last one at the whole invariant.
"""

import signal
import time
from pathlib import Path

import pytest

from tests.support.checker import read_notes, read_trials
from tests.support.commands import running, wait_until
from tests.support.processes import processor_seconds, session_of, workers_of
from tests.support.stores import count_finished_runs, count_told, n_running
from tests.support.studies import ALL_RAISE, SOME_RAISE, running_long_fits

from .conftest import MakeReference
from .converging import Kept, Place, Reference, assert_converged, place_in, read_kept
from .disturbing import Ended, run_disturbed

KILLED = -signal.SIGKILL

CREATE = "hpo.study:Ledger._create"
TELL = "hpo.study:Ledger.tell"
FIT = "hpo.cross_validation:score_fold"
LEDGER = "hpo.transactions:LedgerStorage"
STATE = f"{LEDGER}.finish_trial"
OPEN = "hpo.study:open_study"
WRITER = "hpo.tracking.writer:MlflowWriter"
MODELS = "hpo.tracking.models:ModelWriter"
CLIENT = "mlflow.tracking.client:MlflowClient"
STORE = "mlflow.store.tracking.sqlalchemy_store:SqlAlchemyStore"


class Study:
    """A study that is struck again and again."""

    def __init__(self, place: Place, reference: Reference) -> None:
        self.place = place
        self.reference = reference
        self.kept = Kept()

    def strike(self, strike: str) -> Ended:
        """Run the command with one more strike."""
        ended = run_disturbed(
            self.place.directory, strike, *self.reference.flags, HPO_CLOSING_SECONDS="60"
        )
        assert "Traceback" not in ended.stderr
        self.kept |= read_kept(self.place, "iris")
        return ended

    def assert_converged(self) -> None:
        assert_converged(self.place, self.reference, kept=self.kept)


@pytest.fixture
def study(place: Place, reference: Reference) -> Study:
    return Study(place, reference)


def test_killed_in_the_search(study: Study) -> None:
    for strike, n_told in (
        (f"{CREATE}:call:3:SIGKILL:self", 2),
        (f"{CREATE}:return:1:SIGKILL:group", 2),
        (f"{FIT}:call:8:SIGKILL:self", 3),
        (f"{TELL}:call:3:SIGKILL:group", 5),
        (f"{STATE}:call:2:SIGKILL:self", 6),
        (f"{TELL}:return:2:SIGKILL:group", 8),
        (f"{TELL}:return:4:SIGKILL:self", 12),
    ):
        assert study.strike(strike).returncode == KILLED
        assert (strike, count_told(study.place.directory)) == (strike, n_told)
    study.assert_converged()


def test_interrupted_in_the_search(study: Study) -> None:
    """A terminal's Ctrl-C reaches the whole group, ``docker stop`` the first process alone."""
    for point, name, who, n_told in (
        (f"{OPEN}:call:1", "SIGTERM", "self", 0),
        (f"{CREATE}:return:3", "SIGINT", "group", 2),
        (f"{FIT}:call:8", "SIGTERM", "self", 3),
        (f"{TELL}:return:3", "SIGINT", "group", 6),
        (f"{TELL}:return:2", "SIGTERM", "group", 8),
    ):
        ended = study.strike(f"{point}:{name}:{who}")
        assert (ended.returncode, ended.stdout) == (128 + signal.Signals[name], "")
        assert (
            ended.last_line
            == f"hpo: stopped by {name} with {n_told} of 12 trials done (run the same command again to go on)"
        )
        assert count_told(study.place.directory) == n_told
        assert count_finished_runs(study.place.database) == n_told  # what was finished was flushed
    completed = [trial for trial in read_trials(study.place.storage) if trial.state.is_finished()]
    best = max(completed, key=lambda trial: trial.value)
    assert (
        f"**Best so far: trial {best.number}**, accuracy {best.value:.4f} over"
        in read_notes(study.place.storage, [])[None]
    )
    study.assert_converged()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_interrupted_while_the_model_is_logged(study: Study, name: str) -> None:
    """The job is nearly done: either end is right, if it is the one that is said."""
    ended = study.strike(f"{CLIENT}.create_logged_model:return:1:{name}:parent")
    assert ended.returncode in (0, 128 + signal.Signals[name])
    study.assert_converged()


@pytest.mark.parametrize(
    "points",
    [
        ("hpo.tracking.follower:warm_up:call:1",),  # before it knows the study
        (f"{CLIENT}.create_experiment:return:1", f"{CLIENT}.create_run:return:1"),
        (
            "hpo.tracking.child_runs:ChildRuns.create:return:3",
            f"{STORE}._log_metrics:call:4",
            f"{CLIENT}.set_terminated:call:3",
        ),
        (
            f"{MODELS}._log:call:1",
            f"{CLIENT}.create_logged_model:return:1",
            f"{CLIENT}.log_model_artifacts:return:1",
        ),
        (
            f"{CLIENT}.finalize_logged_model:call:1",
            f"{WRITER}.write_text:call:1",
            f"{WRITER}.close:call:1",
        ),
    ],
    ids=["import", "start", "child runs", "model", "end"],
)
def test_tracking_killed(study: Study, points: tuple[str, ...]) -> None:
    """The search goes on without it, the exit code says so, and the next run makes it good."""
    for point in points:
        ended = study.strike(f"{point}:SIGKILL:self")
        assert (point, ended.returncode) == (point, 3)
        assert ended.last_line.startswith("hpo: MLflow is behind")
        assert ended.last_line.endswith("(the same command catches up)")
        assert count_told(study.place.directory) == 12
    study.assert_converged()


@pytest.mark.parametrize(
    "strikes",
    [
        (
            f"{WRITER}._create_child:return:3:SIGKILL:group",
            f"{STORE}._log_metrics:call:4:SIGKILL:group",
            f"{CLIENT}.log_model_artifacts:return:1:SIGKILL:group",
            f"{CLIENT}.finalize_logged_model:return:1:SIGKILL:group",
            f"{WRITER}.close:call:1:SIGKILL:group",
        ),
        # What the driver leaves behind may still be writing when the next run starts: nothing is there twice.
        (
            f"{WRITER}._create_child:return:3:SIGKILL:parent",
            f"{CLIENT}.log_model_artifacts:return:1:SIGKILL:parent",
        ),
    ],
    ids=["everything", "driver"],
)
def test_killed_while_tracking_writes(study: Study, strikes: tuple[str, ...]) -> None:
    for strike in strikes:
        assert (strike, study.strike(strike).returncode) == (strike, KILLED)
    study.assert_converged()


def test_killed_while_tables_and_study_are_made(reference: Reference, tmp_path: Path) -> None:
    study = Study(place_in(tmp_path), reference)
    for strike in (
        f"{LEDGER}.__init__:call:1:SIGKILL:self",
        "hpo.ledger.storage:_connect:return:1:SIGKILL:group",
        f"{OPEN}:call:1:SIGKILL:self",
        "optuna.study.study:Study.set_user_attr:call:1:SIGKILL:group",
        "mlflow.store.db.utils:_upgrade_db:call:1:SIGKILL:group",
        "alembic.runtime.migration:HeadMaintainer.update_to_step:call:20:SIGKILL:group",
    ):
        assert (strike, study.strike(strike).returncode) == (strike, KILLED)
    study.assert_converged()


def test_killed_where_fits_fail(undisturbed: MakeReference, place: Place, tmp_path: Path) -> None:
    path = tmp_path / "failing.toml"
    path.write_text(SOME_RAISE, encoding="utf-8")
    reference = undisturbed("--study", str(path), study="failing")
    assert (
        run_disturbed(place.directory, f"{TELL}:call:6:SIGKILL:group", *reference.flags).returncode
        == KILLED
    )
    picture = assert_converged(place, reference, study="failing")
    assert {run.info.status for run in picture.children.values()} == {"FINISHED", "FAILED"}


def test_killed_where_every_fit_raises(
    undisturbed: MakeReference, place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "failing.toml"
    path.write_text(ALL_RAISE, encoding="utf-8")
    reference = undisturbed("--study", str(path), study="failing", exit_code=6)
    assert (
        run_disturbed(place.directory, f"{TELL}:call:4:SIGKILL:self", *reference.flags).returncode
        == KILLED
    )
    assert_converged(
        place, reference, study="failing", exit_code=6, parent_status="FAILED", has_model=False
    )


def test_killed_with_four_trials_open_then_topped_up(
    undisturbed: MakeReference, place: Place
) -> None:
    reference = undisturbed("--concurrency", "4", "--trials", "16")
    strike = f"{FIT}:call:33:SIGKILL:group"
    assert (
        run_disturbed(place.directory, strike, "--concurrency", "4", "--trials", "11").returncode
        == KILLED
    )
    assert (count_told(place.directory), n_running(place.directory)) == (6, 4)
    assert_converged(place, reference)


def test_worker_killed_in_a_fold(reference: Reference, place: Place) -> None:
    ended = run_disturbed(
        place.directory, f"{FIT}:call:7:SIGKILL:self", *reference.flags, "--workers", "2"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_converged(place, reference)


def test_killed_driver_frees_its_lock_and_its_children_end(place: Place) -> None:
    """The next driver is told of no other one, though it is started at once."""
    with running_long_fits(place.directory) as process:
        n_processes = len(session_of(process.pid))
        process.kill()
        killed = time.monotonic()
        with running(place.directory, "--study", "study.toml", "--workers", "2") as second:
            wait_until(lambda: session_of(process.pid) == [], second)
            assert time.monotonic() - killed < 5.0
            wait_until(lambda: len(workers_of(second.pid)) == 2, second)
            wait_until(
                lambda: max(map(processor_seconds, workers_of(second.pid)), default=0.0) > 5.0,
                second,
            )
            assert (count_told(place.directory), n_running(place.directory) >= 1) == (
                0,
                True,
            )  # what was open is scored again
    assert n_processes >= 4  # the driver, two workers, tracking
