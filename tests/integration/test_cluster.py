"""Folds on a real Dask cluster of processes: the same trials, whatever happens to its workers."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from hpo.errors import HpoError, InterruptedBySignal
from hpo.search.dask_executor import DaskExecutor
from tests.support.checker import check_stores, trial_table
from tests.support.commands import COMMAND_SECONDS, start_hpo, wait_until
from tests.support.here import run_here, run_here_well
from tests.support.servers import free_port, in_background
from tests.support.sharing import FinishedRun
from tests.support.stores import count_told, stores_of

N_TRIALS = 30
FLAGS = ("--trials", str(N_TRIALS), "--quiet")

WriteStudy = Callable[[str], str]


@contextmanager
def dask(
    directory: Path, *arguments: str, ready: str, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A part of a cluster, from the moment that its log says it is ready; ended with its children."""
    log = directory / f"dask-{arguments[0]}-{free_port()}.log"
    with in_background(
        [sys.executable, "-m", "dask", *arguments, "--no-dashboard"], log, **variables
    ) as process:
        wait_until(lambda: ready in log.read_text(), process)
        yield process


@contextmanager
def scheduler(directory: Path) -> Iterator[str]:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with dask(
        directory, "scheduler", "--host", "127.0.0.1", "--port", str(port), ready="Scheduler at"
    ):
        yield address


def worker(directory: Path, address: str, **variables: str):
    # Without a nanny the process that is killed is the one that scores.
    return dask(
        directory,
        "worker",
        address,
        "--nthreads",
        "1",
        "--no-nanny",
        ready="Registered to",
        **variables,
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        address = stack.enter_context(scheduler(directory))
        for _ in range(2):
            stack.enter_context(worker(directory, address))
        yield address


def check_equal(directory: Path, finished: FinishedRun) -> None:
    stores = stores_of(directory)
    check_stores(**stores, n_trials=N_TRIALS)
    finished_table = trial_table(stores_of(finished.directory)["storage"])
    assert trial_table(stores["storage"]) == finished_table[:N_TRIALS]


def test_cluster_gives_the_trials_of_one_process(
    cluster: str, directory: Path, finished: FinishedRun
) -> None:
    run_here_well(directory, *FLAGS, HPO_WORKERS=cluster)
    check_equal(directory, finished)


def test_cluster_stops_the_trials_that_one_process_stops(
    cluster: str, directory: Path, make_directory: Callable[[str], Path], write_study: WriteStudy
) -> None:
    study = write_study(
        '[study]\nname = "t"\nn_trials = 10\nconcurrency = 2\n'
        '[data]\nsource = "wine"\n[pruner]\nkind = "race"\n'
    )
    alone = make_directory("alone")
    tables = []
    for place, variables in ((directory, {"HPO_WORKERS": cluster}), (alone, {})):
        run_here_well(place, "--study", study, **variables)
        check_stores(**stores_of(place), n_trials=10, study="t")
        tables.append(trial_table(stores_of(place)["storage"], "t"))
    assert tables[0] == tables[1]
    assert {row[1] for row in tables[0]} == {"COMPLETE", "PRUNED"}


def test_workers_are_killed_and_join_in_the_middle(directory: Path, finished: FinishedRun) -> None:
    """One of two, then the last one; another takes over. Interrupted, the run leaves the cluster,
    and goes on without it.
    """
    with (
        scheduler(directory) as address,
        worker(directory, address) as first,
        worker(directory, address) as last,
    ):
        process = start_hpo(directory, *FLAGS, "--workers", address)
        wait_until(lambda: count_told(directory) >= 3, process)
        first.kill()
        wait_until(lambda: count_told(directory) >= 6, process)
        last.kill()
        n_told = count_told(directory)
        with worker(directory, address):
            wait_until(lambda: count_told(directory) >= n_told + 5, process)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 143
    assert count_told(directory) < N_TRIALS
    run_here_well(directory, *FLAGS)
    check_equal(directory, finished)


def test_scheduler_that_is_away_is_one_line_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.search.dask_executor.CONNECT_SECONDS", 2)
    address = f"tcp://127.0.0.1:{free_port()}"
    process = run_here(tmp_path, *FLAGS, "--workers", address)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith(
        f"hpo: --workers: no Dask scheduler answers at {address} (start one: "
    )
    assert process.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def other_pandas(tmp_path: Path) -> str:
    """A path for Python: the first metadata of a package there is what Python says its version is."""
    other = tmp_path / "other" / "pandas-99.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 99.0\n")
    return os.pathsep.join(filter(None, (str(other.parent), os.environ.get("PYTHONPATH"))))


def test_worker_with_other_versions_ends_the_run_when_it_joins_and_no_other_begins(
    directory: Path, other_pandas: str, finished: FinishedRun, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with scheduler(directory) as address:
        with worker(directory, address):
            process = start_hpo(directory, *FLAGS, "--workers", address)
            wait_until(lambda: count_told(directory) >= 5, process)
        with worker(directory, address, PYTHONPATH=other_pandas):
            _, stderr = process.communicate(timeout=COMMAND_SECONDS)
            refused = run_here(elsewhere, *FLAGS, "--workers", address)
    assert process.returncode == 1
    assert "a Dask worker has other versions than this process: pandas " in stderr
    assert stderr.count("\n") == 1
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "a Dask worker has other versions than this process: pandas " in refused.stderr
    assert "-> 99.0" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (elsewhere / "optuna.db").exists()
    run_here_well(directory, *FLAGS)
    check_equal(directory, finished)


def test_call_that_is_cancelled_as_the_wait_for_it_ends_counts_as_lost(cluster: str) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with closing(DaskExecutor(cluster)) as executor, pytest.raises(executor.losses):
        executor._client.sync(cancelled, callback_timeout=5.0)


def test_worker_that_is_stopped_keeps_nobody_deaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.search.dask_executor.LOST_SECONDS", 3.0)
    with scheduler(tmp_path) as address, worker(tmp_path, address) as process:
        process.send_signal(signal.SIGSTOP)
        end = time.monotonic() + 2.0
        with pytest.raises(
            InterruptedBySignal, match=f"the Dask cluster at {address} did not answer$"
        ):
            DaskExecutor(address, lambda: signal.SIGTERM if time.monotonic() > end else None)
        with pytest.raises(HpoError, match=f"the Dask cluster at {address} does not answer$"):
            DaskExecutor(address)
        assert time.monotonic() - end < 20.0
