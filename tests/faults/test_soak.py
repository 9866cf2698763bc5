"""Six kills of the soak, three of them with a server whose answers are lost; and every part of it can find something."""

import pytest

from tests.support.commands import COMMAND_SECONDS, running

from .__main__ import main
from .converging import Kept, Place, Reference, count_violations


@pytest.mark.parametrize("flags", [("--seed", "1"), ("--seed", "2", "--server")])
def test_three_kills_at_random_times(
    flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code = main(["--kills", "3", "--trials", "30", *flags])
    printed = capsys.readouterr()
    assert exit_code == 0, printed
    first, second, *rest = printed.out.splitlines()
    assert first.startswith("3 kills of ")
    assert second == "lost 0, duplicated 0, running 0, different trials 0, different models 0"
    assert rest == []


def test_what_is_wrong_is_counted(
    place: Place, reference: Reference, long_reference: Reference
) -> None:
    with running(place.directory, *reference.flags) as process:
        assert process.wait(timeout=COMMAND_SECONDS) == 0
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
