"""Draws on a terminal with rich: a live view of a run, and a report as a table.

The command finds out whether there is a terminal; where there is none, rich is not even loaded.
"""

import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
)
from rich.progress import Progress as Bar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from hpo.escaping import on_one_line
from hpo.progress import Progress, format_duration

FRAMES_PER_SECOND = 4
"""A frame costs the process that fits about 2 ms."""

LABEL_WIDTH = 10

_STYLES = {"COMPLETE": "", "PRUNED": "yellow", "FAIL": "bold red"}


class LiveProgress(Progress):
    """A view redrawn in place: a bar, the best so far, failures, MLflow's count, the last trials.

    Args:
        console: The terminal to draw on.
        metric: The scorer that the search optimises.
    """

    def __init__(self, console: Console, metric: str) -> None:
        super().__init__()
        self._console = console
        self._metric = metric
        self._since = time.monotonic()
        self._bar = Bar(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[clock]}"),
            auto_refresh=False,
        )
        self._task = self._bar.add_task("", total=None, clock="")

    def trial_told(self, number: int, state: str, value: float | None) -> None:
        """Count a finished trial; the next one starts now."""
        super().trial_told(number, state, value)
        self._since = time.monotonic()

    def note(self, line: str) -> None:
        """Print a line above the view, where it stays."""
        self._console.print(Text(f"hpo: {on_one_line(line)}"), soft_wrap=True)

    def draw(self) -> RenderableType:
        """Draw the view as it is now."""
        begun = sum(self.n_scored.values()) / self.n_folds
        self._bar.update(
            self._task,
            total=self.n_trials or None,
            completed=self.n_told + begun,
            clock=self._tell_time(),
        )
        best = "none yet" if self.best is None else f"{self.best[1]:.4f} (trial {self.best[0]})"
        line = Text.assemble(
            "best ",
            (best, "bold green"),
            "   failed ",
            (str(self.n_failed), "bold red" if self.n_failed else ""),
        )
        line.append(f"   MLflow has {self.n_written}")
        table = Table(
            "trial",
            "state",
            escape(self._metric),
            box=None,
            header_style="dim",
            padding=(0, 2, 0, 0),
        )
        for number, state, value in self.last:
            table.add_row(
                str(number), Text(state, _STYLES[state]), "" if value is None else f"{value:.4f}"
            )
        for number, n_scored in self.n_scored.items():
            seconds = time.monotonic() - self._since
            table.add_row(
                str(number), f"fold {n_scored} of {self.n_folds}", f"{seconds:.0f} s", style="dim"
            )
        return Group(self._bar, line, table)

    def _tell_time(self) -> str:
        """How long it took so far, and once that can be said, how long it will take."""
        task = self._bar.tasks[0]
        spent = f"{format_duration(max(1.0, task.elapsed or 0.0))} so far"
        left = task.time_remaining
        return spent if not left else f"{spent}, about {format_duration(left)} left"


@contextmanager
def drawing(metric: str) -> Iterator[LiveProgress]:
    """Draw a view on standard error while the block runs; other output appears above it."""
    console = Console(stderr=True)
    progress = LiveProgress(console, metric)
    with Live(
        console=console,
        get_renderable=progress.draw,
        refresh_per_second=FRAMES_PER_SECOND,
        transient=True,
    ):
        yield progress


def print_table(rows: Iterable[tuple[str, str]]) -> None:
    """Print labels and facts as a table on standard output.

    A word that is longer than the line, such as an address, is left to the terminal to break, so
    that it is still one word where a person clicks or copies it.
    """
    console = Console()
    width = max(1, console.width - LABEL_WIDTH)
    console.print(Rule(style=""))
    for label, text in rows:
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        for index, line in enumerate(lines or [""]):
            shown = Text(f"{label if index == 0 else '':<{LABEL_WIDTH}}", "bold cyan")
            console.print(shown.append(line, "none"), soft_wrap=True)
    console.print(Rule(style=""))
