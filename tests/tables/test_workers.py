"""Workers are only a matter of time: the same trials bit for bit, whoever dies, and nobody is left
behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from hpo.estimators.recipes import RECIPES
from hpo.ledger.ledger import open_ledger
from hpo.progress import Progress
from hpo.search.driver import Driver, make_executor
from hpo.search.executor import Executor, LocalExecutor
from hpo.search.loop import Search
from hpo.search.plan import Plan, make_plan
from hpo.search.pool_executor import PoolExecutor
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition
from tests.support.checker import trial_table
from tests.support.libraries import need_library
from tests.support.processes import session_of, workers_of
from tests.support.stores import n_running
from tests.support.studies import running_long_fits, write_table

N_TRIALS = 8
END_SECONDS = 5.0


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


def make_problem(source: Path, concurrency: int, pruner: str, **more: Any) -> Plan:
    overrides: dict[str, Any] = {
        "data.source": str(source),
        "data.target": "y",
        "study.name": "t",
        "study.n_trials": N_TRIALS,
        "study.concurrency": concurrency,
        "sampler.n_startup_trials": 2,
        "pruner.kind": pruner,
        "pruner.n_startup_trials": 2,
        **more,
    }
    return make_plan(load_definition(overrides=overrides))


def search(
    plan: Plan, database: Path, executor: Executor, watching: Progress
) -> list[tuple[str, ...]]:
    """The trial table of a search without tracking, in this process and its workers."""
    url = f"sqlite:///{database}"
    with threadpool_limits(1), open_ledger(url, plan.identity({})) as ledger:
        Search(Driver(ServiceSettings(url), {}, executor, watching), plan, ledger).run()
    return trial_table(url, "t")


@pytest.fixture(scope="module")
def two_workers() -> Iterator[PoolExecutor]:
    """They serve one search after the other."""
    with closing(PoolExecutor(2)) as executor:
        yield executor


@pytest.fixture(scope="module")
def search_alone(
    source: Path, empty_databases: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int, str], list[tuple[str, ...]]]:
    """Searches without workers, each problem once."""

    @cache
    def search_once(concurrency: int, pruner: str) -> list[tuple[str, ...]]:
        database = shutil.copy(empty_databases / "optuna.db", tmp_path_factory.mktemp("alone"))
        plan = make_problem(source, concurrency, pruner)
        return search(plan, database, LocalExecutor(), Progress())

    return search_once


@pytest.fixture
def new_database(empty_databases: Path, tmp_path: Path) -> Callable[[], Path]:
    def new() -> Path:
        return shutil.copy(
            empty_databases / "optuna.db", tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        )

    return new


@pytest.mark.parametrize("pruner", ["none", "median", "race"])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_trials_are_the_same_with_workers(
    source: Path,
    new_database: Callable[[], Path],
    search_alone: Callable[[int, str], list[tuple[str, ...]]],
    two_workers: PoolExecutor,
    concurrency: int,
    pruner: str,
) -> None:
    alone = search_alone(concurrency, pruner)
    assert len(alone) == N_TRIALS
    assert {row[1] for row in alone} == (
        {"COMPLETE"} if pruner == "none" else {"COMPLETE", "PRUNED"}
    )
    watching = _Watching()
    plan = make_problem(source, concurrency, pruner)
    assert search(plan, new_database(), two_workers, watching) == alone
    assert watching.n_workers == 2


def test_trials_are_the_same_for_any_number_of_workers(
    source: Path,
    new_database: Callable[[], Path],
    search_alone: Callable[[int, str], list[tuple[str, ...]]],
) -> None:
    """Four, where most trials are open at once, and are pruned."""
    before, watching = workers_of(os.getpid()), _Watching()
    with closing(make_executor(4, n_cells=0)) as executor:
        for pruner in ("median", "race"):
            plan = make_problem(source, 4, pruner)
            assert search(plan, new_database(), executor, watching) == search_alone(4, pruner)
    assert watching.n_workers == len(before) + 4
    assert workers_of(os.getpid()) == before


@pytest.mark.parametrize("estimator", ["LGBMClassifier", "XGBClassifier"])
def test_trials_of_boosters_are_the_same_with_workers(
    source: Path, new_database: Callable[[], Path], two_workers: PoolExecutor, estimator: str
) -> None:
    need_library(RECIPES[estimator].package)
    more = {"estimator.name": estimator, "search_space.n_estimators": 20, "study.n_trials": 3}
    plan = make_problem(source, 1, "none", **more)
    alone = search(plan, new_database(), LocalExecutor(), Progress())
    assert len(alone) == 3
    assert search(plan, new_database(), two_workers, Progress()) == alone


def test_concurrency_and_pruner_change_the_trials(
    search_alone: Callable[[int, str], list[tuple[str, ...]]],
) -> None:
    """What the comparisons above are worth: the tables are not the same whatever is done."""
    every = [
        search_alone(concurrency, pruner)
        for concurrency in (1, 4)
        for pruner in ("none", "median", "race")
    ]
    assert len({tuple(table) for table in every}) == 6


@pytest.mark.parametrize(("pruner", "last"), [("none", (5, 4)), ("race", (5, 2))])
def test_killed_workers_are_replaced_and_change_nothing(
    source: Path,
    new_database: Callable[[], Path],
    search_alone: Callable[[int, str], list[tuple[str, ...]]],
    two_workers: PoolExecutor,
    pruner: str,
    last: tuple[int, int],
) -> None:
    watching = _Watching(kill_after=((2, 1), last))
    plan = make_problem(source, 4, pruner)
    assert search(plan, new_database(), two_workers, watching) == search_alone(4, pruner)
    assert watching.n_killed == 2


def test_interrupt_ends_a_run_with_workers_in_the_middle_of_a_fit(
    make_directory: Callable[[str], Path],
) -> None:
    directory = make_directory("interrupted")
    with running_long_fits(directory) as process:
        started = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches the workers too
        stdout, stderr = process.communicate(timeout=60)
        seconds = time.monotonic() - started
        time.sleep(0.5)
        left = session_of(process.pid)
    assert seconds < END_SECONDS
    assert process.returncode == 130
    assert stdout == ""
    stopped = (
        "hpo: stopped by SIGINT with 0 of 50 trials done (run the same command again to go on)"
    )
    assert stderr.splitlines()[-1] == stopped
    assert "Traceback" not in stderr
    assert n_running(directory) == 2
    assert left == []
