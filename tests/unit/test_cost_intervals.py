"""The intervals of costs and of savings: what they are made of, and how often they hold."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.decision_section import COST
from hpo.estimators.classification import Classification
from hpo.estimators.classification.costs import Costs
from hpo.estimators.classification.scores import Answered
from hpo.estimators.mistakes import Mistakes
from hpo.results.cost_intervals import estimate_cost, estimate_saving
from hpo.results.intervals import estimate_paired_proportions, estimate_proportion
from hpo.results.sampling import Sampling
from hpo.results.score_intervals import estimate_scores

COSTS = np.array([5.0, 100.0])
ENDLESS = 10**9
"""Rows of a table whose shares of the classes are no chance."""

HELD_OUT = 0.2
N_STUDIES = 2000


def answers_of(n_rows, *n_wrong):
    """Mistakes of models: of each class so many rows, the first of which each calls wrong."""
    truth = np.repeat([0, 1], n_rows)
    place = np.concatenate([np.arange(n) for n in n_rows])
    answers = [np.where(place < np.repeat(wrong, n_rows), 1 - truth, truth) for wrong in n_wrong]
    return Mistakes(truth, np.array(answers), COSTS)


def sampling_of(mistakes, n_table=ENDLESS):
    return Sampling.of(mistakes.truth, None, n_table)


@pytest.mark.parametrize(("position", "weight"), [(0, 0.8 * 5), (1, 0.2 * 100)])
@pytest.mark.parametrize("n_wrong", [0, 1, 7])
def test_mistakes_about_one_class_cost_what_their_share_costs(position, weight, n_wrong):
    mistakes = answers_of((80, 20), [n_wrong * (position == 0), n_wrong * (position == 1)])
    share = estimate_proportion(n_wrong, (80, 20)[position])
    found = estimate_cost(mistakes, sampling_of(mistakes))
    assert found.value == pytest.approx(-weight * share.value)
    # The class without a mistake may have some: the interval reaches further down for it.
    assert found.low < -weight * share.high
    assert found.high >= -weight * share.low or n_wrong == 0
    assert found.high <= 0.0


def test_a_lower_threshold_gains_in_one_class_and_loses_in_the_other():
    mistakes = answers_of((80, 20), [30, 2], [6, 12])
    assert mistakes.called_more(1, fewest=6) == 1
    gained, lost = estimate_proportion(10, 20), estimate_proportion(24, 80)
    found = estimate_saving(mistakes, 1, sampling_of(mistakes))
    assert found.value == pytest.approx(20 * 0.5 - 4 * 0.3)
    below = np.hypot(20 * (gained.value - gained.low), 4 * (lost.high - lost.value))
    above = np.hypot(20 * (gained.high - gained.value), 4 * (lost.value - lost.low))
    assert (found.low, found.high) == pytest.approx((found.value - below, found.value + above))


def test_a_few_rows_in_one_direction_may_be_chance():
    mistakes = answers_of((80, 20), [3, 0], [0, 2])
    assert mistakes.called_more(1, fewest=6) is None
    gained, lost = estimate_paired_proportions(2, 0, 20), estimate_paired_proportions(0, 3, 80)
    found = estimate_saving(mistakes, 1, sampling_of(mistakes))
    below = np.hypot(20 * (gained.value - gained.low), 4 * (lost.value - lost.low))
    assert found.low == pytest.approx(found.value - below)
    assert found.low < 0 < found.high


def test_two_that_answer_the_same_may_differ_on_other_rows():
    mistakes = answers_of((80, 20), [3, 5], [3, 5])
    found = estimate_saving(mistakes, 1, sampling_of(mistakes))
    assert found.value == 0.0
    assert found.low == pytest.approx(-found.high)
    assert found.high > 0.5


def test_shares_of_the_classes_are_chance_too():
    mistakes = answers_of((80, 20), [30, 2], [6, 12])
    certain, chance = (
        estimate_saving(mistakes, 1, sampling_of(mistakes, n_table)) for n_table in (ENDLESS, 500)
    )
    assert chance.low < certain.low < certain.value < certain.high < chance.high


def draw(rng, share, n_table, rates):
    """Mistakes of two models on the held-out rows of a table: of each class (gained, lost)."""
    n_positive = rng.binomial(n_table, share)
    n_rows = [round(n * HELD_OUT) for n in (n_table - n_positive, n_positive)]
    truth = np.repeat([0, 1], n_rows)
    of_row = np.array(rates)[truth]
    at = rng.random(len(truth))
    gained, lost = at < of_row[:, 0], (at >= of_row[:, 0]) & (at < of_row.sum(axis=1))
    answers = [np.where(wrong, 1 - truth, truth) for wrong in (lost, gained)]
    return Mistakes(truth, np.array(answers), COSTS)


@pytest.mark.parametrize(
    ("share", "n_table", "rates"),
    [
        # Of a lower threshold: negatives lose, positives gain.
        (0.2, 300, ((0.0, 0.2), (0.5, 0.0))),
        (0.2, 300, ((0.0, 0.5), (0.9, 0.0))),
        (0.2, 3000, ((0.0, 0.6), (0.2, 0.0))),
        (0.5, 300, ((0.0, 0.6), (0.2, 0.0))),
        (0.5, 3000, ((0.0, 0.2), (0.5, 0.0))),
        # Of two models that are as good as each other.
        (0.2, 3000, ((0.1, 0.1), (0.1, 0.1))),
        (0.5, 300, ((0.02, 0.02), (0.2, 0.2))),
    ],
)
def test_intervals_of_savings_hold_the_truth_as_often_as_they_say(share, n_table, rates):
    rng = np.random.default_rng(0)
    truth = sum(
        of_class * cost * (gained - lost)
        for of_class, cost, (gained, lost) in zip((1 - share, share), COSTS, rates, strict=True)
    )
    held = 0
    for _ in range(N_STUDIES):
        mistakes = draw(rng, share, n_table, rates)
        found = estimate_saving(mistakes, 1, sampling_of(mistakes, n_table))
        held += found.low <= truth <= found.high
    assert 0.93 <= held / N_STUDIES <= 0.97


def models_of(costs, n=200):
    rng = np.random.default_rng(1)
    y = np.array(["no", "yes"])[(rng.random(n) < 0.3).astype(int)]
    labels = [np.where(rng.random(n) < 0.2, "yes", y), np.where(rng.random(n) < 0.2, "no", y)]
    return y, [Answered(each, np.array(["no", "yes"]), "yes", costs) for each in labels]


def test_costs_of_classes_and_amounts_of_rows_both_have_intervals():
    """The latter by the spread of the rows, as any other mean."""
    constant = Costs(np.array([[0.0, 5.0], [100.0, 0.0]]))
    amounts = Costs(constant.matrix, {(1, 0): "amount"}, {(1, 0): np.linspace(50, 150, 200)})
    for costs, is_of_classes in ((constant, True), (amounts, False)):
        y, models = models_of(costs)
        task = Classification()
        assert (task.mistakes(COST, y, models) is not None) == is_of_classes
        assert task.mistakes("accuracy", y, models) is None
        sampling = Sampling.of(task.strata(y), None, 1000)
        score, (gain,) = estimate_scores(task, models, y, COST, sampling, np.random.default_rng(0))
        assert score.value == pytest.approx(models[0].score(COST, y))
        assert gain.value == pytest.approx(score.value - models[1].score(COST, y))
        for each in (score, gain):
            assert each.low < each.value < each.high
