"""``docker-compose.yml``, run natively: the whole job on shared parts, and what may happen to them."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.checker import check_stores, trial_table
from tests.integration.driving import COMMAND_SECONDS, run_hpo_well, stores_of
from tests.integration.postgres import PASSWORD

from .composing import Stack, composed, end

IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with composed(tmp_path_factory.mktemp("stack")) as stack:
        stack.up("mlflow")
        stack.up("worker", scale=2)
        yield stack


@pytest.fixture(scope="module")
def table_of_one_process(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, ...]]:
    directory = tmp_path_factory.mktemp("alone")
    run_hpo_well(directory, "--trials", "50", "--concurrency", "2", "--workers", "1")
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
        time.sleep(0.05)


def finish(stack: Stack, job: Any) -> str:
    code = job.wait(COMMAND_SECONDS)
    text = stack.log("hpo").read_text()
    assert code == 0, text
    stack.processes.pop("hpo")
    return text


def read(url: str, content: Any = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=30).read())


def test_job_on_shared_parts_is_that_of_one_process(stack: Stack, table_of_one_process: list[tuple[str, ...]]) -> None:
    report = finish(stack, stack.up("hpo"))
    assert "iris: 50 trials (50 complete)" in report
    check_stores(storage(stack), stack.url("5000"), n_trials=50)
    assert trial_table(storage(stack)) == table_of_one_process


def test_pages_and_the_model_answer(stack: Stack) -> None:
    stack.up("dashboard")
    stack.wait_healthy("dashboard")
    (study,) = read(f"{stack.url('8080')}/api/studies")["study_summaries"]
    assert study["study_name"] == "iris"
    stack.up("model")
    stack.wait_healthy("model")
    rows = {"dataframe_split": {"columns": IRIS, "data": [[5.1, 3.5, 1.4, 0.2], [6.7, None, 5.6, 2.4]]}}
    assert read(f"{stack.url('8000')}/invocations", rows) == {"predictions": [0, 2]}


def test_every_port_is_on_loopback_and_other_hosts_are_refused(stack: Stack) -> None:
    listening = {
        connection.laddr.ip
        for process in stack.everything()
        for connection in process.net_connections(kind="tcp")
        if connection.status == "LISTEN"
    }
    assert listening
    assert listening <= {"127.0.0.1", "::1"}
    request = urllib.request.Request(
        f"{stack.url('5000')}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": "evil.example"}
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)


def test_no_password_is_in_a_log_or_in_arguments(stack: Stack) -> None:
    logs = list(stack.directory.glob("*.log"))
    assert {log.stem for log in logs} >= {"hpo", "mlflow", "worker", "scheduler", "dashboard", "model"}
    assert [log for log in logs if PASSWORD in log.read_text(errors="replace")] == []
    assert [process for process in stack.everything() if PASSWORD in " ".join(process.cmdline())] == []


def test_worker_database_and_server_are_lost_in_the_middle(stack: Stack, table_of_one_process: list[tuple[str, ...]]) -> None:
    job = stack.up("hpo", "--trials=50", "--name=disturbed", "--tracking-wait=120")
    wait_for_trials(stack, job, "disturbed", 5)
    end(stack.processes["worker"].pop())
    wait_for_trials(stack, job, "disturbed", 12)
    stack.down("mlflow")
    stack.cluster.stop()
    time.sleep(2)
    stack.cluster.start()
    wait_for_trials(stack, job, "disturbed", 20)
    stack.up("mlflow")
    stack.wait_healthy("mlflow")
    finish(stack, job)
    check_stores(storage(stack), stack.url("5000"), n_trials=50, study="disturbed")
    assert trial_table(storage(stack), "disturbed") == table_of_one_process
