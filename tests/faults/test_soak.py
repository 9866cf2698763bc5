"""Two kills of the soak; and every part of it can find something."""

from dataclasses import replace

import pytest

from tests.support.forked import fork_hpo
from tests.support.here import run_here_well

from . import soak
from .__main__ import main
from .converging import Kept, Place, Reference, count_violations
from .disturbing import PAUSES, constants


def test_two_kills_at_random_times_with_a_server_whose_answers_are_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of forks, whose start-up is short: a kill comes at any time of a run."""
    monkeypatch.setattr(soak, "start_hpo", fork_hpo)
    for name, value in constants(PAUSES).items():
        monkeypatch.setenv(name, value)
    exit_code = main(["--kills", "2", "--trials", "12", "--seed", "2", "--server"])
    printed = capsys.readouterr()
    assert exit_code == 0, printed
    first, second, *rest = printed.out.splitlines()
    assert first.startswith("2 kills of ")
    assert second == "lost 0, duplicated 0, running 0, different trials 0, different models 0"
    assert rest == []


def test_what_is_wrong_is_counted(place: Place, reference: Reference) -> None:
    run_here_well(place.directory, *reference.flags)
    assert set(count_violations(place, reference, "iris", Kept()).values()) == {0}
    longer = replace(reference, table=[*reference.table, *reference.table[:3]])
    missing = count_violations(
        place, longer, "iris", Kept({(99, "COMPLETE", "", "")}, {"f/99": ""})
    )
    assert missing["lost"] == 3 + 2
    assert missing["different models"] == 0
    changed = [(*row[:4], "other", *row[5:]) for row in reference.table]
    other = Reference(reference.flags, changed[:10], b"")
    assert count_violations(place, other, "iris", Kept()) == {
        "lost": 0,
        "duplicated": 2,
        "running": 0,
        "different trials": 12,
        "different models": 1,
    }
