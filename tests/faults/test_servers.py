"""A real ``mlflow server`` that is away, stopped, frozen, slow, wrong, or whose answers are lost;
then the same command again.
"""

import json
import os
import re
import signal
import time
from dataclasses import replace

import pytest

from tests.support.checker import check_projection, read_projection, read_trials
from tests.support.commands import run_python, wait_until
from tests.support.forked import forked
from tests.support.here import call_main, run_here
from tests.support.stores import count_finished_runs, count_told, n_running
from tests.support.studies import running_long_fits

from .converging import Kept, Place, Reference, assert_converged, read_kept
from .disturbing import BUSY, PAUSES, REQUEST_TIMEOUT, Ended, constants, end, halted, later
from .proxy import Mode, Proxy
from .server import Server

BEHIND = "hpo: MLflow does not take what is written ("
CAUGHT_UP = "hpo: MLflow has caught up"
PATIENT = ("--tracking-wait", "120")
RUNS_CREATE = "runs/create"
LOGGED_MODELS = "logged-models"


def said_once(ended: Ended) -> bool:
    """One line when MLflow went away and one when it was back, nothing else."""
    lines = ended.stderr.splitlines()
    return len(lines) == 2 and lines[0].startswith(BEHIND) and lines[1].startswith(CAUGHT_UP)


def run(place: Place, *flags: str, **variables: str) -> Ended:
    """The command in this process: what is written to the server is written when the search is
    over.
    """
    started = time.monotonic()
    process = run_here(place.directory, *flags, **place.variables, **variables)
    seconds = time.monotonic() - started
    return Ended(os.getpid(), process.returncode, process.stdout, process.stderr, seconds)


def assert_behind(ended: Ended, n_behind: int | None = None) -> None:
    """The search is done, MLflow is behind by so many trials (if it is known), and one line says
    so.
    """
    amount = r"( by \d+ trials)?" if n_behind is None else f" by {n_behind} trials"
    line = rf"hpo: MLflow is behind{amount} and the final model may be missing: .+ \(the same command catches up\)"
    assert ended.returncode == 3, ended.stderr
    assert re.fullmatch(line, ended.last_line), ended.stderr
    assert all(text.startswith(BEHIND) for text in ended.stderr.splitlines()[:-1])
    assert ended.stderr.count("\n") <= 2


@pytest.mark.usefixtures("hasty")
def test_server_away_at_the_start_comes_in_time(
    proxied: Place, proxy: Proxy, study: str, reference: Reference
) -> None:
    """Nobody listens on its port until the search has long been over."""
    proxy.set_mode("refuse")
    with later(4.0, proxy.set_mode, "pass"):
        ended = run(proxied, *reference.flags, "--name", study, *PATIENT)
    assert (ended.returncode, said_once(ended)) == (0, True), ended.stderr
    assert_converged(proxied, reference, study=study)


def test_server_never_there(proxied: Place, proxy: Proxy, study: str, reference: Reference) -> None:
    proxy.set_mode("refuse")
    ended = run(proxied, *reference.flags, "--name", study, "--tracking-wait", "1", "--json")
    assert_behind(ended, 12)
    seconds = json.loads(ended.stdout)["seconds"]
    assert seconds["total"] - seconds["search"] < 25.0  # the default is to wait for 30
    proxy.set_mode("pass")
    assert_converged(proxied, reference, study=study)


@pytest.mark.parametrize("is_frozen", [False, True])
def test_server_away_in_the_middle(
    server: Server, served: Place, study: str, reference: Reference, *, is_frozen: bool
) -> None:
    """The search does not wait for it: all trials are told before it is back. What it was asked
    before it froze it does when it thaws, whoever still waits.
    """
    away, back = (server.freeze, server.thaw) if is_frozen else (server.stop, server.start)
    n_before, started = count_finished_runs(served.database), time.monotonic()
    flags = (*reference.flags, "--name", study, *PATIENT)
    variables = constants(PAUSES | REQUEST_TIMEOUT)
    with halted(served.directory, 5, *flags, **served.variables, **variables) as process:
        wait_until(lambda: count_finished_runs(served.database) >= n_before + 3, process)
        away()
        process.send_signal(signal.SIGCONT)
        behind = process.stderr.readline()
        wait_until(lambda: count_told(served.directory) == 12, process)
        back()
        ended = end(process, started)
    ended = replace(ended, stderr=behind + ended.stderr)
    assert (ended.returncode, said_once(ended)) == (0, True), ended.stderr
    assert_converged(served, reference, study=study)


def test_never_back(proxied: Place, proxy: Proxy, study: str, reference: Reference) -> None:
    """From the first write, in the middle of the runs, and while the model is logged: one study,
    and each time it gets further.
    """
    kept = Kept()
    for mode, path, nth in (
        ("500", "experiments/create", 1),
        ("refuse", RUNS_CREATE, 3),
        ("hang", RUNS_CREATE, 3),
        ("cut", RUNS_CREATE, 3),
        ("503", LOGGED_MODELS, 2),
        ("cut", LOGGED_MODELS, 2),
    ):
        n_before = proxy.n_disturbed
        proxy.plan(path, nth, mode)
        flags = (*reference.flags, "--name", study, "--tracking-wait", "0.5")
        ended = run(proxied, *flags, MLFLOW_HTTP_REQUEST_TIMEOUT="2")
        assert (mode, proxy.n_disturbed > n_before) == (mode, True)
        assert_behind(ended)
        assert count_told(proxied.directory) == 12
        kept |= read_kept(proxied, study)
        proxy.set_mode("pass")
    assert_converged(proxied, reference, study=study, kept=kept)


@pytest.mark.usefixtures("hasty")
def test_wrong_for_some_seconds_in_all_ways(
    proxied: Place, proxy: Proxy, study: str, reference: Reference
) -> None:
    """It is over before the run gives up: the run itself writes everything, and says each of two
    things once.
    """
    for mode in ("refuse", "hang", "500", "503", "cut"):
        proxy.plan(RUNS_CREATE, 3, mode, 1.0)
    ended = run(proxied, *reference.flags, "--name", study)
    assert proxy.n_disturbed >= 5
    assert (ended.returncode, said_once(ended)) == (0, True), ended.stderr
    assert_converged(proxied, reference, study=study)


def test_slow_server_takes_longer_and_nothing_else(
    proxied: Place, proxy: Proxy, study: str, reference: Reference
) -> None:
    proxy.set_mode("slow")
    started = time.monotonic()
    flags = (*reference.flags, "--name", study, "--json")
    with forked(proxied.directory, *flags, **proxied.variables) as process:
        ended = end(process, started)
    assert proxy.n_disturbed > 12
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["seconds"]["search"] < 0.1 * proxy.n_disturbed
    proxy.set_mode("pass")
    assert_converged(proxied, reference, study=study)


@pytest.mark.parametrize("mode", ["cut first", "drop"])
@pytest.mark.usefixtures("hasty")
def test_lost_answers_leave_nothing_twice(
    proxied: Place, proxy: Proxy, study: str, reference: Reference, mode: Mode
) -> None:
    """The first answer of every endpoint, then a tenth of all: the server did the work, and the run
    finds that out.
    """
    proxy.set_mode(mode)
    ended = run(proxied, *reference.flags, "--name", study)
    assert ended.returncode == 0, ended.stderr
    assert proxy.n_disturbed >= 8
    proxy.set_mode("pass")
    assert_converged(proxied, reference, study=study)


def test_password_is_in_no_line_where_requests_fail(
    proxied: Place, proxy: Proxy, study: str, reference: Reference
) -> None:
    address = proxy.address.replace("//", "//me:s3cr3t@")
    proxy.plan("experiments", 1, "cut")
    flags = (
        *reference.flags,
        "--name",
        study,
        "--tracking-uri",
        address,
        "--tracking-wait",
        "0",
        "--debug",
    )
    process = run_here(proxied.directory, *flags)
    assert process.returncode == 3
    assert "s3cr3t" not in process.stdout + process.stderr
    assert "me:***@127.0.0.1" in process.stderr
    proxy.set_mode("pass")
    proxy.plan("model-versions", 1, "cut")
    predicted = call_main(
        proxied.directory,
        "predict",
        "models:/nobody/1",
        "rows.csv",
        "--tracking-uri",
        address,
        "--debug",
    )
    assert predicted.returncode == 2
    assert "Traceback" in predicted.stderr
    assert "s3cr3t" not in predicted.stderr


CALLBACK = """
import sys, optuna, hpo
study = optuna.create_study(study_name=sys.argv[2], storage="sqlite:///theirs.db")
with hpo.MLflowCallback(sys.argv[1], metric_name="x") as callback:
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=12, callbacks=[callback])
"""


def test_lost_answers_leave_nothing_twice_for_the_callback(
    proxied: Place, proxy: Proxy, study: str
) -> None:
    proxy.dropped_share = 0.2
    proxy.set_mode("drop")
    command = ("-c", CALLBACK, proxy.address, study)
    process = run_python(proxied.directory, *command, **constants(PAUSES))
    assert (process.returncode, "Traceback" in process.stderr) == (0, False), process.stderr
    assert proxy.n_disturbed > 0
    trials = read_trials(f"sqlite:///{proxied.directory}/theirs.db", study)
    check_projection(read_projection(trials, proxied.address, study))


def test_killed_while_answers_are_lost(
    proxied: Place, proxy: Proxy, study: str, reference: Reference
) -> None:
    """Runs that the server made and nobody was told of are found by their key."""
    proxy.plan(RUNS_CREATE, 4, "cut")
    flags = (*reference.flags, "--name", study)
    with forked(proxied.directory, *flags, **proxied.variables) as process:
        wait_until(lambda: proxy.n_disturbed >= 2, process)
        os.killpg(process.pid, signal.SIGKILL)
    proxy.set_mode("pass")
    assert_converged(proxied, reference, study=study)


def test_signal_while_fits_run_in_workers_and_the_server_is_frozen(
    server: Server, served: Place, study: str
) -> None:
    flags = ("--name", study)
    with running_long_fits(served.directory, *flags, start=forked, **served.variables) as process:
        server.freeze()
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        ended = end(process, started)
    assert ended.seconds < 5.0
    assert ended.returncode == 128 + signal.SIGTERM
    stopped = (
        "hpo: stopped by SIGTERM with 0 of 50 trials done (run the same command again to go on)"
    )
    assert ended.last_line == stopped
    assert n_running(served.directory) >= 1


def test_second_interrupt_ends_at_once_and_the_next_run_heals(
    proxied: Place, proxy: Proxy, study: str, reference: Reference
) -> None:
    """The first one, in the middle of the search, is held up by a server that does not answer."""
    proxy.plan(RUNS_CREATE, 4, "hang")
    flags = (*reference.flags, "--name", study)
    with halted(proxied.directory, 5, *flags, **proxied.variables, **BUSY) as process:
        wait_until(lambda: proxy.n_disturbed > 0, process)
        os.killpg(process.pid, signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        started = time.monotonic()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        ended = end(process, started)
    assert ended.returncode == 130
    assert ended.seconds < 20.0
    assert count_told(proxied.directory) == 5
    proxy.set_mode("pass")
    assert_converged(proxied, reference, study=study)
