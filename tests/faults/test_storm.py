"""The storm's own eyes: each thing that may be wrong after it is found."""

import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from tests.support.commands import environment
from tests.support.here import run_here_well

from .converging import Place, Reference
from .driven import MARK, Driven, marked_processes
from .rounds import Tally, check, rest


@pytest.fixture
def driven(place: Place, reference: Reference) -> Iterator[Driven]:
    """A study that nobody drives yet; no process of it outlives the test."""
    study = Driven("iris", place, reference.flags, reference, uuid.uuid4().hex)
    yield study
    list(rest([study], study.mark, 0.0, 0.0))


def test_nothing_is_found_where_nothing_is_wrong(driven: Driven) -> None:
    run_here_well(driven.place.directory, *driven.flags)
    driven.remember()
    assert len(driven.kept.trials) == len(driven.kept.runs) == 12
    tally = Tally()
    assert list(check(driven, tally)) == []
    assert tally.is_good


def test_what_is_wrong_is_found(driven: Driven) -> None:
    run_here_well(driven.place.directory, *driven.flags)
    driven.remember()
    driven.kept.trials.add("a trial that was there")
    driven.reference = replace(driven.reference, model=b"", table=driven.reference.table[:11])
    client = MlflowClient(driven.place.tracking_uri)
    experiment = client.get_experiment_by_name("iris")
    client.create_run(experiment.experiment_id, tags={"hpo.study": "x"})
    tally = Tally()
    found = list(check(driven, tally))
    assert tally.violations == Counter(
        {
            "lost": 1,
            "duplicated": 2,
            "running": 1,
            "different trials": 1,
            "different models": 1,
        }
    )
    assert found[-1].startswith("iris: the two places disagree: ")
    assert not tally.is_good


def test_process_older_than_its_bound_is_named_and_killed(driven: Driven) -> None:
    driver = driven.start()
    named = list(rest([driven], driven.mark, 0.0))
    assert [finding.partition(" s: ")[0] for finding in named] == [
        f"iris: pid {driver.pid} runs for 0"
    ]
    assert not driver.is_running


def test_process_that_is_left_is_named_and_killed(driven: Driven) -> None:
    with subprocess.Popen(
        ["sleep", "60"], env=environment(**{MARK: driven.mark}), start_new_session=True
    ) as process:
        named = list(rest([driven], driven.mark, 0.0, 0.0))
    assert named == [f"process {process.pid} is left of a driver that has ended"]
    assert marked_processes(driven.mark) == []


def test_exit_code_that_is_not_of_the_table_and_traceback_are_found(driven: Driven) -> None:
    driven.flags = ("--metric", "nonsense")
    driver = driven.start()
    driver.process.wait()
    (finding,) = driver.findings()
    assert finding.startswith("exit code 2: hpo: ")
    driven.flags = ("--help",)
    driver = driven.start()
    driver.process.wait()
    assert list(driver.findings()) == []
    with driver.log.open("a") as log:
        log.write("Traceback (most recent call last):")
    (finding,) = driver.findings()
    assert finding.startswith("traceback: ")
