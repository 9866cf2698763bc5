"""What the report says of a decision, and the figure of its threshold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hpo.decision_section import COST
from hpo.estimators.classification.thresholds import ThresholdCurve
from hpo.estimators.decision import Decision
from hpo.results.answers import describe_decision, describe_probabilities
from hpo.results.calibration import CalibrationChoice, ProbabilityScores
from hpo.results.decision_figure import draw_threshold
from hpo.results.decisions import DecisionChoice, JudgedDecision
from hpo.results.intervals import Estimate, too_few_to_say
from hpo.results.thresholds import ThresholdChoice

CURVE = ThresholdCurve(
    np.array([0.02, 0.3, 0.7]),
    np.array([0.02, 0.16, 0.5, 0.7 + 1e-9]),
    {COST: -np.array([4.0, 2.0, 8.0, 16.0]), "recall": np.array([1, 0.9, 0.5, 0])},
)
CHOSEN = ThresholdChoice(0.048, 0.048, 0.16, "start", COST, CURVE)
CHOICE = DecisionChoice(
    Decision(threshold=0.048, positive="yes"),
    CalibrationChoice(None, np.zeros((3, 2)), "none"),
    CHOSEN,
)
JUDGED = JudgedDecision(
    CHOICE,
    COST,
    100,
    Estimate(-2.0, -2.5, -1.5),
    Estimate(6.0, 4.0, 8.0),
    Estimate(-1.0, -2.0, -0.25),
    "no",
    Estimate(0.5, -0.5, 1.5),
    curve=CURVE,
)


def test_a_decision_by_cost_says_what_it_saves():
    assert describe_decision(JUDGED) == [
        (
            "'yes' from a probability of 0.048 on, the cost's own threshold:"
            " out of fold no other did better by more than noise"
        ),
        "held out: cost 2 a row (1.5 to 2.5)",
        "against the same model at threshold 0.5: saves 6 a row (4 to 8): better",
        "against the defaults at threshold 0.5: costs 1 more a row (0.25 to 2): WORSE",
        "against always 'no': saves 0.5 a row (-0.5 to 1.5): not measurably different",
    ]


def test_a_gain_on_too_few_rows_says_so():
    few = replace(JUDGED, over_likelier=too_few_to_say(6.0), over_defaults=None)
    assert describe_decision(few)[2:3] == [
        (
            "against the same model at threshold 0.5: saves 6 a row"
            " (too few rows held out to say how sure)"
        )
    ]
    assert len(describe_decision(few)) == 4
    assert few.to_json()["over_likelier"] == {"value": 6.0, "low": None, "high": None}
    assert math.isfinite(few.to_json()["threshold"])


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("best", "out of fold it did better than 0.048 by more than noise"),
        ("within", "the best out of fold that fulfils precision >= 0.8"),
        ("nearest", "NO THRESHOLD fulfilled precision >= 0.8 out of fold, this one is nearest"),
    ],
)
def test_it_says_why_a_threshold_was_taken(reason, said):
    choice = replace(CHOICE, threshold=replace(CHOSEN, reason=reason, objective="recall"))
    judged = replace(
        JUDGED,
        choice=choice,
        objective="recall",
        score=Estimate(0.9, 0.8, 0.95),
        conditions={"precision": Estimate(0.82, 0.75, 0.9)},
        conditions_asked={"precision": 0.8},
    )
    rule, score, gain, *_ = describe_decision(judged)
    assert rule.endswith(said)
    assert score == "held out: recall 0.9000 (0.8 to 0.95), precision 0.8200 (0.75 to 0.9)"
    assert gain == "against the same model at threshold 0.5: gains 6 (4 to 8): better"


def test_probabilities_are_judged_and_their_mending_is_said():
    scores = [Estimate(value, value / 2, 2 * value) for value in (0.1, 0.3, 0.02)]
    plain = "brier 0.1000 (0.05 to 0.2), log loss 0.3000 (0.15 to 0.6), calibration error 0.0200 (0.01 to 0.04)"
    assert describe_probabilities(ProbabilityScores(*scores)) == plain
    gain = Estimate(0.05, 0.02, 0.08)
    mended = ProbabilityScores(*scores, "auto", "sigmoid", gain)
    expected = f"{plain}; mended by sigmoid: log loss -0.0500 (-0.08 to -0.02) out of fold"
    assert describe_probabilities(mended) == expected
    left = ProbabilityScores(*scores, "auto", "none", Estimate(0.05, -0.02, 0.12))
    assert "left as they are, mending brings no more than noise" in describe_probabilities(left)
    worse = ProbabilityScores(*scores, "auto", "none", Estimate(-0.05, -0.08, -0.02))
    assert "left as they are, mending makes them worse" in describe_probabilities(worse)


@pytest.mark.parametrize("objective", [COST, "recall"])
@pytest.mark.parametrize("threshold", [0.048, 0.6])
def test_the_figure_has_both_curves_and_both_thresholds(objective, threshold):
    chosen = replace(CHOSEN, threshold=threshold, objective=objective)
    judged = replace(JUDGED, choice=replace(CHOICE, threshold=chosen), objective=objective)
    (ax,) = draw_threshold(judged).axes
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        "out of fold",
        "100 held-out rows",
        f"ships: {threshold:g}",
        "as it comes: 0.5",
    ]
    assert ax.get_xscale() == ("log" if threshold < 0.1 else "linear")
    xs, ys = ax.lines[0].get_data()
    assert (xs[0], xs[-1]) == (0, 1)
    assert len(xs) == len(ys)
    if objective == COST:
        assert ax.get_ylim() == (0, pytest.approx(1.4 * 8))
