"""No room left: on a small tmpfs for all, for the ledger alone, for MLflow alone; then there is
room again.
"""

import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hpo.service.submitting import submit_study
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition
from tests.support.commands import wait_until
from tests.support.forked import forked
from tests.support.here import call_main
from tests.support.processes import processes
from tests.support.service import serving_studies, status_of, wait, wait_for
from tests.support.stores import close_stores, count_finished_runs, count_told, stores_of
from tests.support.studies import write_table

from .converging import Place, Reference, assert_converged, place_in
from .disturbing import Ended, constants, end, halted

N_TOLD = 5
"""When there is no more room."""


@pytest.fixture
def small_disk(empty_databases: Path, tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB with both databases, their tables made."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "hpo-test", tmp_path],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode()}")
    for database in ("optuna.db", "mlflow.db"):
        (tmp_path / database).write_bytes((empty_databases / database).read_bytes())
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def fill(directory: Path) -> None:
    with (directory / "ballast").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def run_until_full(place: Place, make_full: Callable[[int], None], reference: Reference) -> Ended:
    """A run in the middle of which there is no more room; its process id says for whom."""
    with halted(place.directory, N_TOLD, *reference.flags, "--tracking-wait", "2") as process:
        wait_until(lambda: count_finished_runs(place.database) >= 1, process)
        make_full(process.pid)
        process.send_signal(signal.SIGCONT)
        return end(process, 0.0)


def limit_files_to(database: Path, pid: int) -> None:
    """No file of a process may become longer than the write-ahead log of a database is now, or
    without one the database.
    """
    log = database.with_name(f"{database.name}-wal")
    size = (log if log.exists() else database).stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))


def assert_ledger_stopped(ended: Ended, place: Place) -> None:
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.last_line.startswith("hpo: the storage sqlite:///optuna.db failed: ")
    assert ended.last_line.endswith(
        " (check that it is there, writable and not full; nothing that was finished is lost)"
    )
    assert ended.stderr.count("\n") <= 2  # MLflow's line may come before
    assert "Traceback" not in ended.stderr
    assert N_TOLD <= count_told(place.directory) < 12


def test_full_disk_stops_it_and_with_room_it_goes_on(
    small_disk: Path, reference: Reference
) -> None:
    place = place_in(small_disk)
    ended = run_until_full(place, lambda _: fill(small_disk), reference)
    assert_ledger_stopped(ended, place)
    n_told = count_told(small_disk)
    fill(small_disk)  # what the first run gave back when it closed its files
    with forked(small_disk, *reference.flags) as process:
        again = end(process, 0.0)
    assert_ledger_stopped(again, place)
    assert count_told(small_disk) == n_told
    (small_disk / "ballast").unlink()
    assert_converged(place, reference)


def test_no_room_for_the_ledger(place: Place, reference: Reference) -> None:
    ended = run_until_full(
        place, lambda driver: limit_files_to(place.directory / "optuna.db", driver), reference
    )
    assert_ledger_stopped(ended, place)
    assert_converged(place, reference)


def test_no_room_for_mlflow(place: Place, reference: Reference) -> None:
    def limit(driver: int) -> None:
        (tracking,) = (pid for pid, parent, _ in processes() if parent == driver)
        limit_files_to(place.database, tracking)

    ended = run_until_full(place, limit, reference)
    assert ended.returncode == 3
    assert ended.last_line.startswith("hpo: MLflow is behind by ")
    assert "Traceback" not in ended.stderr
    assert count_told(place.directory) == 12
    assert_converged(place, reference)


def test_no_room_for_a_submitted_table_and_with_room_it_is_kept(small_disk: Path) -> None:
    write_table(small_disk)
    command = ("submit", "--data", "t.csv", "--target", "y", "--trials", "2")
    fill(small_disk)
    refused = call_main(small_disk, *command)
    assert refused.returncode in (3, 4)
    assert "Traceback" not in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    (small_disk / "ballast").unlink()
    assert "has no submitted study" in call_main(small_disk, "status").stderr
    assert call_main(small_disk, *command).returncode == 0
    close_stores()


def test_no_room_for_the_table_on_a_server_and_with_room_it_goes_on(
    small_disk: Path, make_directory: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_directory("served")
    monkeypatch.chdir(directory)
    path = write_table(directory)
    settings = ServiceSettings(**stores_of(directory), plots=False)
    overrides = {"data.source": str(path), "data.target": "y", "study.n_trials": 2}
    submit_study(load_definition(None, overrides), settings)
    close_stores()
    fill(small_disk)
    soon_again = constants({"hpo.service.server:AWAY_SECONDS": 1.0})
    with serving_studies(directory, HPO_CACHE=str(small_disk / "cache"), **soon_again) as server:
        wait(lambda: status_of(settings, "t").reason is not None, server)
        status = status_of(settings, "t")
        assert status.state == "queued"
        assert "No space left on device" in str(status.reason)
        (small_disk / "ballast").unlink()
        assert wait_for(settings, "t", "done", server).n_trials == 2
