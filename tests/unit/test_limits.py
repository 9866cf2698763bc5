"""Limits of one fit: what hangs, grows or dies fails its own trial, and changes no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import loky
import numpy as np
import pytest

from hpo.definition import LimitsSection
from hpo.errors import DefinitionError
from hpo.ledger.ledger import open_ledger
from hpo.ledger.trials import FAILURE
from hpo.search.driver import Driver, count_processes, make_executor
from hpo.search.executor import Executor, LocalExecutor
from hpo.search.loop import Search
from hpo.search.plan import Plan, make_plan
from hpo.search.pool_executor import PoolExecutor
from hpo.search.worker import MAX_DEATHS, own_memory
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition
from tests.support.commands import wait_until
from tests.support.processes import command_line, workers_of
from tests.unit.driving import define, facts, read_trials, worker_pids
from tests.unit.troublesome import TROUBLED_STEP, Troublesome

LIMITS = LimitsSection(fit_seconds=2.0, fit_memory="400 MB")
REASONS = {
    "sleep": "the fit took longer than limits.fit_seconds = 2",
    "grow": "the fit used more than limits.fit_memory = 400.0 MB",
    "die": f"its worker process ended {MAX_DEATHS + 1} times: it may have run out of memory",
}
N_TRIALS = 8
SECONDS = 120.0


def make_small_plan() -> Plan:
    """Five trials at random, the rest by what came of them."""
    return make_plan(
        define(
            cv__n_splits=3,
            search_space__penalty="l2",
            study__n_trials=N_TRIALS,
            sampler__n_startup_trials=5,
        )
    )


def search(
    plan: Plan,
    storage_url: str,
    executor: Executor,
    trouble: Mapping[float, str] | None = None,
    marks: Path | None = None,
) -> list[tuple[Any, ...]]:
    """The trials of a search with some trouble."""
    troubled = replace(plan, objective=Troublesome(plan.objective, trouble or {}, marks))
    with open_ledger(storage_url, plan.identity({})) as ledger:
        Search(Driver(ServiceSettings(storage_url), {}, executor), troubled, ledger).run()
    return facts(read_trials(storage_url))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_small_plan()


@pytest.fixture(scope="module")
def drawn(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """C of the first trials, whatever comes of them."""
    url = f"sqlite:///{tmp_path_factory.mktemp('drawn')}/drawn.db"
    search(plan, url, LocalExecutor())
    return [trial.params["C"] for trial in read_trials(url)][:5]


def without_reasons(trials: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [
        tuple(
            {key: inner for key, inner in value.items() if key != FAILURE}
            if isinstance(value, dict)
            else value
            for value in trial
        )
        for trial in trials
    ]


@pytest.fixture(scope="module")
def one_worker() -> Iterator[PoolExecutor]:
    """It serves one search after the other."""
    with closing(PoolExecutor(1, LIMITS)) as executor:
        yield executor


@pytest.fixture
def search_raised(
    plan: Plan, drawn: list[float], tmp_path: Path
) -> Callable[..., list[tuple[Any, ...]]]:
    """Searches in this process in which the fits of some trials raise, in the place of trouble."""

    def search_them(*numbers: int) -> list[tuple[Any, ...]]:
        raising = dict.fromkeys((drawn[number] for number in numbers), "raise")
        url = f"sqlite:///{tmp_path}/raised.db"
        return without_reasons(search(plan, url, LocalExecutor(), raising))

    return search_them


def reasons_in(storage_url: str) -> dict[int, str]:
    failed = [trial for trial in read_trials(storage_url) if trial.state.name == "FAIL"]
    return {trial.number: trial.user_attrs[FAILURE] for trial in failed}


def test_quick_fit_is_held_against_its_memory_too(plan):
    """It is over before anybody looks."""
    with closing(PoolExecutor(1, LimitsSection(fit_memory="1 MB"))) as executor:
        executor.hold(plan.objective)
        result = executor.evaluate(plan.space.default_params(), 0)
    assert result.failure == "the fit used more than limits.fit_memory = 1.0 MB"


@pytest.mark.slow
def test_fits_that_grow_or_die_fail_their_trials_and_no_other(
    plan, drawn, storage_url, search_raised
):
    """On two workers, where fits of the next trial are under way.

    By memory alone: on a busy machine a fit takes seconds to grow.
    """
    trouble = {1: "die", 3: "grow"}
    with closing(PoolExecutor(2, LimitsSection(fit_memory=LIMITS.fit_memory))) as executor:
        troubled = {drawn[number]: what for number, what in trouble.items()}
        ended = search(plan, storage_url, executor, troubled)
    assert without_reasons(ended) == search_raised(*trouble)
    assert reasons_in(storage_url) == {number: REASONS[what] for number, what in trouble.items()}


@pytest.mark.slow
def test_limits_that_nothing_exceeds_change_no_trial_and_no_process(
    plan, storage_url, tmp_path, one_worker
):
    without = search(plan, f"sqlite:///{tmp_path}/without.db", LocalExecutor())
    before = worker_pids(one_worker)
    assert search(plan, storage_url, one_worker) == without
    assert worker_pids(one_worker) == before


@pytest.mark.slow
def test_fit_that_hangs_fails_its_trial_and_no_other_after_a_kill_too(
    plan, drawn, storage_url, tmp_path, one_worker, search_raised
):
    """The driver is killed while it hangs; the next one has another limit.

    The hang costs that limit once: the folds after it are not begun.
    """
    first, second = (Path(tempfile.mkdtemp(dir=tmp_path)) for _ in range(2))
    script = (
        "from contextlib import closing\n"
        "from pathlib import Path\n"
        "from hpo.definition import LimitsSection\n"
        "from hpo.search.pool_executor import PoolExecutor\n"
        "from tests.unit.test_limits import make_small_plan, search\n"
        "with closing(PoolExecutor(1, LimitsSection(fit_seconds=600))) as executor:\n"
        f"    search(make_small_plan(), {storage_url!r}, executor,\n"
        f"        {{{drawn[1]!r}: 'sleep'}}, Path({str(first)!r}))\n"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    driver = subprocess.Popen([sys.executable, "-c", script], cwd=root, env=environment, text=True)
    try:
        wait_until(lambda: any(first.glob(f"{drawn[1]}-{TROUBLED_STEP}-*")), driver)
        (worker,) = workers_of(driver.pid)
    finally:
        driver.kill()
        driver.wait()
    assert [trial.state.name for trial in read_trials(storage_url)][:2] == ["COMPLETE", "RUNNING"]
    deadline = time.monotonic() + SECONDS
    while command_line(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert command_line(worker) == b""
    ended = search(plan, storage_url, one_worker, {drawn[1]: "sleep"}, second)
    assert without_reasons(ended) == search_raised(1)
    assert reasons_in(storage_url) == {1: REASONS["sleep"]}
    begun = Counter(path.name.rpartition("-")[0] for path in second.iterdir())
    assert begun == {
        f"{trial.params['C']}-{step}": 1
        for trial in read_trials(storage_url)[1:]
        for step in range(2 if trial.number == 1 else 3)
    }


def test_memory_of_a_process_is_what_it_holds_without_the_files_that_it_maps(tmp_path):
    size = 200 * 10**6
    path = tmp_path / "folds"
    with path.open("wb") as file:
        file.truncate(size)
    before = own_memory(os.getpid())
    mapped = np.memmap(path, np.uint8, mode="r")
    assert mapped[::4096].sum() == 0
    with_file = own_memory(os.getpid())
    held = np.ones(size // 8)
    with_array = own_memory(os.getpid())
    assert held.nbytes == size
    assert with_file - before < 0.2 * size
    assert with_array - with_file > 0.8 * size


def test_process_that_has_ended_holds_nothing():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert own_memory(process.pid) == 0


@pytest.mark.parametrize(("workers", "n"), [(1, 1), (3, 3), ("auto", loky.cpu_count())])
def test_fits_with_a_limit_never_run_in_this_process(workers, n):
    with closing(make_executor(workers, 0, limits=LimitsSection(fit_seconds=1.0))) as executor:
        assert isinstance(executor, PoolExecutor)
        assert len(worker_pids(executor)) == n
    assert count_processes(workers, 0, LimitsSection(fit_memory=10**9)) == n


def test_cluster_is_refused_up_front():
    """Nobody listens at the address: it is not asked."""
    with pytest.raises(
        DefinitionError, match=r"^limits: a Dask worker cannot end one fit"
    ) as caught:
        make_executor("tcp://127.0.0.1:1", 0, limits=LIMITS)
    assert "--memory-limit" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (
            "fit_memory",
            "2 parsecs",
            "should be bytes or a text such as \"2 GB\", but got '2 parsecs'",
        ),
        ("fit_memory", "much", "should be bytes or a text such as \"2 GB\", but got 'much'"),
        ("fit_memory", 0, "should be greater than 0, but got 0"),
        ("fit_seconds", 0.0, "should be greater than 0, but got 0.0"),
        ("fit_seconds", float("inf"), "should be a finite number, but got inf"),
        ("fit_seconds", "60", "should be a valid number, but got '60'"),
    ],
)
def test_limit_that_is_none_is_one_line(key, value, line):
    with pytest.raises(DefinitionError, match=rf"^flag limits\.{key}: {re.escape(line)}$"):
        load_definition(overrides={f"limits.{key}": value})


@pytest.mark.parametrize(("given", "size"), [("2 GB", 2 * 10**9), ("1GiB", 2**30), (4096, 4096)])
def test_memory_is_bytes_or_a_text_with_its_unit(given, size):
    definition = load_definition(overrides={"limits.fit_memory": given})
    assert definition.limits.fit_memory == size
    again = load_definition(
        overrides={"limits.fit_memory": definition.model_dump(mode="json")["limits"]["fit_memory"]}
    )
    assert again == definition
