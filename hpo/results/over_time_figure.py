"""The score part by part as a figure over time, and as a table."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpo.results.drawing import make_figure, shorten
from hpo.results.over_time import OverTime, Period


def tabulate_periods(over_time: OverTime) -> pd.DataFrame:
    """A row a part: the folds, then the hold-out."""
    rows = [period.to_json() for period in over_time.periods]
    parts = [*(f"fold {number}" for number in range(len(rows) - 1)), "hold-out"]
    return pd.DataFrame(rows).assign(part=parts)


def draw_periods(over_time: OverTime, metric: str) -> Figure:
    """A bar over the time of each part, at the height of its score."""
    n = len(over_time.periods)
    figure, ax = make_figure(
        f"{metric} of each part, by a model of the rows before it", "last", n, n
    )
    *folds, held_out = over_time.periods
    for number, fold in enumerate(folds):
        _draw_part(ax, fold, "C0", "folds of the best trial" if number == 0 else None)
    _draw_part(ax, held_out, "C1", "hold-out")
    interval = over_time.holdout_score
    if interval.is_known:
        ax.vlines(
            _middle(held_out), interval.low, interval.high, color="C1", label="its 95 % interval"
        )
    mean = float(np.mean([fold.score for fold in folds]))
    ax.axhline(mean, color="C0", linestyle=":", label=f"mean of the folds, {mean:.4f}")
    ax.set_xlabel(shorten(over_time.column))
    ax.set_ylabel(metric)
    ax.margins(y=0.15)
    ax.legend()
    ax.grid(alpha=0.3)
    if isinstance(held_out.first, np.datetime64):
        figure.autofmt_xdate()
    return figure


def _draw_part(ax: Axes, part: Period, color: str, label: str | None) -> None:
    middle = _middle(part)
    ax.plot([part.first, part.last], [part.score] * 2, color=color, linewidth=3)
    ax.plot([middle], [part.score], "o", color=color, label=label)
    ax.annotate(
        f"{part.score:.3f}",
        (middle, part.score),
        textcoords="offset points",
        xytext=(5, 8),
        ha="left",
    )


def _middle(part: Period) -> Any:
    return part.first + (part.last - part.first) / 2
