"""Processes that are stopped, not ended, where others wait for them: every wait names whom it is
for and ends on a signal.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import kill_group, start_python, wait_until
from tests.support.forked import fork_hpo, forked
from tests.support.here import call_main
from tests.support.postgres import Cluster
from tests.support.processes import processes
from tests.support.stores import count_told

from .converging import Place
from .disturbing import Fault, end

AT_ONCE_SECONDS = 8.0
"""How long a process that waits may take to end, on a machine that may be busy."""

MAKES_TABLES = {
    "sqlite": "hpo.sqlite:use_wal:return:1:SIGSTOP:self",
    "postgresql": "hpo.ledger.postgresql:take_lock:return:1:SIGSTOP:self",
}


STARTING = "import sys; from hpo.ledger.storage import open_storage; open_storage(sys.argv[1])"
"""What a driver does with its storage before anything else."""


@contextmanager
def stopped_in_start_up(directory: Path, kind: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that stopped itself while it has the lock of the tables."""
    fault = Fault(MAKES_TABLES[kind], directory / "struck")
    process = start_python(directory, "-c", STARTING, url, **fault.variables)
    try:
        stat = Path(f"/proc/{process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", process)
        yield process
    finally:
        kill_group(process)


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A database without tables."""
    if request.param == "sqlite":
        return "sqlite", f"sqlite:///{tmp_path}/optuna.db"
    cluster: Cluster = request.getfixturevalue("cluster")
    return "postgresql", cluster.make_database(request.node.name[:60])


def test_driver_that_is_stopped_in_start_up_is_named_and_keeps_nobody_deaf(
    storage: tuple[str, str], tmp_path: Path
) -> None:
    kind, url = storage
    line = "are being made by another process (h"
    with stopped_in_start_up(tmp_path, kind, url) as first:
        second = fork_hpo(tmp_path, "--name", "other", "--trials", "3", HPO_STORAGE=url)
        waiting = second.stderr.readline()
        started = time.monotonic()
        second.send_signal(signal.SIGTERM)
        ended = end(second, started)
        checked = call_main(tmp_path, "check", HPO_STORAGE=url)
        first.send_signal(signal.SIGCONT)
        assert end(first, started).returncode == 0
    assert waiting.startswith("hpo: waiting: the tables of ")
    assert line in waiting
    assert f"pid {first.pid}, since 20" in waiting
    assert (ended.returncode, ended.stdout) == (143, "")
    assert ended.seconds < AT_ONCE_SECONDS
    assert ended.last_line.startswith("hpo: stopped while the tables of ")
    assert checked.returncode == 4
    assert line in checked.stdout
    assert f"pid {first.pid}, since 20" in checked.stdout
    assert call_main(tmp_path, "check", HPO_STORAGE=url).returncode == 0


def tracking_process_of(driver: int) -> int | None:
    """The only child of a driver without workers; as a fork it imports nothing, which starts others."""
    return next((pid for pid, parent, _ in processes() if parent == driver), None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_tracking_process_leaves_the_driver_searching_and_not_deaf(
    place: Place, number: signal.Signals, wide: Callable[[Path], str]
) -> None:
    """The record of a table with long names is more than a pipe holds."""
    flags = ("--data", wide(place.directory), "--target", "target", "--trials", "4")
    with forked(place.directory, *flags) as driver:
        wait_until(lambda: tracking_process_of(driver.pid) is not None, driver)
        os.kill(tracking_process_of(driver.pid), signal.SIGSTOP)
        wait_until(lambda: count_told(place.directory) == 4, driver)
        time.sleep(1.0)
        started = time.monotonic()
        driver.send_signal(number)
        ended = end(driver, started)
    assert (ended.returncode, ended.stdout) == (128 + number, "")
    assert ended.seconds < AT_ONCE_SECONDS
    assert ended.last_line == (
        "hpo: stopped before MLflow had everything: the tracking process does not answer"
        " (run the same command again to go on)"
    )


@pytest.fixture
def wide() -> Callable[[Path], str]:
    """Writes a table whose record, half a megabyte, is larger than a pipe."""

    def write(directory: Path) -> str:
        names = [f"a_rather_long_column_name_{index}_{'x' * 1000}" for index in range(300)]
        rows = [[f"{(row * index) % 7}" for index in range(300)] for row in range(40)]
        lines = [",".join([*cells, "ab"[row % 2]]) for row, cells in enumerate(rows)]
        text = "\n".join([",".join([*names, "target"]), *lines])
        (directory / "wide.csv").write_text(text, encoding="utf-8")
        return "wide.csv"

    return write
