"""``python -m hpo.ui``: both pages answer, end with the command however it ends, and show no
password.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import requests

from tests.support.checker import check_stores
from tests.support.commands import (
    COMMAND_SECONDS,
    environment,
    run_python,
    start_python,
    wait_until,
)
from tests.support.here import run_here_well
from tests.support.processes import children_running
from tests.support.servers import free_port, serving_tracking, showing_pages
from tests.support.sharing import FinishedRun
from tests.support.stores import close_stores, stores_of


def wait_until_gone(children: list[psutil.Process]) -> None:
    assert len(children) >= 3, children
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def ports(links: list[str]) -> list[int]:
    return [int(link.split(":")[2].split("/")[0]) for link in links]


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_both_pages_answer_and_end_with_a_signal(finished: FinishedRun) -> None:
    with showing_pages(finished.directory) as (process, links):
        dashboard, mlflow = links
        assert dashboard.endswith("/dashboard/studies/1")
        assert (
            "/#/experiments/1/runs?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey=hpo-"
            in mlflow
        )
        assert "Optuna Dashboard" in requests.get(dashboard, timeout=60).text
        page, _, _ = mlflow.partition("#")
        assert "<title>MLflow</title>" in requests.get(page, timeout=60).text
        study = requests.get(
            dashboard.replace("/dashboard/", "/api/"), params={"after": 0}, timeout=60
        ).json()
        assert (study["name"], len(study["trials"])) == ("iris", 50)
        found = requests.get(
            f"{page}ajax-api/2.0/mlflow/experiments/get", params={"experiment_id": "1"}, timeout=60
        ).json()
        assert found["experiment"]["name"] == "iris"
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
        assert (process.returncode, stdout, stderr) == (0, "", "hpo: stopping what was started\n")
        wait_until_gone(children)
        assert not any(map(is_open, ports(links)))


def test_interrupt_while_they_start_ends_them_without_a_link(finished: FinishedRun) -> None:
    process = start_python(finished.directory, "-m", "hpo.ui", "--dashboard-port", str(free_port()))
    try:
        wait_until(lambda: children_running("hpo.child_process", process.pid) != [], process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, stdout) == (130, "")
    line = r"hpo: stopped before (optuna-dashboard|mlflow) answered \(run it again to open both pages\)"
    assert re.fullmatch(line, stderr.splitlines()[-1]), stderr
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def test_taken_default_port_is_replaced_and_a_command_that_is_killed_leaves_nothing(
    finished: FinishedRun,
) -> None:
    """Nothing else is listened on."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        with showing_pages(finished.directory, "--mlflow-port", str(free_port()), ports=()) as (
            process,
            links,
        ):
            assert ports(links)[0] != 8080
            command = psutil.Process(process.pid)
            children = command.children(recursive=True)
            listening = {
                c.laddr
                for each in (command, *children)
                for c in each.net_connections("inet")
                if c.status == "LISTEN"
            }
            assert listening == {("127.0.0.1", port) for port in ports(links)}
            process.kill()
            wait_until_gone(children)
            assert not any(map(is_open, ports(links)))


def test_one_page_that_ends_ends_the_other_and_is_said(finished: FinishedRun) -> None:
    with showing_pages(finished.directory) as (process, links):
        children = psutil.Process(process.pid).children(recursive=True)
        next(child for child in children if "optuna-dashboard" in child.cmdline()).kill()
        _, stderr = process.communicate(timeout=COMMAND_SECONDS)
        assert process.returncode == 4
        assert stderr.startswith("hpo: optuna-dashboard ended with exit code -9")
        assert stderr.count("\n") == 1
        wait_until_gone(children)
        assert not any(map(is_open, ports(links)))


def test_server_is_used_as_it_is(finished: FinishedRun, tmp_path: Path) -> None:
    storage = f"sqlite:///{finished.directory}/optuna.db"
    with serving_tracking(tmp_path, free_port()) as address:
        flags = ("--storage", storage, "--tracking-uri", address)
        with showing_pages(tmp_path, *flags) as (process, links):
            assert links[1] == f"{address}/"
            names = [
                " ".join(child.cmdline())
                for child in psutil.Process(process.pid).children(recursive=True)
            ]
            assert names
            assert not any("mlflow" in name for name in names)
    process = run_python(tmp_path, "-m", "hpo.ui", *flags)
    assert process.returncode == 3
    assert process.stderr.startswith(f"hpo: {address} does not answer")


def expect_refusal(process: "subprocess.CompletedProcess[str]", exit_code: int, line: str) -> None:
    assert (process.returncode, process.stdout) == (exit_code, "")
    assert process.stderr == f"hpo: {line}\n"


def test_pages_open_before_there_is_a_study(tmp_path: Path) -> None:
    with showing_pages(tmp_path) as (process, (dashboard, mlflow)):
        assert dashboard.endswith("/dashboard")
        assert requests.get(dashboard.replace("/dashboard", "/api/studies"), timeout=60).json() == {
            "study_summaries": []
        }
        assert requests.get(f"{mlflow}health", timeout=60).text == "OK"
        run_here_well(tmp_path, "--trials", "3")
        check_stores(**stores_of(tmp_path), n_trials=3)
        close_stores()  # would keep the log's files
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=COMMAND_SECONDS)
    assert stderr == "hpo: stopping what was started\n"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {".hpo", "mlflow.db", "mlruns", "optuna.db"}


def test_study_that_is_not_there_is_guessed_and_the_pages_open_all_the_same(
    finished: FinishedRun,
) -> None:
    """They end with a SIGTERM as with a Ctrl-C."""
    with showing_pages(finished.directory, "--name", "irsi") as (process, links):
        assert links[0].endswith("/dashboard")
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
        assert (process.returncode, stdout) == (0, "")
        wait_until_gone(children)
        assert not any(map(is_open, ports(links)))
    line = "hpo: there is no study 'irsi' in sqlite:///optuna.db (did you mean 'iris'?)\n"
    assert stderr == f"{line}hpo: stopping what was started\n"


def test_asked_for_port_that_is_taken_is_one_line(finished: FinishedRun) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = run_python(finished.directory, "-m", "hpo.ui", "--mlflow-port", str(port))
    hint = "give another, or leave it out for a free one"
    expect_refusal(process, 2, f"mlflow: port {port} of 127.0.0.1 cannot be had ({hint})")


def test_page_that_cannot_start_is_one_line_without_the_password(finished: FinishedRun) -> None:
    # The driver's connection goes well; what the pages make of the environment does not.
    process = run_python(
        finished.directory,
        "-m",
        "hpo.ui",
        MLFLOW_FLASK_SERVER_SECRET_KEY="x",
        MLFLOW_STATIC_PREFIX="wrong",
    )
    assert process.returncode == 3
    assert process.stderr.startswith("hpo: mlflow ended with exit code 2: ")
    assert process.stderr.count("\n") == 1


def test_no_process_shows_a_password() -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "hpo.child_process",
            str(os.getpid()),
            "optuna-dashboard",
            "$HPO_STORAGE",
            "--version",
        ],
        env=environment(HPO_STORAGE="postgresql://me:secret@db/optuna"),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    shown = psutil.Process(process.pid).cmdline()
    process.communicate(timeout=COMMAND_SECONDS)
    assert "$HPO_STORAGE" in shown
    assert not any("secret" in argument for argument in shown)
