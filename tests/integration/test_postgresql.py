"""The ledger on a real PostgreSQL: the same trials, one driver, and restarts in the middle."""

import signal
import time
from pathlib import Path

import psycopg
import pytest

from tests.support.checker import check_stores, read_trials, trial_table
from tests.support.commands import wait_until
from tests.support.forked import fork_hpo
from tests.support.here import run_here, run_here_well
from tests.support.postgres import PASSWORD, Cluster
from tests.support.sharing import FinishedRun
from tests.support.stores import stores_of

N_TRIALS = 20
FLAGS = ("--trials", str(N_TRIALS))


@pytest.fixture
def url(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """The URL of a new database."""
    return cluster.make_database(request.node.name[:60])


def count_told(url: str) -> int:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        try:
            return int(
                connection.execute(
                    "SELECT count(*) FROM trials WHERE state != 'RUNNING'"
                ).fetchone()[0]
            )
        except psycopg.errors.UndefinedTable:
            return 0


def check_equal(url: str, directory: Path, finished: FinishedRun) -> None:
    check_stores(url, stores_of(directory)["tracking_uri"], n_trials=N_TRIALS)
    finished_table = trial_table(stores_of(finished.directory)["storage"])
    assert trial_table(url) == finished_table[:N_TRIALS]


def test_job_gives_the_trials_of_sqlite_and_prints_no_password(
    url: str, directory: Path, finished: FinishedRun
) -> None:
    report = run_here_well(directory, *FLAGS, HPO_STORAGE=url.replace("+psycopg", ""))
    check_equal(url, directory, finished)
    assert PASSWORD not in report
    assert "optuna-dashboard postgresql+psycopg://hpo:***@127.0.0.1:" in report
    assert "all done before, nothing was changed" in run_here_well(
        directory, *FLAGS, HPO_STORAGE=url
    )


def test_second_driver_is_told_who_the_first_is_and_can_wait(
    url: str, directory: Path, finished: FinishedRun
) -> None:
    first = fork_hpo(directory, *FLAGS, HPO_STORAGE=url)
    wait_until(lambda: count_told(url) > 0, first)
    first.send_signal(signal.SIGSTOP)
    try:
        second = run_here(directory, *FLAGS, HPO_STORAGE=url)
        third = fork_hpo(directory, *FLAGS, "--wait", HPO_STORAGE=url)
        waiting = third.stderr.readline()
    finally:
        first.send_signal(signal.SIGCONT)
    line = "study 'iris' is being driven by another process (hpo on "
    assert (second.returncode, second.stdout) == (7, "")
    assert second.stderr.startswith(f"hpo: {line}")
    assert f", pid {first.pid}, since 20" in second.stderr
    assert waiting.startswith(f"hpo: waiting: {line}")
    assert first.communicate()[1] == ""
    stdout, _ = third.communicate()
    assert third.returncode == 0
    assert "all done before, nothing was changed" in stdout
    check_equal(url, directory, finished)


def test_restart_in_the_middle_loses_nothing(
    cluster: Cluster, url: str, directory: Path, finished: FinishedRun
) -> None:
    process = fork_hpo(directory, *FLAGS, HPO_STORAGE=url)
    wait_until(lambda: count_told(url) >= 5, process)
    cluster.stop()
    time.sleep(4)
    cluster.start()
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    check_equal(url, directory, finished)


def test_lock_that_another_took_during_a_restart_ends_the_driver(
    cluster: Cluster, url: str, directory: Path, finished: FinishedRun
) -> None:
    process = fork_hpo(directory, *FLAGS, HPO_STORAGE=url)
    wait_until(lambda: count_told(url) >= 5, process)
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        held = "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory'"
        (key,) = connection.execute(held).fetchone()
    process.send_signal(signal.SIGSTOP)
    cluster.stop()
    cluster.start()
    with psycopg.connect(url.replace("+psycopg", ""), application_name="a thief") as thief:
        assert thief.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() == (True,)
        n_told = count_told(url)
        process.send_signal(signal.SIGCONT)
        stdout, stderr = process.communicate()
        assert (process.returncode, stdout) == (7, "")
        assert "is being driven by another process (a thief, since" in stderr
        assert count_told(url) == n_told
    run_here_well(directory, *FLAGS, HPO_STORAGE=url)
    check_equal(url, directory, finished)


def test_killed_driver_frees_the_lock_at_once(
    url: str, directory: Path, finished: FinishedRun
) -> None:
    process = fork_hpo(directory, *FLAGS, HPO_STORAGE=url)
    wait_until(lambda: count_told(url) >= 5, process)
    process.kill()
    process.communicate()
    run_here_well(directory, *FLAGS, HPO_STORAGE=url)
    check_equal(url, directory, finished)


def test_two_starters_on_an_empty_database_make_one_study(
    url: str, directory: Path, finished: FinishedRun
) -> None:
    both = [fork_hpo(directory, *FLAGS, HPO_STORAGE=url) for _ in range(2)]
    ended = [process.communicate() for process in both]
    assert sorted(process.returncode for process in both) == [0, 7], ended
    check_equal(url, directory, finished)


def test_database_that_is_away_is_one_line_without_its_password(
    cluster: Cluster, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.ledger.failures.RETRY_SECONDS", 4.0)
    url = cluster.url("x").replace(str(cluster.port), "1")
    process = run_here(directory, *FLAGS, HPO_STORAGE=url)
    assert (process.returncode, process.stdout) == (4, "")
    reason = "postgresql+psycopg://hpo:***@127.0.0.1:1/x cannot be read: "
    waiting, line = process.stderr.splitlines()
    assert waiting.startswith(f"hpo: waiting: {reason}")
    assert line.startswith(f"hpo: {reason}")
    assert PASSWORD not in process.stderr


def test_tracking_database_of_postgresql_takes_the_runs(
    cluster: Cluster, url: str, directory: Path
) -> None:
    tracking = cluster.make_database("tracking")
    run_here_well(directory, "--trials", "5", HPO_STORAGE=url, MLFLOW_TRACKING_URI=tracking)
    check_stores(url, tracking, n_trials=5)
    assert len(read_trials(url)) == 5
