"""Folds scored on worker processes: the same results bit for bit, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import HpoError
from hpo.estimators.objective import StepResult
from hpo.search.executor import Executor, LocalExecutor, Scoring
from hpo.search.plan import Plan, make_plan
from hpo.search.pool_executor import PoolExecutor
from hpo.search.worker import MAX_BROKEN_POOLS
from tests.support.processes import processor_seconds
from tests.unit.driving import define, holding, worker_pids
from tests.unit.lethal import Lethal

pytestmark = pytest.mark.slow  # each test makes a pool of processes

PARAMS: list[dict[str, Any]] = [
    {"penalty": "l2", "C": 1.0, "class_weight": "none"},
    {"penalty": "elasticnet", "C": 10.0, "l1_ratio": 0.5, "class_weight": "balanced"},
    {"penalty": "l1", "C": 0.3, "class_weight": "none"},
    {"penalty": "l1", "C": 0.3, "class_weight": "none", "solver": "lbfgs"},  # fails
]
DEADLINE_SECONDS = 300.0


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(define(cv__n_splits=3))


@pytest.fixture(scope="module")
def two_workers() -> Iterator[PoolExecutor]:
    executor = PoolExecutor(2)
    yield executor
    executor.close()


@pytest.fixture
def pool(plan, two_workers) -> PoolExecutor:
    return holding(two_workers, plan.objective)


def wait_for(scoring: Scoring, index: int) -> StepResult:
    """A fold's result, however long it takes within reason."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        result = scoring.result(index, 0.2)
        if result is not None:
            return result
    raise TimeoutError(f"fold {index} has no result after {DEADLINE_SECONDS:g} s")


def facts(result: StepResult) -> tuple[Any, ...]:
    """What is to be the same, scores to the last bit; a traceback names lines, not the process."""
    return (
        {name: score.hex() for name, score in result.scores.items()},
        result.converged,
        result.failure,
        result.traceback,
    )


def score_all(executor: Executor, plan: Plan) -> list[tuple[Any, ...]]:
    """Every fold of all params, all handed out before the first is asked for."""
    scorings = [executor.start(plan.space.complete(params)) for params in PARAMS]
    return [
        facts(wait_for(scoring, index))
        for scoring in scorings
        for index in range(len(plan.objective.folds))
    ]


def test_pool_is_busy_with_one_trial_more_than_its_workers_can_score(plan, pool):
    n_useful = [
        holding(pool, replace(plan.objective, folds=plan.objective.folds[:n_folds])).n_useful_trials
        for n_folds in (1, 2, 3)
    ]
    assert n_useful == [3, 2, 2]
    assert holding(LocalExecutor(), plan.objective).n_useful_trials == 1


def test_pool_gives_the_same_results_as_this_process(plan, pool):
    local = score_all(holding(LocalExecutor(), plan.objective), plan)
    assert score_all(pool, plan) == local
    assert [failure is not None for _, _, failure, _ in local] == [False] * 9 + [True] * 3
    assert os.getpid() not in worker_pids(pool)
    assert len(worker_pids(pool)) == 2


def test_worker_that_is_killed_is_replaced_and_nothing_changes(plan, pool):
    local = score_all(holding(LocalExecutor(), plan.objective), plan)
    wait_for(pool.start(plan.space.complete(PARAMS[0])), 0)
    before, struck = worker_pids(pool), pool._workers[0]._pool
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not struck._flags.broken:
        # the other one may have done everything before the death is noticed
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert score_all(pool, plan) == local
    after = worker_pids(pool)
    assert (after[0] == before[0], after[1:]) == (False, before[1:])


def test_worker_that_is_killed_while_it_scores_loses_no_fold():
    # Digits by elastic net takes a second a fold: the kill comes in the middle.
    slow = make_plan(define(data__source="digits", cv__n_splits=2))
    params = slow.space.complete(
        {
            "penalty": "elasticnet",
            "C": 1.0,
            "l1_ratio": 0.5,
            "class_weight": "none",
            "max_iter": 300,
        }
    )
    local = holding(LocalExecutor(), slow.objective).start(params)
    executor = holding(PoolExecutor(2), slow.objective)
    try:
        fast = executor.start(slow.space.complete(PARAMS[0]))
        assert [wait_for(fast, index).failure for index in range(2)] == [None, None]
        before = {pid: processor_seconds(pid) for pid in worker_pids(executor)}
        scoring = executor.start(params)
        killed = first_that_computes(before)
        os.kill(killed, signal.SIGKILL)
        assert [facts(wait_for(scoring, index)) for index in range(2)] == [
            facts(wait_for(local, index)) for index in range(2)
        ]
        # The other worker goes on with what it has.
        assert before.keys() & worker_pids(executor) == before.keys() - {killed}
    finally:
        executor.close()


def first_that_computes(before: dict[int, float]) -> int:
    """The first of some processes that has computed for a moment since then."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        for pid, seconds in before.items():
            if processor_seconds(pid) > seconds + 0.05:
                return pid
        time.sleep(0.01)
    raise TimeoutError("no worker computes")


def is_ignored(number: signal.Signals, pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")]
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_worker_leaves_signals_to_the_driver(plan, pool, number):
    wait_for(pool.start(plan.space.complete(PARAMS[0])), 0)
    before = worker_pids(pool)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not all(is_ignored(number, pid) for pid in before) and time.monotonic() < deadline:
        time.sleep(0.05)  # one of them may still be starting
    for pid in before:
        os.kill(pid, number)
    assert wait_for(pool.start(plan.space.complete(PARAMS[1])), 2).failure is None
    assert worker_pids(pool) == before


def test_workers_that_keep_dying_end_the_run_in_one_line():
    executor = holding(PoolExecutor(1), Lethal(os.getpid()))
    line = rf"^worker processes ended {MAX_BROKEN_POOLS + 1} times in a row without a result$"
    try:
        with pytest.raises(HpoError, match=line) as caught:
            wait_for(executor.start({}), 0)
    finally:
        executor.close()
    assert "--workers" in caught.value.hint


def test_close_ends_the_workers_and_removes_the_folds(plan):
    executor = holding(PoolExecutor(2), plan.objective)
    wait_for(executor.start(plan.space.complete(PARAMS[0])), 0)
    pids, directory = worker_pids(executor), Path(executor._directory.name)
    assert [path.suffix for path in directory.iterdir()] == [".joblib"]
    executor.close()
    assert not directory.exists()
    assert not any(is_running(pid) for pid in pids)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_end_with_a_driver_that_is_killed():
    script = (
        "import tests.conftest, time; from hpo.search.plan import make_plan; "
        "from hpo.search.pool_executor import PoolExecutor;"
        "from tests.unit.driving import define; plan = make_plan(define());"
        "pool = PoolExecutor(2); pool.hold(plan.objective);"
        "scoring = pool.start(plan.space.complete({'penalty': 'l2', 'C': 1.0,"
        "'class_weight': 'none'}))\nwhile scoring.result(0, 1) is None: pass\n"
        "from tests.unit.driving import worker_pids\n"
        "print(*worker_pids(pool), pool._directory.name, flush=True); time.sleep(600)"
    )
    root = Path(__file__).parents[2]
    driver = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        *pids, _ = driver.stdout.readline().split()
        assert len(pids) == 2
        assert all(is_running(int(pid)) for pid in pids)
    finally:
        driver.kill()
        driver.communicate()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while any(is_running(int(pid)) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(int(pid)) for pid in pids)


def test_ctrl_c_while_workers_start_prints_nothing():
    """It reaches the whole group, interpreters that are still loading too."""
    script = (
        "import os, signal, time\n"
        "from hpo.search.pool_executor import PoolExecutor\n"
        "from tests.support.processes import workers_of\n"
        "pool = PoolExecutor(2)\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "for _ in range(50):\n"
        "    for pid in workers_of(os.getpid()):\n"
        "        os.kill(pid, signal.SIGINT)\n"
        "    time.sleep(0.01)\n"
        "for worker in pool._workers:\n"
        "    print(worker._pool.submit(os.getppid).result() == os.getpid())\n"
        "pool.close()\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert (process.stdout, process.stderr) == ("True\nTrue\n", "")
