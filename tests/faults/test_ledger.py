"""The storage locked by another process, two drivers at once, what changed before a resume, the
machine's clock.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

from tests.support.checker import read_trials
from tests.support.commands import COMMAND_SECONDS, start_hpo, wait_until
from tests.support.forked import fork_hpo, forked
from tests.support.here import run_here
from tests.support.stores import copy_directory, count_finished_runs, count_told

from .converging import Place, Reference, assert_converged, assert_is_undisturbed, place_in
from .disturbing import Ended, end, file_bytes, halted, holding, run_disturbed
from .points import SCORE_FOLD
from .racing import race
from .test_servers import assert_behind, said_once

FOR_GOOD = float("inf")

N_TOLD = 3
"""When a database is locked, or a driver stopped."""


def run_while_locked(place: Place, database: str, seconds: float, *flags: str) -> Ended:
    """A run in the middle of which another process locks a database, until the run ends at the
    latest; timed from then on.
    """
    with halted(place.directory, N_TOLD, *flags) as process:
        wait_until(lambda: count_finished_runs(place.database) >= 1, process)
        with holding(place.directory / database):
            started = time.monotonic()
            process.send_signal(signal.SIGCONT)
            if seconds == FOR_GOOD:
                return end(process, started)
            time.sleep(seconds)
        return end(process, started)


@pytest.fixture(scope="module", autouse=True)
def patient(
    make_directory: Callable[[str], Path], reference: Reference
) -> Iterator[dict[str, tuple[Place, Future[Ended]]]]:
    """Runs that do little but wait for a lock, begun with the module's first test and looked at in
    its last ones.
    """
    flags = {
        "ledger": ("optuna.db", 10.0),
        "mlflow": ("mlflow.db", 60.0, "--tracking-wait", "120"),
        "mlflow for good": ("mlflow.db", FOR_GOOD, "--tracking-wait", "1"),
        "ledger for good": ("optuna.db", FOR_GOOD),
    }
    with ThreadPoolExecutor(len(flags)) as pool:
        places = {name: place_in(make_directory("locked")) for name in flags}
        yield {
            name: (
                places[name],
                pool.submit(
                    run_while_locked, places[name], database, seconds, *reference.flags, *more
                ),
            )
            for name, (database, seconds, *more) in flags.items()
        }


def test_ledger_locked_at_the_start_is_waited_for(place: Place, reference: Reference) -> None:
    with ExitStack() as lock:
        lock.enter_context(holding(place.directory / "optuna.db"))
        with forked(place.directory, *reference.flags) as process:
            # SQLite waits for five seconds by itself, and says nothing.
            waiting = process.stderr.readline()
            assert process.poll() is None
            assert count_told(place.directory) == 0
            lock.close()
            ended = end(process, 0.0)
    assert ended.returncode == 0
    assert_waited(replace(ended, stderr=waiting + ended.stderr))
    assert_converged(place, reference)


def assert_waited(ended: Ended) -> None:
    """One line says what was waited for, and nothing else is said."""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("hpo: waiting: the storage ")
    assert "locked" in line


def test_one_of_two_drivers_wins_and_the_other_is_told(
    reference: Reference, tmp_path: Path
) -> None:
    """On new files, which both want to make; the soak does it twenty times, half of them on old
    ones.
    """
    place = place_in(tmp_path)
    assert race(place, reference.flags, start=fork_hpo) == ""
    assert_is_undisturbed(place, reference)


def test_two_studies_on_the_same_new_files_do_not_collide(
    reference: Reference, tmp_path: Path
) -> None:
    processes = [fork_hpo(tmp_path, *reference.flags, "--name", name) for name in ("one", "two")]
    assert [end(process, 0.0).returncode for process in processes] == [0, 0]
    for name in ("one", "two"):
        assert_is_undisturbed(place_in(tmp_path), reference, study=name)


def test_waiting_driver_can_be_interrupted_and_takes_over_from_a_killed_one(
    reference: Reference, place: Place
) -> None:
    with halted(
        place.directory, N_TOLD, "--trials", "400"
    ) as first:  # it stays where it is, with the lock
        for number in (signal.SIGTERM, None):
            with forked(place.directory, *reference.flags, "--wait") as second:
                waiting = second.stderr.readline()
                assert waiting.startswith(
                    "hpo: waiting: study 'iris' is being driven by another process (host "
                )
                assert f"pid {first.pid}" in waiting
                time.sleep(1.0)
                started = time.monotonic()
                assert second.poll() is None
                os.killpg(*(second.pid, number) if number else (first.pid, signal.SIGKILL))
                ended = end(second, started)
            assert ended.returncode == (128 + number if number else 0)
            assert not number or (ended.seconds < 5.0 and count_told(place.directory) == N_TOLD)
            assert "Traceback" not in ended.stderr
    assert_converged(place, reference)


@pytest.fixture(scope="module")
def own_table(make_directory: Callable[[str], Path]) -> Path:
    """A finished study of a file."""
    directory = make_directory("own-table")
    load_iris(as_frame=True).frame.to_csv(directory / "iris.csv", index=False)
    (directory / "study.toml").write_text(
        '[study]\nname = "iris"\n[data]\nsource = "iris.csv"\ntarget = "target"\n'
    )
    assert run_here(directory, "--study", "study.toml", "--trials", "3").returncode == 0
    return directory


@pytest.mark.parametrize(
    ("text", "flags", "named"),
    [
        ("", ("--seed", "1"), ["study.seed 0 -> 1"]),
        (
            '[cv]\nn_splits = 4\n[search_space]\nC = { low = 1e-4, high = 1e3, log = true }\npenalty = ["l2", "l1"]\n',
            ("--metric", "f1_macro", "--concurrency", "2"),
            [
                "study.metric accuracy -> f1_macro",
                "study.concurrency 1 -> 2",
                "search_space.C.high 10000 -> 1000",
                "search_space.penalty ",
                "cv.n_splits 5 -> 4",
            ],
        ),
        (None, (), ["data "]),
    ],
    ids=["seed", "definition", "data"],
)
def test_changed_study_is_refused_and_nothing_is_written(
    own_table: Path, tmp_path: Path, text: str | None, flags: tuple[str, ...], named: list[str]
) -> None:
    directory = copy_directory(own_table, tmp_path / "copy")
    if text is None:
        table = (directory / "iris.csv").read_text()
        (directory / "iris.csv").write_text(table.replace("5.1,", "5.2,", 1))
    else:
        with (directory / "study.toml").open("a") as file:
            file.write(text)
    before = file_bytes(directory)
    process = run_here(directory, "--study", "study.toml", "--trials", "4", *flags)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith("hpo: study 'iris' was begun with something else: ")
    assert process.stderr.endswith(" (undo the change, or start another study with --name)\n")
    assert all(text in process.stderr for text in named), process.stderr
    assert process.stderr.count(" -> ") == len(named)
    assert process.stderr.count("\n") == 1
    assert file_bytes(directory) == before


def test_clock_goes_back_an_hour_in_the_middle_of_a_trial(
    place: Place, reference: Reference
) -> None:
    """No crash, and nothing ends before it began, in the report neither."""
    ended = run_disturbed(
        place.directory,
        f"{SCORE_FOLD}:call:28:CLOCK:self",
        *reference.flags,
        "--json",
        start=start_hpo,  # the imports of the new process get clocks that can go back
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    content = json.loads(ended.stdout)
    assert 0 < content["seconds"]["search"] < content["seconds"]["total"] < COMMAND_SECONDS
    starts = [trial.datetime_start for trial in read_trials(place.storage)]
    assert starts != sorted(starts)  # the clock did go back
    # The ledger's moments are Optuna's own; the runs are where a person reads how long a trial
    # took.
    picture = assert_converged(place, reference)
    assert all(
        run.info.end_time >= run.info.start_time
        for run in (picture.parent, *picture.children.values())
    )


def test_ledger_locked_for_ten_seconds_is_waited_for(
    patient: dict[str, tuple[Place, Future[Ended]]], reference: Reference
) -> None:
    place, future = patient["ledger"]
    ended = future.result(COMMAND_SECONDS)
    assert ended.returncode == 0
    assert_waited(ended)
    assert ended.seconds > 10.0
    assert_converged(place, reference)


def test_locked_mlflow_is_waited_for(
    patient: dict[str, tuple[Place, Future[Ended]]], reference: Reference
) -> None:
    place, future = patient["mlflow"]
    ended = future.result(COMMAND_SECONDS)
    assert (ended.returncode, said_once(ended)) == (0, True), ended.stderr
    assert_converged(place, reference)


def test_mlflow_locked_for_good_is_said(
    patient: dict[str, tuple[Place, Future[Ended]]], reference: Reference
) -> None:
    place, future = patient["mlflow for good"]
    ended = future.result(COMMAND_SECONDS)
    assert_behind(ended)
    assert count_told(place.directory) == 12
    assert_converged(place, reference)


def test_ledger_locked_for_good_is_one_line(
    patient: dict[str, tuple[Place, Future[Ended]]], reference: Reference
) -> None:
    place, future = patient["ledger for good"]
    ended = future.result(COMMAND_SECONDS)
    assert (ended.returncode, ended.stdout) == (4, "")
    waiting, line = ended.stderr.splitlines()
    assert waiting.startswith("hpo: waiting: ")
    assert "locked" in line
    assert 60.0 < ended.seconds < 150.0
    assert count_told(place.directory) == N_TOLD
    assert_converged(place, reference)
