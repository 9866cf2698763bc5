"""``docker-compose.yml``, run natively: the whole job on shared parts, and what may happen to them."""

import base64
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import psycopg
import pytest

from hpo.errors import InputError
from hpo.service.client import Client
from tests.support.checker import check_stores, trial_table
from tests.support.commands import COMMAND_SECONDS, NO_PLOTS
from tests.support.here import run_here_well
from tests.support.postgres import PASSWORD
from tests.support.stores import stores_of

from .composing import BASE, LOGINS, VARIABLES, Stack, composed, end, read_compose

N_TRIALS, FEW = 30, 12
"""Trials of the job that is disturbed, and of the first job, whose trials are its first."""

IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROWS = {"dataframe_split": {"columns": IRIS, "data": [[5.1, 3.5, 1.4, 0.2], [6.7, None, 5.6, 2.4]]}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with composed(tmp_path_factory.mktemp("stack")) as stack:
        stack.up("mlflow")
        stack.up("worker", scale=2)
        yield stack


@pytest.fixture(scope="module")
def table_of_one_process(make_directory: Callable[[str], Path]) -> list[tuple[str, ...]]:
    directory = make_directory("alone")
    run_here_well(directory, f"--trials={N_TRIALS}", "--concurrency", "2", "--workers", "1")
    return trial_table(stores_of(directory)["storage"])


def storage(stack: Stack) -> str:
    return stack.cluster.url("optuna")


def count_told(stack: Stack, study: str) -> int:
    query = "SELECT count(*) FROM trials JOIN studies USING (study_id) WHERE study_name = %s AND state = 'COMPLETE'"
    with psycopg.connect(stack.cluster.address("optuna")) as connection:
        return int(connection.execute(query, (study,)).fetchone()[0])


def wait_for_trials(stack: Stack, job: Any, study: str, n_trials: int) -> None:
    deadline = time.monotonic() + COMMAND_SECONDS
    while count_told(stack, study) < n_trials:
        assert job.poll() is None, stack.log("hpo").read_text()
        assert time.monotonic() < deadline
        check_arguments(stack)
        time.sleep(0.05)


def finish(stack: Stack, job: Any, *, code: int = 0, seconds: float = COMMAND_SECONDS) -> str:
    ended = job.wait(seconds)
    text = stack.log("hpo").read_text()
    assert ended == code, text
    stack.processes.pop("hpo")
    return text


def check_arguments(stack: Stack) -> None:
    """No password is where ``ps`` shows it."""
    for process in stack.everything():
        try:
            words = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        assert not [value for value in VARIABLES.values() if value in words]


def read(url: str, content: Any = None, **headers: str) -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    return json.loads(urllib.request.urlopen(request, timeout=30).read())


def dump(stack: Stack, database: str) -> str:
    """All that a database holds: attributes, params, tags and notes too."""
    command = [
        "pg_dump",
        "--no-owner",
        f"--dbname=postgresql://hpo@127.0.0.1:{stack.cluster.port}/{database}",
    ]
    return subprocess.run(
        command,
        env={**os.environ, "PGPASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def test_job_on_shared_parts_is_that_of_one_process(
    stack: Stack, table_of_one_process: list[tuple[str, ...]]
) -> None:
    report = finish(stack, stack.up("hpo", f"--trials={FEW}"))
    assert f"iris: {FEW} trials ({FEW} complete)" in report
    check_stores(storage(stack), stack.url("5000"), n_trials=FEW)
    assert trial_table(storage(stack)) == table_of_one_process[:FEW]


def test_page_answers(stack: Stack) -> None:
    stack.up("dashboard")
    stack.wait_healthy("dashboard")
    (study,) = read(f"{stack.url('8080')}/api/studies")["study_summaries"]
    assert study["study_name"] == "iris"


def test_server_drives_what_is_submitted(stack: Stack) -> None:
    stack.up("server")
    stack.wait_healthy("server")
    with pytest.raises(InputError, match="a token is needed"):
        Client(stack.url("8070")).studies()
    client = Client(stack.url("8070"), token=VARIABLES["HPO_TOKEN"])
    table = pd.DataFrame({"age": [each * each % 47 for each in range(80)]})
    table["churned"] = ["yes" if age > 20 else "no" for age in table["age"]]
    content = {"study": {"name": "served", "n_trials": 3}, "data": {"target": "churned"}}
    client.submit(content, table, plots=False)
    ended = client.wait("served")
    assert (ended.state, ended.n_trials) == ("done", 3), ended.reason
    check_stores(storage(stack), stack.url("5000"), n_trials=3, study="served")
    assert set(client.model("served").predict(table[["age"]], "predict")) == {"no", "yes"}
    page = urllib.request.Request(
        stack.url("8070"), headers={"Authorization": f"Bearer {VARIABLES['HPO_TOKEN']}"}
    )
    links = urllib.request.urlopen(page, timeout=30).read().decode()
    assert f'href="{stack.url("5000")}/#/experiments/' in links
    check_arguments(stack)


def test_every_port_is_on_loopback_and_other_hosts_are_refused(stack: Stack) -> None:
    check_ports(stack)
    request = urllib.request.Request(
        f"{stack.url('5000')}/api/2.0/mlflow/experiments/search?max_results=1",
        headers={"Host": "evil.example"},
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)


def check_ports(stack: Stack) -> None:
    listening = {
        connection.laddr.ip
        for process in stack.everything()
        for connection in process.net_connections(kind="tcp")
        if connection.status == "LISTEN"
    }
    assert listening
    assert listening <= {"127.0.0.1", "::1"}


def test_no_password_is_in_logs_arguments_databases_or_artifacts(stack: Stack) -> None:
    logs = [*stack.directory.glob("*.log"), stack.cluster.directory / "log"]
    assert {log.stem for log in logs} >= {
        "databases",
        "hpo",
        "mlflow",
        "server",
        "worker",
        "scheduler",
        "tables",
        "dashboard",
    }
    assert [log for log in logs if PASSWORD in log.read_text(errors="replace")] == []
    check_arguments(stack)
    for database, what in (("optuna", "COPY public.trials "), ("mlflow", "COPY public.runs ")):
        content = dump(stack, database)
        assert what in content
        assert PASSWORD not in content
    artifacts = [path for path in (stack.directory / "artifacts").rglob("*") if path.is_file()]
    assert artifacts
    assert [path for path in artifacts if PASSWORD.encode() in path.read_bytes()] == []


def test_nothing_is_written_where_the_container_is_read_only(stack: Stack) -> None:
    assert [path.name for path in stack.working_directory.rglob("*")] == []


DISTURBED = (f"--trials={N_TRIALS}", "--name=disturbed", NO_PLOTS)


def test_job_that_loses_each_part_ends_within_its_grace(stack: Stack) -> None:
    """It searches on without a worker, over a restart of the database and without MLflow, and is
    stopped then, so that all of the flush's patience is used.
    """
    grace = float(stack.compose["services"]["hpo"]["stop_grace_period"].removesuffix("s"))
    job = stack.up("hpo", *DISTURBED)
    wait_for_trials(stack, job, "disturbed", 3)
    end(stack.processes["worker"].pop())
    wait_for_trials(stack, job, "disturbed", 5)
    stack.down("mlflow")
    stack.cluster.stop()
    time.sleep(2)
    stack.cluster.start()
    wait_for_trials(stack, job, "disturbed", count_told(stack, "disturbed") + 3)
    job.send_signal(signal.SIGTERM)
    finish(stack, job, code=128 + signal.SIGTERM, seconds=grace / 2)
    assert count_told(stack, "disturbed") < N_TRIALS


def test_job_goes_on_with_an_mlflow_that_lets_in_only_those_who_have_a_login(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, table_of_one_process: list[tuple[str, ...]]
) -> None:
    """The one that was stopped; the model of the plain stack needs a login from now on, too."""
    stack.down("server")
    stack.compose = read_compose(VARIABLES, BASE, LOGINS)
    finish(stack, stack.up("hpo", *DISTURBED))  # which starts mlflow
    page = f"{stack.url('5000')}/api/2.0/mlflow/experiments/search?max_results=9"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        read(page)
    password = VARIABLES["MLFLOW_ADMIN_PASSWORD"]
    wrong, right = (
        base64.b64encode(f"admin:{word}".encode()).decode() for word in ("password1234", password)
    )
    with pytest.raises(urllib.error.HTTPError, match="401"):
        read(page, Authorization=f"Basic {wrong}")
    assert {"iris", "disturbed"} <= {
        one["name"] for one in read(page, Authorization=f"Basic {right}")["experiments"]
    }
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    check_stores(storage(stack), stack.url("5000"), n_trials=N_TRIALS, study="disturbed")
    assert trial_table(storage(stack), "disturbed") == table_of_one_process
    stack.up("model")
    stack.wait_healthy("model")
    assert read(f"{stack.url('8000')}/invocations", ROWS) == {"predictions": [0, 2]}
    check_ports(stack)
    check_arguments(stack)
    logs = "".join(log.read_text(errors="replace") for log in stack.directory.glob("*.log"))
    assert not [value for value in VARIABLES.values() if value in logs]
    assert [path.name for path in stack.working_directory.rglob("*")] == []
