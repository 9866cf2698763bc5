"""Two kills of the soak; and every part of it can find something."""

import pytest

from tests.support.here import run_here_well

from .__main__ import main
from .converging import Kept, Place, Reference, count_violations


def test_two_kills_at_random_times_with_a_server_whose_answers_are_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exit_code = main(["--kills", "2", "--trials", "30", "--seed", "2", "--server"])
    printed = capsys.readouterr()
    assert exit_code == 0, printed
    first, second, *rest = printed.out.splitlines()
    assert first.startswith("2 kills of ")
    assert second == "lost 0, duplicated 0, running 0, different trials 0, different models 0"
    assert rest == []


def test_what_is_wrong_is_counted(
    place: Place, reference: Reference, long_reference: Reference
) -> None:
    run_here_well(place.directory, *reference.flags)
    assert set(count_violations(place, reference, "iris", Kept()).values()) == {0}
    missing = count_violations(
        place, long_reference, "iris", Kept({(99, "COMPLETE", "", "")}, {"f/99": ""})
    )
    assert missing["lost"] == 28 + 2
    assert missing["different models"] == (long_reference.model != reference.model)
    changed = [(*row[:4], "other", *row[5:]) for row in reference.table]
    other = Reference(reference.flags, changed[:10], b"")
    assert count_violations(place, other, "iris", Kept()) == {
        "lost": 0,
        "duplicated": 2,
        "running": 0,
        "different trials": 12,
        "different models": 1,
    }
