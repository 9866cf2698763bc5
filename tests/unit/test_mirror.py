"""Same seed, same params for slot k, whatever happened in between."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.definition import PrunerSection, SamplerSection
from hpo.ledger.mirror import Mirror
from tests.unit.driving import define, score, space_of

N_SLOTS = 16
SPACE = space_of(define())
SECTION = SamplerSection(n_startup_trials=4)


def ended(
    state: TrialState, value: float | None = None, scores: Sequence[float] = ()
) -> FrozenTrial:
    return create_trial(state=state, value=value, intermediate_values=dict(enumerate(scores)))


def facts(results: Sequence[FrozenTrial]) -> list[tuple]:
    """All but the times."""
    return [(result.state, result.value, result.intermediate_values) for result in results]


def result(number: int, params: dict) -> FrozenTrial:
    """Every fifth slot fails, the others have a value of their params."""
    if number % 5 == 4:
        return ended(TrialState.FAIL)
    scores = [fold.scores["accuracy"] for fold in score(params)]
    return ended(TrialState.COMPLETE, sum(scores) / len(scores), scores)


def run(
    mirror: Mirror,
    *,
    first: int,
    n_told: int,
    concurrency: int,
    asked: list[dict],
    end: int = N_SLOTS,
) -> tuple[list, list]:
    """Ask slots from ``first`` to ``end``, telling each result as late as the concurrency allows."""
    chosen, distributions = [], []
    for number in range(first, end):
        while n_told <= number - concurrency:
            mirror.tell(result(n_told, asked[n_told]))
            n_told += 1
        trial = mirror.ask(number)
        asked.append(SPACE.suggest(trial))
        chosen.append(trial.params)
        distributions.append(trial.distributions)
    return chosen, distributions


def run_whole(
    concurrency: int, section: SamplerSection = SECTION, seed: int = 3
) -> tuple[list, list]:
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
    again, _ = run(
        resumed, first=n_asked, n_told=n_told, concurrency=concurrency, asked=chosen[:n_asked]
    )
    assert again == chosen[n_asked:]


@pytest.mark.parametrize("concurrency", [2, 4])
def test_result_that_comes_early_changes_nothing(concurrency):
    chosen, _ = run_whole(concurrency)
    eager = Mirror(SECTION, PrunerSection(), seed=3, concurrency=concurrency)
    again: list[dict] = []
    for number in range(N_SLOTS):
        trial = eager.ask(number)
        SPACE.suggest(trial)
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
    assert SPACE.suggest(trial) == fixed


@pytest.mark.parametrize("concurrency", [1, 4])
def test_top_up_continues_the_same_sequence(concurrency):
    mirror, asked = Mirror(SECTION, PrunerSection(), seed=3, concurrency=concurrency), []
    first, _ = run(mirror, first=0, n_told=0, concurrency=concurrency, asked=asked, end=9)
    rest, _ = run(
        mirror, first=9, n_told=max(0, 9 - concurrency), concurrency=concurrency, asked=asked
    )
    assert first + rest == run_whole(concurrency)[0]


@pytest.mark.parametrize(
    ("kind", "n_startup_trials", "n_drawn"), [("random", 4, N_SLOTS), ("tpe", 4, 4), ("tpe", 0, 0)]
)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_slots_that_are_drawn_are_asked_the_same_before_any_result_is_there(
    kind, n_startup_trials, n_drawn, concurrency
):
    section = SamplerSection(kind=kind, n_startup_trials=n_startup_trials)
    mirror = Mirror(section, PrunerSection(), seed=3, concurrency=concurrency)
    assert [mirror.draws_at_random(number) for number in range(N_SLOTS)] == [
        number < n_drawn for number in range(N_SLOTS)
    ]
    asked: list[dict] = []
    ahead, _ = run(
        mirror, first=0, n_told=n_drawn, concurrency=concurrency, asked=asked, end=n_drawn
    )
    for number in range(n_drawn):
        mirror.tell(result(number, asked[number]))
    rest, _ = run(mirror, first=n_drawn, n_told=n_drawn, concurrency=concurrency, asked=asked)
    assert ahead + rest == run_whole(concurrency, section)[0]


# Pruning.

N_STEPS = 5
MEDIAN = PrunerSection(kind="median", n_startup_trials=3)
RACE = PrunerSection(kind="race")
SCORES = np.random.default_rng(5).normal(size=(40, N_STEPS)).round(2)


class Run:
    """Slots whose scores are a table: asks, judges each fold in order, tells in order, as the
    search does.
    """

    def __init__(self, concurrency: int, pruner: PrunerSection = MEDIAN) -> None:
        self.concurrency = concurrency
        self.pruner = pruner
        self.asked: list[optuna.Trial] = []
        self.results: list[FrozenTrial] = []
        self.mirror = self._make()

    def _make(self) -> Mirror:
        return Mirror(SECTION, self.pruner, seed=3, concurrency=self.concurrency)

    def ask_up_to(self, number: int) -> None:
        while len(self.asked) <= number:
            trial = self.mirror.ask(len(self.asked))
            SPACE.suggest(trial)
            self.asked.append(trial)

    def finish_next(self) -> None:
        number = len(self.results)
        if number % 7 == 6:
            result = ended(TrialState.FAIL)
        else:
            scores = SCORES[number].tolist()
            steps = range(1, N_STEPS)
            n_done = next(
                (n for n in steps if self.mirror.should_prune(number, scores[:n])), N_STEPS
            )
            is_whole = n_done == N_STEPS
            state = TrialState.COMPLETE if is_whole else TrialState.PRUNED
            result = ended(state, float(np.mean(scores)) if is_whole else None, scores[:n_done])
        self.mirror.tell(result)
        self.results.append(result)

    def restart(self) -> None:
        """A new driver reads the ledger: finished trials are added and told, those left open are
        added when taken up.
        """
        self.mirror = self._make()
        for trial in self.asked[: len(self.results)]:
            self.mirror.add(trial.params, trial.distributions)
        for result in self.results:
            self.mirror.tell(result)
        for trial in self.asked[len(self.results) :]:
            self.mirror.add(trial.params, trial.distributions)

    def go(self, n_slots: int, *, n_open: int, restarts: frozenset[int] = frozenset()) -> Run:
        for number in range(n_slots):
            self.ask_up_to(min(n_slots, number + n_open) - 1)
            if number in restarts:
                self.restart()
            self.finish_next()
        return self


def is_below_the_median(pruner: PrunerSection, scores: np.ndarray, view: list[FrozenTrial]) -> bool:
    """The rule of Optuna's documentation, in numpy."""
    step = len(scores) - 1
    is_judged = len(view) >= max(1, pruner.n_startup_trials) and step >= pruner.n_warmup_steps
    return is_judged and max(scores) < np.median(
        [result.intermediate_values[step] for result in view]
    )


def is_outraced(scores: np.ndarray, view: list[FrozenTrial]) -> bool:
    """Mean of the differences to the best one of the view, against the spread of its folds."""
    if len(scores) < 2 or not view:
        return False
    folds = np.array([*max(view, key=lambda trial: trial.value).intermediate_values.values()])
    return (scores - folds[: len(scores)]).mean() < -folds.std()


def expected_end(
    number: int, results: list[FrozenTrial], concurrency: int, pruner: PrunerSection = MEDIAN
) -> int:
    """After how many folds a slot is stopped by what it may see."""
    is_behind = is_outraced if pruner.kind == "race" else partial(is_below_the_median, pruner)
    view = [
        r for r in results[: max(0, number - concurrency + 1)] if r.state == TrialState.COMPLETE
    ]
    ends = (n for n in range(1, N_STEPS) if is_behind(SCORES[number][:n], view))
    return next(ends, N_STEPS)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    "pruner", [MEDIAN, PrunerSection(kind="median", n_startup_trials=0, n_warmup_steps=1), RACE]
)
def test_pruned_by_the_slots_own_view(concurrency, pruner):
    results = Run(concurrency, pruner).go(30, n_open=concurrency).results
    ends = [
        len(result.intermediate_values) for result in results if result.state != TrialState.FAIL
    ]
    expected = [
        expected_end(n, results, concurrency, pruner)
        for n, r in enumerate(results)
        if r.state != TrialState.FAIL
    ]
    assert ends == expected
    assert 2 < sum(result.state == TrialState.PRUNED for result in results) < 27


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    "restarts",
    [frozenset({5}), frozenset({1, 2, 9, 20}), frozenset(range(30))],
    ids=["once", "4 times", "always"],
)
@pytest.mark.parametrize("pruner", [MEDIAN, RACE], ids=lambda pruner: pruner.kind)
def test_resumed_study_prunes_and_asks_the_same(pruner, concurrency, restarts):
    whole = Run(concurrency, pruner).go(30, n_open=concurrency)
    resumed = Run(concurrency, pruner).go(30, n_open=concurrency, restarts=restarts)
    assert facts(resumed.results) == facts(whole.results)
    assert [trial.params for trial in resumed.asked] == [trial.params for trial in whole.asked]


@pytest.mark.parametrize("pruner", [MEDIAN, RACE], ids=lambda pruner: pruner.kind)
def test_results_that_come_before_the_next_slots_are_asked_change_no_decision(pruner):
    whole = Run(4, pruner).go(30, n_open=4)
    early = Run(4, pruner).go(30, n_open=1)
    assert facts(early.results) == facts(whole.results)
    assert [trial.params for trial in early.asked] == [trial.params for trial in whole.asked]


def test_concurrency_delays_what_the_pruner_sees():
    assert facts(Run(1).go(30, n_open=1).results) != facts(Run(4).go(30, n_open=4).results)


def test_no_pruner_stops_nothing():
    results = Run(1, PrunerSection(kind="none", n_startup_trials=0)).go(30, n_open=1).results
    assert {result.state for result in results} == {TrialState.COMPLETE, TrialState.FAIL}
