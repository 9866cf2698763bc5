"""Which executor a run starts with."""

from __future__ import annotations

import os

import loky
import pytest

from hpo.search.driver import LARGE_CELLS, make_executor
from hpo.search.executor import LocalExecutor
from hpo.search.pool_executor import PoolExecutor
from tests.unit.driving import worker_pids


@pytest.mark.parametrize(
    ("workers", "n_cells", "n_workers"),
    [
        ("auto", LARGE_CELLS, 1),
        ("auto", LARGE_CELLS + 1, loky.cpu_count()),
        (1, LARGE_CELLS + 1, 1),
        (3, 0, 3),
    ],
)
def test_executor_has_as_many_workers_as_it_is_asked_for(workers, n_cells, n_workers):
    executor = make_executor(workers, n_cells)
    pids = worker_pids(executor) if isinstance(executor, PoolExecutor) else [os.getpid()]
    executor.close()
    assert len(pids) == n_workers
    assert isinstance(executor, LocalExecutor) == (n_workers == 1)
