"""Progress of a run: ``Progress`` only counts; ``PlainProgress`` logs once a minute."""

import threading
import time
from collections.abc import Callable, Sequence

LINE_SECONDS = 60.0
N_SHOWN_TRIALS = 5


class Progress:
    """Adds up what a run tells.

    Attributes:
        n_trials: How many there are to be, or 0 before the search.
        n_folds: Of each trial.
        n_told: How many are finished.
        n_failed: How many of them failed.
        n_written: How many of them MLflow has.
        best: Number and value of the highest, or None.
        last: Number, state and value of the last ones.
        n_scored: Trial number to scored folds of the one that is begun.
    """

    def __init__(self) -> None:
        self.n_written = 0
        self.begin([], 0, 1)

    def begin(self, told: Sequence[tuple[str, float | None]], n_trials: int, n_folds: int) -> None:
        """Begin a search, the study's own or a nested one.

        Args:
            told: State and value of each trial that is finished.
            n_trials: Trials in all.
            n_folds: Folds of each.
        """
        self.n_trials, self.n_folds = max(n_trials, len(told)), n_folds
        self.n_told = self.n_failed = 0
        self.best: tuple[int, float] | None = None
        self.last: list[tuple[int, str, float | None]] = []
        self.n_scored: dict[int, int] = {}
        for number, (state, value) in enumerate(told):
            self.trial_told(number, state, value)

    def fold_scored(self, number: int, n_scored: int) -> None:
        """Of a trial so many folds are scored."""
        self.n_scored = {number: n_scored}

    def trial_told(self, number: int, state: str, value: float | None) -> None:
        """A trial is finished."""
        self.n_scored = {}
        self.n_told += 1
        self.n_failed += state == "FAIL"
        if value is not None and (self.best is None or value > self.best[1]):
            self.best = (number, value)
        # A new list: a view may be drawing the one before.
        self.last = [*self.last[1 - N_SHOWN_TRIALS :], (number, state, value)]

    def hear(self, message: str | int) -> None:
        """Tracking has a message: a line for a person, or how many trials MLflow has.

        It comes from another thread than what the search tells.
        """
        if isinstance(message, int):
            self.n_written = message
        else:
            self.note(message)

    def note(self, line: str) -> None:
        """Something that a person should know now."""


class PlainProgress(Progress):
    """A line now and then, for where no view can be drawn.

    Args:
        write: Takes a line.
        clock: Gives seconds.
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
        """Of a trial so many folds are scored."""
        super().fold_scored(number, n_scored)
        if self._clock() >= self._next:
            self._next = self._clock() + LINE_SECONDS
            best = "" if self.best is None else f", best {self.best[1]:.4f} (trial {self.best[0]})"
            failed = f", {self.n_failed} failed" if self.n_failed else ""
            at = f"trial {number} at fold {n_scored} of {self.n_folds}"
            self._write(
                f"{self.n_told} of {self.n_trials} trials{best}{failed}; {at};"
                f" MLflow has {self.n_written}"
            )

    def note(self, line: str) -> None:
        """Something that a person should know now."""
        self._write(line)

    def _write(self, line: str) -> None:
        """Write a line whole, whichever thread it comes from."""
        with self._lock:
            self._write_unlocked(line)
