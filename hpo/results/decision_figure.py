"""The figure of a threshold: what each would have brought, out of fold and on the hold-out."""

import numpy as np
from matplotlib.figure import Figure

from hpo.decision_section import COST
from hpo.escaping import quote
from hpo.estimators.classification.thresholds import ThresholdCurve
from hpo.results.decisions import JudgedDecision
from hpo.results.drawing import make_figure
from hpo.results.thresholds import HALF

SMALL = 0.1
"""A threshold below it is drawn on a logarithmic axis."""

HEADROOM = 1.4
"""How far the axis of a cost goes beyond what matters: the far end would flatten the rest."""


def draw_threshold(decision: JudgedDecision) -> Figure:
    """Draw the objective by threshold: a cost, or a scorer.

    Raises:
        ValueError: It has no threshold.
    """
    chosen, held_out = decision.choice.threshold, decision.curve
    if chosen is None or held_out is None:
        raise ValueError("this decision has no threshold")
    is_cost = decision.objective == COST
    sign, shown = (-1, "cost a row") if is_cost else (1, decision.objective)
    figure, ax = make_figure(f"{shown.capitalize()} by threshold", "", 1, 1)
    for label, curve, style in (
        ("out of fold", chosen.curve, "-"),
        (f"{decision.n_rows} held-out rows", held_out, "--"),
    ):
        thresholds, scores = _to_ends(curve, decision.objective)
        ax.step(thresholds, sign * scores, style, where="pre", label=label)
    marks = {"ships": chosen.threshold, "as it comes": HALF}
    for (name, threshold), style in zip(marks.items(), ("-", ":"), strict=True):
        label = f"{name}: {threshold:.3g}"
        ax.axvline(threshold, color="black", linewidth=1, linestyle=style, label=label)
    if chosen.threshold < SMALL:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlim(max(chosen.threshold / 30, 1e-6), 1)
    else:
        ax.set_xlim(0, 1)
    if is_cost:
        # Of calling all rows positive or none, the cheaper.
        always = max(-curve.scores[COST][[0, -1]].max() for curve in (chosen.curve, held_out))
        at_marks = [-chosen.curve.at(threshold, COST) for threshold in marks.values()]
        ax.set_ylim(0, HEADROOM * max(always, *at_marks))
    positive = quote(decision.choice.decision.positive)
    ax.set(xlabel=f"probability from which a row is called {positive}", ylabel=shown)
    ax.legend(fontsize="small")
    return figure


def _to_ends(curve: ThresholdCurve, objective: str) -> tuple[np.ndarray, np.ndarray]:
    """The curve from 0 to 1: a score changes where a row's own probability is passed."""
    scores = curve.scores[objective]
    return np.concatenate([[0], curve.values, [1]]), np.concatenate([scores[:1], scores])
