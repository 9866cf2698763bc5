"""Progress of a run. ``Progress`` only counts; ``PlainProgress`` logs once a minute.

The live view of a terminal is the command line's.
"""

import threading
import time
from collections.abc import Callable, Sequence

LINE_SECONDS = 60.0
N_SHOWN_TRIALS = 5


def format_duration(seconds: float) -> str:
    """A time as a person says it, such as "40 ms", "3 s", "3 min", "2 h 10 min" or "4 days"."""
    if seconds < 0.9995:
        return f"{max(1, round(1000 * seconds))} ms"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{round(minutes / 60 / 24)} days"


class Progress:
    """Counts trials and folds, and shows nothing.

    Attributes:
        n_trials: Trials of the search in all, or 0 before it starts.
        n_folds: Folds of each trial.
        n_told: Finished trials.
        n_failed: Failed trials among them.
        n_written: Trials that MLflow has.
        best: Number and value of the highest trial, or None.
        last: Number, state and value of the last few trials.
        n_scored: Number of the running trial to its scored folds.
    """

    def __init__(self) -> None:
        self.n_written = 0
        self.begin([], 0, 1)

    def begin(self, told: Sequence[tuple[str, float | None]], n_trials: int, n_folds: int) -> None:
        """Start a search, the study's own or a nested one.

        Args:
            told: State and value of the trials already finished, by number.
            n_trials: Trials in all.
            n_folds: Folds of each trial.
        """
        self.n_trials = max(n_trials, len(told))
        self.n_folds = n_folds
        self.n_told = 0
        self.n_failed = 0
        self.best: tuple[int, float] | None = None
        self.last: list[tuple[int, str, float | None]] = []
        self.n_scored: dict[int, int] = {}
        for number, (state, value) in enumerate(told):
            self.trial_told(number, state, value)

    def fold_scored(self, number: int, n_scored: int) -> None:
        """Count the scored folds of a trial."""
        self.n_scored = {number: n_scored}

    def trial_told(self, number: int, state: str, value: float | None) -> None:
        """Count a finished trial."""
        self.n_scored = {}
        self.n_told += 1
        self.n_failed += state == "FAIL"
        if value is not None and (self.best is None or value > self.best[1]):
            self.best = (number, value)
        # A new list, since a view may be drawing the old one.
        self.last = [*self.last[1 - N_SHOWN_TRIALS :], (number, state, value)]

    def hear(self, message: str | int) -> None:
        """Take a message of tracking: a line for a person, or how many trials MLflow has.

        It comes from another thread than the search's.
        """
        if isinstance(message, int):
            self.n_written = message
        else:
            self.note(message)

    def note(self, line: str) -> None:
        """Show a line that cannot wait."""


class PlainProgress(Progress):
    """Logs once a minute, for where no view can be drawn.

    Args:
        write: Takes one line.
        clock: Returns seconds.
    """

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._write_unlocked = write
        self._lock = threading.Lock()
        self._clock = clock
        self._next = clock() + LINE_SECONDS

    def fold_scored(self, number: int, n_scored: int) -> None:
        """Count the scored folds of a trial."""
        super().fold_scored(number, n_scored)
        if self._clock() >= self._next:
            self._next = self._clock() + LINE_SECONDS
            best = "" if self.best is None else f", best {self.best[1]:.4f} (trial {self.best[0]})"
            failed = f", {self.n_failed} failed" if self.n_failed else ""
            at = f"trial {number} at fold {n_scored} of {self.n_folds}"
            told = f"{self.n_told} of {self.n_trials} trials{best}{failed}"
            self._write(f"{told}; {at}; MLflow has {self.n_written}")

    def note(self, line: str) -> None:
        """Show a line that cannot wait."""
        self._write(line)

    def _write(self, line: str) -> None:
        """Write one line at a time, since lines come from two threads."""
        with self._lock:
            self._write_unlocked(line)
