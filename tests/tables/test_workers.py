"""Workers are only a matter of time: the same trials bit for bit, whoever dies, and nobody is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from hpo.ledger.ledger import open_ledger
from hpo.progress import Progress
from hpo.search.driver import Driver, make_executor
from hpo.search.loop import Search
from hpo.search.plan import Plan, make_plan
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition
from tests.integration.checker import trial_table
from tests.integration.driving import start_hpo, wait_until

N_TRIALS = 8
END_SECONDS = 5.0
LONG_FIT = """
[study]
n_trials = 50
[data]
source = "t.csv"
target = "y"
[search_space]
penalty = "elasticnet"
solver = "saga"
C = { low = 1e2, high = 1e4, log = true }
tol = 1e-12
max_iter = 1000000
"""


def write_table(directory: Path) -> Path:
    generator = np.random.default_rng(4)
    y = generator.integers(0, 3, 300)
    table = pd.DataFrame(
        {f"x{number}": generator.normal(y * (number < 3), 2.0) for number in range(6)}
    )
    table["x0"] = table["x0"].mask(generator.random(300) < 0.1)
    table["colour"] = np.where(
        generator.random(300) < 0.3, "red", np.array(["green", "blue", "grey"])[y]
    )
    path = directory / "t.csv"
    table.assign(y=np.array(["low", "mid", "top"])[y]).to_csv(path, index=False)
    return path


def processes() -> Iterator[tuple[int, int, int]]:
    """Process id, parent and session of everything that runs and is no zombie."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = (
                path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:4]
            )
        except OSError:
            continue
        if state != "Z":
            yield int(path.parent.name), int(parent), int(session)


def command_line(pid: int) -> bytes:
    """The words of a process, each with a zero byte after it; none where it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def workers_of(driver: int) -> list[int]:
    """The loky workers among a process's children."""
    return [
        pid
        for pid, parent, _ in processes()
        if parent == driver and b"loky.backend.popen_loky" in command_line(pid)
    ]


def session_of(driver: int) -> list[int]:
    return [pid for pid, _, session in processes() if session == driver]


class _Watching(Progress):
    """Notes how many workers there were; kills one after each of some folds."""

    def __init__(self, kill_after: tuple[tuple[int, int], ...] = ()) -> None:
        self.n_workers = 0
        self.n_killed = 0
        self._kill_after = kill_after

    def fold_scored(self, number: int, n_scored: int) -> None:
        workers = workers_of(os.getpid())
        self.n_workers = max(self.n_workers, len(workers))
        if (number, n_scored) in self._kill_after:
            os.kill(workers[0], signal.SIGKILL)
            self.n_killed += 1


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table"))


def make_problem(source: Path, concurrency: int, pruner: str) -> Plan:
    overrides: dict[str, Any] = {
        "data.source": str(source),
        "data.target": "y",
        "study.name": "t",
        "study.n_trials": N_TRIALS,
        "study.concurrency": concurrency,
        "sampler.n_startup_trials": 2,
        "pruner.kind": pruner,
        "pruner.n_startup_trials": 2,
    }
    return make_plan(load_definition(overrides=overrides))


def search(plan: Plan, database: Path, workers: int, watching: _Watching) -> list[tuple[str, ...]]:
    """The trial table of a search without tracking, in this process and its workers."""
    url = f"sqlite:///{database}"
    with (
        pytest.MonkeyPatch.context() as patch,
        threadpool_limits(1),
        open_ledger(url, plan.definition, plan.dataset.digest, {}, plan.derive) as ledger,
    ):
        patch.delenv("PYTEST_CURRENT_TEST")
        with closing(make_executor(workers, n_cells=0)) as executor:
            Search(
                Driver(ServiceSettings(url, workers=workers), {}, executor, watching),
                plan,
                ledger,
            ).run()
    return trial_table(url, "t")


@pytest.fixture
def new_database(empty_databases: Path, tmp_path: Path) -> Callable[[], Path]:
    def new() -> Path:
        return shutil.copy(
            empty_databases / "optuna.db", tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        )

    return new


@pytest.mark.parametrize("pruner", ["none", "median"])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_trials_are_the_same_for_any_number_of_workers(
    source: Path, new_database: Callable[[], Path], concurrency: int, pruner: str
) -> None:
    plan = make_problem(source, concurrency, pruner)
    alone = search(plan, new_database(), 1, _Watching())
    assert len(alone) == N_TRIALS
    assert {row[1] for row in alone} == (
        {"COMPLETE", "PRUNED"} if pruner == "median" else {"COMPLETE"}
    )
    for n_workers in (2, 4):
        watching = _Watching()
        assert search(plan, new_database(), n_workers, watching) == alone
        assert watching.n_workers == n_workers
        assert workers_of(os.getpid()) == []


def test_concurrency_and_pruner_change_the_trials(
    source: Path, new_database: Callable[[], Path]
) -> None:
    """What the comparisons above are worth: the tables are not the same whatever is done."""
    every = [
        search(make_problem(source, concurrency, pruner), new_database(), 1, _Watching())
        for concurrency in (1, 4)
        for pruner in ("none", "median")
    ]
    assert len({tuple(table) for table in every}) == 4


def test_killed_workers_are_replaced_and_change_nothing(
    source: Path, new_database: Callable[[], Path]
) -> None:
    plan = make_problem(source, 4, "none")
    alone = search(plan, new_database(), 1, _Watching())
    watching = _Watching(kill_after=((2, 1), (5, 4)))
    assert search(plan, new_database(), 2, watching) == alone
    assert watching.n_killed == 2
    assert workers_of(os.getpid()) == []


def start_long_fits(directory: Path) -> subprocess.Popen[str]:
    """The command on two workers, in the middle of fits that take a minute each."""
    write_table(directory)
    (directory / "study.toml").write_text(LONG_FIT, encoding="utf-8")
    process = start_hpo(directory, "--study", "study.toml", "--workers", "2")
    try:
        wait_until(lambda: n_running(directory) >= 1 and len(workers_of(process.pid)) == 2, process)
        wait_until(
            lambda: max(map(processor_seconds, workers_of(process.pid)), default=0.0) > 5.0, process
        )
    except BaseException:
        process.kill()
        process.communicate(timeout=60)
        raise
    return process


def processor_seconds(pid: int) -> float:
    """User time of a process: what its imports do not take is a fit."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def n_running(directory: Path) -> int:
    with closing(
        sqlite3.connect(f"file:{directory}/optuna.db?mode=ro", uri=True, timeout=10)
    ) as connection:
        return int(
            connection.execute("SELECT count(*) FROM trials WHERE state = 'RUNNING'").fetchone()[0]
        )


def test_killed_driver_leaves_no_process(make_directory: Callable[[str], Path]) -> None:
    process = start_long_fits(make_directory("killed"))
    assert len(session_of(process.pid)) >= 4  # the driver, two workers, tracking
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + END_SECONDS
    while left := session_of(process.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_interrupt_ends_a_run_with_workers_in_the_middle_of_a_fit(
    make_directory: Callable[[str], Path],
) -> None:
    directory = make_directory("interrupted")
    process = start_long_fits(directory)
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches the workers too
    stdout, stderr = process.communicate(timeout=60)
    assert time.monotonic() - started < END_SECONDS
    assert process.returncode == 130
    assert stdout == ""
    assert (
        stderr.splitlines()[-1]
        == "hpo: stopped by SIGINT with 0 of 50 trials done (run the same command again to go on)"
    )
    assert "Traceback" not in stderr
    assert (
        n_running(directory) == 2
    )  # the second one feeds the workers while trials are drawn at random
    time.sleep(0.5)
    assert session_of(process.pid) == []
