"""Same seed, same params for slot k, whatever happened in between."""

from __future__ import annotations

import pytest
from optuna.trial import TrialState

from hpo.definition import PrunerSection, SamplerSection, SearchSpace
from hpo.mirror import Mirror, SlotResult
from hpo.search_space import suggest
from tests.unit.driving import score

N_SLOTS = 16
SPACE = SearchSpace()
SECTION = SamplerSection(n_startup_trials=4)


def result(number: int, params: dict) -> SlotResult:
    """Every fifth slot fails, the others have a value of their params."""
    if number % 5 == 4:
        return SlotResult(TrialState.FAIL)
    scores = tuple(fold.scores["accuracy"] for fold in score(params))
    return SlotResult(TrialState.COMPLETE, sum(scores) / len(scores), scores)


def run(mirror: Mirror, *, first: int, n_told: int, concurrency: int, asked: list[dict], end: int = N_SLOTS) -> tuple[list, list]:
    """Ask slots from ``first`` to ``end``, telling each result as late as the concurrency allows."""
    chosen, distributions = [], []
    for number in range(first, end):
        while n_told <= number - concurrency:
            mirror.tell(result(n_told, asked[n_told]))
            n_told += 1
        trial = mirror.ask(number)
        asked.append(suggest(SPACE, trial))
        chosen.append(trial.params)
        distributions.append(trial.distributions)
    return chosen, distributions


def run_whole(concurrency: int, section: SamplerSection = SECTION, seed: int = 3) -> tuple[list, list]:
    mirror = Mirror(section, PrunerSection(), seed=seed, concurrency=concurrency)
    return run(mirror, first=0, n_told=0, concurrency=concurrency, asked=[])


@pytest.mark.parametrize("kind", ["tpe", "random"])
@pytest.mark.parametrize("n_asked", [0, 1, 4, 7, 13, N_SLOTS - 1])
@pytest.mark.parametrize(("concurrency", "n_open"), [(1, 0), (1, 1), (4, 0), (4, 1), (4, 4)])
def test_resumed_from_a_ledger_asks_the_same(kind, concurrency, n_open, n_asked):
    section = SamplerSection(kind=kind, n_startup_trials=4)
    chosen, distributions = run_whole(concurrency, section)

    resumed = Mirror(section, PrunerSection(), seed=3, concurrency=concurrency)
    n_told = max(0, n_asked - n_open)
    for number in range(n_asked):
        resumed.add(chosen[number], distributions[number])
        if number < n_told:
            resumed.tell(result(number, chosen[number]))
    again, _ = run(resumed, first=n_asked, n_told=n_told, concurrency=concurrency, asked=chosen[:n_asked])
    assert again == chosen[n_asked:]


@pytest.mark.parametrize("concurrency", [2, 4])
def test_result_that_comes_early_changes_nothing(concurrency):
    chosen, _ = run_whole(concurrency)
    eager = Mirror(SECTION, PrunerSection(), seed=3, concurrency=concurrency)
    again: list[dict] = []
    for number in range(N_SLOTS):
        trial = eager.ask(number)
        suggest(SPACE, trial)
        again.append(trial.params)
        eager.tell(result(number, trial.params))
    assert again == chosen


def test_sampler_learns_from_results_and_concurrency_delays_it():
    one, four = run_whole(1)[0], run_whole(4)[0]
    assert one[:4] == four[:4]
    assert one != four
    assert one[5:] != run_whole(1, SamplerSection(kind="random"))[0][5:]


def test_other_seed_other_params():
    assert run_whole(1, seed=3)[0] != run_whole(1, seed=4)[0]


def test_slots_differ_from_each_other():
    drawn = [params["C"] for params in run_whole(1, SamplerSection(kind="random"))[0]]
    assert len(set(drawn)) == N_SLOTS


def test_fixed_params_are_taken_whatever_the_sampler_says():
    fixed = {"C": 1.0, "penalty": "l2", "class_weight": "none"}
    trial = Mirror(SECTION, PrunerSection(), seed=3, concurrency=1).ask(0, fixed)
    assert suggest(SPACE, trial) == fixed


@pytest.mark.parametrize("concurrency", [1, 4])
def test_top_up_continues_the_same_sequence(concurrency):
    mirror, asked = Mirror(SECTION, PrunerSection(), seed=3, concurrency=concurrency), []
    first, _ = run(mirror, first=0, n_told=0, concurrency=concurrency, asked=asked, end=9)
    rest, _ = run(mirror, first=9, n_told=max(0, 9 - concurrency), concurrency=concurrency, asked=asked)
    assert first + rest == run_whole(concurrency)[0]
