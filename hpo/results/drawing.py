"""Drawing on figures of their own, so that no state of pyplot is touched.

Of many classes or features the largest are shown, and the title says so; the tables have all.
"""

import io

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpo import escaping
from hpo.data.tables import write_table
from hpo.escaping import on_one_line

MAX_LABELS = 25
"""Classes in a matrix, bars in a chart."""

NAME_LENGTH = 40


def draw_bars(
    title: str, names: pd.Series, values: pd.Series, xlabel: str, errors: pd.Series | None = None
) -> Figure:
    """Bars from the top down, by position, since two shortened names may be the same."""
    largest = values.head(MAX_LABELS)
    figure, ax = make_figure(
        title, "largest", len(largest), len(values), height=2 + 0.25 * len(largest)
    )
    ax.barh(range(len(largest)), largest, xerr=None if errors is None else errors.head(MAX_LABELS))
    ax.set_yticks(range(len(largest)), list(names.head(MAX_LABELS)))
    # Below the whole figure: below bars with long names it would not fit.
    figure.supxlabel(xlabel, fontsize="medium")
    ax.margins(y=0.02)
    ax.invert_yaxis()
    return figure


def make_figure(
    title: str, which: str, n_shown: int, n_all: int, width: float = 6.5, height: float = 5.0
) -> tuple[Figure, Axes]:
    """A figure whose title says how many of how many are shown, where not all are."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(
        title + (f", the {n_shown} {which} of {n_all}" if n_shown < n_all else ""),
        fontsize="medium",
    )
    return figure, figure.subplots()


def shorten(name: object) -> str:
    """A name in ``NAME_LENGTH`` characters, its middle left out."""
    return escaping.shorten(on_one_line(str(name)), NAME_LENGTH)


def to_png(figure: Figure) -> bytes:
    """The content of a picture's file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def to_csv(table: pd.DataFrame) -> bytes:
    """The content of a table's file."""
    text = io.StringIO()
    write_table(table, text)
    return text.getvalue().encode()
