"""``hpo check`` on real stores and servers in every state that it names; each time, that it changed
nothing.
"""

import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import mlflow
import optuna
import pytest
import sqlalchemy
from alembic.util.exc import CommandError
from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from optuna.storages import RDBStorage

from hpo.commands.main import main
from tests.support.commands import (
    COMMAND_SECONDS,
    environment,
    run_python,
    wait_until,
)
from tests.support.forked import fork_hpo, forked
from tests.support.here import call_main, run_here_well
from tests.support.postgres import PASSWORD, Cluster
from tests.support.servers import free_port, serving
from tests.support.stores import close_stores, count_told, stores_of

Check = Callable[..., tuple[int, list[dict[str, Any]]]]


def picture(directory: Path) -> dict[str, str]:
    """Every file and what is in it; the index of a WAL is no content."""
    files = (
        path for path in directory.rglob("*") if path.is_file() and not path.name.endswith("-shm")
    )
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs the command in a directory; gives its exit code and its findings, and sees to it that
    nothing was written.
    """

    def run(directory: Path, *flags: str) -> tuple[int, list[dict[str, Any]]]:
        monkeypatch.chdir(directory)
        monkeypatch.delenv("HPO_STORAGE", raising=False)
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        close_stores()  # A connection of the test closed during the check would take the WAL away.
        before, names = picture(directory), set(directory.rglob("*"))
        code = main(["check", "--json", *flags])
        printed = capsys.readouterr()
        assert (picture(directory), set(directory.rglob("*"))) == (before, names)
        assert printed.err == ""
        findings = json.loads(printed.out)
        assert [list(finding) for finding in findings] == [
            ["check", "ok", "message", "hint"]
        ] * len(findings)
        assert (code == 0) == all(finding["ok"] for finding in findings)
        return code, findings

    return run


def wrong(findings: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (finding["check"], finding["message"], finding["hint"])
        for finding in findings
        if not finding["ok"]
    ]


def client_of(directory: Path) -> MlflowClient:
    return MlflowClient(stores_of(directory)["tracking_uri"])


def children(client: MlflowClient, study: str = "iris") -> list[Any]:
    experiment = client.get_experiment_by_name(study)
    runs = client.search_runs(
        [experiment.experiment_id],
        "tags.mlflow.parentRunId != ''",
        order_by=["attributes.start_time"],
    )
    return list(runs)


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


# A directory that nothing ran in, and one that is done.


def test_new_directory_is_well_and_stays_empty(tmp_path: Path) -> None:
    process = run_python(tmp_path, "-m", "hpo.check", "--trials", "50")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.splitlines() == [
        "ok     storage   sqlite:///optuna.db is made by the first run; only then can optuna-dashboard open it",
        "ok     tracking  sqlite:///mlflow.db is made by the first run",
        "ok     study     finished trials of study 'iris': 0",
    ]
    assert list(tmp_path.iterdir()) == []


def test_finished_study_is_well(finished_copy: Path, check: Check) -> None:
    code, findings = check(finished_copy)
    assert code == 0
    assert [(finding["check"], finding["message"]) for finding in findings] == [
        ("storage", "sqlite:///optuna.db can be opened"),
        ("tracking", "sqlite:///mlflow.db can be opened"),
        ("study", "finished trials of study 'iris': 50, all of them in MLflow"),
    ]


def test_files_without_tables_are_well(tmp_path: Path, check: Check) -> None:
    (tmp_path / "optuna.db").touch()
    (tmp_path / "mlflow.db").touch()
    assert check(tmp_path)[0] == 0


def test_study_of_somebody_else_is_left_to_the_run(finished_copy: Path, check: Check) -> None:
    storage = RDBStorage(stores_of(finished_copy)["storage"])
    optuna.create_study(storage=storage, study_name="theirs").add_trial(
        optuna.trial.create_trial(value=1.0)
    )
    code, findings = check(finished_copy, "--name", "theirs")
    assert (code, findings[-1]["message"]) == (0, "finished trials of study 'theirs': 1")


# Settings.


@pytest.mark.parametrize("uri", ["file:./mlruns", "./mlruns", "file:///mlruns"])
def test_file_store_is_refused(uri: str, tmp_path: Path, check: Check) -> None:
    code, findings = check(tmp_path, "--tracking-uri", uri)
    [(subject, message, hint)] = wrong(findings)
    assert (code, subject) == (2, "settings")
    assert message.startswith("tracking URI should start with sqlite:// or")
    assert "mlflow migrate-filestore --source DIRECTORY" in hint


def test_one_file_for_both_is_refused(tmp_path: Path, check: Check) -> None:
    code, findings = check(
        tmp_path, "--storage", "sqlite:///one.db", "--tracking-uri", f"sqlite:///{tmp_path}/one.db"
    )
    assert (code, wrong(findings)[0][1]) == (
        2,
        "storage and tracking URI should be two databases, but got sqlite:///one.db for both",
    )


def test_one_postgresql_database_for_both_is_refused_without_its_password(
    tmp_path: Path, check: Check
) -> None:
    storage, tracking = (
        f"postgresql{driver}://me:secret@127.0.0.1{port}/one"
        for driver, port in (("", ":5432"), ("+psycopg", ""))
    )
    code, findings = check(tmp_path, "--storage", storage, "--tracking-uri", tracking)
    assert (code, findings[0]["message"]) == (
        2,
        "storage and tracking URI should be two databases, but got postgresql+psycopg://me:***@127.0.0.1:5432/one for both",
    )
    assert "secret" not in json.dumps(findings)


@pytest.mark.parametrize(
    ("flag", "file"), [("--storage", "mlflow.db"), ("--tracking-uri", "optuna.db")]
)
def test_database_of_the_other_library_is_refused(
    flag: str, file: str, finished_copy: Path, check: Check
) -> None:
    other = "--tracking-uri" if flag == "--storage" else "--storage"
    code, findings = check(finished_copy, flag, f"sqlite:///{file}", other, "sqlite:///new.db")
    assert code == 2
    assert (
        f"sqlite:///{file} holds the tables of {file.partition('.')[0]}, beside which"
        in wrong(findings)[0][1]
    )


def test_file_that_both_wrote_to_is_refused(
    finished_copy: Path, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.move(finished_copy / "optuna.db", finished_copy / "both.db")
    with pytest.raises(CommandError, match="Can't locate revision identified by 'v"):
        MlflowClient(f"sqlite:///{finished_copy}/both.db").search_experiments()
    capsys.readouterr()
    code, findings = check(finished_copy, "--storage", "sqlite:///both.db")
    assert (code, wrong(findings)[0][0]) == (2, "storage")
    assert "holds the tables of mlflow" in wrong(findings)[0][1]


def test_bad_study_file_is_a_finding(tmp_path: Path, check: Check) -> None:
    code, findings = check(tmp_path, "--study", "absent.toml")
    assert (code, findings[0]["check"]) == (2, "settings")
    assert findings[0]["message"].startswith("absent.toml: the study file cannot be read")


# Files.


def test_old_file_store_is_found_and_the_hint_mends_it(tmp_path: Path, check: Check) -> None:
    make = "from mlflow import MlflowClient as C; c = C('file:./mlruns'); c.create_run(c.create_experiment('old'))"
    assert run_python(tmp_path, "-c", make, MLFLOW_ALLOW_FILE_STORE="true").returncode == 0
    bare = run_python(
        tmp_path, "-c", "from mlflow import MlflowClient; MlflowClient().search_experiments()"
    )
    assert "maintenance mode" in bare.stderr
    code, findings = check(tmp_path)
    [(subject, message, hint)] = wrong(findings)
    assert (code, subject) == (3, "tracking")
    assert (
        message
        == "'mlflow ui' ends with an error in this directory: it opens the old file store mlruns, not mlflow.db"
    )
    assert check(tmp_path, "--tracking-uri", "sqlite:///runs.db")[0] == 0
    subprocess.run(["sh", "-c", hint], cwd=tmp_path, check=True)
    assert check(tmp_path)[0] == 0
    assert len(list((tmp_path / "mlruns-old").glob("*/meta.yaml"))) == 2


@pytest.mark.parametrize(("file", "code"), [("optuna.db", 4), ("mlflow.db", 3)])
def test_file_that_is_no_database(file: str, code: int, tmp_path: Path, check: Check) -> None:
    (tmp_path / file).write_text("no database " * 100)
    found, findings = check(tmp_path)
    assert (found, wrong(findings)[0][1]) == (
        code,
        f"sqlite:///{file} cannot be read: file is not a database",
    )


def test_directory_that_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    # Root may write everywhere until it gives that up.
    like_others = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    process = subprocess.run(
        [*like_others, sys.executable, "-m", "hpo.check"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (4, "")
    hint = "(change its owner or mode, or put the database elsewhere)"
    for subject in ("storage ", "tracking"):
        assert (
            f"wrong  {subject}  {tmp_path} is not writable for this user {hint}" in process.stdout
        )


# What a run left.


def test_runs_that_are_missing_twice_there_or_open_are_counted_and_mended(
    finished_copy: Path, check: Check
) -> None:
    client = client_of(finished_copy)
    runs = children(client)
    for run in runs[:3]:
        client.delete_run(run.info.run_id)
    forgotten = ",".join(run.info.run_id for run in runs[:3])
    store = "sqlite:///mlflow.db"
    flags = ("--backend-store-uri", store, "--tracking-uri", store, "--run-ids", forgotten)
    collect = run_python(finished_copy, "-m", "mlflow", "gc", *flags)
    assert collect.returncode == 0, collect.stderr
    for run in runs[3:5]:
        copy = client.create_run(run.info.experiment_id, tags=run.data.tags)
        client.set_terminated(copy.info.run_id)
    client.update_run(runs[5].info.run_id, status="RUNNING")
    code, findings = check(finished_copy)
    assert code == 3
    assert wrong(findings) == [
        (
            "study",
            "finished trials of study 'iris' that MLflow lacks: 1 of 50",
            "run the same command again: it writes them",
        ),
        (
            "study",
            "second runs of the same trials of study 'iris' in MLflow: 2",
            "run the same command again: it deletes them",
        ),
        (
            "study",
            "runs of study 'iris' left RUNNING in MLflow: 1",
            "run the same command again: it finishes them",
        ),
    ]
    run_here_well(finished_copy, "--trials", "50")
    assert check(finished_copy)[0] == 0


def test_trials_left_running_are_counted(finished_copy: Path, check: Check) -> None:
    execute(finished_copy / "optuna.db", "UPDATE trials SET state = 'RUNNING' WHERE number > 47")
    code, findings = check(finished_copy)
    assert code == 4
    assert wrong(findings) == [
        (
            "study",
            "trials of study 'iris' left RUNNING: 2",
            "run the same command again: it takes them up",
        )
    ]


def assert_next_run_mends(found: tuple[int, list[dict[str, Any]]]) -> None:
    code, findings = found
    assert code in {3, 4}
    assert all(
        subject == "study" and hint.startswith("run the same command again: ")
        for subject, _, hint in wrong(findings)
    )


def test_killed_driver_leaves_findings_that_the_same_command_mends(
    directory: Path, check: Check
) -> None:
    process = fork_hpo(directory, "--trials", "1000")
    wait_until(lambda: count_told(directory) >= 5, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert_next_run_mends(check(directory))
    run_here_well(directory, "--trials", str(count_told(directory) + 3))
    assert check(directory)[0] == 0


def test_study_that_is_being_driven(directory: Path, check: Check) -> None:
    with forked(directory, "--trials", "100000") as process:
        wait_until(lambda: count_told(directory) >= 3, process)
        text = call_main(directory, "check", "--json")
    [(subject, message, hint)] = wrong(json.loads(text.stdout))
    assert (text.returncode, subject) == (7, "study")
    assert message.startswith("study 'iris' is being driven by another process (host ")
    assert f", pid {process.pid}, since 2" in message
    assert hint == "--wait waits for it to end"
    assert "driven" not in json.dumps(check(directory)[1])


def test_child_that_a_person_deleted_is_well_and_a_parent_is_not(
    finished_copy: Path, check: Check
) -> None:
    client = client_of(finished_copy)
    child = children(client)[0]
    client.delete_run(child.info.run_id)
    assert check(finished_copy)[0] == 0
    parent_id = child.data.tags["mlflow.parentRunId"]
    client.delete_run(parent_id)
    code, findings = check(finished_copy)
    assert code == 3
    assert wrong(findings) == [
        (
            "tracking",
            "the parent run of study 'iris' was deleted in MLflow",
            f"mlflow runs restore --run-id {parent_id}, or choose another --name",
        )
    ]


def test_experiment_in_the_trash(finished_copy: Path, check: Check) -> None:
    client = client_of(finished_copy)
    experiment_id = client.get_experiment_by_name("iris").experiment_id
    client.delete_experiment(experiment_id)
    code, findings = check(finished_copy)
    assert code == 3
    assert wrong(findings)[0] == (
        "tracking",
        "the MLflow experiment 'iris' is in the trash",
        f"mlflow experiments restore --experiment-id {experiment_id}, or choose another --name",
    )


# PostgreSQL.


def test_postgresql_new_half_made_done_driven_and_away(
    cluster: Cluster, tmp_path: Path, check: Check
) -> None:
    here = tmp_path / "here"  # where nobody else writes
    here.mkdir()
    storage, tracking = cluster.make_database("checked"), cluster.make_database("checked-runs")
    flags = ("--storage", storage, "--tracking-uri", tracking)
    code, findings = check(here, *flags)
    assert (code, "is made by the first run; only then" in findings[0]["message"]) == (0, True)
    ledger, runs = (
        sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool) for url in (storage, tracking)
    )
    assert (
        sqlalchemy.inspect(ledger).get_table_names(),
        sqlalchemy.inspect(runs).get_table_names(),
    ) == ([], [])
    # What a first run leaves that is killed while MLflow makes its tables: all the rest is one
    # transaction.
    InitialBase.metadata.create_all(runs)
    code, findings = check(here, *flags)
    assert (code, "is made by the first run" in findings[1]["message"]) == (0, True)
    run_here_well(tmp_path, "--trials", "3", *flags)
    assert check(here, *flags)[0] == 0
    process = fork_hpo(tmp_path, "--trials", "100000", *flags)
    try:
        wait_until(lambda: count_trials(ledger) >= 5, process)
        code, findings = check(here, *flags)
    finally:
        process.kill()
        process.communicate()
    [(subject, message, _)] = wrong(findings)
    assert (code, subject) == (7, "study")
    assert (
        f"driven by another process (hpo on {socket.gethostname()[:30]}, pid {process.pid}, since 2"
        in message
    )
    # The server notices a moment later that a client is gone.
    deadline = time.monotonic() + COMMAND_SECONDS
    while check(here, *flags)[0] == 7:
        assert time.monotonic() < deadline
    assert_next_run_mends(check(here, *flags))
    run_here_well(tmp_path, "--trials", str(count_trials(ledger) + 3), *flags)
    assert check(here, *flags)[0] == 0
    cluster.stop()
    code, findings = check(here, *flags)
    cluster.start()
    assert (code, len(wrong(findings))) == (4, 2)
    assert "cannot be read: " in wrong(findings)[0][1]
    assert PASSWORD not in json.dumps(findings)


def count_trials(engine: sqlalchemy.Engine) -> int:
    with engine.connect() as connection:
        return int(
            connection.scalar(
                sqlalchemy.text("SELECT count(*) FROM trials WHERE state != 'RUNNING'")
            )
        )


# Servers.


def test_server_that_is_away(tmp_path: Path, check: Check) -> None:
    code, findings = check(tmp_path, "--tracking-uri", f"http://me:secret@127.0.0.1:{free_port()}")
    [(subject, message, _)] = wrong(findings)
    assert (code, subject) == (3, "tracking")
    assert message.startswith("http://me:***@127.0.0.1:")
    assert message.endswith(" does not answer: Connection refused")


def test_server_with_a_study(server: str, tmp_path: Path, check: Check) -> None:
    flags = ("--tracking-uri", server, "--name", "checked")
    assert check(tmp_path, *flags)[0] == 0
    run_here_well(tmp_path, "--trials", "5", *flags)
    code, findings = check(tmp_path, *flags)
    assert (code, findings[-1]["message"]) == (
        0,
        "finished trials of study 'checked': 5, all of them in MLflow",
    )
    client = MlflowClient(server)
    run_id = children(client, "checked")[0].info.run_id
    client.delete_run(run_id)
    assert check(tmp_path, *flags)[0] == 0
    client.restore_run(run_id)
    client.update_run(run_id, status="RUNNING")
    code, findings = check(tmp_path, *flags)
    assert (code, wrong(findings)[0][1]) == (
        3,
        "finished trials of study 'checked' that MLflow lacks: 1 of 5",
    )
    client.delete_experiment(client.get_experiment_by_name("checked").experiment_id)
    code, findings = check(tmp_path, *flags)
    assert (code, wrong(findings)[0][1]) == (3, "the MLflow experiment 'checked' is in the trash")


def test_server_that_refuses_its_host(empty_databases: Path, tmp_path: Path, check: Check) -> None:
    port = free_port()
    shutil.copy(empty_databases / "mlflow.db", tmp_path / "server.db")
    store = ("--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--workers", "1")
    directory = tmp_path / "job"
    directory.mkdir()
    with serving(
        tmp_path, port, "server", *store, "--allowed-hosts", "mlflow.example.com"
    ) as address:
        code, findings = check(directory, "--tracking-uri", address)
    [(subject, message, hint)] = wrong(findings)
    assert (code, subject, message) == (
        3,
        "tracking",
        f"{address} refuses requests to '127.0.0.1:{port}'",
    )
    assert (
        hint == f"start it with --allowed-hosts 127.0.0.1:{port} (its /health answers all the same)"
    )


@contextmanager
def answering(answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    """A server that says what a test wants, by the path's last word."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(
                self.path.partition("?")[0].rpartition("/")[2],
                (404, '{"error_code": "RESOURCE_DOES_NOT_EXIST"}'),
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            {"search": (200, "{}"), "version": (200, "2.22.0\n")},
            f"is MLflow 2.22.0, but the client here is {mlflow.__version__}",
        ),
        ({"search": (401, "who are you?")}, "needs credentials that it takes"),
        ({"search": (403, "Permission denied")}, "allows this user too little"),
        ({"search": (200, "<html>")}, "answers 200 where MLflow's API should be"),
        ({"search": (404, "<html>")}, "answers 404 where MLflow's API should be"),
        ({"search": (500, "oops")}, "answers 500 where MLflow's API should be"),
    ],
)
def test_server_that_will_not_do(
    answers: dict[str, tuple[int, str]], message: str, tmp_path: Path, check: Check
) -> None:
    with answering(answers) as address:
        code, findings = check(tmp_path, "--tracking-uri", address)
    assert code == 3
    assert [(subject, text) for subject, text, _ in wrong(findings)] == [
        ("tracking", f"{address} {message}")
    ]


def test_server_without_a_version_is_taken_as_it_is(tmp_path: Path, check: Check) -> None:
    with answering({"search": (200, "{}")}) as address:
        assert check(tmp_path, "--tracking-uri", address)[0] == 0
