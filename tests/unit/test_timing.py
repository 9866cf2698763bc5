"""What a search will take: from fits of each kind in its space, within a bound."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

import pytest

from hpo.estimators.objective import StepResult
from hpo.search.timing import FITS_OF_A_KIND, mean_seconds, time_kinds

DRAWN = [{"solver": "slow" if n % 10 == 0 else "fast", "C": float(n)} for n in range(100)]


@dataclass
class Sleeper:
    """Takes as long as its solver says."""

    n_steps: int = 3
    seen: list[tuple[Any, int]] = field(default_factory=list)

    def evaluate(self, params: Mapping[str, Any], step: int) -> StepResult:
        self.seen.append((params["C"], step))
        time.sleep(0.02 if params["solver"] == "slow" else 0.001)
        return StepResult({"accuracy": 1.0})


def test_each_kind_counts_as_often_as_it_is_drawn() -> None:
    kinds = time_kinds(Sleeper(), DRAWN)
    assert [(kind.words, kind.share, len(kind.seconds)) for kind in kinds] == [
        ((("solver", "fast"),), 0.9, FITS_OF_A_KIND),
        ((("solver", "slow"),), 0.1, FITS_OF_A_KIND),
    ]
    fast, slow = (mean(kind.seconds) for kind in kinds)
    assert (fast >= 0.001, slow >= 0.02) == (True, True)
    assert mean_seconds(kinds) == pytest.approx(0.9 * fast + 0.1 * slow)


def test_folds_take_turns_and_params_are_those_that_were_drawn() -> None:
    sleeper = Sleeper()
    time_kinds(sleeper, DRAWN[:4])
    assert sorted(sleeper.seen) == [(0.0, 0), (1.0, 0), (2.0, 1), (3.0, 2)]


def test_time_is_bounded_and_what_was_not_timed_counts_as_its_like() -> None:
    kinds = time_kinds(Sleeper(), DRAWN, max_seconds=0.0005)
    assert [len(kind.seconds) for kind in kinds] == [1, 0]
    assert kinds[1].to_json()["fold_seconds"] is None
    assert mean_seconds(kinds) == pytest.approx(kinds[0].seconds[0])
